"""The service manager's end of ``$NOTIFY_SOCKET``, as systemd has it: a datagram socket that somebody reads."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.waiting import PATIENCE_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """One datagram."""

    at_s: float
    lines: tuple[str, ...]

    def value(self, name: str) -> str | None:
        """What it says under a name."""
        return next((line.partition("=")[2] for line in self.lines if line.partition("=")[0] == name), None)


@dataclass(slots=True)
class NotifySocket:
    """Everything that was said, in order."""

    path: Path
    words: list[Word] = field(default_factory=list)
    #: By name: what it was given to hold for the next process (FDSTORE).
    held: dict[str, int] = field(default_factory=dict)
    #: Called in the reading thread, before the next word is read.
    on_word: Callable[[Word], None] = lambda _word: None
    _news: threading.Condition = field(default_factory=threading.Condition)

    def said(self, name: str) -> list[str]:
        """Every value that was given to a name."""
        return [value for word in list(self.words) if (value := word.value(name)) is not None]

    def until(
        self, true: Callable[[Word], object], *, after: int = 0, within_s: float = PATIENCE_S, unless: str = ""
    ) -> int:
        """Wait for a word of which it is so; its place. *unless* says what has happened instead, where it has not."""
        deadline = time.monotonic() + within_s
        with self._news:
            while True:
                for place in range(after, len(self.words)):
                    if true(self.words[place]):
                        return place
                if not self._news.wait(deadline - time.monotonic()):
                    raise AssertionError(f"not said: {unless} {self.words[-5:]}")

    def quiet(self, name: str, *, for_s: float) -> bool:
        """Whether a name is not said for so long from now on."""
        after = len(self.words)
        try:
            self.until(lambda word: word.value(name) is not None, after=after, within_s=for_s)
        except AssertionError:
            return True
        return False

    def read(self, bound: socket.socket) -> None:
        """Until the socket is shut."""
        while True:
            data, descriptors, _, _ = socket.recv_fds(bound, 65536, 4)
            if not data:
                return
            word = Word(at_s=time.monotonic(), lines=tuple(data.decode().splitlines()))
            self._hold(word, descriptors)
            self.on_word(word)
            with self._news:
                self.words.append(word)
                self._news.notify_all()

    def _hold(self, word: Word, descriptors: list[int]) -> None:
        for descriptor in descriptors:
            name = word.value("FDNAME")
            if word.value("FDSTORE") != "1" or name is None or name in self.held:
                os.close(descriptor)
            else:
                self.held[name] = descriptor


@contextmanager
def notify_socket(path: Path) -> Iterator[NotifySocket]:
    """Bound at a path, read by a thread."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        path.unlink(missing_ok=True)
        bound.bind(str(path))
        made = NotifySocket(path)
        reader = threading.Thread(target=made.read, args=(bound,), name="notify-socket")
        reader.start()
        try:
            yield made
        finally:
            bound.shutdown(socket.SHUT_RDWR)
            reader.join(10)
            for descriptor in made.held.values():
                os.close(descriptor)
