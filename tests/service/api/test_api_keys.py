"""API keys from a file or a Secret: reading, reloading and checking them."""

import logging
import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from tests.service.fakes import ANSWER, QUESTION, Replica, sample

import mcq_service.runtime.api_keys
from mcq_service.api import app
from mcq_service.runtime.api_keys import POLL_SECONDS, ApiKeys, InvalidKeys

ALICE, BOB, EVE = "alice-0123456789abcdef", "bob-0123456789abcdef+/==", "eve-0123456789abcdef"


class Clock:
    """A clock that tests advance, in seconds."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def poll(self) -> None:
        self.now += POLL_SECONDS


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "keys.yaml"
    path.write_text(f"alice: {ALICE}\nbob: {BOB}\n")
    return path


class Secret:
    """Mount a Secret as the kubelet does: names link into `..data`, a link that the kubelet replaces atomically."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._version = 0
        path.mkdir()

    def write(self, **keys: str) -> None:
        self._version += 1
        version = self.path / f"..v{self._version}"
        version.mkdir()
        for name, key in keys.items():
            (version / name).write_text(f"{key}\n")
        link = self.path / "..data_tmp"
        link.symlink_to(version.name)
        link.rename(self.path / "..data")
        for name in keys:
            if not (self.path / name).is_symlink():
                (self.path / name).symlink_to(f"..data/{name}")


@pytest.fixture
def secret(tmp_path: Path) -> Secret:
    mounted = Secret(tmp_path / "keys")
    mounted.write(alice=ALICE, bob=BOB)
    return mounted


def test_a_files_keys_have_names(file: Path) -> None:
    """Each line of a file is `name: key`."""
    keys = ApiKeys(file)
    assert keys.names == ["alice", "bob"]
    assert [keys.name_of(key) for key in (ALICE, BOB, EVE, "", ALICE[:-1])] == [
        "alice",
        "bob",
        None,
        None,
        None,
    ]


def test_a_secrets_keys_are_its_files(secret: Secret) -> None:
    """The kubelet's own entries are no keys."""
    keys = ApiKeys(secret.path)
    assert keys.names == ["alice", "bob"]
    assert keys.name_of(BOB) == "bob"


def test_a_plain_directory_works_too(tmp_path: Path) -> None:
    """A plain directory has none of the kubelet's links."""
    (tmp_path / "alice").write_text(ALICE)
    assert ApiKeys(tmp_path).name_of(ALICE) == "alice"


def test_a_key_of_digits_stays_text(tmp_path: Path) -> None:
    """YAML would read the key as a number, a date or a boolean."""
    path = tmp_path / "keys.yaml"
    path.write_text("a: 00012345678901234567890\nno: 2001-01-01-2001-01-01\n")
    keys = ApiKeys(path)
    assert keys.name_of("00012345678901234567890") == "a"
    assert keys.name_of("2001-01-01-2001-01-01") == "no"


def test_a_changed_file_is_read_again(file: Path, clock: Clock) -> None:
    """The change takes effect within a second of use, without a restart."""
    keys = ApiKeys(file, clock=clock)
    file.write_text(f"eve: {EVE}\n")
    assert keys.name_of(EVE) is None  # not checked again yet
    clock.poll()
    assert (keys.name_of(EVE), keys.name_of(ALICE)) == ("eve", None)


def test_a_replaced_file_is_read_again(file: Path, clock: Clock) -> None:
    """The new file is noticed even if its size and time are the same."""
    keys = ApiKeys(file, clock=clock)
    before = file.stat()
    fresh = file.with_name("fresh")
    fresh.write_text(file.read_text().replace(ALICE, ALICE[::-1]))
    os.utime(fresh, ns=(before.st_atime_ns, before.st_mtime_ns))
    fresh.rename(file)
    clock.poll()
    assert (keys.name_of(ALICE), keys.name_of(ALICE[::-1])) == (None, "alice")


def test_a_swapped_secret_is_read_again(secret: Secret, clock: Clock) -> None:
    """A key that left the Secret is refused, even while its link dangles."""
    keys = ApiKeys(secret.path, clock=clock)
    secret.write(bob=EVE)
    clock.poll()
    assert (keys.name_of(EVE), keys.name_of(ALICE), keys.name_of(BOB)) == ("bob", None, None)


def remove(file: Path) -> None:
    file.unlink()


def become_a_list(file: Path) -> None:
    file.write_text(f"- {EVE}\n")


