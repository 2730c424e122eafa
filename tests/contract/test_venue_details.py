"""Venues that list their markets without their rules: those that matter are asked for singly, in nobody's way."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

from node.domain.snapshot import MarketKind
from node.venues import details
from node.venues.lane import background
from tests.support.b2prime_venue import API, EURO, GOLD, b2prime_venue, position
from tests.support.waiting import until

DETAILS = f"GET {API}/v6/markets/cfd.xau_usd"
SPOT = f"GET {API}/v6/markets/spot.btc_usdt"
GOLD_ROW: dict[str, Any] = {
    "marketId": "cfd.xau_usd",
    "type": "Cfd",
    "baseAssetId": "xau",
    "quoteAssetId": "usd",
    "lotSize": 100,
    "lotStep": "0.01",
}
BTC_ROW: dict[str, Any] = {
    "marketId": "spot.btc_usdt",
    "type": "Spot",
    "baseAssetId": "btc",
    "quoteAssetId": "usdt",
    "amountScale": 4,
    "priceScale": 2,
    "minAmount": "0.0001",
}
HELD = [{"assetId": "btc", "available": "1", "locked": "0", "total": "1"}]


async def test_a_position_in_a_market_without_rules_is_told_at_once_and_its_rules_follow() -> None:
    """An emergency does not wait for what it does not need."""
    async with b2prime_venue() as (venue, sent):
        sent.holds(position(market="cfd.xau_usd"), used="100")
        sent.answers[DETAILS] = GOLD_ROW
        [held] = (await venue.read_positions("linear")).positions
        assert (held.symbol, held.base_exposure) == (GOLD.symbol, None)
        await until(lambda: venue.rules("linear")[GOLD.symbol].contract_size == 100)
        [held] = (await venue.read_positions("linear")).positions
        assert held.base_exposure == Decimal(50)
        assert sent.lines.count(DETAILS) == 1


async def test_the_background_has_them_when_its_look_is_over() -> None:
    """So that an emergency finds them."""
    async with b2prime_venue() as (venue, sent):
        sent.holds(position(market="cfd.xau_usd"), used="100")
        sent.answers[DETAILS] = GOLD_ROW
        with background():
            await venue.read_slice("linear")
        assert venue.rules("linear")[GOLD.symbol].quantity_step == Decimal("0.01")


async def test_a_sale_has_its_steps_before_it_is_planned() -> None:
    """The look that shows the coin brings them."""
    async with b2prime_venue() as (venue, sent):
        sent.holds(balances=HELD)
        sent.answers[SPOT] = BTC_ROW
        await venue.read_proof("spot")
        known = venue.rules("spot")["BTC/USDT"]
        assert (known.quantity_step, known.quantity_min) == (Decimal("0.0001"), Decimal("0.0001"))
        assert known.price_tick == Decimal("0.01")


async def test_a_venue_that_keeps_them_to_itself_holds_a_sale_up_for_a_moment_only(monkeypatch: Any) -> None:
    """And is not asked again with every look."""
    monkeypatch.setattr(details, "PATIENCE_S", 0.01)
    async with b2prime_venue() as (venue, sent):
        sent.holds(balances=HELD)
        hanging = asyncio.Event()

        async def hang(*_: Any) -> Any:
            hanging.set()
            await asyncio.Event().wait()

        await venue._client.ccxt.authorize()
        venue._client.send = hang
        await venue.read_proof("spot")
        assert hanging.is_set()
        sent.sent.clear()
        await venue.read_proof("spot")
        assert [line for line in sent.lines if "/markets/" in line] == []


async def test_a_list_that_is_read_again_does_not_forget_them() -> None:
    """Nor does it bring back a market that is gone."""
    async with b2prime_venue() as (venue, sent):
        sent.holds(position(market="cfd.xau_usd"), used="100")
        sent.answers[DETAILS] = GOLD_ROW
        with background():
            await venue.read_slice("linear")
        shelf = venue._shelf
        shelf._put(MarketKind.LINEAR, (EURO, GOLD))
        assert venue.rules("linear")[GOLD.symbol].contract_size == 100
        shelf._put(MarketKind.LINEAR, (EURO,))
        assert GOLD.symbol not in venue.rules("linear")


async def test_rules_that_are_not_understood_leave_the_market_as_it_is() -> None:
    """And raise for nobody."""
    async with b2prime_venue() as (venue, sent):
        sent.holds(position(market="cfd.xau_usd"), used="100")
        answers: tuple[Any, ...] = (
            GOLD_ROW | {"lotSize": "many"},
            GOLD_ROW | {"lotStep": None},
            [],
            "no",
            {"marketId": 1},
        )
        for strange in answers:
            sent.answers[DETAILS] = strange
            venue._details._asked_s.clear()
            with background():
                assert len((await venue.read_slice("linear")).positions) == 1
        assert venue.rules("linear")[GOLD.symbol] == GOLD
