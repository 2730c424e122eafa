"""Every kind of request that the node makes of B2PRIME, by the documentation's own words; the real class, no network.

https://api-docs.b2prime.com/rest-api/settings and .../trading; for the same platform under another brand
https://api-docs.b2trader.b2broker.com/rest-api and .../websocket-api.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from node.domain.permission import Effect, Permission
from node.domain.snapshot import MarketKind, PositionSide
from node.domain.steps import CancelSymbol, Outcome, Refusal, Step
from node.venues import factory, wire
from node.venues.b2prime.effects import effect_of
from node.venues.call import Call, Request
from node.venues.gate import NotPermitted, read_request
from node.venues.lane import background
from node.venues.options import VenueOptions
from node.venues.wire import Wire
from tests.support.b2prime import ACCOUNT, HOST, OFFLINE
from tests.support.b2prime_venue import (
    API,
    CLIENT_ID,
    GOLD,
    ORDER,
    OTHER,
    OWN,
    POSITION,
    b2prime_venue,
    cancel,
    close,
    position,
    sell,
)

JSON = "application/json"
JSON_V4 = "application/json; x-api-version=4.0"
SIGNED = {"Authorization": "Bearer JWT", "accountId": ACCOUNT}
V4, V3, TOPS = "/frontoffice/ws/v4/account", "/frontoffice/ws/v3/account", "/marketdata/v5/info"
TOKEN = f"POST {API}/v4/access-token"
SOLD = {"order": {"orderId": ORDER, "status": "Completed", "requestedAmount": "0.5", "remainingAmount": "0"}}


def closing(position_id: str) -> str:
    """The line of a close."""
    return f"POST {API}/v4/positions/{position_id}/close"


async def held(venue: Any, sent: Any, *positions: Any) -> None:
    """What the account holds, as it was read last."""
    sent.holds(*positions)
    for each in positions:
        sent.answers[closing(each["positionId"])] = {"positionId": each["positionId"]}
    with background():  # what is looked up beside it is over then
        await venue.read_positions("linear")
    sent.sent.clear()


@pytest.mark.parametrize(
    ("whole", "body"), [("null", {"closePositionLotAmount": None}), ("empty", {}), ("none", None)], ids=str
)
async def test_a_position_is_closed_by_its_identifier_and_whole_unless_less_is_wanted(whole: str, body: Any) -> None:
    """What stands for the whole of it is an option, and documented as null."""
    async with b2prime_venue(wholeClose=whole) as (venue, sent):
        await held(venue, sent, position())
        assert (await venue.execute(close())).outcome is Outcome.DONE
        assert sent.only.line == closing(POSITION)
        assert sent.only.body == body
        assert sent.only.headers == {**SIGNED, "Accept": "*/*", "Content-Type": JSON_V4}


async def test_a_part_of_a_position_is_named_in_lots() -> None:
    """As text: a number of JSON's may be rounded on the way."""
    async with b2prime_venue() as (venue, sent):
        await held(venue, sent, position())
        await venue.execute(close(contracts=Decimal("0.20")))
        assert sent.only.body == {"closePositionLotAmount": "0.20"}


async def test_a_leg_of_many_positions_is_closed_one_by_one_and_the_last_in_part() -> None:
    """A hedging account has one for every order; only the named side of the named market."""
    async with b2prime_venue() as (venue, sent):
        short, gold = position("S", side="Sell"), position("G", "cfd.xau_usd")
        await held(venue, sent, position(POSITION, lots="0.5"), position(OTHER, lots="0.3"), short, gold)
        await venue.execute(close(contracts=Decimal("0.6")))
        bodies = {each.line: each.body for each in sent.sent}
        assert bodies == {
            closing(OTHER): {"closePositionLotAmount": None},
            closing(POSITION): {"closePositionLotAmount": "0.3"},
        }


async def test_orders_of_one_plan_do_not_close_the_same_position_twice() -> None:
    """Each takes what the one before has left."""
    async with b2prime_venue() as (venue, sent):
        await held(venue, sent, position(POSITION, lots="0.5"), position(OTHER, lots="0.3"))
        await venue.execute(close(contracts=Decimal("0.6")))
        await venue.execute(close(contracts=Decimal("0.2"), client_order_id="sother"))
        assert [each.line for each in sent.sent] == [closing(OTHER), closing(POSITION), closing(POSITION)]
        assert sent.sent[-1].body == {"closePositionLotAmount": None}


