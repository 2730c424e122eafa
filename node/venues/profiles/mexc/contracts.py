"""MEXC's futures interface: linear and coin-margined contracts on one set of endpoints. Pure.

https://www.mexc.com/api-docs/futures (account-and-trading-endpoints, market-endpoints), and for what its examples leave
open https://mexcdevelop.github.io/apidocs/contract_v1_en.

Traps. An order's ``side`` names the leg (2 closes the short, 4 the long), in hedge and in one-way mode alike, and never
opens; ``reduceOnly`` is for one-way mode alone and not needed. Rows of positions tell neither the position mode nor a
price. Lists name the positions and orders of both kinds of contract. There are four books: orders, plan orders, stop
orders (take-profit and stop-loss of a position) and trailing orders. Plan orders of the last week only are listed where
no times are given, and 90 days at most at once: each window of so many days is asked for by itself.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, MutableMapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final

from node.domain.permission import Effect
from node.domain.snapshot import Balance, MarketKind, MarketRules, OpenOrder, Position, PositionKey, Side
from node.domain.steps import CancelOrders, CancelSymbol, ClosePosition, Step
from node.errors import VenueAnswerUnknown
from node.venues.call import Answer, Call, Ccxt
from node.venues.lane import Budget, Charge
from node.venues.layout import Slice, SliceReads
from node.venues.markets import MarketBook
from node.venues.profiles.mexc import words
from node.venues.profiles.mexc.words import asked
from node.venues.profiles.plain import exposure
from node.venues.strict import Row, decimal, flag, positive, text

_MARKETS: Final = "contractPublicGetDetail"
MODE: Final = "contractPrivateGetPositionPositionMode"
_POSITIONS: Final = "contractPrivateGetPositionOpenPositions"
_ASSETS: Final = "contractPrivateGetAccountAssets"
_ORDERS: Final = "contractPrivateGetOrderListOpenOrders"
_PLANS: Final = "contractPrivateGetPlanorderListOrders"
_STOPS: Final = "contractPrivateGetStoporderOpenOrders"
_TRAILING: Final = "contractPrivateGetTrackorderListOrders"
_PLACE: Final = "contractPrivatePostOrderCreate"
_CANCEL: Final = "contractPrivatePostOrderCancel"
_CANCEL_PLANS: Final = "contractPrivatePostPlanorderCancel"
_CANCEL_STOPS: Final = "contractPrivatePostStoporderCancel"
_CANCEL_TRAILING: Final = "contractPrivatePostTrackorderCancel"
_SWEEP: Final = "contractPrivatePostOrderCancelAll"
_SWEEP_PLANS: Final = "contractPrivatePostPlanorderCancelAll"
_SWEEP_STOPS: Final = "contractPrivatePostStoporderCancelAll"

BUDGETS: Final = {
    **dict.fromkeys(
        (MODE, _POSITIONS, _ASSETS, _ORDERS, _PLANS, _STOPS, _TRAILING, _SWEEP, _SWEEP_PLANS, _SWEEP_STOPS),
        Budget(units=20, interval_s=2.0),
    ),
    **dict.fromkeys((_CANCEL, _CANCEL_PLANS, _CANCEL_STOPS, _CANCEL_TRAILING), Budget(units=20, interval_s=2.0)),
    _PLACE: Budget(units=4, interval_s=2.0),
    # Once in five seconds: lists of markets are background work, which waits twice the interval.
    _MARKETS: Budget(units=1, interval_s=2.5),
}

#: Rows of a page, and orders of a cancel, at most.
PAGE: Final = 100
_CANCELS_AT_ONCE: Final = 50
#: How many windows of days (``mexc.WINDOWS``) plan and trailing orders are looked for in: about a year.
WINDOWS: Final = 4
#: The parameter that ``mexc`` makes two times of.
WINDOW: Final = "window"
#: The names of the page's number.
_PAGE_NUMBERS: Final = {_ORDERS: "page_num", _PLANS: "page_num", _TRAILING: "pageIndex"}

#: States of a plan order and of a trailing one in which it still waits, and those in which it is over.
_WAITING: Final = {"1": True, "2": False, "3": False, "4": False, "5": False}
_TRAILS: Final = {"0": True, "1": True, "2": False, "3": False, "4": False}
#: What only rows of trailing orders have.
_TRAILING_MARKS: Final = ("backType", "backValue", "activePrice")
#: What marks an id as that of another book than the plan orders'.
_STOP: Final = "stop:"
_TRAIL: Final = "track:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """What an order that closes a leg should name besides, as the venue has shown it last."""

    position_id: int | str
    #: None: it was not told.
    leverage: int | float | None


#: By the venue's name of the market, side and margin mode.
Legs = MutableMapping[PositionKey, Leg]


# Markets


def market_call() -> Call:
    """All contracts."""
    return Call(endpoint=_MARKETS, effect=Effect.READ, charges=(Charge(bucket=_MARKETS),))


def market_rules(exchange: Ccxt, kind: MarketKind, answer: Answer) -> tuple[MarketRules, ...]:
    """``GET /api/v1/contract/detail``: contracts of both kinds."""
    found = (_rules(exchange, entry) for entry in words.rows_of(answer, "markets"))
    return tuple(rules for rules in found if rules.kind is kind)


def _rules(exchange: Ccxt, entry: Row) -> MarketRules:
    coins = tuple(text(entry, name) for name in ("baseCoin", "quoteCoin", "settleCoin"))
    base, quote, settle = (str(exchange.safe_currency_code(each)) for each in coins)
    largest = positive(entry, "maxVol")
    return MarketRules(
        symbol=f"{base}/{quote}:{settle}",
        market_id=text(entry, "symbol"),
        kind=MarketKind.LINEAR if quote == settle else MarketKind.INVERSE,
        base=base,
        quote=quote,
        settle=settle,
        contract_size=decimal(entry, "contractSize"),
        quantity_step=positive(entry, "volUnit"),
        quantity_min=positive(entry, "minVol"),
        market_quantity_max=largest,
        limit_quantity_max=largest,
        price_tick=positive(entry, "priceUnit"),
        trading=text(entry, "state") == "0" and entry.get("apiAllowed") is not False,
    )


# Reads


def reads() -> SliceReads:
    """The same for both kinds of contract: no list takes a kind, or a settle coin."""
    windows = range(WINDOWS)
    return SliceReads(
        triggers=(
            *(_page(_PLANS, states="1", window=window) for window in windows),
            *(_trailing(window) for window in windows),
            asked(_STOPS, Effect.READ),
        ),
        orders=(_page(_ORDERS),),
        positions=(asked(_POSITIONS, Effect.READ),),
        balances=(asked(_ASSETS, Effect.READ),),
    )


def _page(endpoint: str, **more_: Any) -> Call:  # noqa: ANN401 - parameters
    return asked(endpoint, Effect.READ, {**more_, "page_num": 1, "page_size": PAGE})


def _trailing(window: int) -> Call:
    return asked(_TRAILING, Effect.READ, {"states": "0,1", WINDOW: window, "pageIndex": 1, "pageSize": PAGE})


def more(call: Call, answer: Answer) -> Call | None:
    """A full page may have another behind it, whatever else the answer says."""
    name = _PAGE_NUMBERS.get(call.endpoint)
    if name is None or len(words.rows_of(answer, "orders")) < PAGE:
        return None
    params = dict(call.params)
    return replace(call, params={**params, name: params[name] + 1})


def _symbol(part: Slice, book: MarketBook, market_id: str) -> str | None:
    """Our name of a market of the slice; None: it belongs elsewhere. What is not listed is told by its name."""
    rules = book.by_id.get(market_id)
    if rules is not None:
        return rules.symbol if part.holds(rules.settle) else None
    kind, settle = words.by_name(market_id)
    return market_id if kind is part.kind and part.holds(settle) else None


def positions(part: Slice, book: MarketBook, answer: Answer, legs: Legs) -> tuple[Position, ...]:
    """``GET /api/v1/private/position/open_positions``. Remembers in *legs* what closing each leg takes."""
    found = (_position(part, book, entry, legs) for entry in words.rows_of(answer, "positions"))
    return tuple(each for each in found if each is not None)


def _position(part: Slice, book: MarketBook, entry: Row, legs: Legs) -> Position | None:
    market_id, contracts = text(entry, "symbol"), decimal(entry, "holdVol")
    side, isolated = words.word(entry, "positionType", words.LEGS), words.word(entry, "openType", words.IS_ISOLATED)
    position_id, leverage = text(entry, "positionId"), positive(entry, "leverage")
    if contracts < 0:
        raise VenueAnswerUnknown("holdVol is less than nothing")
    symbol = _symbol(part, book, market_id)
    if contracts == 0 or symbol is None:
        return None
    legs[PositionKey(market_id, side, isolated)] = Leg(
        position_id=words.id_number(position_id), leverage=None if leverage is None else words.number(leverage)
    )
    return Position(
        slice=part.name,
        symbol=symbol,
        market_id=market_id,
        side=side,
        contracts=contracts,
        # The row does not tell; and it makes no difference: every order names its leg.
        hedged=True,
        isolated=isolated,
        base_exposure=exposure(part.kind, side, contracts, book.by_id.get(market_id), None),
    )


def orders(part: Slice, book: MarketBook, answer: Answer, *, trigger: bool) -> tuple[OpenOrder, ...]:
    """Orders; or, told by their rows, plan orders, trailing ones, and stop orders."""
    found = (_order(part, book, entry, trigger) for entry in words.rows_of(answer, "orders"))
    return tuple(each for each in found if each is not None)


def _order(part: Slice, book: MarketBook, entry: Row, trigger: bool) -> OpenOrder | None:
    market_id = text(entry, "symbol")
    symbol = _symbol(part, book, market_id)
    if trigger and "side" not in entry:
        return _stop_order(part, entry, market_id, symbol) if _open(entry) else None
    leg, closes = words.word(entry, "side", words.SIDES)
    one_way = entry.get("positionMode") is not None and text(entry, "positionMode") == "2"
    reduces = entry.get("reduceOnly") is not None and flag(entry, "reduceOnly")
    trails = trigger and any(name in entry for name in _TRAILING_MARKS)
    waits = not trigger or entry.get("state") is None or words.word(entry, "state", _TRAILS if trails else _WAITING)
    if symbol is None or not waits:
        return None
    order_id = text(entry, "id" if trigger else "orderId")
    size = decimal(entry, "vol")
    side: Side = leg.closing_side if closes else _other(leg.closing_side)
    return OpenOrder(
        slice=part.name,
        symbol=symbol,
        market_id=market_id,
        order_id=f"{_TRAIL}{order_id}" if trails else order_id,
        client_order_id=words.client_id(entry, "externalOid"),
        side=side,
        remaining=size if trigger else size - decimal(entry, "dealVol"),
        trigger=trigger,
        reduce_only=one_way and (reduces or closes),
        position_side=None if one_way else leg,
    )


def _other(side: Side) -> Side:
    return Side.BUY if side is Side.SELL else Side.SELL


def _open(entry: Row) -> bool:
    return str(entry.get("isFinished")) != "1"


def _stop_order(part: Slice, entry: Row, market_id: str, symbol: str | None) -> OpenOrder | None:
    """Take-profit and stop-loss of a position. One that reverses it may open the other leg, and protects nothing."""
    leg = words.word(entry, "positionType", words.LEGS)
    reverses = any(str(entry.get(name)) == "1" for name in ("takeProfitReverse", "stopLossReverse"))
    whole = str(entry.get("volType")) == "2" or entry.get("vol") is None
    if symbol is None:
        return None
    return OpenOrder(
        slice=part.name,
        symbol=symbol,
        market_id=market_id,
        order_id=f"{_STOP}{text(entry, 'id')}",
        client_order_id=None,
        side=leg.closing_side,
        remaining=None if whole else decimal(entry, "vol"),
        trigger=True,
        reduce_only=not reverses,
        position_side=None if reverses else leg,
    )


# The wallet


def _mine(part: Slice, coin: str) -> bool:
    """One wallet holds the coins of both kinds of contract: dollars of all makes are the linear ones'."""
    return coin.startswith("USD") is (part.kind is MarketKind.LINEAR)


