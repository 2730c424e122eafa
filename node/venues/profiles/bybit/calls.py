"""Bybit V5: the exact requests, as data. Parameters and limits by the endpoints' own pages.

https://bybit-exchange.github.io/docs/v5: order/create-order, order/cancel-order, order/batch-cancel, order/cancel-all,
order/open-order, position, account/wallet-balance, account/account-info, account/no-convert-repay, user/apikey-info,
market/instrument, market/tickers, market/time, and rate-limit.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from node.domain.permission import Effect
from node.domain.snapshot import MarketKind, PositionSide, Side
from node.domain.steps import CancelOrders, CancelSymbol, ClosePosition, RepayDebt, SellSpot, SpotOrder, Step
from node.venues.call import Call
from node.venues.lane import Budget, Charge
from node.venues.layout import Slice, SliceReads
from node.venues.profiles.plain import plain

#: Requests of an address (600 in 5 s, all hosts together), and of an account by endpoint in a rolling second. The
#: latter by the table of rate-limit; where an endpoint is not in it, cautiously.
BUDGETS: Final = {
    "ip": Budget(units=600, interval_s=5.0),
    "create:contract": Budget(units=10, interval_s=1.0),
    "create:spot": Budget(units=20, interval_s=1.0),
    "cancel:contract": Budget(units=10, interval_s=1.0),
    "cancel:spot": Budget(units=20, interval_s=1.0),
    "cancel-batch:contract": Budget(units=10, interval_s=1.0),
    "cancel-all:contract": Budget(units=10, interval_s=1.0),
    "cancel-all:spot": Budget(units=20, interval_s=1.0),
    "orders": Budget(units=50, interval_s=1.0),
    "positions": Budget(units=50, interval_s=1.0),
    "wallet": Budget(units=50, interval_s=1.0),
    "key": Budget(units=10, interval_s=1.0),
    "repay": Budget(units=1, interval_s=1.0),
    "convert": Budget(units=10, interval_s=1.0),
}

CATEGORY: Final = {MarketKind.SPOT: "spot", MarketKind.LINEAR: "linear", MarketKind.INVERSE: "inverse"}
#: What linear contracts settle in. Lists of them have to be asked for coin by coin.
SETTLE_COINS: Final = ("USDT", "USDC")
#: The largest pages.
ORDERS_PAGE: Final = 50
POSITIONS_PAGE: Final = 200
MARKETS_PAGE: Final = 1000
#: Of contracts 20, says the endpoint's page; 10, says the page on limits.
CANCEL_BATCH: Final = 10
#: Beyond this many names the whole list is asked for: a request has room for one name.
QUOTES_BY_NAME: Final = 10
#: Never given to an order: ours are eighteen letters and digits.
PROBE_ID: Final = "sovereign-node-probe"
#: The books of spot, by the names that requests have for them. An order of one is not found in another.
SPOT_BOOKS: Final = ("Order", "tpslOrder", "StopOrder", "OcoOrder", "BidirectionalTpslOrder")

_SIDES: Final = {Side.BUY: "Buy", Side.SELL: "Sell"}
_INDEX: Final = {PositionSide.LONG: 1, PositionSide.SHORT: 2}


def spot_order_id(book: str, order_id: str) -> str:
    """An id that also says in which of spot's books of conditional orders the order is."""
    return f"{book}:{order_id}"


def charges(bucket: str, units: int = 1) -> tuple[Charge, ...]:
    """One request, counted for the address and for the account."""
    return (Charge(bucket="ip"), Charge(bucket=bucket, units=units, per_key=True))


def market_calls(kind: MarketKind) -> tuple[Call, ...]:
    """What is listed; of contracts also those before their launch, and those that are being settled: what the venue
    lists by itself is only what is trading.
    """
    lists: list[dict[str, Any]] = [{"category": CATEGORY[kind]}]
    if kind is not MarketKind.SPOT:  # spot knows no pages
        lists[0]["limit"] = MARKETS_PAGE
        lists += [{**lists[0], "status": status} for status in ("PreLaunch", "Delivering")]
    return tuple(_public("publicGetV5MarketInstrumentsInfo", **params) for params in lists)


def clock_call() -> Call:
    """The host's time."""
    return _public("publicGetV5MarketTime")


def quote_calls(market_ids: list[str], *, whole: bool) -> tuple[Call, ...]:
    """Best bids and offers of some spot markets, or of all."""
    if whole or len(market_ids) > QUOTES_BY_NAME:
        return (_public("publicGetV5MarketTickers", category="spot"),)
    return tuple(_public("publicGetV5MarketTickers", category="spot", symbol=each) for each in market_ids)


def key_calls() -> tuple[Call, ...]:
    """What the key may do, and what kind of account it opens."""
    return _read("privateGetV5UserQueryApi", "key"), _read("privateGetV5AccountInfo", "key")


def reads(part: Slice) -> SliceReads:
    """What shows a slice.

    Active and conditional orders are in one list, which is read twice: first for what waits for a trigger, then for
    what does not. So whatever is triggered meanwhile is seen, and no kind of order is left out by a filter.
    """
    category = CATEGORY[part.kind]
    scopes: list[dict[str, Any]] = [{"category": category}]
    if part.kind is MarketKind.LINEAR:
        scopes = [{"category": category, "settleCoin": coin} for coin in settle_coins(part)]
    orders = tuple(
        _read("privateGetV5OrderRealtime", "orders", **scope, openOnly=0, limit=ORDERS_PAGE) for scope in scopes
    )
    positions = tuple(_read("privateGetV5PositionList", "positions", **scope, limit=POSITIONS_PAGE) for scope in scopes)
    return SliceReads(
        triggers=orders,
        orders=orders,
        positions=positions if part.derivative else (),
        balances=(_read("privateGetV5AccountWalletBalance", "wallet", accountType="UNIFIED"),),
    )


