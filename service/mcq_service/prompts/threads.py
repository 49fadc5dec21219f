"""The threads that render and tokenise prompts.

That happens before admission, which needs the size, so admission does not bound it. Two threads do: the engine keeps
most of the CPUs, and short prompts need not wait for one that takes a second.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")

executor = ThreadPoolExecutor(max_workers=2, thread_name_prefix="prompt")


async def in_prompt_thread(function: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
    """Call a function in one of the threads, like `asyncio.to_thread`. Cancelling ends the wait for a thread."""
    call = partial(copy_context().run, function, *arguments, **options)
    return await asyncio.get_running_loop().run_in_executor(executor, call)
