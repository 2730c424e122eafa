"""MEXC's spot interface. Pure.

https://www.mexc.com/api-docs/spot-v3: market-data-endpoints (exchange information, symbol order book ticker, server
time) and spot-account-trade (new order, cancel order, cancel all open orders on a symbol, query order, current open
orders, account information). Signed parameters all go into the address; there is no body.

An order that must not rest is of a type of its own, IMMEDIATE_OR_CANCEL: a ``timeInForce`` is taken and not kept.
Stop orders are made on the web alone, and no request lists them.
"""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal
from typing import Final

from node.domain.flatten import Quote
from node.domain.permission import Effect
from node.domain.snapshot import Balance, MarketKind, MarketRules, OpenOrder, Side
from node.domain.steps import CancelOrders, CancelSymbol, SellSpot, SpotOrder, Step
from node.errors import VenueAnswerUnknown
from node.venues.call import Answer, Call, Ccxt
from node.venues.layout import Slice, SliceReads
from node.venues.markets import MarketBook
from node.venues.profiles.mexc import words
from node.venues.profiles.mexc.words import asked_on_spot
from node.venues.profiles.plain import plain
from node.venues.strict import Row, decimal, positive, row, rows, text

_MARKETS: Final = "spotPublicGetExchangeInfo"
_TICKERS: Final = "spotPublicGetTickerBookTicker"
TIME: Final = "spotPublicGetTime"
KEY: Final = "spotPrivateGetApiKeyInfo"
_ORDERS: Final = "spotPrivateGetOpenOrders"
_ACCOUNT: Final = "spotPrivateGetAccount"
_ORDER: Final = "spotPrivateGetOrder"
_PLACE: Final = "spotPrivatePostOrder"
_CANCEL: Final = "spotPrivateDeleteOrder"
_SWEEP: Final = "spotPrivateDeleteOpenOrders"

#: Up to so many quotes are asked for one by one, more as the list of all.
_QUOTES_BY_NAME: Final = 3
#: Lengths at which other lists of orders end; that this one ends nowhere is not documented.
_FULL: Final = (500, 1000)
_SIDES: Final = {"BUY": Side.BUY, "SELL": Side.SELL}
#: What a market's status says when it is open: 1, in older answers a word.
_OPEN: Final = ("1", "ENABLED")
#: ``tradeSideType``: both sides, or sales only. Not: purchases only, none.
_SELLS: Final = ("1", "3")


def market_call() -> Call:
    """All symbols."""
    return asked_on_spot(_MARKETS, Effect.READ, weight=10)


def market_rules(exchange: Ccxt, answer: Answer) -> tuple[MarketRules, ...]:
    """``GET /api/v3/exchangeInfo``."""
    symbols = row(answer, "markets").get("symbols")
    return tuple(_rules(exchange, entry) for entry in rows(symbols, "symbols"))


def _rules(exchange: Ccxt, entry: Row) -> MarketRules:
    base, quote = (str(exchange.safe_currency_code(text(entry, name))) for name in ("baseAsset", "quoteAsset"))
    sells = entry.get("tradeSideType") is None or text(entry, "tradeSideType") in _SELLS
    return MarketRules(
        symbol=f"{base}/{quote}",
        market_id=text(entry, "symbol"),
        kind=MarketKind.SPOT,
        base=base,
        quote=quote,
        settle=quote,
        quantity_step=_places(entry, "baseAssetPrecision"),
        quantity_min=positive(entry, "baseSizePrecision"),
        notional_min=positive(entry, "quoteAmountPrecision"),
        notional_max=positive(entry, "maxQuoteAmount"),
        price_tick=_places(entry, "quotePrecision"),
        trading=text(entry, "status") in _OPEN and entry.get("isSpotTradingAllowed") is not False and sells,
    )


def _places(entry: Row, name: str) -> Decimal:
    """The last of so many decimal places."""
    places = decimal(entry, name)
    if places != int(places) or not 0 <= places <= 30:
        raise VenueAnswerUnknown(f"{name} is no number of places")
    return Decimal(1).scaleb(-int(places))


def quote_calls(book: MarketBook, symbols: Collection[str], *, whole: bool) -> tuple[Call, ...]:
    """A market by its name, or the list of all."""
    ids = sorted({book.by_symbol[symbol].market_id for symbol in symbols if symbol in book.by_symbol})
    if whole or len(ids) > _QUOTES_BY_NAME:
        return (asked_on_spot(_TICKERS, Effect.READ, weight=2),)
    return tuple(asked_on_spot(_TICKERS, Effect.READ, {"symbol": market_id}) for market_id in ids)


