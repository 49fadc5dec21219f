"""The template of the Krew manifest fits the plugin, and can't be taken for a published one."""

import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[4]
KREW = ROOT / "hack/krew"


def test_the_manifest_names_the_launcher_of_an_installed_script() -> None:
    manifest = yaml.safe_load((KREW / "mcq.yaml").read_text())
    [platform] = manifest["spec"]["platforms"]
    assert (manifest["kind"], manifest["metadata"]["name"]) == ("Plugin", "mcq")
    launcher = KREW / platform["bin"]
    assert launcher.stat().st_mode & 0o111
    assert launcher.read_text().rstrip().endswith(f'{platform["bin"]} "$@"')
    project = tomllib.loads((ROOT / "operator/pyproject.toml").read_text())
    assert platform["bin"] in project["project"]["scripts"]


def test_the_package_script_fills_in_every_placeholder() -> None:
    manifest = yaml.safe_load((KREW / "mcq.yaml").read_text())
    [platform] = manifest["spec"]["platforms"]
    placeholders = [manifest["spec"]["version"], platform["uri"], platform["sha256"]]
    assert placeholders == ["VERSION", "URL", "SHA256"]
    script = (KREW / "package").read_text()
    assert all(f": {each}$|" in script for each in placeholders)
