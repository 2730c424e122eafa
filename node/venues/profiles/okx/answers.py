"""OKX: from answers to positions, orders, balances, quotes and market rules. Pure and strict.

Field names: https://www.okx.com/docs-v5/en/#trading-account-rest-api-get-positions, ...-get-balance,
...-get-account-and-position-risk, .../#order-book-trading-trade-get-order-list,
.../#order-book-trading-algo-trading-get-algo-order-list and .../#public-data-rest-api-get-instruments.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

from node.domain.flatten import Quote
from node.domain.snapshot import Balance, MarketKind, MarketRules, OpenOrder, Position, PositionSide, Side
from node.errors import VenueAnswerUnknown
from node.venues.call import Answer, Ccxt
from node.venues.layout import Slice
from node.venues.markets import MarketBook
from node.venues.profiles.okx.words import (
    CONTRACT_TYPES,
    LEGS,
    NET,
    SPOT_TYPES,
    instrument_type,
    kind_by_name,
    only_row,
    rows_of,
    settle_by_name,
)
from node.venues.profiles.plain import exposure, listed_rules
from node.venues.strict import Row, decimal, flag, positive, rows, text

#: What is kept apart.
BOTS: Final = "trading bots: their orders, and what they were given"

_SIDES: Final = {"buy": Side.BUY, "sell": Side.SELL}
_MARGIN_MODES: Final = ("cross", "isolated")
_KINDS: Final = {"linear": MarketKind.LINEAR, "inverse": MarketKind.INVERSE}
#: Quotes in which the dollar limit of an order's value is no tighter than it seems.
_DOLLARS: Final = frozenset({"USDT", "USDC", "USD"})


def belongs(part: Slice, book: MarketBook, entry: Row) -> bool:
    """Whether a row of a list that several slices share is about *part*.

    Raises:
        VenueAnswerUnknown: that cannot be told.
    """
    kind, inst_id = instrument_type(entry), text(entry, "instId")
    if not part.derivative:
        return kind in SPOT_TYPES
    rules = book.by_id.get(inst_id)
    # An unlisted market is no reason to overlook what is held there: its name says what it is.
    mine = rules is not None or kind_by_name(inst_id) is part.kind
    return kind in CONTRACT_TYPES and mine and part.holds(rules.settle if rules else settle_by_name(inst_id))


def positions(part: Slice, book: MarketBook, answer: Answer) -> tuple[Position, ...]:
    """``GET /api/v5/account/positions``; of all contracts, or of spot pairs held with margin."""
    found = (_position(part, book, entry) for entry in rows_of(answer, "positions") if belongs(part, book, entry))
    return tuple(position for position in found if position is not None)


def _position(part: Slice, book: MarketBook, entry: Row) -> Position | None:
    market_id, size, leg, mode = _leg(entry)
    if size == 0:
        return None  # margin that was moved there by hand leaves an empty one
    rules = book.by_id.get(market_id)
    side = LEGS.get(leg, PositionSide.LONG if size > 0 else PositionSide.SHORT)
    if not part.derivative:
        side = _side_of_margin(entry, market_id)
    mark, contracts = positive(entry, "markPx"), abs(size)
    kind = part.kind if part.derivative else MarketKind.LINEAR
    return Position(
        slice=part.name,
        symbol=rules.symbol if rules else market_id,
        market_id=market_id,
        side=side,
        contracts=contracts,
        hedged=leg != NET,
        isolated=mode == "isolated",
        mark_price=mark,
        base_exposure=exposure(kind, side, contracts, rules, mark)
        if part.derivative or side is PositionSide.LONG
        else None,  # a short's size is in the quote
    )


def _leg(entry: Row) -> tuple[str, Decimal, str, str]:
    """Instrument, size, leg and margin mode."""
    leg, mode = text(entry, "posSide"), text(entry, "mgnMode")
    if leg != NET and leg not in LEGS:
        raise VenueAnswerUnknown(f"posSide is {leg[:20]}")
    if mode not in _MARGIN_MODES:
        raise VenueAnswerUnknown(f"mgnMode is {mode[:20]}")
    return text(entry, "instId"), decimal(entry, "pos"), leg, mode


def _side_of_margin(entry: Row, market_id: str) -> PositionSide:
    """Told by the coin that is held: the pair's base, or its quote."""
    coin = text(entry, "posCcy")
    if coin not in market_id.split("-"):
        raise VenueAnswerUnknown(f"posCcy is {coin[:20]} in {market_id[:20]}")
    return PositionSide.LONG if market_id.startswith(f"{coin}-") else PositionSide.SHORT


