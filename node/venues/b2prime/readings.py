"""B2PRIME: from answers to positions, orders, balances, quotes and market rules. Strict: what is strange raises.

Shapes: https://api-docs.b2prime.com/rest-api/settings (markets), .../websocket-api/trading (open orders), and, for the
same platform under another brand, https://api-docs.b2trader.b2broker.com/websocket-api/account-info (positions,
balances, margin) and .../market-data (top of the book).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Final

from node.domain.flatten import Quote
from node.domain.snapshot import Balance, MarketKind, MarketRules, OpenOrder, Position, PositionSide, Side
from node.errors import VenueAnswerUnknown
from node.venues.b2prime import calendar, markets
from node.venues.b2prime.calendar import TradingCalendar
from node.venues.call import Answer
from node.venues.layout import Slice
from node.venues.markets import MarketBook
from node.venues.strict import Row, decimal, positive, row, rows, text

_SIDES: Final = {"Buy": Side.BUY, "Sell": Side.SELL}
_HELD: Final = {"Buy": PositionSide.LONG, "Sell": PositionSide.SHORT}
#: Of orders that nothing more happens to. Whatever else the venue calls one, it is open.
_CLOSED: Final = frozenset({"Completed", "Cancelled", "Rejected", "Expired"})
#: Margin figures are rounded: so much of what is in use, and so much of the root asset, explains itself.
_ROUNDING: Final = (Decimal("0.02"), Decimal("0.01"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """One position as the venue has it: in a hedging account there may be many of one market and side."""

    position_id: str
    lots: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg(Position):
    """All tickets of one market and side."""

    #: The newest first.
    tickets: tuple[Ticket, ...] = ()
    #: In the root asset; None: one of them does not say.
    margin: Decimal | None = None


def item(answer: Answer, stream: str) -> Answer:
    """What a stream said first.

    Raises:
        VenueAnswerUnknown: it is another stream's.
    """
    document = row(answer, stream)
    if text(document, "stream") != stream or "item" not in document:
        raise VenueAnswerUnknown(f"{stream}: another stream's message")
    return document["item"]


def of_spot(entry: Row) -> bool:
    """Whether a row is about spot, by its type; without one by its market's name, which begins with what is traded."""
    kind = entry.get("marketType")
    named = kind if isinstance(kind, str) and kind else text(entry, "marketId").partition(".")[0]
    return named.lower() == "spot"


def positions(part: Slice, book: MarketBook, answer: Answer, *, hedging: bool = True) -> tuple[Leg, ...]:
    """``OpenPositions``: tickets of one market and side together; what has no lots is left out."""
    tickets: dict[tuple[str, PositionSide], list[Row]] = {}
    for entry in rows(row(item(answer, "positions"), "positions").get("item"), "positions"):
        side, lots = _HELD.get(text(entry, "side")), decimal(entry, "positionLotAmount")
        text(entry, "positionId")
        if side is None or lots < 0:
            raise VenueAnswerUnknown(f"a position of {str(entry['side'])[:10]} {lots}")
        if lots:
            tickets.setdefault((text(entry, "marketId"), side), []).append(entry)
    legs = (_leg(part, book.by_id.get(market), market, side, each) for (market, side), each in tickets.items())
    return tuple(legs if hedging else (replace(leg, hedged=False) for leg in legs))


def _leg(part: Slice, rules: MarketRules | None, market_id: str, side: PositionSide, entries: list[Row]) -> Leg:
    newest_first = sorted(
        entries, key=lambda each: (str(each.get("createdAt")), text(each, "positionId")), reverse=True
    )
    held = tuple(Ticket(position_id=text(e, "positionId"), lots=decimal(e, "positionLotAmount")) for e in newest_first)
    if len({each.position_id for each in held}) < len(held):
        raise VenueAnswerUnknown("a position is there twice")
    lots = sum((each.lots for each in held), Decimal(0))
    margins = [positive(entry, "usedMarginInRAT") for entry in entries]
    sign = 1 if side is PositionSide.LONG else -1
    return Leg(
        slice=part.name,
        # An unlisted market is no reason to overlook what is held there.
        symbol=rules.symbol if rules else market_id,
        market_id=market_id,
        side=side,
        contracts=lots,
        hedged=True,
        mark_price=positive(entries[0], "currentMarketPrice"),
        base_exposure=sign * lots * rules.contract_size if rules is not None and described(rules) else None,
        tickets=held,
        margin=None if None in margins else sum((each for each in margins if each is not None), Decimal(0)),
    )


def orders(part: Slice, book: MarketBook, answer: Answer) -> tuple[OpenOrder, ...]:
    """``OpenOrders``: those of the slice. Stop orders that wait for their price are not among them."""
    found = []
    for entry in rows(item(answer, "orders"), "open orders"):
        market_id, order_id, side = text(entry, "marketId"), text(entry, "orderId"), _SIDES.get(text(entry, "side"))
        if side is None:
            raise VenueAnswerUnknown(f"side is {str(entry['side'])[:20]}")
        if text(entry, "status") in _CLOSED or of_spot(entry) is part.derivative:
            continue
        rules = book.by_id.get(market_id)
        lot = rules.contract_size if rules is not None and described(rules) else Decimal(1)
        found.append(
            OpenOrder(
                slice=part.name,
                symbol=rules.symbol if rules else market_id,
                market_id=market_id,
                order_id=order_id,
                client_order_id=None,
                side=side,
                remaining=decimal(entry, "remainingAmount") / lot,
            )
        )
    return tuple(found)


def sells(answer: Answer, market_id: str) -> bool:
    """Whether a sale of a market is among the open orders.

    Raises:
        VenueAnswerUnknown: the answer is not understood.
    """
    found = rows(item(answer, "orders"), "open orders")
    named = [(text(entry, "marketId"), text(entry, "side"), text(entry, "status")) for entry in found]
    return any(market == market_id and side == "Sell" and status not in _CLOSED for market, side, status in named)


