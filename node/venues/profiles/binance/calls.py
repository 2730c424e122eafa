"""Binance: the exact requests, as data. Weights and parameters by the endpoints' own pages.

https://developers.binance.com/docs/binance-spot-api-docs/rest-api,
https://developers.binance.com/docs/derivatives/usds-margined-futures and .../coin-margined-futures.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Final

from node.domain.permission import Effect
from node.domain.snapshot import MarketKind, PositionSide, Side
from node.domain.steps import CancelOrders, CancelSymbol, ClosePosition, SellSpot, SpotOrder, Step
from node.venues.call import Call
from node.venues.lane import Budget, Charge
from node.venues.layout import Slice, SliceReads
from node.venues.profiles.binance import margin
from node.venues.profiles.binance.params import identity, pricing
from node.venues.profiles.plain import plain

#: REQUEST_WEIGHT per address and minute; orders per key. exchangeInfo's rateLimits, the stricter where pages differ.
BUDGETS: Final = {
    "spot": Budget(units=6000),
    "fapi": Budget(units=2400),
    "dapi": Budget(units=2400),
    "sapi": Budget(units=12000),
    # Per account (UID) rather than per address; of one key, as far as we can know.
    "sapi:uid": Budget(units=180_000),
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
#: POST batchOrders takes no more orders.
CLOSE_BATCH: Final = 5
#: Beyond this many names the whole list is asked for: it costs the same, and addresses stay short.
QUOTES_BY_NAME: Final = 100
#: Never given to an order: ours are eighteen letters and digits.
PROBE_ID: Final = "sovereign-node-probe"


def _weight(kind: MarketKind, units: int) -> tuple[Charge, ...]:
    return (Charge(bucket=_BUCKET[kind], units=units),)


def market_call(kind: MarketKind) -> Call:
    """Everything that is listed; on spot without the permission sets, which are most of the answer."""
    if kind is MarketKind.SPOT:
        return Call(
            endpoint="publicGetExchangeInfo",
            effect=Effect.READ,
            params={"showPermissionSets": "false"},
            charges=_weight(kind, 20),
        )
    return Call(endpoint=f"{_PUBLIC[kind]}GetExchangeInfo", effect=Effect.READ, charges=_weight(kind, 1))


def clock_call(kind: MarketKind) -> Call:
    """The host's time: as cheap as a ping, and tells more."""
    return Call(endpoint=f"{_PUBLIC[kind]}GetTime", effect=Effect.READ, charges=_weight(kind, 1))


def rights_call() -> Call:
    """What the key may do."""
    return Call(endpoint="sapiGetAccountApiRestrictions", effect=Effect.READ, charges=(Charge(bucket="sapi"),))


def reads(part: Slice) -> SliceReads:
    """What shows a slice. Conditional orders of both futures venues rest in the algo book; spot's do not.

    The wallet of a futures venue is read from its account: beside the balances that shows the margin in use.
    """
    kind, prefix = part.kind, _PREFIX[part.market_kind]
    if kind is MarketKind.MARGIN:
        return margin.READS
    if kind is MarketKind.SPOT:
        return SliceReads(
            orders=(_read("privateGetOpenOrders", kind, 80),),
            balances=(_read("privateGetAccount", kind, 20, omitZeroBalances="true"),),
        )
    linear = kind is MarketKind.LINEAR
    return SliceReads(
        triggers=(_read(f"{prefix}GetOpenAlgoOrders", kind, 40),),
        orders=(_read(f"{prefix}GetOpenOrders", kind, 40),),
        positions=(
            _read("fapiPrivateV3GetPositionRisk", kind, 5) if linear else _read("dapiPrivateGetPositionRisk", kind, 1),
        ),
        balances=(_read("fapiPrivateV3GetAccount" if linear else "dapiPrivateGetAccount", kind, 5),),
    )


def _read(endpoint: str, kind: MarketKind, units: int, **params: str) -> Call:
    return Call(endpoint=endpoint, effect=Effect.READ, params=params, charges=_weight(kind, units))


def of_step(step: Step, kind: MarketKind) -> tuple[Call, ...]:
    """The requests that carry out *step*; none for what has requests of its own kind (conversions)."""
    if kind is MarketKind.MARGIN:
        return margin.of_step(step)
    match step:
        case ClosePosition():
            return (_close(step, kind),)
        case SellSpot():
            return (_sell(step),)
        case CancelSymbol():
            return (_cancel_symbol(step, kind),)
        case CancelOrders():
            return tuple(_cancel_orders(step, kind))
        case _:
            return ()


