"""What may be claimed, whatever was read: flat is never said of what was not proven to be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from node.domain.assess import Aim, SliceState, assess, to_renew
from node.domain.command import Action
from node.domain.flatten import FlattenTerms, Holding, to_settle
from node.domain.plan import LegMemory, Scope
from node.domain.result import ErrorReport, Residue, Verdict
from node.domain.snapshot import Balance, OpenOrder, Position, PositionKey, PositionSide, SliceSnapshot
from node.domain.steps import Refusal, SellSpot
from tests.support.fake_venue import order, position

SYMBOLS = ("BTC/USDT:USDT", "ETH/USDT:USDT")
ASSETS = ("USDT", "BTC", "BNB", "WAN")
NAMES = ("spot", "linear")
TERMS = FlattenTerms(base_currency="USDT", keep=frozenset({"BNB"}), min_value=Decimal(5))
NAMED = {Residue.FLAT, Residue.DUST, Residue.UNSELLABLE, Residue.HELD, Residue.COLLATERAL, Residue.REFUSED}

sides = st.sampled_from(list(PositionSide))
sizes = st.sampled_from([Decimal(0), Decimal("0.00000001"), Decimal("0.5"), Decimal(900)])
marks = st.sampled_from([None, Decimal(0), Decimal(2), Decimal(60000)])
positions = st.builds(
    lambda symbol, side, size, mark: position(symbol, str(size), side, mark_price=mark),
    st.sampled_from(SYMBOLS),
    sides,
    st.sampled_from([Decimal("0.001"), Decimal(4)]),
    marks,
)
balances = st.builds(Balance, slice=st.just(""), asset=st.sampled_from(ASSETS), free=sizes, locked=sizes, debt=sizes)
moments = st.integers(0, 60)
worths = st.sampled_from([None, Decimal(0), Decimal("4.99"), Decimal(5), Decimal(800)])


def one_of_each(values: st.SearchStrategy[Any], key: str, *, most: int = 2) -> st.SearchStrategy[tuple[Any, ...]]:
    """At most one position a leg, one balance an asset; mostly none."""
    listed = st.lists(values, max_size=most, unique_by=lambda each: getattr(each, key)).map(tuple)
    return st.one_of(st.just(()), listed)


@st.composite
def snapshots(draw: st.DrawFn, name: str) -> SliceSnapshot:
    """A read of any kind: whole or not, causal or not, early or late."""
    held: tuple[Position, ...] = () if name == "spot" else draw(one_of_each(positions, "key"))
    shown: tuple[Balance, ...] = draw(one_of_each(balances, "asset"))
    orders: tuple[OpenOrder, ...] | None = draw(
        st.sampled_from([()] * 6 + [None, (order(SYMBOLS[0], "1"),), (order(SYMBOLS[1], "2", trigger=True),)])
    )
    started_ns = draw(st.one_of(st.just(60), st.just(60), moments))
    return SliceSnapshot(
        slice=name,
        positions=tuple(replace(each, slice=name) for each in held),
        orders=orders,
        balances=draw(st.sampled_from([tuple(replace(each, slice=name) for each in shown)] * 8 + [None])),
        started_ns=started_ns,
        ended_ns=started_ns + draw(st.integers(0, 5)),
        read_at=datetime(2026, 11, 20, tzinfo=UTC),
        causal=draw(st.sampled_from([True] * 8 + [False])),
    )


@st.composite
def holdings(draw: st.DrawFn, proof: SliceSnapshot | None) -> tuple[Holding, ...]:
    """A judgement of all that the proof shows, or of less."""
    shown = to_settle((proof.balances if proof else None) or (), TERMS)
    judged = []
    for each in shown:
        if draw(st.sampled_from([True, True, True, False])):
            sale = SellSpot(
                slice=each.slice, symbol="X", market_id="X", asset=each.asset, quantity=Decimal(1),
                limit_price=Decimal(1), client_order_id="s",
            )  # fmt: skip
            judged.append(
                Holding(
                    balance=each,
                    route=None,
                    value=draw(st.sampled_from([None, Decimal(0), Decimal("4.99"), Decimal(5), Decimal(800)])),
                    debt_value=draw(st.sampled_from([None, Decimal(0), Decimal("4.99"), Decimal(800)])),
                    step=draw(st.sampled_from([None, None, None, sale])),
                )
            )
    return tuple(judged)


@st.composite
def slice_states(draw: st.DrawFn, name: str) -> SliceState:
    """Anything that may be known of a slice."""
    proof = draw(st.one_of(*[snapshots(name)] * 7, st.none()))
    legs = st.builds(PositionKey, st.sampled_from(SYMBOLS), sides)
    memory = st.builds(
        LegMemory,
        too_small=st.sampled_from([0, 3, 3, 5]),
        too_small_contracts=st.sampled_from([Decimal(0), Decimal(10**9), Decimal(10**9)]),
        last_refusal=st.sampled_from([None, *Refusal]),
    )
    assets = st.frozensets(st.sampled_from(ASSETS), max_size=1)
    return SliceState(
        slice=name,
        spot=name == "spot",
        proof=proof,
        seen=draw(st.one_of(st.none(), st.none(), snapshots(name))),
        holdings=draw(holdings(proof)),
        last_step_ended_ns=draw(st.one_of(st.just(0), st.just(60), st.integers(55, 65))),
        memory={
            **draw(st.dictionaries(legs, memory, max_size=2)),
            **{each.key: draw(memory) for each in (proof.positions if proof else ())},
        },
        refused_assets=draw(assets),
        closed_assets=draw(assets),
        denied=draw(st.sampled_from([False, False, False, True])),
        before_positions=draw(st.dictionaries(legs, sizes, max_size=2)) if name != "spot" else {},
        before_balances=draw(st.dictionaries(st.sampled_from(ASSETS), sizes, max_size=2)),
        trouble=draw(st.sampled_from([None, ErrorReport(code="X", message="x")])),
    )


states = st.tuples(*(slice_states(name) for name in NAMES)).flatmap(
    lambda all_of_them: st.sampled_from([1, 2, 2, 2]).map(lambda count: all_of_them[:count])
)
aims = st.builds(
    Aim,
    action=st.sampled_from([Action.CLOSE_ALL, Action.FLATTEN]),
    scope=st.builds(Scope, symbols=st.sampled_from([None, None, frozenset(SYMBOLS[:1])])),
    terms=st.just(TERMS),
    not_covered=st.sampled_from([(), (), ("option",)]),
    unverified=st.sampled_from([(), (), ("stops",)]),
    unknown_symbols=st.sampled_from([(), (), (), (), (), (), ("NO/SUCH",)]),
    symbols_certain=st.booleans(),
    proofs_from_ns=st.one_of(st.just(0), st.just(0), moments),
    proofs_until_ns=st.one_of(st.just(0), st.just(0), moments),
)


@st.composite
def finished_states(draw: st.DrawFn) -> tuple[SliceState, ...]:
    """Nothing is left to do: positions are residue, balances are judged, and every proof came after the last step."""
    made = []
    for name in NAMES:
        proof = replace(
            draw(snapshots(name)), orders=(), causal=True, started_ns=60, ended_ns=61,
            balances=tuple(replace(each, slice=name) for each in draw(one_of_each(balances, "asset"))),
        )  # fmt: skip
        judged = tuple(
            Holding(balance=each, route=None, value=draw(worths), debt_value=draw(worths))
            for each in to_settle(proof.balances or (), TERMS)
        )
        too_small = LegMemory(too_small=3, last_refusal=Refusal.TOO_SMALL)
        memory = {each.key: replace(too_small, too_small_contracts=each.contracts) for each in proof.positions}
        made.append(SliceState(slice=name, spot=name == "spot", proof=proof, holdings=judged, memory=memory))
    return tuple(made)


def proofless(state: SliceState, **changes: Any) -> SliceState:
    """The state with a proof that lacks something."""
    assert state.proof is not None
    return replace(state, proof=replace(state.proof, **changes))


SALE = SellSpot(
    slice="spot",
    symbol="X",
    market_id="X",
    asset="BTC",
    quantity=Decimal(1),
    limit_price=Decimal(1),
    client_order_id="s",
)
COINS = Balance(slice="spot", asset="BTC", free=Decimal(1))
SELLABLE = Holding(balance=COINS, route=None, value=None, step=SALE)
DOUBTS: dict[str, Callable[[SliceState], SliceState]] = {
    "never read": lambda state: replace(state, proof=None),
    "in no causal order": lambda state: proofless(state, causal=False),
    "orders not asked for": lambda state: proofless(state, orders=None),
    "balances not asked for": lambda state: proofless(state, balances=None),
    "an order": lambda state: proofless(state, orders=(order(SYMBOLS[0], "1"),)),
    "a position": lambda state: proofless(
        replace(state, memory={}), positions=(position(SYMBOLS[0], "1", slice=state.slice),)
    ),
    "a later step": lambda state: replace(state, last_step_ended_ns=61),
    "begun before the command": lambda state: proofless(state, started_ns=9),
    "too old": lambda state: proofless(state, started_ns=10, ended_ns=11),
}
SPOT_DOUBTS: dict[str, Callable[[SliceState], SliceState]] = {
    "a balance that nobody judged": lambda state: proofless(
        state, balances=(Balance(slice="spot", asset="NEW", free=Decimal(1)),)
    ),
    "a debt that nobody judged": lambda state: proofless(
        replace(state, holdings=()), balances=(Balance(slice="spot", asset="BNB", free=Decimal(0), debt=Decimal(1)),)
    ),
    "something that can still be sold": lambda state: replace(state, holdings=(SELLABLE,)),
}
AIM = Aim(action=Action.FLATTEN, scope=Scope(), terms=TERMS, proofs_from_ns=10, proofs_until_ns=12)


@given(finished_states(), st.integers(0, len(NAMES) - 1), st.sampled_from(sorted(DOUBTS)))
def test_one_doubt_about_one_slice_is_enough(finished: tuple[SliceState, ...], where: int, doubt: str) -> None:
    """Without it the command is complete; with it it is not, whichever slice it is in."""
    assert assess(AIM, finished).complete
    doubtful = tuple(DOUBTS[doubt](each) if number == where else each for number, each in enumerate(finished))
    assert not assess(AIM, doubtful).complete


@given(finished_states(), st.sampled_from(sorted(SPOT_DOUBTS)))
def test_one_balance_in_doubt_is_enough_for_flatten(finished: tuple[SliceState, ...], doubt: str) -> None:
    """And of no concern to CLOSE_ALL, which sells nothing."""
    doubtful = tuple(SPOT_DOUBTS[doubt](each) if each.spot else each for each in finished)
    assert not assess(AIM, doubtful).complete
    assert assess(replace(AIM, action=Action.CLOSE_ALL), doubtful).complete


def proven(aim: Aim, all_states: tuple[SliceState, ...], state: SliceState) -> bool:
    """The slice was read in causal order, whole, after the last step anywhere had ended, and not too long ago."""
    proof = state.proof
    if proof is None or not proof.causal or proof.orders is None or proof.balances is None:
        return False
    last_step_ns = max(each.last_step_ended_ns for each in all_states)
    return proof.started_ns >= max(last_step_ns, aim.proofs_from_ns) and proof.ended_ns >= aim.proofs_until_ns


@settings(max_examples=200)
@given(aims, st.one_of(states, finished_states()))
def test_complete_means_that_every_slice_is_proven_and_nothing_is_unknown(
    aim: Aim, all_states: tuple[SliceState, ...]
) -> None:
    """Whatever is left has a name; the evidence is every slice's proof."""
    judged = assess(aim, all_states)
    if not judged.complete:
        assert judged.verdict in (Verdict.UNKNOWN, Verdict.NOT_FLAT)
        assert not judged.may_release
        return
    assert judged.verdict in (Verdict.FLAT, Verdict.FLAT_WITH_RESIDUE)
    assert all(proven(aim, all_states, state) for state in all_states)
    assert judged.evidence == tuple(state.proof for state in all_states)
    assert not any(aim.scope.covers(each.symbol) for proof in judged.evidence for each in proof.orders or ())
    assert not aim.unknown_symbols
    assert not judged.hopeless
    assert {each.verdict for each in judged.balances} <= NAMED
    assert {each.verdict for each in judged.positions} <= NAMED


