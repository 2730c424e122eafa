"""What FLATTEN does with a balance: by which route it is sold, how much of it, at which price, or why not."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

from node.domain.flatten import (
    NO_PAST,
    FlattenTerms,
    Holding,
    Past,
    Quote,
    SpotMarket,
    plan_flatten,
    routes_of,
    spot_pairs,
    symbols_to_price,
    to_settle,
)
from node.domain.snapshot import Balance, MarketRules, OpenOrder, Side
from node.domain.steps import BalanceStep, BuyToRepay, ConvertAsset, OrderIds, RepayDebt, SellSpot
from tests.support.fake_venue import SPOT, order, rules

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

    def test_goes_over_a_market_that_does_not_trade_where_there_is_no_other_way(self) -> None:
        """What is known of it may be old: the venue's word counts."""
        assert hops("ETH", rules("ETH/USDT", trading=False)) == ["ETH/USDT"]
        halted = rules("BTC/USDT", trading=False)
        assert hops("WAN", rules("WAN/BTC"), halted) == ["WAN/BTC", "BTC/USDT"]

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
        for limited in ({"limit_quantity_max": Decimal(10)}, {"market_quantity_max": Decimal(10)}):
            found = holding(balance("ETH", "25"), rules("ETH/USDT", **limited), ETH_USDT="1000")
            assert sold(found).quantity == Decimal(10)

    def test_at_most_the_market_maximum_of_value(self) -> None:
        """At the price offered."""
        market = rules("ETH/USDT", notional_max=Decimal(9500))
        found = holding(balance("ETH", "25"), market, ETH_USDT="1000")
        assert sold(found).quantity == Decimal(10)

    def test_at_most_what_the_venue_was_found_to_take(self) -> None:
        """Also of what is bought; what is then below the least order goes to the convert service, or stays."""
        past = Past(levels={}, largest={"ETH": Decimal("1.5009")})
        (step,) = steps(balance("ETH", "4"), past=past, ETH_USDT="1000").values()
        assert isinstance(step, SellSpot)
        assert step.quantity == Decimal("1.5")
        (step,) = steps(balance("ETH", "0", debt="4"), balance("USDT", "9000"), past=past, ETH_USDT="1000").values()
        assert isinstance(step, BuyToRepay)
        assert step.quantity == Decimal("1.5")
        past = Past(levels={}, largest={"ETH": Decimal("0.004")})
        assert steps(balance("ETH", "4"), past=past, ETH_USDT="1000") == {}

    def test_nothing_below_the_least_quantity(self) -> None:
        """The venue would refuse it; its value says whether it is dust."""
        market = rules("ETH/USDT", quantity_min=Decimal("0.01"), notional_min=None)
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


def steps(
    *held: Balance,
    terms: FlattenTerms = TERMS,
    converts: bool = False,
    resting: tuple[OpenOrder, ...] = (),
    past: Past = NO_PAST,
    **prices: str,
) -> dict[str, BalanceStep]:
    """What is done with a whole wallet, by asset; prices by symbol with an underscore for the slash."""
    quotes = {
        symbol: Quote(symbol=symbol, bid=Decimal(price), ask=Decimal(price))
        for name, price in prices.items()
        for symbol in (name.replace("_", "/"),)
    }
    market = SpotMarket(pairs=spot_pairs(rules(symbol) for symbol in quotes), quotes=quotes, converts=converts)
    planned = plan_flatten(held, resting, terms, market, ids=IDS, past=past)
    return {each.balance.asset: each.step for each in planned if each.step is not None}


class TestRoutesThatAreDry:
    def test_the_next_bridge_is_taken_where_the_first_has_no_bid(self) -> None:
        """A market without buyers is no way out."""
        markets = [rules(symbol, notional_min=None) for symbol in ("WAN/BTC", "BTC/USDT", "WAN/ETH", "ETH/USDT")]
        quotes = {
            symbol: Quote(symbol=symbol, bid=Decimal(bid), ask=Decimal(1))
            for symbol, bid in {"WAN/BTC": "0", "BTC/USDT": "50000", "WAN/ETH": "0.01", "ETH/USDT": "3000"}.items()
        }
        market = SpotMarket(pairs=spot_pairs(markets), quotes=quotes)
        (found,) = plan_flatten([balance("WAN", "5")], (), TERMS, market, ids=IDS)
        assert sold(found).symbol == "WAN/ETH"

    def test_wrapped_coins_and_other_stablecoins_go_by_the_venues_own_names(self) -> None:
        """Each is an asset like any other."""
        planned = steps(balance("WBETH", "2"), balance("USDC", "100"), WBETH_USDT="3300", USDC_USDT="1")
        assert {asset: step.symbol for asset, step in planned.items()} == {"WBETH": "WBETH/USDT", "USDC": "USDC/USDT"}

    def test_what_is_base_currencys_own_quote_is_never_bought_with(self) -> None:
        """USDT becomes USDC only by buying USDC: the convert service does that, no order of ours."""
        terms = FlattenTerms(base_currency="USDC")
        assert steps(balance("USDT", "100"), terms=terms, USDC_USDT="1.25") == {}
        assert steps(balance("USDT", "100"), terms=terms, converts=True, USDC_USDT="1.25") == {
            "USDT": ConvertAsset(
                slice=SPOT, asset="USDT", into="USDC", quantity=Decimal(100), least_received=Decimal(76)
            )
        }


