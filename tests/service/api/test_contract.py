"""The service against its own OpenAPI document, by schemathesis; the apps are made when the tests are collected."""

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
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
    # Choices must differ in more than trailing white space, and none be blank; prompts must fit, and a model be the
    # one that is served: which no schema can say.
    "positive_data_acceptance": {"expected-statuses": ["2xx", "400", "404", "413", "422"]},
}
NOT_READY = {
    "negative_data_rejection": {"expected-statuses": [*REFUSED, "503"]},
    "positive_data_acceptance": {"expected-statuses": ["2xx", "400", "404", "413", "422", "503"]},
    "not_a_server_error": {"expected-statuses": ["2xx", "4xx", "503"]},
}


def loaded() -> Replica:
    """With a scripted engine, which writes what it counts."""
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
    seed = None if os.environ.get("SLOW") else 1
    config = SchemathesisConfig.from_dict({"seed": seed, "checks": {**CHECKS, **checks}})
    return schemathesis.openapi.from_asgi("/openapi.json", served, config=config)


OPEN, KEYED, LOADING = document(loaded().app), document(keyed()), document(Replica().app, **NOT_READY)
bounded = examples(15)


@OPEN.parametrize()
@bounded
def test_every_operation_does_what_the_document_says(case: schemathesis.Case[Any]) -> None:
    """Whatever is sent: statuses, media types, headers and bodies are documented, and nothing is a 500."""
    case.call_and_validate()


@KEYED.parametrize()
@bounded
def test_with_keys_it_does_so_too(case: schemathesis.Case[Any]) -> None:
    """And without the key nothing is to be had."""
    case.call_and_validate(headers={"Authorization": f"Bearer {KEY}"})


@LOADING.parametrize()
@bounded
def test_before_the_model_is_there_it_does_so_too(case: schemathesis.Case[Any]) -> None:
    """A refusal is as documented as an answer, and it is no 500."""
    case.call_and_validate()


@pytest.mark.parametrize("schema", [OPEN, KEYED, LOADING], ids=["open", "keyed", "loading"])
def test_the_document_is_valid_openapi(schema: schemathesis.BaseSchema) -> None:
    """By OpenAPI's own schema."""
    schema.validate()