async def test_a_close_names_no_price_and_a_leg_that_was_never_listed_is_not_closed() -> None:
    """There is nothing but the identifier to say what is meant."""
    async with b2prime_venue() as (venue, sent):
        await held(venue, sent, position())
        await venue.execute(close(limit_price=Decimal("1.05")))
        assert sent.only.body == {"closePositionLotAmount": None}
        for step in (close(side=PositionSide.SHORT), close(market_id=GOLD.market_id), close(contracts=Decimal(0))):
            result = await venue.execute(step)
            assert (result.outcome, result.sent_ns) == (Outcome.REFUSED, None)


async def test_orders_are_cancelled_one_by_one() -> None:
    """The venue has no request for several."""
    async with b2prime_venue() as (venue, sent):
        for order_id in (ORDER, OTHER):
            sent.answers[f"DELETE {API}/v3/orders/{order_id}"] = {"order": {"orderId": order_id, "status": "Cancelled"}}
        result = await venue.execute(cancel(ORDER, OTHER))
        assert result.outcome is Outcome.DONE
        assert sorted(sent.lines) == [f"DELETE {API}/v3/orders/{each}" for each in (ORDER, OTHER)]
        assert sent.sent[-1].headers == {**SIGNED, "Accept": "*/*"}
        assert sent.sent[-1].body is None
        sweep = CancelSymbol(slice="linear", symbol="EUR/USD", market_id="cfd.eur_usd", trigger=False, seen=1)
        assert (await venue.execute(sweep)).sent_ns is None


async def test_a_sale_is_at_once_or_not_at_all_and_carries_our_identifier_as_its_comment() -> None:
    """Amounts of spot are base units."""
    async with b2prime_venue() as (venue, sent):
        sent.answers[f"POST {API}/v3/orders"] = SOLD
        result = await venue.execute(sell())
        assert (result.outcome, result.filled) == (Outcome.DONE, Decimal("0.5"))
        assert sent.only.headers == {**SIGNED, "Accept": "*/*", "Content-Type": JSON}
        assert sent.only.body == {
            "order": {
                "marketId": "spot.btc_usdt",
                "side": "Sell",
                "orderType": "Limit",
                "timeInForce": "Ioc",
                "requestedAmount": "0.50000",
                "requestedPrice": "60000.01",
                "comment": CLIENT_ID,
            }
        }


async def test_a_sale_is_not_below_the_markets_price_band() -> None:
    """A limit outside of it would be refused, and nobody would say why. It may be better than what was asked for."""
    details = {"marketId": "spot.btc_usdt", "type": "Spot", "amountScale": 5, "priceScale": 1}
    for deviation, price in (("0.05", "60800.0"), ("0.2", "60000.01"), ("0", "60000.01")):
        async with b2prime_venue() as (venue, sent):
            sent.holds(balances=[{"assetId": "btc", "available": "1", "locked": "0", "total": "1"}])
            sent.answers |= {
                f"GET {API}/v6/markets/spot.btc_usdt": {**details, "priceDeviation": deviation},
                "Tob": {"markets": [{"marketId": "spot.btc_usdt", "ask": "64000", "bid": "63990"}], "snapshot": True},
                f"POST {API}/v3/orders": SOLD,
            }
            await venue.read_proof("spot")
            await venue.quotes(["BTC/USDT"])
            await venue.execute(sell())
            assert sent.sent[-1].body["order"]["requestedPrice"] == price


async def test_every_look_is_a_fresh_subscription_of_the_account() -> None:
    """Orders before positions; contracts are borne out by the margin in use, and coins are in one wallet."""
    async with b2prime_venue() as (venue, sent):
        await venue.read_proof("linear")
        looks = [(each.path, each.body) for each in sent.sent if each.method == "STREAM"]
        assert looks[0] == (V4, ["OpenOrders", ACCOUNT])
        assert sorted(looks[1:]) == [(V3, ["MarginData", ACCOUNT]), (V4, ["OpenPositions", ACCOUNT])]
        assert {each.headers["token"] for each in sent.sent if each.method == "STREAM"} == {"JWT"}
        sent.sent.clear()
        await venue.read_proof("spot")
        assert [(each.path, each.body) for each in sent.sent] == [
            (V4, ["OpenOrders", ACCOUNT]),
            (V3, ["FullBalance", ACCOUNT]),
        ]


async def test_prices_are_the_top_of_the_books_that_are_asked_for() -> None:
    """One subscription for all of them."""
    async with b2prime_venue() as (venue, sent):
        sent.answers["Tob"] = {
            "markets": [{"marketId": "spot.btc_usdt", "ask": "64001", "bid": "64000"}],
            "snapshot": True,
        }
        [quote] = (await venue.quotes(["BTC/USDT"])).values()
        assert (quote.bid, quote.ask) == (Decimal(64000), Decimal(64001))
        assert (sent.only.path, sent.only.body) == (TOPS, ["Tob", ACCOUNT, ["spot.btc_usdt"]])
        assert await venue.quotes([]) == {}


