"""Hyperliquid: documented answers and what is made of them; what is not as documented is never taken for nothing.

Shapes: https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api/info-endpoint, .../perpetuals, .../spot,
.../error-responses and .../websocket/subscriptions.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import aiohttp
import pytest

from node.domain.flatten import Quote
from node.domain.permission import Effect, Permission
from node.domain.snapshot import Balance, MarketKind, OpenOrder, Position, PositionSide, Side
from node.domain.steps import Outcome, Refusal, Step
from node.errors import VenueAnswerUnknown, VenueDenied, VenueError, VenueLimited, VenueUnavailable
from node.venues import wire
from node.venues.call import Call, Request
from node.venues.gate import NotPermitted
from node.venues.layout import Layout, Slice
from node.venues.markets import MarketBook
from node.venues.profiles.hyperliquid import HyperliquidProfile
from node.venues.profiles.hyperliquid_answers import dexs_of
from node.venues.profiles.hyperliquid_effects import effect_of
from node.venues.stream import Heard
from node.venues.wire import Wire
from tests.support.hyperliquid_venue import (
    BOOKS,
    DEXS,
    FILLED,
    SIGNER,
    WALLET,
    cancel,
    close,
    done,
    hyperliquid,
    order,
    position,
    sell,
    state,
    twap,
)
from tests.support.venue import Answer, answer

VAULT = "0x1719884eb866cb12b2287399b15f7db5e7d775ea"


# Positions


async def test_the_documented_position() -> None:
    """The venue's own number; the mark price from what the position is worth."""
    async with hyperliquid() as (venue, fetch):
        fetch.said["clearinghouseState:"] = state(position())
        fetch.said["clearinghouseState"] = state()
        fetch.said[f"clearinghouseState:{WALLET}"] = state(position())
        (found,) = (await venue.read_proof("linear")).positions
        assert found == Position(
            slice="linear",
            symbol="ETH/USDC:USDC",
            market_id="ETH",
            side=PositionSide.LONG,
            contracts=Decimal("0.0335"),
            isolated=True,
            mark_price=Decimal("100.02765") / Decimal("0.0335"),
            base_exposure=Decimal("0.0335"),
        )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"szi": "-5.0"}, {"side": PositionSide.SHORT, "contracts": Decimal(5), "base_exposure": Decimal(-5)}),
        ({"leverage": {"type": "cross", "value": 20}}, {"isolated": False}),
        ({"coin": "BTC"}, {"symbol": "BTC/USDC:USDC"}),
        ({"coin": "NEW"}, {"symbol": "NEW", "market_id": "NEW", "base_exposure": None}),
        ({"positionValue": "0.0"}, {"mark_price": None}),
    ],
)
async def test_positions_in_all_their_forms(changes: dict[str, Any], expected: dict[str, Any]) -> None:
    """Short, cross, of a market that is not known, without a price."""
    async with hyperliquid() as (venue, fetch):
        fetch.said |= {f"clearinghouseState:{WALLET}": state(position(**changes)), "clearinghouseState": state()}
        (found,) = (await venue.read_proof("linear")).positions
        assert {name: getattr(found, name) for name in expected} == expected


async def test_positions_of_every_dex_are_seen() -> None:
    """Known by the name of the dex before that of the coin."""
    async with hyperliquid() as (venue, fetch):
        fetch.said |= {
            "clearinghouseState:xyz": state(position(coin="xyz:TSLA")),
            "clearinghouseState:km": state(position(coin="km:US500"), position(coin="km:OTHER")),
        }
        found = (await venue.read_proof("linear")).positions
        assert [each.symbol for each in found] == ["KM-US500/USDH:USDH", "km:OTHER", "XYZ-TSLA/USDC:USDC"]


async def test_nothing_is_left_of_a_position_without_a_size() -> None:
    """A row of zero is none."""
    async with hyperliquid() as (venue, fetch):
        fetch.said[f"clearinghouseState:{WALLET}"] = state(position(szi="0.0"))
        assert (await venue.read_proof("linear")).positions == ()


async def test_a_position_in_a_dex_that_is_not_known_yet_stands_in_the_way_of_a_proof() -> None:
    """It is shown beside the positions, and no list has it."""
    async with hyperliquid() as (venue, fetch):
        fetch.said |= {"perpDexs": [*DEXS, {"name": "new"}], "clearinghouseState:new": state(position(coin="new:X"))}
        with pytest.raises(VenueAnswerUnknown, match="new:X"):
            await venue.read_proof("linear")
        assert (await venue.read_slice("linear")).positions_doubtful


async def test_what_the_account_holds_must_have_been_listed() -> None:
    """Positions are worth something, and there are none: another answer would have shown them."""
    async with hyperliquid() as (venue, fetch):
        fetch.said[f"clearinghouseState:{WALLET}"] = state(worth="100.0")
        with pytest.raises(VenueAnswerUnknown, match="worth 100"):
            await venue.read_proof("linear")


async def test_the_worth_of_a_unified_accounts_dexs_says_nothing() -> None:
    """By the venue's own word; the positions do."""
    async with hyperliquid(options={"account": "unified"}) as (venue, fetch):
        fetch.said[f"clearinghouseState:{WALLET}"] = state(worth="100.0")
        assert (await venue.read_proof("linear")).positions == ()


# Orders


async def test_orders_and_triggers_are_one_list() -> None:
    """Of all dexs; spot's belong to the other slice."""
    stop = order(
        oid=2, isTrigger=True, reduceOnly=True, side="B", orderType="Stop Market", isPositionTpsl=True, sz="0.0"
    )
    async with hyperliquid() as (venue, fetch):
        fetch.said |= {
            f"frontendOpenOrders:{WALLET}": [order(cloid="0x00"), stop, order(coin="@142", oid=3), order(coin="#10")],
            "frontendOpenOrders:xyz": [order(coin="xyz:TSLA", oid=4)],
        }
        plain, trigger, other = (await venue.read_proof("linear")).orders or ()
        assert plain == OpenOrder(
            slice="linear",
            symbol="BTC/USDC:USDC",
            market_id="BTC",
            order_id="91490942",
            client_order_id="0x00",
            side=Side.SELL,
            remaining=Decimal(5),
        )
        assert (trigger.order_id, trigger.trigger, trigger.protective, trigger.remaining) == ("2", True, True, None)
        assert (trigger.side, other.market_id) == (Side.BUY, "xyz:TSLA")
        spot = (await venue.read_proof("spot")).orders or ()
        assert [each.symbol for each in spot] == ["BTC/USDC", "#10"]


