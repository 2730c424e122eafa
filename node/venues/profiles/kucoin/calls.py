"""KuCoin: the exact requests of a classic account, as data.

Parameters and weights by https://www.kucoin.com/docs-new (spot-trading, futures-trading, account-info) and KuCoin's own
description of its interface (github.com/Kucoin/kucoin-universal-sdk, spec/rest); names of endpoints by ccxt 4.5.90.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from node.domain.permission import Effect
from node.domain.snapshot import MarketKind
from node.domain.steps import CancelOrders, CancelSymbol, ClosePosition, SellSpot, SpotOrder, Step
from node.errors import VenueAnswerUnknown
from node.venues.call import Answer, Call
from node.venues.lane import Budget, Charge
from node.venues.layout import Slice, SliceReads
from node.venues.profiles.plain import plain
from node.venues.strict import Row, decimal, row, rows

#: Coins that linear contracts settle in, and inverse ones, as KuCoin calls them: each has a wallet of its own.
LINEAR_COINS: Final = ("USDT", "USDC")
INVERSE_COINS: Final = ("XBT", "ETH")

#: Weights in thirty seconds at the lowest level: of an account (UID) in each pool; of an address in the public one.
BUDGETS: Final[Mapping[str, Budget]] = {
    "public": Budget(units=2000, interval_s=30.0),
    "spot": Budget(units=4000, interval_s=30.0),
    "futures": Budget(units=2000, interval_s=30.0),
    "management": Budget(units=2000, interval_s=30.0),
}

#: The largest pages that there are.
SPOT_PAGE: Final = 500
FUTURES_PAGE: Final = 1000
#: So many ids in one request of futures.
CANCEL_BATCH: Final = 20
#: Beyond this many markets all tickers are asked for.
QUOTES_BY_NAME: Final = 10
#: Two orders that cancel each other rest in a book of their own: named in the id.
OCO: Final = "oco"
#: Ids of orders that cannot exist: orders of futures have numbers, those of spot hexadecimal ones.
PROBE_FUTURES: Final = "100000000000000001"
PROBE_SPOT: Final = "000000000000000000000001"

_SYMBOLS: Final = "privateGetHfOrdersActiveSymbols"
_ACTIVE: Final = "privateGetHfOrdersActive"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Each(Call):
    """One of several lists, a market each; there is none of all markets."""

    #: Markets that are still to be asked for.
    rest: tuple[str, ...] = ()


def market_call(kind: MarketKind) -> Call:
    """Everything that is listed; contracts of both kinds are in one list."""
    if kind is MarketKind.SPOT:
        return _public("publicGetSymbols", 4)
    return _public("futuresPublicGetContractsActive", 3)


def clock_call(*, futures: bool) -> Call:
    """The host's time."""
    return _public("futuresPublicGetTimestamp", 2) if futures else _public("publicGetTimestamp", 3)


def key_calls(*, spot: bool) -> tuple[Call, ...]:
    """The account's mode, the key's rights, and whether spot is traded through the endpoints that are used."""
    found = [_read("utaPrivateGetAccountMode", "management", 30), _read("privateGetUserApiKey", "management", 20)]
    return (*found, *([_read("privateGetHfAccountsOpened", "management", 30)] if spot else []))


def reads(part: Slice) -> SliceReads:
    """What shows a slice. Lists of contracts are of both kinds; wallets are one a settle coin."""
    if part.kind is MarketKind.SPOT:
        return SliceReads(
            triggers=(
                _read("privateGetStopOrder", "spot", 8, tradeType="TRADE", currentPage=1, pageSize=SPOT_PAGE),
                _read("privateGetOcoOrders", "spot", 2, currentPage=1, pageSize=SPOT_PAGE),
            ),
            orders=(_read(_SYMBOLS, "spot", 2),),
            # All: the wallet that is traded from is called "trade" or "trade_hf", by the age of the account.
            balances=(_read("privateGetAccounts", "management", 5),),
        )
    coins = LINEAR_COINS if part.kind is MarketKind.LINEAR else INVERSE_COINS
    return SliceReads(
        triggers=(_read("futuresPrivateGetStopOrders", "futures", 6, currentPage=1, pageSize=FUTURES_PAGE),),
        orders=(_read("futuresPrivateGetOrders", "futures", 2, status="active", currentPage=1, pageSize=FUTURES_PAGE),),
        positions=(_read("futuresPrivateGetPositions", "futures", 2),),
        balances=tuple(
            _read("futuresPrivateGetAccountOverview", "futures", 5, currency=coin) for coin in coins if part.holds(coin)
        ),
    )