def balances(part: Slice, exchange: Ccxt, answer: Answer) -> tuple[Balance, ...]:
    """``GET /api/v1/private/account/assets``: the coins that contracts of the slice settle in."""
    found: list[Balance] = []
    for entry in words.rows_of(answer, "assets"):
        coin = str(exchange.safe_currency_code(text(entry, "currency")))
        if not _mine(part, coin) or not part.holds_coin(coin):
            continue
        total = decimal(entry, "equity") - words.or_zero(entry, "unrealized")
        available = decimal(entry, "availableBalance")
        if total < 0:
            found.append(Balance(slice=part.name, asset=coin, free=Decimal(0), debt=-total))
        elif total > 0:
            free = min(max(available, Decimal(0)), total)
            found.append(Balance(slice=part.name, asset=coin, free=free, locked=total - free))
    return tuple(found)


def corroborate(part: Slice, answer: Answer, held: Collection[Position]) -> None:
    """Hold the wallet's margin in positions, and their profit, against those that were listed in the coin.

    Raises:
        VenueAnswerUnknown: something is in use that no list has shown.
    """
    shown = {words.by_name(each.market_id)[1] for each in held} | {each.symbol.partition(":")[2] for each in held}
    for entry in words.rows_of(answer, "assets"):
        coin = text(entry, "currency")
        margin, profit = decimal(entry, "positionMargin"), words.or_zero(entry, "unrealized")
        if (margin > 0 or profit != 0) and coin not in shown and _mine(part, coin) and part.holds(coin):
            raise VenueAnswerUnknown(
                f"{margin} {coin} are in use as margin (profit {profit}), and no position was listed for them"
            )


