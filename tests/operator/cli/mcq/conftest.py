"""The commands, without the environment's settings, and a cluster."""

import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from kubernetes.aio.config import kube_config
from tests.operator.cli.mcq.support import Cluster, Commands
from tests.operator.support import serving, write_kubeconfig


@pytest.fixture
def commands(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Commands]:
    """The programs `mcq` and `kubectl mcq`. Completion turns the process' logs off; the next test gets them back."""
    for name in "MCQ_URL", "MCQ_API_KEY_FILE", "NO_COLOR", "TERM":
        monkeypatch.delenv(name, raising=False)
    yield Commands(capsys)
    logging.disable(logging.NOTSET)


@pytest.fixture
async def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Cluster]:
    """A cluster that KUBECONFIG names."""
    played = Cluster()
    async with serving("/{path:.*}", played.handle) as url:
        write_kubeconfig(tmp_path / "kubeconfig", url)
        monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "kubeconfig"))
        yield played
