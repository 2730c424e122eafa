"""Coinbase: from answers to orders, balances, quotes and market rules. Pure and strict.

Fields: https://docs.cdp.coinbase.com/api-reference/advanced-trade-api/rest-api (list-orders, list-accounts,
list-public-products, get-best-bid-ask).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Any, Final

from node.domain.flatten import Quote
from node.domain.snapshot import Balance, MarketKind, MarketRules, OpenOrder, Side
from node.errors import VenueAnswerUnknown
from node.venues.call import Answer, Ccxt
from node.venues.layout import Slice
from node.venues.markets import MarketBook
from node.venues.strict import Row, decimal, flag, positive, row, rows, text

_SIDES: Final = {"BUY": Side.BUY, "SELL": Side.SELL}
#: Of an order that nothing more happens to: between the index and the row it may have ended.
_OVER: Final = frozenset({"FILLED", "CANCELLED", "EXPIRED", "FAILED"})
_ALIVE: Final = frozenset({"OPEN", "PENDING", "QUEUED", "EDIT_QUEUED", "CANCEL_QUEUED", "UNKNOWN_ORDER_STATUS"})
#: ``BTC-USD``; futures have more parts (``BIP-20DEC30-CDE``, ``BTC-PERP-INTX``).
_SPOT: Final = re.compile(r"[A-Z0-9]+-[A-Z0-9]+")
#: What an account's type and platform are where its coins can be sold; both have a long and a short form.
_TRADED: Final = frozenset({"ACCOUNT_TYPE_CRYPTO", "ACCOUNT_TYPE_FIAT", "CRYPTO", "FIAT"})
_HERE: Final = frozenset({"ACCOUNT_PLATFORM_CONSUMER", "CONSUMER", "", None})
#: Switches of a product, each of which keeps our orders out. ``limit_only`` does not: ours have a limit.
_SHUT: Final = ("trading_disabled", "is_disabled", "cancel_only", "post_only", "auction_mode", "view_only")


def is_spot(product_id: str) -> bool:
    """Whether an id has the form of a spot product's."""
    return _SPOT.fullmatch(product_id) is not None


def orders(part: Slice, book: MarketBook, answer: Answer) -> tuple[OpenOrder, ...]:
    """``GET orders/historical/batch``: stops and brackets among them. Futures' orders are left out."""
    found = (_order(part, book, entry) for entry in rows(row(answer, "orders").get("orders"), "orders"))
    return tuple(order for order in found if order is not None)


def _order(part: Slice, book: MarketBook, entry: Row) -> OpenOrder | None:
    status, product_id = text(entry, "status"), text(entry, "product_id")
    if status in _OVER or entry.get("product_type") == "FUTURE":
        return None
    side = _SIDES.get(text(entry, "side"))
    if side is None or status not in _ALIVE:
        raise VenueAnswerUnknown(f"an order with side {entry['side']!r:.20} and status {status[:20]}")
    rules, client = book.by_id.get(product_id), entry.get("client_order_id")
    return OpenOrder(
        slice=part.name,
        symbol=rules.symbol if rules else product_id,
        market_id=product_id,
        order_id=text(entry, "order_id"),
        client_order_id=client if isinstance(client, str) and client else None,
        side=side,
        remaining=_remaining(entry),
        trigger=entry.get("trigger_status") == "STOP_PENDING",
    )


def _remaining(entry: Row) -> Decimal | None:
    """None where the order is of an amount of money, or of several parts."""
    kinds = entry.get("order_configuration")
    found = [kind for kind in kinds.values() if isinstance(kind, dict)] if isinstance(kinds, dict) else []
    if len(found) != 1 or not found[0].get("base_size"):
        return None
    return decimal(found[0], "base_size") - decimal(entry, "filled_size")