def shorten(file: Path, before: str = "") -> None:
    file.write_text(f"{before}eve: short\n")


def not_text(file: Path) -> None:
    file.write_bytes(b"alice: \xff\xfe\xff\xfe\xff\xfe")


def forbid(file: Path) -> None:
    file.unlink()
    file.symlink_to("/proc/self/mem")  # the file can be checked, but not read


@pytest.mark.parametrize("damage", [remove, become_a_list, shorten, not_text, forbid])
def test_keys_in_a_missing_or_unreadable_file_stop_working(
    file: Path, clock: Clock, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    """Each error is logged once, although the file is checked often; a repaired file works again."""
    keys = ApiKeys(file, clock=clock)
    damage(file)
    for _ in range(3):
        clock.poll()
        assert [keys.name_of(ALICE), keys.name_of(BOB)] == [None, None]
    assert (keys.accepted, keys.faults) == (0, 1)
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR"]
    assert "no longer accepted: alice, bob" in caplog.text
    assert str(file) in caplog.text
    assert EVE not in caplog.text
    file.unlink(missing_ok=True)
    file.write_text(f"eve: {EVE}\n")
    clock.poll()
    assert (keys.name_of(EVE), keys.name_of(ALICE)) == ("eve", None)
    assert keys.faults == 0


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("eve: short", "line 2: the key eve must have at least 16 characters"),
        ("eve: [broken", "line 2: it is not YAML"),
        ("eve: 'never closed", "line 2: it is not YAML"),
        ("\tbob: bob-0123456789abcdef", "line 2: it is not YAML"),
        ("  bob: bob-0123456789abcdef", "line 2"),
        ("just words", "line 2: it is not `name: key`"),
        ("a name: eve-0123456789abcdef", "line 2: a key's name has letters"),
    ],
)
def test_an_invalid_line_disables_only_its_own_key(
    file: Path, clock: Clock, line: str, complaint: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Bob's line is no longer valid, so his key is refused at once."""
    keys = ApiKeys(file, clock=clock)
    file.write_text(f"alice: {ALICE}\n{line}\n# and\ncarol: {EVE[::-1]}\n")
    clock.poll()
    assert keys.names == ["alice", "carol"]
    assert [keys.name_of(key) for key in (ALICE, BOB, EVE, EVE[::-1])] == ["alice", None, None, "carol"]
    assert keys.faults == 1
    assert complaint in caplog.text
    assert keys.accepted == ApiKeys(file).accepted == 2


@pytest.mark.parametrize(
    "twice", [f"bob: {BOB}\nalice: {EVE}", f"alice: short\nbob: {BOB}", f"bob: {BOB}\neve: {ALICE}"]
)
def test_two_contradictory_lines_are_both_rejected(file: Path, clock: Clock, twice: str) -> None:
    """Two keys with one name, or two names for one key, are ambiguous."""
    keys = ApiKeys(file, clock=clock)
    file.write_text(f"alice: {ALICE}\n{twice}\n")
    clock.poll()
    assert keys.names == ["bob"]
    assert keys.name_of(ALICE) is None
    assert keys.faults >= 1


def test_an_invalid_file_of_a_secret_disables_only_its_own_key(secret: Secret, clock: Clock) -> None:
    """An invalid file of a Secret behaves like an invalid line of a file."""
    keys = ApiKeys(secret.path, clock=clock)
    secret.write(alice="short", eve=EVE)
    clock.poll()
    assert (keys.names, keys.faults) == (["eve"], 1)


def test_a_deleted_secret_lets_no_client_in(secret: Secret, clock: Clock) -> None:
    """The kubelet empties the directory if an optional Secret is deleted."""
    keys = ApiKeys(secret.path, clock=clock)
    secret.write()
    clock.poll()
    assert (keys.name_of(ALICE), keys.name_of(BOB)) == (None, None)
    assert (keys.accepted, keys.faults) == (0, 0)


def test_a_secret_replaced_during_the_read_is_read_again(
    secret: Secret, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Old and new keys are not mixed, and a version that disappears during the read loses no key."""
    keys = ApiKeys(secret.path, clock=clock)
    secret.write(alice=ALICE, bob=EVE)
    read = mcq_service.runtime.api_keys._text

    def swap_first(file: Path) -> str:
        monkeypatch.setattr(mcq_service.runtime.api_keys, "_text", read)
        secret.write(alice=EVE, bob=BOB)
        shutil.rmtree(file.parent)
        return read(file)

    monkeypatch.setattr(mcq_service.runtime.api_keys, "_text", swap_first)
    clock.poll()
    assert [keys.name_of(key) for key in (EVE, BOB, ALICE)] == ["alice", "bob", None]


def test_keys_are_never_logged(file: Path, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """The log of a reload has only names."""
    caplog.set_level(logging.DEBUG)
    keys = ApiKeys(file, clock=clock)
    file.write_text(f"eve: {EVE}\n")
    clock.poll()
    keys.name_of(BOB)
    assert "eve" in caplog.text
    assert not any(key in caplog.text for key in (ALICE, BOB, EVE))


@pytest.mark.parametrize("text", ["", "# none yet\n", "{}"])
def test_an_empty_set_refuses_every_client(tmp_path: Path, text: str) -> None:
    """An empty file differs from a service without a file."""
    path = tmp_path / "keys.yaml"
    path.write_text(text)
    assert ApiKeys(path).names == []
    assert ApiKeys(path).name_of("") is None


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (f"- {EVE}", "not a map"),
        (EVE, "not a map"),
        (f"alice: '{ALICE}", "line 1: it is not YAML"),
        ("alice: fifteen-letters", "at least 16"),
        ("alice:", "at least 16"),
        (f"alice: {ALICE} {EVE}", "of letters, digits"),
        (f"alice: [{EVE}]", "line 1: it is not `name: key`"),
        (f"alice: {ALICE}\nalice: {EVE}", "line 2: there are two keys with the name alice"),
        ("a: short\nb: [\n", "line 1: the key a must have"),
        (f"alice: {ALICE}\neve: {ALICE}", "alice and eve have the same key"),
        (f"a name: {EVE}", "name has letters"),
        ("[" * 100_000, "not YAML"),
        ("x" * 1_100_000, "more than"),
    ],
)
def test_a_start_without_a_usable_key_is_an_error_that_says_where(
    tmp_path: Path, text: str, complaint: str
) -> None:
    """The error goes into a log, so it never contains a key."""
    path = tmp_path / "keys.yaml"
    path.write_text(text)
    with pytest.raises(InvalidKeys, match=complaint) as raised:
        ApiKeys(path)
    assert str(path) in str(raised.value)
    assert raised.value.__cause__ is None
    assert not any(key in str(raised.value) for key in (ALICE, EVE, "fifteen-letters"))


def test_a_missing_file_at_the_start_is_an_error(tmp_path: Path) -> None:
    """Without the Secret's mount the service must not be open to everyone."""
    with pytest.raises(InvalidKeys, match="No such file"):
        ApiKeys(tmp_path / "keys.yaml")


@asynccontextmanager
async def keyed_client(replica: Replica, keys: ApiKeys) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of the replica's app, which requires these keys."""
    replica.app = app.build(replica.lifecycle, metrics=replica.metrics, tracing=replica.tracing, keys=keys)
    replica.load()
    async with replica.client() as client:
        yield client


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def test_a_trailing_slash_needs_the_key_too(replica: Replica, file: Path) -> None:
    """A trailing slash needs a key where the path without it does."""
    async with keyed_client(replica, ApiKeys(file)) as client:
        assert (await client.post(f"{ANSWER}/", json=QUESTION)).status_code == 401
        assert (await client.get("/v1/models/")).status_code == 401
        assert (await client.get("/readyz/")).status_code == 200


async def test_a_valid_key_is_accepted_under_its_name(
    replica: Replica, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The request's span and log line have the key's name, and neither has the key."""
    caplog.set_level(logging.DEBUG)
    async with keyed_client(replica, ApiKeys(file)) as client:
        for scheme in ("Bearer", "bearer"):
            response = await client.post(ANSWER, json=QUESTION, headers={"Authorization": f"{scheme} {BOB}"})
            assert response.status_code == 200
    spans = [span for span in replica.spans.get_finished_spans() if span.attributes]
    assert "bob" in {span.attributes.get("enduser.id") for span in spans if span.attributes}
    assert BOB not in "".join(span.to_json() for span in spans)
    lines = [vars(record)["fields"] for record in caplog.records if record.name == "mcq_service.access"]
    assert [line["key"] for line in lines] == ["bob", "bob"]
    assert BOB not in caplog.text + str(lines)


@pytest.mark.parametrize(
    ("headers", "challenge"),
    [
        ([], 'Bearer realm="mcq"'),
        ([("Authorization", "Bearer")], 'Bearer realm="mcq"'),
        ([("Authorization", "Basic YTpi")], 'Bearer realm="mcq"'),
        ([("Authorization", f"Bearer {ALICE}"), ("Authorization", f"Bearer {EVE}")], 'Bearer realm="mcq"'),
        (
            [("Authorization", f"Bearer {EVE}")],
            'Bearer realm="mcq", error="invalid_token", error_description="No such key"',
        ),
        (
            [("Authorization", f"Bearer {ALICE}x")],
            'Bearer realm="mcq", error="invalid_token", error_description="No such key"',
        ),
    ],
)
async def test_other_requests_get_401_with_a_challenge(
    replica: Replica, file: Path, headers: list[tuple[str, str]], challenge: str
) -> None:
    """RFC 6750 defines the challenge; the service does not read the question."""
    async with keyed_client(replica, ApiKeys(file)) as client:
        response = await client.post(ANSWER, json=QUESTION, headers=headers)
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == challenge
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json()["type"].endswith("/unauthorized")
        assert await sample(client, 'mcq_requests_total{mode="unknown",outcome="unauthorized"}') == 1
    assert replica.texts.read == []


async def test_probes_metrics_page_and_documents_need_no_key(replica: Replica, file: Path) -> None:
    """Every other path needs a key, whether it exists or not."""
    async with keyed_client(replica, ApiKeys(file)) as client:
        for path in ("/startupz", "/readyz", "/livez", "/metrics", "/openapi.json"):
            assert (await client.get(path)).status_code == 200, path
        for path in ("/", "/docs", "/page/nothing.js"):
            assert (await client.get(path)).status_code != 401, path
        for path in (ANSWER, "/nothing", "/api/v1/service", "/metrics/x", "/page", "/v1/models"):
            assert (await client.get(path)).status_code == 401, path


async def test_without_keys_every_client_may_ask(replica: Replica, client: httpx.AsyncClient) -> None:
    """A client may still send a key."""
    replica.load()
    assert (await client.post(ANSWER, json=QUESTION, headers=bearer(EVE))).status_code == 200


async def test_a_removed_key_is_refused_and_a_new_one_accepted(
    replica: Replica, secret: Secret, clock: Clock
) -> None:
    """The Secret is replaced on a running service."""
    async with keyed_client(replica, ApiKeys(secret.path, clock=clock)) as client:
        assert (await client.post(ANSWER, json=QUESTION, headers=bearer(ALICE))).status_code == 200
        secret.write(eve=EVE)
        clock.poll()
        assert (await client.post(ANSWER, json=QUESTION, headers=bearer(ALICE))).status_code == 401
        assert (await client.post(ANSWER, json=QUESTION, headers=bearer(EVE))).status_code == 200


async def test_metrics_and_probes_count_valid_and_invalid_keys(
    replica: Replica, file: Path, clock: Clock
) -> None:
    """They need no key and show no names."""
    async with keyed_client(replica, ApiKeys(file, clock=clock)) as client:
        assert await sample(client, "mcq_api_keys_accepted") == 2
        assert await sample(client, "mcq_api_keys_invalid") == 0
        shorten(file, f"alice: {ALICE}\n")
        clock.poll()
        assert await sample(client, "mcq_api_keys_accepted") == 1
        assert await sample(client, "mcq_api_keys_invalid") == 1
        state = await client.get("/readyz")
        assert state.status_code == 200
        assert state.json()["api_keys"] == {"accepted": 1, "invalid": 1}
        assert "alice" not in state.text


async def test_without_a_file_no_keys_are_counted(replica: Replica, client: httpx.AsyncClient) -> None:
    """A zero would look as if every client were refused."""
    replica.load()
    assert (await client.get("/readyz")).json()["api_keys"] is None
    assert "mcq_api_keys" not in (await client.get("/metrics")).text


async def test_the_schema_says_whether_a_key_is_needed(replica: Replica, file: Path) -> None:
    """The schema says so on the operations that need a key."""
    assert "securitySchemes" not in replica.app.openapi()["components"]
    async with keyed_client(replica, ApiKeys(file)):
        document = replica.app.openapi()
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    assert document["paths"][ANSWER]["post"]["security"] == [{"key": []}]
    assert "401" in document["paths"][ANSWER]["post"]["responses"]
    assert "security" not in document["paths"]["/livez"]["get"]
