"""Every request that the Gate profile makes, exactly as it leaves the real ccxt class.

What is expected is written by hand from https://www.gate.com/docs/developers/apiv4/en.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from decimal import Decimal
from typing import Any

import pytest

from node.domain.snapshot import MarketKind, PositionSide
from node.domain.steps import Step
from node.errors import ConfigError, VenueAnswerUnknown, VenueDenied
from node.venues import factory
from node.venues.options import VenueOptions
from tests.support.gate import HOST, TEXT, cancel, close, gate, holds_nothing, refusal, sell, sweep, wallet
from tests.support.venue import CREDENTIALS, Sent, answer

FUTURES = "/api/v4/futures"
SALE = {
    "currency_pair": "BTC_USDT",
    "type": "limit",
    "account": "spot",
    "side": "sell",
    "amount": "0.50000",
    "price": "60000.01",
    "time_in_force": "ioc",
    "text": TEXT,
}


def order(size: Any, contract: str = "BTC_USDT", price: str = "0") -> dict[str, Any]:
    """A close of ours: reduce-only, signed, at once."""
    return {"contract": contract, "size": size, "price": price, "tif": "ioc", "reduce_only": True, "text": TEXT}


#: Step, method, path, query, body.
STEPS: dict[str, tuple[Step, str, str, dict[str, str], Any]] = {
    "close one-way long": (close(), "POST", f"{FUTURES}/usdt/orders", {}, order(-7)),
    "close one-way short": (
        close(side=PositionSide.SHORT, contracts=Decimal("1E+6")),
        "POST",
        f"{FUTURES}/usdt/orders",
        {},
        order(1_000_000),
    ),
    "close hedged long": (close(hedged=True), "POST", f"{FUTURES}/usdt/orders", {}, order(-7)),
    "close hedged short": (
        close(hedged=True, side=PositionSide.SHORT),
        "POST",
        f"{FUTURES}/usdt/orders",
        {},
        order(7),
    ),
    "close isolated": (close(isolated=True), "POST", f"{FUTURES}/usdt/orders", {}, order(-7)),
    "close a part of a contract": (
        close(contracts=Decimal("7.50")),
        "POST",
        f"{FUTURES}/usdt/orders",
        {},
        order("-7.50"),
    ),
    "close within a price": (
        close(limit_price=Decimal("60800.10")),
        "POST",
        f"{FUTURES}/usdt/orders",
        {},
        order(-7, price="60800.10"),
    ),
    "close what settles in USD1": (
        close(market_id="BTC_USD1"),
        "POST",
        f"{FUTURES}/usd1/orders",
        {},
        order(-7, "BTC_USD1"),
    ),
    "close coin-margined": (
        close(slice="inverse", market_id="BTC_USD", contracts=Decimal(250)),
        "POST",
        f"{FUTURES}/btc/orders",
        {},
        order(-250, "BTC_USD"),
    ),
    "sell spot": (sell(), "POST", "/api/v4/spot/orders", {}, SALE),
    "cancel one": (cancel("11"), "DELETE", f"{FUTURES}/usdt/orders/11", {}, None),
    "cancel several": (cancel("11", "12"), "POST", f"{FUTURES}/usdt/batch_cancel_orders", {}, ["11", "12"]),
    "cancel several coin-margined": (
        cancel("11", "12", slice_name="inverse"),
        "POST",
        f"{FUTURES}/btc/batch_cancel_orders",
        {},
        ["11", "12"],
    ),
    "cancel a price order": (cancel("77", trigger=True), "DELETE", f"{FUTURES}/usdt/price_orders/77", {}, None),
    "cancel a trailing order": (
        cancel("trail:77", trigger=True),
        "POST",
        f"{FUTURES}/usdt/autoorder/v1/trail/stop",
        {},
        {"id": 77},
    ),
    "cancel a chasing order": (
        cancel("chase:77", slice_name="inverse", trigger=True),
        "POST",
        f"{FUTURES}/btc/autoorder/v1/chase/stop",
        {},
        {"id": "77"},
    ),
    "cancel one on spot": (
        cancel("11", slice_name="spot"),
        "DELETE",
        "/api/v4/spot/orders/11",
        {"currency_pair": "BTC_USDT", "account": "spot"},
        None,
    ),
    "cancel several on spot": (
        cancel("11", "12", slice_name="spot"),
        "POST",
        "/api/v4/spot/cancel_batch_orders",
        {},
        [{"currency_pair": "BTC_USDT", "id": "11"}, {"currency_pair": "BTC_USDT", "id": "12"}],
    ),
    "cancel a price order on spot": (
        cancel("77", slice_name="spot", trigger=True),
        "DELETE",
        "/api/v4/spot/price_orders/77",
        {},
        None,
    ),
    "sweep": (sweep(), "DELETE", f"{FUTURES}/usdt/orders", {"contract": "BTC_USDT"}, None),
    "sweep coin-margined": (sweep("inverse"), "DELETE", f"{FUTURES}/btc/orders", {"contract": "BTC_USD"}, None),
    "sweep spot": (
        sweep("spot"),
        "DELETE",
        "/api/v4/spot/orders",
        {"currency_pair": "BTC_USDT", "account": "spot"},
        None,
    ),
    "sweep spot triggers": (
        sweep("spot", trigger=True),
        "DELETE",
        "/api/v4/spot/price_orders",
        {"market": "BTC_USDT"},
        None,
    ),
}
#: The same of an account that shares one wallet.
UNIFIED_STEPS: dict[str, tuple[Step, str, str, dict[str, str], Any]] = {
    "close": STEPS["close one-way long"],
    "sell spot": (sell(), "POST", "/api/v4/spot/orders", {}, {**SALE, "account": "unified"}),
    "cancel one on spot": (
        cancel("11", slice_name="spot"),
        "DELETE",
        "/api/v4/spot/orders/11",
        {"currency_pair": "BTC_USDT", "account": "unified"},
        None,
    ),
    "cancel several on spot": (
        cancel("11", "12", slice_name="spot"),
        "POST",
        "/api/v4/spot/cancel_batch_orders",
        {},
        [
            {"currency_pair": "BTC_USDT", "id": "11", "account": "unified"},
            {"currency_pair": "BTC_USDT", "id": "12", "account": "unified"},
        ],
    ),
    "sweep spot": (
        sweep("spot"),
        "DELETE",
        "/api/v4/spot/orders",
        {"currency_pair": "BTC_USDT", "account": "unified"},
        None,
    ),
    "sweep spot triggers": (
        sweep("spot", trigger=True),
        "DELETE",
        "/api/v4/spot/price_orders",
        {"market": "BTC_USDT", "account": "unified"},
        None,
    ),
}


def check(sent: Sent, method: str, path: str, query: dict[str, str], body: Any) -> None:
    """One request, to the last parameter, and that it is signed as the documentation says."""
    assert sent.line == (method, HOST, path)
    assert sent.document == body
    assert body is not None or sent.params == query
    text = "" if body is None else sent.raw
    hashed = hashlib.sha512(text.encode()).hexdigest()
    payload = "\n".join((method, path, "" if body is not None else sent.raw, hashed, sent.headers["timestamp"]))
    assert (
        sent.headers["sign"] == hmac.new(CREDENTIALS["secret"].encode(), payload.encode(), hashlib.sha512).hexdigest()
    )
    assert sent.headers["key"] == CREDENTIALS["apiKey"]


@pytest.mark.parametrize("name", STEPS)
async def test_a_step_is_one_request_with_the_documented_parameters_and_nothing_else(name: str) -> None:
    """No hidden call before it, no parameter of ccxt's own, whatever mode the position is in."""
    step, method, path, query, body = STEPS[name]
    async with gate() as (venue, fetch):
        await venue.execute(step)
        check(fetch.only, method, path, query, body)


