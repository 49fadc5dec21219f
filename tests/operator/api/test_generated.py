"""The generated files are up to date, and the API server accepts the default kustomization and the samples."""

from pathlib import Path

import pytest
import yaml
from hack.generate import ROOT, generated, run
from tests.operator.conftest import Kubectl

from mcq_operator.api.crd import DEFINITIONS, Definition, crd
from mcq_operator.api.rbac import manifests, user_roles


def test_the_generated_files_are_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(ROOT, check=True) == 0, capsys.readouterr().out


def test_check_fails_with_a_diff_and_generate_repairs_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path, check=False)
    name = next(name for name, _ in generated() if name.startswith("crds/"))
    path = tmp_path / name
    path.write_text(path.read_text().replace("maximum: 1000", "maximum: 9"))
    capsys.readouterr()
    assert run(tmp_path, check=True) == 1
    assert "+                maximum: 1000" in capsys.readouterr().out
    run(tmp_path, check=False)
    assert run(tmp_path, check=True) == 0


def test_no_role_has_secrets_or_wildcards() -> None:
    roles = [item for item in (*manifests(), *user_roles()) if item["kind"] == "ClusterRole"]
    for rule in (rule for role in roles for rule in role["rules"]):
        assert "secrets" not in rule["resources"]
        assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda each: each.kind.kind)
def test_every_field_is_described(definition: Definition) -> None:
    def undescribed(schema: dict[str, object], path: str) -> list[str]:
        properties = schema.get("properties", {})
        assert isinstance(properties, dict)
        missing = [f"{path}.{name}" for name, item in properties.items() if "description" not in item]
        return missing + [
            line for name, item in properties.items() for line in undescribed(item, f"{path}.{name}")
        ]

    schema = crd(definition)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    parts = [part for part in ("spec", "status") if part in schema]
    assert [line for part in parts for line in undescribed(schema[part], part)] == []


def test_the_api_server_accepts_the_default_kustomization(cluster_kubectl: Kubectl) -> None:
    rendered = cluster_kubectl("kustomize", str(ROOT / "config/default"))
    kinds = [item["kind"] for item in yaml.safe_load_all(rendered)]
    assert {"CustomResourceDefinition", "ClusterRole", "Deployment", "Namespace"} <= set(kinds)
    # A dry run of the other objects needs their namespace.
    cluster_kubectl("apply", "--server-side", "-f", str(ROOT / "config/operator/namespace.yaml"))
    dry_run = cluster_kubectl.run(
        "apply", "--server-side", "--force-conflicts", "--dry-run=server", "-k", str(ROOT / "config/default")
    )
    assert dry_run.returncode == 0, dry_run.stderr
    assert "would violate PodSecurity" not in dry_run.stderr


@pytest.mark.parametrize("name", ["mcqsolver", "mcqexam", "mcqpolicy"])
def test_the_api_server_accepts_the_sample(kubectl: Kubectl, name: str) -> None:
    sample = ROOT / f"config/samples/{name}.yaml"
    text = sample.read_text().replace("  namespace: default\n", "")
    assert "created" in kubectl("create", "--dry-run=server", "-f", "-", stdin=text)
