"""Gate: the exact requests, as data.

Parameters by the pages of https://www.gate.com/docs/developers/apiv4/en (spot, futures, unified, account) and Gate's
own clients (github.com/gate/gateapi-python, docs/SpotApi.md and FuturesApi.md); limits by the section "Rate limits".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from node.domain.permission import Effect
from node.domain.snapshot import MarketKind, PositionSide
from node.domain.steps import CancelOrders, CancelSymbol, ClosePosition, SellSpot, SpotOrder, Step
from node.errors import VenueAnswerUnknown
from node.venues.call import Answer, Call
from node.venues.lane import Budget, Charge
from node.venues.layout import Slice, SliceReads
from node.venues.profiles.plain import plain
from node.venues.strict import row, rows

CLASSIC: Final = "classic"
UNIFIED: Final = "unified"

#: Coins that contracts settle in, by kind of market: each has lists of its own.
SETTLES: Final = {MarketKind.LINEAR: ("USDT", "USD1"), MarketKind.INVERSE: ("BTC",)}

#: Prefix that every id of ours must have.
TEXT_PREFIX: Final = "t-"
#: Rows of a page of every list that has pages.
PAGE: Final = 100
#: No more ids in one request, on spot and futures alike.
CANCEL_BATCH: Final = 20
#: Beyond this many markets all tickers are asked for.
QUOTES_BY_NAME: Final = 10

#: Trigger orders rest in three books of a futures account, whose ids overlap: the smaller two are named in the id.
TRAIL: Final = "trail"
CHASE: Final = "chase"

_PRIVATE: Final = (
    "spot:accounts",
    "spot:open_orders",
    "spot:orders",
    "spot:price_orders",
    "futures:accounts",
    "futures:positions",
    "futures:orders",
    "futures:price_orders",
    "futures:trail",
    "futures:chase",
)
#: Public requests are counted per address, all others per account (UID), each endpoint by itself.
BUDGETS: Final[Mapping[str, Budget]] = {
    **{
        name: Budget(units=200, interval_s=10.0)
        for name in ("public:time", "public:currency_pairs", "public:tickers", "public:contracts", *_PRIVATE)
    },
    "unified:accounts": Budget(units=150, interval_s=10.0),
    "account": Budget(units=150, interval_s=10.0),
    "spot:place": Budget(units=10, interval_s=1.0),
    "spot:cancel": Budget(units=200, interval_s=1.0),
    "futures:place": Budget(units=100, interval_s=1.0),
    "futures:cancel": Budget(units=200, interval_s=1.0),
}


def market_calls(kind: MarketKind, settles: Iterable[str]) -> tuple[Call, ...]:
    """Everything that is listed: without limit and offset both lists are whole."""
    if kind is MarketKind.SPOT:
        return (_public("publicSpotGetCurrencyPairs", "currency_pairs"),)
    return tuple(_public("publicFuturesGetSettleContracts", "contracts", settle=each.lower()) for each in settles)


def clock_call() -> Call:
    """There is one host."""
    return _public("publicSpotGetTime", "time")


def key_calls(*, sandbox: bool) -> tuple[Call, ...]:
    """The account's mode, the addresses that the key is bound to, and its rights."""
    detail = _read("privateAccountGetDetail", "account")
    if sandbox:
        return (detail,)
    return (
        _read("privateUnifiedGetUnifiedMode", "account"),
        detail,
        _read("privateAccountGetMainKeys", "account"),
    )


def reads(part: Slice, settles: Iterable[str], *, account: str, sandbox: bool) -> SliceReads:
    """What shows a slice, for every coin that its contracts settle in."""
    if part.kind is MarketKind.SPOT:
        return _spot_reads(account)
    coins = [settle.lower() for settle in settles]
    triggers = [_futures("PriceOrders", "price_orders", coin, status="open", limit=PAGE, offset=0) for coin in coins]
    if not sandbox:
        pages = {"is_finished": "false", "page_num": 1, "page_size": PAGE}
        triggers += [_futures("AutoorderV1TrailList", TRAIL, coin, **pages) for coin in coins]
        triggers += [_futures("AutoorderV1ChaseList", CHASE, coin, sort_by=1, **pages) for coin in coins]
    return SliceReads(
        triggers=tuple(triggers),
        orders=tuple(_futures("Orders", "orders", coin, status="open", limit=PAGE, offset=0) for coin in coins),
        positions=tuple(
            _futures("Positions", "positions", coin, holding="true", limit=PAGE, offset=0) for coin in coins
        ),
        balances=tuple(_futures("Accounts", "accounts", coin) for coin in coins),
    )


