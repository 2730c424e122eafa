"""Nothing beyond an account's permission level reaches a socket, whoever asks for it and however."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest

from node.domain.permission import Effect, Permission
from node.domain.steps import (
    BuyToRepay,
    CancelOrders,
    CancelSymbol,
    ConvertAsset,
    Outcome,
    Refusal,
    RepayDebt,
    Step,
)
from node.errors import VenueDenied
from node.venues import wire
from node.venues.call import Call
from node.venues.gate import NotPermitted, read_request
from node.venues.profiles.binance.effects import effect_of
from node.venues.wire import Wire
from tests.support.venue import (
    RecordedFetch,
    cancel_orders,
    cancel_symbol,
    close_position,
    recorded_venue,
    sell_spot,
)
from tests.support.venue_sim import bench, closes

ALL = ("spot", "linear", "inverse", "margin")
LEVELS = list(Permission)

BUY = BuyToRepay(
    slice="margin",
    symbol="BTC/USDT",
    market_id="BTCUSDT",
    asset="BTC",
    quantity=Decimal("0.1"),
    limit_price=Decimal(70000),
    client_order_id="sabcdefgh234567abc",
)
CANCELS: tuple[Step, ...] = (
    cancel_orders("1"),
    cancel_orders("1", "2"),
    cancel_orders("1", trigger=True),
    cancel_orders("1", slice_name="margin"),
    cancel_symbol(),
    cancel_symbol("inverse", trigger=True),
    cancel_symbol("spot"),
    cancel_symbol("margin"),
)
CLOSES: tuple[Step, ...] = (
    close_position(),
    close_position(hedged=True),
    close_position(slice="inverse", market_id="BTCUSD_PERP"),
    sell_spot(),
    sell_spot(slice="margin"),
    BUY,
    RepayDebt(slice="margin", asset="BTC", amount=Decimal("0.1")),
    ConvertAsset(slice="spot", asset="BTC", into="USDT", quantity=Decimal("0.00001"), least_received=Decimal("0.5")),
)


@pytest.mark.parametrize("level", LEVELS)
async def test_every_step_leaves_at_its_level_and_not_below(level: Permission) -> None:
    """Below it the outcome says why, and that nothing was sent."""
    async with recorded_venue(slices=ALL, permission=level) as (venue, fetch):
        for steps, effect in ((CANCELS, Effect.CANCEL), (CLOSES, Effect.CLOSE)):
            for step in steps:
                fetch.sent.clear()
                result = await venue.execute(step)
                if level.allows(effect):
                    assert len(fetch.sent) == 1, step
                    assert result.refusal is not Refusal.PERMISSION
                else:
                    assert fetch.sent == []
                    assert (result.outcome, result.refusal, result.sent_ns) == (
                        Outcome.REFUSED,
                        Refusal.PERMISSION,
                        None,
                    )
                    assert level.value in (result.message or "")


@pytest.mark.parametrize("level", LEVELS)
async def test_reads_are_open_to_every_level(level: Permission) -> None:
    """A guard that may do nothing still sees."""
    async with recorded_venue(slices=ALL, permission=level) as (venue, fetch):
        fetch.empty()
        for name in ALL:
            await venue.read_proof(name)
        assert {each.method for each in fetch.sent} == {"GET"}


@pytest.mark.parametrize("level", LEVELS)
async def test_the_probe_is_a_cancel(level: Permission) -> None:
    """So a read-only account is not probed."""
    async with recorded_venue(permission=level) as (venue, fetch):
        refused = (await venue.probe()).refusal is Refusal.PERMISSION
        assert refused == (level is Permission.READ) == (fetch.sent == [])


def hidden_endpoints(exchange: Any) -> list[str]:
    """Every method of ccxt for an endpoint that is not a GET."""
    words = ("Post", "Put", "Delete", "Patch")
    return sorted(
        name
        for name in dir(type(exchange))
        if "_" not in name and any(word in name for word in words) and callable(getattr(exchange, name))
    )


@pytest.mark.parametrize("level", LEVELS)
async def test_no_endpoint_of_ccxts_own_can_be_used_without_a_declared_call(level: Permission) -> None:
    """All of them, not just the ones that we thought of; with the most innocent and the most dangerous parameters."""
    async with recorded_venue(permission=level) as (venue, fetch):
        exchange = venue._client.ccxt
        names = hidden_endpoints(exchange)
        assert len(names) > 200
        for name in names:
            for params in ({}, {"symbol": "BTCUSDT", "side": "SELL", "reduceOnly": "true", "batchOrders": []}):
                with pytest.raises(venue._client.faults):
                    await getattr(exchange, name)(params)
        assert fetch.sent == []


@pytest.mark.parametrize("level", LEVELS)
async def test_no_call_may_claim_to_do_less_than_its_endpoint_does(level: Permission) -> None:
    """Not even where the level would allow what it really does."""
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "1"}
    lies = [
        Call(endpoint="fapiPrivatePostOrder", effect=Effect.READ, params=order),
        Call(endpoint="fapiPrivatePostOrder", effect=Effect.CANCEL, params={**order, "reduceOnly": "true"}),
        Call(endpoint="fapiPrivatePostOrder", effect=Effect.CLOSE, params=order),
        Call(endpoint="fapiPrivatePostOrder", effect=Effect.CLOSE, params={**order, "reduceOnly": "false"}),
        Call(endpoint="fapiPrivatePostOrder", effect=Effect.CLOSE, params={**order, "positionSide": "LONG"}),
        Call(endpoint="dapiPrivatePostOrder", effect=Effect.CLOSE, params=order),
        Call(endpoint="privatePostOrder", effect=Effect.CLOSE, params=order),
        Call(endpoint="sapiPostMarginOrder", effect=Effect.CLOSE, params={**order, "side": "SELL"}),
        Call(
            endpoint="sapiPostMarginOrder",
            effect=Effect.CLOSE,
            params={**order, "side": "SELL", "isIsolated": "FALSE", "sideEffectType": "MARGIN_BUY"},
        ),
        Call(
            endpoint="sapiPostMarginOrder",
            effect=Effect.CLOSE,
            params={**order, "isIsolated": "FALSE", "sideEffectType": "NO_SIDE_EFFECT", "timeInForce": "GTC"},
        ),
        Call(
            endpoint="sapiPostMarginOrder",
            effect=Effect.CLOSE,
            params={**order, "side": "SELL", "isIsolated": "TRUE", "sideEffectType": "NO_SIDE_EFFECT"},
        ),
        Call(
            endpoint="sapiPostMarginBorrowRepay",
            effect=Effect.CLOSE,
            params={"asset": "BTC", "amount": "1", "type": "BORROW"},
        ),
        Call(
            endpoint="sapiPostMarginBorrowRepay",
            effect=Effect.CLOSE,
            params={"asset": "BTC", "amount": "0", "type": "REPAY"},
        ),
        Call(endpoint="sapiPostConvertAcceptQuote", effect=Effect.CANCEL, params={"quoteId": "1"}),
        Call(endpoint="fapiPrivateDeleteAllOpenOrders", effect=Effect.READ, params={"symbol": "BTCUSDT"}),
        Call(endpoint="privateDeleteOrder", effect=Effect.READ, params={"symbol": "BTCUSDT"}),
    ]
    async with recorded_venue(permission=level) as (venue, fetch):
        for call in lies:
            attempt = await venue._client.attempt(call)
            assert isinstance(attempt.error, NotPermitted), call
            with pytest.raises(VenueDenied):
                await venue._client.ask(call)
        assert fetch.sent == []


@pytest.mark.parametrize("level", LEVELS)
async def test_what_the_profile_does_not_know_leaves_at_no_level(level: Permission) -> None:
    """Withdrawals, transfers, leverage, batches: whatever a call says of itself."""
    endpoints = (
        "sapiPostCapitalWithdrawApply",
        "sapiPostAssetTransfer",
        "sapiPostMarginIsolatedAccount",
        "fapiPrivatePostLeverage",
        "fapiPrivatePostBatchOrders",
        "fapiPrivatePutOrder",
        "privatePostOrderCancelReplace",
        "fapiPrivateDeleteListenKey",
    )
    async with recorded_venue(permission=level) as (venue, fetch):
        for endpoint in endpoints:
            for effect in Effect:
                attempt = await venue._client.attempt(Call(endpoint=endpoint, effect=effect))
                assert isinstance(attempt.error, NotPermitted), endpoint
        assert fetch.sent == []


@pytest.mark.parametrize("level", LEVELS)
async def test_an_order_that_opens_needs_the_highest_level(level: Permission) -> None:
    """And says so of itself."""
    call = Call(
        endpoint="fapiPrivatePostOrder",
        effect=Effect.OPEN,
        params={"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "1"},
    )
    async with recorded_venue(permission=level) as (venue, fetch):
        await venue._client.attempt(call)
        assert len(fetch.sent) == (1 if level is Permission.FULL else 0)


FORGED: dict[str, tuple[str, str, str | None]] = {
    "an order": ("https://fapi.binance.com/fapi/v1/order", "POST", "symbol=BTCUSDT&side=BUY&quantity=1"),
    "lower case": ("https://fapi.binance.com/fapi/v1/order", "post", "symbol=BTCUSDT&side=BUY&quantity=1"),
    "in the query": ("https://fapi.binance.com/fapi/v1/order?symbol=BTCUSDT&side=BUY&quantity=1", "POST", None),
    "both": ("https://fapi.binance.com/fapi/v1/order?reduceOnly=true", "POST", "reduceOnly=false&side=BUY"),
    "twice": ("https://fapi.binance.com/fapi/v1/order", "POST", "side=BUY&reduceOnly=true&reduceOnly=false"),
    "escaped path": ("https://fapi.binance.com/fapi/v1/%6Frder", "POST", "side=BUY&reduceOnly=true"),
    "dotted path": ("https://fapi.binance.com/fapi/v1/listenKey/../order", "POST", "side=BUY"),
    "slash at the end": ("https://fapi.binance.com/fapi/v1/order/", "POST", "reduceOnly=true"),
    "other product": ("https://papi.binance.com/papi/v1/um/order", "POST", "reduceOnly=true"),
    "json": ("https://fapi.binance.com/fapi/v1/order", "POST", '{"side": "BUY"}'),
    "head": ("https://fapi.binance.com/fapi/v1/order", "HEAD", None),
    "patch": ("https://fapi.binance.com/fapi/v1/order", "PATCH", "reduceOnly=true"),
}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", FORGED)
async def test_a_request_that_is_made_by_hand_is_stopped(name: str, level: Permission) -> None:
    """At ccxt's own door, alone and under the cover of a harmless call."""
    url, method, body = FORGED[name]
    async with recorded_venue(permission=level) as (venue, fetch):
        with pytest.raises(NotPermitted):
            await venue._client.ccxt.fetch(url, method, {}, body)
        for effect in (Effect.READ, Effect.CANCEL):
            with wire.recording(Wire(effect=effect)), pytest.raises(NotPermitted):
                await venue._client.ccxt.fetch(url, method, {}, body)
        assert fetch.sent == []