def corroborate(part: Slice, book: MarketBook, answer: Answer, listed: Collection[Position]) -> None:
    """``GET /api/v5/account/account-position-risk``: the same positions from another source.

    Raises:
        VenueAnswerUnknown: it has one that the list has not shown. Passes by itself where it was a matter of moments.
    """
    if not part.derivative:
        return
    known = {(each.market_id, each.side, each.isolated) for each in listed}
    for entry in rows(only_row(answer, "risk").get("posData"), "posData"):
        if not belongs(part, book, entry):
            continue
        market_id, size, leg, mode = _leg(entry)
        side = LEGS.get(leg, PositionSide.LONG if size > 0 else PositionSide.SHORT)
        if size != 0 and (market_id, side, mode == "isolated") not in known:
            raise VenueAnswerUnknown(f"the account shows a {side.value} position in {market_id} that was not listed")


def orders(part: Slice, book: MarketBook, answer: Answer, *, trigger: bool) -> tuple[OpenOrder, ...]:
    """``GET .../trade/orders-pending`` and, with *trigger*, ``GET .../trade/orders-algo-pending``."""
    found = rows_of(answer, "algo orders" if trigger else "orders")
    return tuple(_order(part, book, entry, trigger=trigger) for entry in found if belongs(part, book, entry))


def _order(part: Slice, book: MarketBook, entry: Row, *, trigger: bool) -> OpenOrder:
    market_id, side = text(entry, "instId"), text(entry, "side")
    if side not in _SIDES:
        raise VenueAnswerUnknown(f"side is {side[:20]}")
    leg = text(entry, "posSide") if part.derivative else NET
    if leg != NET and leg not in LEGS:
        raise VenueAnswerUnknown(f"posSide is {leg[:20]}")
    rules = book.by_id.get(market_id)
    client = entry.get("algoClOrdId" if trigger else "clOrdId")
    return OpenOrder(
        slice=part.name,
        symbol=rules.symbol if rules else market_id,
        market_id=market_id,
        order_id=text(entry, "algoId" if trigger else "ordId"),
        client_order_id=client if isinstance(client, str) and client else None,
        side=_SIDES[side],
        remaining=_remaining(entry, trigger=trigger),
        trigger=trigger,
        reduce_only=_reduce_only(entry),
        position_side=LEGS.get(leg),
    )


def _reduce_only(entry: Row) -> bool:
    """Empty where the venue does not say: then it may open something."""
    return entry.get("reduceOnly") != "" and flag(entry, "reduceOnly")


def _remaining(entry: Row, *, trigger: bool) -> Decimal | None:
    """None where an order is of a part of the position, or of a value."""
    if entry.get("closeFraction") not in (None, "") or entry.get("tgtCcy") == "quote_ccy":
        return None
    return decimal(entry, "sz") - (Decimal(0) if trigger else decimal(entry, "accFillSz"))


def balances(part: Slice, exchange: Ccxt, answer: Answer) -> tuple[Balance, ...]:
    """``GET /api/v5/account/balance``: the trading account, which spot reports for all slices."""
    if part.derivative:
        only_row(answer, "risk")
        return ()
    found = (_balance(part, exchange, entry) for entry in rows(only_row(answer, "balance").get("details"), "details"))
    return tuple(balance for balance in found if balance.total != 0 or balance.debt != 0)


