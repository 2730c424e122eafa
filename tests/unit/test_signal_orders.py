"""From an alert's symbol and quantity to a market and an amount that ccxt understands."""

from __future__ import annotations

import inspect
import re
from dataclasses import replace
from decimal import ROUND_DOWN, Decimal
from typing import Any

import pytest
from ccxt import async_support

from node.signals.alert import Alert, OrderType, Side, TimeInForce
from node.signals.orders import Traits, draft
from node.signals.profile import SignalProfile
from node.signals.refusal import Code, Refused
from node.signals.settings import OffStep
from node.signals.symbols import SymbolBook
from node.venues.options import VenueOptions


def market(symbol: str, **own: Any) -> dict[str, Any]:
    """As ccxt describes markets."""
    pair, _, settle = symbol.partition(":")
    base, quote = pair.split("/")
    contract = bool(settle)
    return {
        "symbol": symbol,
        "base": base,
        "quote": quote,
        "settle": settle.partition("-")[0] or None,
        "spot": not contract,
        "swap": contract,
        "contract": contract,
        "linear": contract and settle.partition("-")[0] != base,
        "contractSize": 1.0 if contract else None,
        "active": True,
        "precision": {"amount": 0.001},
        "limits": {"amount": {"min": 0.001, "max": 100.0}},
        **own,
    }


SPOT, PERP = market("BTC/USDT"), market("BTC/USDT:USDT")
MARKETS = [
    SPOT,
    PERP,
    market("BTC/USD:BTC"),
    market("EUR/USD:USD-CFD"),
    market("EUR/USD:USD"),
    market("BTC/USDT:USDC"),
    market("ETH/USDT:USDT-260327", swap=False, future=True),
    market("OLD/USDT", active=False),
    market("A/BCUSDT"),
    market("AB/CUSDT"),
]
BOOK = SymbolBook(MARKETS, {"perp.gold": "EUR/USD:USD-CFD", "spot.gone": "X/Y"})
ALL = Traits(
    triggers=True,
    trigger_direction=False,
    protection="triggerPrice",
    buys_in_base=True,
    day=True,
    fill_or_kill=True,
    leverage="account",
)
NONE = Traits(
    triggers=False,
    trigger_direction=False,
    protection=None,
    buys_in_base=False,
    day=False,
    fill_or_kill=False,
    leverage=None,
)
ALERT = Alert(account="main", symbol="spot.btc_usdt", side=Side.BUY, quantity=Decimal("0.01"))


def rounded(_symbol: str, amount: Decimal) -> Decimal:
    """To thousandths."""
    return amount.quantize(Decimal("0.001"), rounding=ROUND_DOWN)


def drafted(
    of: dict[str, Any] = SPOT, traits: Traits = ALL, *, off_step: OffStep = OffStep.REFUSE, **fields: Any
) -> Any:
    """The order of an alert."""
    return draft(replace(ALERT, **fields), of, traits, rounded=rounded, off_step=off_step)


def refused(of: dict[str, Any] = SPOT, traits: Traits = ALL, **fields: Any) -> Code:
    """Why there is none."""
    with pytest.raises(Refused) as caught:
        drafted(of, traits, **fields)
    return caught.value.code


class TestSymbols:
    @pytest.mark.parametrize(
        ("name", "symbol"),
        [
            ("spot.btc_usdt", "BTC/USDT"),
            ("spot.btcusdt", "BTC/USDT"),
            ("perp.btc_usdt", "BTC/USDT:USDT"),
            ("perp.btcusdt", "BTC/USDT:USDT"),
            ("perp.btcusdt.p", "BTC/USDT:USDT"),
            ("perp.btc_usd", "BTC/USD:BTC"),
            ("cfd.eur_usd", "EUR/USD:USD-CFD"),
            ("perp.eur_usd", "EUR/USD:USD"),
            ("perp.gold", "EUR/USD:USD-CFD"),
            ("spot.a_bcusdt", "A/BCUSDT"),
        ],
    )
    def test_prefixes_name_the_kind_of_market(self, name: str, symbol: str) -> None:
        """Also without the separator, as TradingView's tickers are; the account's own names come first."""
        assert BOOK.find(name) == symbol

    @pytest.mark.parametrize(
        "name",
        ["spot.eth_usdt", "cfd.btc_usdt", "perp.eth_usdt", "spot.old_usdt", "spot.abcusdt", "spot.gone", "spot.x"],
    )
    def test_what_is_not_there_or_may_be_two_is_refused(self, name: str) -> None:
        """Nothing is guessed: no market, one that is closed for good, a dated one, a ticker that reads both ways."""
        with pytest.raises(Refused) as caught:
            BOOK.find(name)
        assert caught.value.code is Code.BAD_SYMBOL


