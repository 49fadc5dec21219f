"""The operator's start while the API server is away."""

from typing import cast

import pytest

from mcq_operator import __main__ as program
from mcq_operator.kube import Cluster, UnavailableError
from mcq_operator.models import SolverKey


class Away:
    """A cluster that answers from the third try on."""

    def __init__(self) -> None:
        self.tries = 0

    async def keys(self) -> list[SolverKey]:
        self.tries += 1
        if self.tries < 3:
            raise UnavailableError("503")
        return []


async def test_an_operator_waits_for_the_api_server_instead_of_ending(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(program, "REACH_SECONDS", 0.0)
    cluster = Away()
    await program.reached(cast("Cluster", cluster))
    assert cluster.tries == 3
    assert [record.message for record in caplog.records] == ["not started yet, next try in 0 s: 503"] * 2
