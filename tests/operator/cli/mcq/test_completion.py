"""Completion offers commands, options and the names of the cluster's resources."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.operator.cli.mcq.support import PROGRAM, Cluster, Commands


@pytest.mark.parametrize(
    ("words", "completions"),
    [
        ([], ["status", "ask", "exam", "promote"]),
        (["pro"], ["promote"]),
        (["status", ""], ["demo"]),
        (["ask", "d"], ["demo"]),
        (["exam", ""], ["aqua"]),
        (["status", "--context", ""], ["test"]),
        (["status", "-n", "team", ""], []),
        (["promote", "demo", "--y"], ["--yes"]),
        (["exam", "aqua", "-o", ""], ["text", "json", "html"]),
        (["ask", "demo", "What is it?", ""], []),
        (["ask", "demo", "What isn't", ""], []),
    ],
    ids=" ".join,
)
async def test_kubectl_completes(
    commands: Commands, cluster: Cluster, words: list[str], completions: list[str]
) -> None:
    done = await commands.kubectl_complete(*words)
    assert done == (0, "".join(f"{each}\n" for each in [*completions, ":4"]), "")


async def test_without_a_cluster_there_are_no_names(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kubernetes.aio.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", "/nowhere")
    assert await commands.kubectl_complete("status", "") == (0, ":4\n", "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
async def test_each_shell_has_a_script(commands: Commands, shell: str) -> None:
    done = await commands.mcq("completion", shell)
    assert done.returncode == 0
    assert "_ARGCOMPLETE" in done.stdout


def test_bash_completes_with_the_script(tmp_path: Path) -> None:
    program = tmp_path / "mcq"
    program.write_text(f"#!{sys.executable}\n{PROGRAM}\n")
    program.chmod(0o755)
    script = (
        "source <(mcq completion bash)\n"
        'COMP_LINE="mcq ask --m" COMP_POINT=11 COMP_TYPE=9 COMP_WORDS=(mcq ask --m) COMP_CWORD=2\n'
        'IFS=$"\\n" _python_argcomplete mcq\n'
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", script],
        env={**os.environ, **path},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout.split() == ["--mode"], done.stderr