async def test_a_body_that_cannot_be_read_is_stopped() -> None:
    """Bytes and forms are nothing that Binance is sent."""
    async with recorded_venue(permission=Permission.FULL) as (venue, fetch):
        for body in (b"reduceOnly=true", {"reduceOnly": "true"}):
            with wire.recording(Wire(effect=Effect.OPEN)), pytest.raises(NotPermitted):
                await venue._client.ccxt.fetch("https://fapi.binance.com/fapi/v1/order", "POST", {}, body)
        assert fetch.sent == []


@pytest.mark.parametrize("twice", ["reduceOnly=true&reduceOnly=false", "reduceOnly=false&reduceOnly=true"])
async def test_a_parameter_that_is_there_twice_stops_even_a_declared_close(twice: str) -> None:
    """Who knows which one the venue takes."""
    async with recorded_venue(permission=Permission.FULL) as (venue, fetch):
        with wire.recording(Wire(effect=Effect.CLOSE)), pytest.raises(NotPermitted, match="twice"):
            await venue._client.ccxt.fetch(
                "https://fapi.binance.com/fapi/v1/order", "POST", {}, f"symbol=BTCUSDT&side=BUY&{twice}"
            )
        assert fetch.sent == []


async def test_one_call_is_one_request() -> None:
    """Whatever ccxt may come to do behind a declared call (retries, a second leg): it does nothing twice."""
    async with recorded_venue() as (venue, fetch):
        url, body = "https://fapi.binance.com/fapi/v1/order", "symbol=BTCUSDT&side=SELL&reduceOnly=true"
        with wire.recording(Wire(effect=Effect.CLOSE)):
            await venue._client.ccxt.fetch("https://fapi.binance.com/fapi/v1/time", "GET", {}, None)
            await venue._client.ccxt.fetch(url, "POST", {}, body)
            with pytest.raises(NotPermitted, match="second request"):
                await venue._client.ccxt.fetch(url, "POST", {}, body)
        assert [each.method for each in fetch.sent] == ["GET", "POST"]


