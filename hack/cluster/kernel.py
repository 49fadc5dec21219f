"""What a cluster leaves in the kernel besides links: rules, chains and sysctls.

Before the first change the settings and the chains that are somebody else's are recorded, so that `restore` removes
and resets only what this cluster brought.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hack.cluster.commands import run
from hack.cluster.errors import CommandError, MissingToolError, TakenError
from hack.cluster.instance import POD_RANGE, SERVICE_RANGE

MASQUERADE, NOWHERE = "MCQ-MASQUERADE", "MCQ-NOWHERE"
CHAIN_PREFIXES = ("KUBE-", "CNI-", MASQUERADE, NOWHERE)
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
class Kernel:
    """The kernel's settings, for one cluster; `record` is a file of its state directory."""

    record: Path

    @property
    def prepared(self) -> bool:
        """Whether something may have been changed."""
        return self.record.exists()

    def prepare(self) -> None:
        """Record what was there; set the sysctls, and what pods are to the world outside."""
        if not self.prepared:
            _refuse_another_kubernetes()
            before = {"sysctls": _read_sysctls(), "chains": sorted(_chains())}
            self.record.write_text(json.dumps(before))
        run(["modprobe", "br_netfilter"], check=False) if Path("/sbin/modprobe").exists() else None
        for name, value in SYSCTLS.items():
            if value:
                _write_sysctl(name, value)
        if ("iptables", "nat", MASQUERADE) not in _chains():
            _add_rules()

    def restore(self) -> None:
        """Remove rules and chains; put the sysctls back."""
        if not self.prepared:
            return
        before = json.loads(self.record.read_text())
        foreign = {tuple(chain) for chain in before["chains"]}
        _remove_chains(_chains() - foreign)
        for name, value in before["sysctls"].items():
            _write_sysctl(name, value)
        self.record.unlink()


def _refuse_another_kubernetes() -> None:
    if any(chain.startswith("KUBE-SERVICES") for _, _, chain in _chains()):
        message = (
            "Another Kubernetes keeps its rules (KUBE-SERVICES) in this machine's iptables: stop it, or "
            "use it with CLUSTER=current. If they are a leftover, `kube-proxy --cleanup` removes them."
        )
        raise TakenError(message)


def _add_rules() -> None:
    """Pods have the machine's address outside, and their own among themselves, on whichever node.

    A Service's address that kube-proxy has not made lead anywhere, or not yet, is refused: by the default route it
    would leave the machine, and whoever answers there would be taken for the Service as long as the connection lasts.
    """
    script = [
        "*nat",
        f":{MASQUERADE} - [0:0]",
        f"-A {MASQUERADE} ! -d {POD_RANGE} -j MASQUERADE",
        f"-A POSTROUTING -s {POD_RANGE} -j {MASQUERADE}",
        "COMMIT",
        "*filter",
        f":{NOWHERE} - [0:0]",
        f"-A {NOWHERE} -j REJECT",
        *(f"-A {chain} -d {SERVICE_RANGE} -j {NOWHERE}" for chain in ("OUTPUT", "FORWARD")),
        "COMMIT",
        "",
    ]
    run(["iptables-restore", "--wait", "--noflush"], stdin="\n".join(script))


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
