"""An OpenAI-compatible server without a model: `python -m tests.cluster.engine ADDRESS PORT MODEL...`.

For tests of what is around the answers: every question's is B, at once. A model that it does not serve is a 404.
"""

from __future__ import annotations

import math
import sys

from aiohttp import web

LETTERS = {" A": 0.02, " B": 0.95, " C": 0.02, " D": 0.01}


def app(models: list[str]) -> web.Application:
    """The server's routes."""

    async def served(_: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": model} for model in models]})

    async def complete(request: web.Request) -> web.Response:
        body = await request.json()
        if body["model"] not in models:
            return web.json_response({"error": {"message": "no such model"}}, status=404)
        top = {token: math.log(share) for token, share in LETTERS.items()}
        choice = {"index": 0, "text": " B", "finish_reason": "length", "logprobs": {"top_logprobs": [top]}}
        usage = {"prompt_tokens": 90, "completion_tokens": 1}
        return web.json_response(
            {"id": "x", "object": "text_completion", "choices": [choice], "usage": usage}
        )

    made = web.Application()
    made.add_routes([web.get("/v1/models", served), web.post("/v1/completions", complete)])
    return made


if __name__ == "__main__":
    address, port, *models = sys.argv[1:]
    web.run_app(app(models), host=address, port=int(port), print=None)
