"""Forms in plain text, as in published MMLU results: examples, the question, and `Answer:`.

The model answers with a single letter. Base and instruction-tuned models know this form from their training;
Qwen2.5-Coder-1.5B-Instruct answers more questions correctly with it than as an assistant (docs/calibration.md).
"""

from __future__ import annotations

from mcq_service.prompts.forms import EXAMPLES, Form

_MARK, _GAP = ". ", "\n"
_END = "\nAnswer:"


def plain_form(examples: int, *, beginning: str = "") -> Form:
    """Return the form with this number of worked examples; `beginning` is a control token before all text."""
    shown = EXAMPLES[len(EXAMPLES) - examples :]
    worked = "".join(f"{each.text(_MARK, _GAP)}{_END} {each.letter}\n\n" for each in shown)
    head = "The following are multiple choice questions (with answers)."
    return Form(f"{beginning}{head}\n\n{worked}", _END, _MARK, _GAP, f"{_END} ", "\n\n")
