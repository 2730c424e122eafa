"""The emergency lane: request budgets that an emergency never waits for.

A venue counts requests per address and per key. Background work (polling, warming, market data) lives on a fifth of
every budget and waits for it; emergency calls go at once and are only accounted for. The one thing that stops an
emergency call is the venue's own order to stay away (Retry-After): a request during a ban prolongs it.
"""

from __future__ import annotations

import asyncio
import bisect
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import count
from typing import Final

from node.errors import VenueLimited

#: The part of every budget that background work may spend.
BACKGROUND_SHARE: Final = 0.2
#: The part of the background's share that reads of whole slices may count on; the rest is for polls of positions,
#: warm sockets and lists of markets.
WHOLE_READS_SHARE: Final = 0.5
#: Background work stands back once this part of a budget is used, by our count or by the venue's.
STAND_BACK_AT: Final = 0.6
#: Beside its own half, the part that emergency work which moves nothing may borrow, so that it is not silent for long.
LENT_SHARE: Final = 0.25
#: From here on also emergency work that moves nothing waits, by the venue's count.
NEARLY_SPENT_AT: Final = 0.85
#: Background work waits so much longer than those before it need; beyond that it is told, as an emergency call would
#: be.
PATIENCE_S: Final = 60.0
#: How long background work keeps away after a refusal that named no time.
UNNAMED_PAUSE_S: Final = 10.0

_in_background: ContextVar[bool] = ContextVar("venue_background", default=False)


@contextmanager
def background() -> Iterator[None]:
    """Calls made inside (and in tasks started inside) yield to emergencies and wait for the background's budget."""
    token = _in_background.set(True)
    try:
        yield
    finally:
        _in_background.reset(token)


@contextmanager
def foreground() -> Iterator[None]:
    """Calls made inside wait for nothing, wherever they are made from."""
    token = _in_background.set(False)
    try:
        yield
    finally:
        _in_background.reset(token)


def is_background() -> bool:
    """Whether the current task's calls are background work."""
    return _in_background.get()


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What a venue allows: so many units in so long."""

    units: int
    interval_s: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """What one request costs of one budget."""

    bucket: str
    units: int = 1
    #: Counted per key rather than per address.
    per_key: bool = False


class TokenBucket:
    """Tokens that come back at a steady rate. Pure: the caller brings the time."""

    def __init__(self, capacity: float, refill_per_s: float, now_ns: int) -> None:
        self.capacity = capacity
        self._refill_per_ns = refill_per_s / 1e9
        self._tokens = capacity
        self._at_ns = now_ns

    def tokens(self, now_ns: int) -> float:
        """How many there are; negative while a debt is being paid off."""
        self._tokens = min(self.capacity, self._tokens + (now_ns - self._at_ns) * self._refill_per_ns)
        self._at_ns = now_ns
        return self._tokens

    def wait_s(self, units: float, now_ns: int) -> float:
        """How long until *units* are there (a full bucket, if that is less); 0 if now."""
        missing = min(units, self.capacity) - self.tokens(now_ns)
        return max(0.0, missing / self._refill_per_ns / 1e9)

    def take(self, units: float, now_ns: int) -> None:
        """Take *units*, into debt if need be, but never by more than a full bucket."""
        self._tokens = max(-self.capacity, self.tokens(now_ns) - units)


@dataclass(slots=True, eq=False)
class _Turn:
    """One background request in the queue of every budget that it is charged to.

    Queues are in order of arrival, so the oldest request of all is the first wherever it waits: none block each other.
    """

    number: int
    owed: list[tuple[_Account, int]]
    gives_up_ns: int = 0
    #: Somebody before it has left one of its queues.
    moved: asyncio.Event = field(default_factory=asyncio.Event)

    def enter(self) -> None:
        """Into every queue, behind those that came earlier."""
        for account, _ in self.owed:
            if self not in account.queue:
                bisect.insort(account.queue, self, key=lambda turn: turn.number)

    def leave(self) -> None:
        """Out of every queue; the next ones see whether it is their turn."""
        for account, _ in self.owed:
            if self in account.queue:
                account.queue.remove(self)
                if account.queue:
                    account.queue[0].moved.set()

    async def first(self) -> None:
        """Return when nobody is before it in any queue."""
        while any(account.queue[0] is not self for account, _ in self.owed):
            self.moved.clear()
            await self.moved.wait()

    def ahead_s(self) -> float:
        """How long the background's share is taken by those before it."""
        longest = 0.0
        for account, _ in self.owed:
            before = account.queue[: account.queue.index(self)]
            units = sum(units for turn in before for owing, units in turn.owed if owing is account)
            longest = max(longest, units * account.budget.interval_s / (account.budget.units * BACKGROUND_SHARE))
        return longest


