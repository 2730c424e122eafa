"""Binance: the exact requests, as data. Weights and parameters by the endpoints' own pages.

https://developers.binance.com/docs/binance-spot-api-docs/rest-api,
https://developers.binance.com/docs/derivatives/usds-margined-futures and .../coin-margined-futures.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from node.domain.snapshot import MarketKind, PositionSide, Side
from node.domain.steps import CancelOrders, CancelSymbol, ClosePosition, SellSpot, Step
from node.venues.lane import Budget, Charge
from node.venues.profile import Call, Slice, SliceReads

#: REQUEST_WEIGHT per address and minute; orders per key. exchangeInfo's rateLimits, the stricter where pages differ.
BUDGETS: Final = {
    "spot": Budget(units=6000),
    "fapi": Budget(units=2400),
    "dapi": Budget(units=2400),
    "sapi": Budget(units=12000),
    "spot:orders": Budget(units=100, interval_s=10.0),
    "fapi:orders": Budget(units=1200),
    "dapi:orders": Budget(units=1200),
}

#: How ccxt's method names begin, and the bucket that is charged.
_PREFIX: Final = {MarketKind.SPOT: "private", MarketKind.LINEAR: "fapiPrivate", MarketKind.INVERSE: "dapiPrivate"}
_PUBLIC: Final = {MarketKind.SPOT: "public", MarketKind.LINEAR: "fapiPublic", MarketKind.INVERSE: "dapiPublic"}
_BUCKET: Final = {MarketKind.SPOT: "spot", MarketKind.LINEAR: "fapi", MarketKind.INVERSE: "dapi"}

#: DELETE batchOrders takes no more ids.
CANCEL_BATCH: Final = 10
#: Beyond this many names the whole list is asked for: it costs the same, and addresses stay short.
QUOTES_BY_NAME: Final = 100
#: Never given to an order: ours are eighteen letters and digits.
PROBE_ID: Final = "sovereign-node-probe"


def _weight(kind: MarketKind, units: int) -> tuple[Charge, ...]:
    return (Charge(bucket=_BUCKET[kind], units=units),)


def market_call(kind: MarketKind) -> Call:
    """Everything that is listed; on spot without the permission sets, which are most of the answer."""
    if kind is MarketKind.SPOT:
        return Call(endpoint="publicGetExchangeInfo", params={"showPermissionSets": "false"}, charges=_weight(kind, 20))
    return Call(endpoint=f"{_PUBLIC[kind]}GetExchangeInfo", charges=_weight(kind, 1))


def clock_call(kind: MarketKind) -> Call:
    """The host's time: as cheap as a ping, and tells more."""
    return Call(endpoint=f"{_PUBLIC[kind]}GetTime", charges=_weight(kind, 1))


def rights_call() -> Call:
    """What the key may do."""
    return Call(endpoint="sapiGetAccountApiRestrictions", charges=(Charge(bucket="sapi"),))


def reads(part: Slice) -> SliceReads:
    """What shows a slice. Conditional orders of both futures venues rest in the algo book; spot's do not."""
    kind, prefix = part.kind, _PREFIX[part.kind]
    if kind is MarketKind.SPOT:
        return SliceReads(
            orders=(Call(endpoint="privateGetOpenOrders", charges=_weight(kind, 80)),),
            balances=(
                Call(endpoint="privateGetAccount", params={"omitZeroBalances": "true"}, charges=_weight(kind, 20)),
            ),
        )
    linear = kind is MarketKind.LINEAR
    return SliceReads(
        triggers=(Call(endpoint=f"{prefix}GetOpenAlgoOrders", charges=_weight(kind, 40)),),
        orders=(Call(endpoint=f"{prefix}GetOpenOrders", charges=_weight(kind, 40)),),
        positions=(
            Call(
                endpoint="fapiPrivateV3GetPositionRisk" if linear else "dapiPrivateGetPositionRisk",
                charges=_weight(kind, 5 if linear else 1),
            ),
        ),
        balances=(
            Call(
                endpoint="fapiPrivateV3GetBalance" if linear else "dapiPrivateGetBalance",
                charges=_weight(kind, 5 if linear else 1),
            ),
        ),
    )


def of_step(step: Step, kind: MarketKind) -> tuple[Call, ...]:
    """The requests that carry out *step*."""
    match step:
        case ClosePosition():
            return (_close(step, kind),)
        case SellSpot():
            return (_sell(step),)
        case CancelSymbol():
            return (_cancel_symbol(step, kind),)
        case CancelOrders():
            return tuple(_cancel_orders(step, kind))


