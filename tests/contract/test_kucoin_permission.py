"""Nothing beyond a KuCoin account's permission level reaches a socket, whoever asks for it and however."""

from __future__ import annotations

import json
from typing import Any

import pytest

from node.domain.permission import Effect, Permission
from node.domain.steps import Outcome, Refusal, Step
from node.venues import wire
from node.venues.call import Call, Request
from node.venues.gate import NotPermitted, read_request
from node.venues.profiles.kucoin.effects import effect_of
from node.venues.wire import Wire
from tests.support.kucoin import FUTURES, SPOT, cancel, close, holds_nothing, kucoin, ok, sell, sweep

LEVELS = list(Permission)
ORDERS = f"https://{FUTURES}/api/v1/orders"
SALES = f"https://{SPOT}/api/v1/hf/orders/sync"
CANCELS: tuple[Step, ...] = (
    cancel("1"),
    cancel("1", "2"),
    cancel("1", trigger=True),
    cancel("1", "2", slice_name="inverse"),
    cancel("1", slice_name="spot"),
    cancel("1", slice_name="spot", trigger=True),
    cancel("oco:1", slice_name="spot", trigger=True),
    sweep(),
    sweep(trigger=True),
    sweep("inverse"),
    sweep("spot"),
)
CLOSES: tuple[Step, ...] = (
    close(),
    close(hedged=True),
    close(isolated=True),
    close(market_id="XBTUSDCM"),
    close(slice="inverse", market_id="XBTUSDM"),
    sell(),
)


@pytest.mark.parametrize("level", LEVELS)
async def test_every_step_leaves_at_its_level_and_not_below(level: Permission) -> None:
    """Below it the outcome says why, and that nothing was sent."""
    async with kucoin(permission=level) as (venue, fetch):
        for steps, effect in ((CANCELS, Effect.CANCEL), (CLOSES, Effect.CLOSE)):
            for step in steps:
                fetch.sent.clear()
                result = await venue.execute(step)
                if level.allows(effect):
                    assert len(fetch.sent) == 1, step
                    assert result.refusal is not Refusal.PERMISSION
                else:
                    assert fetch.sent == []
                    assert (result.outcome, result.refusal) == (Outcome.REFUSED, Refusal.PERMISSION)


@pytest.mark.parametrize("level", LEVELS)
async def test_reads_are_open_to_every_level_and_the_probe_is_a_cancel(level: Permission) -> None:
    """A guard that may do nothing still sees."""
    async with kucoin(permission=level) as (venue, fetch):
        holds_nothing(fetch, symbols=ok({"symbols": ["BTC-USDT", "ETH-USDT"]}))
        for name in venue.slices:
            await venue.read_proof(name)
        await venue.filled(sell())
        assert {each.method for each in fetch.sent} == {"GET"}
        fetch.sent.clear()
        refused = (await venue.probe()).refusal is Refusal.PERMISSION
        assert refused == (level is Permission.READ) == (fetch.sent == [])


@pytest.mark.parametrize("level", LEVELS)
async def test_a_token_for_a_stream_is_a_read(level: Permission) -> None:
    """Though it is asked for with POST."""
    async with kucoin(permission=level) as (venue, fetch):
        for stream in venue._streams._streams:
            assert stream.ticket is not None
            await venue._client.attempt(stream.ticket)
        assert [each.host for each in fetch.sent] == [SPOT, FUTURES]


@pytest.mark.parametrize("level", LEVELS)
async def test_no_endpoint_of_ccxts_own_can_be_used_without_a_declared_call(level: Permission) -> None:
    """All of them, not just the ones that we thought of."""
    async with kucoin(permission=level) as (venue, fetch):
        exchange = venue._client.ccxt
        words = ("Post", "Put", "Delete", "Patch")
        names = [name for name in dir(type(exchange)) if "_" not in name and any(word in name for word in words)]
        assert len(names) > 100
        for name in names:
            for params in ({}, {"symbol": "XBTUSDTM", "side": "sell", "size": 1, "reduceOnly": True}):
                with pytest.raises(venue._client.faults):
                    await getattr(exchange, name)(params)
        assert fetch.sent == []