async def test_ccxt_has_no_way_around_over_websockets() -> None:
    """Its requests over sockets would pass no gate: the class that we use has none."""
    async with recorded_venue(permission=Permission.FULL) as (venue, _):
        exchange = venue._client.ccxt
        with pytest.raises(venue._client.faults):
            await exchange.create_order_ws("BTC/USDT:USDT", "market", "buy", 1)
        assert not hasattr(exchange, "ensure_user_data_stream_ws_subscribe_signature")


@pytest.mark.parametrize(
    ("method", "path", "form", "effect"),
    [
        ("POST", "/api/v3/order", "side=SELL&type=LIMIT&timeInForce=GTC", Effect.OPEN),
        ("POST", "/api/v3/order", "side=SELL&type=LIMIT&timeInForce=IOC", Effect.CLOSE),
        ("POST", "/api/v3/order", "side=SELL&type=STOP_LOSS", Effect.OPEN),
        (
            "POST",
            "/sapi/v1/margin/order",
            "side=SELL&type=LIMIT&sideEffectType=NO_SIDE_EFFECT&isIsolated=FALSE",
            Effect.OPEN,
        ),
        ("POST", "/sapi/v1/margin/borrow-repay", "type=REPAY&amount=1&isIsolated=TRUE", Effect.OPEN),
        ("POST", "/sapi/v1/margin/borrow-repay", "type=REPAY&amount=1&isIsolated=FALSE", Effect.CLOSE),
        ("POST", "/sapi/v1/convert/getQuote", "fromAsset=BTC&toAsset=USDT&walletType=FUNDING", Effect.OPEN),
        ("POST", "/fapi/v1/order", '{"reduceOnly": "true"}', None),
        ("DELETE", "/api/v3/order", '{"symbol": "BTCUSDT"}', None),
    ],
)
def test_what_may_rest_or_touch_another_wallet_is_more_than_a_close(
    method: str, path: str, form: str, effect: Effect | None
) -> None:
    """Told from the request alone."""
    assert effect_of(read_request(f"https://api.binance.com{path}", method, form)) is effect


