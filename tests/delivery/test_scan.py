"""The scan finds recorded vulnerabilities of the SBOMs' packages, and says plainly if there was no database.

The records in osv/ are facts of PyPA's and Debian's advisories, in OSV's format.
"""

from __future__ import annotations

import json
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from delivery.errors import ScanError
from delivery.scan import NOTHING, Folder, Package, findings, scan, version_key
from delivery.settings import Settings
from hack.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Iterator

RECORDED = Path(__file__).parent / "osv"
LIBC = "pkg:deb/debian/libc6@2.36-9?arch=amd64&distro=debian-12.15&upstream=glibc"
PATCHED_LIBC = LIBC.replace("2.36-9", "2.36-9%2Bdeb12u14")
STARLETTE = "pkg:pypi/starlette@0.26.0.post1"


def sbom(folder: Path, *purls: str) -> Path:
    path = folder / "mcq-service.cdx.json"
    path.write_text(json.dumps({"components": [{"name": "an OS"}, *({"purl": purl} for purl in purls)]}))
    return path


def report(path: Path, database: str = str(RECORDED), **environment: str) -> list[str]:
    return scan(Settings({"OSV_DATABASE": database, **environment}), [path])


def test_without_a_database_the_report_says_that_nothing_was_scanned(tmp_path: Path) -> None:
    path = sbom(tmp_path, LIBC)
    assert report(path, "") == [NOTHING]
    assert "nothing was scanned" in NOTHING
    with pytest.raises(ScanError, match="nothing was scanned"):
        report(path, "", SCAN_REQUIRED="true")


def test_packages_of_debian_and_python_with_a_fixed_vulnerability_fail(tmp_path: Path) -> None:
    with pytest.raises(ScanError) as failed:
        report(sbom(tmp_path, LIBC, STARLETTE, "pkg:generic/python@3.11.2"))
    assert str(failed.value).splitlines() == [
        "Scanned 2 packages of 1 images; skipped 1 that OSV can't match.",
        "Vulnerabilities that a newer version fixes:",
        "  DSA-5514-1 in glibc 2.36-9 (Debian:12), fixed in 2.36-9+deb12u3",
        "  PYSEC-2023-83 in starlette 0.26.0.post1 (PyPI), fixed in 0.27.0",
    ]


def test_patched_packages_pass(tmp_path: Path) -> None:
    assert report(sbom(tmp_path, PATCHED_LIBC, "pkg:pypi/starlette@0.27.0", "pkg:pypi/starlette@0.13.4")) == [
        "Scanned 3 packages of 1 images; skipped 0 that OSV can't match.",
        "No vulnerability that a newer version fixes.",
    ]


def test_an_ignored_vulnerability_does_not_fail_but_is_listed(tmp_path: Path) -> None:
    lines = report(sbom(tmp_path, STARLETTE), SCAN_IGNORE="CVE-1, PYSEC-2023-83")
    assert lines[1].startswith("  ignored: PYSEC-2023-83 in starlette")


def test_a_vulnerability_without_a_fix_is_listed(tmp_path: Path) -> None:
    events = [{"introduced": "0"}]
    record = {"id": "OPEN-1", "affected": [affected("Debian:12", "glibc", events)]}
    (tmp_path / "osv").mkdir()
    with zipfile.ZipFile(tmp_path / "osv/all.zip", "w") as archive:
        archive.writestr("OPEN-1.json", json.dumps(record))
        archive.writestr(
            "OLD-1.json", json.dumps({**record, "id": "OLD-1", "withdrawn": "2026-01-01T00:00:00Z"})
        )
    assert report(sbom(tmp_path, LIBC), str(tmp_path / "osv"))[1:] == [
        "  OPEN-1 in glibc 2.36-9 (Debian:12), not fixed yet",
        "No vulnerability that a newer version fixes.",
    ]


@pytest.mark.parametrize(
    ("database", "error", "message"),
    [
        ("/no/such/folder", SettingError, "is neither a URL nor a folder"),
        ("http://127.0.0.1:9", ScanError, "did not answer"),
    ],
)
def test_a_missing_database_fails(
    tmp_path: Path, database: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        report(sbom(tmp_path, LIBC), database)


def test_a_folder_without_records_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ScanError, match="is a folder without records"):
        report(sbom(tmp_path, LIBC), str(tmp_path / "empty"))


def test_a_missing_sbom_fails(tmp_path: Path) -> None:
    with pytest.raises(ScanError, match="`make sbom` writes it"):
        report(tmp_path / "none.cdx.json")


