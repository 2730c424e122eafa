"""What one round teaches the next: refusals, held against the positions that are still there."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from node.domain.plan import LegMemory, learn
from node.domain.snapshot import Position, PositionSide, SliceSnapshot
from node.domain.steps import CancelOrders, ClosePosition, Outcome, Refusal, StepResult
from tests.support.fake_venue import LINEAR, position

BTC = "BTC/USDT:USDT"
LONG, SHORT = PositionSide.LONG, PositionSide.SHORT


def seen(*positions: Position) -> SliceSnapshot:
    """A read of positions only."""
    return SliceSnapshot(
        slice=LINEAR,
        positions=positions,
        orders=None,
        balances=None,
        started_ns=1,
        ended_ns=2,
        read_at=datetime(2026, 11, 20, tzinfo=UTC),
    )


def close(
    contracts: str = "2",
    *,
    refusal: Refusal | None = None,
    outcome: Outcome | None = None,
    side: PositionSide = LONG,
    limit_price: str | None = None,
    filled: str | None = None,
) -> StepResult:
    """How a close ended."""
    step = ClosePosition(
        slice=LINEAR,
        symbol=BTC,
        market_id="BTCUSDT",
        side=side,
        hedged=False,
        isolated=False,
        contracts=Decimal(contracts),
        limit_price=None if limit_price is None else Decimal(limit_price),
        client_order_id="s",
    )
    return StepResult(
        step=step,
        outcome=outcome or (Outcome.REFUSED if refusal else Outcome.DONE),
        refusal=refusal,
        filled=None if filled is None else Decimal(filled),
    )


def leg(*results: StepResult, before: LegMemory | None = None, still: Position | None = None) -> LegMemory:
    """What is learnt about the long leg from these results."""
    held = still or position(BTC, "2")
    return learn({held.key: before} if before else {}, results, seen(held))[held.key]


def test_protective_orders_are_in_the_way_when_nothing_could_be_reduced_and_the_position_is_there() -> None:
    """They stand for the whole size."""
    assert leg(close(refusal=Refusal.NOTHING_TO_REDUCE)).protective_in_the_way


def test_nothing_is_remembered_of_a_position_that_is_gone() -> None:
    """A refusal of a close that was not needed means nothing."""
    assert learn({}, [close(refusal=Refusal.NOTHING_TO_REDUCE)], seen()) == {}


def test_each_refusal_for_the_price_raises_the_level_by_one() -> None:
    """However many chunks were refused in the round."""
    first = leg(close("1", refusal=Refusal.PRICE_BAND), close("1", refusal=Refusal.PRICE_BAND))
    assert first.price_level == 1
    assert leg(close(refusal=Refusal.PRICE_BAND, limit_price="95"), before=first).price_level == 2


def test_a_limited_close_that_was_taken_and_filled_nothing_raises_the_level_too() -> None:
    """Otherwise the same unfillable price would be offered for ever."""
    level_one = LegMemory(price_level=1)
    assert leg(close("2", limit_price="95"), before=level_one).price_level == 2


def test_market_orders_that_are_taken_and_close_nothing_are_followed_by_a_limit() -> None:
    """Where orders are acknowledged before anybody looks at them, one that finds no price ends without a word."""
    once = leg(close("2"))
    assert once.price_level == 0, "the venue may only not have shown it yet"
    assert leg(close("2"), before=once).price_level == 1
    assert leg(close("1"), close("1"), before=once).price_level == 1


def test_a_position_that_is_there_again_after_a_market_order_has_traded_is_closed_at_market() -> None:
    """Somebody has opened it again: nothing was wrong with the price."""
    once = leg(close("2"))
    traded = leg(close("2", filled="2"), before=once)
    assert (traded.price_level, leg(close("2"), before=traded).price_level) == (0, 0)


def test_market_orders_that_are_taken_in_vain_have_to_be_so_in_a_row() -> None:
    """One of unknown outcome says nothing about the price, and one that has closed a part shows that there is one."""
    once = leg(close("2"))
    for between in (leg(close("2", outcome=Outcome.AMBIGUOUS), before=once), leg(close("3"), before=once)):
        assert leg(close("2"), before=between).price_level == 0


def test_a_limited_close_that_filled_in_part_keeps_its_level() -> None:
    """The price works: there was only not enough of the book."""
    left = position(BTC, "1.5")
    assert leg(close("2", limit_price="95"), before=LegMemory(price_level=1), still=left).price_level == 1


def test_a_market_close_that_filled_nothing_stays_at_market() -> None:
    """The venue said done and has not shown it yet: no reason to limit the price."""
    assert leg(close("2")).price_level == 0


def test_a_refusal_for_the_size_halves_the_chunk() -> None:
    """From the largest that was tried."""
    assert leg(close("2", refusal=Refusal.QUANTITY)).chunk_max == Decimal(1)


def test_the_last_refusal_is_remembered_until_a_close_is_taken() -> None:
    """It becomes the verdict of a position that stays."""
    closed = leg(close(refusal=Refusal.MARKET_CLOSED))
    assert closed.last_refusal is Refusal.MARKET_CLOSED
    assert leg(before=closed).last_refusal is Refusal.MARKET_CLOSED
    assert leg(close(), before=closed).last_refusal is None


def test_an_ambiguous_close_teaches_nothing() -> None:
    """Only what the venue said counts."""
    assert leg(close(outcome=Outcome.AMBIGUOUS)) == LegMemory()


def test_the_legs_of_a_symbol_learn_apart() -> None:
    """A refusal of the short says nothing about the long."""
    long, short = position(BTC, "1", LONG, hedged=True), position(BTC, "1", SHORT, hedged=True)
    learnt = learn({}, [close(refusal=Refusal.PRICE_BAND, side=SHORT)], seen(long, short))
    assert learnt[short.key].price_level == 1
    assert learnt[long.key] == LegMemory()


def test_refused_cancels_teach_nothing_about_a_leg() -> None:
    """They are read again, not remembered."""
    step = CancelOrders(slice=LINEAR, symbol=BTC, market_id="BTCUSDT", order_ids=("1",), trigger=False)
    assert leg(StepResult(step=step, outcome=Outcome.REFUSED, refusal=Refusal.UNKNOWN_ORDER)) == LegMemory()


def test_chunks_are_halved_down_to_a_sixteenth_of_the_position_and_no_further() -> None:
    """A venue that refuses every quantity is not flooded with ever more orders."""
    memory = LegMemory()
    for _ in range(10):
        tried = str(memory.chunk_max or 64)
        memory = leg(close(tried, refusal=Refusal.QUANTITY), before=memory, still=position(BTC, "64"))
    assert memory.chunk_max == 4