@pytest.mark.parametrize("name", UNIFIED_STEPS)
async def test_a_unified_account_is_named_wherever_an_order_of_spot_is_meant(name: str) -> None:
    """Otherwise the venue would look into another wallet."""
    step, method, path, query, body = UNIFIED_STEPS[name]
    async with gate(options={"account": "unified"}) as (venue, fetch):
        await venue.execute(step)
        check(fetch.only, method, path, query, body)


async def test_a_sweep_of_contract_triggers_is_one_request_for_each_of_their_books() -> None:
    """Price orders, trailing orders, chasing orders."""
    async with gate() as (venue, fetch):
        await venue.execute(sweep(trigger=True))
        assert sorted((each.method, each.path, json.dumps(each.params)) for each in fetch.sent) == [
            ("DELETE", f"{FUTURES}/usdt/price_orders", '{"contract": "BTC_USDT"}'),
            ("POST", f"{FUTURES}/usdt/autoorder/v1/chase/stop_all", '{"contract": "BTC_USDT"}'),
            ("POST", f"{FUTURES}/usdt/autoorder/v1/trail/stop_all", '{"contract": "BTC_USDT"}'),
        ]


@pytest.mark.parametrize("slice_name", ["linear", "spot"])
async def test_more_than_twenty_cancels_go_in_batches_that_leave_together(slice_name: str) -> None:
    """The venue takes twenty ids a request."""
    ids = [str(number) for number in range(100, 145)]
    async with gate() as (venue, fetch):
        await venue.execute(cancel(*ids, slice_name=slice_name))
        batches = [[each["id"] if isinstance(each, dict) else each for each in sent.document] for sent in fetch.sent]
        assert [len(batch) for batch in batches] == [20, 20, 5]
        assert [each for batch in batches for each in batch] == ids


