"""What a command says: documents on standard output, everything else on standard error."""

from __future__ import annotations

import json
import sys
from enum import IntEnum
from typing import Any, TextIO

Document = dict[str, Any]


class ExitStatus(IntEnum):
    """Contract 5.6, and the shell's own for an interrupt."""

    DONE = 0
    TROUBLE = 1  # of the command line itself: nothing is known about the command
    INCOMPLETE = 3  # not proven yet; it goes on
    REJECTED = 4  # never begun
    FAILED = 5  # only a person can help
    INTERRUPTED = 130


class Trouble(Exception):
    """The command line could not do its own part: exit status 1."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


def printable(text: str) -> str:
    """The text with everything but letters, signs and line breaks escaped: words of an exchange, a broker or a stranger
    must not move a terminal's cursor, nor be what it cannot print.
    """
    if text.isascii() and text.replace("\n", "").isprintable():
        return text
    return "".join(each if each.isprintable() or each == "\n" else ascii(each)[1:-1] for each in text)


class Output:
    """Where a command's words go."""

    def __init__(self, *, as_json: bool, stdout: TextIO | None = None, stderr: TextIO | None = None) -> None:
        self.as_json = as_json
        self._stdout = sys.stdout if stdout is None else stdout
        self._stderr = sys.stderr if stderr is None else stderr

    @property
    def stdout(self) -> TextIO:
        """Where answers go: how wide it is, and what it takes."""
        return self._stdout

    @property
    def stderr(self) -> TextIO:
        """Where everything else goes."""
        return self._stderr

    def result(self, document: Document, text: str) -> None:
        """The answer: the document for machines, the text for people."""
        print(json.dumps(document) if self.as_json else printable(text), file=self._stdout, flush=True)

    def line(self, text: str) -> None:
        """One of many, as it is."""
        print(text, file=self._stdout)

    def progress(self, text: str) -> None:
        """What happens meanwhile: for somebody who watches."""
        if not self.as_json and self._stderr.isatty():
            print(printable(text), file=self._stderr, flush=True)

    def note(self, text: str) -> None:
        """What somebody should read in any case."""
        print(printable(text), file=self._stderr, flush=True)

    def trouble(self, code: str, *messages: str) -> None:
        """Why there is no answer, a line a reason."""
        if self.as_json:
            error = {"code": code, "message": "\n".join(messages)}
            print(json.dumps({"error": error}), file=self._stdout, flush=True)
        for message in messages:
            self.note(f"sovereign-node: {message}")