def kept_apart(part: Slice, answer: Answer) -> tuple[str, ...]:
    """``stgyEq`` of ``GET /api/v5/account/balance``, coin by coin: what trading bots were given and hold.

    Their orders and positions are in lists of their own, by kind of bot. Where the venue does not say there may be.
    """
    if part.derivative:
        return ()
    entries = rows(only_row(answer, "balance").get("details"), "details")
    told = [decimal(entry, "stgyEq") if entry.get("stgyEq") not in (None, "") else None for entry in entries]
    return () if all(equity == 0 for equity in told) else (BOTS,)


def _balance(part: Slice, exchange: Ccxt, entry: Row) -> Balance:
    """A negative balance is a debt; ``liab`` also has what is owed for losses. Neither exists in futures mode."""
    cash, available = decimal(entry, "cashBal"), decimal(entry, "availBal")
    total = max(cash, Decimal(0))
    free = min(max(available, Decimal(0)), total)
    return Balance(
        slice=part.name,
        asset=str(exchange.safe_currency_code(text(entry, "ccy"))),
        free=free,
        locked=total - free,
        debt=max(positive(entry, "liab") or Decimal(0), -cash, Decimal(0)),
    )


def quotes(book: MarketBook, symbols: Collection[str], answer: Answer, asked: str | None) -> dict[str, Quote]:
    """``GET /api/v5/market/tickers`` and ``.../ticker`` of the market *asked* for."""
    found: dict[str, Quote] = {}
    told: set[str] = set()
    for entry in rows_of(answer, "quotes"):
        rules = book.by_id.get(text(entry, "instId"))
        told.add(text(entry, "instId"))
        bid, ask = positive(entry, "bidPx"), positive(entry, "askPx")
        if rules is not None and rules.symbol in symbols and bid is not None and ask is not None:
            found[rules.symbol] = Quote(symbol=rules.symbol, bid=bid, ask=ask)
    if asked is not None and asked not in told:
        raise VenueAnswerUnknown(f"no quote of {asked}")
    return found


def market_rules(exchange: Ccxt, kind: MarketKind, answer: Answer) -> tuple[MarketRules, ...]:
    """``GET /api/v5/public/instruments``, symbols named by ccxt. One list has contracts of both kinds."""
    return tuple(_listed(exchange, kind, rows_of(answer, "markets")))


def _listed(exchange: Ccxt, kind: MarketKind, entries: Iterable[Row]) -> Iterable[MarketRules]:
    for entry in entries:
        # Announced markets have no more than a name: neither kind nor sizes.
        mine = kind is MarketKind.SPOT or _KINDS.get(str(entry.get("ctType"))) is kind
        if not mine or positive(entry, "minSz") is None:
            continue
        market = exchange.parse_market(entry)
        if market is not None:
            yield _rules(kind, entry, market)


def _rules(kind: MarketKind, entry: Row, market: Mapping[str, Any]) -> MarketRules:
    spot = kind is MarketKind.SPOT
    return listed_rules(
        market,
        kind,
        contract_size=Decimal(1) if spot else decimal(entry, "ctVal") * (positive(entry, "ctMult") or Decimal(1)),
        quantity_step=positive(entry, "lotSz"),
        quantity_min=positive(entry, "minSz"),
        # On spot in dollars, and of orders that are never sent.
        market_quantity_max=None if spot else positive(entry, "maxMktSz"),
        limit_quantity_max=positive(entry, "maxLmtSz"),
        notional_min=None,
        notional_max=positive(entry, "maxLmtAmt") if spot and market["quote"] in _DOLLARS else None,
        price_tick=positive(entry, "tickSz"),
        trading=text(entry, "state") == "live",
        sweeps=False,
    )
