"""Bybit V5: from answers to positions, orders, quotes, balances and market rules. Pure and strict.

Field names: https://bybit-exchange.github.io/docs/v5 (position, order/open-order, account/wallet-balance,
market/instrument, market/tickers) and .../enum.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

from node.domain.flatten import Quote
from node.domain.snapshot import Balance, MarketKind, MarketRules, OpenOrder, Position, PositionSide, Side
from node.errors import VenueAnswerUnknown
from node.venues.call import Answer, Call, Ccxt
from node.venues.layout import Slice
from node.venues.markets import MarketBook
from node.venues.profiles.bybit.calls import CATEGORY, SETTLE_COINS, spot_order_id
from node.venues.profiles.plain import exposure
from node.venues.strict import Row, decimal, flag, positive, row, rows, text

_SIDES: Final = {"Buy": Side.BUY, "Sell": Side.SELL}
_HELD: Final = {"Buy": PositionSide.LONG, "Sell": PositionSide.SHORT}
#: Of ``positionIdx``; one-way positions have the index 0.
_LEGS: Final[Mapping[str, PositionSide | None]] = {"0": None, "1": PositionSide.LONG, "2": PositionSide.SHORT}
#: Of orders that nothing more happens to. Open ones are asked for; whatever else the venue calls one, it is open.
_CLOSED: Final = ("Rejected", "PartiallyFilledCanceled", "Filled", "Cancelled", "Deactivated")
#: Pairs of orders on spot, whatever their state.
_PAIRS: Final = ("OcoOrder", "BidirectionalTpslOrder")


def result(answer: Answer, what: str) -> Row:
    """What is inside the envelope ``{"retCode": 0, "retMsg": "OK", "result": {...}}``.

    Raises:
        VenueAnswerUnknown: it is no such envelope, or does not say success.
    """
    envelope = row(answer, what)
    if text(envelope, "retCode") != "0":
        raise VenueAnswerUnknown(f"{what}: retCode is {str(envelope.get('retCode'))[:20]}")
    return row(envelope.get("result"), what)


def listed(answer: Answer, category: str, what: str) -> list[Row]:
    """The rows of a list of one category.

    Raises:
        VenueAnswerUnknown: it is another list, or none.
    """
    found = result(answer, what)
    if text(found, "category") != category:
        raise VenueAnswerUnknown(f"{what}: of {text(found, 'category')[:20]} instead of {category}")
    return rows(found.get("list"), what)


def following(call: Call, answer: Answer) -> Call | None:
    """The request for the next page, for as long as the venue names one: also a short page may have one behind it.

    Raises:
        VenueAnswerUnknown: the page is full and names none, or names itself.
    """
    params = call.params
    if not isinstance(params, Mapping) or "limit" not in params:
        return None
    found = result(answer, "page")
    count, cursor = len(rows(found.get("list"), "page")), found.get("nextPageCursor")
    if cursor is None and count >= params["limit"]:
        raise VenueAnswerUnknown("a full page that does not say what is behind it")
    if not isinstance(cursor, str | None):
        raise VenueAnswerUnknown("nextPageCursor is no text")
    if cursor and cursor == params.get("cursor"):
        if count:
            raise VenueAnswerUnknown("a page that is followed by itself")
        return None
    return replace(call, params={**params, "cursor": cursor}) if cursor else None


def positions(part: Slice, book: MarketBook, answer: Answer) -> tuple[Position, ...]:
    """``GET /v5/position/list``; rows without size are left out."""
    found = [_position(part, book, entry) for entry in listed(answer, CATEGORY[part.kind], "positions")]
    return tuple(position for position in found if position is not None)


def _position(part: Slice, book: MarketBook, entry: Row) -> Position | None:
    market_id, size, leg = text(entry, "symbol"), decimal(entry, "size"), _leg(entry)
    rules = book.by_id.get(market_id)
    if size == 0 or not part.holds(rules.settle if rules else None):
        return None
    side = _HELD.get(text(entry, "side"))
    if size < 0 or side is None or leg not in (None, side):
        raise VenueAnswerUnknown(f"a position of {str(entry['side'])[:10]} {size}, index {entry['positionIdx']}")
    mark = positive(entry, "markPrice")
    return Position(
        slice=part.name,
        # An unlisted market is no reason to overlook what is held there.
        symbol=rules.symbol if rules else market_id,
        market_id=market_id,
        side=side,
        contracts=size,
        hedged=leg is not None,
        # The margin mode is the account's, and the field a constant, except for inverse contracts of unified 1.0.
        isolated=entry.get("tradeMode") == 1,
        mark_price=mark,
        base_exposure=exposure(part.kind, side, size, rules, mark),
    )


def _leg(entry: Row) -> PositionSide | None:
    index = text(entry, "positionIdx")
    if index not in _LEGS:
        raise VenueAnswerUnknown(f"positionIdx is {index[:20]}")
    return _LEGS[index]


def orders(part: Slice, book: MarketBook, answer: Answer, *, trigger: bool) -> tuple[OpenOrder, ...]:
    """``GET /v5/order/realtime``: of the one list what waits for a trigger, or what does not."""
    entries = [
        entry
        for entry in listed(answer, CATEGORY[part.kind], "open orders")
        if text(entry, "orderStatus") not in _CLOSED
    ]
    found = ((_order(part, book, entry), book.by_id.get(text(entry, "symbol"))) for entry in entries)
    return tuple(
        order for order, rules in found if order.trigger is trigger and part.holds(rules.settle if rules else None)
    )


def _order(part: Slice, book: MarketBook, entry: Row) -> OpenOrder:
    market_id, order_id, side = text(entry, "symbol"), text(entry, "orderId"), text(entry, "side")
    if side not in _SIDES:
        raise VenueAnswerUnknown(f"side is {side[:20]}")
    rules = book.by_id.get(market_id)
    client = entry.get("orderLinkId")
    kind = entry.get("stopOrderType")
    waiting = text(entry, "orderStatus") == "Untriggered" or (part.kind is MarketKind.SPOT and kind in _PAIRS)
    if waiting and part.kind is MarketKind.SPOT:
        order_id = spot_order_id(str(kind) if kind in (*_PAIRS, "tpslOrder") else "StopOrder", order_id)
    return OpenOrder(
        slice=part.name,
        symbol=rules.symbol if rules else market_id,
        market_id=market_id,
        order_id=order_id,
        client_order_id=client if isinstance(client, str) and client else None,
        side=_SIDES[side],
        remaining=_remaining(entry, waiting=waiting),
        trigger=waiting,
        # An order that closes on its trigger can only make a position smaller, too.
        reduce_only=part.derivative and (flag(entry, "reduceOnly") or flag(entry, "closeOnTrigger")),
        position_side=_leg(entry) if part.derivative else None,
    )


def _remaining(entry: Row, *, waiting: bool) -> Decimal | None:
    """None: the whole position, which is how stops of one are listed that name no size."""
    left = decimal(entry, "qty") - (0 if waiting else decimal(entry, "cumExecQty"))
    return left if left > 0 else None


def balances(part: Slice, exchange: Ccxt, answer: Answer) -> tuple[Balance, ...]:
    """``GET /v5/account/wallet-balance``: the one wallet that all slices trade from, reported once."""
    coins = [_balance(part, exchange, entry) for entry in _wallet(answer)]
    return tuple(each for each in coins if each.total != 0 or each.debt != 0) if not part.derivative else ()


def _balance(part: Slice, exchange: Ccxt, entry: Row) -> Balance:
    """What is borrowed is in the wallet's balance, and owed beside it; what is lost beyond it makes it negative."""
    total = decimal(entry, "walletBalance")
    owed = max(decimal(entry, "borrowAmount"), positive(entry, "spotBorrow") or Decimal(0), -total)
    held = max(total, Decimal(0))
    # A bonus is for margin: it can be neither sold nor withdrawn.
    locked = min(held, decimal(entry, "locked") + (positive(entry, "bonus") or 0))
    asset = str(exchange.safe_currency_code(text(entry, "coin")))
    return Balance(slice=part.name, asset=asset, free=held - locked, locked=locked, debt=max(owed, Decimal(0)))