async def test_what_an_account_is_armed_with() -> None:
    """One exchange of the token, whoever needs it first; markets, the venue's clock, and the account's kind."""
    async with b2prime_venue(books={}) as (venue, sent):
        sent.answers |= {
            f"GET {API}/v3/info": {"serverTime": "1764617438", "serverTimeZone": "+00:00"},
            f"GET {API}/v3/accounts": [{"accountId": ACCOUNT, "accountType": "Hedging", "isCopyTradingAccount": False}],
            f"GET {API}/v6/markets": [
                {"marketId": "cfd.eur_usd", "displayName": "EUR/USD", "type": "Cfd", "subtype": "Fx"},
                {"marketId": "perp.btc_usdt", "displayName": "BTC/USDT", "type": "Perpetual"},
                {"marketId": "spot.btc_usdt", "displayName": "BTC/USDT", "type": "Spot"},
            ],
        }
        await venue.arm()
        lines = [each.line for each in sent.sent]
        assert lines.count(TOKEN) == 1
        token = next(each for each in sent.sent if each.line == TOKEN)
        assert (token.body, "Authorization" in token.headers) == ({"token": OFFLINE}, False)
        assert set(lines) == {TOKEN, *(f"GET {API}/{each}" for each in ("v3/info", "v3/accounts", "v6/markets"))}
        assert list(venue.rules("linear")) == ["EUR/USD:USD-CFD", "BTC/USDT:USDT"]
        assert list(venue.rules("spot")) == ["BTC/USDT"]
        assert venue.key_facts is not None
        assert (venue.key_facts.hedged, venue.key_facts.may_withdraw) == (True, None)


async def test_the_probe_is_the_cancel_of_an_order_that_cannot_exist() -> None:
    """404 says that the venue looked for it; another status has to be named before it counts."""
    line = f"DELETE {API}/v3/orders/00000000000000000000000000"
    other: dict[str, Any] = {"unknownOrderStatus": 400}
    for own, status, passes in (({}, 404, True), ({}, 400, False), (other, 400, True)):
        async with b2prime_venue(**own) as (venue, sent):
            sent.answers[line] = (status, {"detail": "The order was not found."})
            result = await venue.probe()
            assert (sent.only.line, result.outcome is Outcome.DONE) == (line, passes)
    async with b2prime_venue() as (venue, sent):
        sent.answers[line] = (403, {"detail": "The operation 'trading-ui' is required."})
        assert (await venue.probe()).refusal is Refusal.DENIED


# The gate


CANCELS: tuple[Step, ...] = (cancel(), cancel(ORDER, OTHER), cancel(slice_name="spot"))


@pytest.mark.parametrize("level", list(Permission))
async def test_every_step_leaves_at_its_level_and_not_below(level: Permission) -> None:
    """Below it the outcome says why, and that nothing was sent."""
    async with b2prime_venue(permission=level) as (venue, sent):
        await held(venue, sent, position())
        for line in (f"DELETE {API}/v3/orders/{ORDER}", f"DELETE {API}/v3/orders/{OTHER}"):
            sent.answers[line] = {"order": {"orderId": line[-26:], "status": "Cancelled"}}
        sent.answers[f"POST {API}/v3/orders"] = SOLD
        for steps, effect in ((CANCELS, Effect.CANCEL), ((close(), sell()), Effect.CLOSE)):
            for step in steps:
                sent.sent.clear()
                result = await venue.execute(step)
                assert bool(sent.lines) is level.allows(effect)
                assert (result.refusal is Refusal.PERMISSION) is not level.allows(effect)


@pytest.mark.parametrize("level", list(Permission))
async def test_no_endpoint_of_the_class_can_be_used_without_a_declared_call(level: Permission) -> None:
    """All of them, whoever uses them."""
    from node.venues.b2prime.endpoints import ENDPOINTS
    from node.venues.b2prime.endpoints import TOKEN as EXCHANGE

    async with b2prime_venue(permission=level) as (venue, sent):
        exchange = venue._client.ccxt
        await exchange.authorize()
        sent.sent.clear()
        params = dict.fromkeys(("marketId", "assetId", "orderId", "positionId", "id", "userId"), "x")
        acting = [each for each in ENDPOINTS if each.method != "GET" and each is not EXCHANGE]
        assert len(acting) > 25
        for endpoint in acting:
            with pytest.raises(NotPermitted):
                await getattr(exchange, endpoint.call)(dict(params))
        assert sent.sent == []


