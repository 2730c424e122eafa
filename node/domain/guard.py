"""What the guard of a locked account leaves alone, what it undoes, and how often. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from node.domain.guard_mode import GuardMode, GuardModes
from node.domain.plan import Chain, Memory, Plan, Scope, cancels, closes_of
from node.domain.result import decimal_text, instant_text
from node.domain.snapshot import MarketKind, MarketRules, OpenOrder, Position, PositionSide, Side, SliceSnapshot
from node.domain.steps import OrderIds

#: After so many interventions in a minute they are spaced out: no ping-pong for fees.
INTERVENTIONS_MAX: Final = 10
INTERVENTIONS_WITHIN_NS: Final = 60_000_000_000
SPACED_BY_NS: Final = 30_000_000_000

Leg = tuple[str, PositionSide]


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """The positions that were there when the account was locked, slice by slice.

    A slice without an entry has not been seen since: its next complete read becomes its baseline.
    """

    #: When the lock was taken that this belongs to.
    since: datetime | None = None
    slices: Mapping[str, Mapping[Leg, Decimal]] = field(default_factory=dict)
    #: What closes were about: nothing is left alone there but what they could not close.
    closed: tuple[Scope, ...] = ()

    def knows(self, slice_name: str) -> bool:
        """Whether the slice has its entry."""
        return slice_name in self.slices

    def taken(self, snapshot: SliceSnapshot) -> Baseline:
        """With a slice's positions as they are; what is known already stays."""
        if self.knows(snapshot.slice):
            return self
        legs = {position.key: position.contracts for position in snapshot.positions}
        return replace(self, slices={**self.slices, snapshot.slice: legs})

    def after_close(self, scope: Scope, proofs: Iterable[SliceSnapshot]) -> Baseline:
        """Within *scope* only what the proofs still show; outside it what was there before, or is there now."""
        slices = dict(self.slices)
        for proof in proofs:
            shown = {position.key: position.contracts for position in proof.positions}
            before = slices.get(proof.slice, shown)
            slices[proof.slice] = {
                **{leg: size for leg, size in before.items() if not scope.covers(leg[0])},
                **{leg: size for leg, size in shown.items() if scope.covers(leg[0])},
            }
        return replace(self, slices=slices, closed=(*self.closed, scope))

    def after_failure(self, slices: Iterable[str]) -> Baseline:
        """A close was given up: what is there now is left to the person who was told."""
        return replace(self, slices={name: legs for name, legs in self.slices.items() if name not in set(slices)})

    def mode(self, modes: GuardModes, symbol: str) -> GuardMode:
        """What is done about a symbol."""
        return modes.after_close if any(scope.covers(symbol) for scope in self.closed) else modes.after_lock

    def excess(self, position: Position) -> Decimal:
        """By how many contracts a position is larger than it was."""
        return max(position.contracts - self.slices.get(position.slice, {}).get(position.key, Decimal(0)), Decimal(0))


def adds_exposure(order: OpenOrder, kind: MarketKind) -> bool:
    """Whether an order could open or enlarge anything. A sale from a wallet that cannot owe only lightens it."""
    if kind is MarketKind.SPOT:
        return order.side is Side.BUY
    return not order.protective


def plan_guard(
    snapshot: SliceSnapshot,
    kind: MarketKind,
    baseline: Baseline,
    modes: GuardModes,
    rules: Mapping[str, MarketRules],
    *,
    ids: OrderIds,
    memory: Memory,
    max_slippage: Decimal,
) -> Plan:
    """Cancel what could add exposure; under ``revert`` also close what exceeds the baseline. Needs a fresh read.

    Closes are bounded by the venue (reduce-only, or the position side), so none can turn a position round; protective
    orders are never touched; balances are never sold.
    """
    chains: list[Chain] = []
    unwanted = [
        order
        for order in snapshot.orders or ()
        if baseline.mode(modes, order.symbol) is not GuardMode.OFF and adds_exposure(order, kind)
    ]
    by_symbol: dict[str, list[OpenOrder]] = defaultdict(list)
    for order in unwanted:
        by_symbol[order.symbol].append(order)
    chains += [(tuple(cancels(orders)),) for _, orders in sorted(by_symbol.items())]
    for position in snapshot.positions if baseline.knows(snapshot.slice) else ():
        excess = baseline.excess(position)
        leg = memory.get(position.key)
        if excess <= 0 or baseline.mode(modes, position.symbol) is not GuardMode.REVERT or (leg and leg.residual):
            continue
        closes = closes_of(replace(position, contracts=excess), rules.get(position.symbol), leg, ids, max_slippage)
        chains.append((closes,))
    return Plan(chains=tuple(chain for chain in chains if any(chain)))


@dataclass(frozen=True, slots=True)
class Pace:
    """How often the guard has intervened of late. Times are monotonic nanoseconds."""

    times: tuple[int, ...] = ()
    spaced: bool = False

    def may_ns(self, now_ns: int) -> int:
        """How long to wait before the next intervention; 0 if not at all."""
        if not self.spaced or not self.times:
            return 0
        return max(self.times[-1] + SPACED_BY_NS - now_ns, 0)

    def intervened(self, now_ns: int) -> Pace:
        """One more. Ten within a minute begin the spacing, a minute without any ends it."""
        recent = tuple(at for at in self.times if at > now_ns - INTERVENTIONS_WITHIN_NS)
        times = (*recent, now_ns)
        return Pace(times, spaced=len(times) >= INTERVENTIONS_MAX or (self.spaced and bool(recent)))

    def in_last_minute(self, now_ns: int) -> int:
        """How many there were."""
        return sum(at > now_ns - INTERVENTIONS_WITHIN_NS for at in self.times)


def baseline_document(baseline: Baseline, override: GuardMode | None) -> dict[str, Any]:
    """As the journal keeps it."""
    return {
        "since": baseline.since and instant_text(baseline.since),
        "override": override and override.value,
        "closed": [None if scope.symbols is None else sorted(scope.symbols) for scope in baseline.closed],
        "slices": {
            name: [[symbol, side.value, decimal_text(size)] for (symbol, side), size in legs.items()]
            for name, legs in baseline.slices.items()
        },
    }


def baseline_from(document: Mapping[str, Any]) -> tuple[Baseline, GuardMode | None]:
    """From ``baseline_document``.

    Raises:
        KeyError, TypeError, ValueError, ArithmeticError: it is something else.
    """
    since, override = document["since"], document["override"]
    baseline = Baseline(
        since=None if since is None else datetime.fromisoformat(since),
        closed=tuple(Scope(symbols=None if names is None else frozenset(names)) for names in document["closed"]),
        slices={
            name: {(symbol, PositionSide(side)): Decimal(size) for symbol, side, size in legs}
            for name, legs in document["slices"].items()
        },
    )
    return baseline, None if override is None else GuardMode(override)