def _wallet(answer: Answer) -> list[Row]:
    accounts = rows(result(answer, "wallet").get("list"), "wallet")
    if len(accounts) != 1 or text(accounts[0], "accountType") != "UNIFIED":
        raise VenueAnswerUnknown("the answer shows another wallet than the unified account's")
    return rows(accounts[0].get("coin"), "coins")


def corroborate(part: Slice, book: MarketBook, answer: Answer, found: Collection[Position]) -> None:
    """Hold the wallet against the positions that were read with it.

    A coin with an unrealised profit or loss has a perpetual or future that settles in it. Margin in use would prove
    less: options, which are no slice, take margin of the same coins, but their value is not among this profit.

    Raises:
        VenueAnswerUnknown: no such position was listed. Passes by itself where it was only a matter of moments.
    """
    if not part.derivative:
        return
    shown = [text(entry, "coin") for entry in _wallet(answer) if decimal(entry, "unrealisedPnl") != 0]
    explained = _settle_coins(book, found)
    if explained is None:
        return
    for coin in shown:
        if coin not in explained and _settles(part, coin):
            raise VenueAnswerUnknown(f"{coin} shows an unrealised profit or loss, and no position was listed for it")


def _settles(part: Slice, coin: str) -> bool:
    if part.kind is MarketKind.LINEAR:
        return coin in (SETTLE_COINS if part.settle is None else (part.settle,))
    return coin not in SETTLE_COINS


