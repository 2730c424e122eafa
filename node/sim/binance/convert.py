"""Convert: a quote, its acceptance, and what became of it.

Sources: Convert on developers.binance.com (send quote request, accept quote, order status, list all convert pairs). A
quote without an id is how Binance says that there is not enough to convert. Keys need an approval of their own for it;
without one everything answers -1002. Of its error codes only that of an expired quote is documented (345231, by Binance
Pay, which has the same service); the others here are the general ones.
"""

from __future__ import annotations

from typing import Any

from node.sim.binance.calls import Call
from node.sim.binance.errors import BinanceError, missing
from node.sim.binance.numbers import amount
from node.sim.conversions import Conversion, ConversionQuote
from node.sim.market import Product
from node.sim.refusals import Reason, RefusalError

VALID_TIMES_MS = {"10s": 10_000, "30s": 30_000, "1m": 60_000}
#: Which wallets may pay, as documented; the simulator's accounts have money for it on spot alone.
WALLETS = {
    "SPOT": Product.SPOT,
    "FUNDING": "funding",
    "EARN": "earn",
    "SPOT_FUNDING": Product.SPOT,
    "SPOT_EARN": Product.SPOT,
    "SPOT_FUNDING_EARN": Product.SPOT,
    "FUNDING_EARN": "funding",
}


def pairs(call: Call) -> list[dict[str, Any]]:
    """``GET /sapi/v1/convert/exchangeInfo``: pairs of one or two assets; a part of them if none is named."""
    desk = call.setup.conversions
    names = list(desk.assets())
    source, target = call.params.text("fromAsset"), call.params.text("toAsset")
    if not source and not target:
        target = "USDT"
    return [
        _pair(call, one, other)
        for one in names
        for other in names
        if one != other and source in ("", one) and target in ("", other)
    ]


def get_quote(call: Call) -> dict[str, Any]:
    """``POST /sapi/v1/convert/getQuote``. Without the money there is a price, and no ``quoteId``."""
    _check_right(call)
    params = call.params
    gives, takes = params.decimal("fromAmount"), params.decimal("toAmount")
    if (gives is None) == (takes is None):
        raise missing("fromAmount")
    valid_ms = VALID_TIMES_MS.get(params.text("validTime", "10s"))
    wallet = WALLETS.get(params.text("walletType", "SPOT"))
    if valid_ms is None or wallet is None:
        raise _invalid("validTime" if valid_ms is None else "walletType")
    try:
        quote = call.setup.conversions.quote(
            call.account,
            params.required("fromAsset"),
            params.required("toAsset"),
            gives=gives,
            takes=takes,
            valid_ms=valid_ms,
            wallet=wallet,
        )
    except RefusalError as error:
        raise _invalid("toAsset" if error.reason is Reason.NOT_CONVERTIBLE else "fromAmount") from error
    view = _quote_view(quote) | {"validTimestamp": quote.expires_ms}
    return {"quoteId": quote.quote_id, **view} if quote.covered else view


def accept_quote(call: Call) -> dict[str, Any]:
    """``POST /sapi/v1/convert/acceptQuote``. The answer comes before the money: it is in process."""
    _check_right(call)
    quote_id = call.params.required("quoteId")
    try:
        conversion = call.setup.conversions.accept(call.account, quote_id, by=call.origin)
    except RefusalError as error:
        if error.reason is Reason.QUOTE_EXPIRED:
            raise BinanceError(
                345231, "System failed to execute the quote, which has expired. Please request for quote again."
            ) from error
        if error.reason is Reason.INSUFFICIENT_BALANCE:
            raise BinanceError(-2010, "Account has insufficient balance for requested action.") from error
        raise _invalid("quoteId") from error
    call.order_ids.append(conversion.order_id)
    return {
        "orderId": str(conversion.order_id),
        "createTime": conversion.created_ms,
        "orderStatus": "PROCESS",
    }


def order_status(call: Call) -> dict[str, Any]:
    """``GET /sapi/v1/convert/orderStatus``, by ``orderId`` or ``quoteId``."""
    _check_right(call)
    order_id, quote_id = call.params.integer("orderId"), call.params.text("quoteId")
    if order_id is None and not quote_id:
        raise missing("orderId")
    conversion = call.setup.conversions.find(call.account, order_id=order_id, quote_id=quote_id)
    if conversion is None:
        raise BinanceError(-2013, "Order does not exist.")
    return _conversion_view(conversion)


def _pair(call: Call, source: str, target: str) -> dict[str, Any]:
    (least, most), (target_least, target_most) = (call.setup.conversions.bounds(name) for name in (source, target))
    return {
        "fromAsset": source,
        "toAsset": target,
        "fromAssetMinAmount": amount(least),
        "fromAssetMaxAmount": amount(most),
        "toAssetMinAmount": amount(target_least),
        "toAssetMaxAmount": amount(target_most),
    }


def _quote_view(quote: ConversionQuote) -> dict[str, Any]:
    return {
        "ratio": amount(quote.ratio),
        "inverseRatio": amount(1 / quote.ratio),
        "toAmount": amount(quote.takes),
        "fromAmount": amount(quote.gives),
    }


def _conversion_view(conversion: Conversion) -> dict[str, Any]:
    return {
        "orderId": conversion.order_id,
        "orderStatus": "SUCCESS",
        "fromAsset": conversion.quote.source,
        "toAsset": conversion.quote.target,
        **_quote_view(conversion.quote),
        "createTime": conversion.created_ms,
    }


def _check_right(call: Call) -> None:
    if call.key is None or not call.key.rights.convert:
        raise BinanceError(-1002, "You are not authorized to execute this request.")


def _invalid(name: str) -> BinanceError:
    return BinanceError(-1130, f"Data sent for parameter '{name}' is not valid.")
