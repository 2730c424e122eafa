"""The markets of one venue: loaded once for all its accounts, and kept on disk for a start without the venue.

What is kept is not the venue's answer (tens of megabytes for some) but the few numbers that an order must obey.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import structlog

from node.domain.snapshot import MarketKind, MarketRules
from node.errors import VenueError

SCHEMA: Final = "sovereign-node/markets/1"
#: New listings and changed limits are picked up this often.
REFRESH_AFTER_S: Final = 6 * 3600.0
#: And this often where something depends on it: a market may have been halted, or opened again.
REFRESH_SOON_S: Final = 60.0
#: After it a disk has not answered.
DISK_ANSWERS_WITHIN_S: Final = 2.0

log = structlog.get_logger(__name__)

#: Asks the venue for one kind of market.
Loader = Callable[[MarketKind], Awaitable[tuple[MarketRules, ...]]]


class MarketBook:
    """One kind of market, by unified symbol and by the venue's own name."""

    def __init__(self, rules: Iterable[MarketRules]) -> None:
        self.by_symbol: Mapping[str, MarketRules] = {rule.symbol: rule for rule in rules}
        self.by_id: Mapping[str, MarketRules] = {rule.market_id: rule for rule in self.by_symbol.values()}


@dataclass(slots=True, kw_only=True)
class MarketShelf:
    """The books of one venue, shared by its accounts."""

    #: Names the files.
    name: str
    #: Set where the venue's hosts are sent elsewhere: a simulator's markets must never pass for the venue's.
    address: str | None = None
    directory: Path | None = None
    books: dict[MarketKind, MarketBook] = field(default_factory=dict)
    #: Rises with every change of ``books``.
    version: int = 0
    _loaded_at: dict[MarketKind, float] = field(default_factory=dict)
    #: What was told of single markets, by their own names: lists of such venues do not say it.
    _amended: dict[MarketKind, dict[str, MarketRules]] = field(default_factory=dict)
    _loading: dict[MarketKind, asyncio.Task[None]] = field(default_factory=dict)
    _writing: set[asyncio.Task[None]] = field(default_factory=set)

    async def stock(self, kinds: Iterable[MarketKind], load: Loader) -> None:
        """Have a book of each kind: from memory, else from disk (refreshed in the background), else from the venue.

        Raises:
            VenueError: neither disk nor venue had one of them; the others are there.
        """
        missing = [kind for kind in kinds if kind not in self.books]
        stored = await asyncio.gather(*(self._stored(kind) for kind in missing))
        for kind, rules in zip(missing, stored, strict=True):
            if rules and kind not in self.books:
                self._put(kind, rules)
                self._start(kind, load)
        absent = [kind for kind in missing if kind not in self.books]
        loads = [asyncio.shield(self._start(kind, load)) for kind in absent]
        for ended in await asyncio.gather(*loads, return_exceptions=True):
            if isinstance(ended, BaseException):
                raise ended

    def refresh(self, load: Loader, *, soon: Collection[MarketKind] = ()) -> None:
        """Ask again, in the background, for what has grown old; for the kinds named in *soon*, older than a minute."""
        for kind, at in list(self._loaded_at.items()):
            if time.monotonic() - at > (REFRESH_SOON_S if kind in soon else REFRESH_AFTER_S):
                self._loaded_at[kind] = time.monotonic()  # a failure is not repeated at every call
                self._start(kind, load)

    def amend(self, kind: MarketKind, rules: Iterable[MarketRules]) -> None:
        """Put what the venue has told of single markets in the place of what its list says, now and henceforth."""
        told = {rule.market_id: rule for rule in rules}
        self._amended.setdefault(kind, {}).update(told)
        if kind in self.books:
            self.books[kind] = MarketBook({**self.books[kind].by_id, **told}.values())
            self.version += 1

    async def close(self) -> None:
        """Stop what is under way."""
        tasks = list(self._loading.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._writing:
            await asyncio.wait(set(self._writing), timeout=DISK_ANSWERS_WITHIN_S)

    def _start(self, kind: MarketKind, load: Loader) -> asyncio.Task[None]:
        task = self._loading.get(kind)
        if task is None or task.done():
            task = asyncio.create_task(self._load(kind, load), name=f"markets:{self.name}:{kind.value}")
            task.add_done_callback(self._ended)
            self._loading[kind] = task
        return task

    async def _stored(self, kind: MarketKind) -> tuple[MarketRules, ...] | None:
        """From disk; a disk that does not answer has nothing: the venue has it."""
        try:
            async with asyncio.timeout(DISK_ANSWERS_WITHIN_S):
                return await asyncio.to_thread(self._read, kind)
        except TimeoutError:
            log.warning("market_cache_silent", venue=self.name, kind=kind.value)
            return None

    async def _load(self, kind: MarketKind, load: Loader) -> None:
        rules = await load(kind)
        self._put(kind, rules)
        # Nobody waits long for it: an account must be armed on a disk that does not answer, too.
        writing = asyncio.create_task(
            asyncio.to_thread(self._write, kind, rules), name=f"markets-cache:{self.name}:{kind.value}"
        )
        self._writing.add(writing)
        writing.add_done_callback(self._writing.discard)
        await asyncio.wait({writing}, timeout=DISK_ANSWERS_WITHIN_S)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A failed refresh leaves the book as it was; the first load's failure is its caller's to report."""
        if not task.cancelled() and (error := task.exception()) is not None:
            code = error.code if isinstance(error, VenueError) else type(error).__name__
            log.warning("markets_not_loaded", task=task.get_name(), code=code, error=str(error))

    def _put(self, kind: MarketKind, rules: tuple[MarketRules, ...]) -> None:
        amended = self._amended.get(kind, {})
        self.books[kind] = MarketBook(amended.get(rule.market_id, rule) for rule in rules)
        self._loaded_at[kind] = time.monotonic()
        self.version += 1

    def _path(self, kind: MarketKind) -> Path | None:
        if self.directory is None:
            return None
        marker = "" if self.address is None else "@" + hashlib.sha256(self.address.encode()).hexdigest()[:12]
        return self.directory / f"{self.name}{marker}-{kind.value}.json"

    def _header(self, kind: MarketKind) -> dict[str, str]:
        return {"schema": SCHEMA, "ccxt": ccxt_version(), "venue": self.name, "kind": kind.value}

    def _read(self, kind: MarketKind) -> tuple[MarketRules, ...] | None:
        path = self._path(kind)
        try:
            document = json.loads(path.read_bytes()) if path else None
            if not isinstance(document, dict):
                return None
            if any(document.get(name) != value for name, value in self._header(kind).items()):
                return None
            return tuple(_rules(row) for row in document["markets"])
        except (OSError, ValueError, LookupError, TypeError, ArithmeticError) as error:
            if not isinstance(error, FileNotFoundError):
                log.warning("market_cache_unreadable", path=str(path), error=str(error))
            return None

    def _write(self, kind: MarketKind, rules: tuple[MarketRules, ...]) -> None:
        path = self._path(kind)
        if path is None:
            return
        document = {**self._header(kind), "markets": [_row(rule) for rule in rules]}
        try:
            # The state directory may not be there yet, and is nobody else's business.
            path.parent.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.parent.mkdir(mode=0o700, exist_ok=True)
            replace(path, json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode())
        except OSError as error:
            log.warning("market_cache_not_written", path=str(path), error=str(error))


def replace(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old content or the new, never a part."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def ccxt_version() -> str:
    """Which ccxt named the symbols."""
    import ccxt

    return str(ccxt.__version__)


_FIELDS: Final = fields(MarketRules)
_DECIMALS: Final = frozenset(field.name for field in _FIELDS if "Decimal" in str(field.type))


def _row(rule: MarketRules) -> dict[str, Any]:
    values = {each.name: getattr(rule, each.name) for each in _FIELDS}
    return {name: str(value) if isinstance(value, Decimal) else value for name, value in values.items()}


def _rules(row: Mapping[str, Any]) -> MarketRules:
    values: dict[str, Any] = dict(row) | {"kind": MarketKind(row["kind"])}
    for name in _DECIMALS:
        if values[name] is not None:
            values[name] = Decimal(values[name])
    return MarketRules(**values)