def _settle_coins(book: MarketBook, found: Iterable[Position]) -> set[str] | None:
    """None: one is in a market that is not known."""
    known = [book.by_id.get(each.market_id) for each in found]
    return None if None in known else {rules.settle for rules in known if rules is not None}


def quotes(book: MarketBook, symbols: Collection[str], call: Call, answer: Answer) -> dict[str, Quote]:
    """``GET /v5/market/tickers``; a market without bids or offers has no quote."""
    wanted, told, found = frozenset(symbols) & book.by_symbol.keys(), set(), {}
    for entry in listed(answer, "spot", "quotes"):
        rules = book.by_id.get(text(entry, "symbol"))
        if rules is None:
            continue
        told.add(rules.market_id)
        bid, ask = positive(entry, "bid1Price"), positive(entry, "ask1Price")
        if rules.symbol in wanted and bid is not None and ask is not None:
            found[rules.symbol] = Quote(symbol=rules.symbol, bid=bid, ask=ask)
    asked = call.params.get("symbol") if isinstance(call.params, Mapping) else None
    if asked is not None and asked not in told:
        raise VenueAnswerUnknown(f"no quote of {asked}")
    if asked is None and not told:
        raise VenueAnswerUnknown("no quotes at all")
    return found


def market_rules(exchange: Ccxt, kind: MarketKind, answer: Answer) -> tuple[MarketRules, ...]:
    """``GET /v5/market/instruments-info``, symbols named as ccxt does."""
    read = _spot_rules if kind is MarketKind.SPOT else _contract_rules
    return tuple(read(exchange, kind, entry) for entry in listed(answer, CATEGORY[kind], "markets"))


def _spot_rules(exchange: Ccxt, kind: MarketKind, entry: Row) -> MarketRules:
    base, quote = _code(exchange, entry, "baseCoin"), _code(exchange, entry, "quoteCoin")
    lot = row(entry.get("lotSizeFilter"), "lotSizeFilter")
    most = positive(lot, "maxOrderQty")  # until each type of order had a maximum of its own
    return MarketRules(
        symbol=f"{base}/{quote}",
        market_id=text(entry, "symbol"),
        kind=kind,
        base=base,
        quote=quote,
        settle=quote,
        # The least quantity and the largest amount are still shown, and not checked any more.
        quantity_step=positive(lot, "basePrecision"),
        market_quantity_max=positive(lot, "maxMarketOrderQty") or most,
        limit_quantity_max=positive(lot, "maxLimitOrderQty") or most,
        notional_min=positive(lot, "minOrderAmt"),
        price_tick=positive(row(entry.get("priceFilter"), "priceFilter"), "tickSize"),
        trading=text(entry, "status") == "Trading",
    )


def _contract_rules(exchange: Ccxt, kind: MarketKind, entry: Row) -> MarketRules:
    base, quote = _code(exchange, entry, "baseCoin"), _code(exchange, entry, "quoteCoin")
    lot = row(entry.get("lotSizeFilter"), "lotSizeFilter")
    settle = _code(exchange, entry, "settleCoin")
    perpetual = text(entry, "contractType").endswith("Perpetual")
    if kind is MarketKind.LINEAR and perpetual and settle == "USD":
        settle = "USDC"
    limit_max = positive(lot, "maxOrderQty")
    return MarketRules(
        symbol=f"{base}/{quote}:{settle}{'' if perpetual else _expiry(exchange, entry)}",
        market_id=text(entry, "symbol"),
        kind=kind,
        base=base,
        quote=quote,
        settle=settle,
        # Quantities are base coins of linear contracts, and dollars of inverse ones.
        contract_size=Decimal(1),
        quantity_step=positive(lot, "qtyStep"),
        quantity_min=positive(lot, "minOrderQty"),
        market_quantity_max=positive(lot, "maxMktOrderQty") or limit_max,
        limit_quantity_max=limit_max,
        notional_min=positive(lot, "minNotionalValue"),
        price_tick=positive(row(entry.get("priceFilter"), "priceFilter"), "tickSize"),
        trading=_trading(entry),
    )


def _code(exchange: Ccxt, entry: Row, name: str) -> str:
    return str(exchange.safe_currency_code(text(entry, name)))


def _expiry(exchange: Ccxt, entry: Row) -> str:
    """In ccxt's symbols; perpetuals name the time of their delisting in the same field."""
    delivery = int(decimal(entry, "deliveryTime"))
    return f"-{exchange.yymmdd(delivery)}" if delivery else ""


def _trading(entry: Mapping[str, Any]) -> bool:
    """Before its launch a contract trades freely in the last phase only."""
    before_launch = entry.get("preListingInfo")
    if text(entry, "status") != "PreLaunch" or not isinstance(before_launch, dict):
        return text(entry, "status") == "Trading"
    return before_launch.get("curAuctionPhase") == "ContinuousTrading"
