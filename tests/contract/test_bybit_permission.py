"""Nothing beyond an account's permission level reaches Bybit, whoever asks for it and however."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from node.domain.permission import Effect, Permission
from node.domain.steps import ConvertAsset, Outcome, Refusal, RepayDebt, Step
from node.venues import wire
from node.venues.call import Call
from node.venues.gate import NotPermitted, read_request
from node.venues.profiles.bybit.effects import effect_of
from node.venues.wire import Wire
from tests.support.bybit import empty
from tests.support.venue import cancel_orders, cancel_symbol, close_position, recorded_venue, sell_spot

LEVELS = list(Permission)
CREATE = "https://api.bybit.com/v5/order/create"
CANCELS: tuple[Step, ...] = (
    cancel_orders("1"),
    cancel_orders("1", "2"),
    cancel_orders("1", trigger=True),
    cancel_orders("1", slice_name="spot"),
    cancel_symbol(),
    cancel_symbol("inverse", trigger=True),
    cancel_symbol("spot"),
)
CLOSES: tuple[Step, ...] = (
    close_position(),
    close_position(hedged=True),
    close_position(isolated=True, limit_price=Decimal(1)),
    close_position(slice="inverse", market_id="BTCUSD"),
    sell_spot(),
    RepayDebt(slice="spot", asset="BTC", amount=Decimal("0.1")),
    ConvertAsset(slice="spot", asset="BTC", into="USDT", quantity=Decimal("0.00001"), least_received=Decimal("0.5")),
)


@pytest.mark.parametrize("level", LEVELS)
async def test_every_step_leaves_at_its_level_and_not_below(level: Permission) -> None:
    """Below it the outcome says why, and that nothing was sent."""
    async with recorded_venue(exchange="bybit", permission=level) as (venue, fetch):
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
    async with recorded_venue(exchange="bybit", permission=level) as (venue, fetch):
        for name in venue.slices:
            empty(fetch, name)
            await venue.read_proof(name)
        assert {each.method for each in fetch.sent} == {"GET"}
        fetch.sent.clear()
        refused = (await venue.probe()).refusal is Refusal.PERMISSION
        assert refused == (level is Permission.READ) == (fetch.sent == [])


@pytest.mark.parametrize("level", LEVELS)
async def test_no_endpoint_of_ccxts_own_can_be_used_without_a_declared_call(level: Permission) -> None:
    """All of them, with the most innocent and the most dangerous parameters."""
    async with recorded_venue(exchange="bybit", permission=level) as (venue, fetch):
        exchange = venue._client.ccxt
        names = sorted(name for name in dir(type(exchange)) if "_" not in name and "Post" in name)
        assert len(names) > 150
        for name in names:
            for params in ({}, {"category": "linear", "symbol": "BTCUSDT", "side": "Sell", "reduceOnly": True}):
                with pytest.raises(venue._client.faults):
                    await getattr(exchange, name)(params)
        assert fetch.sent == []


OPEN = {"category": "linear", "symbol": "BTCUSDT", "side": "Sell", "orderType": "Market", "qty": "1", "positionIdx": 1}
SELL = {"category": "spot", "symbol": "BTCUSDT", "side": "Sell", "orderType": "Market", "qty": "1", "isLeverage": 0}


@pytest.mark.parametrize("level", LEVELS)
async def test_no_call_may_claim_to_do_less_than_its_endpoint_does(level: Permission) -> None:
    """Not even where the level would allow what it really does."""
    create, repay, quote = (
        f"privatePostV5{name}" for name in ("OrderCreate", "AccountNoConvertRepay", "AssetExchangeQuoteApply")
    )
    lies: list[tuple[str, Effect, dict[str, Any]]] = [
        (create, Effect.READ, OPEN | {"reduceOnly": True}),
        (create, Effect.CANCEL, OPEN | {"reduceOnly": True}),
        (create, Effect.CLOSE, OPEN),
        (create, Effect.CLOSE, OPEN | {"reduceOnly": False}),
        (create, Effect.CLOSE, OPEN | {"reduceOnly": "true"}),
        (create, Effect.CLOSE, OPEN | {"reduceOnly": 1}),
        (create, Effect.CLOSE, OPEN | {"ReduceOnly": True}),
        (create, Effect.CLOSE, OPEN | {"closeOnTrigger": True}),
        (create, Effect.CLOSE, OPEN | {"reduceOnly": True, "category": "option"}),
        (create, Effect.CLOSE, OPEN | {"reduceOnly": True, "category": "spot"}),
        (create, Effect.CLOSE, SELL | {"side": "Buy"}),
        (create, Effect.CLOSE, SELL | {"isLeverage": 1}),
        (create, Effect.CLOSE, SELL | {"isLeverage": False}),
        (create, Effect.CLOSE, SELL | {"isLeverage": "0"}),
        (create, Effect.CLOSE, SELL | {"orderType": "Limit"}),
        (create, Effect.CLOSE, SELL | {"orderType": "Limit", "timeInForce": "GTC"}),
        (create, Effect.CLOSE, SELL | {"triggerPrice": "1"}),
        (create, Effect.CLOSE, SELL | {"orderFilter": "tpslOrder"}),
        (create, Effect.CLOSE, SELL | {"stopLoss": "1"}),
        (repay, Effect.CLOSE, {"coin": "BTC"}),
        (repay, Effect.CLOSE, {"amount": "1"}),
        (repay, Effect.CLOSE, {"coin": "BTC", "amount": "0"}),
        (repay, Effect.CLOSE, {"coin": "BTC", "amount": 1}),
        (repay, Effect.CLOSE, {"coin": "BTC", "amount": "1", "repaymentType": "ALL"}),
        (quote, Effect.CLOSE, {"accountType": "eb_convert_funding", "fromCoin": "BTC"}),
        ("privatePostV5AssetExchangeConvertExecute", Effect.CANCEL, {"quoteTxId": "1"}),
        ("privatePostV5OrderCancelAll", Effect.READ, {"category": "spot"}),
        ("privatePostV5OrderCancel", Effect.READ, {"category": "spot"}),
    ]
    async with recorded_venue(exchange="bybit", permission=level) as (venue, fetch):
        for endpoint, effect, params in lies:
            attempt = await venue._client.attempt(Call(endpoint=endpoint, effect=effect, params=params))
            assert isinstance(attempt.error, NotPermitted), (endpoint, params)
        assert fetch.sent == []


@pytest.mark.parametrize("level", LEVELS)
async def test_what_the_profile_does_not_know_leaves_at_no_level(level: Permission) -> None:
    """Withdrawals, transfers, leverage, modes, batches of orders: whatever a call says of itself."""
    names = (
        "OrderCreateBatch",
        "OrderAmend",
        "OrderAmendBatch",
        "OrderDisconnectedCancelAll",
        "PositionSetLeverage",
        "PositionSwitchMode",
        "PositionSwitchIsolated",
        "PositionTradingStop",
        "PositionMovePositions",
        "PositionAddMargin",
        "AccountSetMarginMode",
        "AccountUpgradeToUta",
        "AccountRepay",
        "AccountQuickRepayment",
        "AccountBorrow",
        "AssetTransferInterTransfer",
        "AssetTransferUniversalTransfer",
        "AssetWithdrawCreate",
        "UserCreateSubApi",
        "UserUpdateApi",
        "SpotMarginTradeSwitchMode",
    )
    async with recorded_venue(exchange="bybit", permission=level) as (venue, fetch):
        for name in names:
            endpoint = f"privatePostV5{name}"
            assert hasattr(venue._client.ccxt, endpoint), endpoint
            for effect in Effect:
                attempt = await venue._client.attempt(Call(endpoint=endpoint, effect=effect, params=OPEN))
                assert isinstance(attempt.error, NotPermitted), endpoint
        assert fetch.sent == []


@pytest.mark.parametrize("level", LEVELS)
async def test_an_order_that_opens_needs_the_highest_level(level: Permission) -> None:
    """And says so of itself."""
    call = Call(endpoint="privatePostV5OrderCreate", effect=Effect.OPEN, params=OPEN)
    async with recorded_venue(exchange="bybit", permission=level) as (venue, fetch):
        await venue._client.attempt(call)
        assert len(fetch.sent) == (1 if level is Permission.FULL else 0)


CLOSING: dict[str, Any] = OPEN | {"reduceOnly": True}
FORGED: dict[str, tuple[str, str, str | None]] = {
    "an order": (CREATE, "POST", json.dumps(OPEN)),
    "lower case": (CREATE, "post", json.dumps(OPEN)),
    "in the query": (f"{CREATE}?category=linear&side=Buy&qty=1", "POST", None),
    "both": (f"{CREATE}?reduceOnly=false", "POST", json.dumps(CLOSING)),
    "a form": (CREATE, "POST", "category=linear&side=Buy&reduceOnly=true"),
    "a list": (CREATE, "POST", json.dumps([CLOSING])),
    "no body": (CREATE, "POST", None),
    "half a body": (CREATE, "POST", json.dumps(CLOSING)[:-1]),
    "twice": (CREATE, "POST", json.dumps(CLOSING)[:-1] + ', "reduceOnly": false}'),
    "twice, the other way": (CREATE, "POST", '{"reduceOnly": false, ' + json.dumps(CLOSING)[1:]),
    "twice in other letters": (CREATE, "POST", json.dumps(CLOSING)[:-1] + ', "reduceonly": false}'),
    "escaped path": ("https://api.bybit.com/v5/order/%63reate", "POST", json.dumps(CLOSING)),
    "dotted path": ("https://api.bybit.com/v5/order/cancel/../create", "POST", json.dumps(OPEN)),
    "slash at the end": (CREATE + "/", "POST", json.dumps(CLOSING)),
    "an old product": ("https://api.bybit.com/contract/v3/private/order/create", "POST", json.dumps(CLOSING)),
    "head": (CREATE, "HEAD", None),
    "put": (CREATE, "PUT", json.dumps(CLOSING)),
    "delete": ("https://api.bybit.com/v5/order/cancel", "DELETE", None),
    "a read of something older": ("https://api.bybit.com/v2/private/order/list", "GET", None),
    "a read with a body": ("https://api.bybit.com/v5/position/list", "GET", "{}"),
}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", FORGED)
async def test_a_request_that_is_made_by_hand_is_stopped(name: str, level: Permission) -> None:
    """At ccxt's own door, alone and under the cover of a harmless call."""
    url, method, body = FORGED[name]
    async with recorded_venue(exchange="bybit", permission=level) as (venue, fetch):
        with pytest.raises(NotPermitted):
            await venue._client.ccxt.fetch(url, method, {}, body)
        for effect in (Effect.READ, Effect.CANCEL):
            with wire.recording(Wire(effect=effect)), pytest.raises(NotPermitted):
                await venue._client.ccxt.fetch(url, method, {}, body)
        assert fetch.sent == []