OPENING = {"clientOid": "x", "symbol": "XBTUSDTM", "side": "buy", "type": "market", "size": 1, "leverage": 1}
REDUCING = {**OPENING, "reduceOnly": True}
SALE = {"clientOid": "x", "symbol": "BTC-USDT", "type": "limit", "side": "sell", "size": "1", "price": "9"}
IOC = {**SALE, "timeInForce": "IOC"}
FUTURE, SYNC = "futuresPrivatePostOrders", "privatePostHfOrdersSync"
LIES = [
    (FUTURE, Effect.READ, OPENING),
    (FUTURE, Effect.CLOSE, OPENING),
    (FUTURE, Effect.CLOSE, {**OPENING, "reduceOnly": False}),
    (FUTURE, Effect.CLOSE, {**OPENING, "reduceOnly": "true"}),
    (FUTURE, Effect.CLOSE, {**OPENING, "reduceOnly": 1}),
    (FUTURE, Effect.CLOSE, {**OPENING, "closeOrder": True}),
    (FUTURE, Effect.CLOSE, {**REDUCING, "stop": "up", "stopPrice": "1"}),
    (FUTURE, Effect.CLOSE, {**REDUCING, "forceHold": True}),
    (FUTURE, Effect.CLOSE, {**REDUCING, "autoDeposit": True}),
    (FUTURE, Effect.CANCEL, REDUCING),
    (SYNC, Effect.CLOSE, SALE),
    (SYNC, Effect.CLOSE, {**SALE, "timeInForce": "GTC"}),
    (SYNC, Effect.CLOSE, {**SALE, "timeInForce": "FOK"}),
    (SYNC, Effect.CLOSE, {**IOC, "side": "buy"}),
    (SYNC, Effect.CLOSE, {**IOC, "autoBorrow": True}),
    (SYNC, Effect.CLOSE, {**IOC, "isIsolated": True}),
    (SYNC, Effect.CLOSE, {**IOC, "hidden": True}),
    (SYNC, Effect.CANCEL, IOC),
    ("privateDeleteHfOrders", Effect.READ, {"symbol": "BTC-USDT"}),
    ("futuresPrivateDeleteOrdersOrderId", Effect.READ, {"orderId": "1"}),
    ("futuresPrivateDeleteOrdersMultiCancel", Effect.READ, {"orderIdsList": ["1"]}),
]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(("endpoint", "effect", "params"), LIES)
async def test_no_call_may_claim_to_do_less_than_its_endpoint_does(
    endpoint: str, effect: Effect, params: Any, level: Permission
) -> None:
    """Not even where the level would allow what it really does."""
    async with kucoin(permission=level) as (venue, fetch):
        attempt = await venue._client.attempt(Call(endpoint=endpoint, effect=effect, params=params))
        assert isinstance(attempt.error, NotPermitted)
        assert fetch.sent == []


DANGEROUS: dict[str, Any] = {
    "privatePostWithdrawals": {"currency": "BTC", "address": "x", "amount": "1"},
    "privateDeleteWithdrawalsWithdrawalId": {"withdrawalId": "1"},
    "privatePostAccountsUniversalTransfer": {"currency": "BTC", "amount": "1"},
    "privatePostAccountsInnerTransfer": {"currency": "BTC", "from": "trade", "to": "main", "amount": "1"},
    "privatePostAccountsSubTransfer": {"currency": "BTC", "amount": "1"},
    "privatePostMarginBorrow": {"currency": "BTC", "size": "1"},
    "privatePostMarginOrder": SALE,
    "privatePostHfMarginOrder": SALE,
    "privatePostOrders": IOC,
    "privatePostOrdersMulti": {"symbol": "BTC-USDT", "orderList": [IOC]},
    "privatePostHfOrders": IOC,
    "privatePostHfOrdersMulti": {"orderList": [IOC]},
    "privatePostHfOrdersAlter": {"symbol": "BTC-USDT", "orderId": "1", "newSize": "9"},
    "privatePostHfOrdersDeadCancelAll": {"timeout": 5},
    "privatePostStopOrder": {**IOC, "stopPrice": "1"},
    "privatePostOcoOrder": SALE,
    "privateDeleteHfOrdersCancelAll": {},
    "privateDeleteSubApiKey": {"apiKey": "k", "subName": "s"},
    "privatePostSubApiKey": {},
    "futuresPrivatePostOrdersMulti": {},
    "futuresPrivatePostStOrders": REDUCING,
    "futuresPrivatePostPositionMarginDepositMargin": {"symbol": "XBTUSDTM", "margin": 1},
    "futuresPrivatePostPositionRiskLimitLevelChange": {"symbol": "XBTUSDTM", "level": 2},
    "futuresPrivatePostPositionMarginAutoDepositStatus": {"symbol": "XBTUSDTM", "status": True},
    "futuresPrivatePostPositionChangeMarginMode": {"symbol": "XBTUSDTM", "marginMode": "CROSS"},
    "futuresPrivatePostPositionSwitchPositionMode": {"positionMode": "1"},
    "futuresPrivatePostChangeCrossUserLeverage": {"symbol": "XBTUSDTM", "leverage": "20"},
    "futuresPrivatePostTransferOut": {"currency": "USDT", "amount": 1},
    "futuresPrivatePostTransferIn": {"currency": "USDT", "amount": 1},
    "utaPrivatePostAccountTransfer": {"currency": "USDT", "amount": "1"},
    "utaPrivatePostAccountMode": {"accountType": "UNIFIED"},
    "earnPostEarnOrders": {"productId": "1", "amount": "1"},
}


