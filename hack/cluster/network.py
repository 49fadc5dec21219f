"""The bridge that pods are plugged into, and what a node leaves in the kernel: rules, sysctls, namespaces.

Before the first change the kernel settings and the chains that are somebody else's are recorded, so that
`restore` removes and resets only what this cluster brought.
"""

from __future__ import annotations

import ipaddress
import json
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hack.cluster.commands import run
from hack.cluster.errors import CommandError, MissingToolError, TakenError
from hack.cluster.instance import BRIDGE, BRIDGE_ADDRESS, POD_RANGE, SERVICE_RANGE

NETWORK_NAMESPACES = Path("/run/netns")
CNI_RESULTS = Path("/var/lib/cni/results")
CHAIN_PREFIXES = ("KUBE-", "CNI-")
TABLES = ("nat", "filter", "mangle")

# What we set (a value), and what the kubelet sets (None): both are put back by `restore`.
SYSCTLS = {
    "net/ipv4/ip_forward": "1",
    "net/bridge/bridge-nf-call-iptables": "1",
    "net/ipv4/conf/all/route_localnet": None,
    "kernel/panic": None,
    "kernel/panic_on_oops": None,
    "kernel/keys/root_maxbytes": None,
    "kernel/keys/root_maxkeys": None,
    "vm/overcommit_memory": None,
    "vm/panic_on_oom": None,
}


@dataclass(frozen=True)
class Network:
    """The pod network of one cluster, by CNI's name of it; `record` is a file of its state directory."""

    name: str
    record: Path

    def prepare(self) -> None:
        """Record what was there, set the sysctls and make the bridge; nothing if it is there."""
        if not self.record.exists():
            self._refuse_conflicts()
            before = {"sysctls": _read_sysctls(), "chains": sorted(_chains())}
            self.record.write_text(json.dumps(before))
        run(["modprobe", "br_netfilter"], check=False) if Path("/sbin/modprobe").exists() else None
        for name, value in SYSCTLS.items():
            if value:
                _write_sysctl(name, value)
        if not _link_exists(BRIDGE):
            run(["ip", "link", "add", BRIDGE, "mtu", str(outgoing_mtu()), "type", "bridge"])
            width = ipaddress.ip_network(POD_RANGE).prefixlen
            run(["ip", "address", "add", f"{BRIDGE_ADDRESS}/{width}", "dev", BRIDGE])
        run(["ip", "link", "set", BRIDGE, "up"])

    def restore(self) -> None:
        """Remove pods' network namespaces, the bridge, rules and chains; put the sysctls back."""
        if not self.record.exists():
            return
        before = json.loads(self.record.read_text())
        _remove_pods(self.name)
        if _link_exists(BRIDGE):
            run(["ip", "link", "delete", BRIDGE])
        foreign = {tuple(chain) for chain in before["chains"]}
        _remove_chains(_chains() - foreign)
        for name, value in before["sysctls"].items():
            _write_sysctl(name, value)
        self.record.unlink()

    def _refuse_conflicts(self) -> None:
        if _link_exists(BRIDGE):
            message = f"The network link {BRIDGE} is there and not this cluster's: another one of ours is up?"
            raise TakenError(message)
        for route in json.loads(run(["ip", "-4", "-json", "route", "show"]) or "[]"):
            if route["dst"] == "default":
                continue
            for ours in (POD_RANGE, SERVICE_RANGE):
                if ipaddress.ip_network(ours).overlaps(ipaddress.ip_network(route["dst"])):
                    message = (
                        f"The address range {ours} is in use here: {route['dst']} dev {route.get('dev')}"
                    )
                    raise TakenError(message)
        if any(chain.startswith("KUBE-SERVICES") for _, _, chain in _chains()):
            message = (
                "Another Kubernetes keeps its rules (KUBE-SERVICES) in this machine's iptables: stop it, or "
                "use it with CLUSTER=current. If they are a leftover, `kube-proxy --cleanup` removes them."
            )
            raise TakenError(message)