def quotes(book: MarketBook, symbols: Collection[str], call: Call, answer: Answer) -> dict[str, Quote]:
    """``GET /api/v3/ticker/bookTicker``: one market as it is, all as a list. Without orders a price is null or zero."""
    named = dict(call.params).get("symbol")
    found: dict[str, Quote] = {}
    for entry in rows([answer] if named is not None else answer, "quotes"):
        market_id = text(entry, "symbol")
        if named is not None and market_id != named:
            raise VenueAnswerUnknown(f"no quote of {named}")
        rules, bid, ask = book.by_id.get(market_id), positive(entry, "bidPrice"), positive(entry, "askPrice")
        if rules is not None and rules.symbol in symbols and bid is not None and ask is not None:
            found[rules.symbol] = Quote(symbol=rules.symbol, bid=bid, ask=ask)
    return found


def reads() -> SliceReads:
    """Orders of all symbols: without one the venue lists those of the account. There is no book of triggers to read."""
    return SliceReads(
        orders=(asked_on_spot(_ORDERS, Effect.READ, weight=3),),
        balances=(asked_on_spot(_ACCOUNT, Effect.READ, weight=10),),
    )


def orders(part: Slice, book: MarketBook, answer: Answer) -> tuple[OpenOrder, ...]:
    """``GET /api/v3/openOrders``, which has no pages."""
    found = rows(answer, "orders")
    if len(found) in _FULL:
        raise VenueAnswerUnknown(f"{len(found)} orders: there may be more behind them, and no way to ask")
    return tuple(_order(part, book, entry) for entry in found)


def _order(part: Slice, book: MarketBook, entry: Row) -> OpenOrder:
    market_id = text(entry, "symbol")
    rules, size = book.by_id.get(market_id), decimal(entry, "origQty")
    return OpenOrder(
        slice=part.name,
        symbol=rules.symbol if rules else market_id,
        market_id=market_id,
        order_id=text(entry, "orderId"),
        client_order_id=words.client_id(entry, "clientOrderId"),
        side=words.word(entry, "side", _SIDES),
        # A purchase for so much money names no quantity.
        remaining=size - decimal(entry, "executedQty") if size else None,
    )


def balances(part: Slice, exchange: Ccxt, answer: Answer) -> tuple[Balance, ...]:
    """``GET /api/v3/account``."""
    found = []
    for entry in rows(row(answer, "account").get("balances"), "balances"):
        free, locked = decimal(entry, "free"), decimal(entry, "locked")
        if free != 0 or locked != 0:
            asset = str(exchange.safe_currency_code(text(entry, "asset")))
            found.append(Balance(slice=part.name, asset=asset, free=free, locked=locked))
    return tuple(found)


def of_step(step: Step) -> tuple[Call, ...]:
    """The requests that carry out a step; of several orders to cancel, one each."""
    match step:
        case SellSpot():
            return (_sell(step),)
        case CancelOrders():
            named = ({"symbol": step.market_id, "orderId": order_id} for order_id in step.order_ids)
            return tuple(asked_on_spot(_CANCEL, Effect.CANCEL, each, order=True) for each in named)
        case CancelSymbol():
            return (asked_on_spot(_SWEEP, Effect.CANCEL, {"symbol": step.market_id}, order=True),)
        case _:
            return ()


def _sell(step: SellSpot) -> Call:
    params = {
        "symbol": step.market_id,
        "side": "SELL",
        "type": "IMMEDIATE_OR_CANCEL",
        "quantity": plain(step.quantity),
        "price": plain(step.limit_price),
        "newClientOrderId": step.client_order_id,
    }
    return asked_on_spot(_PLACE, Effect.CLOSE, params, order=True)


def order_call(step: SpotOrder) -> Call:
    """``GET /api/v3/order``."""
    params = {"symbol": step.market_id, "origClientOrderId": step.client_order_id}
    return asked_on_spot(_ORDER, Effect.READ, params, weight=2)


def exists(step: SpotOrder, answer: Answer) -> bool | None:
    """The order itself."""
    if not isinstance(answer, dict) or answer.get("clientOrderId") != step.client_order_id:
        return None
    return True if words.is_id(answer.get("orderId")) else None


def probe_call(step: CancelOrders) -> Call:
    """A cancel by a client id."""
    params = {"symbol": step.market_id, "origClientOrderId": words.PROBE_ID}
    return asked_on_spot(_CANCEL, Effect.CANCEL, params, order=True)
