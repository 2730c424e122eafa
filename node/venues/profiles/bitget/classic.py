"""Bitget's classic account: separate wallets of spot and of each product type of futures, and the second API.

Pages of https://www.bitget.com/api-doc: contract/trade (Place-Order, Cancel-Order, Batch-Cancel-Orders,
Get-Orders-Pending), contract/plan (get-orders-plan-pending, Cancel-Plan-Order), contract/position (get-all-position),
contract/account (Get-Account-List), spot/trade, spot/plan and spot/account; limits by the same pages.

Traps: in hedge mode ``side`` is the leg's own (a long is closed by "buy" with tradeSide "close"); trigger orders are
listed, and cancelled, by their plan type; a plan type may be what tells that an order protects; on spot stops of one
kind rest among the orders of another ``tpslType``. Contracts count base coins in all product types.

The close-positions endpoint is not used: once a second, at market only, without a client id, and always the whole leg.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

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
from node.venues.strict import Row, decimal, flag, positive, row, rows, text

_POSITIONS: Final = "privateMixGetV2MixPositionAllPosition"
_ORDERS: Final = "privateMixGetV2MixOrderOrdersPending"
_PLANS: Final = "privateMixGetV2MixOrderOrdersPlanPending"
_ACCOUNTS: Final = "privateMixGetV2MixAccountAccounts"
_SPOT_ORDERS: Final = "privateSpotGetV2SpotTradeUnfilledOrders"
_SPOT_PLANS: Final = "privateSpotGetV2SpotTradeCurrentPlanOrder"
_ASSETS: Final = "privateSpotGetV2SpotAccountAssets"
_SPOT_ORDER: Final = "privateSpotGetV2SpotTradeOrderInfo"
_PLACE: Final = "privateMixPostV2MixOrderPlaceOrder"
_CANCEL: Final = "privateMixPostV2MixOrderCancelOrder"
_CANCEL_BATCH: Final = "privateMixPostV2MixOrderBatchCancelOrders"
_CANCEL_PLAN: Final = "privateMixPostV2MixOrderCancelPlanOrder"
_SPOT_PLACE: Final = "privateSpotPostV2SpotTradePlaceOrder"
_SPOT_CANCEL: Final = "privateSpotPostV2SpotTradeCancelOrder"
_SPOT_CANCEL_BATCH: Final = "privateSpotPostV2SpotTradeBatchCancelOrder"
_SPOT_CANCEL_PLAN: Final = "privateSpotPostV2SpotTradeCancelPlanOrder"
_SPOT_SWEEP: Final = "privateSpotPostV2SpotTradeCancelSymbolOrder"
_SPOT_SWEEP_PLANS: Final = "privateSpotPostV2SpotTradeBatchCancelPlanOrder"
KEY: Final = "privateSpotGetV2SpotAccountInfo"

#: Requests a second and account.
RATES: Final = {
    **dict.fromkeys((_ORDERS, _PLANS, _ACCOUNTS, _ASSETS, _PLACE, _CANCEL, _CANCEL_BATCH, _CANCEL_PLAN), 10),
    **dict.fromkeys((_SPOT_PLACE, _SPOT_CANCEL, _SPOT_CANCEL_BATCH), 10),
    **dict.fromkeys((_SPOT_ORDERS, _SPOT_PLANS, _SPOT_ORDER, _SPOT_CANCEL_PLAN), 20),
    **dict.fromkeys((_POSITIONS, _SPOT_SWEEP, _SPOT_SWEEP_PLANS), 5),
    KEY: 1,
}

#: How trigger orders have to be asked for, one by one; and what "profit_loss" is made of: all that only closes.
_PLAN_LISTS: Final = ("normal_plan", "track_plan", "profit_loss")
_PROTECTIVE: Final = ("profit_plan", "loss_plan", "moving_plan", "pos_profit", "pos_loss")
#: Cancelled as what it is where nothing is said.
_NORMAL: Final = "normal_plan"
_PLAN_TYPES: Final = (_NORMAL, "track_plan", *_PROTECTIVE)
#: Between the plan type (or tpslType) and the id of an order that is found only under both.
_JOINT: Final = ":"
_TPSL: Final = "tpsl"


def reads(part: Slice) -> SliceReads:
    """Each product type by itself, and each kind of trigger order."""
    if part.market_kind is MarketKind.SPOT:
        return SliceReads(
            triggers=(_page(_SPOT_PLANS), _page(_SPOT_ORDERS, tpslType=_TPSL)),
            orders=(_page(_SPOT_ORDERS, tpslType="normal"),),
            balances=(asked(_ASSETS, Effect.READ, {"assetType": "hold_only"}),),
        )
    kinds = words.products(part)
    return SliceReads(
        triggers=tuple(_page(_PLANS, productType=kind, planType=plan) for kind in kinds for plan in _PLAN_LISTS),
        orders=tuple(_page(_ORDERS, productType=kind) for kind in kinds),
        positions=tuple(asked(_POSITIONS, Effect.READ, {"productType": kind}) for kind in kinds),
        balances=tuple(asked(_ACCOUNTS, Effect.READ, {"productType": kind}) for kind in kinds),
    )


def _page(endpoint: str, **params: str) -> Call:
    return asked(endpoint, Effect.READ, {**params, "limit": str(PAGE)})


def more(call: Call, answer: Answer) -> Call | None:
    """A full page may have another behind it, whatever else the answer says."""
    if call.endpoint not in (_ORDERS, _PLANS, _SPOT_ORDERS, _SPOT_PLANS):
        return None
    found = _listed(answer)
    goes_on = call.endpoint == _SPOT_PLANS and flag(row(words.data_of(answer, "orders"), "orders"), "nextFlag")
    if len(found) < PAGE and not goes_on:
        return None
    if not found:
        raise VenueAnswerUnknown("a page without rows that is not the last")
    last, params = text(found[-1], "orderId"), dict(call.params)
    if params.get("idLessThan") == last:
        raise VenueAnswerUnknown("the same page again")
    return replace(call, params={**params, "idLessThan": last})


def _listed(answer: Answer) -> list[Row]:
    """Rows of any list of orders: on spot the data itself, elsewhere inside it."""
    data = words.data_of(answer, "orders")
    if isinstance(data, list):
        return rows(data, "orders")
    return words.list_of(answer, "orderList" if isinstance(data, dict) and "orderList" in data else "entrustedList")


def positions(part: Slice, book: MarketBook, answer: Answer) -> tuple[Position, ...]:
    """``GET /api/v2/mix/position/all-position``."""
    found = (_position(part, book, entry) for entry in words.rows_of(answer, "positions"))
    return tuple(each for each in found if each is not None)


def _position(part: Slice, book: MarketBook, entry: Row) -> Position | None:
    market_id, contracts = text(entry, "symbol"), decimal(entry, "total")
    side: PositionSide = words.word(entry, "holdSide", LEGS)
    if contracts < 0:
        raise VenueAnswerUnknown("total is less than nothing")
    if contracts == 0:
        return None
    return Position(
        slice=part.name,
        symbol=words.symbol_of(book.by_id.get(market_id), market_id, words.coin_of(entry, "marginCoin")),
        market_id=market_id,
        side=side,
        contracts=contracts,
        hedged=words.word(entry, "posMode", HEDGED),
        isolated=words.word(entry, "marginMode", ISOLATED),
        mark_price=positive(entry, "markPrice"),
        base_exposure=contracts if side is PositionSide.LONG else -contracts,
    )


def orders(part: Slice, book: MarketBook, answer: Answer, *, trigger: bool) -> tuple[OpenOrder, ...]:
    """orders-pending and orders-plan-pending; on spot unfilled-orders and current-plan-order."""
    read = _spot_order if part.market_kind is MarketKind.SPOT else _contract_order
    return tuple(read(part, book, entry, trigger) for entry in _listed(answer))


def _contract_order(part: Slice, book: MarketBook, entry: Row, trigger: bool) -> OpenOrder:
    market_id, order_id = text(entry, "symbol"), text(entry, "orderId")
    plan = text(entry, "planType").lower() if trigger else ""
    protects = plan in _PROTECTIVE
    leg = words.word(entry, "posSide", LEGS) if words.word(entry, "posMode", HEDGED) else None
    side = words.word(entry, "side", SIDES)
    if leg is not None:  # "side" is the leg's own there, whether it is opened or closed
        closes = _closes(entry)
        side = leg.closing_side if closes else _opening_side(leg)
    size = decimal(entry, "size") if entry.get("size") not in (None, "") or not protects else Decimal(0)
    return OpenOrder(
        slice=part.name,
        symbol=words.symbol_of(book.by_id.get(market_id), market_id, words.coin_of(entry, "marginCoin")),
        market_id=market_id,
        order_id=f"{plan}{_JOINT}{order_id}" if trigger and plan != _NORMAL else order_id,
        client_order_id=words.client_id(entry),
        side=side,
        # For the whole position there is no size, or zero.
        remaining=None if protects and size == 0 else size if trigger else size - decimal(entry, "baseVolume"),
        trigger=trigger,
        # Rows that do not say that they only reduce may add.
        reduce_only=protects or (leg is None and words.says_yes(entry, "reduceOnly")),
        position_side=leg,
    )


def _closes(entry: Row) -> bool:
    """Whether an order makes its leg smaller: close, reduce_close_long, burst_close_short, ..."""
    said = text(entry, "tradeSide").lower()
    if said != "open" and "close" not in said:
        raise VenueAnswerUnknown(f"tradeSide is {said[:20]}")
    return said != "open"


def _opening_side(leg: PositionSide) -> Any:  # noqa: ANN401 - Side
    return SIDES["buy" if leg is PositionSide.LONG else "sell"]


def _spot_order(part: Slice, book: MarketBook, entry: Row, trigger: bool) -> OpenOrder:
    market_id, order_id = text(entry, "symbol"), text(entry, "orderId")
    rules, size = book.by_id.get(market_id), decimal(entry, "size")
    planned = trigger and "tpslType" not in entry
    if trigger and not planned:
        order_id = f"{_TPSL}{_JOINT}{order_id}"
    side = words.word(entry, "side", SIDES)
    # What is bought at market, or by its value, is counted in quote coins.
    by_value = text(entry, "planType").lower() == "total" if planned else _bought_at_market(entry)
    filled = Decimal(0) if planned else decimal(entry, "baseVolume")
    return OpenOrder(
        slice=part.name,
        symbol=rules.symbol if rules else market_id,
        market_id=market_id,
        order_id=order_id,
        client_order_id=words.client_id(entry),
        side=side,
        remaining=None if by_value else size - filled,
        trigger=trigger,
    )


def _bought_at_market(entry: Row) -> bool:
    return text(entry, "side").lower() == "buy" and text(entry, "orderType").lower() == "market"


def balances(part: Slice, exchange: Ccxt, answer: Answer) -> tuple[Balance, ...]:
    """``GET /api/v2/spot/account/assets`` and ``GET /api/v2/mix/account/accounts``."""
    found: list[Balance] = []
    for entry in words.rows_of(answer, "balances"):
        if part.market_kind is MarketKind.SPOT:
            held = decimal(entry, "frozen") + decimal(entry, "locked")
            found.append(_balance(part, exchange, entry, "coin", decimal(entry, "available"), held))
        else:
            found += _collateral(part, exchange, entry)
    return tuple(each for each in found if each.total != 0 or each.debt != 0)


def _balance(part: Slice, exchange: Ccxt, entry: Row, name: str, free: Decimal, locked: Decimal) -> Balance:
    asset = str(exchange.safe_currency_code(words.coin_of(entry, name)))
    return Balance(slice=part.name, asset=asset, free=free, locked=locked)


def _collateral(part: Slice, exchange: Ccxt, entry: Row) -> Iterable[Balance]:
    """A wallet of futures: one coin, or (in multi-assets mode, where equity is the worth of all) each of a list."""
    if entry.get("assetMode") == "union":
        for each in rows(entry.get("assetList") or [], "assetList"):
            total = decimal(each, "balance")
            free = min(max(decimal(each, "available"), Decimal(0)), total) if "available" in each else total
            yield _balance(part, exchange, each, "coin", free, total - free)
        return
    total = decimal(entry, "accountEquity") - _profit(entry, "unrealizedPL")
    if total < 0:
        asset = str(exchange.safe_currency_code(words.coin_of(entry, "marginCoin")))
        yield Balance(slice=part.name, asset=asset, free=Decimal(0), debt=-total)
        return
    free = min(max(decimal(entry, "crossedMaxAvailable"), Decimal(0)), total)
    yield _balance(part, exchange, entry, "marginCoin", free, total - free)


def _profit(entry: Row, name: str) -> Decimal:
    """Unrealised profit: empty without positions."""
    return Decimal(0) if entry.get(name) in (None, "") else decimal(entry, name)


def corroborate(part: Slice, answer: Answer, held: Collection[Position], resting: Collection[OpenOrder] | None) -> None:
    """Hold a wallet's margin in use and unrealised profit against what was listed in its coin.

    Raises:
        VenueAnswerUnknown: something is in use that no list has shown.
    """
    if part.market_kind is MarketKind.SPOT:
        return
    shown = {each.symbol.partition(":")[2].partition("-")[0] for each in held}
    explained = shown | {each.symbol.partition(":")[2].partition("-")[0] for each in resting or ()}
    if "" in explained:
        return  # a market that is not known may be margined in any coin
    for entry in words.rows_of(answer, "accounts"):
        coin = words.coin_of(entry, "marginCoin")
        if coin not in shown and _profit(entry, "unrealizedPL") != 0:
            raise VenueAnswerUnknown(f"the account shows a profit in {coin}, and no position was listed for it")
        margin = sum((_profit(entry, name) for name in ("crossedMargin", "isolatedMargin")), Decimal(0))
        if resting is not None and coin not in explained and margin > 0:
            raise VenueAnswerUnknown(f"{margin} {coin} are in use as margin, and nothing was listed for them")


def of_step(step: Step, kind: MarketKind) -> tuple[Call, ...]:
    """The requests that carry out a step."""
    match step:
        case ClosePosition():
            return (_close(step, kind),)
        case SellSpot():
            return (_sell(step),)
        case CancelOrders() if kind is MarketKind.SPOT:
            return tuple(_cancel_spot(step))
        case CancelOrders():
            return tuple(_cancel_contracts(step, kind))
        case CancelSymbol() if kind is MarketKind.SPOT:
            sweep = {"symbolList": [step.market_id]} if step.trigger else {"symbol": step.market_id}
            return (asked(_SPOT_SWEEP_PLANS if step.trigger else _SPOT_SWEEP, Effect.CANCEL, sweep),)
        case CancelSymbol():
            market = {"symbol": step.market_id, "productType": words.product(step, kind)}
            if not step.trigger:
                return (asked(_CANCEL_BATCH, Effect.CANCEL, market),)
            return tuple(asked(_CANCEL_PLAN, Effect.CANCEL, {**market, "planType": plan}) for plan in _PLAN_TYPES)
        case _:
            return ()


def _close(step: ClosePosition, kind: MarketKind) -> Call:
    long = step.side is PositionSide.LONG
    bounded = (
        {"side": "buy" if long else "sell", "tradeSide": "close"}
        if step.hedged
        else {"side": step.side.closing_side.value, "reduceOnly": "YES"}
    )
    pricing = (
        {"orderType": "market"}
        if step.limit_price is None
        else {"orderType": "limit", "price": plain(step.limit_price), "force": "ioc"}
    )
    params = {
        "symbol": step.market_id,
        "productType": words.product(step, kind),
        "marginMode": "isolated" if step.isolated else "crossed",
        "marginCoin": words.margin_coin(step, kind),
        "size": plain(step.contracts),
        **bounded,
        **pricing,
        "clientOid": step.client_order_id,
    }
    return asked(_PLACE, Effect.CLOSE, params)


def _sell(step: SellSpot) -> Call:
    params = {
        **words.immediate(step),
        "force": "ioc",
        "size": plain(step.quantity),
        "price": plain(step.limit_price),
        "clientOid": step.client_order_id,
    }
    return asked(_SPOT_PLACE, Effect.CLOSE, params)


def _cancel_contracts(step: CancelOrders, kind: MarketKind) -> Iterable[Call]:
    market = {"symbol": step.market_id, "productType": words.product(step, kind)}
    if not step.trigger and len(step.order_ids) == 1:
        yield asked(_CANCEL, Effect.CANCEL, {**market, "orderId": step.order_ids[0]})
        return
    by_plan: dict[str, list[str]] = {}
    for order_id in step.order_ids:
        plan, _, bare = order_id.rpartition(_JOINT)
        by_plan.setdefault(plan or _NORMAL, []).append(bare)
    for plan, ids in by_plan.items():
        for some in words.order_refs(ids):
            named = {**market, "orderIdList": [{"orderId": each} for each in some]}
            if step.trigger:
                yield asked(_CANCEL_PLAN, Effect.CANCEL, {**named, "planType": plan})
            else:
                yield asked(_CANCEL_BATCH, Effect.CANCEL, named)


def _cancel_spot(step: CancelOrders) -> Iterable[Call]:
    if not step.trigger and len(step.order_ids) > 1:
        for some in words.order_refs(step.order_ids):
            listed = {"symbol": step.market_id, "orderList": [{"orderId": each} for each in some]}
            yield asked(_SPOT_CANCEL_BATCH, Effect.CANCEL, listed)
        return
    for order_id in step.order_ids:
        kind, _, bare = order_id.rpartition(_JOINT)
        if step.trigger and kind != _TPSL:
            yield asked(_SPOT_CANCEL_PLAN, Effect.CANCEL, {"orderId": bare})
        else:
            named = {"symbol": step.market_id, "orderId": bare}
            yield asked(_SPOT_CANCEL, Effect.CANCEL, {**named, "tpslType": _TPSL} if step.trigger else named)


def probe_call(step: CancelOrders, kind: MarketKind) -> Call:
    """A cancel by a client id."""
    named = {"symbol": step.market_id, "clientOid": words.PROBE_ID}
    if kind is MarketKind.SPOT:
        return asked(_SPOT_CANCEL, Effect.CANCEL, named)
    return asked(_CANCEL, Effect.CANCEL, {**named, "productType": words.product(step, kind)})


def order_call(step: SpotOrder) -> Call:
    """``GET /api/v2/spot/trade/orderInfo``, of orders of the last 90 days."""
    return asked(_SPOT_ORDER, Effect.READ, {"clientOid": step.client_order_id})


def exists(step: SpotOrder, answer: Answer) -> bool | None:
    """Its answer: a list, empty where there is no such order."""
    try:
        found = words.rows_of(answer, "order")
    except VenueAnswerUnknown:
        return None
    if not found:
        return False
    known = any(entry.get("clientOid") == step.client_order_id and entry.get("orderId") for entry in found)
    return True if known else None
