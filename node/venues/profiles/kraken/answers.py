"""Kraken: from answers to positions, orders, balances, quotes and market rules. Pure and strict.

https://docs.kraken.com/api/docs/rest-api: get-open-orders, get-open-positions, get-extended-balance,
get-ticker-information and get-tradable-asset-pairs. Only with ``"error": []`` is an empty result an empty one.
"""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal
from functools import lru_cache
from typing import Final

from node.domain.flatten import Quote
from node.domain.snapshot import Balance, MarketKind, MarketRules, OpenOrder, Position, PositionSide, Side
from node.errors import VenueAnswerUnknown
from node.venues.call import Answer, Ccxt
from node.venues.layout import Slice
from node.venues.markets import MarketBook
from node.venues.strict import Row, decimal, positive, row, text

_SIDES: Final = {"buy": Side.BUY, "sell": Side.SELL}
_LEGS: Final = {"buy": PositionSide.LONG, "sell": PositionSide.SHORT}
#: Orders that rest in the book, or would; all others wait for a trigger.
_IN_THE_BOOK: Final = ("limit", "market", "iceberg", "settle-position")
#: Balances that earn by themselves and are traded under the coin's own name. Others (.S, .M, .B, .P, .T) are not.
_SPENDABLE: Final = ".F"
#: In which a limit order may be executed at once.
_TRADING: Final = ("online", "limit_only")
#: Coins and moneys of the first years have names with an X or a Z before them, in names of pairs too; newer ones do not
#: (https://support.kraken.com/hc/en-us/articles/360001206766, and ccxt's table).
_OLD_NAMES: Final = frozenset(
    (
        *("XETC", "XETH", "XICN", "XLTC", "XMLN", "XREP", "XXBT", "XXDG", "XXLM", "XXMR", "XXRP", "XZEC"),
        *("ZAUD", "ZCAD", "ZEUR", "ZGBP", "ZJPY", "ZUSD"),
    )
)


def result(answer: Answer, what: str) -> Row:
    """What an answer without an error carries.

    Raises:
        VenueAnswerUnknown: it says that there was an error, or does not say that there was none.
    """
    document = row(answer, what)
    if document.get("error") != []:
        raise VenueAnswerUnknown(f"{what}: no word that there was no error")
    return mapping(document.get("result"), what)


def mapping(value: object, what: str) -> Row:
    """An object; an empty one comes as an empty list at times.

    Raises:
        VenueAnswerUnknown: it is something else.
    """
    return {} if value == [] else row(value, what)


def positions(part: Slice, book: MarketBook, answer: Answer) -> tuple[Position, ...]:
    """``OpenPositions``: every opening trade on margin by itself; of one market and side they are one position."""
    found: dict[tuple[str, PositionSide], Decimal] = {}
    for name, each in result(answer, "positions").items():
        entry = row(each, name)
        side, left = _LEGS.get(text(entry, "type")), decimal(entry, "vol") - decimal(entry, "vol_closed")
        if side is None or left < 0:
            raise VenueAnswerUnknown(f"a position in {text(entry, 'pair')} without a side or a size")
        key = (text(entry, "pair"), side)
        found[key] = found.get(key, Decimal(0)) + left
    return tuple(_position(part, book, name, side, size) for (name, side), size in found.items() if size)


def _position(part: Slice, book: MarketBook, name: str, side: PositionSide, size: Decimal) -> Position:
    rules = rules_of(book, name)
    return Position(
        slice=part.name,
        symbol=rules.symbol if rules else name,
        market_id=rules.market_id if rules else name,
        side=side,
        contracts=size,
        base_exposure=size if side is PositionSide.LONG else -size,
    )


def orders(part: Slice, book: MarketBook, answer: Answer) -> tuple[OpenOrder, ...]:
    """``OpenOrders``: all there are, stops among them; there are no pages."""
    listed = mapping(result(answer, "orders").get("open"), "open orders")
    return tuple(_order(part, book, name, row(each, name)) for name, each in listed.items())


def _order(part: Slice, book: MarketBook, order_id: str, entry: Row) -> OpenOrder:
    description = row(entry.get("descr"), "descr")
    pair, side = text(description, "pair"), _SIDES.get(text(description, "type"))
    if side is None or not order_id:
        raise VenueAnswerUnknown(f"an order in {pair} without a side or an id")
    rules, client = rules_of(book, pair), entry.get("cl_ord_id")
    return OpenOrder(
        slice=part.name,
        symbol=rules.symbol if rules else pair,
        market_id=rules.market_id if rules else pair,
        order_id=order_id,
        client_order_id=client if isinstance(client, str) and client else None,
        side=side,
        remaining=decimal(entry, "vol") - decimal(entry, "vol_exec"),
        trigger=text(description, "ordertype") not in _IN_THE_BOOK,
    )