def futures_reads(*settles: str) -> list[tuple[str, dict[str, str]]]:
    """What shows the contracts of some settle coins, in causal order."""
    pages = {"is_finished": "false", "page_num": "1", "page_size": "100"}
    asked = [
        ("price_orders", {"status": "open", "limit": "100", "offset": "0"}),
        ("autoorder/v1/trail/list", pages),
        ("autoorder/v1/chase/list", {"sort_by": "1", **pages}),
        ("orders", {"status": "open", "limit": "100", "offset": "0"}),
        ("positions", {"holding": "true", "limit": "100", "offset": "0"}),
        ("accounts", {}),
    ]
    return [(f"{FUTURES}/{settle}/{path}", params) for path, params in asked for settle in settles]


PAGES = {"status": "open", "limit": "100", "offset": "0"}
READS: dict[tuple[str, str], list[tuple[str, dict[str, str]]]] = {
    ("classic", "spot"): [
        ("/api/v4/spot/price_orders", PAGES),
        ("/api/v4/spot/open_orders", {"page": "1", "limit": "100", "account": "spot"}),
        ("/api/v4/spot/accounts", {}),
    ],
    ("classic", "linear"): futures_reads("usdt", "usd1"),
    ("classic", "inverse"): futures_reads("btc"),
    ("unified", "spot"): [
        ("/api/v4/spot/price_orders", {**PAGES, "account": "unified"}),
        ("/api/v4/spot/open_orders", {"page": "1", "limit": "100", "account": "unified"}),
        ("/api/v4/unified/accounts", {}),
    ],
    ("unified", "linear"): futures_reads("usdt", "usd1"),
}


@pytest.mark.parametrize(("account", "name"), READS)
async def test_a_proof_reads_triggers_then_orders_then_positions_and_balances(account: str, name: str) -> None:
    """In causal order, every book of every settle coin, and nothing besides."""
    async with gate(options={"account": account}) as (venue, fetch):
        holds_nothing(fetch)
        snapshot = await venue.read_proof(name)
        assert [(each.path, each.params) for each in fetch.sent] == READS[account, name]
        for each in fetch.sent:
            check(each, "GET", each.path, each.params, None)
        assert snapshot.causal
        assert (snapshot.orders, snapshot.positions, snapshot.balances) == ((), (), ())


async def test_a_slice_may_be_narrowed_to_one_settle_coin() -> None:
    """Half the requests, and what is left out is named."""
    async with gate(slices=("linear:USDT",)) as (venue, fetch):
        holds_nothing(fetch)
        await venue.read_proof("linear:USDT")
        assert [(each.path, each.params) for each in fetch.sent] == futures_reads("usdt")
        assert venue.not_covered == ("spot", "linear (other than USDT)", "inverse")


