"""Convert an answer to YAML text, and parse YAML text as an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable

REASONING_KEY = "reasoning"
MAX_DOCUMENT_CHARACTERS = 16_384


class UnparsableOutput(Exception):
    """A model's output is not a valid answer document."""


class _Loader(yaml.SafeLoader):
    """Loads only maps and text: no numbers, dates, lists or tags. Their constructors fail in many ways."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 - as in the class it extends
    yaml_constructors = {  # noqa: RUF012 - as above
        tag: construct
        for tag, construct in yaml.SafeLoader.yaml_constructors.items()
        if tag in {None, "tag:yaml.org,2002:map", "tag:yaml.org,2002:str"}
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        # A duplicate key is an error in YAML; PyYAML would take the last.
        keys = [str(key.value) for key, _ in node.value]
        if len(keys) != len(set(keys)):
            raise yaml.constructor.ConstructorError(
                problem="a key occurs twice", problem_mark=node.start_mark
            )
        return super().construct_mapping(node, deep=deep)


def document(label: str, reasoning: str | None) -> str:
    """Return the YAML text: `answer: B` and, with reasoning, `reasoning: "…"` on one line."""
    text = f"answer: {quoted(label)}\n"
    return text if reasoning is None else f"{text}{REASONING_KEY}: {quoted(reasoning)}\n"


def quoted(text: str) -> str:
    """Return any text as a double-quoted YAML scalar on one line."""
    return yaml.safe_dump(text, default_style='"', allow_unicode=True, width=float("inf")).rstrip("\n")


def parse(text: str, labels: Collection[str]) -> str | None:
    """Return a document's reasoning.

    Raises UnparsableOutput unless the document has exactly the expected keys and one of the labels.
    """
    if len(text) > MAX_DOCUMENT_CHARACTERS:
        raise UnparsableOutput(f"The output is longer than {MAX_DOCUMENT_CHARACTERS} characters.")
    try:
        parsed = yaml.load(text, _Loader)  # noqa: S506 - a subset of the safe loader
    except (yaml.YAMLError, RecursionError):
        # Without the cause: it would be logged, and it quotes the text, which may repeat a client's.
        raise UnparsableOutput("The output is not YAML.") from None
    if not isinstance(parsed, dict) or not {"answer"} <= parsed.keys() <= {"answer", REASONING_KEY}:
        raise UnparsableOutput("The output is not a map with the keys answer and reasoning.")
    label, reasoning = parsed["answer"], parsed.get(REASONING_KEY)
    if not isinstance(label, str) or label not in labels:
        raise UnparsableOutput("The answer is none of the letters offered.")
    if reasoning is not None and not isinstance(reasoning, str):
        raise UnparsableOutput("The reasoning is not text.")
    return reasoning
