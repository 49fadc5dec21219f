"""A text that follows a JSON Schema: the tokens that may come next, by llguidance."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from llguidance import LLMatcher, LLTokenizer

from mcq_service.engine import schema_trial
from mcq_service.engine.errors import BadSchema

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mcq_service.engine.tokenizer import Tokenizer

_KEPT_SCHEMAS = 16
_TOO_COMPLEX = "the schema is too complex: simplify it"


class JSONGrammar:
    """The state of one text. Not for use by two threads at once."""

    def __init__(self, matcher: LLMatcher, *, vocabulary: int) -> None:
        """Start at the beginning of the text."""
        self._matcher = matcher
        self._vocabulary = vocabulary

    def copy(self) -> JSONGrammar:
        """Return the same state for another text."""
        return JSONGrammar(self._matcher.deep_copy(), vocabulary=self._vocabulary)

    def allowed(self, row: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return a row of logits with minus infinity for each token that must not come next.

        Raises BadSchema if following it has become too complex.
        """
        packed = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        _check(self._matcher)
        allowed = np.flatnonzero(np.unpackbits(packed, count=self._vocabulary, bitorder="little"))
        result = np.full_like(row, -np.inf)
        result[allowed] = row[allowed]
        return result

    def push(self, token: int) -> bool:
        """Append a token; return whether the text is complete. Raises BadSchema like `allowed`."""
        self._matcher.consume_token(token)
        _check(self._matcher)
        return self._matcher.is_stopped()


class JSONGrammars:
    """Compiles schemas for one tokenizer.

    Threads may share it. Two may compile the same schema, which only costs time.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        """Prepare nothing yet; see `prepare`."""
        self._tokenizer = tokenizer
        # Clients send one schema again and again, also one that is refused.
        self._compiled = lru_cache(maxsize=_KEPT_SCHEMAS)(self._compile)

    def prepare(self) -> None:
        """Analyse the vocabulary, which holds the interpreter's lock for a second or two."""
        _ = self._vocabulary

    def compile(self, schema: dict[str, Any]) -> JSONGrammar:
        """Return the beginning of a text, to copy for each text. A new schema may take seconds. Raises BadSchema."""
        result = self._compiled(json.dumps(schema))
        if isinstance(result, str):
            raise BadSchema(result)
        return result

    def _compile(self, schema: str) -> JSONGrammar | str:
        """Return the beginning of a text, or why there is none."""
        if not _is_affordable(schema):
            return _TOO_COMPLEX
        try:
            grammar = LLMatcher.grammar_from_json_schema(schema, overrides=schema_trial.WHITE_SPACE)
            matcher = LLMatcher(self._vocabulary, grammar, log_level=0)
            _check(matcher)
        except (ValueError, BadSchema) as error:
            return str(error)
        return JSONGrammar(matcher, vocabulary=self._tokenizer.vocabulary)

    @cached_property
    def _vocabulary(self) -> LLTokenizer:
        return LLTokenizer(
            self._tokenizer.definition,
            n_vocab=self._tokenizer.vocabulary,
            eos_token=sorted(self._tokenizer.stop_ids),
        )


def _is_affordable(schema: str) -> bool:
    """Return whether a process with limits can compile the schema. Raises MemoryError if it can't start."""
    command = [sys.executable, "-I", schema_trial.__file__]
    try:
        done = subprocess.run(command, input=schema.encode(), capture_output=True, check=False)
    except OSError as error:
        raise MemoryError(f"A schema's trial can't start: {error.strerror}.") from error
    return done.returncode == 0


def _check(matcher: LLMatcher) -> None:
    if matcher.is_error():
        raise BadSchema(_reason(matcher.get_error()))


def _reason(error: str) -> str:
    """Return llguidance's error without its inner state, for a client."""
    if "<backtrace>" in error or error.startswith("panic"):
        return _TOO_COMPLEX
    return error.partition("\n<state>")[0]