async def test_a_read_of_positions_is_one_request_a_settle_coin() -> None:
    """The cheap read between rounds."""
    async with gate() as (venue, fetch):
        fetch.default = answer([])
        await venue.read_positions("linear")
        assert [each.path for each in fetch.sent] == [f"{FUTURES}/usdt/positions", f"{FUTURES}/usd1/positions"]


TICKER = {"currency_pair": "BTC_USDT", "last": "10.5", "lowest_ask": "11", "highest_bid": "10"}


async def test_quotes_of_a_few_markets_are_a_request_each() -> None:
    """Public, by the pair's name."""
    async with gate() as (venue, fetch):
        nobody = {"currency_pair": "ETH_USDT", "lowest_ask": "", "highest_bid": ""}
        fetch.in_turn = iter([answer([TICKER]), answer([nobody])])
        quotes = await venue.quotes(["ETH/USDT", "BTC/USDT", "NOT/LISTED"])
        assert [(each.line, each.params) for each in fetch.sent] == [
            (("GET", HOST, "/api/v4/spot/tickers"), {"currency_pair": "BTC_USDT"}),
            (("GET", HOST, "/api/v4/spot/tickers"), {"currency_pair": "ETH_USDT"}),
        ]
        assert not any("sign" in each.headers for each in fetch.sent)
        assert (quotes["BTC/USDT"].bid, quotes["BTC/USDT"].ask) == (Decimal(10), Decimal(11))
        assert "ETH/USDT" not in quotes, "nobody bids"


async def test_all_quotes_are_asked_for_where_a_market_is_gone() -> None:
    """One that was delisted must not keep the others from being sold."""
    async with gate() as (venue, fetch):
        gone = refusal("INVALID_CURRENCY_PAIR", "Invalid currency pair ETH_USDT")
        fetch.in_turn = iter([answer([TICKER]), gone, answer([TICKER])])
        assert set(await venue.quotes(["ETH/USDT", "BTC/USDT"])) == {"BTC/USDT"}
        assert fetch.sent[-1].params == {}


async def test_a_quote_that_was_asked_for_and_is_not_told_is_not_nothing() -> None:
    """Or a balance would be called unsellable because of somebody else's answer."""
    async with gate() as (venue, fetch):
        fetch.default = answer([TICKER])
        with pytest.raises(VenueAnswerUnknown, match="ETH_USDT"):
            await venue.quotes(["ETH/USDT"])


@pytest.mark.parametrize(("account", "named"), [("classic", "spot"), ("unified", "unified")])
async def test_an_ambiguous_sale_is_looked_for_among_the_orders_that_are_over(account: str, named: str) -> None:
    """By its own text the venue would show it only while it rests, and it never does."""
    async with gate(options={"account": account}) as (venue, fetch):
        fetch.default = answer([])
        await venue.filled(sell())
        query = {"currency_pair": "BTC_USDT", "status": "finished", "page": "1", "limit": "100", "account": named}
        check(fetch.only, "GET", "/api/v4/spot/orders", query, None)


async def test_the_probe_cancels_an_order_that_cannot_exist() -> None:
    """On a contract, and done if the venue has looked for it."""
    async with gate() as (venue, fetch):
        fetch.default = refusal("ORDER_NOT_FOUND", "Order not found", 404)
        result = await venue.probe()
        check(fetch.only, "DELETE", f"{FUTURES}/usdt/orders/1", {}, None)
        assert result.refusal is None


async def test_keeping_warm_asks_the_one_host_for_its_time() -> None:
    """Unsigned; and from then on signatures carry the venue's time, and orders the time of their end."""
    async with gate() as (venue, fetch):
        fetch.default = answer({"server_time": 1_800_000_000_000})
        await venue.keep_warm(2)
        assert fetch.lines == [("GET", HOST, "/api/v4/spot/time")] * 2
        assert not any("sign" in each.headers for each in fetch.sent)
        await venue.execute(close())
        headers = fetch.sent[-1].headers
        assert abs(int(headers["timestamp"]) - 1_800_000_000) <= 2
        assert abs(int(headers["x-gate-exptime"]) - 1_800_000_005_000) < 2_000


async def test_until_the_venues_clock_is_known_a_request_does_not_say_when_it_ends() -> None:
    """Ours may be off by more than that, and then nothing at all could be closed."""
    async with gate() as (venue, fetch):
        await venue.execute(close())
        assert "x-gate-exptime" not in fetch.only.headers