def balances(part: Slice, answer: Answer) -> tuple[Balance, ...]:
    """``FullBalance``; empty ones are left out. Other words than the documented ones are no balance."""
    found = []
    for entry in rows(item(answer, "balances"), "balances"):
        free, locked, total = (decimal(entry, name) for name in ("available", "locked", "total"))
        if min(free, locked, total) < 0 or total != free + locked:
            raise VenueAnswerUnknown(f"{text(entry, 'assetId')[:20]}: {free} and {locked} are not {total}")
        if total:
            found.append(Balance(slice=part.name, asset=text(entry, "assetId").upper(), free=free, locked=locked))
    return tuple(found)


def margin_in_use(answer: Answer) -> Decimal:
    """``MarginData``: in the root asset."""
    used = decimal(row(item(answer, "margin"), "margin"), "usedMarginInRAT")
    if used < 0:
        raise VenueAnswerUnknown("usedMarginInRAT is below zero")
    return used


def margin_explained(used: Decimal, legs: Iterable[Position], orders: Collection[OpenOrder] | None) -> None:
    """Hold the margin in use against the positions that were listed; orders may bind some as well (unknown).

    Raises:
        VenueAnswerUnknown: there is more than they explain.
    """
    listed = list(legs)
    if used > 0 and not listed and not orders:
        raise VenueAnswerUnknown(f"{used} of margin is in use, and no position is listed")
    margins = [each.margin if isinstance(each, Leg) else None for each in listed]
    if orders is None or orders or None in margins:
        return
    known = sum((each for each in margins if each is not None), Decimal(0))
    if used > known * (1 + _ROUNDING[0]) + _ROUNDING[1]:
        raise VenueAnswerUnknown(f"{used} of margin is in use, and the positions that are listed use {known}")


def quotes(book: MarketBook, symbols: Collection[str], asked: Collection[str], answer: Answer) -> dict[str, Quote]:
    """``Tob``: whole in the first message; markets without a bid are left out.

    Raises:
        VenueAnswerUnknown: also where one that was asked for is missing.
    """
    document = row(item(answer, "quotes"), "quotes")
    if document.get("snapshot") is not True:
        raise VenueAnswerUnknown("quotes: changes of what nobody has seen")
    found: dict[str, Quote] = {}
    told = {text(entry, "marketId"): entry for entry in rows(document.get("markets"), "quotes")}
    if missing := set(asked) - told.keys():
        raise VenueAnswerUnknown(f"no quote of {sorted(missing)[0]}")
    for market_id, entry in told.items():
        rules = book.by_id.get(market_id)
        bid, ask = positive(entry, "bid"), positive(entry, "ask")
        if rules is not None and rules.symbol in symbols and bid is not None:
            found[rules.symbol] = Quote(symbol=rules.symbol, bid=bid, ask=ask or bid)
    return found


# Markets


def listed(kind: MarketKind, answer: Answer) -> tuple[MarketRules, ...]:
    """The list of markets, which names them and no more."""
    found = []
    for entry in rows(answer, "markets"):
        text(entry, "marketId")
        try:
            spot = markets.kind(dict(entry)) == "spot"
            if spot is (kind is MarketKind.SPOT):
                found.append(_rules(entry, kind))
        except ValueError as error:
            raise VenueAnswerUnknown(f"a market of which {error}"[:200]) from None
    return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """What the venue tells of one market by itself."""

    rules: MarketRules
    #: None: it has no calendar, or none that is understood.
    hours: TradingCalendar | None
    #: By how much, as a part of 1, a limit may be worse than the market's price; None: as it likes.
    deviation: Decimal | None


def detailed(kind: MarketKind, answer: Answer, now: datetime) -> Details:
    """One market's details."""
    entry = row(answer, "market")
    try:
        rules = _rules(entry, kind, calendar_of(entry), now)
    except ValueError as error:
        raise VenueAnswerUnknown(f"{text(entry, 'marketId')[:40]}: {error}"[:200]) from None
    if rules.quantity_step is None:
        raise VenueAnswerUnknown(f"{rules.market_id[:40]} names no step")
    return Details(rules=rules, hours=calendar_of(entry), deviation=positive(entry, "priceDeviation"))


def described(rules: MarketRules) -> bool:
    """Whether a market's details are known, and with them the size of a lot."""
    return rules.quantity_step is not None


def calendar_of(entry: Row) -> TradingCalendar | None:
    """None where there is none, or one of another form: it explains refusals, and decides nothing."""
    try:
        return calendar.read(entry["calendar"]) if entry.get("calendar") is not None else None
    except ValueError:
        return None


def _rules(
    entry: Mapping[str, object], kind: MarketKind, hours: TradingCalendar | None = None, now: datetime | None = None
) -> MarketRules:
    known = dict(entry)
    base, quote = (each.upper() for each in markets.assets(known))
    (step, tick), (least, most) = markets.steps(known), markets.limits(known)
    spot = kind is MarketKind.SPOT
    return MarketRules(
        symbol=markets.symbol(markets.kind(known), base, quote),
        market_id=str(known["marketId"]),
        kind=kind,
        base=base,
        quote=quote,
        settle=quote,
        contract_size=Decimal(1) if spot else markets.number(known, "lotSize") or Decimal(1),
        quantity_step=step,
        quantity_min=least,
        # Of orders. A close is of a position as it is, and no largest size of it is documented.
        market_quantity_max=most if spot else None,
        limit_quantity_max=most if spot else None,
        price_tick=tick,
        trading=hours is None or now is None or hours.is_open(now) is not False,
        sweeps=False,
    )
