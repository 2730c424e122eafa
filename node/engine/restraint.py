"""What the guard of one account leaves alone for a while, and how often it may act at all.

What was sent may still take effect, what was refused would be refused again, and an engine that opens again and again
must not be answered for ever at the same pace.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

from node.clock import Clock
from node.domain.guard import Pace
from node.domain.snapshot import OpenOrder, Position, PositionKey
from node.domain.steps import LATE_ARRIVAL_NS, CancelOrders, ClosePosition, Outcome, Step, StepResult

#: After a close that was taken: reads of the venue may lag behind it.
SETTLED_NS: Final = 3_000_000_000
#: A leg or an order whose step was refused is left alone for so long; doubled each time.
REFUSED_WAIT_NS: Final = 250_000_000
REFUSED_WAIT_MAX_NS: Final = 30_000_000_000

#: A leg, or an order by its id.
Target = PositionKey | str


class Restraint:
    """Slices are apart, and closes and cancels: what floods one part must not leave another open."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        #: By slice, and whether it closes.
        self._paces: dict[tuple[str, bool], Pace] = {}
        #: By slice: until when a leg or an order is left alone.
        self._waits: dict[tuple[str, Target], int] = {}
        self._refusals: Counter[tuple[str, Target]] = Counter()
        self._blind_until_ns = 0

    def after_restart(self) -> None:
        """Closes of an earlier process may still arrive."""
        self._blind_until_ns = self._clock.monotonic_ns() + LATE_ARRIVAL_NS

    @property
    def blind(self) -> bool:
        """Whether they may: a second close of a known leg would cut into the baseline."""
        return self._clock.monotonic_ns() < self._blind_until_ns

    @property
    def spaced(self) -> bool:
        """Whether acting was so frequent lately that it had to slow down."""
        now_ns = self._clock.monotonic_ns()
        return any(pace.spaced and pace.in_last_minute(now_ns) for pace in self._paces.values())

    def in_last_minute(self) -> int:
        """How often something was done."""
        now_ns = self._clock.monotonic_ns()
        return sum(pace.in_last_minute(now_ns) for pace in self._paces.values())

    def pace_ns(self, slice_name: str, *, closes: bool) -> int:
        """How long until something may be done again; not positive: now."""
        return self._paces.get((slice_name, closes), Pace()).wait_ns(self._clock.monotonic_ns())

    def waits_for(self, thing: Position | OpenOrder) -> bool:
        """Whether what was done about it last may still take effect, or was refused a moment ago."""
        target = thing.order_id if isinstance(thing, OpenOrder) else thing.key
        return self._waits.get((thing.slice, target), 0) > self._clock.monotonic_ns()

    def clear_in_s(self, slice_name: str) -> float:
        """How long until the first leg or order of a slice is left alone no more; for ever if none is."""
        now_ns = self._clock.monotonic_ns()
        self._waits = {key: until_ns for key, until_ns in self._waits.items() if until_ns > now_ns}
        waits = [until_ns - now_ns for (name, _), until_ns in self._waits.items() if name == slice_name]
        if self.blind:
            waits.append(self._blind_until_ns - now_ns)
        return min(waits, default=10**18) / 1e9

    def leaving(self, slice_name: str, steps: Iterable[Step]) -> None:
        """Steps are about to leave: a close is unclear from now on, also if we are interrupted."""
        late_ns = self._clock.monotonic_ns() + LATE_ARRIVAL_NS
        for step in steps:
            if isinstance(step, ClosePosition):
                self._waits |= {(slice_name, target): late_ns for target in _targets(step)}

    def ended(self, slice_name: str, results: Iterable[StepResult], now_ns: int) -> None:
        """All steps of one look: what was refused has cost nothing, and waits by itself."""
        settling: dict[Target, int] = {}
        refused: set[Target] = set()
        for result in results:
            step = result.step
            if result.outcome is Outcome.REFUSED:
                refused.update(_targets(step))
                continue
            closes = isinstance(step, ClosePosition)
            if closes:
                settles_ns = SETTLED_NS if result.outcome is Outcome.DONE else LATE_ARRIVAL_NS
                settling |= {each: max(settles_ns, settling.get(each, 0)) for each in _targets(step)}
            pace = self._paces.get((slice_name, closes), Pace())
            if pace.times[-1:] != (now_ns,):  # all of one look are one intervention
                self._paces[slice_name, closes] = pace.intervened(now_ns)
            for target in _targets(step):
                self._refusals.pop((slice_name, target), None)
        for target in refused - settling.keys():
            key = slice_name, target
            settling[target] = min(REFUSED_WAIT_NS << min(self._refusals[key], 10), REFUSED_WAIT_MAX_NS)
            self._refusals[key] += 1
        for target, wait_ns in settling.items():
            self._waits[slice_name, target] = now_ns + wait_ns


def _targets(step: Step) -> tuple[Target, ...]:
    """What a step is about: the leg that it closes, or the orders that it cancels."""
    match step:
        case ClosePosition():
            return (step.key,)
        case CancelOrders():
            return step.order_ids
        case _:
            return ()
