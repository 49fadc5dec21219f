"""A backup's name is its path in the store, and the beginning of a name is enough to choose it."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from mcq_operator.cli.backup.backup_name import BackupName, choose
from mcq_operator.cli.backup.errors import MissingError

NOON = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
FIRST, SECOND, OTHER = (
    BackupName.of("team", NOON, "a" * 64),
    BackupName.of("team", NOON + timedelta(days=1), "b" * 64),
    BackupName.of("other", NOON, "c" * 64),
)


def test_a_path_has_the_time_in_utc_and_is_parsed() -> None:
    east = BackupName.of("team", NOON.astimezone(timezone(timedelta(hours=5))), "d" * 64)
    assert BackupName.parse(east.path) == east
    assert str(east) == "team/2026-11-28T12-00-00Z-dddddddd"


@pytest.mark.parametrize(
    "path",
    [
        "team/notes.txt",
        FIRST.path.removeprefix("team/"),
        "deeper/" + FIRST.path,
        FIRST.path + ".part",
        FIRST.path.replace("a" * 64, "a" * 63),
    ],
)
def test_an_object_with_another_name_is_not_a_backup(path: str) -> None:
    assert BackupName.parse(path) is None


@pytest.mark.parametrize(
    ("beginning", "chosen"),
    [
        (None, SECOND),
        ("2026-11-28", FIRST),
        ("2026", SECOND),
        ("team/", SECOND),
        (str(FIRST), FIRST),
    ],
)
def test_the_newest_backup_with_this_beginning_is_chosen(beginning: str | None, chosen: BackupName) -> None:
    assert choose([SECOND, FIRST], beginning) == chosen


def test_backups_of_several_namespaces_need_a_choice() -> None:
    with pytest.raises(MissingError, match="of other, team: choose one with --backup=other/"):
        choose([FIRST, OTHER], None)
    assert choose([FIRST, SECOND, OTHER], "team/") == SECOND


def test_a_missing_backup_is_reported() -> None:
    with pytest.raises(MissingError, match="There is no backup\\."):
        choose([], None)
    with pytest.raises(MissingError, match="begins with 2025: `backup list` shows"):
        choose([FIRST], "2025")