# Steps


def of_step(step: Step, legs: Legs) -> tuple[Call, ...]:
    """The requests that carry out a step."""
    match step:
        case ClosePosition():
            return (_close(step, legs.get(PositionKey(step.market_id, step.side, step.isolated))),)
        case CancelOrders():
            return tuple(_cancel(step))
        case CancelSymbol():
            sweeps = (_SWEEP_PLANS, _SWEEP_STOPS) if step.trigger else (_SWEEP,)
            return tuple(asked(endpoint, Effect.CANCEL, {"symbol": step.market_id}) for endpoint in sweeps)
        case _:
            return ()


def _close(step: ClosePosition, leg: Leg | None) -> Call:
    """With the position's id, as is recommended; an isolated one also with its leverage, which older rules demand."""
    params: dict[str, Any] = {
        "symbol": step.market_id,
        "vol": words.number(step.contracts),
        "side": words.CLOSES[step.side],
        "type": 5 if step.limit_price is None else 3,
        "openType": words.ISOLATED if step.isolated else words.CROSS,
        "externalOid": step.client_order_id,
    }
    if step.limit_price is not None:
        params["price"] = words.number(step.limit_price)
    if leg is not None:
        params["positionId"] = leg.position_id
        if step.isolated and leg.leverage is not None:
            params["leverage"] = leg.leverage
    return asked(_PLACE, Effect.CLOSE, params)


def _cancel(step: CancelOrders) -> Iterator[Call]:
    if not step.trigger:
        for some in _portions(words.id_number(each) for each in step.order_ids):
            yield asked(_CANCEL, Effect.CANCEL, some)
        return
    stops = [each.removeprefix(_STOP) for each in step.order_ids if each.startswith(_STOP)]
    trailing = [each.removeprefix(_TRAIL) for each in step.order_ids if each.startswith(_TRAIL)]
    plans = [each for each in step.order_ids if not each.startswith((_STOP, _TRAIL))]
    for some in _portions({"symbol": step.market_id, "orderId": each} for each in plans):
        yield asked(_CANCEL_PLANS, Effect.CANCEL, some)
    for some in _portions({"stopPlanOrderId": words.id_number(each)} for each in stops):
        yield asked(_CANCEL_STOPS, Effect.CANCEL, some)
    for each in trailing:
        named = {"symbol": step.market_id, "trackOrderId": words.id_number(each)}
        yield asked(_CANCEL_TRAILING, Effect.CANCEL, named)


def _portions(found: Iterable[Any]) -> list[list[Any]]:
    each = list(found)
    return [each[start : start + _CANCELS_AT_ONCE] for start in range(0, len(each), _CANCELS_AT_ONCE)]
