"""The arguments of the commands `backup` and `restore`, for the operator's command line."""

import argparse
import re

_PLACES = (
    "s3://BUCKET/PREFIX, with credentials from the usual AWS_* variables; file:///DIRECTORY; or a directory"
)


def add_parsers(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands to the parser."""
    backup = commands.add_parser("backup", help="back up a namespace, or list backups")
    backup_commands = backup.add_subparsers(dest="backup_command", metavar="COMMAND", required=True)
    create_parser = backup_commands.add_parser(
        "create", help="back up a namespace's MCQSolvers, MCQExams and reports"
    )
    create_parser.add_argument(
        "-n", "--namespace", dest="of_namespace", default="default", help="the namespace (%(default)s)"
    )
    create_parser.add_argument("--to", required=True, metavar="URL", help=_PLACES)
    create_parser.add_argument(
        "--keep", type=_count, metavar="N", help="keep the last N good backups, delete the others"
    )
    list_parser = backup_commands.add_parser("list", help="read, verify and list backups")
    list_parser.add_argument("--from", dest="source", required=True, metavar="URL", help=_PLACES)
    list_parser.add_argument("-n", "--namespace", dest="of_namespace", help="only this namespace's backups")
    restore_parser = commands.add_parser(
        "restore", help="create the objects of a backup that the cluster lacks"
    )
    restore_parser.add_argument("--from", dest="source", required=True, metavar="URL", help=_PLACES)
    restore_parser.add_argument(
        "--backup",
        metavar="NAME",
        help="a name that `backup list` shows, or its beginning (default: the newest backup)",
    )
    restore_parser.add_argument(
        "-n",
        "--namespace",
        dest="of_namespace",
        help="the namespace to restore into (default: the backup's)",
    )
    restore_parser.add_argument("--overwrite", action="store_true", help="also overwrite objects that differ")
    restore_parser.add_argument(
        "--dry-run", action="store_true", help="change nothing, only print the changes"
    )
    restore_parser.add_argument(
        "--digest",
        type=_checksum,
        metavar="sha256:HEX",
        help="the backup's digest, as `backup create` printed it",
    )
    restore_parser.add_argument(
        "--trust-store", action="store_true", help="restore without --digest, whoever wrote the backup"
    )


def _checksum(text: str) -> str:
    if re.fullmatch(r"sha256:[0-9a-f]{64}", text) is None:
        message = "give sha256: and 64 hexadecimal digits, as `backup create` printed it"
        raise argparse.ArgumentTypeError(message)
    return text


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        message = f"give at least 1, not {number}"
        raise argparse.ArgumentTypeError(message)
    return number
