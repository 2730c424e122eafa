"""Bitget's unified trading account (UTA): one wallet for spot, margin and futures, and the third API.

Pages of https://www.bitget.com/api-doc/uta: trade (Place-Order, Cancel-Order, Cancel-Batch, Get-Order-Pending,
Get-Order-Details, Get-Position), strategy (Get-Unfilled-Strategy-Orders, Cancel-Strategy-Order), account (Get-Account,
Get-Account-Setting, Get-Account-Info); limits by the same pages.

Traps: strategy orders (TP/SL and triggers) rest in a book of their own, are listed by type, and no sweep reaches them;
their rows do not say whether they open or close. Orders on spot and on margin are one wallet's. The wallet is reported
by the spot slice alone; its margin in use is one figure for all categories, and bears out no list of one of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from typing import Final

from node.domain.permission import Effect
from node.domain.snapshot import Balance, MarketKind, OpenOrder, Position, PositionSide
from node.domain.steps import CancelOrders, CancelSymbol, ClosePosition, SellSpot, SpotOrder, Step
from node.errors import VenueAnswerUnknown
from node.venues.call import Answer, Call, Ccxt
from node.venues.layout import Slice, SliceReads
from node.venues.markets import MarketBook
from node.venues.profiles.bitget import words
from node.venues.profiles.bitget.words import HEDGED, ISOLATED, LEGS, PAGE, SIDES, asked
from node.venues.profiles.plain import plain
from node.venues.strict import Row, decimal, positive, row, rows, text

_POSITIONS: Final = "privateUtaGetV3PositionCurrentPosition"
_ORDERS: Final = "privateUtaGetV3TradeUnfilledOrders"
_STRATEGIES: Final = "privateUtaGetV3TradeUnfilledStrategyOrders"
_ASSETS: Final = "privateUtaGetV3AccountAssets"
_ORDER: Final = "privateUtaGetV3TradeOrderInfo"
_PLACE: Final = "privateUtaPostV3TradePlaceOrder"
_CANCEL: Final = "privateUtaPostV3TradeCancelOrder"
_CANCEL_BATCH: Final = "privateUtaPostV3TradeCancelBatch"
_CANCEL_STRATEGY: Final = "privateUtaPostV3TradeCancelStrategyOrder"
_SWEEP: Final = "privateUtaPostV3TradeCancelSymbolOrder"
SETTINGS: Final = "privateUtaGetV3AccountSettings"
KEY: Final = "privateUtaGetV3AccountInfo"

#: Requests a second and account.
RATES: Final = {
    **dict.fromkeys((_POSITIONS, _ORDERS, _STRATEGIES, _ASSETS, _ORDER, SETTINGS), 20),
    **dict.fromkeys((_PLACE, _CANCEL, _CANCEL_STRATEGY), 10),
    **dict.fromkeys((_CANCEL_BATCH, _SWEEP, KEY), 5),
}

#: Categories whose orders hold coins of the wallet.
_COINS: Final = ("SPOT", "MARGIN")
_TPSL: Final = "tpsl"
_STRATEGY_TYPES: Final = (_TPSL, "trigger")


def reads(part: Slice) -> SliceReads:
    """Each category by itself; open orders on spot and margin are told apart from a list of all."""
    spot = part.market_kind is MarketKind.SPOT
    categories = _COINS if spot else words.products(part)
    strategies = tuple(
        asked(_STRATEGIES, Effect.READ, {"category": category, "type": kind})
        for category in categories
        for kind in _STRATEGY_TYPES
    )
    if spot:
        return SliceReads(
            triggers=strategies,
            orders=(asked(_ORDERS, Effect.READ, {"limit": str(PAGE)}),),
            balances=(asked(_ASSETS, Effect.READ),),
        )
    return SliceReads(
        triggers=strategies,
        orders=tuple(asked(_ORDERS, Effect.READ, {"category": each, "limit": str(PAGE)}) for each in categories),
        positions=tuple(asked(_POSITIONS, Effect.READ, {"category": each}) for each in categories),
    )


def more(call: Call, answer: Answer) -> Call | None:
    """Orders have pages; strategy orders have none that could be asked for.

    Raises:
        VenueAnswerUnknown: what looks like a full page may not be all.
    """
    if call.endpoint == _STRATEGIES:
        found = words.rows_of(answer, "strategy orders")
        if found and len(found) % PAGE == 0:
            raise VenueAnswerUnknown(f"{len(found)} strategy orders: there may be more, and there is no second page")
        return None
    if call.endpoint != _ORDERS or len(words.list_of(answer, "list")) < PAGE:
        return None
    cursor, params = text(row(words.data_of(answer, "orders"), "orders"), "cursor"), dict(call.params)
    if params.get("cursor") == cursor:
        raise VenueAnswerUnknown("the same page again")
    return replace(call, params={**params, "cursor": cursor})


def positions(part: Slice, book: MarketBook, answer: Answer) -> tuple[Position, ...]:
    """``GET /api/v3/position/current-position``."""
    found = (_position(part, book, entry) for entry in words.list_of(answer, "list"))
    return tuple(each for each in found if each is not None)


def _position(part: Slice, book: MarketBook, entry: Row) -> Position | None:
    market_id, contracts = text(entry, "symbol"), decimal(entry, "total")
    side: PositionSide = words.word(entry, "posSide", LEGS)
    if contracts < 0:
        raise VenueAnswerUnknown("total is less than nothing")
    if contracts == 0:
        return None
    rules = book.by_id.get(market_id)
    return Position(
        slice=part.name,
        symbol=rules.symbol if rules else market_id,
        market_id=market_id,
        side=side,
        contracts=contracts,
        hedged=words.word(entry, "holdMode", HEDGED),
        isolated=words.word(entry, "marginMode", ISOLATED),
        mark_price=positive(entry, "markPrice"),
        base_exposure=contracts if side is PositionSide.LONG else -contracts,
    )


def orders(part: Slice, book: MarketBook, answer: Answer, *, trigger: bool) -> tuple[OpenOrder, ...]:
    """``GET /api/v3/trade/unfilled-orders`` and ``.../unfilled-strategy-orders``."""
    if trigger:
        return tuple(_strategy(part, book, entry) for entry in words.rows_of(answer, "strategy orders"))
    categories = _COINS if part.market_kind is MarketKind.SPOT else words.products(part)
    listed = words.list_of(answer, "list")
    return tuple(_order(part, book, entry) for entry in listed if text(entry, "category").upper() in categories)


def _order(part: Slice, book: MarketBook, entry: Row) -> OpenOrder:
    market_id, quantity = text(entry, "symbol"), decimal(entry, "qty")
    rules = book.by_id.get(market_id)
    contract = part.market_kind is not MarketKind.SPOT
    leg = words.word(entry, "posSide", LEGS) if contract and words.word(entry, "holdMode", HEDGED) else None
    return OpenOrder(
        slice=part.name,
        symbol=rules.symbol if rules else market_id,
        market_id=market_id,
        order_id=text(entry, "orderId"),
        client_order_id=words.client_id(entry),
        side=words.word(entry, "side", SIDES),
        # An order for a value has no quantity.
        remaining=quantity - decimal(entry, "cumExecQty") if quantity > 0 else None,
        reduce_only=contract and leg is None and words.says_yes(entry, "reduceOnly"),
        position_side=leg,
    )


def _strategy(part: Slice, book: MarketBook, entry: Row) -> OpenOrder:
    """TP/SL closes the position whose side it names. A trigger order that does not say that it closes may open: it is
    taken for an entry.
    """
    market_id = text(entry, "symbol")
    rules = book.by_id.get(market_id)
    contract = part.market_kind is not MarketKind.SPOT
    protects = contract and any(entry.get(name) not in (None, "", "0") for name in ("takeProfit", "stopLoss"))
    opens = entry.get("triggerPrice") not in (None, "", "0")
    leg = words.word(entry, "posSide", LEGS) if entry.get("posSide") not in (None, "") else None
    reduces = (protects and not opens) or (contract and words.says_yes(entry, "reduceOnly"))
    if entry.get("side") not in (None, ""):
        side = words.word(entry, "side", SIDES)
    elif leg is not None:
        side = leg.closing_side if reduces else SIDES["buy" if leg is PositionSide.LONG else "sell"]
    else:
        side = SIDES["buy"]  # nothing tells; it is cancelled all the same
    quantity = Decimal(0) if entry.get("qty") in (None, "") else decimal(entry, "qty")
    return OpenOrder(
        slice=part.name,
        symbol=rules.symbol if rules else market_id,
        market_id=market_id,
        order_id=text(entry, "orderId"),
        client_order_id=words.client_id(entry),
        side=side,
        remaining=quantity if quantity > 0 else None,
        trigger=True,
        reduce_only=reduces,
        position_side=leg if reduces else None,
    )


def balances(part: Slice, exchange: Ccxt, answer: Answer) -> tuple[Balance, ...]:
    """``GET /api/v3/account/assets``: coins with a balance or a debt."""
    account = row(words.data_of(answer, "account"), "account")
    found = [_balance(part, exchange, entry) for entry in rows(account.get("assets"), "assets")]
    return tuple(each for each in found if each.total != 0 or each.debt != 0)


def _balance(part: Slice, exchange: Ccxt, entry: Row) -> Balance:
    total, debt = decimal(entry, "balance"), decimal(entry, "debt")
    asset = str(exchange.safe_currency_code(words.coin_of(entry, "coin")))
    if total < 0:
        return Balance(slice=part.name, asset=asset, free=Decimal(0), debt=max(debt, -total))
    # What is available may include other coins' worth as collateral.
    free = min(max(decimal(entry, "available"), Decimal(0)), total)
    return Balance(slice=part.name, asset=asset, free=free, locked=total - free, debt=debt)


def obstacle(step: Step) -> str | None:
    """Strategy orders are cancelled by name."""
    if isinstance(step, CancelSymbol) and step.trigger:
        return "Bitget cannot cancel all strategy orders of a market in one request"
    return None


def of_step(step: Step, kind: MarketKind) -> tuple[Call, ...]:
    """The requests that carry out a step."""
    match step:
        case ClosePosition():
            return (_close(step, kind),)
        case SellSpot():
            return (_sell(step),)
        case CancelOrders():
            return tuple(_cancels(step, kind))
        case CancelSymbol():
            categories = _COINS if kind is MarketKind.SPOT else (words.product(step, kind),)
            sweeps = ({"category": each, "symbol": step.market_id} for each in categories)
            return tuple(asked(_SWEEP, Effect.CANCEL, each) for each in sweeps)
        case _:
            return ()


def _close(step: ClosePosition, kind: MarketKind) -> Call:
    pricing = (
        {"orderType": "market"}
        if step.limit_price is None
        else {"orderType": "limit", "price": plain(step.limit_price), "timeInForce": "ioc"}
    )
    params = {
        "category": words.product(step, kind),
        "symbol": step.market_id,
        "qty": plain(step.contracts),
        "side": step.side.closing_side.value,
        **({"posSide": step.side.value} if step.hedged else {"reduceOnly": "yes"}),
        "marginMode": "isolated" if step.isolated else "crossed",
        **pricing,
        "clientOid": step.client_order_id,
    }
    return asked(_PLACE, Effect.CLOSE, params)


def _sell(step: SellSpot) -> Call:
    params = {
        "category": "SPOT",
        **words.immediate(step),
        "timeInForce": "ioc",
        "qty": plain(step.quantity),
        "price": plain(step.limit_price),
        "clientOid": step.client_order_id,
    }
    return asked(_PLACE, Effect.CLOSE, params)


def _cancels(step: CancelOrders, kind: MarketKind) -> Iterable[Call]:
    if step.trigger:
        yield from (asked(_CANCEL_STRATEGY, Effect.CANCEL, {"orderId": each}) for each in step.order_ids)
    elif kind is MarketKind.SPOT:  # by the id alone: of either category
        yield from (asked(_CANCEL, Effect.CANCEL, {"orderId": each}) for each in step.order_ids)
    elif len(step.order_ids) == 1:
        named = {"orderId": step.order_ids[0], "category": words.product(step, kind)}
        yield asked(_CANCEL, Effect.CANCEL, named)
    else:
        market = {"category": words.product(step, kind), "symbol": step.market_id}
        for some in words.order_refs(step.order_ids):
            yield asked(_CANCEL_BATCH, Effect.CANCEL, [{**market, "orderId": each} for each in some])


def probe_call() -> Call:
    """A cancel by a client id."""
    return asked(_CANCEL, Effect.CANCEL, {"clientOid": words.PROBE_ID})


def order_call(step: SpotOrder) -> Call:
    """``GET /api/v3/trade/order-info``."""
    return asked(_ORDER, Effect.READ, {"clientOid": step.client_order_id})


def exists(step: SpotOrder, answer: Answer) -> bool | None:
    """Its answer: the order, or nothing that can be relied on."""
    try:
        found = row(words.data_of(answer, "order"), "order")
    except VenueAnswerUnknown:
        return None
    return True if found.get("clientOid") == step.client_order_id and found.get("orderId") else None