@settings(max_examples=200)
@given(aims, st.one_of(states, finished_states()))
def test_flat_is_said_only_of_what_is_empty(aim: Aim, all_states: tuple[SliceState, ...]) -> None:
    """Nothing in scope; for FLATTEN also no balance but base currency and what is kept, and no debt."""
    judged = assess(aim, all_states)
    if judged.verdict is not Verdict.FLAT:
        return
    assert judged.complete
    assert not aim.not_covered
    assert not aim.unverified
    for state in all_states:
        assert proven(aim, all_states, state)
        assert state.proof is not None
        assert not any(aim.scope.covers(each.symbol) for each in state.proof.positions)
        if aim.action is Action.FLATTEN:
            assert to_settle(state.proof.balances or (), TERMS) == []


@settings(max_examples=200)
@given(aims, st.one_of(states, finished_states()))
def test_a_hold_lifts_only_over_dust(aim: Aim, all_states: tuple[SliceState, ...]) -> None:
    """Anything that is worth something, or of unknown worth, keeps the account locked."""
    judged = assess(aim, all_states)
    if judged.may_release:
        assert judged.complete
        left = {each.verdict for each in judged.positions}
        if aim.action is Action.FLATTEN:
            left |= {each.verdict for each in judged.balances} - {Residue.HELD}
        assert left <= {Residue.FLAT, Residue.DUST}


