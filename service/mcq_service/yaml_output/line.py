"""One double-quoted line, taken from a model token by token."""

from __future__ import annotations

MAX_CHARACTERS = 4096  # far more than a sentence, and with its escapes far less than a document may have
_SENTENCE_ENDS = ".!?…。！？"  # noqa: RUF001 - full stops of other scripts


class Line:
    """Collects what the model writes after an opening quote, until it closes the quote or the line.

    A line of MAX_CHARACTERS counts as closed: a model that repeats itself can write tokens of 128 characters.

    The text is what a reader sees: escapes are resolved, white space is folded, control characters are dropped.
    Models forget to escape quotes inside a sentence, so a quote closes the line only after the end of a sentence,
    or where the line ends after it; any other stands for itself.
    """

    def __init__(self) -> None:
        """Start after the opening quote."""
        self._characters: list[str] = []
        self._escaped = False
        self._quoted = False  # the last character was a quote, which closes if the line ends here
        self.closed = False

    def feed(self, piece: str) -> str:
        """Take the next piece of output; returns what of it belongs to the line, without what closed it."""
        for index, character in enumerate(piece):
            self.closed = self.closed or len(self._characters) >= MAX_CHARACTERS
            if not self.closed:
                self._take(character)
            if self.closed:
                return piece[:index]
        return piece

    @property
    def text(self) -> str:
        """The line so far; a lone backslash at the end of the output stands for itself."""
        return _readable("".join(self._characters) + "\\" * self._escaped)

    @property
    def settled(self) -> str:
        """What of the text can't change any more, to show while the rest is being written."""
        return _readable("".join(self._characters))

    def _take(self, character: str) -> None:
        if self._quoted and character != "\n":
            self._quoted = False
            self._characters.append('"')
        if self._escaped:
            self._escape(character)
        elif character == "\\":
            self._escaped = True
        elif character == '"' and not "".join(self._characters).rstrip().endswith(tuple(_SENTENCE_ENDS)):
            self._quoted = True
        elif character in '"\n':
            self.closed = True
        else:
            self._characters.append(character)

    def _escape(self, character: str) -> None:
        # Only what a double-quoted scalar must escape is unescaped: "\frac" and "\n" of LaTeX and code stay.
        self._escaped = False
        if character == "\n":
            self.closed = True
        self._characters.append(character if character in '"\\' else f"\\{character}")


def _readable(raw: str) -> str:
    return " ".join("".join(c for c in raw if c.isprintable() or c.isspace()).split())