class TestOrdersInTheWay:
    def test_a_coin_waits_until_the_orders_that_trade_it_are_gone(self) -> None:
        """They could fill between the read and the sale."""
        resting = (order("ETH/USDT", "o", Side.SELL),)
        wallet = balance("ETH", "1", "1"), balance("BTC", "1")
        assert set(steps(*wallet, resting=resting, ETH_USDT="1000", BTC_USDT="50000")) == {"BTC"}
        assert set(steps(*wallet, ETH_USDT="1000", BTC_USDT="50000")) == {"ETH", "BTC"}

    def test_so_does_what_is_owed(self) -> None:
        """What would be given back may be sold meanwhile."""
        owed = balance("ETH", "1", debt="1")
        assert steps(owed, resting=(order("ETH/USDT", "o", Side.SELL),), ETH_USDT="1000") == {}


class TestConversion:
    def test_only_of_what_no_order_can_sell(self) -> None:
        """Below the venue's minimum, and only where the venue has the service."""
        held = balance("ETH", "0.004")
        assert steps(held, ETH_USDT="1000") == {}
        assert steps(held, converts=True, ETH_USDT="1000") == {
            "ETH": ConvertAsset(
                slice=SPOT, asset="ETH", into="USDT", quantity=Decimal("0.004"), least_received=Decimal("3.8")
            )
        }
        assert isinstance(steps(balance("ETH", "4"), converts=True, ETH_USDT="1000")["ETH"], SellSpot)

    def test_never_without_a_price_to_hold_the_offer_against(self) -> None:
        """Nor while a part of it is locked."""
        assert steps(balance("SXP", "4"), converts=True, ETH_USDT="1000") == {}
        assert steps(balance("ETH", "0.004", "0.001"), converts=True, ETH_USDT="1000") == {}

    def test_of_what_is_spare_at_the_price_of_that_part(self) -> None:
        """What is owed in the same coin stays, and is not paid for."""
        assert steps(balance("ETH", "0.005", debt="0.001"), converts=True, ETH_USDT="1000") == {
            "ETH": ConvertAsset(
                slice=SPOT, asset="ETH", into="USDT", quantity=Decimal("0.004"), least_received=Decimal("3.8")
            )
        }

    def test_once_an_asset(self) -> None:
        """An unclear one must not be asked for twice."""
        past = Past(levels={}, converted={"ETH"})
        assert steps(balance("ETH", "0.004"), converts=True, past=past, ETH_USDT="1000") == {}