@pytest.mark.parametrize("declared", [Effect.READ, Effect.CANCEL, Effect.CLOSE])
async def test_a_call_that_does_more_than_it_says_is_stopped(declared: Effect) -> None:
    """Orders that open, settings, webhook keys: none is a close."""
    async with b2prime_venue(permission=Permission.CLOSE) as (venue, sent):
        await venue._client.ccxt.authorize()
        sent.sent.clear()
        order = {"order": {"marketId": "cfd.eur_usd", "side": "Sell", "requestedLotAmount": "1"}}
        for endpoint, params in (
            ("privatePostFrontofficeApiCfdV4Orders", order),
            ("privatePostFrontofficeApiPerpetualV4Orders", order),
            ("privatePostFrontofficeApiV3Orders", {"order": {**order["order"], "marketId": "spot.btc_usdt"}}),
            ("privatePostFrontofficeApiV3StopOrders", order),
            ("privatePutFrontofficeApiV4PositionsPositionIdTriggers", {"positionId": POSITION}),
            ("privateDeleteFrontofficeApiV4AccountMarginSettingsAssetsAssetId", {"assetId": "usdt"}),
            ("privatePostFrontofficeApiV3WebhookApiKeys", {"name": "x"}),
            ("privateDeleteFrontofficeApiV3WebhookApiKeysId", {"id": "x"}),
        ):
            attempt = await venue._client.attempt(Call(endpoint=endpoint, effect=declared, params=params))
            assert isinstance(attempt.error, NotPermitted), endpoint
        assert sent.sent == []


def request(method: str, path: str, body: str | None = None, query: str = "") -> Request:
    """One that somebody has made up."""
    return read_request(f"https://{HOST}{path}{query}", method, body)


CLOSE = f"{API}/v4/positions/{POSITION}/close"


@pytest.mark.parametrize(
    ("forged", "effect"),
    [
        (request("POST", CLOSE), Effect.CLOSE),
        (request("POST", CLOSE, "{}"), Effect.CLOSE),
        (request("POST", CLOSE, '{"closePositionLotAmount":"1"}'), Effect.CLOSE),
        (request("POST", CLOSE, '{"closePositionLotAmount":"1","side":"Buy"}'), None),
        (request("POST", CLOSE, '{"closePositionLotAmount":"1","closePositionLotAmount":"2"}'), None),
        (request("POST", CLOSE, "[]"), None),
        (request("POST", CLOSE, "{}", "?x=1"), None),
        (request("GET", CLOSE), None),
        (request("POST", f"{API}/v4/positions/{POSITION}/open", "{}"), None),
        (request("POST", f"{API}/v4/positions/a/b/close", "{}"), None),
        (request("POST", f"{API}/v4/positions/bulk-close", '{"mode":"AllPositions"}'), Effect.CLOSE),
        (request("POST", f"{API}/v4/positions/bulk-close", '{"mode":"Everything"}'), None),
        (request("POST", f"{API}/v4/positions/bulk-close", "{}"), None),
        (request("POST", f"{API}/v4/access-token", '{"token":"x","scope":"all"}'), None),
        (request("DELETE", f"{API}/v3/orders/{ORDER}"), Effect.CANCEL),
        (request("DELETE", f"{API}/v3/stop-orders/{ORDER}"), Effect.CANCEL),
        (request("DELETE", f"{API}/v3/orders/{ORDER}", '{"x":1}'), None),
        (request("DELETE", f"{API}/v3/orders"), None),
        (request("GET", f"{API}/v3/info", '{"x":1}'), None),
        (request("GET", f"{API}/v3/webhook/api-keys"), None),
        (request("PUT", f"{API}/v4/positions/{POSITION}/triggers", "{}"), None),
        (request("POST", f"{API}/v4/account-margin-settings/assets/usdt", "{}"), None),
        (request("POST", f"{API}/cfd/v4/orders", '{"order":{"side":"Sell","reduceOnly":true}}'), Effect.OPEN),
        (request("POST", f"{API}/v3/orders", '{"order":{"marketId":"spot.x_y","side":"Buy"}}'), Effect.OPEN),
        (request("POST", "/withdraw", "{}"), None),
    ],
)
def test_a_request_is_judged_by_itself(forged: Request, effect: Effect | None) -> None:
    """A close is a close because nothing else fits in it; what is not known must not leave."""
    assert effect_of(forged, revokes=False) is effect


