"""Reads OKX's order parameters into the core's terms, with the checks that its gateway makes before matching.

Sources: "Place order" and "Order management" of the API v5 documentation. ``tdMode`` must fit the account level: spot
is ``cash`` in spot and futures mode and ``cross`` above; contracts are ``cross`` or ``isolated``. An account has one
position of a leg here, cross or isolated; the real venue may have both at once. Attached take-profits and stop-losses
are ignored.
"""

from __future__ import annotations

import itertools
import re
from decimal import Decimal

from node.sim.accounts import PositionSettings
from node.sim.market import Listing, Market
from node.sim.okx.calls import Call
from node.sim.okx.errors import OkxError, refusal, unsupported, wrong
from node.sim.okx.markets import MAX_ORDER_USD
from node.sim.okx.params import Params
from node.sim.orders import Book, Leg, OrderKind, OrderTerms, Side, TimeInForce
from node.sim.refusals import Reason

CLIENT_ID = re.compile(r"^[A-Za-z0-9]{1,32}$")
TAG = re.compile(r"^[A-Za-z0-9]{1,16}$")
SIDES = {"buy": Side.BUY, "sell": Side.SELL}
KINDS = {
    "market": (OrderKind.MARKET, TimeInForce.GTC),
    "limit": (OrderKind.LIMIT, TimeInForce.GTC),
    "post_only": (OrderKind.LIMIT, TimeInForce.POST_ONLY),
    "fok": (OrderKind.LIMIT, TimeInForce.FOK),
    "ioc": (OrderKind.LIMIT, TimeInForce.IOC),
    "optimal_limit_ioc": (OrderKind.MARKET, TimeInForce.GTC),
}
_unnamed = itertools.count(1)


def read_order(call: Call, row: Params) -> OrderTerms:
    """One order of ``trade/order``, ``trade/batch-orders`` or the WebSocket.

    Raises:
        OkxError: its parameters are not taken.
    """
    listing = call.listing(row)
    market, side, word = listing.market, read_side(row), row.required("ordType")
    if word not in KINDS or (word == "optimal_limit_ioc" and not market.is_contract):
        raise wrong("ordType")
    kind, time_in_force = KINDS[word]
    if kind is OrderKind.LIMIT and "px" not in row:
        raise OkxError("51204", "The price for the limit order cannot be empty.")
    if kind is OrderKind.MARKET and call.effects.refuse_market_orders:
        raise refusal(Reason.COUNTERPARTY_PRICE)
    leg = read_leg(call, row, market)
    quantity, quote_quantity = _size(row, market, side, kind)
    terms = OrderTerms(
        market=market,
        side=side,
        kind=kind,
        client_id=read_client_id(call, row, "clOrdId", Book.ORDERS),
        venue_type=word,
        quantity=quantity,
        quote_quantity=quote_quantity,
        price=row.decimal("px") if kind is OrderKind.LIMIT else None,
        time_in_force=time_in_force,
        leg=leg,
        reduce_only=reads_reduce_only(call, row, market) and leg is Leg.NET,
        borrows=not market.is_contract and call.mode.auto_loan,
        repays=not market.is_contract and not call.mode.single,
        origin=call.origin,
        extras=extras(row, "tdMode", "tag", "tgtCcy"),
    )
    check_mode(call, row, terms)
    check_funds(call, terms, listing)
    return terms


def read_side(row: Params) -> Side:
    """``side``; 51000 if it is neither."""
    side = SIDES.get(row.required("side"))
    if side is None:
        raise wrong("side")
    return side


def read_leg(call: Call, row: Params, market: Market) -> Leg:
    """``posSide``, which long/short mode demands and the net mode need not have."""
    if not market.is_contract:
        return Leg.NET
    word = row.text("posSide", "" if call.hedged else "net")
    if word not in (("long", "short") if call.hedged else ("net",)):
        raise wrong("posSide")
    return Leg(word)


