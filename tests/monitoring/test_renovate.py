"""Renovate finds the versions that this repository pins; renovate.json says where they are."""

import json
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hack.cluster.node_image.build import KUBE_ROUTER
from hack.images import base, programs

ROOT = Path(__file__).resolve().parents[2]
CONFIG: dict[str, Any] = json.loads((ROOT / "renovate.json").read_text())
FILES = subprocess.run(
    ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
).stdout.split()


def matched(patterns: Iterable[str]) -> list[str]:
    """Return the files that match the patterns of a manager."""
    return [file for file in FILES if any(re.search(pattern[1:-1], file) for pattern in patterns)]


def found(manager: dict[str, Any]) -> list[dict[str, str]]:
    """Return what the expressions of a custom manager find in its files."""
    texts = [(ROOT / file).read_text() for file in matched(manager["managerFilePatterns"])]
    return [
        match.groupdict()
        for expression in manager["matchStrings"]
        for text in texts
        for match in re.finditer(expression.replace("(?<", "(?P<"), text)
    ]


def managers() -> list[Any]:
    built_in = [pytest.param(CONFIG[name], id=name) for name in ("kubernetes", "pip_requirements")]
    return [*built_in, *(pytest.param(each, id=each["description"]) for each in CONFIG["customManagers"])]


@pytest.mark.parametrize("manager", managers())
def test_each_pattern_matches_files(manager: dict[str, Any]) -> None:
    for pattern in manager["managerFilePatterns"]:
        assert matched([pattern])


def test_every_lock_file_is_covered() -> None:
    locks = [file for file in FILES if file.endswith(".lock")]
    assert matched(CONFIG["pip_requirements"]["managerFilePatterns"]) == locks


def test_images_in_programs_are_found() -> None:
    matches = found(CONFIG["customManagers"][0])
    images = {f"{each['depName']}:{each['currentValue']}" for each in matches}
    public, _, digest = base.PUBLIC.partition("@")
    assert images == {*programs.PROGRAMS, public, KUBE_ROUTER}
    assert digest in {each["currentDigest"] for each in matches}


def test_versions_of_prometheus_operators_resources_are_found_with_their_images() -> None:
    versions = {each["depName"]: each["currentValue"] for each in found(CONFIG["customManagers"][1])}
    stack = ROOT / "monitoring/stack"
    expected = {
        name: yaml.safe_load((stack / f"{name}.yaml").read_text())["spec"]["version"]
        for name in ("prometheus", "alertmanager")
    }
    assert versions == expected


def test_the_parts_of_a_program_are_one_update() -> None:
    """A rule groups the image and the Go module, because tests compare their versions."""
    groups: dict[str, set[str]] = {}
    modules = {
        module
        for file in matched([r"/^hack/toolchain/modules/.+/go\.mod$/"])
        for module in re.findall(r"^\t(\S+) v\S+", (ROOT / file).read_text(), re.MULTILINE)
    }
    names = [image.rpartition(":")[0] for image in programs.PROGRAMS]
    for rule in CONFIG["packageRules"]:
        for pattern in rule.get("matchPackageNames", []):
            if pattern.startswith("/"):
                members = {name for name in (*names, *modules) if re.search(pattern[1:-1], name)}
                groups[rule.get("groupName", "own")] = members
    for group, image, module in (
        ("Prometheus", programs.PROMETHEUS, "github.com/prometheus/prometheus"),
        ("Alertmanager", programs.ALERTMANAGER, "github.com/prometheus/alertmanager"),
        ("Jaeger", programs.JAEGER, "github.com/jaegertracing/jaeger"),
        ("prometheus-operator", programs.PROMETHEUS_OPERATOR, "github.com/prometheus-operator/prometheus-operator"),
        ("prometheus-adapter", programs.PROMETHEUS_ADAPTER, "sigs.k8s.io/prometheus-adapter"),
        ("KEDA", programs.KEDA, "github.com/kedacore/keda/v2"),
        ("Traefik", programs.TRAEFIK, "github.com/traefik/traefik/v3"),
    ):  # fmt: skip
        assert {image.rpartition(":")[0], module} <= groups[group]
    assert groups["own"] == set()