@pytest.mark.parametrize("endpoint", DANGEROUS)
async def test_what_the_profile_does_not_know_leaves_at_no_level(endpoint: str) -> None:
    """Withdrawals, transfers, loans, leverage, modes, batches: whatever a call says of itself."""
    for level in LEVELS:
        async with kucoin(permission=level) as (venue, fetch):
            for effect in Effect:
                call = Call(endpoint=endpoint, effect=effect, params=DANGEROUS[endpoint])
                attempt = await venue._client.attempt(call)
                assert isinstance(attempt.error, NotPermitted), (endpoint, attempt.error)
            assert fetch.sent == []


BOUNDED = json.dumps(REDUCING)
FORGED: dict[str, tuple[str, str, str | None]] = {
    "an order": (ORDERS, "POST", json.dumps(OPENING)),
    "lower case": (ORDERS, "post", json.dumps(OPENING)),
    "a form": (ORDERS, "POST", "symbol=XBTUSDTM&size=1&reduceOnly=true"),
    "in the query": (f"{ORDERS}?symbol=XBTUSDTM&size=1&reduceOnly=true", "POST", None),
    "both": (f"{ORDERS}?reduceOnly=false", "POST", BOUNDED),
    "twice": (ORDERS, "POST", '{"reduceOnly": true, "size": 1, "reduceOnly": false}'),
    "twice the other way": (ORDERS, "POST", '{"reduceOnly": false, "size": 1, "reduceOnly": true}'),
    "a list": (ORDERS, "POST", '[{"reduceOnly": true}]'),
    "half a body": (ORDERS, "POST", '{"reduceOnly": true'),
    "too deep": (ORDERS, "POST", "[" * 100_000),
    "no body": (ORDERS, "POST", None),
    "on the other host": (f"https://{SPOT}/api/v1/orders", "POST", BOUNDED),
    "a sale on the other host": (f"https://{FUTURES}/api/v1/hf/orders/sync", "POST", json.dumps(IOC)),
    "a cancel on the other host": (f"https://{SPOT}/api/v1/stopOrders", "DELETE", None),
    "a third host": ("https://api-broker.kucoin.com/api/v1/orders", "POST", BOUNDED),
    "escaped path": (f"https://{FUTURES}/api/v1/%6Frders", "POST", BOUNDED),
    "dotted path": (f"https://{FUTURES}/api/v1/stopOrders/../orders", "POST", BOUNDED),
    "slash at the end": (f"{ORDERS}/", "POST", BOUNDED),
    "a test order": (f"{ORDERS}/test", "POST", BOUNDED),
    "several orders": (f"{ORDERS}/multi", "POST", f"[{BOUNDED}]"),
    "other version": (f"https://{FUTURES}/api/v2/orders", "POST", BOUNDED),
    "a cancel with a body": (f"{ORDERS}/1", "DELETE", '{"symbol": "XBTUSDTM"}'),
    "cancels with a query": (f"{ORDERS}/multi-cancel?symbol=XBTUSDTM", "DELETE", '{"orderIdsList": ["1"]}'),
    "cancels without a body": (f"{ORDERS}/multi-cancel", "DELETE", None),
    "cancels in a list": (f"{ORDERS}/multi-cancel", "DELETE", '["1"]'),
    "a token with a body": (f"https://{SPOT}/api/v1/bullet-private", "POST", '{"symbol": "BTC-USDT"}'),
    "a buy": (SALES, "POST", json.dumps({**IOC, "side": "buy"})),
    "head": (ORDERS, "HEAD", None),
    "put": (f"{ORDERS}/1", "PUT", '{"size": 1}'),
    "patch": (f"{ORDERS}/1", "PATCH", '{"size": 1}'),
}


@pytest.mark.parametrize("name", FORGED)
async def test_a_request_that_is_made_by_hand_is_stopped(name: str) -> None:
    """At ccxt's own door, alone and under the cover of a harmless call."""
    url, method, body = FORGED[name]
    for level in LEVELS:
        async with kucoin(permission=level) as (venue, fetch):
            with pytest.raises(NotPermitted):
                await venue._client.ccxt.fetch(url, method, {}, body)
            for effect in (Effect.READ, Effect.CANCEL):
                with wire.recording(Wire(effect=effect)), pytest.raises(NotPermitted):
                    await venue._client.ccxt.fetch(url, method, {}, body)
            assert fetch.sent == []