class TestDebts:
    def test_are_repaid_last(self) -> None:
        """Nothing is repaid while anything is left to be sold."""
        wallet = (balance("BTC", "1.5"), balance("USDT", "100", debt="40000"))
        assert set(steps(*wallet, BTC_USDT="50000")) == {"BTC"}
        assert steps(balance("USDT", "75100", debt="40000"), BTC_USDT="50000") == {
            "USDT": RepayDebt(slice=SPOT, asset="USDT", amount=Decimal(40000))
        }

    def test_are_never_repaid_with_nothing(self) -> None:
        """Some venues take a zero for everything."""
        assert steps(balance("USDT", "0", debt="5"), BTC_USDT="50000") == {}
        assert steps(balance("USDT", "0.000000001", debt="5"), BTC_USDT="50000") == {}

    def test_in_the_same_coin_keep_as_much_of_it(self) -> None:
        """What will be given back is not sold first and bought again."""
        (step,) = steps(balance("ETH", "3", debt="1"), ETH_USDT="1000").values()
        assert isinstance(step, SellSpot)
        assert step.quantity == 2
        assert steps(balance("ETH", "1", debt="1"), ETH_USDT="1000") == {
            "ETH": RepayDebt(slice=SPOT, asset="ETH", amount=Decimal(1))
        }

    def test_what_is_owed_and_not_there_is_bought_and_nothing_else(self) -> None:
        """With a little for the fee, which is taken out of what is bought."""
        (step,) = steps(balance("ETH", "0", debt="8"), balance("USDT", "30000"), ETH_USDT="1000").values()
        assert isinstance(step, BuyToRepay)
        assert (step.asset, step.quantity, step.limit_price) == ("ETH", Decimal("8.016"), Decimal(1050))

    def test_are_bought_only_with_the_base_currency_that_is_there(self) -> None:
        """Two shorts share it; neither may borrow for the other."""
        owed = (balance("ETH", "0", debt="8"), balance("BTC", "0", debt="1"), balance("USDT", "10000"))
        found = steps(*owed, ETH_USDT="1000", BTC_USDT="50000")
        spent = sum(step.quantity * step.limit_price for step in found.values() if isinstance(step, BuyToRepay))
        assert {type(step) for step in found.values()} == {BuyToRepay}
        assert spent <= 10000

    def test_a_trifle_is_not_bought(self) -> None:
        """Below what any order may be: it is named, and it is dust."""
        assert steps(balance("ETH", "0", debt="0.001"), balance("USDT", "100"), ETH_USDT="1000") == {}

    def test_of_kept_coins_and_of_base_currency_are_repaid_too(self) -> None:
        """Base currency last of all: it buys the others."""
        terms = FlattenTerms(base_currency="USDT", keep=frozenset({"BNB"}))
        wallet = [balance("BNB", "12", debt="4"), balance("USDT", "100", debt="50")]
        assert steps(*wallet, terms=terms, BNB_USDT="600") == {
            "BNB": RepayDebt(slice=SPOT, asset="BNB", amount=Decimal(4))
        }
        wallet[0] = balance("BNB", "8")
        assert steps(*wallet, terms=terms, BNB_USDT="600") == {
            "USDT": RepayDebt(slice=SPOT, asset="USDT", amount=Decimal(50))
        }

    def test_that_the_venue_will_not_take_back_stay(self) -> None:
        """And are named."""
        past = Past(levels={}, unrepayable={"USDT", "ETH"})
        assert steps(balance("USDT", "100", debt="50"), past=past, BTC_USDT="50000") == {}
        assert steps(balance("ETH", "1", debt="1"), past=past, ETH_USDT="1000") == {}
        assert steps(balance("ETH", "0", debt="1"), balance("USDT", "9000"), past=past, ETH_USDT="1000") == {}

    def test_of_what_is_refused_for_good_are_not_bought(self) -> None:
        """What is there is given back all the same."""
        past = Past(levels={}, refused={"ETH"})
        assert steps(balance("ETH", "0", debt="1"), balance("USDT", "9000"), past=past, ETH_USDT="1000") == {}
        assert set(steps(balance("ETH", "1", debt="1"), past=past, ETH_USDT="1000")) == {"ETH"}

    def test_of_base_currency_are_worth_what_they_are(self) -> None:
        """There is no market for it; a trifle of it is dust all the same."""
        (found,) = plan_flatten([balance("USDT", "0", debt="2")], (), TERMS, SpotMarket(pairs={}, quotes={}), ids=IDS)
        assert found.debt_value == 2


class TestPricesNeeded:
    def priced(self, *held: Balance, base: str = "USDT", **markets: bool) -> set[str]:
        """The markets asked for a price; whether each trades, by symbol with an underscore for the slash."""
        pairs = spot_pairs(rules(name.replace("_", "/"), trading=trading) for name, trading in markets.items())
        return symbols_to_price(held, FlattenTerms(base_currency=base), pairs)

    def test_are_those_of_every_route(self) -> None:
        """Of both hops."""
        assert self.priced(balance("WAN", "1"), WAN_BTC=True, BTC_USDT=True, ETH_USDT=True) == {"WAN/BTC", "BTC/USDT"}

    def test_and_of_the_market_that_base_currency_is_bought_in(self) -> None:
        """What is quoted in it has a price there."""
        assert self.priced(balance("USDT", "1"), base="USDC", USDC_USDT=True) == {"USDC/USDT"}

    def test_and_of_the_market_in_which_what_is_owed_is_bought(self) -> None:
        """Over no bridge, also where sales go over one."""
        owed, held = balance("ETH", "0", debt="1"), balance("ETH", "1")
        over = {"ETH/BTC", "BTC/USDT"}
        assert self.priced(owed, ETH_USDT=False, ETH_BTC=True, BTC_USDT=True) == {"ETH/USDT", *over}
        assert self.priced(held, ETH_USDT=False, ETH_BTC=True, BTC_USDT=True) == over
