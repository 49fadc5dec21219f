"""The command line. Results go to stdout, everything else to stderr."""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING

from hack.cluster.providers import choose
from hack.images.docker import ImageError
from hack.kubectl import KubectlError
from hack.toolchain.errors import ToolError
from hack.toolchain.progress import Progress

if TYPE_CHECKING:
    from hack.cluster.providers import Provider


def main() -> int:
    """Run one command; return the exit code."""
    options = _parser().parse_args()
    progress = Progress(quiet=options.command == "kubeconfig")
    try:
        return _run(options, choose(progress), progress)
    except (ToolError, ImageError, KubectlError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted; `down` removes the started parts.", file=sys.stderr)
        return 130


def _run(options: argparse.Namespace, provider: Provider, progress: Progress) -> int:
    started = time.monotonic()
    match options.command:
        case "up":
            provider.up()
            progress.say(f"Up after {time.monotonic() - started:.1f} s. kubeconfig: {provider.kubeconfig()}")
        case "down":
            provider.down()
            progress.say(f"Down after {time.monotonic() - started:.1f} s.")
        case "status":
            return 0 if provider.status() else 1
        case "kubeconfig":
            print(provider.kubeconfig())
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hack/cluster/cluster",
        description="A local Kubernetes by kind, or kubectl's current context with CLUSTER=current. NODES=3 gives"
        " kind three nodes, KUBERNETES=1.37 another version, IP_FAMILY=ipv6 or dual other addresses.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="start it; run again, it starts only what is missing")
    commands.add_parser("down", help="remove it; images and volumes stay in the cache")
    commands.add_parser("status", help="show it; exit code 1 if it is down")
    commands.add_parser("kubeconfig", help="print the path of its kubeconfig")
    return parser