def balances(part: Slice, exchange: Ccxt, answer: Answer) -> tuple[Balance, ...]:
    """``BalanceEx``. What earns by itself (``.F``) is the coin's own; other forms of a coin keep names of their own."""
    found: dict[str, tuple[Decimal, Decimal, Decimal]] = {}
    for name, each in result(answer, "balances").items():
        entry = row(each, name)
        asset = str(exchange.safe_currency_code(name.removesuffix(_SPENDABLE)))
        total, held = decimal(entry, "balance"), decimal(entry, "hold_trade")
        owed = decimal(entry, "credit_used") if entry.get("credit_used") is not None else Decimal(0)
        before = found.get(asset, (Decimal(0), Decimal(0), Decimal(0)))
        found[asset] = (before[0] + total, before[1] + held, before[2] + owed)
    listed = (_balance(part, asset, *amounts) for asset, amounts in sorted(found.items()))
    return tuple(each for each in listed if each.total or each.debt)


def _balance(part: Slice, asset: str, total: Decimal, held: Decimal, owed: Decimal) -> Balance:
    """What is held of a coin, by orders and otherwise. A negative balance is a debt."""
    if held < 0 or owed < 0:
        raise VenueAnswerUnknown(f"{asset}: less than nothing is held or owed")
    free = min(max(total - held, Decimal(0)), max(total, Decimal(0)))
    debt = owed + max(-total, Decimal(0))
    return Balance(slice=part.name, asset=asset, free=free, locked=max(total, Decimal(0)) - free, debt=debt)


def quotes(book: MarketBook, symbols: Collection[str], answer: Answer, *, by_name: bool) -> dict[str, Quote]:
    """``Ticker``: best bid and offer are the first of ``b`` and ``a``.

    Asked by name, every market has its row: an answer without it is some other answer.
    """
    wanted = frozenset(symbols) & book.by_symbol.keys()
    found: dict[str, Quote] = {}
    told: set[str] = set()
    for name, each in result(answer, "quotes").items():
        rules = rules_of(book, name) if by_name else book.by_id.get(name)
        if rules is None or rules.symbol not in wanted:
            continue
        told.add(rules.symbol)
        bid, ask = (_best(row(each, name), side) for side in ("b", "a"))
        if bid is not None and ask is not None:
            found[rules.symbol] = Quote(symbol=rules.symbol, bid=bid, ask=ask)
    if by_name and not wanted <= told:
        raise VenueAnswerUnknown(f"no quotes of {', '.join(sorted(wanted - told))}")
    return found


def _best(entry: Row, side: str) -> Decimal | None:
    levels = entry.get(side)
    if not isinstance(levels, list) or not levels:
        raise VenueAnswerUnknown(f"a quote without {side!r}")
    return positive({"price": levels[0]}, "price")


def market_rules(exchange: Ccxt, answer: Answer) -> tuple[MarketRules, ...]:
    """``AssetPairs``, under ccxt's names; pairs of other venues (``:``) and of the dark pool (``.d``) are none."""
    pairs = result(answer, "markets")
    return tuple(_rules(exchange, name, row(each, name)) for name, each in pairs.items() if not {":", "."} & set(name))


def _rules(exchange: Ccxt, name: str, entry: Row) -> MarketRules:
    base, quote = (str(exchange.safe_currency_code(text(entry, coin))) for coin in ("base", "quote"))
    return MarketRules(
        symbol=f"{base}/{quote}",
        market_id=name,
        kind=MarketKind.SPOT,
        base=base,
        quote=quote,
        settle=quote,
        quantity_step=_step(entry, "lot_decimals"),
        quantity_min=positive(entry, "ordermin"),
        notional_min=positive(entry, "costmin"),
        price_tick=positive(entry, "tick_size") or _step(entry, "pair_decimals"),
        trading=text(entry, "status") in _TRADING,
        # CancelAll takes the orders of every market.
        sweeps=False,
    )


def _step(entry: Row, name: str) -> Decimal:
    places = decimal(entry, name)
    if places != places.to_integral_value():
        raise VenueAnswerUnknown(f"{name} is no number of places")
    return Decimal(1).scaleb(-int(places))


def rules_of(book: MarketBook, name: str) -> MarketRules | None:
    """By the pair's name (XXBTZUSD), or by its other one (XBTUSD), which orders are listed under."""
    known = book.by_id.get(name)
    if known is not None:
        return known
    return next((rule for market_id, rule in book.by_id.items() if name in other_names(market_id)), None)


@lru_cache(maxsize=8192)
def other_names(market_id: str) -> frozenset[str]:
    """What a pair is called besides: its coins' names without the X or Z that old ones begin with."""
    halves = ((market_id[:at], market_id[at:]) for at in range(2, len(market_id) - 1))
    return frozenset(_short(base) + _short(quote) for base, quote in halves) - {market_id}


def _short(coin: str) -> str:
    return coin[1:] if coin in _OLD_NAMES else coin