def _spot_reads(account: str) -> SliceReads:
    unified = account == UNIFIED
    # A list of triggers without an account is that of all of them; a unified account has to be named.
    named = {"account": UNIFIED} if unified else {}
    balances = (
        _read("privateUnifiedGetAccounts", "unified:accounts")
        if unified
        else _read("privateSpotGetAccounts", "spot:accounts")
    )
    return SliceReads(
        triggers=(
            _read("privateSpotGetPriceOrders", "spot:price_orders", status="open", limit=PAGE, offset=0, **named),
        ),
        orders=(
            _read("privateSpotGetOpenOrders", "spot:open_orders", page=1, limit=PAGE, account=_spot_account(account)),
        ),
        balances=(balances,),
    )


def more(call: Call, answer: Answer) -> Call | None:
    """The next page, wherever this one is full. Raises VenueAnswerUnknown."""
    params = dict(call.params) if isinstance(call.params, Mapping) else {}
    if "offset" in params:
        return _following(call, params, "offset", PAGE) if len(rows(answer, "page")) >= PAGE else None
    if "page_num" in params:
        return _following(call, params, "page_num", 1) if len(listed_autoorders(answer)) >= PAGE else None
    if call.endpoint == "privateSpotGetOpenOrders":  # pages are of each pair's orders
        full = any(len(rows(each.get("orders"), "orders")) >= PAGE for each in rows(answer, "open orders"))
        return _following(call, params, "page", 1) if full else None
    return None


def listed_autoorders(answer: Answer) -> list[Mapping[str, Any]]:
    """``{"code": 0, "data": {"orders": [...]}}``: trailing and chasing orders have an envelope of their own.

    Raises:
        VenueAnswerUnknown: it is something else, or does not say that it is a success.
    """
    envelope = row(answer, "auto orders")
    if str(envelope.get("code")) != "0":
        raise VenueAnswerUnknown(f"auto orders: code {str(envelope.get('code'))[:20]}")
    return list(rows(row(envelope.get("data"), "auto orders").get("orders"), "auto orders"))


def _following(call: Call, params: dict[str, Any], name: str, more_by: int) -> Call:
    following = {**params, name: params[name] + more_by}
    return Call(endpoint=call.endpoint, effect=call.effect, params=following, charges=call.charges)


def of_step(step: Step, kind: MarketKind, account: str) -> tuple[Call, ...]:
    """The requests that carry out *step*."""
    match step:
        case ClosePosition():
            return (_close(step),)
        case SellSpot():
            return (_sell(step, account),)
        case CancelSymbol():
            return tuple(_sweep(step, kind, account))
        case CancelOrders() if kind is MarketKind.SPOT:
            return tuple(_cancel_on_spot(step, account))
        case CancelOrders():
            return tuple(_cancel_contracts(step))
        case _:
            return ()


def _close(step: ClosePosition) -> Call:
    """Reduce-only with a signed size, in either position mode; a price of 0 means at market."""
    long = step.side is PositionSide.LONG
    size = -step.contracts if long else step.contracts
    params = {
        "settle": settle_of(step.market_id),
        "contract": step.market_id,
        # Whole contracts are numbers; contracts that can be split take text.
        "size": int(size) if size == size.to_integral_value() else plain(size),
        "price": "0" if step.limit_price is None else plain(step.limit_price),
        "tif": "ioc",
        "reduce_only": True,
        "text": TEXT_PREFIX + step.client_order_id,
    }
    return _act("privateFuturesPostSettleOrders", Effect.CLOSE, "futures:place", params)


def _sell(step: SellSpot, account: str) -> Call:
    params = {
        "currency_pair": step.market_id,
        "type": "limit",
        "account": _spot_account(account),
        "side": "sell",
        "amount": plain(step.quantity),
        "price": plain(step.limit_price),
        "time_in_force": "ioc",
        "text": TEXT_PREFIX + step.client_order_id,
    }
    return _act("privateSpotPostOrders", Effect.CLOSE, "spot:place", params)


def _sweep(step: CancelSymbol, kind: MarketKind, account: str) -> Iterable[Call]:
    if kind is MarketKind.SPOT:
        params = {("market" if step.trigger else "currency_pair"): step.market_id}
        if account == UNIFIED or not step.trigger:
            params["account"] = _spot_account(account)
        yield _cancel(f"privateSpotDelete{'PriceOrders' if step.trigger else 'Orders'}", "spot:cancel", params)
        return
    named = {"settle": settle_of(step.market_id), "contract": step.market_id}
    book = "PriceOrders" if step.trigger else "Orders"
    yield _cancel(f"privateFuturesDeleteSettle{book}", "futures:cancel", named)
    if step.trigger:
        yield _cancel("privateFuturesPostSettleAutoorderV1TrailStopAll", "futures:trail", named)
        yield _cancel("privateFuturesPostSettleAutoorderV1ChaseStopAll", "futures:chase", named)


