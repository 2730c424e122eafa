"""KuCoin: from answers to positions, orders, quotes, market rules and wallets of a classic account. Pure and strict.

Field names: https://www.kucoin.com/docs-new (futures-trading: positions, orders; spot-trading: orders, market-data;
account-info), and github.com/Kucoin/kucoin-universal-sdk, spec/rest.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from decimal import Decimal
from typing import Final

from node.domain.flatten import Quote
from node.domain.snapshot import Balance, MarketKind, MarketRules, OpenOrder, Position, PositionSide, Side
from node.errors import VenueAnswerUnknown, VenueError
from node.venues.call import Answer, Ccxt
from node.venues.layout import Slice
from node.venues.markets import MarketBook
from node.venues.profiles.kucoin import calls
from node.venues.profiles.plain import exposure
from node.venues.strict import Row, decimal, flag, positive, row, rows, text

_SIDES: Final = {"buy": Side.BUY, "sell": Side.SELL}
_LEGS: Final = {"LONG": PositionSide.LONG, "SHORT": PositionSide.SHORT}
_MARGIN_MODES: Final = {"ISOLATED": True, "CROSS": False}
#: Wallets in the list of all that are not traded on spot: funding, cross and isolated margin, Earn.
_OTHER_WALLETS: Final = ("main", "margin", "margin_v2", "isolated", "isolated_v2", "pool")
#: Pairs of orders that are over.
_OVER: Final = ("DONE", "CANCELLED", "CANCELED")


def positions(part: Slice, book: MarketBook, answer: Answer) -> tuple[Position, ...]:
    """``GET /api/v1/positions``: of both kinds of contract; legs without size are left out."""
    found = (_position(part, book, entry) for entry in rows(calls.data(answer), "positions"))
    return tuple(each for each in found if each is not None)


def _position(part: Slice, book: MarketBook, entry: Row) -> Position | None:
    market_id, size, leg = text(entry, "symbol"), decimal(entry, "currentQty"), text(entry, "positionSide")
    margin_mode, inverse = text(entry, "marginMode"), flag(entry, "isInverse")
    if (leg != "BOTH" and leg not in _LEGS) or margin_mode not in _MARGIN_MODES:
        raise VenueAnswerUnknown(f"positionSide is {leg[:20]}, marginMode is {margin_mode[:20]}")
    if size == 0 or inverse is not (part.kind is MarketKind.INVERSE) or not part.holds(text(entry, "settleCurrency")):
        return None
    side = _LEGS.get(leg, PositionSide.LONG if size > 0 else PositionSide.SHORT)
    if side is PositionSide.LONG and size < 0:
        raise VenueAnswerUnknown(f"a long position of {size}")
    rules, mark = book.by_id.get(market_id), positive(entry, "markPrice")
    return Position(
        slice=part.name,
        # An unlisted market is no reason to overlook what is held there.
        symbol=rules.symbol if rules else market_id,
        market_id=market_id,
        side=side,
        contracts=abs(size),
        hedged=leg in _LEGS,
        isolated=_MARGIN_MODES[margin_mode],
        mark_price=mark,
        base_exposure=exposure(part.kind, side, abs(size), rules, mark),
    )


def orders(part: Slice, book: MarketBook, answer: Answer, *, trigger: bool) -> tuple[OpenOrder, ...]:
    """Open orders of one book: pages, on spot also those of one market, and the list of which markets have any."""
    found = calls.data(answer)
    if part.kind is not MarketKind.SPOT:
        listed = rows(row(found, "page").get("items"), "orders")
        mine = (_contract_order(part, book, entry, trigger=trigger) for entry in listed)
        return tuple(each for each in mine if each is not None)
    if trigger:
        return tuple(_spot_triggers(part, book, rows(row(found, "page").get("items"), "stop orders")))
    if isinstance(found, dict):
        calls.symbols_with_orders(answer)
        return ()
    return tuple(_spot_order(part, book, entry) for entry in rows(found, "orders"))


def _contract_order(part: Slice, book: MarketBook, entry: Row, *, trigger: bool) -> OpenOrder | None:
    market_id, settle = text(entry, "symbol"), text(entry, "settleCurrency")
    if market_id not in book.by_id:
        linear = settle in calls.LINEAR_COINS
        if linear is not (part.kind is MarketKind.LINEAR):
            return None
    if not part.holds(settle):
        return None
    # An order that closes the position need not name a side nor a size.
    closes_all = flag(entry, "closeOrder")
    size = None if closes_all and entry.get("size") in (None, "", 0) else decimal(entry, "size")
    done = Decimal(0) if entry.get("filledSize") is None else decimal(entry, "filledSize")
    leg = entry.get("positionSide", "BOTH")
    if leg is not None and leg != "BOTH" and leg not in _LEGS:
        raise VenueAnswerUnknown(f"positionSide is {str(leg)[:20]}")
    unsided = closes_all and entry.get("side") in (None, "")
    return _order(
        part,
        book,
        market_id=market_id,
        order_id=text(entry, "id"),
        client_id=entry.get("clientOid"),
        side=Side.SELL if unsided else _side(entry),
        remaining=None if size is None else size - done,
        trigger=trigger,
        reduce_only=closes_all or flag(entry, "reduceOnly"),
        leg=_LEGS.get(str(leg)),
    )


def _spot_order(part: Slice, book: MarketBook, entry: Row) -> OpenOrder:
    named = "remainSize" in entry
    return _order(
        part,
        book,
        market_id=text(entry, "symbol"),
        order_id=text(entry, "id"),
        client_id=entry.get("clientOid"),
        side=_side(entry),
        remaining=decimal(entry, "remainSize") if named else decimal(entry, "size") - decimal(entry, "dealSize"),
    )


def _spot_triggers(part: Slice, book: MarketBook, listed: Iterable[Row]) -> Iterable[OpenOrder]:
    """Stop orders; and pairs of orders, which say nothing of sides and sizes."""
    for entry in listed:
        pair = "orderId" in entry and "id" not in entry
        if pair and text(entry, "status") in _OVER:
            continue
        by_funds = entry.get("size") in (None, "")
        yield _order(
            part,
            book,
            market_id=text(entry, "symbol"),
            order_id=f"{calls.OCO}:{text(entry, 'orderId')}" if pair else text(entry, "id"),
            client_id=entry.get("clientOid"),
            side=Side.SELL if pair else _side(entry),
            remaining=None if pair or by_funds else decimal(entry, "size"),
            trigger=True,
        )


def _side(entry: Row) -> Side:
    side = text(entry, "side")
    if side not in _SIDES:
        raise VenueAnswerUnknown(f"side is {side[:20]}")
    return _SIDES[side]


def _order(
    part: Slice,
    book: MarketBook,
    *,
    market_id: str,
    order_id: str,
    client_id: object,
    side: Side,
    remaining: Decimal | None,
    trigger: bool = False,
    reduce_only: bool = False,
    leg: PositionSide | None = None,
) -> OpenOrder:
    rules = book.by_id.get(market_id)
    return OpenOrder(
        slice=part.name,
        symbol=rules.symbol if rules else market_id,
        market_id=market_id,
        order_id=order_id,
        client_order_id=client_id if isinstance(client_id, str) and client_id else None,
        side=side,
        remaining=remaining,
        trigger=trigger,
        reduce_only=reduce_only,
        position_side=leg,
    )


def quotes(book: MarketBook, symbols: Collection[str], answer: Answer, *, by_name: str | None) -> dict[str, Quote]:
    """``GET market/orderbook/level1`` of one market, or ``GET market/allTickers``; without bids or offers no quote.

    Raises:
        VenueError: the market is not listed any more; all can be asked for.
        VenueAnswerUnknown: prices are not there at all.
    """
    wanted = frozenset(symbols) & book.by_symbol.keys()
    found: dict[str, Quote] = {}
    if by_name is not None:
        shown = calls.data(answer)
        if shown is None:
            raise VenueError(f"{by_name} has no prices")
        entries = [(by_name, row(shown, "prices"), "bestBid", "bestAsk")]
    else:
        listed = rows(row(calls.data(answer), "tickers").get("ticker"), "tickers")
        entries = [(text(entry, "symbol"), entry, "buy", "sell") for entry in listed]
    for market_id, entry, buy, sell in entries:
        rules = book.by_id.get(market_id)
        if rules is None or rules.symbol not in wanted:
            continue
        if buy not in entry or sell not in entry:
            raise VenueAnswerUnknown(f"the prices of {market_id} are not told")
        bid, ask = positive(entry, buy), positive(entry, sell)
        if bid is not None and ask is not None:
            found[rules.symbol] = Quote(symbol=rules.symbol, bid=bid, ask=ask)
    return found


def market_rules(exchange: Ccxt, kind: MarketKind, answer: Answer) -> tuple[MarketRules, ...]:
    """``GET /api/v2/symbols`` or ``GET /api/v1/contracts/active``, coins named by ccxt."""
    listed = rows(calls.data(answer), "markets")
    if kind is MarketKind.SPOT:
        return tuple(_pair(exchange, entry) for entry in listed)
    mine = (entry for entry in listed if flag(entry, "isInverse") is (kind is MarketKind.INVERSE))
    return tuple(_contract(exchange, kind, entry) for entry in mine)


def _pair(exchange: Ccxt, entry: Row) -> MarketRules:
    base, quote = (_coin(exchange, entry, name) for name in ("baseCurrency", "quoteCurrency"))
    largest = positive(entry, "baseMaxSize")
    return MarketRules(
        symbol=f"{base}/{quote}",
        market_id=text(entry, "symbol"),
        kind=MarketKind.SPOT,
        base=base,
        quote=quote,
        settle=quote,
        quantity_step=positive(entry, "baseIncrement"),
        quantity_min=positive(entry, "baseMinSize"),
        market_quantity_max=largest,
        limit_quantity_max=largest,
        notional_min=positive(entry, "minFunds"),
        price_tick=positive(entry, "priceIncrement"),
        trading=flag(entry, "enableTrading"),
    )


def _contract(exchange: Ccxt, kind: MarketKind, entry: Row) -> MarketRules:
    base, quote, settle = (_coin(exchange, entry, f"{name}Currency") for name in ("base", "quote", "settle"))
    ends = positive(entry, "expireDate")
    largest = positive(entry, "maxOrderQty")
    dated = f"-{exchange.yymmdd(int(ends), '')}" if ends is not None else ""
    return MarketRules(
        symbol=f"{base}/{quote}:{settle}{dated}",
        market_id=text(entry, "symbol"),
        kind=kind,
        base=base,
        quote=quote,
        settle=settle,
        # Base units a contract; of inverse contracts -1, for one unit of the quote.
        contract_size=abs(decimal(entry, "multiplier")),
        quantity_step=positive(entry, "lotSize"),
        quantity_min=positive(entry, "lotSize"),
        market_quantity_max=positive(entry, "marketMaxOrderQty") or largest,
        limit_quantity_max=largest,
        price_tick=positive(entry, "tickSize"),
        trading=text(entry, "status") == "Open",
    )


def _coin(exchange: Ccxt, entry: Row, name: str) -> str:
    return str(exchange.safe_currency_code(text(entry, name)))


def balances(part: Slice, exchange: Ccxt, answer: Answer) -> tuple[Balance, ...]:
    """``GET /api/v1/accounts`` (of all wallets) or ``GET /api/v1/account-overview`` (of one settle coin)."""
    if part.kind is MarketKind.SPOT:
        found = _traded(part, exchange, rows(calls.data(answer), "accounts"))
    else:
        found = [_collateral(part, exchange, row(calls.data(answer), "account"))]
    return tuple(each for each in found if each.total != 0 or each.debt != 0)


def _traded(part: Slice, exchange: Ccxt, listed: Iterable[Row]) -> list[Balance]:
    """What can be sold on spot, coin by coin. An account that was moved to high frequency may have both wallets; a
    wallet of a kind that is not known is taken for one of them, lest it be overlooked.
    """
    found: dict[str, Balance] = {}
    for entry in listed:
        if text(entry, "type").lower() in _OTHER_WALLETS:
            continue
        asset, free, locked = _coin(exchange, entry, "currency"), decimal(entry, "available"), decimal(entry, "holds")
        before = found.get(asset, Balance(slice=part.name, asset=asset, free=Decimal(0)))
        found[asset] = replace(before, free=before.free + free, locked=before.locked + locked)
    return list(found.values())


def _collateral(part: Slice, exchange: Ccxt, entry: Row) -> Balance:
    """A negative balance is a debt. What is available may include unrealised profit."""
    total, available = decimal(entry, "marginBalance"), decimal(entry, "availableBalance")
    asset = _coin(exchange, entry, "currency")
    if total < 0:
        return Balance(slice=part.name, asset=asset, free=Decimal(0), debt=-total)
    free = min(max(available, Decimal(0)), total)
    return Balance(slice=part.name, asset=asset, free=free, locked=total - free)


def corroborate(
    part: Slice,
    book: MarketBook,
    answer: Answer,
    positions: Collection[Position],
    orders: Collection[OpenOrder] | None,
) -> None:
    """Hold a futures wallet against the lists that were read with it. Wallets are one a settle coin.

    Raises:
        VenueAnswerUnknown: margin is in use that no list has shown.
    """
    if part.kind is MarketKind.SPOT:
        return
    account = row(calls.data(answer), "account")
    coin = text(account, "currency")
    _explained(account, coin, "positionMargin", _may_use(book, coin, [each.market_id for each in positions]))
    if orders is not None:
        resting = [each.market_id for each in orders if not each.trigger]
        _explained(account, coin, "orderMargin", _may_use(book, coin, resting))


def _may_use(book: MarketBook, coin: str, market_ids: Collection[str]) -> bool:
    """Whether one of these markets settles in a wallet's coin; one that is not known may."""
    known = [book.by_id.get(market_id) for market_id in market_ids]
    code = "BTC" if coin == "XBT" else coin
    return any(rules is None or rules.settle == code for rules in known)


def _explained(account: Row, coin: str, name: str, listed: bool) -> None:
    if not listed and decimal(account, name) > 0:
        raise VenueAnswerUnknown(f"{name} of {account[name]} {coin}, and nothing was listed for it")
