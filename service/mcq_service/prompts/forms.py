"""The constant parts around a question: the beginning of a prompt, its worked examples, and its end."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from mcq_service.prompts.text_span import TextSpan


@dataclass(frozen=True, eq=False)
class Opening:
    """What prompts have in common before their questions: a client's examples, instructions and context.

    Engines read it once for all prompts with the same object. No two requests share one: the time of an answer would
    tell a client what others ask. It ends with a line break, so that its tokens do not depend on the question.
    """

    spans: tuple[TextSpan, ...]

    @property
    def text(self) -> str:
        """The text of all spans."""
        return "".join(span.text for span in self.spans)


class Prompt(NamedTuple):
    """The parts of a prompt; `opening`, if any, is between the prefix and the stem.

    `prefix` is the same for all questions. `stem` (the question) and `choices` are a client's text: nothing in them
    may become a control token, or a question could end its own turn. The stem ends with a line break, so that its
    tokens do not depend on the choices. `suffix` is our own text again.
    """

    prefix: str
    stem: str
    choices: str
    suffix: str
    opening: Opening | None = None

    @property
    def text(self) -> str:
        """The whole prompt."""
        opening = self.opening.text if self.opening else ""
        return f"{self.prefix}{opening}{self.stem}{self.choices}{self.suffix}"


class Form(NamedTuple):
    """The constant prefix, the suffix that the model continues, and the separators inside a question.

    `mark` follows the letter of a choice; `gap` separates the question from the choices. A client's example is its
    choices, `answer`, its letter, and `end`.
    """

    prefix: str
    suffix: str
    mark: str
    gap: str
    answer: str
    end: str

    @property
    def digest(self) -> str:
        """SHA-256 of the form; a calibration holds for one form. The examples in the prefix contain mark and gap."""
        return "sha256:" + hashlib.sha256(f"{self.prefix}\0{self.suffix}".encode()).hexdigest()


class Example(NamedTuple):
    """A worked example: a question, its choices, and the index of the correct one."""

    question: str
    choices: tuple[str, ...]
    answer: int

    @property
    def letter(self) -> str:
        """The letter of the correct choice."""
        return "ABCD"[self.answer]

    def text(self, mark: str, gap: str) -> str:
        """Return the question and its choices in a form's layout."""
        choices = [f"{letter}{mark}{choice}" for letter, choice in zip("ABCD", self.choices, strict=True)]
        return self.question + gap + "\n".join(choices)


PLANET = Example("Which planet is known as the Red Planet?", ("Venus", "Jupiter", "Mars", "Saturn"), 2)
EXAMPLES = (
    Example(
        "Which of the following best describes a contract that lacks consideration?",
        (
            "It is generally unenforceable, as nothing is given in return for the promise",
            "It is always enforceable if it is in writing",
            "It is enforceable by the promisee only",
            "It is void because of fraud",
        ),
        0,
    ),
    Example(
        "A shop lowers the price of a $40 coat by 25%. What is the new price?",
        ("$10", "$30", "$35", "$15"),
        1,
    ),
    Example(
        "A user receives an email that seems to come from the bank and asks for the password. What kind of attack is "
        "this?",
        ("Denial of service", "SQL injection", "Man in the middle", "Phishing"),
        3,
    ),
    Example("The First World War began in which year?", ("1914", "1918", "1939", "1905"), 0),
    Example(
        "Statement 1 | Every square is a rectangle. Statement 2 | Every rectangle is a square.",
        ("True, True", "False, False", "False, True", "True, False"),
        3,
    ),
    Example(
        "Which of these drugs lowers blood pressure by blocking beta receptors?",
        ("Ibuprofen", "Amoxicillin", "Propranolol", "Insulin"),
        2,
    ),
    Example(
        "Which process do plants use to turn light into chemical energy?",
        ("Respiration", "Photosynthesis", "Fermentation", "Transpiration"),
        1,
    ),
    PLANET,
)
"""Worked examples from several fields; each letter is correct twice. A form with fewer uses the last ones."""
