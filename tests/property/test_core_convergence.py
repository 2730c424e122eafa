"""On the real matching core, with whatever a venue, its market and a foreign engine do meanwhile: rounds end flat or
with a named residue, and the core's counters of harm stay at zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from functools import partial
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from node.domain.command import Action
from node.domain.flatten import AMOUNT_STEP, FlattenTerms
from node.domain.plan import TOO_SMALL_FOR_GOOD, Memory, Scope, learn, plan_slice, protection_price
from node.domain.result import Document
from node.domain.snapshot import Side
from node.domain.steps import BalanceStep, BuyToRepay, ConvertAsset, OrderIds, SellSpot, Step
from node.engine.account import ExecutionTerms
from node.sim import orders as sim
from node.sim.admission import admit
from node.sim.market import Market, Product
from node.sim.orders import Leg, OrderKind, OrderTerms, TimeInForce
from node.sim.refusals import RefusalError
from tests.property.worlds import (
    Happening,
    Interference,
    Portfolio,
    Wealth,
    anything,
    arrivals,
    late,
    lies,
    lost,
    portfolios,
    quiet_market,
    refusals,
    takings,
    wealth,
    well,
)
from tests.support.core_venue import CoreVenue, Ending
from tests.support.engine import engine
from tests.support.market_names import unified
from tests.support.virtual_time import VirtualClock, in_virtual_time

#: Rounds after the interference has stopped: every price level once, a blocked close, and the three times that a venue
#: must call a position too small.
ROUNDS_TO_SPARE = 16
SLIPPAGE = Decimal("0.05")

Memories = dict[str, Memory]


def harmless(venue: CoreVenue) -> None:
    """Nothing that was asked for turned a position round, enlarged one, bought or borrowed; no id was used twice."""
    counters = venue.account.counters
    harm = (counters.sign_flips, counters.exposure_increases, counters.borrows, counters.oversold)
    assert harm == (0, 0, 0, 0)
    assert venue.complaints == []
    ids = [step.client_order_id for step in venue.steps if hasattr(step, "client_order_id")]
    assert len(ids) == len(set(ids))


def closable(venue: CoreVenue, called_small: dict[str, int]) -> dict[tuple[str, str, Leg], Decimal]:
    """Open legs that the venue would close, and did not call too small three times without reason."""
    return {
        (name, symbol, leg): size
        for (name, symbol, leg), size in venue.held().items()
        if abs(size) >= venue.market(name, symbol).min_quantity and called_small.get(symbol, 0) < 3
    }


def stray_orders(venue: CoreVenue) -> list[OrderTerms]:
    """Orders that are left, but for the protection of what cannot be closed: that stays with it."""
    held = {(each.market, each.leg) for each in venue.account.open_positions()}
    resting = [order.terms for order in venue.account.open_orders.values()]
    return [terms for terms in resting if not terms.only_reduces or (terms.market, terms.leg) not in held]


def round_of(venue: CoreVenue, name: str, memory: Memory, number: int) -> Memory | None:
    """Read, plan, carry out, read again, learn. None: nothing is left to do."""
    ids = OrderIds(command_id=UUID(int=1), account_id=UUID(int=2), attempt=0, round=number)
    plan = plan_slice(
        venue.look(name), Scope(), venue.rules(name), ids=ids, memory=memory, max_slippage=SLIPPAGE, fresh=True
    )
    if not plan.steps:
        return None
    results = [venue.carry_out(step) for chain in plan.chains for stage in chain for step in stage]
    return learn(memory, results, venue.look(name))


def pursue(venue: CoreVenue, script: Interference) -> Memories:
    """Rounds over every slice until none has anything to do and the script is at its end."""
    memories: Memories = {name: {} for name in venue.slices}
    spare = ROUNDS_TO_SPARE
    for number in range(1, 400):
        quiet = not script.happenings
        busy = False
        for name in venue.slices:
            after = round_of(venue, name, memories[name], number)
            busy |= after is not None
            memories[name] = memories[name] if after is None else after
        if quiet and not busy:
            return memories
        if script.over:
            spare -= 1
            assert spare > 0, f"no end: {venue.held()} {venue.account.open_orders}"
    raise AssertionError("the script never ended")


@settings(max_examples=120)
@given(portfolios(), st.lists(anything, max_size=40), st.lists(st.one_of(well, refusals, lost, lies), max_size=40))
def test_rounds_end_flat_or_name_what_the_venue_will_not_close(
    portfolio: Portfolio, happenings: list[Happening], endings: list[Ending]
) -> None:
    """Prices move, engines open, close and turn positions round, triggers fire, markets stop, answers lie."""
    venue = portfolio.venue()
    script = Interference.of(venue, happenings, endings)
    memories = pursue(venue, script)
    assert stray_orders(venue) == []
    assert closable(venue, script.called_small) == {}
    for (name, symbol, _), quantity in venue.held().items():
        legs = [leg for key, leg in memories[name].items() if key.symbol == symbol]
        named = [
            leg for leg in legs if leg.too_small >= TOO_SMALL_FOR_GOOD and leg.too_small_contracts >= abs(quantity)
        ]
        assert named, "left over and not named"
    harmless(venue)


@settings(max_examples=60)
@given(
    portfolios(hedge=False).map(Portfolio.bare),
    st.lists(quiet_market, max_size=20),
    st.lists(st.one_of(well, refusals, lost), max_size=30),
)
def test_rounds_do_not_lean_on_the_venues_bound(
    portfolio: Portfolio, happenings: list[Happening], endings: list[Ending]
) -> None:
    """Where nobody else trades, closes are right by themselves: as plain orders they would turn nothing round."""
    venue = portfolio.venue()
    venue.bounded = False
    script = Interference.of(venue, happenings, endings)
    pursue(venue, script)
    assert closable(venue, script.called_small) == {}
    harmless(venue)


# Through the running engine

TERMS = FlattenTerms(base_currency="USDT", keep=frozenset({"BNB"}), min_value=Decimal(5))
#: Nobody waits for them.
VIRTUAL_HOUR_S = 3600.0
#: A proof is six times the latency of the core's venue.
PROOF_TAKES_NS = 50_000_000


@dataclass(frozen=True, kw_only=True)
class Course:
    """A command while everything happened, and the same one again when nothing did any more."""

    venue: CoreVenue
    script: Interference
    first: Document
    second: Document
    #: What a third one changed.
    changed_by_third: bool
    #: What the venue held when the first had ended, unless something has happened since its proof began.
    left_by_first: dict[tuple[str, str, Leg], Decimal]


def carried_out(
    action: Action,
    account: Portfolio | Wealth,
    happenings: Sequence[Happening],
    endings: Sequence[Ending],
    unreadable: Sequence[bool],
    settlings: Sequence[Ending] = (),
    *,
    armed: bool = True,
    bounded: bool = True,
) -> Course:
    """Send a command, to an account that is known already or not yet."""

    async def twice(clock: VirtualClock) -> Course:
        venue = account.venue(clock)
        venue.bounded = bounded
        script = Interference.of(venue)
        venue.witness = partial(in_order, venue, script)
        async with engine(venue, execution=ExecutionTerms(deadline_s=30.0), flatten=TERMS) as node:
            if armed:
                await node.armed()
            script.begin(happenings, endings, unreadable, settlings)
            first = await node.ending((await node.submit(action)).document["command_id"], within_s=VIRTUAL_HOUR_S)
            proofs = [datetime.fromisoformat(each["read_at"]) for each in first["evidence"]]
            since = clock.at(script.last_ns + PROOF_TAKES_NS)
            left = venue.held() if all(proof > since for proof in proofs) else {}
            script.stop()
            second = await node.ending((await node.submit(action)).document["command_id"], within_s=VIRTUAL_HOUR_S)
            before = everything(venue)
            await node.ending((await node.submit(action)).document["command_id"], within_s=VIRTUAL_HOUR_S)
        await venue.close()
        return Course(
            venue=venue,
            script=script,
            first=first,
            second=second,
            left_by_first=left,
            changed_by_third=everything(venue) != before,
        )

    return in_virtual_time(twice)


def everything(venue: CoreVenue) -> tuple[object, ...]:
    """All that is held and owed, and how many orders, conversions and repayments it took."""
    account = venue.account
    wallets = {name: {asset: repr(each) for asset, each in held.items()} for name, held in account.wallets.items()}
    done = replace(account.counters, orders_refused=0)
    return wallets, venue.held(), done


def in_order(venue: CoreVenue, script: Interference, step: Step) -> str | None:
    """Nothing is bought but what is owed at that moment; and where nobody else trades, balances wait for positions: a
    balance may be the other leg's hedge.
    """
    if isinstance(step, BuyToRepay) and not venue.account.balance(step.slice, step.asset).owed:
        return "nothing is owed"
    if isinstance(step, BalanceStep) and not script.foreign and closable(venue, script.called_small):
        return f"positions are still open: {venue.held()}"
    return None


def named(document: Document) -> bool:
    """Done, and nothing that is left is left without a name."""
    verdicts = {each["verdict"] for each in (*document["positions"], *document["balances"])}
    return document["state"] == "done" and not verdicts & {"unknown"}


read_failures = st.lists(st.sampled_from([False, False, True]), max_size=12)


@settings(max_examples=100)
@given(
    portfolios(most_parts=4),
    st.lists(anything, max_size=40),
    st.lists(st.one_of(well, refusals, lost, late, lies), max_size=30),
    read_failures,
    st.booleans(),
)
def test_close_all_ends_flat_or_names_what_the_venue_will_not_close(
    portfolio: Portfolio, happenings: list[Happening], endings: list[Ending], unreadable: list[bool], armed: bool
) -> None:
    """From a warm view or a cold start, with answers that come late or never and reads that fail."""
    course = carried_out(Action.CLOSE_ALL, portfolio, happenings, endings, unreadable, armed=armed)
    venue, small = course.venue, course.script.called_small
    assert named(course.first)
    assert named(course.second)
    assert {leg: size for leg, size in course.left_by_first.items() if leg in closable(venue, small)} == {}
    assert closable(venue, {}) == {}
    assert stray_orders(venue) == []
    assert (course.second["verdict"] == "flat") is (venue.held() == {})
    assert not course.changed_by_third
    harmless(venue)


@settings(max_examples=25)
@given(
    portfolios(hedge=False, most_parts=4).map(Portfolio.bare),
    st.lists(quiet_market, max_size=20),
    st.lists(st.one_of(well, refusals, lost), max_size=20),
    st.booleans(),
)
def test_the_engine_does_not_lean_on_the_venues_bound(
    portfolio: Portfolio, happenings: list[Happening], endings: list[Ending], armed: bool
) -> None:
    """The warm view and the fresh read beside it close a position once, not twice."""
    course = carried_out(Action.CLOSE_ALL, portfolio, happenings, endings, (), armed=armed, bounded=False)
    assert closable(course.venue, {}) == {}
    harmless(course.venue)


#: How sales, purchases, repayments and conversions end while the interference lasts.
settlings = st.lists(st.one_of(well, refusals, lost, late, late, lies), max_size=10)
spot_happenings = st.one_of(anything, takings, arrivals)


@settings(max_examples=100)
@given(
    wealth(auto_borrow=False),
    st.lists(spot_happenings, max_size=30),
    st.lists(st.one_of(well, refusals, lost, late, lies), max_size=8),
    read_failures,
    settlings,
)
def test_flatten_ends_in_base_currency_or_names_what_cannot_be_sold(
    account: Wealth, happenings: list[Happening], endings: list[Ending], unreadable: list[bool], settled: list[Ending]
) -> None:
    """While an engine sells the same coins, locks them, and opens positions."""
    course = carried_out(Action.FLATTEN, account, happenings, endings, unreadable, settled)
    flattened(course)


@settings(max_examples=100)
@given(
    wealth(auto_borrow=True),
    st.lists(st.one_of(quiet_market, arrivals), max_size=20),
    st.lists(st.one_of(well, refusals, lost, late, lies), max_size=8),
    read_failures,
    settlings,
)
def test_flatten_never_oversells_where_the_venue_would_lend_the_difference(
    account: Wealth, happenings: list[Happening], endings: list[Ending], unreadable: list[bool], settled: list[Ending]
) -> None:
    """A unified account borrows whatever an order lacks. (What somebody else takes between read and sale is beyond
    anybody's knowledge: here nobody does.)
    """
    course = carried_out(Action.FLATTEN, account, happenings, endings, unreadable, settled)
    flattened(course)


def flattened(course: Course) -> None:
    """Nothing is left that the venue would still sell or take back, and nothing was done that must not be."""
    venue = course.venue
    assert named(course.first)
    assert named(course.second)
    harmless(venue)
    assert closable(venue, {}) == {}
    assert stray_orders(venue) == []
    for step in venue.steps:
        if isinstance(step, SellSpot | ConvertAsset):
            assert step.asset not in (TERMS.base_currency, *TERMS.keep)
    assert not course.changed_by_third
    still_to_settle(venue)


def still_to_settle(venue: CoreVenue) -> None:
    """Ask the core itself, after everything: would it have taken one more sale, purchase or repayment?"""
    slippage = TERMS.max_slippage
    for name in ("spot", "margin"):
        wallet = venue.account.wallets.get(name, {})
        money = wallet[TERMS.base_currency].free
        for asset, held in list(wallet.items()):
            assert min(held.free, held.owed) < AMOUNT_STEP, f"{asset} could be given back"
            for market in venue.markets(Product(name)):
                if market.base != asset or unified(market) in venue.unpriced:
                    continue
                listing, spare = venue.core.listing(market), held.free - held.owed
                if spare > 0 and asset not in TERMS.keep:
                    price = protection_price(listing.bid, Side.SELL, slippage, market.tick)
                    assert not takes(venue, market, sim.Side.SELL, spare, price), f"{spare} {asset} could be sold"
                if spare < 0 and market.quote == TERMS.base_currency:
                    price = protection_price(listing.ask, Side.BUY, slippage, market.tick)
                    wanted = min(-spare + market.step, money / price)
                    assert not takes(venue, market, sim.Side.BUY, wanted, price), f"{wanted} {asset} could be bought"


def takes(venue: CoreVenue, market: Market, side: sim.Side, quantity: Decimal, price: Decimal) -> bool:
    """Whether the core takes an order for as much of that as one order may be for."""
    terms = OrderTerms(
        market=market,
        side=side,
        kind=OrderKind.LIMIT,
        client_id="x",
        venue_type="LIMIT",
        quantity=min(market.whole_steps(quantity), market.max_quantity),
        price=price,
        time_in_force=TimeInForce.IOC,
    )
    try:
        admit(venue.account, terms, venue.core.listing, venue.core.rules)
    except RefusalError:
        return False
    return True