def close_batch(steps: Sequence[ClosePosition], kind: MarketKind) -> Call:
    """Several closes with one request, each as it would be alone. It weighs five, and counts as so many orders."""
    orders = Charge(bucket=f"{_BUCKET[kind]}:orders", units=len(steps), per_key=True)
    return Call(
        endpoint=f"{_PREFIX[kind]}PostBatchOrders",
        effect=Effect.CLOSE,
        params={"batchOrders": [_closing(step) for step in steps]},
        charges=(*_weight(kind, 5), orders),
    )


def _close(step: ClosePosition, kind: MarketKind) -> Call:
    orders = Charge(bucket=f"{_BUCKET[kind]}:orders", per_key=True)
    # Orders weigh nothing on USD-M and one on COIN-M.
    weight = () if kind is MarketKind.LINEAR else _weight(kind, 1)
    return Call(
        endpoint=f"{_PREFIX[kind]}PostOrder", effect=Effect.CLOSE, params=_closing(step), charges=(*weight, orders)
    )


def _closing(step: ClosePosition) -> dict[str, str]:
    return {
        "symbol": step.market_id,
        "side": _side(step.side.closing_side),
        "quantity": plain(step.contracts),
        **pricing(step.limit_price),
        # In hedge mode the leg bounds the order, and reduceOnly is refused.
        **({"positionSide": _leg(step.side)} if step.hedged else {"reduceOnly": "true"}),
        **identity(step.client_order_id),
    }


def _sell(step: SellSpot) -> Call:
    params = {
        "symbol": step.market_id,
        "side": "SELL",
        "quantity": plain(step.quantity),
        **pricing(step.limit_price),
        **identity(step.client_order_id),
    }
    orders = Charge(bucket="spot:orders", per_key=True)
    charges = (*_weight(MarketKind.SPOT, 1), orders)
    return Call(endpoint="privatePostOrder", effect=Effect.CLOSE, params=params, charges=charges)


def _cancel_symbol(step: CancelSymbol, kind: MarketKind) -> Call:
    name = "OpenOrders" if kind is MarketKind.SPOT else "AlgoOpenOrders" if step.trigger else "AllOpenOrders"
    return _cancel(f"{_PREFIX[kind]}Delete{name}", kind, symbol=step.market_id)


def _cancel_orders(step: CancelOrders, kind: MarketKind) -> Iterable[Call]:
    prefix = _PREFIX[kind]
    if step.trigger or kind is MarketKind.SPOT or len(step.order_ids) == 1:
        book, name = ("AlgoOrder", "algoId") if step.trigger else ("Order", "orderId")
        for order_id in step.order_ids:
            yield _cancel(f"{prefix}Delete{book}", kind, symbol=step.market_id, **{name: order_id})
        return
    for start in range(0, len(step.order_ids), CANCEL_BATCH):
        ids = step.order_ids[start : start + CANCEL_BATCH]
        # ccxt sends this endpoint's parameters unescaped.
        yield _cancel(f"{prefix}DeleteBatchOrders", kind, symbol=step.market_id, orderIdList=f"[{','.join(ids)}]")


def _cancel(endpoint: str, kind: MarketKind, **params: str) -> Call:
    return Call(endpoint=endpoint, effect=Effect.CANCEL, params=params, charges=_weight(kind, 1))


def order_call(step: SpotOrder, kind: MarketKind) -> Call:
    """One order by client id."""
    if kind is MarketKind.MARGIN:
        return margin.order_call(step)
    return _read("privateGetOrder", MarketKind.SPOT, 4, symbol=step.market_id, origClientOrderId=step.client_order_id)


def probe_call(market_id: str, kind: MarketKind) -> Call:
    """A cancel that cannot find its order."""
    if kind is MarketKind.MARGIN:
        return margin.cancel_call(symbol=market_id, origClientOrderId=PROBE_ID)
    return _cancel(f"{_PREFIX[kind]}DeleteOrder", kind, symbol=market_id, origClientOrderId=PROBE_ID)


def quote_call(market_ids: list[str] | None) -> Call:
    """Best bids and offers of some spot markets, or (None, or too many) of all."""
    params = {}
    if market_ids is not None and len(market_ids) <= QUOTES_BY_NAME:
        params = {"symbols": json.dumps(market_ids, ensure_ascii=False, separators=(",", ":"))}
    return _read("publicGetTickerBookTicker", MarketKind.SPOT, 4, **params)


def _side(side: Side) -> str:
    return side.value.upper()


def _leg(side: PositionSide) -> str:
    return side.value.upper()