def reads_reduce_only(call: Call, row: Params, market: Market) -> bool:
    """``reduceOnly``; spot and portfolio margin do not have it."""
    if not row.flag("reduceOnly"):
        return False
    if market.is_contract:
        if call.mode.level == "4":
            raise OkxError("51205", "Reduce Only is not available.")
        return True
    where = ("51139", "spot mode") if call.mode.single else ("51133", "multi-currency margin accounts")
    raise OkxError(where[0], f"Reduce-only feature is unavailable for the spot transactions by {where[1]}.")


def read_client_id(call: Call, row: Params, name: str, book: Book) -> str:
    """The client's id, which no pending order of the account may have; made up if none was sent, and never shown."""
    if "tag" in row and not TAG.match(row.text("tag")):
        raise wrong("tag")
    if name not in row:
        return f"~{next(_unnamed)}"
    client_id = row.text(name)
    if not CLIENT_ID.match(client_id):
        raise wrong(name)
    same = (
        order.terms.book is book and order.terms.client_id == client_id for order in call.account.open_orders.values()
    )
    if any(same):
        if book is Book.ALGO:
            raise OkxError("51065", "algoClOrdId already exists.")
        raise refusal(Reason.DUPLICATE_CLIENT_ID)
    return client_id


def check_mode(call: Call, row: Params, terms: OrderTerms) -> None:
    """Whether ``tdMode`` is one of the account level's, and that of the position.

    Raises:
        OkxError: 51000, 51010, or 51169 for a reduction where no position of that margin mode is.
    """
    market, word = terms.market, row.required("tdMode")
    if not market.is_contract:
        if word != ("cash" if call.mode.single else "cross"):
            raise wrong("tdMode")
        return
    if call.mode.level == "1":
        raise unsupported()
    if word not in ("cross", "isolated"):
        raise wrong("tdMode")
    settings = call.account.position_settings(market)
    if settings.isolated == (word == "isolated"):
        return
    if terms.only_reduces:
        raise refusal(Reason.REDUCE_ONLY_REJECTED)
    if any(position.market is market for position in call.account.open_positions()):
        raise wrong("tdMode")  # not so at the real venue: it would be a position of its own
    isolated = word == "isolated"
    call.account.settings[market.key] = PositionSettings(leverage=settings.leverage, isolated=isolated)


def check_funds(call: Call, terms: OrderTerms, listing: Listing) -> None:
    """Whether a spot order is no larger than market orders may be, and what it gives away is not bound as margin.

    Raises:
        OkxError: 51201 or 51008.
    """
    market = terms.market
    if market.is_contract or terms.trigger is not None:
        return
    price = terms.price or listing.ask
    base = terms.quantity if terms.quantity is not None else (terms.quote_quantity or Decimal(0)) / price
    quote_usd = Decimal(1) if market.quote.startswith("USD") else _usd(call, market.quote)
    if terms.kind is OrderKind.MARKET and base * listing.mark * quote_usd > MAX_ORDER_USD:
        raise OkxError("51201", "The value of a market order can't exceed 1,000,000 USD.")
    asset, gives = (market.base, base) if terms.side is Side.SELL else (market.quote, base * price)
    if gives > call.available(asset) and not (terms.borrows or call.core.rules.auto_borrow):
        raise OkxError("51008", f"Order failed. Insufficient {asset} balance in account")


def extras(row: Params, *names: str) -> dict[str, str]:
    """The venue's own parameters of an order that its views give back."""
    return {name: row.text(name) for name in names if name in row}


def _usd(call: Call, asset: str) -> Decimal:
    for listing in call.core.listings.values():
        if not listing.market.is_contract and (listing.market.base, listing.market.quote) == (asset, "USDT"):
            return listing.mark
    return Decimal(1)


def _size(row: Params, market: Market, side: Side, kind: OrderKind) -> tuple[Decimal | None, Decimal | None]:
    """Base units or contracts; or, of a spot market order, units of the quote currency."""
    size = row.decimal("sz")
    if size is None or size <= 0:
        raise wrong("sz")
    if market.is_contract or kind is not OrderKind.MARKET:
        return size, None
    unit = row.text("tgtCcy", "quote_ccy" if side is Side.BUY else "base_ccy")
    if unit not in ("base_ccy", "quote_ccy"):
        raise wrong("tgtCcy")
    return (size, None) if unit == "base_ccy" else (None, size)
