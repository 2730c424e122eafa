"""What the guard of a locked account leaves alone, what it undoes, and how often. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from node.domain.guard_mode import GuardMode, GuardModes
from node.domain.plan import Chain, Memory, Plan, Scope, cancels, closes_of, is_residue
from node.domain.result import decimal_text, instant_text
from node.domain.snapshot import (
    Balance,
    MarketKind,
    MarketRules,
    OpenOrder,
    Position,
    PositionKey,
    PositionSide,
    Side,
    SliceSnapshot,
)
from node.domain.steps import OrderIds

#: After so many interventions in a minute they are spaced out: no ping-pong for fees.
INTERVENTIONS_MAX: Final = 10
INTERVENTIONS_WITHIN_NS: Final = 60_000_000_000
SPACED_BY_NS: Final = 30_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """The positions that were there when the account was locked, slice by slice.

    A slice without an entry has not been seen since: its next complete read becomes its baseline.
    """

    #: When the lock was taken that this belongs to.
    since: datetime | None = None
    slices: Mapping[str, Mapping[PositionKey, Decimal]] = field(default_factory=dict)
    #: What closes were about: nothing is left alone there but what they could not close.
    closed: tuple[Scope, ...] = ()
    #: Parts of slices that are to be taken anew.
    pending: tuple[tuple[str, Scope], ...] = ()
    #: By slice: what we called the venue's markets. Names get lost, when a market is delisted or cannot be loaded.
    names: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def knows(self, slice_name: str) -> bool:
        """Whether the slice has its whole entry."""
        return slice_name in self.slices and not any(name == slice_name for name, _ in self.pending)

    def taken(self, snapshot: SliceSnapshot) -> Baseline:
        """With a slice's positions as they are; what is known already stays."""
        name = snapshot.slice
        if self.knows(name):
            return self
        legs = {position.key: position.contracts for position in snapshot.positions}
        if name in self.slices:
            anew = [scope for pending, scope in self.pending if pending == name]
            legs = {leg: size for leg, size in legs.items() if any(scope.covers(leg.symbol) for scope in anew)}
            legs = {**self.slices[name], **legs}
        pending = tuple(entry for entry in self.pending if entry[0] != name)
        return replace(self, slices={**self.slices, name: legs}, pending=pending, names=self._with_names(snapshot))

    def after_close(self, scope: Scope, proofs: Iterable[SliceSnapshot]) -> Baseline:
        """Within *scope* only what the proofs still show; outside it what was there before, or is there now."""
        slices, names = dict(self.slices), self
        for proof in proofs:
            names = replace(names, names=names._with_names(proof))
            shown = {position.key: position.contracts for position in proof.positions}
            before = slices.get(proof.slice, shown)
            slices[proof.slice] = {
                **{leg: size for leg, size in before.items() if not scope.covers(leg.symbol)},
                **{leg: size for leg, size in shown.items() if scope.covers(leg.symbol)},
            }
        closed = self.closed if scope in self.closed else (*self.closed, scope)
        return replace(self, slices=slices, closed=closed, names=names.names)

    def after_failure(self, slices: Iterable[str], scope: Scope) -> Baseline:
        """A close was given up: what is there now, within its scope, is left to the person who was told."""
        known = [name for name in slices if name in self.slices]
        left = {
            name: {leg: size for leg, size in legs.items() if name not in known or not scope.covers(leg.symbol)}
            for name, legs in self.slices.items()
        }
        return replace(self, slices=left, pending=(*self.pending, *((name, scope) for name in known)))

    def mode(self, modes: GuardModes, thing: Position | OpenOrder) -> GuardMode:
        """What is done about a position or an order."""
        symbol = self._symbol(thing)
        return modes.after_close if any(scope.covers(symbol) for scope in self.closed) else modes.after_lock

    def beyond(self, positions: Iterable[Position]) -> tuple[Position, ...]:
        """What exceeds the baseline, each position cut to its excess; nothing of a slice that has no entry yet."""
        cut = ((position, self.excess(position)) for position in positions if self.knows(position.slice))
        return tuple(_resized(position, excess) for position, excess in cut if excess > 0)

    def excess(self, position: Position) -> Decimal:
        """By how many contracts a position is larger than it was."""
        legs = self.slices.get(position.slice, {})
        # Its market may have been unknown at the lock, or may be now: then a leg goes by the venue's own name.
        names = (self._symbol(position), position.symbol, position.market_id)
        keys = (position.key._replace(symbol=name) for name in names)
        known = next((legs[key] for key in keys if key in legs), Decimal(0))
        return max(position.contracts - known, Decimal(0))

    def _symbol(self, thing: Position | OpenOrder) -> str:
        return self.names.get(thing.slice, {}).get(thing.market_id, thing.symbol)

    def _with_names(self, snapshot: SliceSnapshot) -> Mapping[str, Mapping[str, str]]:
        found = {each.market_id: each.symbol for each in snapshot.positions if each.symbol != each.market_id}
        return {**self.names, snapshot.slice: {**self.names.get(snapshot.slice, {}), **found}} if found else self.names


