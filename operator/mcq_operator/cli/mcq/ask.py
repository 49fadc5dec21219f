"""`mcq ask` and `kubectl mcq ask`: ask one question."""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import aiohttp

from mcq_operator.cli.terminal import write_json

from . import answer_stream
from .answer_stream import Answer, ProblemError
from .answer_view import write_answer
from .api_key import read_key
from .connection import connected, namespace_of
from .errors import CommandError

ABSTAINED = 3


def run(arguments: argparse.Namespace) -> int:
    """Ask the question and print the answer. Raises CommandError."""
    question: dict[str, Any] = {
        "question": _standard_input() if arguments.question == "-" else arguments.question,
        "choices": arguments.choices,
        "stream": True,
    }
    if arguments.mode:
        question["mode"] = arguments.mode
    return asyncio.run(_ask(arguments, question))


def _standard_input() -> str:
    try:
        return sys.stdin.read()
    except UnicodeDecodeError as error:
        message = f"can't read the question: {error}"
        raise CommandError(message) from error


async def _ask(arguments: argparse.Namespace, question: dict[str, Any]) -> int:
    async with _response(arguments, question) as response:
        events = answer_stream.events(response)
        if arguments.output == "json":
            answers = [event async for event in events if isinstance(event, Answer)]
            answer = answers[-1]
            write_json(answer.raw)
        else:
            answer = await write_answer(events, question["choices"])
    return ABSTAINED if answer.answer is None else 0


def _response(
    arguments: argparse.Namespace, question: dict[str, Any]
) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
    if "solver" in arguments:
        return _through_api_server(arguments, question)
    return answer_stream.post(arguments.url, question, key=read_key(arguments.key_file))


@asynccontextmanager
async def _through_api_server(
    arguments: argparse.Namespace, question: dict[str, Any]
) -> AsyncIterator[aiohttp.ClientResponse]:
    namespace, name = namespace_of(arguments), arguments.solver
    async with connected(arguments) as client:
        response = await client.post_to_service(
            answer_stream.PATH,
            namespace=namespace,
            name=name,
            port="http",
            body=question,
            silence=answer_stream.SILENT_SECONDS,
        )
        try:
            async with response:
                yield response
        except ProblemError as error:
            if not error.kind.endswith("/unauthorized"):
                raise
            message = (
                f"{error} The API server passes no keys on. Run `kubectl port-forward -n {namespace} service/{name}"
                " 8000:80` and then `mcq ask --key-file FILE`."
            )
            raise CommandError(message) from error
        except (aiohttp.ClientError, TimeoutError) as error:
            message = f"MCQSolver {namespace}/{name} could not be asked: {str(error) or type(error).__name__}"
            raise CommandError(message) from error