async def test_nothing_of_a_brokers_is_sent() -> None:
    """ccxt names itself in a header, if nobody stops it."""
    async with gate() as (venue, fetch):
        await venue.execute(close())
        headers = venue._client.ccxt.prepare_request_headers(dict(fetch.only.headers))
        assert not any("channel" in name.lower() for name in headers)
        assert "ccxt" not in json.dumps(headers).lower()


async def test_sizes_are_asked_for_with_their_decimals() -> None:
    """Without the header the venue cuts them off, and 0.5 contracts would be none."""
    async with gate() as (venue, fetch):
        holds_nothing(fetch)
        await venue.read_proof("linear")
        assert {each.headers.get("x-gate-size-decimal") for each in fetch.sent} == {"1"}


KEY = [
    {"name": "desk", "key": "canary-k*****", "perms": [{"name": "spot", "read_only": False}], "ip_whitelist": []},
    {
        "name": "node",
        "key": "canary-key-000111",
        "perms": [
            {"name": "futures", "read_only": False},
            {"name": "wallet", "read_only": False},
            {"name": "options", "read_only": False},
            {"name": "delivery", "read_only": True},
        ],
    },
]
CONTRACT = {
    "name": "BTC_USDT",
    "type": "direct",
    "quanto_multiplier": "0.0001",
    "order_size_min": "1",
    "order_size_max": "1000000",
    "market_order_size_max": "300000",
    "order_price_round": "0.1",
    "enable_decimal": False,
    "in_delisting": False,
    "status": "trading",
}


def arming(fetch: Any, **answers: Any) -> None:
    """What an account that is armed is told."""
    fetch.answers = {
        f"{FUTURES}/usdt/contracts": answer([CONTRACT]),
        f"{FUTURES}/usd1/contracts": answer([]),
        "/api/v4/spot/time": answer({"server_time": 1_800_000_000_000}),
        "/api/v4/unified/unified_mode": answer({"mode": "classic", "settings": {}}),
        "/api/v4/account/detail": answer({"user_id": 1666, "ip_whitelist": ["203.0.113.7"], "key": {"mode": 1}}),
        "/api/v4/account/main_keys": answer({**KEY[1]}),
        **{f"/api/v4/{name.replace('__', '/')}": given for name, given in answers.items()},
    }


async def test_arming_asks_for_markets_time_mode_and_rights_and_nothing_else() -> None:
    """No currencies, no margin pairs, no fees, no mode of ccxt's own."""
    async with gate(slices=("linear",), warm_sockets=1) as (venue, fetch):
        venue._shelf.books.clear()
        arming(fetch)
        await venue.arm()
        assert sorted(each.path for each in fetch.sent) == [
            "/api/v4/account/detail",
            "/api/v4/account/main_keys",
            f"{FUTURES}/usd1/contracts",
            f"{FUTURES}/usdt/contracts",
            "/api/v4/spot/time",
            "/api/v4/unified/unified_mode",
        ]
        assert {each.method for each in fetch.sent} == {"GET"}
        facts = venue.key_facts
        assert facts is not None
        assert (facts.account, facts.may_trade, facts.may_withdraw, facts.bound_to_addresses) == (
            "classic",
            True,
            True,
            True,
        )
        assert venue.not_covered == ("spot", "inverse", "options")


@pytest.mark.parametrize("mode", ["single_currency", "multi_currency", "portfolio"])
async def test_an_account_of_another_kind_than_configured_is_told_at_once(mode: str) -> None:
    """Its orders and coins would be looked for where they are not."""
    async with gate(slices=("linear",), warm_sockets=1) as (venue, fetch):
        arming(fetch, unified__unified_mode=answer({"mode": mode}))
        with pytest.raises(VenueDenied, match="'unified' and not 'classic'"):
            await venue.arm()
    async with gate(slices=("linear",), warm_sockets=1, options={"account": "unified"}) as (venue, fetch):
        arming(fetch, unified__unified_mode=answer({"mode": mode}))
        await venue.arm()