async def test_a_list_as_the_venue_has_really_given_it() -> None:
    """From its own SDK's recordings: without cloid; children beside the order that they belong to."""
    child = order(coin="ETH", oid=3184595906, isTrigger=True, reduceOnly=True, tif=None)
    parent = order(coin="ETH", oid=3184595905, side="B", children=[child])
    for each in (child, parent):
        del each["cloid"]
    async with hyperliquid() as (venue, fetch):
        fetch.said[f"frontendOpenOrders:{WALLET}"] = [child, parent]
        found = (await venue.read_proof("linear")).orders or ()
        assert [(each.order_id, each.trigger) for each in found] == [("3184595906", True), ("3184595905", False)]


async def test_twap_orders_go_on_by_themselves_and_are_orders() -> None:
    """Running ones, by the last that is said of each; also those that wait for a price."""
    rows = [
        twap(1, "activated"),
        twap(1, "finished"),
        twap(2, "activated", coin="xyz:TSLA"),
        twap(3, "waitingForTrigger", reduceOnly=True, side="A"),
        twap(4, "activated"),
        twap(4, "terminated"),
        twap(5, "activated", coin="PURR/USDC"),
        {k: v for k, v in twap(6, "error").items() if k != "twapId"},
        twap(7, "stopped"),
    ]
    async with hyperliquid() as (venue, fetch):
        fetch.said["twapHistory"] = rows
        first, second = (await venue.read_proof("linear")).orders or ()
        assert (first.order_id, first.market_id, first.trigger) == ("twap-2", "xyz:TSLA", True)
        assert (first.remaining, first.protective) == (Decimal("0.75"), False)
        assert (second.order_id, second.protective, second.side) == ("twap-3", True, Side.SELL)
        spot = (await venue.read_proof("spot")).orders or ()
        assert [each.order_id for each in spot] == ["twap-5"]


async def test_a_history_that_may_be_cut_off_is_not_the_whole() -> None:
    """Unless it goes back further than a TWAP order lives."""
    async with hyperliquid() as (venue, fetch):
        fetch.said["twapHistory"] = [twap(number, "finished") for number in range(2000)]
        with pytest.raises(VenueAnswerUnknown, match="may not be the whole"):
            await venue.read_proof("linear")
        fetch.said["twapHistory"].append(twap(3000, "finished", 1704261007 - 9 * 86_400))
        assert (await venue.read_proof("linear")).orders == ()


# Wallets


async def test_spot_balances_by_the_names_of_the_markets() -> None:
    """UBTC is BTC, as ccxt names it; what is held is locked; nothing of nothing."""
    rows = [
        {"coin": "USDC", "token": 0, "hold": "10.5", "total": "14.625485", "entryNtl": "0.0"},
        {"coin": "UBTC", "token": 197, "hold": "0", "total": "0.5", "entryNtl": "1.0"},
        {"coin": "PURR", "token": 1, "hold": "0", "total": "0.0", "entryNtl": "0.0"},
        {"coin": "+12", "hold": "0.0", "total": "3.0", "entryNtl": "0.0"},
        {"coin": "HYPE", "token": 150, "hold": "7", "total": "5", "borrowed": "2.5", "entryNtl": "0.0"},
    ]
    async with hyperliquid() as (venue, fetch):
        fetch.said["spotClearinghouseState"] = {"balances": rows}
        assert (await venue.read_proof("spot")).balances == (
            Balance(slice="spot", asset="USDC", free=Decimal("4.125485"), locked=Decimal("10.5")),
            Balance(slice="spot", asset="BTC", free=Decimal("0.5"), locked=Decimal(0)),
            Balance(slice="spot", asset="+12", free=Decimal("3.0"), locked=Decimal("0.0")),
            Balance(slice="spot", asset="HYPE", free=Decimal(0), locked=Decimal(5), debt=Decimal("2.5")),
        )


@pytest.mark.parametrize(("account", "count"), [("standard", 1), ("unified", 0)])
async def test_the_perpetuals_dollars_are_reported_once(account: str, count: int) -> None:
    """A unified account's are in spot's wallet already."""
    rich = state(total="1000.0") | {"withdrawable": "400.0"}
    async with hyperliquid(options={"account": account}) as (venue, fetch):
        fetch.said |= {f"clearinghouseState:{WALLET}": rich, "clearinghouseState:xyz": state(total="5.0")}
        found = (await venue.read_proof("linear")).balances
        assert found == (Balance(slice="linear", asset="USDC", free=Decimal(400), locked=Decimal(600)),) * count


async def test_a_wallet_below_zero_is_a_debt() -> None:
    """After a liquidation that came too late."""
    async with hyperliquid() as (venue, fetch):
        fetch.said[f"clearinghouseState:{WALLET}"] = state(total="-3.0")
        (found,) = (await venue.read_proof("linear")).balances or ()
        assert (found.free, found.debt) == (Decimal(0), Decimal(3))


# What is not as documented

GARBAGE: tuple[Any, ...] = (
    None,
    "",
    "null",
    [],
    {},
    [None],
    [[]],
    ["x"],
    [{}],
    0,
    1,
    True,
    "[]",
    {"status": "ok"},
    {"error": "x"},
)


@pytest.mark.parametrize("garbage", GARBAGE, ids=repr)
@pytest.mark.parametrize(
    "kind", ["clearinghouseState", "frontendOpenOrders", "twapHistory", "perpDexs", "spotClearinghouseState"]
)
async def test_garbage_never_becomes_an_empty_result(kind: str, garbage: Any) -> None:
    """Whatever is asked; an empty list is one only where a list is due, and dexs are never none at all."""
    if garbage == [] and kind in ("frontendOpenOrders", "twapHistory"):
        return
    if garbage == [None] and kind == "perpDexs":
        return  # there is the venue's own, and no other
    async with hyperliquid() as (venue, fetch):
        fetch.said = {name: said for name, said in fetch.said.items() if not name.startswith(kind)}
        fetch.said[kind] = Answer(body="") if garbage == "" else answer(garbage)
        with pytest.raises(VenueError):
            await venue.read_proof("spot" if kind == "spotClearinghouseState" else "linear")


