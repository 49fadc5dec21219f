"""The command line: what is asked for on stdout, everything else on stderr."""

from __future__ import annotations

import argparse
import os
import sys
import time

from hack.cluster.errors import ClusterError, ProviderError
from hack.cluster.local import Local
from hack.cluster.progress import Progress
from hack.cluster.providers import Provider, choose
from hack.images.builder import ImageError


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    options = _parser().parse_args(arguments)
    progress = Progress(quiet=options.command in ("kubeconfig", "kubectl"))
    try:
        provider = choose(progress, control_plane_only=options.control_plane_only, name=options.name)
        return _run(options, provider, progress)
    except (ClusterError, ImageError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted; `down` removes what was started.", file=sys.stderr)
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
        case "load":
            print(provider.load(options.image))
        case "node":
            _node(options.action, provider, progress)
        case "kubeconfig":
            print(provider.kubeconfig())
        case "kubectl":
            kubectl = str(provider.kubectl())
            environment = {**os.environ, "KUBECONFIG": str(provider.kubeconfig())}
            os.execve(kubectl, [kubectl, *options.arguments], environment)  # noqa: S606
    return 0


def _node(action: str, provider: Provider, progress: Progress) -> None:
    if not isinstance(provider, Local):
        raise ProviderError("Only the local cluster can be given a second node, and lose it again.")
    if action == "add":
        node = provider.add_node()
        progress.say(f"The node {node.name} is Ready, as if it had this machine for itself.")
    else:
        provider.remove_node()
        progress.say("The cluster has one node.")


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--name", help="another local cluster than the default one (or MCQ_CLUSTER_NAME)")
    common.add_argument(
        "--control-plane-only", action="store_true",
        help="etcd, API server and controllers without a node, beside any other cluster; needs no root",
    )  # fmt: skip
    parser = argparse.ArgumentParser(
        prog="hack/cluster/cluster",
        description="A Kubernetes on this machine. CLUSTER=local|kind|current picks it.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", parents=[common], help="start it; again: start what does not run")
    commands.add_parser(
        "down", parents=[common], help="take it away; images, volumes and logs stay in the cache"
    )
    commands.add_parser("status", parents=[common], help="show it; exit code 1 if a part does not run")
    node = commands.add_parser(
        "node", parents=[common], help="add a second node on this machine, or remove it"
    )
    node.add_argument("action", choices=("add", "remove"))
    load = commands.add_parser(
        "load", parents=[common], help="push a local image, print the reference to use"
    )
    load.add_argument("image")
    commands.add_parser("kubeconfig", parents=[common], help="print the path of its kubeconfig")
    kubectl = commands.add_parser("kubectl", parents=[common], help="run kubectl against it")
    kubectl.add_argument("arguments", nargs=argparse.REMAINDER)
    return parser
