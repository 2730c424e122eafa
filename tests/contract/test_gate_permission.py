"""Nothing beyond a Gate account's permission level reaches a socket, whoever asks for it and however."""

from __future__ import annotations

import json
from typing import Any

import pytest

from node.domain.permission import Effect, Permission
from node.domain.steps import Outcome, Refusal, Step
from node.venues import wire
from node.venues.call import Call, Request
from node.venues.gate import NotPermitted, read_request
from node.venues.profiles.gate.effects import effect_of
from node.venues.wire import Wire
from tests.support.gate import HOST, cancel, close, gate, holds_nothing, sell, sweep

LEVELS = list(Permission)
ORDERS = f"https://{HOST}/api/v4/futures/usdt/orders"
CANCELS: tuple[Step, ...] = (
    cancel("1"),
    cancel("1", "2"),
    cancel("1", trigger=True),
    cancel("trail:1", trigger=True),
    cancel("chase:1", trigger=True),
    cancel("1", slice_name="spot"),
    cancel("1", "2", slice_name="spot"),
    cancel("1", slice_name="spot", trigger=True),
    cancel("1", "2", slice_name="inverse"),
    sweep(),
    sweep("inverse"),
    sweep("spot"),
    sweep("spot", trigger=True),
)
CLOSES: tuple[Step, ...] = (
    close(),
    close(hedged=True),
    close(isolated=True),
    close(market_id="BTC_USD1"),
    close(slice="inverse", market_id="BTC_USD"),
    sell(),
)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("account", ["classic", "unified"])
async def test_every_step_leaves_at_its_level_and_not_below(account: str, level: Permission) -> None:
    """Below it the outcome says why, and that nothing was sent."""
    async with gate(permission=level, options={"account": account}) as (venue, fetch):
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
    async with gate(permission=level) as (venue, fetch):
        holds_nothing(fetch)
        for name in venue.slices:
            await venue.read_proof(name)
        await venue.filled(sell())
        assert {each.method for each in fetch.sent} == {"GET"}
        fetch.sent.clear()
        refused = (await venue.probe()).refusal is Refusal.PERMISSION
        assert refused == (level is Permission.READ) == (fetch.sent == [])


@pytest.mark.parametrize("level", LEVELS)
async def test_no_endpoint_of_ccxts_own_can_be_used_without_a_declared_call(level: Permission) -> None:
    """All of them, not just the ones that we thought of."""
    async with gate(permission=level) as (venue, fetch):
        exchange = venue._client.ccxt
        words = ("Post", "Put", "Delete", "Patch")
        names = [name for name in dir(type(exchange)) if "_" not in name and any(word in name for word in words)]
        assert len(names) > 100
        for name in names:
            for params in ({}, {"settle": "usdt", "contract": "BTC_USDT", "size": -1, "reduce_only": True}):
                with pytest.raises(venue._client.faults):
                    await getattr(exchange, name)(params)
        assert fetch.sent == []


OPENING = {"settle": "usdt", "contract": "BTC_USDT", "size": 1, "price": "0", "tif": "ioc"}
SALE = {"currency_pair": "BTC_USDT", "type": "limit", "account": "spot", "side": "sell", "amount": "1", "price": "9"}
IOC = {**SALE, "time_in_force": "ioc"}
LIES = [
    ("privateFuturesPostSettleOrders", Effect.READ, OPENING),
    ("privateFuturesPostSettleOrders", Effect.CLOSE, OPENING),
    ("privateFuturesPostSettleOrders", Effect.CLOSE, {**OPENING, "reduce_only": False}),
    ("privateFuturesPostSettleOrders", Effect.CLOSE, {**OPENING, "reduce_only": "true"}),
    ("privateFuturesPostSettleOrders", Effect.CLOSE, {**OPENING, "reduce_only": 1}),
    ("privateFuturesPostSettleOrders", Effect.CLOSE, {**OPENING, "close": True}),
    ("privateFuturesPostSettleOrders", Effect.CLOSE, {**OPENING, "reduce_only": True, "tpsl_tp_trigger_price": "9"}),
    ("privateFuturesPostSettleOrders", Effect.CANCEL, {**OPENING, "reduce_only": True}),
    ("privateSpotPostOrders", Effect.CLOSE, SALE),
    ("privateSpotPostOrders", Effect.CLOSE, {**SALE, "time_in_force": "gtc"}),
    ("privateSpotPostOrders", Effect.CLOSE, {**IOC, "side": "buy"}),
    ("privateSpotPostOrders", Effect.CLOSE, {**IOC, "account": "margin"}),
    ("privateSpotPostOrders", Effect.CLOSE, {**IOC, "account": "cross_margin"}),
    ("privateSpotPostOrders", Effect.CLOSE, {**IOC, "auto_borrow": True}),
    ("privateSpotPostOrders", Effect.CLOSE, {**IOC, "stop_loss": {"trigger_price": "1", "order_price": "1"}}),
    ("privateSpotPostOrders", Effect.CANCEL, IOC),
    ("privateSpotDeleteOrders", Effect.READ, {"currency_pair": "BTC_USDT"}),
    ("privateFuturesPostSettleBatchCancelOrders", Effect.READ, [{"settle": "usdt"}, "1"]),
    ("privateFuturesPostSettleAutoorderV1TrailStop", Effect.READ, {"settle": "usdt", "id": 1}),
]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(("endpoint", "effect", "params"), LIES)
async def test_no_call_may_claim_to_do_less_than_its_endpoint_does(
    endpoint: str, effect: Effect, params: Any, level: Permission
) -> None:
    """Not even where the level would allow what it really does."""
    async with gate(permission=level) as (venue, fetch):
        attempt = await venue._client.attempt(Call(endpoint=endpoint, effect=effect, params=params))
        assert isinstance(attempt.error, NotPermitted)
        assert fetch.sent == []