@pytest.mark.parametrize(
    ("path", "document", "effect"),
    [
        ("order/create", CLOSING, Effect.CLOSE),
        ("order/create", CLOSING | {"category": "inverse"}, Effect.CLOSE),
        ("order/create", OPEN, Effect.OPEN),
        ("order/create", SELL, Effect.CLOSE),
        ("order/create", SELL | {"orderType": "Limit", "timeInForce": "IOC", "price": "1"}, Effect.CLOSE),
        ("order/create", SELL | {"side": "Buy"}, Effect.OPEN),
        ("order/create", {}, Effect.OPEN),
        ("order/cancel", {"category": "linear"}, Effect.CANCEL),
        ("order/cancel-batch", {"category": "linear"}, Effect.CANCEL),
        ("order/cancel-all", {"category": "linear"}, Effect.CANCEL),
        ("account/no-convert-repay", {"coin": "BTC", "amount": "1"}, Effect.CLOSE),
        ("account/no-convert-repay", {}, Effect.OPEN),
        ("account/repay", {"coin": "BTC", "amount": "1"}, None),
        ("asset/exchange/quote-apply", {"accountType": "eb_convert_uta"}, Effect.CLOSE),
        ("asset/exchange/convert-execute", {"quoteTxId": "1"}, Effect.CLOSE),
        ("asset/withdraw/create", {}, None),
    ],
)
def test_what_a_request_can_do_is_told_from_the_request_alone(
    path: str, document: dict[str, Any], effect: Effect | None
) -> None:
    """Method, path and document."""
    request = read_request(f"https://api.bybit.com/v5/{path}", "POST", json.dumps(document))
    assert effect_of(request) is effect


@pytest.mark.parametrize(
    ("url", "body"),
    [
        (CREATE, json.dumps(CLOSING)[:-1] + ', "reduceOnly": false}'),
        (CREATE, json.dumps(CLOSING)[:-1] + ', "reduceonly": false}'),
        (f"{CREATE}?reduceOnly=false", json.dumps(CLOSING)),
        (CREATE, json.dumps([CLOSING])),
        (CREATE, "category=linear&reduceOnly=true"),
        (CREATE, "[" * 100_000),
    ],
    ids=range(6),
)
def test_what_can_be_read_in_two_ways_is_not_known(url: str, body: str) -> None:
    """Who knows which of the two the venue takes: it leaves at no level, declared or not."""
    assert effect_of(read_request(url, "POST", body)) is None
