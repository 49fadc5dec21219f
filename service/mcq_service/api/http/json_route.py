"""Routes whose body is JSON: it is parsed once, validated once, and neither holds up the event loop if it is large."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from fastapi import Request
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError

from mcq_service.api.http import json_parser, validation
from mcq_service.api.openai import errors as openai_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from starlette.responses import Response

LARGE_BYTES = 64 * 1024
"""A body of more is read in a thread; below, the change of threads costs as much as the work."""

# One thread: parsing holds the interpreter's lock, so a second would only double the memory.
_reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="body")


class JSONRoute(APIRoute):
    """A route of FastAPI's that reads its body with `json_text`, and reports its errors with `invalid`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """See FastAPI: its way to give a route another kind of request."""
        handle = super().get_route_handler()
        model: Any = self.body_field.field_info.annotation if self.body_field else None

        async def handler(request: Request) -> Response:
            return await handle(_JSONRequest(request, model) if model else request)

        return handler


class _JSONRequest(Request):
    """A request whose `json` is an object of the route's model already, which FastAPI then takes as it is."""

    def __init__(self, request: Request, model: type[BaseModel]) -> None:
        super().__init__(request.scope, request.receive)
        self._model = model

    async def json(self) -> BaseModel:
        body = await self.body()
        steps = (
            openai_errors.steps if self.scope["path"].startswith(openai_errors.PREFIX) else steps_of_question
        )
        if len(body) <= LARGE_BYTES:
            return _read(body, self._model, steps)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(_reader, _read, body, self._model, steps)


def _read(body: bytes, model: type[BaseModel], steps: Callable[[Sequence[Any]], list[Any]]) -> BaseModel:
    value = json_parser.parse(body)
    try:
        return model.model_validate(value)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_context=False, include_input=False)
        raise validation.of_pydantic(errors, steps) from None


def steps_of_question(location: Sequence[Any]) -> list[Any]:
    """The steps of pydantic's location that are those of the body."""
    steps = list(location)
    of_batch = 2 if steps[:1] == ["questions"] else 0
    if steps[of_batch : of_batch + 1] == ["choices"]:
        # choices, list or map (pydantic names the form it took, which is no part of the body), index or label
        steps = [*steps[: of_batch + 1], *steps[of_batch + 2 : of_batch + 3]]
    return steps
