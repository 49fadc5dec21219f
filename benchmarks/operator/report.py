"""The figures as a table: measurement, median of the runs, spread, and limit."""

from __future__ import annotations

from statistics import median
from typing import Any

# Row title, path of the figure, and its limit.
ROWS: list[tuple[str, str, float | None]] = [
    ("one solver: s to its last child, median", "one.median", 1),
    ("one solver: s to its last child, highest", "one.highest", None),
    ("all at once: s to all children", "many.children_seconds", 20),
    ("all at once: s until settled", "many.settled_seconds", None),
    ("all at once: failed reconciles", "many.failed_reconciles", 0),
    ("all at once: reconciles", "many.reconciles", None),
    ("CPU s until all children: operator", "many.cpu_seconds_until_children.operator", None),
    ("CPU s until all children: API server", "many.cpu_seconds_until_children.kube-apiserver", None),
    ("CPU s until all children: etcd", "many.cpu_seconds_until_children.etcd", None),
    (
        "CPU s until all children: controllers",
        "many.cpu_seconds_until_children.kube-controller-manager",
        None,
    ),
    ("CPU s until settled: operator", "many.operator_cpu_seconds_until_settled", None),
    ("memory: MiB PSS, peak", "many.memory_peak_mib.pss", 300),
    ("memory: MiB RSS, peak", "many.memory_peak_mib.rss_peak", None),
    ("memory: MiB PSS, settled", "ready.memory_settled_mib.pss", 300),
    ("restart: s until settled", "restart.settled_seconds", None),
    ("restart: writes", "restart.writes", 0),
    ("restart: MiB PSS, peak", "restart.memory_peak_mib.pss", 300),
    ("repair of a deleted Service: s, median", "drift.service_deleted.median", 2),
    ("repair of a deleted Service: s, highest", "drift.service_deleted.highest", None),
    ("repair of a changed Deployment: s, median", "drift.deployment_changed.median", 2),
    ("repair of a changed Deployment: s, highest", "drift.deployment_changed.highest", None),
    ("idle: cores", "idle.cores", 0.02),
    ("reference: applies/s of a bare client", "reference.applies_per_second", None),
    ("reference: API server's CPU ms an apply", "reference.cpu_ms_per_apply.kube-apiserver", None),
]

PEER_ROWS: list[tuple[str, str]] = [
    ("one: s to its last object, median", "one.median"),
    ("all at once: s to all objects", "many.objects_seconds"),
    ("all at once: objects", "many.objects"),
    ("CPU s until all objects: operator", "many.cpu_seconds_until_objects.operator"),
    ("CPU s until all objects: API server", "many.cpu_seconds_until_objects.kube-apiserver"),
    ("CPU s until all objects: etcd", "many.cpu_seconds_until_objects.etcd"),
    ("CPU s until all objects: controllers", "many.cpu_seconds_until_objects.kube-controller-manager"),
    ("memory: MiB PSS, at the end", "many.memory_mib.pss"),
    ("memory: MiB RSS, peak", "many.memory_mib.rss_peak"),
]


def table(results: dict[str, Any]) -> str:
    """Return the results as text."""
    machine = results["machine"]
    lines = [
        f"{machine['cpu']}, {machine['cpus']} CPUs, load {machine['load']:.1f} before the end;"
        f" {results['solvers']} solvers of {results['replicas']} replicas; runs: {len(results['runs'])}",
        f"{'':46} {'median':>10} {'spread':>21} {'limit':>8}",
    ]
    for title, path, most in ROWS:
        values = [float(_at(run, path)) for run in results["runs"]]
        limit = "" if most is None else f"<= {most:g}"
        bounds = f"{min(values):.3f}-{max(values):.3f}"
        lines.append(f"{title:46} {median(values):>10.3f} {bounds:>21} {limit:>8}")
    for setting in results["runs"][0]["kuberay"]:
        lines.append(f"KubeRay, {setting}, as many RayClusters")
        for title, path in PEER_ROWS:
            values = [float(_at(run["kuberay"][setting], path)) for run in results["runs"]]
            lines.append(f"  {title:44} {median(values):>10.3f} {min(values):.3f}-{max(values):.3f}")
    requests = results["runs"][-1]["many"]["requests"]
    lines.append("requests sent for all at once: " + ", ".join(f"{k} {v:.0f}" for k, v in requests.items()))
    return "\n".join(lines)


def rounded(figures: Any) -> Any:
    """Return the figures rounded to three decimals."""
    if isinstance(figures, dict):
        return {name: rounded(value) for name, value in figures.items()}
    return round(figures, 3) if isinstance(figures, float) else figures


def _at(figures: Any, path: str) -> Any:
    for name in path.split("."):
        figures = figures[name]
    return figures
