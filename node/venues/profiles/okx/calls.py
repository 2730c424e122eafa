"""OKX: the exact requests, as data. Parameters and limits by the endpoints' own pages.

https://www.okx.com/docs-v5/en/#order-book-trading-trade, .../#order-book-trading-algo-trading,
.../#trading-account-rest-api and .../#public-data-rest-api.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Final

from node.domain.permission import Effect
from node.domain.snapshot import MarketKind
from node.domain.steps import BuyToRepay, CancelOrders, ClosePosition, SellSpot, SpotOrder, Step
from node.venues.call import Call
from node.venues.lane import Budget, Charge
from node.venues.layout import Slice, SliceReads
from node.venues.profiles.okx.words import (
    ALGO_TYPES,
    CAN_OWE,
    CONTRACT_TYPES,
    FUTURES,
    PORTFOLIO,
    SPOT_ALGO_TYPES,
    SPOT_TYPES,
)
from node.venues.profiles.plain import plain

#: What each page allows in two seconds: public requests by address, private ones by user. Orders and cancels are
#: counted by instrument besides; of the buckets here they take the user's whole (orders: 1000), or one instrument's.
BUDGETS: Final = {
    name: Budget(units=units, interval_s=2.0)
    for name, units in {
        "time": 10,
        "instruments": 20,
        "tickers": 20,
        "config": 5,
        "balance": 10,
        "positions": 10,
        "risk": 10,
        "pending": 60,
        "algos": 20,
        "order": 60,
        "orders": 1000,
        "closes": 20,
        "cancels": 300,
        "algo-cancels": 20,
    }.items()
}
_PUBLIC: Final = frozenset({"time", "instruments", "tickers"})

#: POST cancel-batch-orders and POST cancel-algos take no more.
CANCEL_BATCH: Final = 20
ALGO_CANCEL_BATCH: Final = 10
#: Rows a page of pending orders and algo orders; the most that can be asked for.
PAGE: Final = 100
#: Beyond this many names the whole list is asked for.
QUOTES_BY_NAME: Final = 5
#: Never given to an order: ours begin with "s" and have no zero.
PROBE_ID: Final = "0sovereignnodeprobe0"

#: What pages are continued by, by endpoint.
PAGED: Final = {"privateGetTradeOrdersPending": "ordId", "privateGetTradeOrdersAlgoPending": "algoId"}


def _charges(bucket: str, units: int = 1) -> tuple[Charge, ...]:
    return (Charge(bucket=bucket, units=units, per_key=bucket not in _PUBLIC),)


def _read(endpoint: str, bucket: str, **params: str) -> Call:
    return Call(endpoint=endpoint, effect=Effect.READ, params=params, charges=_charges(bucket))


def market_calls(kind: MarketKind) -> tuple[Call, ...]:
    """Everything that is listed: contracts of both kinds are in both lists."""
    types = CONTRACT_TYPES if kind is not MarketKind.SPOT else ("SPOT",)
    return tuple(_read("publicGetPublicInstruments", "instruments", instType=name) for name in types)


def clock_call() -> Call:
    """The venue's time."""
    return _read("publicGetPublicTime", "time")


def config_call() -> Call:
    """Kind of account, position mode, and what the key may do."""
    return _read("privateGetAccountConfig", "config")


def reads(part: Slice, account: str | None) -> SliceReads:
    """What shows a slice. All algo orders of a kind come in one list, whatever they are of.

    Contracts and spot live in one wallet, which spot reports. What bears the positions of contracts out is a second
    list of them, a snapshot of account and positions together.
    """
    if part.derivative:
        return SliceReads(
            triggers=_algos(ALGO_TYPES),
            orders=_pending(CONTRACT_TYPES),
            positions=(_read("privateGetAccountPositions", "positions"),),
            balances=(_read("privateGetAccountAccountPositionRisk", "risk"),),
        )
    # Only in futures mode are there positions on spot pairs, with margin.
    margin = (_read("privateGetAccountPositions", "positions", instType="MARGIN"),) if account == FUTURES else ()
    return SliceReads(
        triggers=_algos(SPOT_ALGO_TYPES),
        orders=_pending(SPOT_TYPES),
        positions=margin,
        balances=(_read("privateGetAccountBalance", "balance"),),
    )


def _algos(types: Iterable[str]) -> tuple[Call, ...]:
    endpoint = "privateGetTradeOrdersAlgoPending"
    return tuple(_read(endpoint, "algos", ordType=name, limit=str(PAGE)) for name in types)