async def test_a_refused_read_is_not_tried_again() -> None:
    """It says what a person must do."""
    async with recorded_venue(permission=Permission.READ) as (venue, fetch):
        with pytest.raises(VenueDenied, match="'read'"):
            await venue._client.ask(Call(endpoint="fapiPrivateDeleteOrder", effect=Effect.CANCEL))
        assert fetch.sent == []


async def test_every_call_of_the_profile_declares_what_its_request_turns_out_to_do() -> None:
    """Neither less, which would not leave, nor more, which would refuse it to levels that may have it."""
    seen: set[tuple[str, str]] = set()
    async with recorded_venue(slices=ALL, permission=Permission.FULL) as (venue, fetch):
        gate = venue._client._gate
        declared: list[Effect | None] = []
        check = gate.check

        def noting(url: str, method: str, body: object, record: Wire | None) -> None:
            declared.append(record.effect if record else None)
            check(url, method, body, record)

        gate.check = noting  # type: ignore[method-assign]
        for step in (*CANCELS, *CLOSES):
            await venue.execute(step)
        await venue.probe()
        await venue.filled(sell_spot())
        await venue.filled(BUY)
        fetch.empty()
        for name in ALL:
            await venue.read_slice(name)
        for sent, effect in zip(fetch.sent, declared, strict=True):
            assert effect is effect_of_sent(sent), sent
            seen.add((sent.method, sent.path))
    assert len(seen) > 20