@dataclass(slots=True, kw_only=True, eq=False)
class _Account:
    """One budget as it stands."""

    budget: Budget
    #: Everything that was sent.
    whole: TokenBucket
    #: What background work may spend of it.
    background: TokenBucket
    #: What work that moves nothing may spend. Half, and refilled by half: venues count by fixed intervals, and a full
    #: bucket with a whole interval's refill would be twice the budget in one of them.
    patient: TokenBucket
    #: What such work may borrow beyond that. Only loans are charged to it: it is there however much the rest has spent.
    lent: TokenBucket
    #: The venue says that the interval is nearly spent: what moves nothing waits for the next.
    spent_until_ns: int = 0
    #: The venue's own order to stay away.
    closed_until_ns: int = 0
    #: Background only.
    paused_until_ns: int = 0
    #: What the venue has last said to be used, and when.
    told_used: int = 0
    told_ns: int = 0
    #: Background requests that have not been sent, the oldest first.
    queue: list[_Turn] = field(default_factory=list)

    def told_away_s(self, now_ns: int) -> float:
        """How long the venue itself, by its order or its count, wants no work that moves nothing; may be negative."""
        return (max(self.closed_until_ns, self.spent_until_ns) - now_ns) / 1e9


@dataclass(slots=True)
class Lane:
    """The budgets of one address at one venue, shared by all its accounts."""

    budgets: Mapping[str, Budget]
    clock_ns: Callable[[], int] = time.monotonic_ns
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    #: How many accounts live on these budgets.
    accounts: int = 0
    _accounts: dict[str, _Account] = field(default_factory=dict)
    _arrivals: Iterator[int] = field(default_factory=count)

    def join(self) -> None:
        """One more account lives on these budgets."""
        self.accounts += 1

    def leave(self) -> None:
        """One less."""
        self.accounts -= 1

    def interval_s(self, charges: Iterable[Charge]) -> float:
        """How often one account may make requests of these charges, on its part of the background's share."""
        longest = 0.0
        for (bucket, per_key), units in _sums(charges).items():
            budget = self.budgets[bucket]
            sharers = 1 if per_key else max(1, self.accounts)
            longest = max(longest, units * sharers * budget.interval_s / (budget.units * BACKGROUND_SHARE))
        return longest

    def respite_s(self, charges: Iterable[Charge], *, key: str = "") -> float:
        """How long work that moves nothing should wait with requests of these charges; 0 if not at all.

        Until its own half of the budget (not just the background's fifth) bears them, the venue's own count is not
        near its limit, whoever has spent it, and the venue wants to hear from us.
        """
        now_ns, longest = self.clock_ns(), 0.0
        for account, units in self._owed(charges, key):
            longest = max(longest, account.told_away_s(now_ns), account.patient.wait_s(units, now_ns))
        return longest

    def borrow_s(self, charges: Iterable[Charge], *, key: str = "") -> float:
        """Book one more request of these charges on what is lent; how long until it may be sent.

        The respite, but not for long where only our own count asks for it: somebody whose look has failed must not be
        silent for a minute because much was spent before, on whatever account. Booked at once, so that all accounts of
        the address together borrow no more than there is, and not all at the same moment.
        """
        now_ns, longest = self.clock_ns(), 0.0
        for account, units in self._owed(charges, key):
            lent_s, respite_s = account.lent.wait_s(units, now_ns), account.patient.wait_s(units, now_ns)
            if lent_s < respite_s:
                account.lent.take(units, now_ns)
            longest = max(longest, account.told_away_s(now_ns), min(lent_s, respite_s))
        return longest

    async def admit(self, charges: Iterable[Charge], *, key: str = "") -> None:
        """Account for one request; background work waits for its turn first, in order of arrival.

        Raises:
            VenueLimited: the venue has told this address to stay away; nothing may be sent until ``retry_after_s``.
                Background work: the turn is further away than it is worth waiting for.
        """
        owed = [(self._account(charge, key), charge.units) for charge in charges]
        if not is_background():
            self._take(owed)
            return
        turn = _Turn(next(self._arrivals), owed)
        turn.enter()
        turn.gives_up_ns = self.clock_ns() + int((turn.ahead_s() + PATIENCE_S) * 1e9)
        try:
            await self._turn_comes(turn)
            self._take(owed)
        finally:
            turn.leave()

    async def _turn_comes(self, turn: _Turn) -> None:
        while True:
            await turn.first()
            wait_s = max((self._wait_s(*each) for each in turn.owed), default=0.0)
            if wait_s <= 0:
                return
            if wait_s > PATIENCE_S or self.clock_ns() + wait_s * 1e9 > turn.gives_up_ns:
                raise VenueLimited("the background's budget is spent; not sent", retry_after_s=wait_s)
            away_s = max(self._away_s(account) for account, _ in turn.owed)
            if away_s > 0:
                # Those behind it may owe nothing of the budget that it must keep away from.
                turn.leave()
            await self.sleep(away_s if away_s > 0 else wait_s)
            turn.enter()

    def _take(self, owed: Iterable[tuple[_Account, int]]) -> None:
        now_ns = self.clock_ns()
        closed_ns = max((account.closed_until_ns for account, _ in owed), default=0) - now_ns
        if closed_ns > 0:
            raise VenueLimited("the venue has told this address to wait; not sent", retry_after_s=closed_ns / 1e9)
        for account, units in owed:
            account.whole.take(units, now_ns)
            account.patient.take(units, now_ns)
            if is_background():
                account.background.take(units, now_ns)

    def refused(self, charges: Iterable[Charge], retry_after_s: float | None, *, key: str = "") -> None:
        """The venue refused for the number of requests: keep away as long as it said, background work at least so."""
        now_ns = self.clock_ns()
        for charge in charges:
            account = self._account(charge, key)
            pause_ns = int((UNNAMED_PAUSE_S if retry_after_s is None else retry_after_s) * 1e9)
            account.paused_until_ns = max(account.paused_until_ns, now_ns + pause_ns)
            if retry_after_s is not None:
                account.closed_until_ns = max(account.closed_until_ns, now_ns + pause_ns)
                # It has said itself when there is something to spend again.
                account.spent_until_ns = min(account.spent_until_ns, account.closed_until_ns)

    def reconcile(self, bucket: str, used: int) -> None:
        """The venue says that *used* units of the current interval are gone, whoever spent them."""
        account = self._accounts.get(bucket)
        if account is None:
            return
        account.told_used, account.told_ns = used, self.clock_ns()
        # Whatever part of the interval is over, one whole interval is long enough.
        until_ns = self.clock_ns() + int(account.budget.interval_s * 1e9)
        if used >= account.budget.units * STAND_BACK_AT:
            account.paused_until_ns = max(account.paused_until_ns, until_ns)
        if used >= account.budget.units * NEARLY_SPENT_AT and account.closed_until_ns <= self.clock_ns():
            account.spent_until_ns = max(account.spent_until_ns, until_ns)

    def left(self) -> dict[str, float]:
        """What is left of each budget that was used, as a part of 1: the less of our own count and the venue's."""
        now_ns, least = self.clock_ns(), dict[str, float]()
        for name, account in self._accounts.items():
            ours = account.whole.tokens(now_ns) / account.budget.units
            fresh = now_ns < account.told_ns + int(account.budget.interval_s * 1e9)
            told = 1 - account.told_used / account.budget.units if fresh and account.told_used else 1.0
            bucket = name.partition("#")[0]
            least[bucket] = max(0.0, min(ours, told, least.get(bucket, 1.0)))
        return least

    def closed_for_s(self, bucket: str) -> float:
        """How long the venue wants nothing from this address; 0 if it is open."""
        account = self._accounts.get(bucket)
        return 0.0 if account is None else max(0.0, (account.closed_until_ns - self.clock_ns()) / 1e9)

    def _wait_s(self, account: _Account, units: int) -> float:
        now_ns = self.clock_ns()
        reserve = account.budget.units * (1 - STAND_BACK_AT)
        tokens_s = max(account.background.wait_s(units, now_ns), account.whole.wait_s(reserve, now_ns))
        return max(self._away_s(account), tokens_s)

    def _away_s(self, account: _Account) -> float:
        """How long background work must keep away, whatever tokens there are; not positive if not at all."""
        return (max(account.closed_until_ns, account.paused_until_ns) - self.clock_ns()) / 1e9

    def _owed(self, charges: Iterable[Charge], key: str) -> list[tuple[_Account, int]]:
        """Every budget once, with all that is charged to it."""
        sums = _sums(charges).items()
        return [(self._account(Charge(bucket=name, per_key=per_key), key), units) for (name, per_key), units in sums]

    def _account(self, charge: Charge, key: str) -> _Account:
        name = f"{charge.bucket}#{key}" if charge.per_key else charge.bucket
        if name not in self._accounts:
            budget = self.budgets[charge.bucket]
            self._accounts[name] = _Account(
                budget=budget,
                whole=self._bucket(budget, budget.units),
                background=self._bucket(budget, budget.units * BACKGROUND_SHARE),
                patient=self._bucket(budget, budget.units / 2),
                lent=self._bucket(budget, budget.units * LENT_SHARE),
            )
        return self._accounts[name]

    def _bucket(self, budget: Budget, units: float) -> TokenBucket:
        return TokenBucket(units, units / budget.interval_s, self.clock_ns())


def _sums(charges: Iterable[Charge]) -> dict[tuple[str, bool], int]:
    """Units by bucket, and whether it is counted per key."""
    units: dict[tuple[str, bool], int] = {}
    for charge in charges:
        name = (charge.bucket, charge.per_key)
        units[name] = units.get(name, 0) + charge.units
    return units