def _resized(position: Position, contracts: Decimal) -> Position:
    exposure = position.base_exposure
    if exposure is not None:
        exposure *= contracts / position.contracts
    return replace(position, contracts=contracts, base_exposure=exposure)


def adds_exposure(order: OpenOrder, kind: MarketKind, balances: Iterable[Balance] = ()) -> bool:
    """Whether an order could open or enlarge anything.

    A sale from a wallet that cannot owe only lightens it; where it can, so does a sale of no more than is held net of
    debt, and a purchase of no more than is owed net of what is held. Each order is judged by itself.
    """
    if kind is MarketKind.SPOT:
        return order.side is Side.BUY
    if kind is MarketKind.MARGIN and order.remaining is not None:
        held = {balance.asset: balance for balance in balances}.get(order.symbol.partition("/")[0])
        net = held.total - held.debt if held is not None else Decimal(0)
        return order.remaining > (net if order.side is Side.SELL else -net)
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
        if baseline.mode(modes, order) is not GuardMode.OFF and adds_exposure(order, kind, snapshot.balances or ())
    ]
    by_symbol: dict[str, list[OpenOrder]] = defaultdict(list)
    for order in unwanted:
        by_symbol[order.symbol].append(order)
    chains += [(tuple(cancels(orders)),) for _, orders in sorted(by_symbol.items())]
    for position in baseline.beyond(snapshot.positions):
        if baseline.mode(modes, position) is GuardMode.REVERT and not is_residue(position, memory):
            closes = closes_of(position, rules.get(position.symbol), memory.get(position.key), ids, max_slippage)
            chains.append((closes,))
    return Plan(chains=tuple(chain for chain in chains if any(chain)))


@dataclass(frozen=True, slots=True)
class Pace:
    """How often the guard has intervened of late. Times are monotonic nanoseconds."""

    times: tuple[int, ...] = ()
    spaced: bool = False

    def wait_ns(self, now_ns: int) -> int:
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
        "pending": [
            [name, None if scope.symbols is None else sorted(scope.symbols)] for name, scope in baseline.pending
        ],
        "names": {name: dict(names) for name, names in baseline.names.items()},
        "slices": {
            name: [[leg.symbol, leg.side.value, leg.isolated, decimal_text(size)] for leg, size in legs.items()]
            for name, legs in baseline.slices.items()
        },
    }


def baseline_from(document: Mapping[str, Any]) -> tuple[Baseline, GuardMode | None]:
    """From ``baseline_document``.

    Raises:
        AttributeError, KeyError, TypeError, ValueError, ArithmeticError: it is something else.
    """
    since, override = document["since"], document["override"]
    baseline = Baseline(
        since=None if since is None else datetime.fromisoformat(since),
        closed=tuple(Scope(symbols=None if names is None else frozenset(names)) for names in document["closed"]),
        pending=tuple(
            (name, Scope(symbols=None if names is None else frozenset(names))) for name, names in document["pending"]
        ),
        names={name: dict(names) for name, names in document["names"].items()},
        slices={
            name: {
                PositionKey(symbol, PositionSide(side), bool(isolated)): Decimal(size)
                for symbol, side, isolated, size in legs
            }
            for name, legs in document["slices"].items()
        },
    )
    return baseline, None if override is None else GuardMode(override)