def _pending(types: Iterable[str]) -> tuple[Call, ...]:
    endpoint = "privateGetTradeOrdersPending"
    return tuple(_read(endpoint, "pending", instType=name, limit=str(PAGE)) for name in types)


def of_step(step: Step, account: str | None) -> tuple[Call, ...]:
    """The requests that carry out *step*; none for what the venue has no request for."""
    match step:
        case ClosePosition():
            return (_close_all(step) if account == PORTFOLIO else _close(step),)
        case SellSpot() | BuyToRepay():
            return (_spot_order(step, account),)
        case CancelOrders():
            return tuple(_cancels(step))
        case _:
            return ()


def _close(step: ClosePosition) -> Call:
    """An order that the venue bounds by the position: reduceOnly in net mode, and in long/short mode every order on
    the closing side of a leg (where reduceOnly says nothing).
    """
    params = {
        "instId": step.market_id,
        "tdMode": _margin_mode(step),
        "side": step.side.closing_side.value,
        **({"posSide": step.side.value} if step.hedged else {"reduceOnly": True}),
        "sz": plain(step.contracts),
        **({"ordType": "market"} if step.limit_price is None else {"ordType": "ioc", "px": plain(step.limit_price)}),
        "clOrdId": step.client_order_id,
    }
    return Call(endpoint="privatePostTradeOrder", effect=Effect.CLOSE, params=params, charges=_charges("orders"))


def _close_all(step: ClosePosition) -> Call:
    """Portfolio margin knows no reduceOnly: what the venue bounds there is its own close, of the whole leg, at market,
    within its price limits. It is refused while closing orders rest, unless it may cancel them.
    """
    params = {
        "instId": step.market_id,
        "mgnMode": _margin_mode(step),
        **({"posSide": step.side.value} if step.hedged else {}),
        "autoCxl": True,
        "clOrdId": step.client_order_id,
    }
    charges = _charges("closes")
    return Call(endpoint="privatePostTradeClosePosition", effect=Effect.CLOSE, params=params, charges=charges)


def _margin_mode(step: ClosePosition) -> str:
    return "isolated" if step.isolated else "cross"


def _spot_order(step: SpotOrder, account: str | None) -> Call:
    params = {
        "instId": step.market_id,
        "tdMode": "cross" if account in CAN_OWE else "cash",
        "side": "sell" if isinstance(step, SellSpot) else "buy",
        "sz": plain(step.quantity),
        "ordType": "ioc",
        "px": plain(step.limit_price),
        "clOrdId": step.client_order_id,
    }
    return Call(endpoint="privatePostTradeOrder", effect=Effect.CLOSE, params=params, charges=_charges("orders"))


def _cancels(step: CancelOrders) -> Iterable[Call]:
    """In batches; a batch of one is counted as a single cancel."""
    name, size = ("algoId", ALGO_CANCEL_BATCH) if step.trigger else ("ordId", CANCEL_BATCH)
    for start in range(0, len(step.order_ids), size):
        ids = step.order_ids[start : start + size]
        call = _cancel([{"instId": step.market_id, name: order_id} for order_id in ids], trigger=step.trigger)
        yield replace(call, order_ids=ids)


def _cancel(entries: list[dict[str, str]], *, trigger: bool) -> Call:
    endpoint, bucket = (
        ("privatePostTradeCancelAlgos", "algo-cancels") if trigger else ("privatePostTradeCancelBatchOrders", "cancels")
    )
    return Call(endpoint=endpoint, effect=Effect.CANCEL, params=entries, charges=_charges(bucket, len(entries)))


def probe_call(market_id: str) -> Call:
    """A cancel that cannot find its order."""
    return _cancel([{"instId": market_id, "clOrdId": PROBE_ID}], trigger=False)


def order_call(step: SpotOrder) -> Call:
    """One order by client id."""
    return _read("privateGetTradeOrder", "order", instId=step.market_id, clOrdId=step.client_order_id)


def quote_calls(market_ids: Collection[str] | None) -> tuple[Call, ...]:
    """Best bids and offers of some spot markets, or (None, or many) of all."""
    if market_ids is None or len(market_ids) > QUOTES_BY_NAME:
        return (_read("publicGetMarketTickers", "tickers", instType="SPOT"),)
    return tuple(_read("publicGetMarketTicker", "tickers", instId=name) for name in sorted(market_ids))
