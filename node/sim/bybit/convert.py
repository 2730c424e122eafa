"""Conversion of coins at a quoted price.

Sources: the "Convert" part of the V5 documentation. Only the unified wallet (``eb_convert_uta``) is simulated.
"""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal
from typing import Any, Final

from node.sim.accounts import Balance
from node.sim.bybit.calls import Call
from node.sim.bybit.errors import BybitError, refusal, wrong
from node.sim.bybit.markets import UNIFIED
from node.sim.bybit.numbers import plain
from node.sim.conversions import Conversion, ConversionQuote
from node.sim.market import Product
from node.sim.refusals import RefusalError

ACCOUNT_TYPE: Final = "eb_convert_uta"
VALID_MS: Final = 15_000
RATE: Final = Decimal("0.000000000000000001")


def coin_list(call: Call) -> dict[str, Any]:
    """``GET /v5/asset/exchange/query-coin-list``: what can be sold, or with ``side=1`` what can be bought."""
    _check_account_type(call)
    desk, selling = call.setup.conversions, call.params.integer("side", 0) == 0
    held = call.account.wallets.get(UNIFIED, {})
    coins = []
    for name in sorted(desk.assets()):
        least, most = desk.bounds(name)
        balance = held.get(name, Balance())
        coins.append(
            {
                "coin": name,
                "fullName": name,
                "icon": "",
                "iconNight": "",
                "accuracyLength": 8,
                "coinType": "crypto",
                "balance": plain(balance.free) if selling else "0",
                "uBalance": "0",
                "timePeriod": 0,
                "singleFromMinLimit": plain(least),
                "singleFromMaxLimit": plain(most),
                "singleToMinLimit": "0",
                "singleToMaxLimit": "0",
                "dailyFromMinLimit": "0",
                "dailyFromMaxLimit": "0",
                "dailyToMinLimit": "0",
                "dailyToMaxLimit": "0",
                "disableFrom": False,
                "disableTo": False,
            }
        )
    return {"coins": coins}


def request_quote(call: Call) -> dict[str, Any]:
    """``POST /v5/asset/exchange/quote-apply``: good for fifteen seconds."""
    _check_account_type(call)
    params = call.params
    source, target, amount = params.required("fromCoin"), params.required("toCoin"), params.decimal("requestAmount")
    if amount is None or amount <= 0:
        raise wrong("requestAmount")
    if params.required("requestCoin") != source:
        raise wrong("requestCoin")
    try:
        quote = call.setup.conversions.quote(
            call.account, source, target, gives=amount, valid_ms=VALID_MS, wallet=UNIFIED
        )
    except RefusalError as error:
        raise refusal(error.reason, Product.SPOT) from error
    if not quote.covered:
        raise BybitError(790001, "insufficient balance")
    return {
        "quoteTxId": quote.quote_id,
        "exchangeRate": _rate(quote),
        "fromCoin": source,
        "fromCoinType": "crypto",
        "toCoin": target,
        "toCoinType": "crypto",
        "fromAmount": plain(quote.gives),
        "toAmount": plain(quote.takes),
        "expiredTime": str(quote.expires_ms),
        "requestId": params.text("requestId"),
        "extTaxAndFee": [],
    }


def execute(call: Call) -> dict[str, Any]:
    """``POST /v5/asset/exchange/convert-execute``: it says that it is under way."""
    quote_id = call.params.required("quoteTxId")
    try:
        call.setup.conversions.accept(call.account, quote_id, by=call.origin)
    except RefusalError as error:
        raise refusal(error.reason, Product.SPOT) from error
    return {"exchangeStatus": "processing", "quoteTxId": quote_id}


def result(call: Call) -> dict[str, Any]:
    """``GET /v5/asset/exchange/convert-result-query``."""
    _check_account_type(call)
    found = call.setup.conversions.find(call.account, order_id=None, quote_id=call.params.required("quoteTxId"))
    if found is None:
        raise BybitError(700001, "quote not found")
    return {"result": _view(found)}


def _view(conversion: Conversion) -> dict[str, Any]:
    quote = conversion.quote
    return {
        "accountType": ACCOUNT_TYPE,
        "exchangeTxId": quote.quote_id,
        "userId": "24617703",
        "fromCoin": quote.source,
        "fromCoinType": "crypto",
        "fromAmount": plain(quote.gives),
        "toCoin": quote.target,
        "toCoinType": "crypto",
        "toAmount": plain(quote.takes),
        "exchangeStatus": "success",
        "extInfo": {},
        "convertRate": _rate(quote),
        "createdAt": str(conversion.created_ms),
    }


def _rate(quote: ConversionQuote) -> str:
    return format(quote.ratio.quantize(RATE, ROUND_DOWN), "f")


def _check_account_type(call: Call) -> None:
    if call.params.required("accountType") != ACCOUNT_TYPE:
        raise wrong("accountType")