def effect_of_sent(sent: Any) -> Effect | None:
    """By the profile's table."""
    from node.venues.call import Request

    return effect_of(Request(method=sent.method, host=sent.host, path=sent.path, params=sent.params, body=sent.raw))


Deed = Callable[[Any], Awaitable[Any]]

#: What a program that has got hold of the ccxt instance might try; levels at which a declared call could do the like.
DEEDS: dict[str, Deed] = {
    "open": lambda exchange: exchange.create_order("BTC/USDT:USDT", "market", "buy", 0.01),
    "close": lambda exchange: exchange.create_order(
        "BTC/USDT:USDT", "market", "sell", 0.01, None, {"reduceOnly": True}
    ),
    "sell spot": lambda exchange: exchange.create_order("BTC/USDT", "market", "sell", 0.01),
    "buy spot": lambda exchange: exchange.create_order("BTC/USDT", "market", "buy", 0.01),
    "cancel": lambda exchange: exchange.cancel_order("1", "BTC/USDT:USDT"),
    "cancel all": lambda exchange: exchange.cancel_all_orders("BTC/USDT:USDT"),
    "leverage": lambda exchange: exchange.set_leverage(20, "BTC/USDT:USDT"),
    "hedge mode": lambda exchange: exchange.set_position_mode(True, "BTC/USDT:USDT"),
    "transfer": lambda exchange: exchange.transfer("USDT", 1, "spot", "linear"),
    "borrow": lambda exchange: exchange.borrow_cross_margin("USDT", 1),
    "withdraw": lambda exchange: exchange.withdraw("USDT", 1, "0x0000000000000000000000000000000000000001"),
    "implicit order": lambda exchange: exchange.fapiPrivatePostOrder(
        {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "1"}
    ),
    "raw request": lambda exchange: exchange.request(
        "order", ["fapiPrivate"], "POST", {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "1"}
    ),
}


@pytest.mark.parametrize("level", LEVELS)
async def test_over_the_wire_nothing_arrives_that_was_not_declared(level: Permission) -> None:
    """By the venue's own record of what it was asked; reads of ccxt's own are all there is."""
    async with bench(permission=level) as the:
        exchange = the.venue._client.ccxt
        await exchange.load_markets()
        before = the.sim.state()["accounts"]["demo"]
        for name, deed in DEEDS.items():
            with pytest.raises(the.venue._client.faults):
                await deed(exchange)
            assert {entry.method for entry in the.sim.journal.entries()} == {"GET"}, name
        assert the.sim.state()["accounts"]["demo"] == before


@pytest.mark.parametrize("level", LEVELS)
async def test_over_the_wire_steps_arrive_at_their_level(level: Permission) -> None:
    """Cancels from "cancel" on, closes from "close" on."""
    async with bench(permission=level) as the:
        snapshot = await the.venue.read_slice("linear")
        order = next(each for each in snapshot.orders or () if not each.trigger)
        close = closes(snapshot.positions)[0]
        named = {"slice": "linear", "symbol": order.symbol, "market_id": order.market_id}
        await the.venue.execute(CancelOrders(**named, order_ids=(order.order_id,), trigger=False))
        await the.venue.execute(CancelSymbol(**named, trigger=False, seen=1))
        await the.venue.execute(close)
        assert len(the.requests("DELETE")) == (2 if level.allows(Effect.CANCEL) else 0)
        assert len(the.requests("POST")) == (1 if level.allows(Effect.CLOSE) else 0)


def test_levels_include_the_ones_before_them() -> None:
    """Read, cancel, close, full."""
    allowed = [[level.allows(effect) for effect in Effect] for level in LEVELS]
    assert allowed == [
        [True, False, False, False],
        [True, True, False, False],
        [True, True, True, False],
        [True, True, True, True],
    ]
    assert [level.closes for level in LEVELS] == [False, False, True, True]


async def test_the_recorder_stands_behind_the_gate() -> None:
    """Or these tests would prove nothing."""
    async with recorded_venue() as (venue, fetch):
        assert isinstance(venue._client.send, RecordedFetch)
        await venue._client.ccxt.fetch("https://fapi.binance.com/fapi/v1/time", "GET", {}, None)
        assert fetch.only.path == "/fapi/v1/time"