def balances(part: Slice, exchange: Ccxt, answer: Answer) -> tuple[Balance, ...]:
    """``GET accounts``: one coin may be in several; what is in one that does not trade is held, not free."""
    totals: dict[str, list[Decimal]] = {}
    for entry in rows(row(answer, "accounts").get("accounts"), "accounts"):
        coin = str(exchange.safe_currency_code(text(entry, "currency")))
        free = decimal(row(entry.get("available_balance"), "available_balance"), "value")
        held = decimal(row(entry.get("hold"), "hold"), "value")
        trades = entry.get("type") in _TRADED and entry.get("platform") in _HERE and flag(entry, "ready")
        sums = totals.setdefault(coin, [Decimal(0), Decimal(0), Decimal(0)])
        sums[0] += max(free, Decimal(0)) if trades else 0
        sums[1] += held + (0 if trades else max(free, Decimal(0)))
        sums[2] += max(-free, Decimal(0))
    found = (
        Balance(slice=part.name, asset=coin, free=free, locked=locked, debt=debt)
        for coin, (free, locked, debt) in totals.items()
    )
    return tuple(balance for balance in found if balance.total != 0 or balance.debt != 0)


def quotes(book: MarketBook, symbols: Collection[str], answer: Answer, asked: Collection[str]) -> dict[str, Quote]:
    """``GET best_bid_ask``: a market without bids or offers has no quote; one that was asked for has its row.

    Raises:
        VenueAnswerUnknown: also where it has not.
    """
    found: dict[str, Quote] = {}
    told: set[str] = set()
    for entry in rows(row(answer, "quotes").get("pricebooks"), "pricebooks"):
        product_id = text(entry, "product_id")
        told.add(product_id)
        rules, bid, ask = book.by_id.get(product_id), _best(entry, "bids"), _best(entry, "asks")
        if rules is not None and rules.symbol in symbols and bid is not None and ask is not None:
            found[rules.symbol] = Quote(symbol=rules.symbol, bid=bid, ask=ask)
    if not set(asked) <= told:
        raise VenueAnswerUnknown(f"no quotes of {', '.join(sorted(set(asked) - told))}")
    return found


def _best(entry: Row, name: str) -> Decimal | None:
    levels = rows(entry.get(name), name)
    return positive(levels[0], "price") if levels else None


def market_rules(exchange: Ccxt, answer: Answer) -> tuple[MarketRules, ...]:
    """``GET market/products``: the spot ones. USD and USDC have one book and two products, each of its own quote."""
    document = row(answer, "products")
    listed, pages = rows(document.get("products"), "products"), document.get("pagination")
    if isinstance(pages, dict) and pages.get("has_next") is True:
        raise VenueAnswerUnknown("the products come in pages, which was not asked for")
    return tuple(_rules(exchange, entry) for entry in listed if entry.get("product_type") in ("SPOT", None))


def _rules(exchange: Ccxt, entry: Row) -> MarketRules:
    base, quote = (
        str(exchange.safe_currency_code(text(entry, name))) for name in ("base_currency_id", "quote_currency_id")
    )
    return MarketRules(
        symbol=f"{base}/{quote}",
        market_id=text(entry, "product_id"),
        kind=MarketKind.SPOT,
        base=base,
        quote=quote,
        settle=quote,
        quantity_step=positive(entry, "base_increment"),
        quantity_min=positive(entry, "base_min_size"),
        market_quantity_max=positive(entry, "base_max_size"),
        limit_quantity_max=positive(entry, "base_max_size"),
        notional_min=positive(entry, "quote_min_size"),
        notional_max=positive(entry, "quote_max_size"),
        price_tick=positive(entry, "price_increment") or positive(entry, "quote_increment"),
        trading=entry.get("status") == "online" and not any(entry.get(name) is True for name in _SHUT),
        sweeps=False,
    )


def cursor(answer: Mapping[str, Any], most: int, name: str) -> str | None:
    """What a list goes on with; None: that was all.

    Raises:
        VenueAnswerUnknown: it goes on and does not say how, or holds as many as there can be in one.
    """
    if flag(answer, "has_next"):
        return text(answer, "cursor")
    if len(rows(answer.get(name), name)) >= most:
        raise VenueAnswerUnknown(f"{most} {name} are as many as one list can hold")
    return None
