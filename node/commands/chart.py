"""Tables and small charts for a terminal: as wide as it is, coloured only where that is wanted."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TextIO

_BLOCKS: Final = " ▁▂▃▄▅▆▇█"
_PLAIN: Final = " .:-=+*#@"
#: Where nobody says how wide it is.
_USUAL_COLUMNS: Final = 80
_NARROWEST: Final = 20

_BOLD: Final = "1"
_DIM: Final = "2"
_YELLOW: Final = "33"


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """What is written on."""

    columns: int = _USUAL_COLUMNS
    colours: bool = False
    #: Whether it takes block characters.
    blocks: bool = True

    @classmethod
    def of(cls, stream: TextIO) -> Paper:
        """As the stream is; NO_COLOR, TERM=dumb and COLUMNS are respected."""
        terminal = stream.isatty()
        coloured = terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        try:
            _BLOCKS.encode(stream.encoding or "ascii")
        except (UnicodeEncodeError, LookupError):
            blocks = False
        else:
            blocks = True
        return cls(columns=max(_columns(stream), _NARROWEST), colours=coloured, blocks=blocks)

    def bold(self, text: str) -> str:
        """What a reader looks for first."""
        return self._coloured(_BOLD, text)

    def dim(self, text: str) -> str:
        """What can be read later."""
        return self._coloured(_DIM, text)

    def warning(self, text: str) -> str:
        """What must not be overlooked."""
        return self._coloured(_YELLOW, text)

    def sparkline(self, counts: Sequence[int]) -> str:
        """One character a bin, as high as its part of the highest; what is not zero is never shown as zero."""
        marks, highest = _BLOCKS if self.blocks else _PLAIN, max(counts, default=0)
        steps = len(marks) - 1
        return "".join(marks[0 if not count else max(1, round(count * steps / highest))] for count in counts)

    def bar(self, part: float, cells: int) -> str:
        """A bar of *cells* characters, filled for *part* of 1."""
        full = round(min(max(part, 0.0), 1.0) * cells)
        return ("█" if self.blocks else "#") * full + ("░" if self.blocks else ".") * (cells - full)

    def _coloured(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.colours else text


def _columns(stream: TextIO) -> int:
    told = os.environ.get("COLUMNS", "")
    if told.isdecimal() and int(told):
        return int(told)
    try:
        return os.get_terminal_size(stream.fileno()).columns or _USUAL_COLUMNS
    except (OSError, ValueError):
        return _USUAL_COLUMNS


def milliseconds(value_ms: float) -> str:
    """In few characters, and no more digits than mean something: 0.51, 4.2, 203.5, 12345."""
    if value_ms < 1:
        return f"{value_ms:.2f}"
    return f"{value_ms:.1f}" if value_ms < 10_000 else f"{value_ms:.0f}"