def test_a_sale_is_a_close_only_where_it_can_spend_nothing_but_what_is_held_and_at_once() -> None:
    """Whatever else stands in it makes it an order like any other."""
    sale = '{"order":{"marketId":"spot.btc_usdt","side":"Sell","orderType":"Limit","timeInForce":"Ioc"%s}}'
    path = f"{API}/v3/orders"
    assert effect_of(request("POST", path, sale % ""), revokes=False) is Effect.CLOSE
    for changed in (
        (sale % "").replace("Sell", "Buy"),
        (sale % "").replace("Ioc", "Gtc"),
        (sale % "").replace("spot.", "cfd."),
        (sale % "").replace("Limit", "Market"),
        sale % ',"leverage":5',
        (sale % "").replace('{"order"', '{"more":1,"order"'),
    ):
        assert effect_of(request("POST", path, changed), revokes=False) is Effect.OPEN, changed


async def test_the_two_requests_of_a_refused_token_are_one_step_and_a_third_is_none() -> None:
    """Only the class's own repetition may send a step's request again."""
    async with b2prime_venue() as (venue, sent):
        exchange = venue._client.ccxt
        await exchange.authorize()
        sent.answers[closing(POSITION)] = {"positionId": POSITION}
        sent.answers[closing(OTHER)] = {"positionId": OTHER}
        with wire.recording(Wire(effect=Effect.CLOSE)):
            await exchange.close_position_by_id(POSITION)
            with pytest.raises(NotPermitted):
                await exchange.close_position_by_id(OTHER)


# What must be right before anything is connected


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"hostname": None}, "options.hostname"),
        ({"hostname": "https://x"}, "options.hostname"),
        ({"hostname": "x/y"}, "options.hostname"),
        ({"accountId": None}, "options.accountId"),
        ({"accountId": "12345"}, "options.accountId"),
        ({"account": "margin"}, "options.account"),
        ({"perpetualOrder": True}, "options.perpetualOrder"),
        ({"revokeWebhookKeys": "yes"}, "options.revokeWebhookKeys"),
        ({"wholeClose": "all"}, "options.wholeClose"),
        ({"unknownOrderStatus": 200}, "options.unknownOrderStatus"),
    ],
    ids=str,
)
def test_what_is_wrong_with_an_account_is_said_before_it_is_used(changes: dict[str, Any], fault: str) -> None:
    """Each by its name; nothing is right by silence."""
    given = {name: value for name, value in {**OWN, **changes}.items() if value is not None}
    options = VenueOptions(exchange="b2prime", credentials={"token": OFFLINE}, options=given)
    assert [each for each in factory.check(options) if each.startswith(fault)]
    assert factory.check(VenueOptions(exchange="b2prime", credentials={"token": OFFLINE}, options=OWN)) == []
    assert factory.check(VenueOptions(exchange="b2prime", credentials={"apiKey": "x"}, options=OWN))


@pytest.mark.parametrize(
    ("own", "row", "fault"),
    [
        ({}, {"accountId": "0" * 24, "accountType": "Hedging"}, "none of the accounts"),
        ({}, {"accountId": ACCOUNT, "accountType": "Hedging", "isCopyTradingAccount": True}, "copies another"),
        ({"account": "netting"}, {"accountId": ACCOUNT, "accountType": "Hedging"}, "'hedging'"),
        ({"copyTradingAccount": True}, {"accountId": ACCOUNT, "accountType": "Netting", "isCopyTradingAccount": 1}, ""),
    ],
)
async def test_an_account_that_is_another_than_was_meant_is_not_armed(
    own: dict[str, Any], row: dict[str, Any], fault: str
) -> None:
    """Not the user's, of another kind, or one that copies another's."""
    async with b2prime_venue(**own) as (venue, sent):
        sent.answers |= {
            f"GET {API}/v3/info": {"serverTime": "1764617438", "serverTimeZone": "+00:00"},
            f"GET {API}/v3/accounts": [row],
        }
        with pytest.raises(Exception, match=fault or "isCopyTradingAccount"):
            await venue.arm()


def test_lists_of_markets_are_of_one_kind_each() -> None:
    """A type that nobody knows is no market of ours to judge."""
    from node.errors import VenueAnswerUnknown
    from node.venues.b2prime import readings

    rows = [{"marketId": "cfd.a_b", "type": "Cfd"}, {"marketId": "spot.a_b", "type": "Spot"}]
    assert [each.market_id for each in readings.listed(MarketKind.SPOT, rows)] == ["spot.a_b"]
    with pytest.raises(VenueAnswerUnknown):
        readings.listed(MarketKind.SPOT, [{"marketId": "option.a_b", "type": "Option"}])