@settings(max_examples=200)
@given(aims, st.one_of(states, finished_states()))
def test_nothing_is_called_dust_without_a_price(aim: Aim, all_states: tuple[SliceState, ...]) -> None:
    """What is held, and what is owed: both known to be worth less than the least that matters."""
    judged = assess(aim, all_states)
    by_name = {state.slice: state for state in all_states}
    for report in judged.balances:
        if report.verdict is Residue.DUST:
            found = {each.balance.asset: each for each in by_name[report.slice].holdings}[report.asset]
            held = found.value if report.after and report.asset != TERMS.base_currency else Decimal(0)
            owed = found.debt_value if report.debt else Decimal(0)
            assert held is not None
            assert owed is not None
            assert held + owed < TERMS.min_value
    for leg in judged.positions:
        if leg.verdict is Residue.DUST:
            state = by_name[leg.slice]
            shown = [each for read in (state.proof, state.seen) if read for each in read.positions]
            prices = {each.mark_price for each in shown if each.key[:2] == (leg.symbol, leg.side)}
            assert prices - {None, Decimal(0)}, "dust without a price"


@settings(max_examples=200)
@given(aims, states)
def test_only_what_is_stale_and_otherwise_finished_is_read_again(aim: Aim, all_states: tuple[SliceState, ...]) -> None:
    """A proof that still holds is never asked for again, nor is anything while there is work left."""
    again = to_renew(aim, all_states)
    assert not any(proven(aim, all_states, state) for state in all_states if state.slice in again)
    if assess(aim, all_states).complete:
        assert again == []