def _cancel_on_spot(step: CancelOrders, account: str) -> Iterable[Call]:
    if step.trigger:
        for order_id in step.order_ids:
            yield _cancel("privateSpotDeletePriceOrdersOrderId", "spot:cancel", {"order_id": order_id})
        return
    pair, wallet = {"currency_pair": step.market_id}, _spot_account(account)
    if len(step.order_ids) == 1:
        params = {"order_id": step.order_ids[0], **pair, "account": wallet}
        yield _cancel("privateSpotDeleteOrdersOrderId", "spot:cancel", params)
        return
    named = {"account": wallet} if account == UNIFIED else {}
    for ids in _batches(step.order_ids):
        entries = [{**pair, "id": order_id, **named} for order_id in ids]
        yield _cancel("privateSpotPostCancelBatchOrders", "spot:cancel", entries)


def _cancel_contracts(step: CancelOrders) -> Iterable[Call]:
    settle = {"settle": settle_of(step.market_id)}
    if step.trigger:
        for order_id in step.order_ids:
            yield _cancel_trigger(order_id, settle)
    elif len(step.order_ids) == 1:
        params = {**settle, "order_id": step.order_ids[0]}
        yield _cancel("privateFuturesDeleteSettleOrdersOrderId", "futures:cancel", params)
    else:
        # ccxt takes the settle coin from the first element; the body is the ids.
        for ids in _batches(step.order_ids):
            yield _cancel("privateFuturesPostSettleBatchCancelOrders", "futures:cancel", [settle, *ids])


def _cancel_trigger(order_id: str, settle: Mapping[str, Any]) -> Call:
    book, _, number = order_id.rpartition(":")
    if book == TRAIL:
        params = {**settle, "id": int(number) if number.isdecimal() else number}
        return _cancel("privateFuturesPostSettleAutoorderV1TrailStop", "futures:trail", params)
    if book == CHASE:
        return _cancel("privateFuturesPostSettleAutoorderV1ChaseStop", "futures:chase", {**settle, "id": number})
    return _cancel("privateFuturesDeleteSettlePriceOrdersOrderId", "futures:cancel", {**settle, "order_id": order_id})


def order_call(step: SpotOrder, account: str) -> Call:
    """The newest orders of the market that are over: an order of ours is immediate, and one that is over cannot be
    asked for by its own text.
    """
    return _read(
        "privateSpotGetOrders",
        "spot:orders",
        currency_pair=step.market_id,
        status="finished",
        page=1,
        limit=PAGE,
        account=_spot_account(account),
    )


def quote_calls(market_ids: list[str] | None) -> tuple[Call, ...]:
    """Tickers of a few markets one by one; of many (or None) of all there are."""
    if market_ids is None or len(market_ids) > QUOTES_BY_NAME:
        return (_public("publicSpotGetTickers", "tickers"),)
    return tuple(_public("publicSpotGetTickers", "tickers", currency_pair=market_id) for market_id in market_ids)


def settle_of(market_id: str) -> str:
    """The coin that a contract settles in, as paths name it: its quote, or for BTC_USD its base."""
    quote = market_id.rpartition("_")[2]
    return "btc" if quote == "USD" else quote.lower()


def _spot_account(account: str) -> str:
    return UNIFIED if account == UNIFIED else "spot"


def _batches(ids: tuple[str, ...]) -> Iterable[tuple[str, ...]]:
    for start in range(0, len(ids), CANCEL_BATCH):
        yield ids[start : start + CANCEL_BATCH]


def _public(endpoint: str, bucket: str, **params: str) -> Call:
    return Call(endpoint=endpoint, effect=Effect.READ, params=params, charges=(Charge(bucket=f"public:{bucket}"),))


def _read(endpoint: str, bucket: str, **params: Any) -> Call:  # noqa: ANN401 - text and numbers
    charges = (Charge(bucket=bucket, per_key=True),)
    return Call(endpoint=endpoint, effect=Effect.READ, params=params, charges=charges)


def _futures(name: str, bucket: str, settle: str, **params: Any) -> Call:  # noqa: ANN401 - text and numbers
    return _read(f"privateFuturesGetSettle{name}", f"futures:{bucket}", settle=settle, **params)


def _cancel(endpoint: str, bucket: str, params: Mapping[str, Any] | list[Any]) -> Call:
    return _act(endpoint, Effect.CANCEL, bucket, params)


def _act(endpoint: str, effect: Effect, bucket: str, params: Mapping[str, Any] | list[Any]) -> Call:
    return Call(endpoint=endpoint, effect=effect, params=params, charges=(Charge(bucket=bucket, per_key=True),))
