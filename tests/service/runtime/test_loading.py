"""Loading the model or connecting to a remote engine at the start."""

import asyncio
from pathlib import Path

import pytest
from pydantic import ValidationError
from starlette.responses import JSONResponse
from tests.service.fakes import ANSWER, QUESTION, Replica, until
from tests.service.model_store import tiny
from tests.service.upstream import Upstream, failing, scored, served

from mcq_service.engine import JSONGrammars
from mcq_service.engine.errors import EngineMismatch, EngineRefused
from mcq_service.model_store import PrecisionChoice
from mcq_service.model_store.precision import best_float
from mcq_service.runtime import builder, lifecycle, loading
from mcq_service.runtime.builder import precision_for
from mcq_service.runtime.lifecycle import Status
from mcq_service.runtime.loading import load
from mcq_service.runtime.settings import EngineChoice, Settings


def remote(url: str) -> Settings:
    return Settings(engine="openai", openai_endpoint=url, default_mode="answer")


async def test_an_engine_that_starts_later_is_waited_for(
    replica: Replica, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """/startupz reports the wait, and the log has it once; then the engine answers questions."""
    monkeypatch.setattr(loading, "WAIT_SECONDS", 0.05)
    caplog.set_level("INFO", lifecycle.__name__)
    upstream = Upstream(replies=[lambda: failing(503), lambda: failing(503), scored])
    async with served(upstream), replica.client() as client:
        work = asyncio.create_task(
            load(remote(upstream.url), replica.lifecycle, metrics=replica.metrics, tracing=replica.tracing)
        )
        await until(lambda: "Waiting for the engine" in replica.lifecycle.detail)
        await work
        assert replica.lifecycle.status is Status.READY
        answer = (await client.post(ANSWER, json=QUESTION)).json()
        assert (answer["model"], answer["answer"]["label"]) == ("m", "B")
        metrics = (await client.get("/metrics")).text
        assert f'engine="openai ({upstream.url})"' in metrics
        assert replica.lifecycle.backend
        await replica.lifecycle.backend.stop()
    steps = [
        each.getMessage().partition(":")[0] for each in caplog.records if each.name == lifecycle.__name__
    ]
    assert steps == ["loading", "loading", "warming", "ready"]


async def test_an_unusable_engine_is_not_waited_for(replica: Replica) -> None:
    """The replica exits with the reason."""
    upstream = Upstream(replies=[lambda: JSONResponse({"choices": [{"text": "x"}]})])
    async with served(upstream):
        with pytest.raises(EngineRefused, match="gives no log-probabilities"):
            await load(
                remote(upstream.url), replica.lifecycle, metrics=replica.metrics, tracing=replica.tracing
            )


async def test_a_replica_analyses_its_vocabulary_before_it_is_ready(
    tmp_path: Path, replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or the first schema of a chat would stop all answers for a second or two. If it fails, the rest works."""
    seen: list[Status] = []

    def fail(self: JSONGrammars) -> None:
        seen.append(replica.lifecycle.status)
        raise ValueError("an unknown tokenizer")

    monkeypatch.setattr(JSONGrammars, "prepare", fail)
    tiny.make_answering(tmp_path / "source")
    settings = Settings(
        model_uri=f"file://{tmp_path}/source", model_cache=tmp_path / "cache", model_precision="float32"
    )
    await load(settings, replica.lifecycle, metrics=replica.metrics, tracing=replica.tracing)
    assert replica.lifecycle.backend
    await replica.lifecycle.backend.stop()
    assert seen == [Status.LOADING]


@pytest.mark.parametrize("verify", [True, False])
async def test_a_start_verifies_the_prepared_model_unless_disabled(tmp_path: Path, *, verify: bool) -> None:
    """A flipped bit changes no size, and the damaged model is prepared again."""
    tiny.make_answering(tmp_path / "source")
    settings = Settings(
        model_uri=f"file://{tmp_path}/source",
        model_cache=tmp_path / "cache",
        model_precision="float32",
        model_verify=verify,
    )

    async def weights() -> Path:
        replica = Replica()
        await load(settings, replica.lifecycle, metrics=replica.metrics, tracing=replica.tracing)
        assert replica.lifecycle.backend
        await replica.lifecycle.backend.stop()
        [path] = (tmp_path / "cache").glob("*/model.safetensors")
        return path

    path = await weights()
    good = path.read_bytes()
    path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    assert ((await weights()).read_bytes() == good) is verify


def test_the_remote_engine_needs_an_address() -> None:
    """The error at the start names the setting."""
    with pytest.raises(ValidationError, match="MCQ_ENGINE=openai needs the address of a server"):
        Settings(engine="openai")
    with pytest.raises(ValidationError, match="openai_endpoint"):
        Settings(engine="openai", openai_endpoint="ftp://x")
    assert Settings(openai_endpoint="").openai_endpoint is None


@pytest.mark.parametrize(
    ("engine", "configured", "prepared"),
    [
        ("auto", "auto", "auto"),
        ("auto", "bfloat16", "bfloat16"),
        ("cpu", "auto", "int8"),
        ("cpu", "int8", "int8"),
        ("transformers", "auto", best_float()),
        ("transformers", "float32", "float32"),
    ],
)
def test_weights_are_prepared_for_the_configured_engine(
    engine: EngineChoice, configured: PrecisionChoice, prepared: PrecisionChoice
) -> None:
    """The engine decides unless a precision is configured."""
    assert precision_for(Settings(engine=engine, model_precision=configured)) == prepared


def test_without_torch_models_are_int8_and_the_refusal_of_floats_names_the_image_with_torch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The refusal comes before any download."""
    monkeypatch.setattr(builder, "has_torch", lambda: False)
    assert precision_for(Settings()) == "int8"
    for refused in (Settings(model_precision="bfloat16"), Settings(engine="transformers")):
        with pytest.raises(EngineMismatch, match="mcq-service-torch"):
            precision_for(refused)


@pytest.mark.parametrize(("engine", "precision"), [("cpu", "float32"), ("transformers", "int8")])
def test_an_engine_and_a_precision_that_do_not_fit_are_refused(
    engine: EngineChoice, precision: PrecisionChoice
) -> None:
    """The error names both settings."""
    with pytest.raises(EngineMismatch, match=f"MCQ_ENGINE={engine}.*MCQ_MODEL_PRECISION={precision}"):
        precision_for(Settings(engine=engine, model_precision=precision))
