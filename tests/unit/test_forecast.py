"""FLATTEN on paper: what a drill foresees of sales, purchases and conversions."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest

from node.domain.command import Action
from node.domain.flatten import FlattenTerms, Quote, SpotMarket, spot_pairs
from node.domain.forecast import ROUNDS_MAX, Forecast, Sales, SliceForecast, forecast, released
from node.domain.plan import Scope, closes_of
from node.domain.snapshot import Balance, MarketRules, OpenOrder, Position, Side, SliceSnapshot
from node.domain.steps import ClosePosition, OrderIds
from tests.support.fake_venue import LINEAR, SPOT, order, position, rules

TERMS = FlattenTerms(base_currency="USDT", keep=frozenset({"BNB"}), min_value=Decimal(5))
IDS = OrderIds(command_id=UUID(int=1), account_id=UUID(int=2), attempt=0, round=1)
PRICES = {"SXP/USDT": "1", "ETH/USDT": "1000", "BTC/USDT": "50000", "TRX/USDT": "0.1", "WAN/BTC": "0.00001"}
MARKETS = {
    **{symbol: rules(symbol, quantity_step=Decimal("0.0001")) for symbol in PRICES},
    "SXP/USDT": rules("SXP/USDT", trading=False),
    "WAN/BTC": rules(
        "WAN/BTC", notional_min=Decimal("0.0001"), price_tick=Decimal("0.0000001"), market_quantity_max=None
    ),
}


def balance(asset: str, free: str, **changes: str) -> Balance:
    """Of the spot wallet."""
    return Balance(slice=SPOT, asset=asset, free=Decimal(free), **{name: Decimal(it) for name, it in changes.items()})


def foreseen(*balances: Balance, orders: tuple[OpenOrder, ...] = (), converts: bool = False) -> tuple[Sales, Forecast]:
    """A FLATTEN of one slice, carried out on paper."""
    at = datetime(2026, 11, 25, tzinfo=UTC)
    snapshot = SliceSnapshot(
        slice=SPOT, positions=(), orders=orders, balances=balances, started_ns=0, ended_ns=1, read_at=at
    )
    quotes = {name: Quote(symbol=name, bid=Decimal(price), ask=Decimal(price)) for name, price in PRICES.items()}
    market = SpotMarket(pairs=spot_pairs(MARKETS.values()), quotes=quotes, converts=converts)
    sales = Sales(balances=released(snapshot), terms=TERMS, market=market, ids=IDS)
    while sales.advance():
        pass
    part = SliceForecast(snapshot=snapshot, rules=MARKETS, closes=(), sales=sales)
    return sales, forecast(Action.FLATTEN, Scope(), TERMS, [part])


def left(told: Forecast) -> dict[str, tuple[str, str]]:
    """What would be left, and why."""
    return {each.name: (str(each.quantity), each.verdict.value) for each in told.left_over}


def test_a_conversion_is_an_attempt() -> None:
    """What only the convert service could take is named: whether it does shows only then."""
    sales, told = foreseen(balance("TRX", "3"), converts=True)
    assert (sales.orders, sales.rounds) == (1, 1)
    assert left(told) == {"TRX": ("3", "dust")}
    assert told.net_exposure.by_asset == (("TRX", Decimal(3)),)


def test_a_sale_over_a_bridge_is_two_sales() -> None:
    """And a fee leaves a rest of the bridge."""
    sales, told = foreseen(balance("WAN", "500"))
    assert (sales.orders, sales.rounds) == (2, 2)
    assert left(told) == {"BTC": ("0.00009500", "dust")}


def test_what_is_above_the_venues_maximum_takes_several() -> None:
    """As many orders as there are parts."""
    sales, told = foreseen(balance("ETH", "250"))
    assert (sales.orders, sales.rounds) == (3, 3)
    assert left(told) == {}


def test_a_debt_is_bought_and_repaid_and_its_rest_is_dust() -> None:
    """The fee of the purchase is not known: what is bought for it is sold again, but for a rest."""
    sales, told = foreseen(balance("USDT", "20000"), balance("ETH", "0", debt="8.00215"))
    print("XX", left(told), sales.balances)
    assert sales.orders == 2  # the purchase, and the sale of what it was too much
    assert not any(each.debt for each in sales.balances)
    assert left(told)["ETH"][1] == "dust"
    assert 0 < Decimal(left(told)["ETH"][0]) < Decimal("0.0001")


def test_a_debt_that_cannot_be_covered_stays() -> None:
    """Named as what it is: below zero."""
    _, told = foreseen(balance("USDT", "1"), balance("ETH", "0", debt="8"))
    assert left(told) == {"ETH": ("-8", "unsellable")}


def test_what_orders_hold_is_sold_and_what_else_is_locked_is_not() -> None:
    """Cancelling frees only what was held by an order."""
    eth, trx = balance("ETH", "1", locked="2"), balance("TRX", "0", locked="90")
    sales, told = foreseen(eth, trx, orders=(order("ETH/USDT", "resting", Side.SELL),))
    assert sales.orders == 1
    assert left(told) == {"TRX": ("90", "unsellable")}


def test_what_has_a_closed_market_stays() -> None:
    """Nothing is sold there, on paper neither."""
    sales, told = foreseen(balance("SXP", "50"), balance("ETH", "1"))
    assert (sales.orders, sales.rounds) == (1, 1)
    assert left(told) == {"SXP": ("50", "market_closed")}


def test_kept_coins_are_held() -> None:
    """And the base currency is nobody's residue."""
    sales, told = foreseen(balance("BNB", "2"), balance("USDT", "7"))
    assert sales.orders == 0
    assert left(told) == {"BNB": ("2", "held")}


