"""Recognize the requests of exams by their header."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcq_service.telemetry.exam_requests import EXAM, of_exam

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

_HEADER = (EXAM[0].lower().encode(), EXAM[1].encode())


class ExamHeader:
    """Middleware: sets `of_exam` for the request, and with it for all tasks that the request starts."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap the app."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the class."""
        if scope["type"] == "http":
            of_exam.set(_HEADER in scope["headers"])
        await self._app(scope, receive, send)