@pytest.mark.parametrize(
    ("method", "url", "body", "effect"),
    [
        ("POST", ORDERS, BOUNDED, Effect.CLOSE),
        ("POST", ORDERS, json.dumps({**REDUCING, "positionSide": "LONG", "marginMode": "CROSS"}), Effect.CLOSE),
        ("POST", ORDERS, json.dumps(OPENING), Effect.OPEN),
        ("POST", SALES, json.dumps(IOC), Effect.CLOSE),
        ("POST", SALES, json.dumps({**SALE, "type": "market"}), Effect.CLOSE),
        ("POST", SALES, json.dumps(SALE), Effect.OPEN),
        ("POST", f"https://{SPOT}/api/v1/bullet-private", None, Effect.READ),
        ("POST", f"{ORDERS}?reduceOnly=false", BOUNDED, None),
        ("POST", ORDERS, '{"reduceOnly": false, "reduceOnly": true}', None),
        ("POST", f"https://{SPOT}/api/v1/orders", BOUNDED, None),
        ("DELETE", f"{ORDERS}/12", None, Effect.CANCEL),
        ("DELETE", f"{ORDERS}/12/34", None, None),
        ("DELETE", f"{ORDERS}/multi-cancel", '{"orderIdsList": ["1"]}', Effect.CANCEL),
        ("DELETE", f"{ORDERS}/multi-cancel", None, None),
        ("DELETE", f"https://{FUTURES}/api/v1/orders", None, None),
        ("DELETE", f"https://{FUTURES}/api/v3/orders", None, Effect.CANCEL),
        ("DELETE", f"https://{SPOT}/api/v1/stop-order/cancel", None, Effect.CANCEL),
        ("DELETE", f"https://{SPOT}/api/v1/withdrawals/1", None, None),
        ("DELETE", f"https://{SPOT}/api/v1/sub/api-key", None, None),
        ("GET", f"https://{SPOT}/api/v1/withdrawals", None, Effect.READ),
        ("GET", f"https://{SPOT}/elsewhere", None, None),
    ],
)
def test_what_a_request_can_do_is_told_from_the_request(
    method: str, url: str, body: str | None, effect: Effect | None
) -> None:
    """By itself, whatever it was declared as."""
    assert effect_of(read_request(url, method, body)) is effect


async def test_every_call_of_the_profile_declares_what_its_request_turns_out_to_do() -> None:
    """Neither less, which would not leave, nor more, which would refuse it to levels that may have it."""
    async with kucoin(permission=Permission.FULL) as (venue, fetch):
        checked = venue._client._gate
        declared: list[Effect | None] = []
        check = checked.check

        def noting(url: str, method: str, body: object, record: Wire | None) -> None:
            declared.append(record.effect if record else None)
            check(url, method, body, record)

        checked.check = noting  # type: ignore[method-assign]
        for step in (*CANCELS, *CLOSES, sweep("spot", trigger=True)):
            await venue.execute(step)
        await venue.probe()
        holds_nothing(fetch, symbols=ok({"symbols": ["BTC-USDT"]}))
        for name in venue.slices:
            await venue.read_slice(name)
        for call in venue._profile.key_calls():
            await venue._client.attempt(call)
        for sent, effect in zip(fetch.sent, declared, strict=True):
            body = sent.raw if sent.document is not None else ""
            params = sent.params if sent.document is None else {}
            request = Request(method=sent.method, host=sent.host, path=sent.path, params=params, body=body)
            assert effect_of(request) is effect, sent


#: What a program that has got hold of the ccxt instance might try.
DEEDS: dict[str, Any] = {
    "open": lambda exchange: exchange.create_order("BTC/USDT:USDT", "market", "buy", 1),
    "close": lambda exchange: exchange.create_order("BTC/USDT:USDT", "market", "sell", 1, None, {"reduceOnly": True}),
    "cancel": lambda exchange: exchange.cancel_order("1", "BTC/USDT:USDT"),
    "leverage": lambda exchange: exchange.set_leverage(20, "BTC/USDT:USDT", {"marginMode": "cross"}),
    "withdraw": lambda exchange: exchange.withdraw("USDT", 1, "0x0000000000000000000000000000000000000001"),
    "transfer": lambda exchange: exchange.transfer("USDT", 1, "trade", "main"),
    "raw request": lambda exchange: exchange.request("orders", "futuresPrivate", "POST", OPENING),
}


@pytest.mark.parametrize("name", DEEDS)
async def test_unified_methods_of_ccxt_do_nothing_that_was_not_declared(name: str) -> None:
    """Whoever has got hold of the instance."""
    async with kucoin(permission=Permission.FULL) as (venue, fetch):
        with pytest.raises(venue._client.faults):
            await DEEDS[name](venue._client.ccxt)
        assert {each.method for each in fetch.sent} <= {"GET"}
