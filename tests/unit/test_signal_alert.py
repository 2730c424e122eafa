"""An alert's body: what is understood, and what is refused before anything else is looked at."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from node.signals.alert import Alert, OrderType, Side, TimeInForce, read_alert, read_message
from node.signals.refusal import Code, Refused

FIELDS: dict[str, Any] = {"accountId": "main", "symbol": "spot.btc_usdt", "side": "buy", "quantity": "0.01"}
KEY = "wh_key_canary"


def message(**fields: Any) -> bytes:
    """As TradingView sends it."""
    return json.dumps({"apiKey": KEY, **FIELDS, **fields}).encode()


def refused(**fields: Any) -> Code:
    """Why the fields are refused."""
    with pytest.raises(Refused) as caught:
        read_alert({**FIELDS, **fields})
    return caught.value.code


class TestMessages:
    def test_names_its_key_and_its_id(self) -> None:
        """Everything else is looked at later."""
        read = read_message(message(deduplicationId="7f3e"))
        assert (read.api_key, read.deduplication_id) == (KEY, "7f3e")
        assert "apiKey" not in read.fields

    def test_the_key_is_in_no_representation(self) -> None:
        assert KEY not in repr(read_message(message()))

    def test_the_same_content_has_the_same_digest_whatever_its_key_and_spelling(self) -> None:
        """The order of fields and blanks mean nothing."""
        other = json.dumps({**dict(reversed(FIELDS.items())), "apiKey": "wh_key_other"}, indent=3).encode()
        assert read_message(message()).digest == read_message(other).digest
        assert read_message(message()).digest != read_message(message(quantity="0.02")).digest

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"BTCUSDT crossing 60000",
            b"[]",
            b'"text"',
            b"null",
            b"{",
            b"\xff\xfe{}",
            b"[" * 10_000,
            b'{"apiKey": "k", "quantity": NaN}',
            b'{"apiKey": "k", "quantity": 1e99999999999999999999}',
            b'{"apiKey": "k", "quantity": 1, "quantity": 2}',
            b'{"apiKey": "k", "quantity": ' + b"9" * 5000 + b"}",
            b"{}",
            b'{"apiKey": null}',
            b'{"apiKey": 7}',
            b'{"apiKey": ""}',
            b'{"apiKey": "k", "stopLos": "1"}',
            b'{"apiKey": "k", "deduplicationId": 7}',
            b'{"apiKey": "k", "deduplicationId": ""}',
            json.dumps({"apiKey": "k", "deduplicationId": "x" * 129}).encode(),
            json.dumps({"apiKey": "k\n"}).encode(),
            json.dumps({"apiKey": "k" * 257}).encode(),
        ],
    )
    def test_what_is_no_message_is_refused(self, body: bytes) -> None:
        """No JSON, no object, a field twice, or one that nobody knows: it could have been a misspelt stop loss."""
        with pytest.raises(Refused) as caught:
            read_message(body)
        assert caught.value.code is Code.BAD_REQUEST

    def test_a_refusal_never_repeats_a_value(self) -> None:
        with pytest.raises(Refused) as caught:
            read_message(json.dumps({"apiKey": [KEY]}).encode())
        assert KEY not in caught.value.message


class TestAlerts:
    def test_the_smallest(self) -> None:
        """At market, good till cancelled."""
        assert read_alert(FIELDS) == Alert(
            account="main", symbol="spot.btc_usdt", side=Side.BUY, quantity=Decimal("0.01")
        )

    def test_every_field(self) -> None:
        alert = read_alert(
            {
                **FIELDS,
                "symbol": "PERP.BTC_USDT",
                "side": "Sell",
                "orderType": "stop_limit",
                "price": "59900.5",
                "stopPrice": 60000,
                "leverage": Decimal("2.5"),
                "takeProfit": "55000",
                "stopLoss": "61000",
                "timeInForce": "FOK",
                "comment": "breakout",
            }
        )
        assert alert == Alert(
            account="main",
            symbol="perp.btc_usdt",
            side=Side.SELL,
            quantity=Decimal("0.01"),
            order_type=OrderType.STOP_LIMIT,
            price=Decimal("59900.5"),
            stop_price=Decimal(60000),
            leverage=Decimal("2.5"),
            take_profit=Decimal(55000),
            stop_loss=Decimal(61000),
            time_in_force=TimeInForce.FOK,
            comment="breakout",
        )

    @pytest.mark.parametrize(
        "symbol", [None, 7, "", "btc_usdt", "spot.", "spot.BTC/USDT", "margin.btc_usdt", "spot.a b"]
    )
    def test_bad_symbols(self, symbol: Any) -> None:
        assert refused(symbol=symbol) is Code.BAD_SYMBOL

    @pytest.mark.parametrize(
        "quantity",
        [
            None,
            "",
            "0",
            "-1",
            "many",
            "1e3",
            "NaN",
            "Infinity",
            "0x10",
            " 1",
            "1,5",
            True,
            0,
            -2,
            [],
            "٣",
            Decimal("1e400"),
        ],
    )
    def test_bad_quantities(self, quantity: Any) -> None:
        """Also in other digits than ours, and in words that only computers take for numbers."""
        assert refused(quantity=quantity) is Code.BAD_QUANTITY

    @pytest.mark.parametrize("quantity", ["0.5", ".5", 1, Decimal("0.5"), Decimal("1E-8")])
    def test_quantities_are_text_or_numbers(self, quantity: Any) -> None:
        """Templates put placeholders in quotes, or not."""
        assert read_alert({**FIELDS, "quantity": quantity}).quantity == Decimal(quantity)

    @pytest.mark.parametrize(
        ("kind", "fields"),
        [
            ("limit", {}),
            ("limit", {"stopPrice": "1"}),
            ("stop", {}),
            ("stop", {"price": "1"}),
            ("stop_limit", {"price": "1"}),
            ("stop_limit", {"stopPrice": "1"}),
        ],
    )
    def test_missing_prices(self, kind: str, fields: dict[str, str]) -> None:
        assert refused(orderType=kind, **fields) is Code.MISSING_PRICE

    @pytest.mark.parametrize("name", ["price", "stopPrice", "takeProfit", "stopLoss"])
    @pytest.mark.parametrize("value", ["0", "-5", "NaN", "high", True])
    def test_bad_prices(self, name: str, value: Any) -> None:
        assert refused(**{name: value}) is Code.BAD_PRICE

    @pytest.mark.parametrize(
        "fields",
        [
            {"stopLoss": "110", "takeProfit": "90"},
            {"stopLoss": "100", "takeProfit": "100"},
            {"side": "sell", "stopLoss": "90", "takeProfit": "110"},
            {"orderType": "limit", "price": "100", "stopLoss": "101"},
            {"orderType": "limit", "price": "100", "takeProfit": "99"},
        ],
    )
    def test_a_stop_on_the_wrong_side_is_refused(self, fields: dict[str, str]) -> None:
        """It would end the position the moment it is there."""
        assert refused(symbol="perp.btc_usdt", **fields) is Code.BAD_PRICE

    def test_a_price_that_the_order_has_no_use_for_means_nothing(self) -> None:
        """One template for all kinds of order."""
        alert = read_alert({**FIELDS, "price": "60000", "stopPrice": "61000"})
        assert (alert.price, alert.stop_price) == (None, None)

    @pytest.mark.parametrize("leverage", ["0", "-1", "max"])
    def test_bad_leverage(self, leverage: str) -> None:
        assert refused(symbol="perp.btc_usdt", leverage=leverage) is Code.BAD_LEVERAGE

    def test_there_is_no_leverage_on_spot(self) -> None:
        assert refused(leverage="2") is Code.BAD_LEVERAGE

    @pytest.mark.parametrize(
        "fields",
        [
            {"accountId": None},
            {"accountId": ""},
            {"accountId": "x" * 65},
            {"side": None},
            {"side": "hold"},
            {"side": 1},
            {"orderType": "iceberg"},
            {"timeInForce": "gtd"},
            {"comment": "x" * 257},
            {"comment": "two\nlines"},
            {"comment": 7},
        ],
    )
    def test_the_rest(self, fields: dict[str, Any]) -> None:
        assert refused(**fields) is Code.BAD_REQUEST