def without(source: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The same with a field missing."""
    return {key: value for key, value in source.items() if key != name}


STRANGE_STATES: tuple[Any, ...] = (
    {**state(position()), "assetPositions": [{"position": position(), "type": "hedge"}]},
    {**state(position()), "assetPositions": [{"position": position()}]},
    {**state(position()), "assetPositions": [{"type": "oneWay"}]},
    *(state(without(position(), name)) for name in ("coin", "szi", "leverage", "positionValue")),
    *(state(position(szi=size)) for size in (None, "", "x", "NaN", "Infinity", True)),
    state(position(szi=[])),
    state(position(leverage={"type": "portfolio", "value": 1})),
    state(position(leverage={"value": 1})),
    state(position(coin="xyz:TSLA")),  # another dex's answer
    without(state(), "assetPositions"),
    without(state(), "marginSummary"),
)


@pytest.mark.parametrize("strange", STRANGE_STATES, ids=range(len(STRANGE_STATES)))
async def test_strange_positions_are_not_understood(strange: Any) -> None:
    """A missing size, mode or margin is not guessed."""
    async with hyperliquid() as (venue, fetch):
        fetch.said[f"clearinghouseState:{WALLET}"] = strange
        with pytest.raises(VenueAnswerUnknown):
            await venue.read_proof("linear")
        with pytest.raises(VenueAnswerUnknown):
            await venue.read_positions("linear")


STRANGE_ORDERS: tuple[Any, ...] = (
    *([without(order(), name)] for name in ("coin", "oid", "side", "sz", "isTrigger", "reduceOnly")),
    [order(side="buy")],
    [order(sz="x")],
    [order(oid=None)],
    [order(reduceOnly="maybe")],
    [order(), None],
)


@pytest.mark.parametrize("strange", STRANGE_ORDERS, ids=range(len(STRANGE_ORDERS)))
async def test_strange_orders_are_not_understood(strange: Any) -> None:
    """In either slice."""
    async with hyperliquid() as (venue, fetch):
        fetch.said["frontendOpenOrders"] = strange
        for name in ("spot", "linear"):
            with pytest.raises(VenueAnswerUnknown):
                await venue.read_proof(name)


STRANGE_TWAPS: tuple[Any, ...] = (
    [twap(1, "paused")],
    [without(twap(1, "activated"), "twapId")],
    [without(twap(1, "finished"), "twapId")],
    [without(twap(1, "activated"), "status")],
    [without(twap(1, "activated"), "state")],
    [without(twap(1, "activated"), "time")],
    [twap(1, "activated", side="Z")],
    [twap(1, "activated", sz=None)],
)


@pytest.mark.parametrize("strange", STRANGE_TWAPS, ids=range(len(STRANGE_TWAPS)))
async def test_strange_twap_orders_are_not_understood(strange: Any) -> None:
    """What may go on trading is not overlooked."""
    async with hyperliquid() as (venue, fetch):
        fetch.said["twapHistory"] = strange
        with pytest.raises(VenueAnswerUnknown):
            await venue.read_proof("linear")


@pytest.mark.parametrize("dexs", [[None, {}], [None, {"name": ""}], [None, "xyz"], [{"name": "xyz"}], [None, 7]])
async def test_strange_dexs_are_not_understood(dexs: Any) -> None:
    """One may be where a position is."""
    async with hyperliquid() as (venue, fetch):
        fetch.said["perpDexs"] = dexs
        with pytest.raises(VenueAnswerUnknown):
            await venue.read_proof("linear")


async def test_a_dex_that_is_no_more_is_passed_over() -> None:
    """Its place stays, so that the others keep their numbers."""
    async with hyperliquid() as (venue, fetch):
        fetch.said["perpDexs"] = [None, None, {"name": "km"}]
        await venue.read_proof("linear")


@pytest.mark.parametrize("kind", ["clearinghouseState:km", "frontendOpenOrders:xyz", "twapHistory", "perpDexs"])
@pytest.mark.parametrize(
    ("given", "error"),
    [
        (answer(None, 500), VenueUnavailable),
        (Answer(body="Failed to deserialize the JSON body into the target type", status=422), VenueUnavailable),
        (answer(None, 429, retry_after="7"), VenueLimited),
        (TimeoutError(), VenueUnavailable),
        (aiohttp.ServerDisconnectedError(), VenueUnavailable),
        (Answer(body="<html>"), VenueAnswerUnknown),
        (Answer(body='[{"coin":'), VenueAnswerUnknown),
    ],
)
async def test_a_list_that_cannot_be_had_leaves_the_slice_unread(
    kind: str, given: Any, error: type[VenueError]
) -> None:
    """One dex's is enough."""
    async with hyperliquid() as (venue, fetch):
        fetch.said[kind] = given
        with pytest.raises(error):
            await venue.read_proof("linear")


# Markets, prices, key


async def test_market_rules() -> None:
    """Numbers by .../asset-ids, sizes and prices by .../tick-and-lot-size; names as ccxt has them."""
    tokens = [("USDC", 0, 8), ("PURR", 1, 0), ("HFUN", 2, 2), ("UBTC", 197, 5), ("USDH", 360, 2)]
    spot = {
        "tokens": [{"name": name, "szDecimals": digits, "index": index} for name, index, digits in tokens],
        "universe": [
            {"name": "PURR/USDC", "tokens": [1, 0], "index": 0},
            {"name": "@142", "tokens": [197, 0], "index": 142},
            {"name": "@999", "tokens": [998, 0], "index": 999},
        ],
    }
    main = [
        {"name": "BTC", "szDecimals": 5, "maxLeverage": 50},
        {"name": "kX", "szDecimals": 0, "maxLeverage": 3},
        {"name": "KX", "szDecimals": 0, "maxLeverage": 3, "isDelisted": True},
    ]
    async with hyperliquid() as (venue, fetch):
        fetch.said |= {
            "spotMeta": spot,
            "meta:": {"universe": main, "collateralToken": 0},
            "meta:xyz": {"universe": [{"name": "xyz:A", "szDecimals": 2}, {"name": "xyz:TSLA", "szDecimals": 3}]},
            "meta:km": {"universe": [{"name": "km:US500", "szDecimals": 3}], "collateralToken": 360},
        }
        spots = {rule.symbol: rule for rule in await venue._reader.markets(MarketKind.SPOT)}
        assert {symbol: (rule.market_id, rule.number) for symbol, rule in spots.items()} == {
            "PURR/USDC": ("PURR/USDC", 10000),
            "BTC/USDC": ("@142", 10142),
        }
        found = {rule.symbol: rule for rule in await venue._reader.markets(MarketKind.LINEAR)}
        assert {symbol: (rule.market_id, rule.number) for symbol, rule in found.items()} == {
            "BTC/USDC:USDC": ("BTC", 0),
            "KX/USDC:USDC": ("kX", 1),
            "KX": ("KX", 2),
            "XYZ-A/USDC:USDC": ("xyz:A", 110000),
            "XYZ-TSLA/USDC:USDC": ("xyz:TSLA", 110001),
            "KM-US500/USDH:USDH": ("km:US500", 120000),
        }
        bitcoin, both = found["BTC/USDC:USDC"], (spots["BTC/USDC"], found["BTC/USDC:USDC"])
        assert all(rule.quantity_step == Decimal("0.00001") for rule in both)
        assert [rule.price_tick for rule in both] == [Decimal("0.001"), Decimal("0.1")]
        assert all(rule.notional_min == 10 and not rule.market_orders for rule in both)
        assert (bitcoin.trading, found["KX"].trading, bitcoin.contract_size) == (True, False, Decimal(1))
        assert (bitcoin.base, bitcoin.quote, bitcoin.settle) == ("BTC", "USDC", "USDC")
        assert found["KM-US500/USDH:USDH"].settle == "USDH"


@pytest.mark.parametrize("kind", list(BOOKS))
async def test_strange_markets_are_not_understood(kind: MarketKind) -> None:
    """None at all, or none that could be traded by what is said of them."""
    async with hyperliquid() as (venue, fetch):
        strange: tuple[dict[str, Any], ...] = (
            {"spotMeta": {}},
            {"spotMeta": {"tokens": [], "universe": []}, "meta": {"universe": []}},
            {"spotMeta": {"tokens": [{"name": "USDC", "index": 0}], "universe": [{"tokens": [0]}]}, "meta": {}},
        )
        for said in strange:
            fetch.said |= said
            with pytest.raises(VenueAnswerUnknown):
                await venue._reader.markets(kind)


async def test_quotes() -> None:
    """A book with one side has no price; another market's, or none, is no answer."""
    async with hyperliquid() as (venue, fetch):
        bid, ask = {"px": "0.2", "sz": "1", "n": 1}, {"px": "0.3", "sz": "1", "n": 1}
        fetch.said["l2Book"] = {"coin": "PURR/USDC", "time": 1, "levels": [[bid], [ask]]}
        quote = Quote(symbol="PURR/USDC", bid=Decimal("0.2"), ask=Decimal("0.3"))
        assert await venue.quotes({"PURR/USDC"}) == {"PURR/USDC": quote}
        fetch.said["l2Book"] = {"coin": "PURR/USDC", "time": 1, "levels": [[], [ask]]}
        assert await venue.quotes({"PURR/USDC"}) == {}
        strange: tuple[Any, ...] = (
            None,
            {"coin": "@142", "levels": [[bid], [ask]]},
            {"coin": "PURR/USDC", "levels": [[bid]]},
            {"coin": "PURR/USDC", "levels": [[ask], [bid]]},
            {"coin": "PURR/USDC", "levels": [[{"px": "x"}], [ask]]},
        )
        for each in strange:
            fetch.said["l2Book"] = each
            with pytest.raises(VenueAnswerUnknown):
                await venue.quotes({"PURR/USDC"})


@pytest.mark.parametrize(
    ("role", "mode", "error"),
    [
        ({"role": "agent", "data": {"user": WALLET}}, "disabled", None),
        ({"role": "agent", "data": {"user": WALLET.upper().replace("X", "x")}}, "default", None),
        ({"role": "agent", "data": {"user": WALLET}}, "unifiedAccount", "unified"),
        ({"role": "agent", "data": {"user": WALLET}}, "portfolioMargin", "portfolio"),
        ({"role": "agent", "data": {"user": WALLET}}, "somethingNew", "mode"),
        ({"role": "agent", "data": {"user": VAULT}}, "default", f"API wallet of {VAULT}"),
        ({"role": "agent"}, "default", "data"),
        ({"role": "user"}, "default", f"key of {SIGNER}"),
        ({"role": "missing"}, "default", f"key of {SIGNER}"),
        ({}, "default", "role"),
    ],
)
async def test_whose_key_it_is_and_what_kind_of_account(role: Any, mode: str, error: str | None) -> None:
    """A wrong one degrades the account: at an API wallet's own address there is never anything to be seen."""
    async with hyperliquid() as (venue, fetch):
        fetch.said |= {"userRole": role, "userAbstraction": mode}
        if error is None:
            await venue._read_key()
            assert venue.key_facts is not None
            assert (venue.key_facts.may_trade, venue.key_facts.may_withdraw) == (True, False)
            return
        with pytest.raises(VenueError, match=error):
            await venue._read_key()


async def test_the_accounts_own_key_may_withdraw() -> None:
    """Better is an API wallet's."""
    key = {"walletAddress": SIGNER, "privateKey": "0x" + "0123456789" * 6 + "0123"}
    async with hyperliquid(credentials=key) as (venue, fetch):
        fetch.said |= {"userRole": {"role": "user"}, "userAbstraction": "default"}
        await venue._read_key()
        assert venue.key_facts is not None
        assert venue.key_facts.may_withdraw is True
        fetch.said["userRole"] = {"role": "agent", "data": {"user": WALLET}}
        with pytest.raises(VenueDenied, match="API wallet"):
            await venue._read_key()


@pytest.mark.parametrize(
    ("role", "right"),
    [
        ({"role": "vault"}, True),
        ({"role": "subAccount", "data": {"master": WALLET}}, True),
        ({"role": "subAccount", "data": {"master": SIGNER}}, False),
        ({"role": "user"}, False),
        ({"role": "missing"}, False),
    ],
)
async def test_a_vault_must_be_the_accounts(role: Any, right: bool) -> None:
    """Any other address would be read, and nothing could be done there."""
    async with hyperliquid(options={"vaultAddress": VAULT}) as (venue, fetch):
        fetch.said |= {
            f"userRole:{SIGNER}": {"role": "agent", "data": {"user": WALLET}},
            f"userRole:{VAULT}": role,
            "userAbstraction": "default",
        }
        if right:
            await venue._read_key()
        else:
            with pytest.raises(VenueDenied, match="vaultAddress"):
                await venue._read_key()


# Outcomes

ORDER_WORDS = [
    ("Price must be divisible by tick size.", Refusal.OTHER),
    ("Order must have minimum value of $10.", Refusal.TOO_SMALL),
    ("Order must have minimum value of 10 USDC.", Refusal.TOO_SMALL),
    ("Order has zero size.", Refusal.TOO_SMALL),
    ("Insufficient margin to place order.", Refusal.INSUFFICIENT),
    ("Reduce only order would increase position.", Refusal.NOTHING_TO_REDUCE),
    ("Post only order would have immediately matched, bbo was 1@2.", Refusal.OTHER),
    ("Order could not immediately match against any resting orders.", Refusal.UNFILLED),
    ("Invalid TP/SL price.", Refusal.OTHER),
    ("No liquidity available for market order.", Refusal.UNFILLED),
    ("Order would increase open interest while open interest is capped", Refusal.OTHER),
    ("Order rejected due to price more aggressive than oracle while at open interest cap", Refusal.PRICE_BAND),
    ("Order would increase open interest too quickly", Refusal.OTHER),
    ("Insufficient spot balance", Refusal.INSUFFICIENT),
    ("Order has insufficient spot balance to trade", Refusal.INSUFFICIENT),
    ("Order price too far from oracle", Refusal.PRICE_BAND),
    ("Price too far from oracle", Refusal.PRICE_BAND),
    ("Order price cannot be more than 80% away from the reference price", Refusal.PRICE_BAND),
    ("Order would cause position to exceed margin tier limit at current leverage", Refusal.OTHER),
    ("Trading is halted.", Refusal.MARKET_CLOSED),
    ("Only post-only orders allowed immediately after a network upgrade", Refusal.OVERLOADED),
    ("Words that nobody has seen yet.", Refusal.OTHER),
]


@pytest.mark.parametrize(("words", "refusal"), ORDER_WORDS)
async def test_what_is_said_of_an_order(words: str, refusal: Refusal) -> None:
    """The venue's own refusal of one order, with the number of the market behind it."""
    async with hyperliquid() as (venue, fetch):
        fetch.said["exchange"] = done({"error": f"{words} asset=1"})
        result = await venue.execute(close())
        assert (result.outcome, result.refusal) == (Outcome.REFUSED, refusal)
        assert words in (result.message or "")


ACTION_WORDS = [
    ("User or API Wallet 0xb8a6f8b26223de27c31938d56e470a5b832703a5 does not exist.", Refusal.DENIED),
    ("L1 error: User or API Wallet 0xb8a6f8b26223de27c31938d56e470a5b832703a5 does not exist.", Refusal.DENIED),
    ("Must deposit before performing actions. User: 0xb8a6f8b26223de27c31938d56e470a5b832703a5", Refusal.DENIED),
    ("Unable to recover signer.", Refusal.DENIED),
    ("Mainnet and testnet require different signature.", Refusal.DENIED),
    (f"Vault not registered: {VAULT}", Refusal.DENIED),
    ("Multi-sig required", Refusal.DENIED),
    ("Too many cumulative requests sent (37986 > 10436) for cumulative volume traded $437.92.", Refusal.RATE_LIMITED),
    ("Action already expired", Refusal.OTHER),
    ("Invalid nonce: nonce too low 1791140676851 < 1791227196699", Refusal.OTHER),
    ("Invalid nonce: nonce too high 1791572677029 > 1791486156858", Refusal.OTHER),
    ("Order has invalid price.", Refusal.OTHER),
    ("Order has invalid size.", Refusal.OTHER),
    ("Price must be divisible by tick size.", Refusal.OTHER),
    ("Reduce only order would increase position.", Refusal.NOTHING_TO_REDUCE),
    ("Invalid nonce: duplicate nonce 1791399877207", None),  # the same request has arrived before
    ("Unexpected error (code=148)", None),
    ("Words that nobody has seen yet.", None),
]


@pytest.mark.parametrize("step", [close(), sell(), cancel("1")], ids=["close", "sell", "cancel"])
@pytest.mark.parametrize(("words", "refusal"), ACTION_WORDS)
async def test_what_is_said_of_an_action(words: str, refusal: Refusal | None, step: Step) -> None:
    """Only what is known for certain is a refusal."""
    async with hyperliquid() as (venue, fetch):
        fetch.said |= {"exchange": {"status": "err", "response": words}, "exchangeStatus": {"time": 1795169098647}}
        result = await venue.execute(step)
        expected = (Outcome.AMBIGUOUS, None) if refusal is None else (Outcome.REFUSED, refusal)
        assert (result.outcome, result.refusal) == expected
        measured = "exchangeStatus" in {each["type"] for each in fetch.asked()}
        assert measured == any(piece in words for piece in ("expired", "too low", "too high"))
        fetch.said["exchange"] = answer({"status": "err", "response": words}, 500)
        assert (await venue.execute(step)).outcome is Outcome.AMBIGUOUS or refusal is Refusal.RATE_LIMITED


async def test_an_account_that_has_sent_too_much_waits_and_nobody_else() -> None:
    """Its own actions, for ten seconds, and cancels apart from orders; reads go on."""
    async with hyperliquid() as (venue, fetch):
        words = "Too many cumulative requests sent (2 > 1) for cumulative volume traded $4."
        fetch.said["exchange"] = {"status": "err", "response": words}
        assert (await venue.execute(close())).retry_after_s == 10
        held_back = await venue.execute(close())
        assert (held_back.refusal, held_back.sent_ns) == (Refusal.RATE_LIMITED, None)
        assert len(fetch.sent) == 1
        fetch.said["exchange"] = done("success", kind="cancel")
        assert (await venue.execute(cancel("1"))).outcome is Outcome.DONE
        await venue.read_proof("linear")


async def test_too_many_requests_of_an_address() -> None:
    """HTTP 429, with or without a time; then everything waits."""
    async with hyperliquid() as (venue, fetch):
        fetch.said["exchange"] = answer(None, 429, retry_after="5")
        result = await venue.execute(close())
        assert (result.outcome, result.refusal, result.retry_after_s) == (Outcome.REFUSED, Refusal.RATE_LIMITED, 5)
        with pytest.raises(VenueLimited):
            await venue.read_positions("linear")


@pytest.mark.parametrize(
    ("status", "filled"),
    [
        ({"filled": {"totalSz": "0.02", "avgPx": "1891.4", "oid": 77747314}}, Decimal("0.02")),
        ({"filled": {"totalSz": "0.02", "avgPx": "1891.4", "oid": 7, "cloid": "0x00"}}, Decimal("0.02")),
        ({"resting": {"oid": 77738308}}, None),
    ],
)
async def test_done_with_the_venues_number(status: Any, filled: Decimal | None) -> None:
    """What was filled, in the order's own units."""
    async with hyperliquid() as (venue, fetch):
        fetch.said["exchange"] = done(status)
        result = await venue.execute(close())
        assert (result.outcome, result.filled) == (Outcome.DONE, filled)


UNCLEAR: tuple[Any, ...] = (
    *GARBAGE,
    done(),
    done({"filled": {"totalSz": "0.02"}}),
    done({"filled": {"oid": 1}}),
    done({"filled": {"totalSz": "x", "oid": 1}}),
    done({"resting": {}}),
    done({"resting": {"oid": None}}),
    done("waitingForFill"),
    done("success"),
    done({"error": ""}),
    done({"error": 7}),
    done(None),
    done({"resting": {"oid": 1}}, {"resting": {"oid": 2}}),
    done({"resting": {"oid": 1}}, kind="cancel"),
    {"status": "ok", "response": {"type": "order"}},
    {"status": "ok", "response": {"type": "order", "data": {"statuses": "success"}}},
    {"status": "ok", "response": {"type": "default"}},
    {"status": "ok", "response": "fine"},
    {"response": {"type": "order", "data": {"statuses": [{"resting": {"oid": 1}}]}}},
    {"status": "err", "response": {"text": "no"}},
    {"status": "err"},
    {"status": "unknownOid"},
)


@pytest.mark.parametrize("said", UNCLEAR, ids=repr)
@pytest.mark.parametrize("step", [close(), sell()], ids=["close", "sell"])
async def test_an_answer_that_shows_no_order_proves_nothing(said: Any, step: Step) -> None:
    """It may have been executed."""
    async with hyperliquid() as (venue, fetch):
        fetch.said["exchange"] = Answer(body="") if said == "" else answer(said)
        assert (await venue.execute(step)).outcome is Outcome.AMBIGUOUS


@pytest.mark.parametrize(
    "given",
    [
        answer(None, 500),
        answer(FILLED, 502),
        Answer(body="<html>", status=502),
        Answer(body=""),
        Answer(body='{"status":"ok","respon'),
        Answer(body="Failed to deserialize the JSON body into the target type", status=422),
        answer({"status": "err", "response": "Insufficient margin to place order."}, 503),
        answer({"status": "err", "response": "Insufficient margin to place order."}, 302),
        TimeoutError(),
        asyncio.IncompleteReadError(b"", 5),
        aiohttp.ServerDisconnectedError(),
        aiohttp.ClientPayloadError("cut off"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("step", [close(), sell(), cancel("1")], ids=["close", "sell", "cancel"])
async def test_what_breaks_after_it_was_sent_may_have_happened(given: Any, step: Step) -> None:
    """5xx, redirections, time-outs, answers that are cut off."""
    async with hyperliquid() as (venue, fetch):
        fetch.said["exchange"] = given
        assert (await venue.execute(step)).outcome is Outcome.AMBIGUOUS


GONE = {"error": "Order was never placed, already canceled, or filled. asset=1"}
HARD = {"error": "Something else. asset=1"}


@pytest.mark.parametrize(
    ("statuses", "outcome", "refusal"),
    [
        (["success", "success"], Outcome.DONE, None),
        (["success", GONE], Outcome.DONE, None),
        ([GONE, GONE], Outcome.REFUSED, Refusal.UNKNOWN_ORDER),
        (["success", HARD], Outcome.REFUSED, Refusal.OTHER),
        ([GONE, HARD], Outcome.REFUSED, Refusal.OTHER),
        (["success"], Outcome.AMBIGUOUS, None),
        (["success", "success", "success"], Outcome.AMBIGUOUS, None),
        (["success", "maybe"], Outcome.AMBIGUOUS, None),
        (["success", None], Outcome.AMBIGUOUS, None),
        ([], Outcome.AMBIGUOUS, None),
    ],
)
async def test_of_several_cancels_the_worst_counts(statuses: list[Any], outcome: Outcome, refusal: Any) -> None:
    """An order that is gone is no trouble; one without a status may be there."""
    async with hyperliquid() as (venue, fetch):
        fetch.said["exchange"] = done(*statuses, kind="cancel")
        result = await venue.execute(cancel("1", "2"))
        assert (result.outcome, result.refusal) == (outcome, refusal)


async def test_an_answer_to_another_action_proves_nothing() -> None:
    """Even one that says success."""
    async with hyperliquid() as (venue, fetch):
        fetch.said["exchange"] = done("success", kind="order")
        assert (await venue.execute(cancel("1"))).outcome is Outcome.AMBIGUOUS


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("success", Outcome.DONE),
        ({"error": "TWAP was never placed, already canceled, or filled."}, Outcome.REFUSED),
        ("what", Outcome.AMBIGUOUS),
        (None, Outcome.AMBIGUOUS),
    ],
)
async def test_a_twap_order_is_cancelled_or_gone(status: Any, outcome: Outcome) -> None:
    """It has one status, and no list."""
    async with hyperliquid() as (venue, fetch):
        fetch.said["exchange"] = {"status": "ok", "response": {"type": "twapCancel", "data": {"status": status}}}
        result = await venue.execute(cancel("twap-7", trigger=True))
        assert result.outcome is outcome
        assert result.refusal is (Refusal.UNKNOWN_ORDER if outcome is Outcome.REFUSED else None)


async def test_an_order_and_what_became_of_it() -> None:
    """It is there by its own cloid, or the venue says that it never was; anything else is not known."""
    mine = order(coin="PURR/USDC", cloid="0x394d1e873ac8b35cd129ce0876b47677")
    async with hyperliquid() as (venue, fetch):
        for said, known in (
            ({"status": "order", "order": {"order": mine, "status": "filled", "statusTimestamp": 1}}, True),
            ({"status": "order", "order": {"order": mine, "status": "iocCancelRejected"}}, True),
            ({"status": "unknownOid"}, False),
            ({"status": "order", "order": {"order": order(), "status": "filled"}}, None),
            ({"status": "order"}, None),
            ({"status": "missing"}, None),
            (answer({"status": "unknownOid"}, 500), None),
            (answer(None, 500), None),
            ([], None),
            (None, None),
        ):
            fetch.said["orderStatus"] = said
            assert await venue.filled(sell()) is known, said


# The gate

LEVELS = list(Permission)
CANCELS: tuple[Step, ...] = (cancel("1"), cancel("1", "2", trigger=True), cancel("twap-3", trigger=True))
CLOSES: tuple[Step, ...] = (close(), close(side=PositionSide.SHORT), close(market_id="xyz:TSLA"), sell())


@pytest.mark.parametrize("level", LEVELS)
async def test_every_step_leaves_at_its_level_and_not_below(level: Permission) -> None:
    """Below it the outcome says why, and that nothing was sent."""
    async with hyperliquid(permission=level) as (venue, fetch):
        fetch.said["frontendOpenOrders"] = [order(coin="PURR/USDC")]
        for steps, effect in ((CANCELS, Effect.CANCEL), (CLOSES, Effect.CLOSE)):
            for step in steps:
                fetch.sent.clear()
                result = await venue.execute(step)
                acted = [each for each in fetch.sent if each.path == "/exchange"]
                assert len(acted) == int(level.allows(effect)), step
                if not level.allows(effect):
                    assert (result.outcome, result.refusal) == (Outcome.REFUSED, Refusal.PERMISSION)
                    assert level.value in (result.message or "")


@pytest.mark.parametrize("level", LEVELS)
async def test_reads_are_open_to_every_level(level: Permission) -> None:
    """A guard that may do nothing still sees."""
    async with hyperliquid(permission=level) as (venue, fetch):
        for name in venue.slices:
            await venue.read_proof(name)
        assert {each.path for each in fetch.sent} == {"/info"}


def request(action: Any, path: str = "/exchange", method: str = "POST", **more: Any) -> Request:
    """One action as it would leave."""
    body = json.dumps({"action": action, "nonce": 1, "signature": {"r": "0x1", "s": "0x2", "v": 27}, **more})
    return Request(method=method, host="api.hyperliquid.xyz", path=path, params={}, body=body)


def placing(**changes: Any) -> dict[str, Any]:
    """An action that closes."""
    fields = {"a": 1, "b": False, "p": "1", "s": "1", "r": True, "t": {"limit": {"tif": "Ioc"}}}
    return {"type": "order", "orders": [fields | changes], "grouping": "na"}


RESTING = {"limit": {"tif": "Gtc"}}


@pytest.mark.parametrize(
    ("action", "effect"),
    [
        (placing(), Effect.CLOSE),
        (placing(a=110001), Effect.CLOSE),
        (placing(r=False), Effect.OPEN),
        (placing(r="true"), Effect.OPEN),
        (placing(r=1), Effect.OPEN),
        (placing(a=10000, r=False), Effect.CLOSE),
        (placing(a=10000, b=True), Effect.OPEN),  # "reduce only" means nothing on spot
        (placing(a=10000, t=RESTING), Effect.OPEN),
        (placing(a=99999, b=True), Effect.OPEN),
        (placing(a=100_000_000, r=False), Effect.OPEN),  # an outcome
        (placing(a="1"), None),
        (placing(a=True), None),
        (placing(x=1), None),
        (placing() | {"builder": {"b": "0x6530512a6c89c7cfcebc3ba7fcd9ada5f30827a6", "f": 0}}, None),
        (placing() | {"grouping": "positionTpsl"}, None),
        (placing() | {"grouping": {"p": 1}}, None),
        (placing() | {"orders": []}, None),
        (placing() | {"orders": [7]}, None),
        (placing() | {"orders": {}}, None),
        ({**placing(), "orders": [*placing()["orders"], *placing(r=False)["orders"]]}, Effect.OPEN),
        ({"type": "cancel", "cancels": [{"a": 1, "o": 1}]}, Effect.CANCEL),
        ({"type": "cancelByCloid", "cancels": [{"asset": 1, "cloid": "0x0"}]}, Effect.CANCEL),
        ({"type": "twapCancel", "a": 1, "t": 1}, Effect.CANCEL),
        ({"type": "cancel", "cancels": [], "builder": {}}, None),
        ({"type": "setReferrer", "code": "CCXT1"}, None),
        ({"type": "approveBuilderFee", "maxFeeRate": "0%", "builder": "0x0", "nonce": 1}, None),
        ({"type": "approveAgent", "agentAddress": "0x0", "nonce": 1}, None),
        ({"type": "withdraw3", "amount": "1", "destination": "0x0", "time": 1}, None),
        ({"type": "usdSend", "amount": "1"}, None),
        ({"type": "spotSend", "amount": "1"}, None),
        ({"type": "sendAsset", "amount": "1"}, None),
        ({"type": "agentSendAsset", "amount": "1"}, None),
        ({"type": "usdClassTransfer", "amount": "1"}, None),
        ({"type": "vaultTransfer", "usd": 1}, None),
        ({"type": "subAccountTransfer", "usd": 1}, None),
        ({"type": "updateLeverage", "asset": 0, "isCross": True, "leverage": 1}, None),
        ({"type": "updateIsolatedMargin", "asset": 0, "isBuy": True, "ntli": 1}, None),
        ({"type": "twapOrder", "twap": {}}, None),
        ({"type": "modify", "oid": 1, "order": {}}, None),
        ({"type": "batchModify", "modifies": []}, None),
        ({"type": "scheduleCancel", "time": 1}, None),
        ({"type": "agentSetAbstraction", "abstraction": "u"}, None),
        ({"type": "reserveRequestWeight", "weight": 1}, None),
        ({"type": ["order"]}, None),
        ({}, None),
        (None, None),
        ("order", None),
    ],
    ids=str,
)
def test_what_an_action_can_do_at_most(action: Any, effect: Effect | None) -> None:
    """By its own words; what is not known must not leave."""
    assert effect_of(request(action), None) is effect


def test_an_action_of_another_account_is_not_known() -> None:
    """The vault that configuration names, and no other."""
    assert effect_of(request(placing(), vaultAddress=VAULT), VAULT) is Effect.CLOSE
    assert effect_of(request(placing(), vaultAddress=WALLET), VAULT) is None
    assert effect_of(request(placing(), vaultAddress=VAULT), None) is None
    assert effect_of(request(placing()), VAULT) is None
    assert effect_of(request(placing(), isFrontend=True), None) is None


def test_forged_requests_are_not_known() -> None:
    """Another method or path, no JSON, or an action that is there twice."""
    twice = '{"action": {"type": "usdSend"}, "action": {"type": "cancel", "cancels": []}}'
    for method, path, body in (
        ("GET", "/exchange", request(placing()).body),
        ("POST", "/explorer", request(placing()).body),
        ("GET", "/info", "{}"),
        ("POST", "/info", "type=meta"),
        ("POST", "/info", "[]"),
        ("POST", "/exchange", ""),
        ("POST", "/exchange", twice),
        ("POST", "/exchange", '{"action": {"type": "cancel", "type": "order", "cancels": []}}'),
        ("POST", "/exchange", "[" * 100_000),
    ):
        assert effect_of(Request(method=method, host="x", path=path, params={}, body=body), None) is None
    info = Request(method="POST", host="x", path="/info", params={}, body='{"type": "meta"}')
    assert effect_of(info, None) is Effect.READ


async def test_ccxts_own_ways_of_acting_do_not_get_out() -> None:
    """Orders with a builder's fee, referrers, transfers, leverage: none was declared, whatever the level."""
    async with hyperliquid(permission=Permission.FULL) as (venue, fetch):
        exchange = venue._client.ccxt
        # The markets have to be set for ccxt to come as far as acting.
        exchange.set_markets([exchange.parse_market({"name": "BTC", "szDecimals": 5, "baseId": "0"})])
        attempts = (
            exchange.create_order("BTC/USDC:USDC", "market", "sell", 1, 60000, {"reduceOnly": True}),
            exchange.create_order("BTC/USDC:USDC", "limit", "buy", 1, 60000),
            exchange.cancel_order("1", "BTC/USDC:USDC"),
            exchange.set_ref(),
            exchange.approve_builder_fee("0x6530512A6c89C7cfCEbC3BA7fcD9aDa5f30827a6", "0%"),
            exchange.set_leverage(5, "BTC/USDC:USDC"),
            exchange.transfer("USDC", 1, "spot", "swap"),
            exchange.withdraw("USDC", 1, WALLET),
            exchange.create_twap_order("BTC/USDC:USDC", "buy", 1, 600_000),
            exchange.privatePostExchange({"action": {"type": "usdSend"}}),
            exchange.sendAction({"action": placing()}),
        )
        for attempt in attempts:
            try:
                await attempt
            except venue._client.faults:
                continue
        assert [each.path for each in fetch.sent if each.path == "/exchange"] == []
        assert exchange.options["approvedBuilderFee"] is False


async def test_no_call_may_claim_to_do_less_than_its_action_does() -> None:
    """Not even where the level would allow what it really does."""
    async with hyperliquid(permission=Permission.FULL) as (venue, fetch):
        for action, declared in (
            (placing(), Effect.CANCEL),
            (placing(r=False), Effect.CLOSE),
            ({"type": "cancel", "cancels": []}, Effect.READ),
            ({"type": "usdSend"}, Effect.OPEN),
        ):
            record = Wire()
            record.effect = declared
            with wire.recording(record), pytest.raises(NotPermitted):
                await venue._client.ccxt.sendAction({"action": action})
            call = Call(endpoint="sendAction", effect=declared, params={"action": action})
            assert isinstance((await venue._client.attempt(call)).error, NotPermitted)
        assert fetch.sent == []


# Streams

LAYOUT = Layout(
    slices=(Slice(name="spot", kind=MarketKind.SPOT), Slice(name="linear", kind=MarketKind.LINEAR)),
)


def heard(message: Any) -> Heard:
    """What the stream makes of a message."""
    profile = HyperliquidProfile()
    profile._user = WALLET
    (stream,) = profile.streams(LAYOUT, sandbox=False)
    return stream.hear(message)


def test_the_stream_subscribes_to_what_changes_an_account() -> None:
    """Orders, fills, coins that come and go, TWAP orders; nothing is signed."""
    profile = HyperliquidProfile()
    profile._user = WALLET
    (stream,) = profile.streams(LAYOUT, sandbox=False)
    assert stream.url(None) == "wss://api.hyperliquid.xyz/ws"
    assert profile.streams(LAYOUT, sandbox=True)[0].url(None) == "wss://api.hyperliquid-testnet.xyz/ws"
    messages = [json.loads(text) for text in stream.hello(None, None)]
    assert messages == [
        {"method": "subscribe", "subscription": {"type": topic, "user": WALLET}}
        for topic in ("userEvents", "userNonFundingLedgerUpdates", "userTwapHistory", "orderUpdates")
    ]
    assert json.loads(stream.ping or "") == {"method": "ping"}
    assert stream.pong == "Websocket connection established."
    assert stream.ping_after_s < 60 > stream.silence_s


def confirmation(topic: str) -> dict[str, Any]:
    """The answer to a subscription."""
    data = {"method": "subscribe", "subscription": {"type": topic, "user": WALLET}}
    return {"channel": "subscriptionResponse", "data": data}


FILL = {"coin": "ETH", "px": "1", "sz": "1", "side": "B", "oid": 1}


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (confirmation("orderUpdates"), Heard(confirmed=True)),
        (confirmation("userEvents"), Heard()),
        ({"channel": "pong"}, Heard()),
        (
            {"channel": "orderUpdates", "data": [{"order": order(), "status": "open", "statusTimestamp": 1}]},
            Heard(changed=("linear",)),
        ),
        (
            {"channel": "orderUpdates", "data": [{"order": order(coin="@142"), "status": "filled"}]},
            Heard(changed=("spot",)),
        ),
        ({"channel": "user", "data": {"fills": [FILL, {**FILL, "coin": "@1"}]}}, Heard(changed=("spot", "linear"))),
        ({"channel": "user", "data": {"nonUserCancel": [{"coin": "xyz:TSLA", "oid": 1}]}}, Heard(changed=("linear",))),
        ({"channel": "user", "data": {"liquidation": {"lid": 1}}}, Heard(changed=("spot", "linear"))),
        ({"channel": "something new", "data": None}, Heard(changed=("spot", "linear"))),
    ],
    ids=str,
)
def test_what_messages_say(message: Any, expected: Heard) -> None:
    """The slices of the coins that they name; all where they name none."""
    assert heard(message) == expected


