"""The funding account, which is not the trading account; and conversion, which takes from the trading account.

Sources: "Funding account" of the API v5 documentation, and "Convert" in its error codes. A quote lasts ten seconds.
Asking for more than is there gives a quote all the same; the trade is then refused. A conversion that was done is
found in the history by ``clTReqId``, and only by it.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from node.sim.catalogue import COINS, OFF_THE_BOOK, STABLE
from node.sim.conversions import Conversion, ConversionQuote
from node.sim.okx.calls import Call, Rows
from node.sim.okx.errors import OkxError, no_permission, wrong
from node.sim.okx.markets import FUNDING, TRADING
from node.sim.okx.numbers import plain

QUOTE_MS = 10_000
#: Client ids of conversions, by the conversion's own id.
ClientIds = dict[int, str]


def balances(call: Call) -> Rows:
    """``GET /api/v5/asset/balances``: the funding account."""
    wanted = call.params.words("ccy")
    return [
        {"availBal": plain(held.free), "bal": plain(held.total), "ccy": name, "frozenBal": plain(held.locked)}
        for name, held in sorted(call.account.wallets.get(FUNDING, {}).items())
        if held.total and (not wanted or name in wanted)
    ]


def currencies(call: Call) -> Rows:
    """``GET /api/v5/asset/currencies``: coins, listed or held, with one network each."""
    held = {name for wallet in call.account.wallets.values() for name in wallet}
    names = sorted({*COINS, *STABLE, *OFF_THE_BOOK, *held} - {"USD"})
    return [
        {
            "ccy": name,
            "name": name,
            "chain": f"{name}-{name}",
            "canDep": False,
            "canInternal": False,
            "canWd": False,
            "mainNet": True,
            "maxFee": "0",
            "maxWd": "0",
            "minDep": "0",
            "minFee": "0",
            "minWd": "0",
            "wdTickSz": "8",
            "logoLink": "",
            "usedWdQuota": "0",
            "wdQuota": "0",
        }
        for name in names
    ]


def convert_currencies(call: Call) -> Rows:
    """``GET /api/v5/asset/convert/currencies``."""
    return [{"ccy": name, "max": "", "min": ""} for name in call.setup.conversions.assets()]


def convert_pair(call: Call) -> Rows:
    """``GET /api/v5/asset/convert/currency-pair``: the bounds of one pair."""
    source, target = call.params.required("fromCcy"), call.params.required("toCcy")
    desk = call.setup.conversions
    least, most = call.attempt(lambda: desk.bounds(source))
    other_least, other_most = call.attempt(lambda: desk.bounds(target))
    return [
        {
            "baseCcy": source,
            "baseCcyMax": plain(most),
            "baseCcyMin": plain(least),
            "instId": f"{source}-{target}",
            "quoteCcy": target,
            "quoteCcyMax": plain(other_most),
            "quoteCcyMin": plain(other_least),
        }
    ]


def estimate_quote(call: Call) -> Rows:
    """``POST /api/v5/asset/convert/estimate-quote``."""
    params = call.params
    _check_right(call)
    source, target, amount = _direction(call, "rfqSz", "rfqSzCcy")
    gives = params.required("rfqSzCcy") == source
    quote = call.attempt(
        lambda: call.setup.conversions.quote(
            call.account,
            source,
            target,
            gives=amount if gives else None,
            takes=None if gives else amount,
            valid_ms=QUOTE_MS,
            wallet=TRADING,
        )
    )
    base, other = _sizes(quote, params.text("side"))
    return [
        {
            "baseCcy": params.text("baseCcy"),
            "baseSz": plain(base),
            "clQReqId": params.text("clQReqId"),
            "cnvtPx": plain(other / base) if base else "0",
            "origRfqSz": params.text("rfqSz"),
            "quoteCcy": params.text("quoteCcy"),
            "quoteId": f"quoter{quote.quote_id}",
            "quoteSz": plain(other),
            "quoteTime": str(call.setup.clock.now_ms()),
            "rfqSz": params.text("rfqSz"),
            "rfqSzCcy": params.text("rfqSzCcy"),
            "side": params.text("side"),
            "ttlMs": str(QUOTE_MS),
        }
    ]


def convert_trade(call: Call, client_ids: ClientIds) -> Rows:
    """``POST /api/v5/asset/convert/trade``: takes a quote, as a whole."""
    params = call.params
    _check_right(call)
    source, _, amount = _direction(call, "sz", "szCcy")
    client_id = params.text("clTReqId")
    if client_id and client_id in client_ids.values():
        raise OkxError("52925", "Duplicate client request ID")
    if params.text("szCcy") == source and amount > call.account.balance(TRADING, source).free:
        raise OkxError("52914", "Insufficient available balance in trading account")
    quote_id = params.required("quoteId").removeprefix("quoter")
    conversion = call.attempt(lambda: call.setup.conversions.accept(call.account, quote_id, by=call.origin))
    client_ids[conversion.order_id] = client_id
    call.order_ids.append(conversion.order_id)
    return [{**_trade_view(conversion, params.text("side"), client_id), "quoteId": params.text("quoteId")}]


def convert_history(call: Call, client_ids: ClientIds) -> Rows:
    """``GET /api/v5/asset/convert/history``, of one client id or of all."""
    wanted = call.params.text("clTReqId")
    rows = []
    for order_id, client_id in client_ids.items():
        conversion = call.setup.conversions.find(call.account, order_id=order_id, quote_id="")
        if conversion is not None and wanted in ("", client_id):
            rows.append(_trade_view(conversion, "sell", client_id))
    return rows[::-1]


def _direction(call: Call, size: str, currency: str) -> tuple[str, str, Decimal]:
    """What is given, what is taken, and the amount that was named."""
    params = call.params
    base, quote, side = (params.required(name) for name in ("baseCcy", "quoteCcy", "side"))
    if side not in ("buy", "sell"):
        raise wrong("side")
    if params.required(currency) not in (base, quote):
        raise wrong(currency)
    amount = params.required_decimal(size)
    if amount <= 0:
        raise wrong(size)
    return (base, quote, amount) if side == "sell" else (quote, base, amount)


def _sizes(quote: ConversionQuote, side: str) -> tuple[Decimal, Decimal]:
    """Amounts of the base and of the quote currency."""
    return (quote.gives, quote.takes) if side == "sell" else (quote.takes, quote.gives)


def _trade_view(conversion: Conversion, side: str, client_id: str) -> dict[str, Any]:
    quote = conversion.quote
    base, other = _sizes(quote, side)
    names = (quote.source, quote.target) if side == "sell" else (quote.target, quote.source)
    return {
        "baseCcy": names[0],
        "clTReqId": client_id,
        "fillBaseSz": plain(base),
        "fillPx": plain(other / base) if base else "0",
        "fillQuoteSz": plain(other),
        "instId": f"{names[0]}-{names[1]}",
        "quoteCcy": names[1],
        "side": side,
        "state": "fullyFilled",
        "tradeId": f"trader{conversion.order_id}",
        "ts": str(conversion.created_ms),
    }


def _check_right(call: Call) -> None:
    if call.key is None or not call.key.rights.convert:
        raise no_permission()
