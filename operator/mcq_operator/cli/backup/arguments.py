"""The arguments of the commands `backup` and `restore`, for the operator's command line."""

import argparse
import re

_PLACES = "s3://BUCKET/PREFIX, by the usual AWS_* variables; file:///DIRECTORY; or a directory"


def add_parsers(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands to the parser."""
    backup = commands.add_parser("backup", help="back a namespace up, or list backups")
    of_backup = backup.add_subparsers(dest="backup_command", metavar="COMMAND", required=True)
    creating = of_backup.add_parser("create", help="back up a namespace's MCQSolvers, MCQExams and reports")
    creating.add_argument("-n", "--namespace", dest="of_namespace", default="default", help="(%(default)s)")
    creating.add_argument("--to", required=True, metavar="URL", help=_PLACES)
    creating.add_argument("--keep", type=_count, metavar="N", help="delete all but the last N good ones")
    listing = of_backup.add_parser("list", help="list backups, each read whole and verified")
    listing.add_argument("--from", dest="source", required=True, metavar="URL", help=_PLACES)
    listing.add_argument("-n", "--namespace", dest="of_namespace", help="of this namespace only")
    restoring = commands.add_parser("restore", help="make again what a backup has and the cluster lacks")
    restoring.add_argument("--from", dest="source", required=True, metavar="URL", help=_PLACES)
    restoring.add_argument(
        "--backup", metavar="NAME", help="as `backup list` shows it, or how that begins; the newest"
    )
    restoring.add_argument(
        "-n", "--namespace", dest="of_namespace", help="into this one; the one that was backed up"
    )
    restoring.add_argument("--overwrite", action="store_true", help="also what is there, and other")
    restoring.add_argument("--dry-run", action="store_true", help="only say what would be done")
    restoring.add_argument(
        "--digest", type=_checksum, metavar="sha256:HEX", help="of the backup, as `backup create` printed it"
    )
    restoring.add_argument(
        "--trust-store", action="store_true", help="restore without --digest what the store has"
    )


def _checksum(text: str) -> str:
    if re.fullmatch(r"sha256:[0-9a-f]{64}", text) is None:
        message = "sha256: and 64 hexadecimal digits, as `backup create` printed it"
        raise argparse.ArgumentTypeError(message)
    return text


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        message = f"at least 1, not {number}"
        raise argparse.ArgumentTypeError(message)
    return number
