"""The web page, the API reference, and what they need to know of the service.

The files are read once and served from memory: a name that is not among them can't reach the disk. Their ETags are
made of their content, so that they are the same on every replica behind a Service.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

router = APIRouter(tags=["page"])

MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
# Only our own files run, nobody frames them, and no text can become markup (trusted types).
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'self'",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
HEADERS = {
    "Cache-Control": "no-cache",  # kept, but asked for each time: 304 where the ETag still holds
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


@dataclass(frozen=True)
class File:
    """One file of the page."""

    content: bytes
    media_type: str
    etag: str


def _read() -> dict[str, File]:
    files = {}
    for path in resources.files("mcq_service").joinpath("page").iterdir():
        suffix = f".{path.name.rpartition('.')[2]}"
        if suffix in MEDIA_TYPES:
            content = path.read_bytes()
            etag = f'"{hashlib.sha256(content).hexdigest()[:24]}"'
            files[path.name] = File(content, MEDIA_TYPES[suffix], etag)
    return files


_FILES = _read()


@router.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
async def page(request: Request) -> Response:
    """The web page."""
    return _serve("index.html", request)


@router.api_route("/docs", methods=["GET", "HEAD"], include_in_schema=False)
async def docs(request: Request) -> Response:
    """The API reference, drawn from /openapi.json; needs nothing from elsewhere."""
    return _serve("docs.html", request)


@router.api_route("/page/{name}", methods=["GET", "HEAD"], include_in_schema=False)
async def file(name: str, request: Request) -> Response:
    """One of the page's scripts and styles."""
    return _serve(name, request)


def _serve(name: str, request: Request) -> Response:
    found = _FILES.get(name)
    if found is None:
        raise HTTPException(404)
    headers = {**HEADERS, "ETag": found.etag}
    held = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
    if found.etag in held or "*" in held:
        return Response(status_code=304, headers=headers)
    return Response(found.content, media_type=found.media_type, headers=headers)