class TestQuantities:
    def test_base_units_on_spot(self) -> None:
        assert drafted().amount == Decimal("0.01")

    def test_contracts_where_a_contract_is_more_or_less_than_one(self) -> None:
        """The alert counts in the base asset."""
        lots = market("EUR/USD:USD-CFD", contractSize=100_000.0)
        assert drafted(lots, quantity=Decimal(50_000)).amount == Decimal("0.5")
        assert drafted(market("BTC/USDT:USDT", contractSize=0.001), quantity=Decimal("0.01")).amount == 10

    @pytest.mark.parametrize("quantity", ["0.0005", "0.0105", "0.0001", "101"])
    def test_what_the_market_does_not_take_is_refused(self, quantity: str) -> None:
        """Between two steps, below the least, above the most."""
        assert refused(quantity=Decimal(quantity)) is Code.BAD_QUANTITY

    def test_rounded_down_where_configuration_says_so(self) -> None:
        """Never up, and never to nothing."""
        assert drafted(quantity=Decimal("0.0109"), off_step=OffStep.DOWN).amount == Decimal("0.010")
        assert refused(quantity=Decimal("0.0005"), off_step=OffStep.DOWN) is Code.BAD_QUANTITY

    def test_inverse_contracts_are_not_counted_in_the_base_asset(self) -> None:
        assert refused(market("BTC/USD:BTC")) is Code.BAD_SYMBOL


class TestOrders:
    @pytest.mark.parametrize(
        ("fields", "kind", "params"),
        [
            ({}, "market", {}),
            ({"time_in_force": TimeInForce.IOC}, "market", {}),
            ({"order_type": OrderType.LIMIT, "price": Decimal(5)}, "limit", {"timeInForce": "GTC"}),
            (
                {"order_type": OrderType.LIMIT, "price": Decimal(5), "time_in_force": TimeInForce.FOK},
                "limit",
                {"timeInForce": "FOK"},
            ),
            ({"order_type": OrderType.STOP, "stop_price": Decimal("5.10")}, "market", {"triggerPrice": "5.1"}),
            (
                {"order_type": OrderType.STOP_LIMIT, "stop_price": Decimal(5), "price": Decimal(6)},
                "limit",
                {"triggerPrice": "5", "timeInForce": "GTC"},
            ),
        ],
    )
    def test_kinds(self, fields: dict[str, Any], kind: str, params: dict[str, str]) -> None:
        order = drafted(**fields)
        assert (order.type, order.params, order.trigger) == (kind, params, "triggerPrice" in params)

    @pytest.mark.parametrize(("side", "direction"), [(Side.BUY, "ascending"), (Side.SELL, "descending")])
    def test_a_trigger_says_where_the_price_comes_from_if_it_must(self, side: Side, direction: str) -> None:
        traits = replace(ALL, trigger_direction=True)
        order = drafted(PERP, traits, side=side, order_type=OrderType.STOP, stop_price=Decimal(5))
        assert order.params["triggerDirection"] == direction

    def test_protection_is_part_of_the_order(self) -> None:
        order = drafted(PERP, take_profit=Decimal(9), stop_loss=Decimal(1))
        assert order.params == {"takeProfit": {"triggerPrice": "9"}, "stopLoss": {"triggerPrice": "1"}}

    @pytest.mark.parametrize(
        ("of", "traits", "fields"),
        [
            (SPOT, ALL, {"stop_loss": Decimal(1)}),
            (PERP, NONE, {"take_profit": Decimal(9)}),
            (PERP, NONE, {"order_type": OrderType.STOP, "stop_price": Decimal(5)}),
            (PERP, NONE, {"order_type": OrderType.LIMIT, "price": Decimal(5), "time_in_force": TimeInForce.DAY}),
            (PERP, NONE, {"order_type": OrderType.LIMIT, "price": Decimal(5), "time_in_force": TimeInForce.FOK}),
            (PERP, ALL, {"time_in_force": TimeInForce.FOK}),
            (PERP, NONE, {"leverage": Decimal(3)}),
            (SPOT, NONE, {}),
        ],
    )
    def test_what_an_exchange_cannot_do_is_refused_and_never_left_out(
        self, of: dict[str, Any], traits: Traits, fields: dict[str, Any]
    ) -> None:
        """An order without its stop loss is another order."""
        assert refused(of, traits, **fields) is Code.NOT_SUPPORTED

    def test_leverage_is_set_before_or_said_in_the_order(self) -> None:
        assert drafted(PERP, leverage=Decimal(3)).leverage == 3
        in_order = replace(ALL, leverage="order", b2prime=True)
        order = drafted(PERP, in_order, leverage=Decimal(3))
        assert (order.leverage, order.params["leverage"]) == (None, 3)
        assert drafted(PERP, in_order).params["leverage"] == 1  # nothing is borrowed that nobody asked for
        assert "leverage" not in drafted(SPOT, in_order).params
        assert refused(PERP, leverage=Decimal("0.5")) is Code.BAD_LEVERAGE

    def test_a_comment_goes_along_where_orders_have_one(self) -> None:
        """As long as the venue allows."""
        order = drafted(PERP, replace(ALL, b2prime=True), comment="x" * 256)
        assert order.params["comment"] == "x" * 100
        assert "comment" not in drafted(PERP, comment="x").params