def _close(step: ClosePosition, kind: MarketKind) -> Call:
    params = {
        "symbol": step.market_id,
        "side": _side(step.side.closing_side),
        "quantity": plain(step.contracts),
        **_pricing(step.limit_price),
        # In hedge mode the leg bounds the order, and reduceOnly is refused.
        **({"positionSide": _leg(step.side)} if step.hedged else {"reduceOnly": "true"}),
        **_identity(step.client_order_id),
    }
    orders = Charge(bucket=f"{_BUCKET[kind]}:orders", per_key=True)
    # Orders weigh nothing on USD-M and one on COIN-M.
    weight = () if kind is MarketKind.LINEAR else _weight(kind, 1)
    return Call(endpoint=f"{_PREFIX[kind]}PostOrder", params=params, charges=(*weight, orders))


def _sell(step: SellSpot) -> Call:
    params = {
        "symbol": step.market_id,
        "side": "SELL",
        "quantity": plain(step.quantity),
        **_pricing(step.limit_price),
        **_identity(step.client_order_id),
    }
    orders = Charge(bucket="spot:orders", per_key=True)
    return Call(endpoint="privatePostOrder", params=params, charges=(*_weight(MarketKind.SPOT, 1), orders))


def _pricing(limit_price: Decimal | None) -> dict[str, str]:
    if limit_price is None:
        return {"type": "MARKET"}
    return {"type": "LIMIT", "timeInForce": "IOC", "price": plain(limit_price)}


def _identity(client_order_id: str) -> dict[str, str]:
    # RESULT answers after matching: the read that follows sees what the order did.
    return {"newClientOrderId": client_order_id, "newOrderRespType": "RESULT"}


def _cancel_symbol(step: CancelSymbol, kind: MarketKind) -> Call:
    name = "OpenOrders" if kind is MarketKind.SPOT else "AlgoOpenOrders" if step.trigger else "AllOpenOrders"
    return Call(endpoint=f"{_PREFIX[kind]}Delete{name}", params={"symbol": step.market_id}, charges=_weight(kind, 1))


def _cancel_orders(step: CancelOrders, kind: MarketKind) -> Iterable[Call]:
    prefix, weight = _PREFIX[kind], _weight(kind, 1)
    if step.trigger or kind is MarketKind.SPOT or len(step.order_ids) == 1:
        book, name = ("AlgoOrder", "algoId") if step.trigger else ("Order", "orderId")
        for order_id in step.order_ids:
            params = {"symbol": step.market_id, name: order_id}
            yield Call(endpoint=f"{prefix}Delete{book}", params=params, charges=weight)
        return
    for start in range(0, len(step.order_ids), CANCEL_BATCH):
        ids = step.order_ids[start : start + CANCEL_BATCH]
        # ccxt sends this endpoint's parameters unescaped.
        params = {"symbol": step.market_id, "orderIdList": f"[{','.join(ids)}]"}
        yield Call(endpoint=f"{prefix}DeleteBatchOrders", params=params, charges=weight)


def order_call(step: SellSpot) -> Call:
    """One spot order by client id."""
    params = {"symbol": step.market_id, "origClientOrderId": step.client_order_id}
    return Call(endpoint="privateGetOrder", params=params, charges=_weight(MarketKind.SPOT, 4))


def probe_call(market_id: str, kind: MarketKind) -> Call:
    """A cancel that cannot find its order."""
    params = {"symbol": market_id, "origClientOrderId": PROBE_ID}
    return Call(endpoint=f"{_PREFIX[kind]}DeleteOrder", params=params, charges=_weight(kind, 1))


def quote_call(market_ids: list[str]) -> Call:
    """Best bids and offers of some spot markets, or of all."""
    by_name = len(market_ids) <= QUOTES_BY_NAME
    names = json.dumps(market_ids, ensure_ascii=False, separators=(",", ":"))
    params = {"symbols": names} if by_name else {}
    return Call(endpoint="publicGetTickerBookTicker", params=params, charges=_weight(MarketKind.SPOT, 4))


def plain(value: Decimal) -> str:
    """The number's own digits, without an exponent."""
    return format(value, "f")


def _side(side: Side) -> str:
    return side.value.upper()


def _leg(side: PositionSide) -> str:
    return side.value.upper()
