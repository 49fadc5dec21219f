"""GET /api/v1/service: the service's description and readiness."""

from __future__ import annotations

import asyncio
import logging
from importlib import metadata
from string import ascii_uppercase
from typing import TYPE_CHECKING, get_args

from fastapi import APIRouter, Request
from pydantic import ValidationError

from mcq_service.api.mcq.question_schemas import MAX_REASONING_TOKENS, Mode
from mcq_service.api.service.schemas import LastExam, Service, Version

if TYPE_CHECKING:
    from pathlib import Path

    from mcq_service.runtime.lifecycle import Lifecycle

_log = logging.getLogger(__name__)

router = APIRouter(tags=["page"])


@router.get("/version")
async def version() -> Version:
    """Return the service's version, as vLLM does."""
    return Version(version=metadata.version("mcq-service"))


@router.get("/api/v1/service")
async def service(request: Request) -> Service:
    """Describe the service and its limits, and say whether it is ready."""
    lifecycle: Lifecycle = request.app.state.lifecycle
    backend = lifecycle.backend
    mcq = backend.mcq if backend else None
    return Service(
        model=mcq.model if mcq else None,
        identity=backend.identity if backend else None,
        exam=await asyncio.to_thread(_last_exam, request.app.state.exam_file),
        modes=list(get_args(Mode)),
        default_mode=mcq.defaults.mode if mcq else None,
        max_choices=len(ascii_uppercase),
        max_reasoning_tokens=MAX_REASONING_TOKENS,
        trace_url=request.app.state.trace_url,
        ready=lifecycle.is_ready,
        status=lifecycle.status,
        detail=lifecycle.detail,
        progress=lifecycle.progress,
    )


def _last_exam(path: Path | None) -> LastExam | None:
    """Return the last exam from the operator's file. Read the file each time: the kubelet replaces it."""
    if path is None:
        return None
    try:
        return LastExam.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None  # there was no exam
    except (OSError, ValidationError) as error:
        _log.warning("%s can't be read: %s", path, error)
        return None
