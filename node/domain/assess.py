"""From what was read to what may be claimed. Pure.

Nothing is called flat here but by a causal read that began after the last step had ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from node.domain.command import Action
from node.domain.flatten import FlattenTerms, Holding, to_settle
from node.domain.plan import LegMemory, Memory, Scope, guards_residue, is_residue
from node.domain.result import BalanceReport, ErrorReport, NetExposure, PositionReport, Residue, Verdict, net_exposure
from node.domain.snapshot import Balance, Position, PositionKey, SliceSnapshot
from node.domain.steps import Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceState:
    """All that is known of one slice while a goal is pursued."""

    slice: str
    #: Its balances can be sold.
    spot: bool = False
    #: The newest complete read in causal order; None while there is none.
    proof: SliceSnapshot | None = None
    #: The newest read of positions, whatever else it showed: no proof, but worth telling while there is none.
    seen: SliceSnapshot | None = None
    #: Spot under FLATTEN: what the proof's balances are worth, and whether they can still be sold.
    holdings: tuple[Holding, ...] = ()
    #: Monotonic: when the newest step here ended; 0 without any.
    last_step_ended_ns: int = 0
    memory: Memory = field(default_factory=dict)
    #: Assets whose sale the venue refuses at every price allowed.
    refused_assets: frozenset[str] = frozenset()
    #: Assets whose market takes no orders now.
    closed_assets: frozenset[str] = frozenset()
    #: The key, its rights or our own permission level forbid what is needed here: only a person can help.
    denied: bool = False
    before_positions: Mapping[PositionKey, Decimal] = field(default_factory=dict)
    before_balances: Mapping[str, Decimal] = field(default_factory=dict)
    trouble: ErrorReport | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """What one command wants of the account."""

    action: Action
    scope: Scope
    terms: FlattenTerms
    not_covered: tuple[str, ...] = ()
    unverified: tuple[str, ...] = ()
    #: Symbols that this venue does not know: nothing can be proven of them.
    unknown_symbols: tuple[str, ...] = ()
    #: Whether it knows all of its markets yet; until then it may still come to know them.
    symbols_certain: bool = True
    #: Monotonic: a proof that began before the command was received says nothing of it.
    proofs_from_ns: int = 0
    #: Monotonic: nor does one that ended longer ago than this.
    proofs_until_ns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """How far an aim is reached."""

    #: Proven: nothing is left to do.
    complete: bool
    #: Cannot be reached without a person.
    hopeless: bool
    verdict: Verdict
    #: Whether a hold may lift afterwards.
    may_release: bool
    positions: tuple[PositionReport, ...]
    balances: tuple[BalanceReport, ...]
    net_exposure: NetExposure
    #: What the venue cannot show, and what it keeps apart.
    unverified: tuple[str, ...]
    evidence: tuple[SliceSnapshot, ...]
    errors: tuple[ErrorReport, ...]


def assess(aim: Aim, states: Sequence[SliceState], *, beside: Sequence[SliceSnapshot] = ()) -> Assessment:
    """Judge one command's part by the states of the slices in its scope.

    *beside* is what was last seen of the account's other slices: the direction that is left is the whole account's.
    """
    valid = _valid_proofs(aim, states)
    positions = [report for state in states for report in _positions(aim, state, valid[state.slice])]
    balances = [report for state in states for report in _balances(aim, state, valid[state.slice])]
    finished = [_finished(aim, state, valid[state.slice]) for state in states]
    complete = bool(states) and all(finished) and not aim.unknown_symbols
    stuck = [state.denied and not done for state, done in zip(states, finished, strict=True)]
    if aim.action is Action.FLATTEN and any(stuck):
        # Balances are not sold while positions stand, and these will stand.
        waiting = [state.spot and _only_waits(aim, valid[state.slice]) for state in states]
        stuck = [lost or (waits and not done) for lost, waits, done in zip(stuck, waiting, finished, strict=True)]
    unreachable = any(stuck) or bool(aim.unknown_symbols)
    settled = aim.symbols_certain or not aim.unknown_symbols
    hopeless = unreachable and settled and all(done or lost for done, lost in zip(finished, stuck, strict=True))
    proofs = tuple(proof for proof in valid.values() if proof is not None)
    shown = [valid[state.slice] or _seen(aim, state) for state in states]
    open_still = any(_shows_work(aim, state, seen) for state, seen in zip(states, shown, strict=True) if seen)
    residue = _residue(aim, positions, balances)
    unverified = tuple(dict.fromkeys((*aim.unverified, *(name for seen in shown if seen for name in seen.kept_apart))))
    exposure = net_exposure(
        (position for seen in (*shown, *beside) if seen for position in seen.positions),
        (balance for seen in (*shown, *beside) if seen for balance in seen.balances or ()),
        aim.terms.base_currency,
        unread=(state.slice for state, seen in zip(states, shown, strict=True) if seen is None),
    )
    return Assessment(
        complete=complete,
        hopeless=hopeless,
        verdict=_verdict(
            aim,
            complete=complete,
            residue=residue,
            unproven=bool(aim.not_covered or unverified),
            known_open=len(proofs) == len(states) or (all(shown) and open_still),
        ),
        may_release=complete and not aim.not_covered and not unverified and residue <= {Residue.DUST},
        positions=tuple(positions),
        balances=tuple(balances),
        net_exposure=exposure,
        unverified=unverified,
        evidence=proofs,
        errors=tuple(_errors(aim, states)),
    )


def to_renew(aim: Aim, states: Sequence[SliceState]) -> list[str]:
    """The slices whose proof is too old, or was overtaken by a step elsewhere; none while any has work left.

    Proving one slice again and again beside another that is stuck would cost requests and show nothing.
    """
    if not all(_finished(aim, state, _causal(state.proof)) or state.denied for state in states):
        return []
    valid = _valid_proofs(aim, states)
    return [state.slice for state in states if state.proof and valid[state.slice] is None]


def _valid_proofs(aim: Aim, states: Sequence[SliceState]) -> dict[str, SliceSnapshot | None]:
    """Per slice the proof, if it may be relied on: begun after the last step anywhere, and not too long ago."""
    since_ns = max((aim.proofs_from_ns, *(state.last_step_ended_ns for state in states)))
    proofs = {state.slice: _causal(state.proof) for state in states}
    return {
        name: proof if proof and _answers(aim, proof) and proof.started_ns >= since_ns else None
        for name, proof in proofs.items()
    }


def _answers(aim: Aim, proof: SliceSnapshot) -> bool:
    chained = proof.chained_from_ns is None or proof.chained_from_ns >= aim.proofs_from_ns
    return chained and proof.ended_ns >= aim.proofs_until_ns


def _causal(proof: SliceSnapshot | None) -> SliceSnapshot | None:
    whole = proof is not None and proof.causal and proof.orders is not None and proof.balances is not None
    return proof if whole else None


def _seen(aim: Aim, state: SliceState) -> SliceSnapshot | None:
    return state.seen if state.seen is not None and state.seen.started_ns >= aim.proofs_from_ns else None


def _shows_work(aim: Aim, state: SliceState, seen: SliceSnapshot) -> bool:
    if any(aim.scope.covers(each.symbol) for each in seen.positions):
        return True
    flattens = aim.action is Action.FLATTEN and state.spot
    return flattens and bool(to_settle(seen.balances or (), aim.terms))


def _finished(aim: Aim, state: SliceState, proof: SliceSnapshot | None) -> bool:
    if proof is None:
        return False
    if any(aim.scope.covers(each.symbol) and not is_residue(each, state.memory) for each in proof.positions):
        return False
    left = (order for order in proof.orders or () if aim.scope.covers(order.symbol))
    if not all(guards_residue(order, proof.positions, state.memory) for order in left):
        return False
    if aim.action is not Action.FLATTEN or not state.spot:
        return True
    judged = {holding.balance.asset for holding in state.holdings}
    if any(balance.asset not in judged for balance in to_settle(proof.balances or (), aim.terms)):
        return False
    return not any(holding.step is not None for holding in state.holdings)


def _only_waits(aim: Aim, proof: SliceSnapshot | None) -> bool:
    """Whether a slice of balances has nothing left to do but sales that may not begin."""
    orders = proof.orders if proof is not None else ()
    return proof is not None and not any(aim.scope.covers(order.symbol) for order in orders or ())


def _positions(aim: Aim, state: SliceState, proof: SliceSnapshot | None) -> Iterable[PositionReport]:
    shown = proof or _seen(aim, state)
    held = {position.key: position for position in shown.positions} if shown else {}
    now = {key: position.contracts for key, position in held.items()}
    for key in sorted(state.before_positions.keys() | now.keys()):
        if not aim.scope.covers(key.symbol):
            continue
        yield PositionReport(
            slice=state.slice,
            symbol=key.symbol,
            side=key.side,
            before=state.before_positions.get(key, Decimal(0)),
            after=now.get(key, Decimal(0)) if shown else None,
            verdict=_position_verdict(aim, state, key, held.get(key), proven=proof is not None),
        )


def _position_verdict(aim: Aim, state: SliceState, key: PositionKey, held: Position | None, *, proven: bool) -> Residue:
    if held is None:
        if proven:
            return Residue.FLAT
        return Residue.REFUSED if state.denied else Residue.UNKNOWN  # seen to be gone is not proven
    if is_residue(held, state.memory):
        return Residue.DUST if held.value is not None and held.value < aim.terms.min_value else Residue.UNSELLABLE
    match state.memory.get(key, LegMemory()).last_refusal:
        case None:
            return Residue.UNKNOWN  # still being closed
        case Refusal.MARKET_CLOSED:
            return Residue.MARKET_CLOSED
        case _:
            return Residue.REFUSED


def _balances(aim: Aim, state: SliceState, proof: SliceSnapshot | None) -> Iterable[BalanceReport]:
    shown = proof or _seen(aim, state)
    balances = shown.balances if shown else None
    now: dict[str, Balance] = {balance.asset: balance for balance in balances or ()}
    holdings = {holding.balance.asset: holding for holding in state.holdings}
    for asset in sorted(state.before_balances.keys() | now.keys()):
        if asset == aim.terms.base_currency and not (asset in now and now[asset].debt):
            continue
        balance = now.get(asset)
        after = None if balances is None else (balance.total if balance else Decimal(0))
        before = state.before_balances.get(asset, Decimal(0))
        if not before and not after and not (balance and balance.debt):
            continue
        yield BalanceReport(
            slice=state.slice,
            asset=asset,
            before=before,
            after=after,
            debt=balance.debt if balance else Decimal(0),
            verdict=_balance_verdict(aim, state, asset, after, balance, holdings.get(asset), proven=proof is not None),
        )


def _balance_verdict(
    aim: Aim,
    state: SliceState,
    asset: str,
    after: Decimal | None,
    balance: Balance | None,
    holding: Holding | None,
    *,
    proven: bool,
) -> Residue:
    owed = balance is not None and balance.debt > 0
    if after is None or (not proven and after == 0):
        return Residue.UNKNOWN  # seen to be gone is not proven
    if after == 0 and not owed:
        return Residue.FLAT
    if aim.action is not Action.FLATTEN or (asset in aim.terms.keep and not owed):
        return Residue.HELD
    if not state.spot:
        return Residue.COLLATERAL
    if asset in state.refused_assets:
        return Residue.REFUSED
    if not proven or holding is None or holding.step is not None:
        return Residue.MARKET_CLOSED if asset in state.closed_assets else Residue.UNKNOWN
    return holding.residue(aim.terms)


def _residue(aim: Aim, positions: Iterable[PositionReport], balances: Iterable[BalanceReport]) -> set[Residue]:
    left = {report.verdict for report in positions} - {Residue.FLAT}
    if aim.action is not Action.FLATTEN:
        return left
    return left | ({report.verdict for report in balances} - {Residue.FLAT, Residue.HELD})


def _verdict(aim: Aim, *, complete: bool, residue: set[Residue], unproven: bool, known_open: bool) -> Verdict:
    if not complete:
        return Verdict.NOT_FLAT if known_open and not aim.unknown_symbols else Verdict.UNKNOWN
    if residue or unproven:
        return Verdict.FLAT_WITH_RESIDUE
    return Verdict.FLAT


def _errors(aim: Aim, states: Sequence[SliceState]) -> Iterable[ErrorReport]:
    for state in states:
        if state.trouble is not None:
            yield state.trouble
    for symbol in aim.unknown_symbols:
        yield ErrorReport(code="UNKNOWN_SYMBOL", message="this venue does not know the symbol", symbol=symbol)
