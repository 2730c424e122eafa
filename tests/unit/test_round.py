"""What a round has left, and what a second plan adds to it."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from node.domain.plan import Scope
from node.domain.round import beyond, emptied, targets
from node.domain.snapshot import PositionSide, SliceSnapshot
from node.domain.steps import CancelOrders, CancelSymbol, ClosePosition, Outcome, StepResult
from tests.support.fake_venue import LINEAR, SPOT, order, position

BTC, ETH, SOL = "BTC/USDT:USDT", "ETH/USDT:USDT", "SOL/USDT"


def close(symbol: str, contracts: str, side: PositionSide = PositionSide.LONG) -> ClosePosition:
    """A market order."""
    return ClosePosition(
        slice=LINEAR,
        symbol=symbol,
        market_id=symbol,
        side=side,
        hedged=False,
        isolated=False,
        contracts=Decimal(contracts),
        limit_price=None,
        client_order_id="s0",
    )


def cancel(symbol: str, *order_ids: str, trigger: bool = False) -> CancelOrders:
    """By id."""
    return CancelOrders(slice=LINEAR, symbol=symbol, market_id=symbol, order_ids=order_ids, trigger=trigger)


def sweep(symbol: str) -> CancelSymbol:
    """Of everything there."""
    return CancelSymbol(slice=SPOT, symbol=symbol, market_id=symbol, trigger=False, seen=1)


def held(*positions: tuple[str, str]) -> SliceSnapshot:
    """Long positions."""
    return SliceSnapshot(
        slice=LINEAR,
        positions=tuple(position(symbol, contracts) for symbol, contracts in positions),
        orders=(),
        balances=(),
        started_ns=0,
        ended_ns=0,
        read_at=datetime.now(UTC),
    )


def done(step: ClosePosition, filled: str | None = None) -> StepResult:
    """Taken by the venue, which says how much was traded, or does not."""
    return StepResult(step=step, outcome=Outcome.DONE, filled=None if filled is None else Decimal(filled))


class TestBeyond:
    def test_an_order_that_nobody_has_cancelled_is_cancelled_by_itself(self) -> None:
        """The others of its market are not named again."""
        begun = set(targets(cancel(BTC, "1", "2")))
        chains = [((cancel(BTC, "1", "2", "3"),),), ((cancel(ETH, "4"),),), ((cancel(BTC, "1", "2"),),)]
        assert list(beyond(chains, [], begun)) == [((cancel(BTC, "3"),),), ((cancel(ETH, "4"),),)]

    def test_the_same_id_in_the_other_book_is_another_order(self) -> None:
        """Some venues number triggers by themselves."""
        begun = set(targets(cancel(BTC, "1")))
        chain = ((cancel(BTC, "1", trigger=True),),)
        assert list(beyond([chain], [], begun)) == [chain]

    def test_a_leg_that_is_being_closed_is_left_alone_and_the_other_one_is_not(self) -> None:
        """What will be left of it nobody knows."""
        begun = set(targets(close(BTC, "1")))
        short = ((close(BTC, "2", PositionSide.SHORT),),)
        assert list(beyond([((close(BTC, "3"),),), short], [], begun)) == [short]

    @pytest.mark.parametrize(("there", "swept"), [(("1",), False), (("1", "2"), True)])
    def test_a_market_is_swept_if_there_is_anything_new(self, there: tuple[str, ...], swept: bool) -> None:
        """Whether or not some of it is being cancelled."""
        begun = set(targets(cancel(SOL, "1")))
        chain = ((sweep(SOL),),)
        assert list(beyond([chain], [order(SOL, name) for name in there], begun)) == ([chain] if swept else [])


class TestEmptied:
    @pytest.mark.parametrize(("filled", "empty"), [(None, True), ("3", True), ("2.999", False), ("0", False)], ids=str)
    def test_by_what_was_traded_or_where_that_is_not_told_by_what_was_asked_for(
        self, filled: str | None, empty: bool
    ) -> None:
        """All of it."""
        assert emptied(held((BTC, "3")), Scope(), [done(close(BTC, "3"), filled)]) is empty

    def test_the_parts_of_a_large_position_are_added_up(self) -> None:
        """Of what there were too many for one round a rest is left."""
        parts = [done(close(BTC, "2"), "2"), done(close(BTC, "2"))]
        assert emptied(held((BTC, "4")), Scope(), parts)
        assert not emptied(held((BTC, "5")), Scope(), parts)

    def test_not_where_anything_was_refused_or_is_unknown(self) -> None:
        """Even if it concerns another."""
        for outcome in (Outcome.REFUSED, Outcome.AMBIGUOUS):
            results = [done(close(BTC, "3")), StepResult(step=cancel(ETH, "1"), outcome=outcome)]
            assert not emptied(held((BTC, "3")), Scope(), results)

    def test_what_is_not_wanted_is_no_rest(self) -> None:
        """Only some symbols were asked for."""
        both = held((BTC, "3"), (ETH, "1"))
        assert emptied(both, Scope(symbols=frozenset({BTC})), [done(close(BTC, "3"))])
        assert not emptied(both, Scope(), [done(close(BTC, "3"))])
