"""An answer for people, written as it comes."""

import sys
from collections.abc import AsyncIterator, Sequence

from mcq_operator.api.text import one_line
from mcq_operator.cli.terminal import BOLD, DIM, GREEN, YELLOW, styled, write_styled

from .answer_stream import Answer, Decision, Event, Reasoning

BAR = 20
"""Characters of a probability of 1."""


async def write_answer(events: AsyncIterator[Event], choices: Sequence[str]) -> Answer:
    """Write each event when it comes; return the whole answer. Raises CommandError."""
    decided = reasoning = False
    async for event in events:
        match event:
            case Reasoning():
                sys.stdout.write("\n" if decided and not reasoning else "")
                sys.stdout.write(styled(event.delta))
                sys.stdout.flush()
                reasoning = True
            case Answer():
                sys.stdout.write("\n\n" if reasoning else "\n")
                write_styled(styled(_summary(event), DIM))
                return event
            case Decision():
                sys.stdout.write("\n\n" if reasoning else "")
                _write_decision(event, choices)
                decided, reasoning = True, False
    raise AssertionError  # the events end with an answer or an error


def _write_decision(decision: Decision, choices: Sequence[str]) -> None:
    chosen = decision.answer
    if chosen is None:
        message = f"The model abstained: its confidence in its best choice is only {decision.confidence:.1%}."
        write_styled(styled(message, BOLD, YELLOW))
    else:
        write_styled(styled(f"{chosen.label}: {one_line(chosen.text)}", BOLD, GREEN))
    for row, choice in zip(decision.probabilities, choices, strict=False):
        bar = "█" * round(row.probability * BAR)
        is_chosen = chosen is not None and row.label == chosen.label
        line = f"{'>' if is_chosen else ' '} {row.label}  {row.probability:6.1%}  {bar:<{BAR}}  {one_line(choice)}"
        write_styled(styled(line, *([GREEN] if is_chosen else [])))


def _summary(answer: Answer) -> str:
    timings = answer.timings
    seconds = f"{timings.answer_ms / 1000:.2f} s to the answer, {timings.total_ms / 1000:.2f} s in all"
    first = answer.escalation
    asked = (
        f"; asked first: {one_line(first.first_model)}, {first.first_confidence:.1%} confident"
        if first
        else ""
    )
    return f"{one_line(answer.model)}, {seconds}{asked}"