def test_a_refused_subscription_ends_the_stream() -> None:
    """As for the eleventh account of an address."""
    assert "Cannot track" in (heard({"channel": "error", "data": "Cannot track more than 10 total users."}).over or "")


@pytest.mark.parametrize("message", [None, [], {}, {"channel": 7.5}, {"channel": "subscriptionResponse"}])
def test_strange_messages_are_not_understood(message: Any) -> None:
    """The stream's keeper then looks everywhere."""
    with pytest.raises(VenueAnswerUnknown):
        heard(message)


def test_books_are_told_apart() -> None:
    """What is remembered of one list of markets is not taken for another's."""
    assert dexs_of(BOOKS[MarketKind.LINEAR]) == ("km", "xyz")
    assert dexs_of(MarketBook(())) == ()


async def test_a_market_has_one_name_whether_markets_are_known_or_not() -> None:
    """What was seen before they were read is the same thing afterwards: a baseline, an order whose end is not known."""
    async with hyperliquid(books={}) as (venue, fetch):
        main = {"clearinghouseState": state(position()), "frontendOpenOrders": [order()]}
        fetch.said |= {f"{kind}:{WALLET}": said for kind, said in main.items()}
        before = await venue.read_slice("linear")
        venue._shelf.books.update(BOOKS)
        after = await venue.read_slice("linear")
    assert {each.market_id for each in before.positions} == {each.market_id for each in after.positions} == {"ETH"}
    assert (
        {each.market_id for each in before.orders or ()} == {each.market_id for each in after.orders or ()} == {"BTC"}
    )
    assert [each.symbol for each in (*before.positions, *after.positions)] == ["ETH", "ETH/USDC:USDC"]
