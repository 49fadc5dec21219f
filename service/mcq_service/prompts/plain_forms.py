"""Prompts of plain text, as published results of MMLU are measured with: examples, the question, and `Answer:`.

The model's answer is a letter and nothing else. Base and instruction-tuned models know this form from their training;
Qwen2.5-Coder-1.5B-Instruct answers by it more rightly than as an assistant (docs/calibration.md).
"""

from __future__ import annotations

from mcq_service.prompts.forms import EXAMPLES, Form

_MARK, _GAP = ". ", "\n"
_END = "\nAnswer:"


def plain(examples: int) -> Form:
    """The form with so many worked examples."""
    shown = EXAMPLES[len(EXAMPLES) - examples :]
    worked = "".join(f"{each.text(_MARK, _GAP)}{_END} {each.letter}\n\n" for each in shown)
    return Form(f"The following are multiple choice questions (with answers).\n\n{worked}", _END, _MARK, _GAP)