class Osv(BaseHTTPRequestHandler):
    """OSV's API: each record on a page of its own."""

    def do_POST(self) -> None:
        query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        package = Package(query["package"]["ecosystem"], query["package"]["name"], query["version"])
        records = [record for _, record in Folder(RECORDED).vulnerabilities([package])]
        records += [{"id": "OPEN-1", "affected": []}] if records else []
        page = int(query.get("page_token", "0"))
        body: dict[str, Any] = {"vulns": records[page : page + 1]} if records else {}
        if page + 1 < len(records):
            body["next_page_token"] = str(page + 1)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Osv) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}/"
        http.shutdown()
        thread.join()


def test_a_server_is_asked_for_all_pages_of_each_package(tmp_path: Path, server: str) -> None:
    with pytest.raises(ScanError) as failed:
        report(sbom(tmp_path, LIBC, STARLETTE, "pkg:pypi/kopf@1.38.0"), server)
    assert [line.split()[0] for line in str(failed.value).splitlines()[1:]] == [
        "OPEN-1", "OPEN-1", "Vulnerabilities", "DSA-5514-1", "PYSEC-2023-83",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("purl", "package"),
    [
        (LIBC, Package("Debian:12", "glibc", "2.36-9")),
        ("pkg:deb/debian/zlib1g@1%3A1.2.13?distro=debian-12", Package("Debian:12", "zlib1g", "1:1.2.13")),
        (
            "pkg:deb/debian/libgcc-s1@12.2.0-14?upstream=gcc-12%4012.2.0-14+deb12u1&distro=debian-12.15",
            Package("Debian:12", "gcc-12", "12.2.0-14+deb12u1"),
        ),
        ("pkg:pypi/PyYAML@6.0.2", Package("PyPI", "pyyaml", "6.0.2")),
        ("pkg:pypi/typing_extensions@4", Package("PyPI", "typing-extensions", "4")),
        ("pkg:deb/debian/libc6@2.36-9", None),
        ("pkg:golang/example.com/a@v1.0.0", None),
    ],
)
def test_a_package_url_names_the_package_as_osv_does(purl: str, package: Package | None) -> None:
    assert Package.of(purl) == package


def test_versions_of_debian_sort_as_dpkg_sorts_them() -> None:
    order = [
        "1.0~rc1-1", "1.0-0~bpo1", "1.0-1", "1.0-1+deb12u1", "1.0-1+deb12u3", "1.0-1+deb12u14", "1.0a-1", "1.0+dfsg-1",
        "1.0.0-1", "1.2-1", "1.10-1", "1:0.9-1",
    ]  # fmt: skip
    keys = [version_key("Debian:12", version) for version in order]
    assert all(lower < higher for lower, higher in pairwise(keys))


def affected(ecosystem: str, name: str, events: list[dict[str, str]], *versions: str) -> dict[str, Any]:
    """Return an entry of a record's `affected`."""
    ranges = [{"type": "GIT", "events": [{"introduced": "0"}]}, {"type": "ECOSYSTEM", "events": events}]
    return {"package": {"ecosystem": ecosystem, "name": name}, "ranges": ranges, "versions": list(versions)}


@pytest.mark.parametrize(
    ("version", "found"),
    [
        ("1.0", False),
        ("1.1", True),
        ("1.2", False),
        ("2.0", True),
        ("2.5", True),
        ("2.6", False),
        ("3.0", True),
    ],
)
def test_a_range_may_have_several_parts(tmp_path: Path, version: str, *, found: bool) -> None:
    parts = [{"introduced": "2.0"}, {"last_affected": "2.5"}, {"introduced": "1.1"}, {"fixed": "1.2"}]
    record = {"id": "A-1", "affected": [affected("PyPI", "Some.Name", parts, "3.0")]}
    (tmp_path / "A-1.json").write_text(json.dumps(record))
    assert bool(findings(Folder(tmp_path), [Package("PyPI", "some-name", version)])) is found


def test_a_version_that_does_not_compare_counts_as_affected(tmp_path: Path) -> None:
    record = {"id": "A-1", "affected": [affected("PyPI", "a", [{"introduced": "0"}, {"fixed": "2"}])]}
    (tmp_path / "A-1.json").write_text(json.dumps(record))
    (finding,) = findings(Folder(tmp_path), [Package("PyPI", "a", "of our own")])
    assert finding.fixed is None
