"""An answer and its reasoning as one text: JSON, YAML or plain."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from mcq_service.api.mcq.question_schemas import NONE_OF_THESE
from mcq_service.yaml_output import REASONING_KEY
from mcq_service.yaml_output.document import quoted

if TYPE_CHECKING:
    from mcq_service.api.mcq.answer_schemas import Decision
    from mcq_service.api.mcq.question_schemas import ResponseFormat

_ABSTAINED = "No answer"


def output(response_format: ResponseFormat | None, decision: Decision, reasoning: str | None) -> str | None:
    """Return the answer in a format, or None without one.

    The answer of a document is a label, a list of labels with select all, or null if the service abstained.
    """
    if response_format is None:
        return None
    if response_format == "text":
        lines = [_plain(decision), reasoning]
        return "\n".join(line for line in lines if line is not None)
    if response_format == "json":
        more = {} if reasoning is None else {REASONING_KEY: reasoning}
        return json.dumps({"answer": _labels(decision), **more}, ensure_ascii=False)
    text = f"answer: {json.dumps(_labels(decision))}\n"  # labels are letters: their JSON is YAML
    return text if reasoning is None else f"{text}{REASONING_KEY}: {quoted(reasoning)}\n"


def _labels(decision: Decision) -> str | list[str] | None:
    if decision.selected is not None:
        return None if decision.abstained else [choice.label for choice in decision.selected]
    if decision.none_of_these is not None and decision.none_of_these.selected:
        return decision.none_of_these.label
    return decision.answer.label if decision.answer else None


def _plain(decision: Decision) -> str:
    if decision.abstained:
        return _ABSTAINED
    if decision.selected is not None:
        return "\n".join(f"{choice.label}) {choice.text}" for choice in decision.selected) or NONE_OF_THESE
    if decision.answer is None:
        return NONE_OF_THESE
    return f"{decision.answer.label}) {decision.answer.text}"
