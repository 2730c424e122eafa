"""What FLATTEN does with a balance: by which route it is sold, how much of it, at which price, or why not."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

from node.domain.flatten import (
    FlattenTerms,
    Holding,
    Past,
    Quote,
    SpotMarket,
    plan_flatten,
    routes_of,
    spot_pairs,
    to_settle,
)
from node.domain.snapshot import Balance, MarketRules
from node.domain.steps import OrderIds, SellSpot
from tests.support.fake_venue import SPOT, rules

IDS = OrderIds(command_id=UUID(int=1), account_id=UUID(int=2), attempt=0, round=1)
TERMS = FlattenTerms(base_currency="USDT")


def balance(asset: str, free: str, locked: str = "0", debt: str = "0") -> Balance:
    """A balance of the spot wallet."""
    return Balance(slice=SPOT, asset=asset, free=Decimal(free), locked=Decimal(locked), debt=Decimal(debt))


def hops(asset: str, *markets: MarketRules, terms: FlattenTerms = TERMS) -> list[str] | None:
    """The symbols of the chosen route."""
    routes = routes_of(asset, terms, spot_pairs(markets))
    return [market.symbol for market in routes[0].hops] if routes else None


def holding(held: Balance, *markets: MarketRules, terms: FlattenTerms = TERMS, level: int = 0, **bids: str) -> Holding:
    """What is done with one balance; bids by symbol with an underscore for the slash."""
    prices = {name.replace("_", "/"): Decimal(bid) for name, bid in bids.items()}
    quotes = {symbol: Quote(symbol=symbol, bid=bid, ask=bid) for symbol, bid in prices.items()}
    market = SpotMarket(pairs=spot_pairs(markets), quotes=quotes)
    (found,) = plan_flatten([held], (), terms, market, ids=IDS, past=Past(levels={held.asset: level}))
    return found


def sold(found: Holding) -> SellSpot:
    """The sale that is planned."""
    assert isinstance(found.step, SellSpot)
    return found.step


class TestRoute:
    def test_is_direct_where_there_is_a_market(self) -> None:
        """One hop is cheaper than two."""
        markets = rules("ETH/BTC"), rules("BTC/USDT"), rules("ETH/USDT")
        assert hops("ETH", *markets) == ["ETH/USDT"]

    def test_goes_over_a_bridge_where_there_is_no_direct_market(self) -> None:
        """The deepest bridge first."""
        markets = rules("WAN/ETH"), rules("ETH/USDT"), rules("WAN/BTC"), rules("BTC/USDT")
        assert hops("WAN", *markets) == ["WAN/BTC", "BTC/USDT"]

    def test_avoids_a_bridge_that_is_kept(self) -> None:
        """What is sold into a kept coin would never be sold on."""
        markets = rules("WAN/ETH"), rules("ETH/USDT"), rules("WAN/BTC"), rules("BTC/USDT")
        kept = FlattenTerms(base_currency="USDT", keep=frozenset({"BTC"}))
        assert hops("WAN", *markets, terms=kept) == ["WAN/ETH", "ETH/USDT"]
        assert hops("WAN", *markets[2:], terms=kept) is None

    def test_needs_both_hops(self) -> None:
        """A bridge that leads nowhere is none."""
        assert hops("WAN", rules("WAN/BTC")) is None

    def test_never_uses_a_market_that_does_not_trade(self) -> None:
        """The way round is taken instead."""
        halted = rules("ETH/USDT", trading=False)
        assert hops("ETH", halted, rules("ETH/BTC"), rules("BTC/USDT")) == ["ETH/BTC", "BTC/USDT"]

    def test_never_uses_a_derivative(self) -> None:
        """A perpetual of the same pair does not sell the coin."""
        assert hops("ETH", rules("ETH/USDT:USDT")) is None


class TestWhatIsSold:
    def test_neither_base_currency_nor_kept_nor_empty(self) -> None:
        """Everything else goes, also what is still locked."""
        terms = FlattenTerms(base_currency="USDT", keep=frozenset({"BNB"}))
        held = [balance("USDT", "9"), balance("BNB", "1"), balance("ETH", "0"), balance("SOL", "0", "2")]
        assert [each.asset for each in to_settle(held, terms)] == ["SOL"]

    def test_never_more_than_is_free(self) -> None:
        """What orders hold is not ours to sell yet."""
        found = holding(balance("ETH", "1.5", locked="3"), rules("ETH/USDT"), ETH_USDT="1000")
        assert isinstance(found.step, SellSpot)
        assert found.step.quantity == Decimal("1.5")

    def test_rounded_down_to_the_step(self) -> None:
        """The rest is dust."""
        found = holding(balance("ETH", "1.99999"), rules("ETH/USDT"), ETH_USDT="1000")
        assert isinstance(found.step, SellSpot)
        assert found.step.quantity == Decimal("1.999")

    def test_at_most_the_market_maximum(self) -> None:
        """The next round sells on."""
        market = rules("ETH/USDT", limit_quantity_max=Decimal(10))
        found = holding(balance("ETH", "25"), market, ETH_USDT="1000")
        assert isinstance(found.step, SellSpot)
        assert found.step.quantity == Decimal(10)

    def test_nothing_below_the_least_quantity(self) -> None:
        """The venue would refuse it; its value says whether it is dust."""
        market = rules("ETH/USDT", quantity_min=Decimal("0.01"))
        found = holding(balance("ETH", "0.005"), market, ETH_USDT="1000")
        assert found.step is None
        assert found.value == Decimal(5)

    def test_nothing_below_the_least_value_at_the_price_offered(self) -> None:
        """Venues hold the limit price against the minimum, not the last price."""
        found = holding(balance("ETH", "0.0051", "0"), rules("ETH/USDT", quantity_step=None), ETH_USDT="1000")
        assert found.value == Decimal("5.1")
        assert found.step is None

    def test_nothing_that_is_locked_entirely(self) -> None:
        """It waits for the orders to go."""
        found = holding(balance("ETH", "0", locked="3"), rules("ETH/USDT"), ETH_USDT="1000")
        assert found.step is None
        assert found.value == Decimal(3000)

    def test_nothing_without_a_price(self) -> None:
        """Its value is unknown, never nought."""
        found = holding(balance("ETH", "3"), rules("ETH/USDT"))
        assert (found.step, found.value) == (None, None)
        assert found.route is not None

    def test_nothing_without_a_route(self) -> None:
        """It stays, and is named."""
        found = holding(balance("ETH", "3"))
        assert (found.step, found.value, found.route) == (None, None, None)

    def test_over_a_bridge_only_the_first_hop_now(self) -> None:
        """Valued over both; the second follows from a fresh read."""
        markets = rules("WAN/BTC", notional_min=None), rules("BTC/USDT")
        found = holding(balance("WAN", "500"), *markets, WAN_BTC="0.001", BTC_USDT="50000")
        assert found.value == Decimal(25000)
        assert isinstance(found.step, SellSpot)
        assert found.step.symbol == "WAN/BTC"

    def test_nothing_over_a_bridge_with_one_price_missing(self) -> None:
        """Half a value is none."""
        markets = rules("WAN/BTC", notional_min=None), rules("BTC/USDT")
        assert holding(balance("WAN", "500"), *markets, WAN_BTC="0.001").step is None


class TestPrice:
    def test_is_the_bid_less_the_slippage(self) -> None:
        """Immediate-or-cancel: the worst price that is accepted."""
        found = holding(balance("ETH", "1"), rules("ETH/USDT"), ETH_USDT="1000")
        assert isinstance(found.step, SellSpot)
        assert found.step.limit_price == Decimal(950)

    def test_widens_with_each_level_up_to_a_fifth(self) -> None:
        """5, 10, 20 per cent, and never more."""
        sales = [holding(balance("ETH", "1"), rules("ETH/USDT"), level=level, ETH_USDT="1000") for level in range(6)]
        assert [sold(each).limit_price for each in sales] == [
            Decimal(price) for price in (950, 900, 800, 800, 800, 800)
        ]
