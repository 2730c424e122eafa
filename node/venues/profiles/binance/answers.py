"""Binance: from answers to positions, orders, quotes and market rules. Pure and strict.

Field names: https://developers.binance.com/docs/derivatives/usds-margined-futures,
.../derivatives/coin-margined-futures and .../binance-spot-api-docs, endpoints named at each function.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Final

from node.domain.flatten import Quote
from node.domain.snapshot import MarketKind, MarketRules, OpenOrder, Position, PositionSide, Side
from node.errors import VenueAnswerUnknown
from node.venues.call import Answer, Ccxt
from node.venues.layout import Slice
from node.venues.markets import MarketBook
from node.venues.strict import Row, decimal, flag, positive, row, rows, text

_SIDES: Final = {"BUY": Side.BUY, "SELL": Side.SELL}
_LEGS: Final = {"LONG": PositionSide.LONG, "SHORT": PositionSide.SHORT}


def positions(part: Slice, book: MarketBook, answer: Answer) -> tuple[Position, ...]:
    """``GET /fapi/v3/positionRisk`` and ``GET /dapi/v1/positionRisk``; legs without size are left out."""
    found = (_position(part, book, entry) for entry in rows(answer, "positions"))
    return tuple(position for position in found if position is not None)


def _position(part: Slice, book: MarketBook, entry: Row) -> Position | None:
    market_id = text(entry, "symbol")
    amount = decimal(entry, "positionAmt")
    leg = text(entry, "positionSide")
    if leg != "BOTH" and leg not in _LEGS:
        raise VenueAnswerUnknown(f"positionSide is {leg[:20]}")
    rules = book.by_id.get(market_id)
    if amount == 0 or not part.holds(rules.settle if rules else entry.get("marginAsset")):
        return None
    side = _LEGS.get(leg, PositionSide.LONG if amount > 0 else PositionSide.SHORT)
    mark = positive(entry, "markPrice")
    return Position(
        slice=part.name,
        # An unlisted market is no reason to overlook what is held there.
        symbol=rules.symbol if rules else market_id,
        market_id=market_id,
        side=side,
        contracts=abs(amount),
        hedged=leg in _LEGS,
        isolated=_isolated(entry),
        mark_price=mark,
        base_exposure=_exposure(part.kind, side, abs(amount), rules, mark),
    )


def _isolated(entry: Row) -> bool:
    # COIN-M names the margin type; USD-M's third version shows only the margin set aside.
    if "marginType" in entry:
        return text(entry, "marginType").lower() == "isolated"
    return positive(entry, "isolatedMargin") is not None or positive(entry, "isolatedWallet") is not None


def _exposure(
    kind: MarketKind, side: PositionSide, contracts: Decimal, rules: MarketRules | None, mark: Decimal | None
) -> Decimal | None:
    sign = 1 if side is PositionSide.LONG else -1
    if kind is MarketKind.LINEAR:
        return sign * contracts * (rules.contract_size if rules else 1)
    if rules is None or mark is None:
        return None
    return sign * contracts * rules.contract_size / mark


def orders(part: Slice, book: MarketBook, answer: Answer, *, trigger: bool) -> tuple[OpenOrder, ...]:
    """``GET .../openOrders`` (of every product) and, with *trigger*, ``GET .../openAlgoOrders`` (fapi, dapi)."""
    read = _trigger_order if trigger else _spot_order if part.market_kind is MarketKind.SPOT else _contract_order
    found = ((read(part, book, entry), book.by_id.get(text(entry, "symbol"))) for entry in rows(answer, "open orders"))
    return tuple(order for order, rules in found if part.holds(rules.settle if rules else None))


def _spot_order(part: Slice, book: MarketBook, entry: Row) -> OpenOrder:
    # Stops rest in the same book as limit orders, and are cancelled like them.
    return _order(part, book, entry, order_id="orderId", client_id="clientOrderId", remaining=_remaining(entry))


def _contract_order(part: Slice, book: MarketBook, entry: Row) -> OpenOrder:
    closes_all = flag(entry, "closePosition") if "closePosition" in entry else False
    return _order(
        part,
        book,
        entry,
        order_id="orderId",
        client_id="clientOrderId",
        remaining=None if closes_all else _remaining(entry),
        reduce_only=closes_all or flag(entry, "reduceOnly"),
        leg=text(entry, "positionSide"),
    )


def _trigger_order(part: Slice, book: MarketBook, entry: Row) -> OpenOrder:
    closes_all = flag(entry, "closePosition")
    return _order(
        part,
        book,
        entry,
        order_id="algoId",
        client_id="clientAlgoId",
        remaining=None if closes_all else decimal(entry, "quantity"),
        trigger=True,
        reduce_only=closes_all or flag(entry, "reduceOnly"),
        leg=text(entry, "positionSide"),
    )


def _order(
    part: Slice,
    book: MarketBook,
    entry: Row,
    *,
    order_id: str,
    client_id: str,
    remaining: Decimal | None,
    trigger: bool = False,
    reduce_only: bool = False,
    leg: str = "BOTH",
) -> OpenOrder:
    market_id, side = text(entry, "symbol"), text(entry, "side")
    if side not in _SIDES:
        raise VenueAnswerUnknown(f"side is {side[:20]}")
    if leg != "BOTH" and leg not in _LEGS:
        raise VenueAnswerUnknown(f"positionSide is {leg[:20]}")
    rules = book.by_id.get(market_id)
    client = entry.get(client_id)
    return OpenOrder(
        slice=part.name,
        symbol=rules.symbol if rules else market_id,
        market_id=market_id,
        order_id=text(entry, order_id),
        client_order_id=client if isinstance(client, str) and client else None,
        side=_SIDES[side],
        remaining=remaining,
        trigger=trigger,
        reduce_only=reduce_only,
        position_side=_LEGS.get(leg),
    )


def _remaining(entry: Row) -> Decimal:
    return decimal(entry, "origQty") - decimal(entry, "executedQty")


def quotes(book: MarketBook, symbols: Collection[str], answer: Answer, *, by_name: bool) -> dict[str, Quote]:
    """``GET /api/v3/ticker/bookTicker``; a market without bids or offers has no quote.

    Asked by name, every market has its row: an answer without it is some other answer.
    """
    wanted = frozenset(symbols) & book.by_symbol.keys()
    found: dict[str, Quote] = {}
    told: set[str] = set()
    for entry in [answer] if isinstance(answer, dict) else rows(answer, "quotes"):
        rules = book.by_id.get(text(entry, "symbol"))
        told |= {rules.symbol} if rules is not None else set()
        bid, ask = positive(entry, "bidPrice"), positive(entry, "askPrice")
        if rules is not None and rules.symbol in wanted and bid is not None and ask is not None:
            found[rules.symbol] = Quote(symbol=rules.symbol, bid=bid, ask=ask)
    if by_name and not wanted <= told:
        raise VenueAnswerUnknown(f"no quotes of {', '.join(sorted(wanted - told))}")
    return found


def market_rules(exchange: Ccxt, kind: MarketKind, answer: Answer) -> tuple[MarketRules, ...]:
    """``GET .../exchangeInfo`` (spot, fapi, dapi), symbols named by ccxt."""
    listed = rows(row(answer, "markets").get("symbols"), "markets")
    found = [_rules(kind, entry, market) for entry in listed if (market := exchange.parse_market(entry)) is not None]
    if not found:
        raise VenueAnswerUnknown("no markets are listed")
    return tuple(found)


def _rules(kind: MarketKind, entry: Row, market: Mapping[str, str]) -> MarketRules:
    filters = {text(each, "filterType"): each for each in rows(entry.get("filters"), "filters")}
    lot, market_lot = filters.get("LOT_SIZE", {}), filters.get("MARKET_LOT_SIZE", {})
    notional = filters.get("MIN_NOTIONAL", filters.get("NOTIONAL", {}))
    limit_max = positive(lot, "maxQty")
    status = entry.get("contractStatus", entry.get("status"))
    return MarketRules(
        symbol=market["symbol"],
        market_id=text(entry, "symbol"),
        kind=kind,
        base=market["base"],
        quote=market["quote"],
        settle=market["quote"] if kind is MarketKind.SPOT else market["settle"],
        contract_size=positive(entry, "contractSize") or Decimal(1),
        quantity_step=positive(lot, "stepSize"),
        quantity_min=positive(market_lot, "minQty") or positive(lot, "minQty"),
        market_quantity_max=positive(market_lot, "maxQty") or limit_max,
        limit_quantity_max=limit_max,
        notional_min=positive(notional, "minNotional") or positive(notional, "notional"),
        # Held against market orders too, whatever applyMaxToMarket says: smaller orders are never wrong.
        notional_max=positive(filters.get("NOTIONAL", {}), "maxNotional"),
        price_tick=positive(filters.get("PRICE_FILTER", {}), "tickSize"),
        trading=status == "TRADING" and entry.get("isSpotTradingAllowed", True) is not False,
    )
