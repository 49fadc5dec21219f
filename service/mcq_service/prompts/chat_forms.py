"""Forms in ChatML, the format of the training data of Qwen's instruction models.

A prompt ends directly before the letter (`answer:`) or, in mode reason, directly before the reasoning. Source of the
format: the model's chat template (tokenizer_config.json).
"""

from __future__ import annotations

from mcq_service.prompts.forms import PLANET, Form

# One worked example: without it the model often just repeats the choice as its reasoning. It costs nothing, because
# the prefix is read once.
_MARK, _GAP = ") ", "\n\n"
_REASONING = "Mars looks red because iron oxide, which is rust, covers its surface; the others are not red."
_SENTENCE = "a full sentence in double quotes that explains why this choice is right and the others are not"


def _form(keys: str, example: str, begin: str) -> Form:
    system = f"You answer multiple-choice questions. Reply in YAML with two keys: {keys}."
    prefix = (
        f"<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\n{PLANET.text(_MARK, _GAP)}<|im_end|>\n"
        f"<|im_start|>assistant\n{example}<|im_end|>\n<|im_start|>user\n"
    )
    turn = "<|im_end|>\n<|im_start|>assistant\n"
    return Form(prefix, f"{turn}{begin}", _MARK, _GAP, f"{turn}answer: ", "<|im_end|>\n<|im_start|>user\n")


ANSWER_FIRST = _form(
    f"answer, the letter of the right choice; reasoning, {_SENTENCE}",
    f'answer: C\nreasoning: "{_REASONING}"',
    "answer:",
)
REASONING_FIRST = _form(
    f"reasoning, {_SENTENCE}; answer, the letter of the right choice",
    f'reasoning: "{_REASONING}"\nanswer: C',
    'reasoning: "',
)
