"""Binance cross margin: its requests. It trades on the spot markets, from a wallet that can owe.

Parameters and weights: https://developers.binance.com/docs/margin_trading. No order borrows: that is said in each, so
that no default of the account's can say otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from node.domain.permission import Effect
from node.domain.steps import BuyToRepay, CancelOrders, CancelSymbol, RepayDebt, SellSpot, SpotOrder, Step
from node.venues.call import Call
from node.venues.lane import Charge
from node.venues.layout import SliceReads
from node.venues.profiles.binance.params import identity, pricing
from node.venues.profiles.plain import plain

_CROSS: Final = {"isIsolated": "FALSE"}
#: Pages differ on what a repayment weighs (1500, 3000): the more cautious one.
_REPAYMENT_WEIGHT: Final = 3000


def _by_address(units: int) -> tuple[Charge, ...]:
    return (Charge(bucket="sapi", units=units),)


def _by_account(units: int) -> tuple[Charge, ...]:
    return (Charge(bucket="sapi:uid", units=units, per_key=True),)


#: Stops rest in the same book as limit orders.
READS: Final = SliceReads(
    orders=(Call(endpoint="sapiGetMarginOpenOrders", effect=Effect.READ, params=_CROSS, charges=_by_address(10)),),
    balances=(Call(endpoint="sapiGetMarginAccount", effect=Effect.READ, charges=_by_address(10)),),
)


def of_step(step: Step) -> tuple[Call, ...]:
    """The requests that carry out *step*."""
    match step:
        case SellSpot() | BuyToRepay():
            return (_order(step),)
        case RepayDebt():
            return (_repay(step),)
        case CancelSymbol():
            return (_sweep(step),)
        case CancelOrders():
            return tuple(_cancels(step))
        case _:
            return ()


def order_call(step: SpotOrder) -> Call:
    """One order by client id."""
    params = {"symbol": step.market_id, **_CROSS, "origClientOrderId": step.client_order_id}
    return Call(endpoint="sapiGetMarginOrder", effect=Effect.READ, params=params, charges=_by_address(10))


def cancel_call(**params: str) -> Call:
    """One order's cancellation."""
    return Call(endpoint="sapiDeleteMarginOrder", effect=Effect.CANCEL, params=params | _CROSS, charges=_by_address(10))


def _order(step: SpotOrder) -> Call:
    params = {
        "symbol": step.market_id,
        **_CROSS,
        "side": "SELL" if isinstance(step, SellSpot) else "BUY",
        "quantity": plain(step.quantity),
        **pricing(step.limit_price),
        "sideEffectType": "NO_SIDE_EFFECT",
        **identity(step.client_order_id),
    }
    return Call(endpoint="sapiPostMarginOrder", effect=Effect.CLOSE, params=params, charges=_by_account(6))


def _repay(step: RepayDebt) -> Call:
    params = {"asset": step.asset, **_CROSS, "amount": plain(step.amount), "type": "REPAY"}
    charges = _by_account(_REPAYMENT_WEIGHT)
    return Call(endpoint="sapiPostMarginBorrowRepay", effect=Effect.CLOSE, params=params, charges=charges)


def _sweep(step: CancelSymbol) -> Call:
    params = {"symbol": step.market_id, **_CROSS}
    return Call(endpoint="sapiDeleteMarginOpenOrders", effect=Effect.CANCEL, params=params, charges=_by_address(1))


def _cancels(step: CancelOrders) -> Iterable[Call]:
    return (cancel_call(symbol=step.market_id, orderId=order_id) for order_id in step.order_ids)
