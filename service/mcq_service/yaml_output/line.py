"""Collects one double-quoted line from the model, token by token."""

from __future__ import annotations

MAX_LINE_CHARACTERS = 4096  # far more than a sentence; with escapes, far below a document's limit
_SENTENCE_ENDS = ".!?…。！？।؟"


class Line:
    """Collects the model's output after an opening quote, until the model closes the quote or the line.

    A line also ends at MAX_LINE_CHARACTERS: a limit in tokens is too loose, because one token can have 128 characters.

    The text is for a reader: escapes are resolved, white space is folded, control characters are dropped. Models
    forget to escape quotes inside a sentence. So a quote closes the line only after the end of a sentence, or at the
    end of the line; any other quote is part of the text.
    """

    def __init__(self) -> None:
        """Start after the opening quote."""
        self._characters: list[str] = []
        self._escaped = False
        self._quoted = False  # the last character was a quote; it closes the line if the line ends here
        self.closed = False

    def feed(self, piece: str) -> str:
        """Take the next piece of output; return the part that belongs to the line, without the closing characters."""
        for index, character in enumerate(piece):
            self.closed = self.closed or len(self._characters) >= MAX_LINE_CHARACTERS
            if not self.closed:
                self._take(character)
            if self.closed:
                return piece[:index]
        return piece

    @property
    def text(self) -> str:
        """The line so far; a lone backslash at the end is part of the text."""
        return _readable("".join(self._characters) + "\\" * self._escaped)

    @property
    def missing_quote(self) -> str:
        """The quote that the text lacks; empty if its last character closed the line together with the line's end."""
        return "" if self._quoted else '"'

    @property
    def settled(self) -> str:
        """The part of the text that can't change any more, for showing it early."""
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
        # Unescape only what a double-quoted scalar must escape: "\frac" and "\n" of LaTeX and code stay.
        self._escaped = False
        if character == "\n":
            self.closed = True
        self._characters.append(character if character in '"\\' else f"\\{character}")


def _readable(raw: str) -> str:
    return " ".join("".join(c for c in raw if c.isprintable() or c.isspace()).split())
