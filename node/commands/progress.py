"""A progress bar for somebody who watches: on a terminal, and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TextIO

from node.commands.chart import Paper
from node.commands.output import Output

_BAR_MAX: Final = 30
_BAR_MIN: Final = 8


@dataclass(slots=True)
class ProgressBar:
    """One line on standard error, rewritten in place. Writes nothing where it is not shown."""

    stream: TextIO
    paper: Paper
    total: int
    shown: bool
    done: int = 0

    @classmethod
    def of(cls, output: Output, total: int) -> ProgressBar:
        """Shown on a terminal, unless the answer is for machines."""
        shown = output.stderr.isatty() and not output.as_json
        return cls(stream=output.stderr, paper=Paper.of(output.stderr), total=total, shown=shown)

    def advance(self) -> None:
        """One more is done."""
        self.done += 1

    def show(self, words: str) -> None:
        """What is done now."""
        if not self.shown:
            return
        count = f" {self.done}/{self.total}"
        # The last column stays free: a terminal might go on to the next line.
        room = self.paper.columns - 1
        bar = self.paper.bar(self.done / max(self.total, 1), min(_BAR_MAX, max(_BAR_MIN, room - len(count) - 24)))
        self._write(f"{bar}{count}  {words}"[:room].ljust(room))

    def clear(self) -> None:
        """Leave no trace."""
        if self.shown:
            self._write(" " * (self.paper.columns - 1))
            self._write("")

    def _write(self, line: str) -> None:
        # No escape sequences: they are not for every terminal, and spaces do.
        self.stream.write(f"\r{line}")
        self.stream.flush()