@pytest.mark.parametrize(
    "given", [refusal("FORBIDDEN", "no permission", 403), answer({"mode": "new"}), answer({}), answer([])]
)
async def test_an_account_whose_kind_cannot_be_told_is_degraded(given: Any) -> None:
    """Never guessed."""
    async with gate(slices=("linear",), warm_sockets=1) as (venue, fetch):
        arming(fetch, unified__unified_mode=given)
        with pytest.raises((VenueDenied, VenueAnswerUnknown)):
            await venue.arm()


async def test_rights_that_the_key_may_not_see_stay_unknown() -> None:
    """A sub-account's key may not list keys: the account is armed all the same."""
    async with gate(slices=("linear",), warm_sockets=1) as (venue, fetch):
        forbidden = refusal("FORBIDDEN", "no permission", 403)
        arming(fetch, account__detail=forbidden, account__main_keys=forbidden)
        await venue.arm()
        assert venue.key_facts is not None
        assert (venue.key_facts.account, venue.key_facts.may_withdraw) == ("classic", None)


@pytest.mark.parametrize("name", ["account__detail", "account__main_keys"])
async def test_a_key_that_is_refused_itself_is_no_matter_of_rights(name: str) -> None:
    """The account is degraded, as for any other read."""
    async with gate(slices=("linear",), warm_sockets=1) as (venue, fetch):
        arming(fetch, **{name: refusal("IP_FORBIDDEN", "your IP is not in the whitelist", 403)})
        with pytest.raises(VenueDenied):
            await venue.arm()


async def test_of_several_keys_the_one_that_begins_like_ours_is_meant() -> None:
    """Two that do tell nothing."""
    async with gate(slices=("linear",), warm_sockets=1) as (venue, fetch):
        other = {"key": "c5dcfbf1f3a7*****", "perms": [{"name": "wallet", "read_only": False}]}
        arming(fetch, account__main_keys=answer([other, {**KEY[1], "perms": KEY[0]["perms"]}]))
        await venue.arm()
        assert venue.key_facts is not None
        assert (venue.key_facts.may_trade, venue.key_facts.may_withdraw) == (True, False)
        arming(fetch, account__main_keys=answer(KEY))
        await venue.arm()
        assert venue.key_facts.may_withdraw is None


async def test_the_test_environment_has_usdt_contracts_and_spot() -> None:
    """No inverse contracts, none in USD1, no trailing orders, and its mode is told by the key."""
    async with gate(sandbox=True) as (venue, fetch):
        assert venue.slices == ("spot", "linear:USDT")
        assert venue.unverified == ("trailing and chasing orders",)
        holds_nothing(fetch)
        await venue.read_proof("linear:USDT")
        assert [each.path.rpartition("/")[2] for each in fetch.sent] == [
            "price_orders",
            "orders",
            "positions",
            "accounts",
        ]
        assert {each.host for each in fetch.sent} == {"api-testnet.gateapi.io"}
        fetch.sent.clear()
        fetch.answers["/api/v4/account/detail"] = answer({"ip_whitelist": [], "key": {"mode": 1}})
        await venue._read_key()
        assert fetch.only.path == "/api/v4/account/detail"
        assert venue.key_facts is not None
        assert venue.key_facts.account == "classic"


def test_what_configuration_may_say() -> None:
    """Slices, kinds of account, test environment."""
    right: dict[str, Any] = {"exchange": "gate", "credentials": CREDENTIALS}
    assert factory.check(VenueOptions(**right, options={"account": "unified"})) == []
    assert factory.check(VenueOptions(**right, slices=("linear:USDT", "linear:USD1", "inverse", "spot"))) == []
    assert "no 'margin' account" in factory.check(VenueOptions(**right, options={"account": "margin"}))[0]
    assert "test environment" in factory.check(VenueOptions(**right, sandbox=True, options={"account": "unified"}))[0]
    assert "gate has no 'margin'" in factory.check(VenueOptions(**right, slices=("margin",)))[0]
    assert factory.check(VenueOptions(exchange="gate", credentials={"apiKey": "k"})) == [
        "credentials: secret is missing"
    ]
    with pytest.raises(ConfigError):
        factory._profile(VenueOptions(**right)).layout(("linear", "linear:USDT"))