def outgoing_mtu() -> int:
    """The MTU of the link that the default route leaves by: a larger one on the bridge loses packets."""
    routes = json.loads(run(["ip", "-4", "-json", "route", "show", "default"]) or "[]")
    if not routes:
        return 1500
    links = json.loads(run(["ip", "-json", "link", "show", "dev", routes[0]["dev"]]))
    mtu: int = links[0]["mtu"]
    return min(mtu, 1500)


def _cni_results(network: str) -> dict[Path, str]:
    """{what CNI remembers of a pod: the pod's network namespace} of the network's pods."""
    pattern = re.compile(rf"{re.escape(network)}-([0-9a-f]+)-eth0")
    found = {}
    for path in CNI_RESULTS.glob("*-eth0"):
        if pattern.fullmatch(path.name):
            interfaces = json.loads(path.read_text())["result"].get("interfaces", [])
            namespaces = [Path(each["sandbox"]).name for each in interfaces if each.get("sandbox")]
            found[path] = namespaces[0] if namespaces else ""
    return found


def _remove_pods(network: str) -> None:
    """Delete the pods' network namespaces and what CNI remembers of them, that of the loopback too."""
    for path, namespace in _cni_results(network).items():
        if namespace:
            run(["ip", "netns", "delete", namespace], check=False)
        container = path.name.removeprefix(f"{network}-").removesuffix("-eth0")
        for result in CNI_RESULTS.glob(f"*-{container}-*"):
            result.unlink()
    for directory in (CNI_RESULTS, CNI_RESULTS.parent, NETWORK_NAMESPACES):
        with suppress(OSError):  # not there, or not empty: in another's use
            directory.rmdir()


def _link_exists(name: str) -> bool:
    return bool(run(["ip", "-json", "link", "show", "dev", name], check=False).strip())


def _iptables() -> list[str]:
    """IPv4's, and IPv6's where the kernel has it: kube-proxy keeps chains in both."""
    commands = ["iptables"]
    with suppress(CommandError, MissingToolError):
        run(["ip6tables", "--table", "filter", "--list-rules"])
        commands.append("ip6tables")
    return commands


def _chains() -> set[tuple[str, str, str]]:
    """(iptables or ip6tables, table, chain) of every chain with a prefix of kube-proxy, kubelet or CNI."""
    return {
        (command, table, words[1])
        for command in _iptables()
        for table in TABLES
        for line in run([command, "--wait", "--table", table, "--list-rules"], check=False).splitlines()
        if (words := line.split())[0] == "-N" and words[1].startswith(CHAIN_PREFIXES)
    }


def _remove_chains(chains: set[tuple[str, str, str]]) -> None:
    """Delete the rules that jump to the chains, then the chains: one transaction a table."""
    for command, table in sorted({chain[:2] for chain in chains}):
        doomed = {chain for owner, where, chain in chains if (owner, where) == (command, table)}
        script = [f"*{table}"]
        for line in run([command, "--wait", "--table", table, "--list-rules"]).splitlines():
            operation, chain, *rest = line.split()
            jumps = bool(
                doomed.intersection(rest[rest.index(flag) + 1] for flag in ("-j", "-g") if flag in rest)
            )
            if operation == "-A" and chain not in doomed and jumps:
                script.append(line.replace("-A", "-D", 1))
        script += [f"-F {chain}" for chain in sorted(doomed)] + [f"-X {chain}" for chain in sorted(doomed)]
        run([f"{command}-restore", "--wait", "--noflush"], stdin="\n".join([*script, "COMMIT", ""]))


def _read_sysctls() -> dict[str, str]:
    paths = {name: Path("/proc/sys") / name for name in SYSCTLS}
    return {name: path.read_text().strip() for name, path in paths.items() if path.exists()}


def _write_sysctl(name: str, value: str) -> None:
    path = Path("/proc/sys") / name
    if path.exists() and path.read_text().strip() != value:
        path.write_text(value)
