"""Test the service against its own OpenAPI document with schemathesis; collecting the tests creates the apps."""

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hack.settings import flag
from schemathesis.config import SchemathesisConfig
from tests.service.examples import examples
from tests.service.fakes import Replica
from tests.service.local import small_tokenizer
from tests.service.scripted import ScriptedEngine

from mcq_service.api import app
from mcq_service.runtime.api_keys import ApiKeys
from mcq_service.scheduler import LocalTextEngine, Scheduler

KEY = "0123456789abcdef0123456789abcdef"
REFUSED = ["4xx"]
CHECKS = {
    "negative_data_rejection": {"expected-statuses": REFUSED},
    # No schema can express these rules: choices differ in more than trailing white space and are not blank,
    # prompts fit the context, and the model is the served one.
    "positive_data_acceptance": {"expected-statuses": ["2xx", "400", "404", "413", "422"]},
}
NOT_READY = {
    "negative_data_rejection": {"expected-statuses": [*REFUSED, "503"]},
    "positive_data_acceptance": {"expected-statuses": ["2xx", "400", "404", "413", "422", "503"]},
    "not_a_server_error": {"expected-statuses": ["2xx", "4xx", "503"]},
}


def loaded() -> Replica:
    """Return a loaded app with a scripted engine that writes what it counts."""
    with tempfile.TemporaryDirectory() as directory:
        tokenizer = small_tokenizer(Path(directory))
    engine = ScriptedEngine(
        context_length=2048, vocabulary=tokenizer.vocabulary, best=tokenizer.label_tokens["B"]
    )
    replica = Replica(texts=LocalTextEngine(Scheduler(engine), tokenizer))
    replica.load()
    return replica


def keyed() -> FastAPI:
    replica = loaded()
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "tester").write_text(KEY)
        keys = ApiKeys(Path(directory), clock=lambda: 0.0)
    return app.build(replica.lifecycle, metrics=replica.metrics, tracing=replica.tracing, keys=keys)


def document(served: FastAPI, **checks: dict[str, list[str]]) -> schemathesis.BaseSchema:
    seed = {} if flag(os.environ, "SLOW") else {"seed": 1}
    config = SchemathesisConfig.from_dict({**seed, "checks": {**CHECKS, **checks}})
    return schemathesis.openapi.from_asgi("/openapi.json", served, config=config)


OPEN, KEYED, LOADING = document(loaded().app), document(keyed()), document(Replica().app, **NOT_READY)
bounded = examples(15)


@OPEN.parametrize()
@bounded
def test_every_operation_matches_the_document(case: schemathesis.Case[Any]) -> None:
    """For any input, statuses, media types, headers and bodies are documented, and no response is a 500."""
    case.call_and_validate()


@KEYED.parametrize()
@bounded
def test_every_operation_matches_the_document_with_keys(case: schemathesis.Case[Any]) -> None:
    """Without the key every operation refuses."""
    case.call_and_validate(headers={"Authorization": f"Bearer {KEY}"})


@LOADING.parametrize()
@bounded
def test_every_operation_matches_the_document_before_the_model_is_loaded(
    case: schemathesis.Case[Any],
) -> None:
    """A refusal is documented like an answer and is not a 500."""
    case.call_and_validate()


@pytest.mark.parametrize("schema", [OPEN, KEYED, LOADING], ids=["open", "keyed", "loading"])
def test_the_document_is_valid_openapi(schema: schemathesis.BaseSchema) -> None:
    """OpenAPI's own schema validates the document."""
    schema.validate()