def subscriptions(venue: Any, name: str, ticket: Any) -> list[dict[str, Any]]:
    """What a stream sends first."""
    streams = {each.name: each for each in venue._streams._streams}
    return [json.loads(message) for message in streams[name].hello(venue._client.ccxt, ticket)]


async def test_streams_subscribe_to_orders_triggers_positions_and_wallets() -> None:
    """Each subscription signed by itself; those of futures name the user."""
    async with gate() as (venue, _):
        streams = {each.name: each for each in venue._streams._streams}
        assert {name: (each.slices, each.url(None)) for name, each in streams.items()} == {
            "spot": (("spot",), "wss://api.gateio.ws/ws/v4/"),
            "futures:USDT": (("linear",), "wss://fx-ws.gateio.ws/v4/ws/usdt"),
            "futures:USD1": (("linear",), "wss://fx-ws.gateio.ws/v4/ws/usd1"),
            "futures:BTC": (("inverse",), "wss://fx-ws.gateio.ws/v4/ws/btc"),
        }
        futures = subscriptions(venue, "futures:USDT", wallet())
        assert [(each["channel"], each["event"], each["payload"]) for each in futures] == [
            ("futures.balances", "subscribe", ["1666"]),
            ("futures.positions", "subscribe", ["1666", "!all"]),
            ("futures.autoorders", "subscribe", ["1666", "!all"]),
            ("futures.orders", "subscribe", ["1666", "!all"]),
        ]
        spot = subscriptions(venue, "spot", None)
        assert [(each["channel"], each.get("payload")) for each in spot] == [
            ("spot.balances", None),
            ("spot.priceorders", ["!all"]),
            ("spot.orders_v2", ["!all"]),
        ]
        for each in futures + spot:
            signed = f"channel={each['channel']}&event=subscribe&time={each['time']}"
            expected = hmac.new(CREDENTIALS["secret"].encode(), signed.encode(), hashlib.sha512).hexdigest()
            assert each["auth"] == {"method": "api_key", "KEY": CREDENTIALS["apiKey"], "SIGN": expected}
        with pytest.raises(VenueAnswerUnknown):
            subscriptions(venue, "futures:USDT", {"currency": "USDT"})


async def test_what_a_stream_says() -> None:
    """Hints for the slices that it tells of; confirmed by the last subscription, over when one is refused."""
    async with gate() as (venue, _):
        hear = next(each.hear for each in venue._streams._streams if each.name == "futures:USDT")
        done = {"event": "subscribe", "result": {"status": "success"}, "error": None}
        assert not hear({"channel": "futures.balances", **done}).confirmed
        assert hear({"channel": "futures.orders", **done}).confirmed
        assert hear({"channel": "futures.positions", "event": "update", "result": [{}]}).changed == ("linear",)
        assert hear({"channel": "futures.pong", "event": "", "result": None}).changed == ()
        error = {"code": 4, "message": "authentication fail"}
        assert hear({"channel": "futures.orders", "event": "subscribe", "error": error}).over is not None
        assert hear({"channel": "futures.orders", "event": "subscribe", "result": {"status": "fail"}}).over is not None
        system = {"channel": "futures.system", "event": "update", "result": {"type": "upgrade"}}
        assert hear(system).over is not None
        with pytest.raises(VenueAnswerUnknown):
            hear([])


def test_every_charge_has_a_budget() -> None:
    """A call that nobody can account for would fail in the middle of an emergency."""
    profile = factory._profile(VenueOptions(exchange="gate", credentials=CREDENTIALS))
    layout = profile.layout(None)
    asked = [call for part in layout.slices for call in profile.reads(part).all]
    asked += [call for kind in MarketKind if kind is not MarketKind.MARGIN for call in profile.market_calls(kind)]
    steps = [step for step, *_ in STEPS.values()]
    kinds = {"spot": MarketKind.SPOT, "linear": MarketKind.LINEAR, "inverse": MarketKind.INVERSE}
    asked += [call for step in steps for call in profile.calls(step, kinds[step.slice])]
    asked += [*profile.key_calls(), *profile.clock_calls(layout), profile.order_call(sell(), MarketKind.SPOT)]
    assert {charge.bucket for call in asked for charge in call.charges} <= set(profile.budgets)