def test_it_comes_to_an_end() -> None:
    """However large a number the venue shows."""
    sales, told = foreseen(balance("ETH", "1000000"))
    assert sales.rounds == ROUNDS_MAX
    assert left(told) == {}


# Positions

BTC_SWAP, ETH_SWAP = "BTC/USDT:USDT", "ETH/USDT:USDT"


def closing(
    *held: Position,
    market: MarketRules,
    symbols: frozenset[str] | None = None,
    orders: tuple[OpenOrder, ...] = (),
    beside: tuple[SliceSnapshot, ...] = (),
    limited: bool = True,
) -> Forecast:
    """A CLOSE_ALL of the derivatives, planned by the rules; without them if not *limited*."""
    at = datetime(2026, 11, 25, tzinfo=UTC)
    snapshot = SliceSnapshot(
        slice=LINEAR, positions=held, orders=orders, balances=(), started_ns=0, ended_ns=1, read_at=at
    )
    scope = Scope(symbols=symbols)
    closes = [
        step
        for each in held
        if scope.covers(each.symbol)
        for step in closes_of(each, market if limited else None, None, IDS, Decimal("0.05"))
        if isinstance(step, ClosePosition)
    ]
    listed = {each.symbol: replace(market, symbol=each.symbol) for each in held}
    part = SliceForecast(snapshot=snapshot, rules=listed, closes=closes)
    return forecast(Action.CLOSE_ALL, scope, TERMS, [part], beside=beside)


@pytest.mark.parametrize(
    ("size", "mark", "verdict"), [("0.04", "100", "dust"), ("0.06", "100", "unsellable"), ("0.04", None, "unsellable")]
)
def test_a_position_below_the_least_order_stays(size: str, mark: str | None, verdict: str) -> None:
    """Dust only where it is known to be worth nothing."""
    held = position(BTC_SWAP, size, mark_price=None if mark is None else Decimal(mark))
    told = closing(held, market=rules(BTC_SWAP, quantity_min=Decimal("0.1")))
    assert left(told) == {BTC_SWAP: (size, verdict)}
    assert told.net_exposure.by_asset == (("BTC", Decimal(size)),)


def test_a_close_that_the_venue_would_refuse_is_a_fault() -> None:
    """Above its maximum, or no multiple of its step."""
    market = rules(BTC_SWAP)
    assert [each.code for each in closing(position(BTC_SWAP, "250"), market=market, limited=False).faults] == [
        "ABOVE_MAXIMUM"
    ]
    assert [each.code for each in closing(position(BTC_SWAP, "1.0005"), market=market).faults] == ["OFF_STEP"]
    assert closing(position(BTC_SWAP, "250"), market=market).faults == ()


def test_what_is_out_of_scope_is_exposure_and_nothing_else() -> None:
    """Neither left over nor cancelled; the other slices as they were last seen."""
    at = datetime(2026, 11, 25, tzinfo=UTC)
    other = SliceSnapshot(
        slice="inverse", positions=(position("SOL/USD:SOL", "7", slice="inverse"),), orders=None, balances=None,
        started_ns=0, ended_ns=1, read_at=at,
    )  # fmt: skip
    told = closing(
        position(BTC_SWAP, "1"),
        position(ETH_SWAP, "5"),
        market=rules(BTC_SWAP),
        symbols=frozenset({BTC_SWAP}),
        orders=(order(BTC_SWAP, "a"), order(ETH_SWAP, "b")),
        beside=(other,),
    )
    assert (told.left_over, told.cancels) == ((), 1)
    assert dict(told.net_exposure.by_asset) == {"ETH": Decimal(5), "SOL": Decimal(7)}


def test_balances_that_flatten_cannot_sell_are_collateral() -> None:
    """Of a derivatives wallet."""
    at = datetime(2026, 11, 25, tzinfo=UTC)
    wallet = SliceSnapshot(
        slice=LINEAR, positions=(), orders=(), balances=(balance("BTC", "1"),), started_ns=0, ended_ns=1, read_at=at
    )
    told = forecast(Action.FLATTEN, Scope(), TERMS, [SliceForecast(snapshot=wallet, rules={}, closes=())])
    assert left(told) == {"BTC": ("1", "collateral")}
