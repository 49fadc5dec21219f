"""An OpenAI-compatible server without a model.

`python -m tests.e2e.openai_server [--seconds S] ADDRESS PORT MODEL...` starts it.

It answers every question with B at once, and takes `--seconds` for a line of reasoning. An unknown model is a 404.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
from typing import Any

from aiohttp import web

LETTERS = {" A": 0.02, " B": 0.95, " C": 0.02, " D": 0.01}
USAGE = {"prompt_tokens": 90, "completion_tokens": 1}


def app(models: list[str], *, seconds: float) -> web.Application:
    """Return the server's routes."""

    async def served(_: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": model} for model in models]})

    async def complete(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        if body["model"] not in models:
            return web.json_response({"error": {"message": "no such model"}}, status=404)
        return await write(request) if body.get("stream") else score()

    async def write(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await asyncio.sleep(seconds)
        chunks: list[dict[str, Any]] = [
            {"choices": [{"text": " It is a Service.\n"}]},
            {"choices": [], "usage": USAGE},
        ]
        for chunk in (*map(json.dumps, chunks), "[DONE]"):
            await response.write(f"data: {chunk}\n\n".encode())
        return response

    def score() -> web.Response:
        top = {token: math.log(share) for token, share in LETTERS.items()}
        choice = {"index": 0, "text": " B", "finish_reason": "length", "logprobs": {"top_logprobs": [top]}}
        return web.json_response(
            {"id": "x", "object": "text_completion", "choices": [choice], "usage": USAGE}
        )

    application = web.Application()
    application.add_routes([web.get("/v1/models", served), web.post("/v1/completions", complete)])
    return application


def main() -> None:
    """Serve until the process ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("address")
    parser.add_argument("port", type=int)
    parser.add_argument("models", nargs="+")
    given = parser.parse_args()
    web.run_app(app(given.models, seconds=given.seconds), host=given.address, port=given.port, print=None)


if __name__ == "__main__":
    main()
