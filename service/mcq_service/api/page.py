"""Serve the web page and the API reference.

The files are read once and served from memory, so no request path reaches the disk. ETags depend only on the content:
they are the same on every replica behind a Service.
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
# Only our own files run, no other page frames them, and no text can become markup (trusted types).
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
    "Cache-Control": "no-cache",  # cached, but revalidated each time: 304 if the ETag matches
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
    """Serve the web page."""
    return _serve("index.html", request)


@router.api_route("/docs", methods=["GET", "HEAD"], include_in_schema=False)
async def docs(request: Request) -> Response:
    """Serve the API reference, which the page draws from /openapi.json without any other site."""
    return _serve("docs.html", request)


@router.api_route("/page/{name}", methods=["GET", "HEAD"], include_in_schema=False)
async def file(name: str, request: Request) -> Response:
    """Serve one of the page's scripts and styles."""
    return _serve(name, request)


def _serve(name: str, request: Request) -> Response:
    file_ = _FILES.get(name)
    if file_ is None:
        raise HTTPException(404)
    headers = {**HEADERS, "ETag": file_.etag}
    cached = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
    if file_.etag in cached or "*" in cached:
        return Response(status_code=304, headers=headers)
    return Response(file_.content, media_type=file_.media_type, headers=headers)