def more(call: Call, answer: Answer) -> Call | None:
    """The next page, or the orders of the next market. Raises VenueAnswerUnknown."""
    params = dict(call.params) if isinstance(call.params, Mapping) else {}
    if "currentPage" in params:
        page = row(data(answer), "page")
        full = len(rows(page.get("items"), "page")) >= params["pageSize"]
        if not full and decimal(page, "totalPage") <= params["currentPage"]:
            return None
        following = {**params, "currentPage": params["currentPage"] + 1}
        return Call(endpoint=call.endpoint, effect=call.effect, params=following, charges=call.charges)
    if call.endpoint == _SYMBOLS:
        return _orders_of(symbols_with_orders(answer))
    return _orders_of(call.rest) if isinstance(call, _Each) else None


def _orders_of(market_ids: tuple[str, ...]) -> Call | None:
    if not market_ids:
        return None
    return _Each(
        endpoint=_ACTIVE,
        effect=Effect.READ,
        params={"symbol": market_ids[0]},
        charges=(Charge(bucket="spot", units=2, per_key=True),),
        rest=market_ids[1:],
    )


def symbols_with_orders(answer: Answer) -> tuple[str, ...]:
    """``{"symbols": ["BTC-USDT"]}``; with none of them, nothing in their place.

    Raises:
        VenueAnswerUnknown: it is something else.
    """
    found = row(data(answer), "symbols")
    listed = found.get("symbols", "")
    listed = [] if listed is None else listed
    if not isinstance(listed, list) or not all(isinstance(each, str) and each for each in listed):
        raise VenueAnswerUnknown("the markets with orders are no list of names")
    return tuple(dict.fromkeys(listed))


def data(answer: Answer) -> Any:  # noqa: ANN401 - decoded JSON
    """What an answer carries, if it says that it is a success.

    Raises:
        VenueAnswerUnknown: it does not.
    """
    envelope: Row = row(answer, "answer")
    if str(envelope.get("code")) != "200000" or "data" not in envelope:
        raise VenueAnswerUnknown(f"code {str(envelope.get('code'))[:20]}")
    return envelope["data"]


def of_step(step: Step, kind: MarketKind) -> tuple[Call, ...]:
    """The requests that carry out *step*."""
    match step:
        case ClosePosition():
            return (_close(step),)
        case SellSpot():
            return (_sell(step),)
        case CancelSymbol():
            return tuple(_sweep(step, kind))
        case CancelOrders() if kind is MarketKind.SPOT:
            return tuple(_cancel_on_spot(step, order_id) for order_id in step.order_ids)
        case CancelOrders():
            return tuple(_cancel_contracts(step))
        case _:
            return ()


def _close(step: ClosePosition) -> Call:
    """Reduce-only, in the position's own margin mode; in hedge mode the leg is named besides.

    The leverage is of no use to an order that only reduces; the venue lists it as required, and ccxt always sends 1.
    """
    whole = step.contracts == step.contracts.to_integral_value()
    priced: dict[str, Any] = {"type": "market"}
    if step.limit_price is not None:
        priced = {"type": "limit", "price": plain(step.limit_price), "timeInForce": "IOC"}
    params = {
        "clientOid": step.client_order_id,
        "symbol": step.market_id,
        "side": step.side.closing_side.value,
        **priced,
        "size": int(step.contracts) if whole else plain(step.contracts),
        "leverage": 1,
        "marginMode": "ISOLATED" if step.isolated else "CROSS",
        "reduceOnly": True,
        **({"positionSide": step.side.value.upper()} if step.hedged else {}),
    }
    return _act("futuresPrivatePostOrders", Effect.CLOSE, "futures", 2, params)