DANGEROUS: dict[str, Any] = {
    "privateWithdrawalsPostWithdrawals": {"currency": "BTC", "address": "x", "amount": "1"},
    "privateWalletPostTransfers": {"currency": "BTC", "from": "spot", "to": "futures", "amount": "1"},
    "privateWalletPostSubAccountTransfers": {},
    "privateUnifiedPutUnifiedMode": {"mode": "portfolio"},
    "privateUnifiedPostLoans": {"currency": "BTC", "type": "borrow", "amount": "1"},
    "privateMarginPostUniLoans": {"currency": "BTC", "type": "borrow", "amount": "1"},
    "privateFuturesPostSettlePositionsContractLeverage": {"settle": "usdt", "contract": "BTC_USDT", "leverage": "9"},
    "privateFuturesPostSettlePositionsContractMargin": {"settle": "usdt", "contract": "BTC_USDT", "change": "9"},
    "privateFuturesPostSettleDualMode": {"settle": "usdt", "dual_mode": "true"},
    "privateFuturesPostSettleSetPositionMode": {"settle": "usdt", "position_mode": "dual"},
    "privateFuturesPostSettleBatchOrders": [{"settle": "usdt", "contract": "BTC_USDT", "reduce_only": True}],
    "privateFuturesPostSettlePriceOrders": {"settle": "usdt"},
    "privateFuturesPostSettleAutoorderV1TrailCreate": {"settle": "usdt", "contract": "BTC_USDT"},
    "privateFuturesPostSettleCountdownCancelAll": {"settle": "usdt", "timeout": 5},
    "privateFuturesPutSettleOrdersOrderId": {"settle": "usdt", "order_id": "1", "size": 9},
    "privateDeliveryPostSettleOrders": {"settle": "usdt", "contract": "X", "reduce_only": True},
    "privateOptionsPostOrders": {"contract": "X", "reduce_only": True},
    "privateSpotPostBatchOrders": [{"text": "t-1"}],
    "privateSpotPostPriceOrders": {},
    "privateSpotPatchOrdersOrderId": {"order_id": "1", "amount": "9"},
    "privateSpotPostCrossLiquidateOrders": {},
    "privateEarnPostUniLends": {"currency": "BTC", "amount": "1", "type": "lend"},
}


@pytest.mark.parametrize("endpoint", DANGEROUS)
async def test_what_the_profile_does_not_know_leaves_at_no_level(endpoint: str) -> None:
    """Withdrawals, transfers, loans, leverage, modes, batches: whatever a call says of itself."""
    for level in LEVELS:
        async with gate(permission=level) as (venue, fetch):
            for effect in Effect:
                call = Call(endpoint=endpoint, effect=effect, params=DANGEROUS[endpoint])
                attempt = await venue._client.attempt(call)
                assert isinstance(attempt.error, NotPermitted), endpoint
            assert fetch.sent == []


FORGED: dict[str, tuple[str, str, str | None]] = {
    "an order": (ORDERS, "POST", json.dumps(OPENING)),
    "lower case": (ORDERS, "post", json.dumps(OPENING)),
    "a form": (ORDERS, "POST", "contract=BTC_USDT&size=1&reduce_only=true"),
    "in the query": (f"{ORDERS}?contract=BTC_USDT&size=1&reduce_only=true", "POST", None),
    "both": (f"{ORDERS}?reduce_only=false", "POST", '{"contract": "BTC_USDT", "size": 1, "reduce_only": true}'),
    "twice": (ORDERS, "POST", '{"reduce_only": true, "size": 1, "reduce_only": false}'),
    "twice the other way": (ORDERS, "POST", '{"reduce_only": false, "size": 1, "reduce_only": true}'),
    "a list": (ORDERS, "POST", '[{"reduce_only": true}]'),
    "half a body": (ORDERS, "POST", '{"reduce_only": true'),
    "no body": (ORDERS, "POST", None),
    "escaped path": (f"https://{HOST}/api/v4/futures/usdt/%6Frders", "POST", '{"reduce_only": true}'),
    "dotted path": (f"https://{HOST}/api/v4/futures/usdt/autoorder/../orders", "POST", '{"reduce_only": true}'),
    "slash at the end": (f"{ORDERS}/", "POST", '{"reduce_only": true}'),
    "other settle coin": (f"https://{HOST}/api/v4/futures/eth/orders", "POST", '{"reduce_only": true}'),
    "other product": (f"https://{HOST}/api/v4/delivery/usdt/orders", "POST", '{"reduce_only": true}'),
    "older version": (f"https://{HOST}/api/v3/futures/usdt/orders", "POST", '{"reduce_only": true}'),
    "a cancel with a body": (ORDERS, "DELETE", '{"contract": "BTC_USDT"}'),
    "a countdown": (f"https://{HOST}/api/v4/futures/usdt/countdown_cancel_all", "POST", '{"timeout": 5}'),
    "head": (ORDERS, "HEAD", None),
    "put": (f"{ORDERS}/1", "PUT", '{"size": 1}'),
    "patch": (f"https://{HOST}/api/v4/spot/orders/1", "PATCH", '{"amount": "1"}'),
}


