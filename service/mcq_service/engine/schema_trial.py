"""Compile the JSON Schema on standard input with limits; the process dies if it takes more.

A short schema can take llguidance any time and memory (`multipleOf: 10000019`), and a thread can't be ended. The
compiling hardly depends on the vocabulary, so the trial has one of bytes. It runs as a file and imports nothing of the
service, because it starts for each new schema.
"""

from __future__ import annotations

import resource
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from llguidance import LLMatcher, LLTokenizer

if TYPE_CHECKING:
    from llguidance._lib import JsonCompileOptions

# One space after `:` and `,` and no other white space: a model can't fill its text with line breaks.
WHITE_SPACE: JsonCompileOptions = {"whitespace_flexible": False}
_CPU_SECONDS = 5
_BYTES = 512 << 20


def main() -> None:
    """Compile. An invalid schema is no failure of the trial: the service finds and explains it."""
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SECONDS, _CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (_BYTES, _BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(ValueError):
        grammar = LLMatcher.grammar_from_json_schema(sys.stdin.read(), overrides=WHITE_SPACE)
        LLMatcher(LLTokenizer("byte"), grammar, log_level=0)


if __name__ == "__main__":
    main()
