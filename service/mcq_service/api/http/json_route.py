"""Routes with a JSON body: parse it once, validate it once, and do not block the event loop for a large one."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from fastapi import Request
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError

from mcq_service.api.http import json_parser, validation

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from starlette.responses import Response

LARGE_BYTES = 64 * 1024
"""A larger body is read in a thread; for a smaller one, switching threads costs as much as the work."""

# One thread: parsing holds the interpreter's lock, so a second thread would only double the memory.
_reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="body")


class JSONRoute(APIRoute):
    """A FastAPI route that refuses a request while the queue is full, and else reads its body with `json_parser`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """See FastAPI: its hook for a route's own request class."""
        handle = super().get_route_handler()
        model: Any = self.body_field.field_info.annotation if self.body_field else None

        async def handler(request: Request) -> Response:
            if model is None:
                return await handle(request)
            if backend := request.app.state.lifecycle.backend:
                backend.admission.refuse_if_full()
            return await handle(_JSONRequest(request, model))

        return handler


class _JSONRequest(Request):
    """A request whose `json` returns an object of the route's model, which FastAPI accepts as it is."""

    def __init__(self, request: Request, model: type[BaseModel]) -> None:
        super().__init__(request.scope, request.receive)
        self._model = model

    async def json(self) -> BaseModel:
        body = await self.body()
        if len(body) <= LARGE_BYTES:
            return _read(body, self._model)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(_reader, _read, body, self._model)


def _read(body: bytes, model: type[BaseModel]) -> BaseModel:
    value = json_parser.parse(body)
    try:
        return model.model_validate(value)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_context=False, include_input=False)
        raise validation.from_pydantic(errors, value) from None