class TestTraits:
    @pytest.mark.parametrize(
        ("exchange", "kind", "expected"),
        [
            ("binance", "swap", {"protection": None, "triggers": True, "leverage": "account", "day": False}),
            ("okx", "swap", {"protection": "triggerPrice", "triggers": True}),
            ("bybit", "swap", {"protection": "triggerPrice", "trigger_direction": True}),
            ("binance", "spot", {"buys_in_base": True}),
            ("okx", "spot", {"buys_in_base": True}),
            ("coinbase", "spot", {"buys_in_base": False}),
            ("htx", "spot", {"buys_in_base": False}),
            ("b2prime", "swap", {"protection": "price", "leverage": "order", "day": True, "b2prime": True}),
            ("b2prime", "spot", {"protection": None, "buys_in_base": True}),
        ],
    )
    def test_by_what_ccxt_says_of_the_exchange(self, exchange: str, kind: str, expected: dict[str, Any]) -> None:
        profile = SignalProfile(VenueOptions(exchange=exchange, credentials={}))
        traits = profile.traits({"spot": kind == "spot", "contract": kind != "spot"})
        assert {name: getattr(traits, name) for name in expected} == expected

    def test_what_may_be_an_order_is_known_by_its_request(self) -> None:
        """B2PRIME's token is none; at Deribit a GET is one."""
        of = {
            name: SignalProfile(VenueOptions(exchange=name, credentials={})) for name in ("okx", "b2prime", "deribit")
        }
        assert of["okx"].is_order("https://www.okx.com/api/v5/trade/order", "POST")
        assert not of["okx"].is_order("https://www.okx.com/api/v5/public/time", "GET")
        assert of["b2prime"].is_order("https://orders.example/frontoffice/api/v3/stop-orders", "POST")
        assert not of["b2prime"].is_order("https://orders.example/frontoffice/api/v4/access-token", "POST")
        assert of["deribit"].is_order("https://www.deribit.com/api/v2/private/buy?amount=1", "GET")
        assert not of["deribit"].is_order("https://www.deribit.com/api/v2/private/get_open_orders", "GET")

    def test_no_other_class_of_ccxts_places_orders_with_get(self) -> None:
        """Or the fence would not know the order: a new version of ccxt is looked at again."""
        found = {
            name: set(re.findall(r"\.private(?:\w*)Get(\w+)\(", inspect.getsource(method)))
            for name in async_support.exchanges
            if (method := getattr(async_support, name).__dict__.get("create_order")) is not None
        }
        placing = {name: calls for name, calls in found.items() if calls}
        assert placing == {"coinbaseinternational": {"Buy", "Sell"}, "deribit": {"Buy", "Sell"}}

    def test_an_option_that_would_turn_amounts_into_costs_is_refused(self) -> None:
        options = VenueOptions(
            exchange="htx",
            credentials={"apiKey": "k", "secret": "s"},
            options={"createMarketBuyOrderRequiresPrice": False},
        )
        assert any("createMarketBuy" in fault for fault in SignalProfile(options).objections(options))

    def test_b2prime_must_be_told_its_host_and_account(self) -> None:
        options = VenueOptions(exchange="b2prime", credentials={"token": "t"})
        assert SignalProfile(options).objections(options) == [
            "options.hostname: is missing",
            "options.accountId: is missing",
        ]