def _sell(step: SellSpot) -> Call:
    """The answer comes after matching, and says what was executed."""
    params = {
        "clientOid": step.client_order_id,
        "symbol": step.market_id,
        "side": "sell",
        "type": "limit",
        "size": plain(step.quantity),
        "price": plain(step.limit_price),
        "timeInForce": "IOC",
    }
    return _act("privatePostHfOrdersSync", Effect.CLOSE, "spot", 1, params)


def _sweep(step: CancelSymbol, kind: MarketKind) -> Iterable[Call]:
    named = {"symbol": step.market_id}
    if kind is not MarketKind.SPOT:
        if step.trigger:
            yield _act("futuresPrivateDeleteStopOrders", Effect.CANCEL, "futures", 15, named)
        else:
            # The third version takes orders of either margin mode. ccxt takes it from this parameter.
            params = {**named, "version": "v3"}
            yield _act("futuresPrivateDeleteOrders", Effect.CANCEL, "futures", 10, params)
        return
    if not step.trigger:
        yield _act("privateDeleteHfOrders", Effect.CANCEL, "spot", 2, named)
        return
    yield _act("privateDeleteStopOrderCancel", Effect.CANCEL, "spot", 3, {**named, "tradeType": "TRADE"})
    yield _act("privateDeleteOcoOrders", Effect.CANCEL, "spot", 3, named)


def _cancel_on_spot(step: CancelOrders, order_id: str) -> Call:
    book, _, number = order_id.rpartition(":")
    if step.trigger and book == OCO:
        return _act("privateDeleteOcoOrderOrderId", Effect.CANCEL, "spot", 3, {"orderId": number})
    if step.trigger:
        return _act("privateDeleteStopOrderOrderId", Effect.CANCEL, "spot", 3, {"orderId": order_id})
    params = {"orderId": order_id, "symbol": step.market_id}
    return _act("privateDeleteHfOrdersSyncOrderId", Effect.CANCEL, "spot", 1, params)


def _cancel_contracts(step: CancelOrders) -> Iterable[Call]:
    """By id, whatever book an order rests in; several of the order book in one request."""
    if step.trigger or len(step.order_ids) == 1:
        for order_id in step.order_ids:
            yield _act("futuresPrivateDeleteOrdersOrderId", Effect.CANCEL, "futures", 1, {"orderId": order_id})
        return
    for start in range(0, len(step.order_ids), CANCEL_BATCH):
        ids = list(step.order_ids[start : start + CANCEL_BATCH])
        yield _act("futuresPrivateDeleteOrdersMultiCancel", Effect.CANCEL, "futures", 20, {"orderIdsList": ids})


def order_call(step: SpotOrder) -> Call:
    """One order by client id."""
    params = {"clientOid": step.client_order_id, "symbol": step.market_id}
    return _read("privateGetHfOrdersClientOrderClientOid", "spot", 2, **params)


def quote_calls(market_ids: list[str] | None) -> tuple[Call, ...]:
    """Best prices of a few markets one by one; of many (or None) of all there are."""
    if market_ids is None or len(market_ids) > QUOTES_BY_NAME:
        return (_public("publicGetMarketAllTickers", 15),)
    return tuple(_public("publicGetMarketOrderbookLevel1", 2, symbol=market_id) for market_id in market_ids)


def _public(endpoint: str, units: int, **params: str) -> Call:
    charges = (Charge(bucket="public", units=units),)
    return Call(endpoint=endpoint, effect=Effect.READ, params=params, charges=charges)


def _read(endpoint: str, pool: str, units: int, **params: Any) -> Call:  # noqa: ANN401 - text and numbers
    return _act(endpoint, Effect.READ, pool, units, params)


def _act(endpoint: str, effect: Effect, pool: str, units: int, params: Mapping[str, Any]) -> Call:
    charges = (Charge(bucket=pool, units=units, per_key=True),)
    return Call(endpoint=endpoint, effect=effect, params=params, charges=charges)


def ticket_call(*, futures: bool) -> Call:
    """Admits to a stream."""
    endpoint = "futuresPrivatePostBulletPrivate" if futures else "privatePostBulletPrivate"
    return _act(endpoint, Effect.READ, "futures" if futures else "spot", 10, {})