@pytest.mark.parametrize("name", FORGED)
async def test_a_request_that_is_made_by_hand_is_stopped(name: str) -> None:
    """At ccxt's own door, alone and under the cover of a harmless call."""
    url, method, body = FORGED[name]
    for level in LEVELS:
        async with gate(permission=level) as (venue, fetch):
            with pytest.raises(NotPermitted):
                await venue._client.ccxt.fetch(url, method, {}, body)
            for effect in (Effect.READ, Effect.CANCEL):
                with wire.recording(Wire(effect=effect)), pytest.raises(NotPermitted):
                    await venue._client.ccxt.fetch(url, method, {}, body)
            assert fetch.sent == []


@pytest.mark.parametrize(
    ("method", "path", "body", "effect"),
    [
        ("POST", "/api/v4/futures/usdt/orders", '{"size": 1, "reduce_only": true}', Effect.CLOSE),
        (
            "POST",
            "/api/v4/futures/usdt/orders",
            '{"size": 0, "auto_size": "close_long", "reduce_only": true}',
            Effect.CLOSE,
        ),
        ("POST", "/api/v4/futures/usdt/orders", '{"size": 1}', Effect.OPEN),
        ("POST", "/api/v4/spot/orders", json.dumps(IOC), Effect.CLOSE),
        ("POST", "/api/v4/spot/orders", json.dumps({**IOC, "account": "unified"}), Effect.CLOSE),
        ("POST", "/api/v4/spot/orders", json.dumps({**SALE, "type": "market"}), Effect.CLOSE),
        ("POST", "/api/v4/spot/orders", json.dumps({**IOC, "time_in_force": "poc"}), Effect.OPEN),
        ("DELETE", "/api/v4/spot/price_orders/12", None, Effect.CANCEL),
        ("DELETE", "/api/v4/spot/orders/12/34", None, None),
        ("DELETE", "/api/v4/sub_accounts/1/keys/k", None, None),
        ("DELETE", "/api/v4/withdrawals/1", None, None),
        ("GET", "/api/v4/wallet/deposit_address", None, Effect.READ),
        ("GET", "/elsewhere", None, None),
        ("POST", "/api/v4/futures/usdt/orders?reduce_only=false", '{"reduce_only": true}', None),
        ("POST", "/api/v4/futures/usdt/orders", '{"reduce_only": false, "reduce_only": true}', None),
        ("POST", "/api/v4/futures/usdt/orders", '{"reduce_only": true, "reduce_only": false}', None),
    ],
)
def test_what_a_request_can_do_is_told_from_the_request(
    method: str, path: str, body: str | None, effect: Effect | None
) -> None:
    """By itself, whatever it was declared as."""
    assert effect_of(read_request(f"https://{HOST}{path}", method, body)) is effect


async def test_every_call_of_the_profile_declares_what_its_request_turns_out_to_do() -> None:
    """Neither less, which would not leave, nor more, which would refuse it to levels that may have it."""
    async with gate(permission=Permission.FULL) as (venue, fetch):
        checked = venue._client._gate
        declared: list[Effect | None] = []
        check = checked.check

        def noting(url: str, method: str, body: object, record: Wire | None) -> None:
            declared.append(record.effect if record else None)
            check(url, method, body, record)

        checked.check = noting  # type: ignore[method-assign]
        for step in (*CANCELS, *CLOSES, sweep(trigger=True)):
            await venue.execute(step)
        await venue.probe()
        holds_nothing(fetch)
        for name in venue.slices:
            await venue.read_slice(name)
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
    "leverage": lambda exchange: exchange.set_leverage(20, "BTC/USDT:USDT"),
    "withdraw": lambda exchange: exchange.withdraw("USDT", 1, "0x0000000000000000000000000000000000000001"),
    "transfer": lambda exchange: exchange.transfer("USDT", 1, "spot", "swap"),
    "raw request": lambda exchange: exchange.request("{settle}/orders", ["private", "futures"], "POST", OPENING),
}


@pytest.mark.parametrize("name", DEEDS)
async def test_unified_methods_of_ccxt_do_nothing_that_was_not_declared(name: str) -> None:
    """Whoever has got hold of the instance."""
    async with gate(permission=Permission.FULL) as (venue, fetch):
        with pytest.raises(venue._client.faults):
            await DEEDS[name](venue._client.ccxt)
        assert {each.method for each in fetch.sent} <= {"GET"}