def settle_coins(part: Slice) -> tuple[str, ...]:
    """Of a linear slice."""
    return SETTLE_COINS if part.settle is None else (part.settle,)


def of_step(step: Step, kind: MarketKind) -> tuple[Call, ...]:
    """The requests that carry out *step*; none for what has requests of its own kind (conversions)."""
    match step:
        case ClosePosition():
            return (_close(step, kind),)
        case SellSpot():
            return (_sell(step),)
        case CancelSymbol():
            return tuple(_cancel_symbol(step, kind))
        case CancelOrders():
            return tuple(_cancel_orders(step, kind))
        case RepayDebt():
            return (_repay(step),)
        case _:
            return ()


def _close(step: ClosePosition, kind: MarketKind) -> Call:
    limited = {} if step.limit_price is None else {"price": plain(step.limit_price), "timeInForce": "IOC"}
    params = {
        "category": CATEGORY[kind],
        "symbol": step.market_id,
        "side": _SIDES[step.side.closing_side],
        "orderType": "Limit" if limited else "Market",
        "qty": plain(step.contracts),
        **limited,
        # In hedge mode the index names the leg, and reduce-only bounds the order all the same.
        "positionIdx": _INDEX[step.side] if step.hedged else 0,
        "reduceOnly": True,
        "orderLinkId": step.client_order_id,
    }
    endpoint = "privatePostV5OrderCreate"
    return Call(endpoint=endpoint, effect=Effect.CLOSE, params=params, charges=charges("create:contract"))


def _sell(step: SellSpot) -> Call:
    params = {
        "category": "spot",
        "symbol": step.market_id,
        "side": "Sell",
        "orderType": "Limit",
        "qty": plain(step.quantity),
        "price": plain(step.limit_price),
        "timeInForce": "IOC",
        "isLeverage": 0,  # borrows nothing
        "orderLinkId": step.client_order_id,
    }
    endpoint = "privatePostV5OrderCreate"
    return Call(endpoint=endpoint, effect=Effect.CLOSE, params=params, charges=charges("create:spot"))


def _cancel_symbol(step: CancelSymbol, kind: MarketKind) -> Iterable[Call]:
    if kind is MarketKind.SPOT:
        # Each book by itself. Pages do not say where the live half of a pair of orders (OCO) is: also with the plain.
        books = SPOT_BOOKS if step.trigger else SPOT_BOOKS[:1]
    else:
        books = ("StopOrder",) if step.trigger else ("Order",)
    for book in books:
        yield _cancel("CancelAll", "cancel-all", kind, symbol=step.market_id, orderFilter=book)


def _cancel_orders(step: CancelOrders, kind: MarketKind) -> Iterable[Call]:
    ids = step.order_ids
    if kind is MarketKind.LINEAR and len(ids) > 1:
        for start in range(0, len(ids), CANCEL_BATCH):
            batch = [{"symbol": step.market_id, "orderId": each} for each in ids[start : start + CANCEL_BATCH]]
            yield _cancel("CancelBatch", "cancel-batch", kind, len(batch), request=batch)
        return
    # Batches of spot and inverse are not in every kind of account and environment.
    for each in ids:
        if kind is MarketKind.SPOT:
            book, _, order_id = each.rpartition(":")
            book = book or ("StopOrder" if step.trigger else "Order")
            yield _cancel("Cancel", "cancel", kind, symbol=step.market_id, orderId=order_id, orderFilter=book)
        else:
            yield _cancel("Cancel", "cancel", kind, symbol=step.market_id, orderId=each)


def probe_call(market_id: str, kind: MarketKind) -> Call:
    """A cancel that cannot find its order."""
    return _cancel("Cancel", "cancel", kind, symbol=market_id, orderLinkId=PROBE_ID)


def _repay(step: RepayDebt) -> Call:
    """From what is held of the coin; nothing is converted."""
    params = {"coin": step.asset, "amount": plain(step.amount)}
    endpoint = "privatePostV5AccountNoConvertRepay"
    return Call(endpoint=endpoint, effect=Effect.CLOSE, params=params, charges=charges("repay"))


def order_call(step: SpotOrder) -> Call:
    """One order by client id, whatever its state: by an id ``openOnly`` is ignored."""
    params = {"category": "spot", "symbol": step.market_id, "orderLinkId": step.client_order_id}
    return _read("privateGetV5OrderRealtime", "orders", **params)


def _cancel(name: str, bucket: str, kind: MarketKind, units: int = 1, **params: object) -> Call:
    where = "spot" if kind is MarketKind.SPOT else "contract"
    return Call(
        endpoint=f"privatePostV5Order{name}",
        effect=Effect.CANCEL,
        params={"category": CATEGORY[kind], **params},
        charges=charges(f"{bucket}:{where}", units),
    )


def _read(endpoint: str, bucket: str, **params: object) -> Call:
    return Call(endpoint=endpoint, effect=Effect.READ, params=params, charges=charges(bucket))


def _public(endpoint: str, **params: object) -> Call:
    return Call(endpoint=endpoint, effect=Effect.READ, params=params, charges=(Charge(bucket="ip"),))
