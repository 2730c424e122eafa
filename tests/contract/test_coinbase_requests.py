"""Every request that the Coinbase profile makes, exactly as it leaves the real ccxt class.

By hand from https://docs.cdp.coinbase.com/api-reference/advanced-trade-api/rest-api (create-order, cancel-order,
list-orders, list-accounts, get-best-bid-ask, list-public-products, get-server-time, get-api-key-permissions) and
.../coinbase-app/authentication-authorization/api-key-authentication.
"""

from __future__ import annotations

import base64
import json
import time
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from node.domain.steps import CancelSymbol, Outcome
from node.errors import VenueAnswerUnknown, VenueUnavailable
from node.venues import factory
from node.venues.options import VenueOptions
from tests.support.coinbase import (
    ACCOUNTS,
    API,
    CANCEL,
    CREDENTIALS,
    HOST,
    KEY,
    LIST,
    ORDERS,
    PRIVATE_KEY,
    PRODUCTS,
    QUOTES,
    TIME,
    accounts,
    cancels,
    coinbase,
    listed,
    order,
    sale,
)
from tests.support.venue import RecordedFetch, Sent, answer

ID = "sabcdefgh234567abc"


def assert_signed(sent: Sent, now_s: float | None = None) -> None:
    """A token of the key's, for this method and place, that ends within ten seconds."""
    kind, _, token = sent.headers["authorization"].partition(" ")
    assert kind == "Bearer"
    head = jwt.get_unverified_header(token)
    assert (head["alg"], head["kid"]) == ("ES256", CREDENTIALS["apiKey"])
    assert head["nonce"]
    options: Any = {"verify_exp": False, "verify_nbf": False, "verify_iat": False, "verify_aud": False}
    said = jwt.decode(token, PRIVATE_KEY.public_key(), algorithms=["ES256"], options=options)
    assert said["uri"] == f"{sent.method} {sent.host}{sent.path}"
    assert said["sub"] == CREDENTIALS["apiKey"]
    assert said["exp"] == said["nbf"] + 10, "or an order could arrive two minutes late"
    assert abs(said["nbf"] - (now_s or time.time())) < 3


async def test_a_sale_is_one_immediate_order_with_our_id_and_nothing_else() -> None:
    """No broker id, no leverage, digits as they are."""
    async with coinbase() as (venue, fetch):
        await venue.execute(sale(quantity=Decimal("1E-3")))
        assert fetch.only.line == ("POST", HOST, ORDERS)
        assert fetch.only.document == {
            "client_order_id": ID,
            "product_id": "BTC-USD",
            "side": "SELL",
            "order_configuration": {"sor_limit_ioc": {"base_size": "0.001", "limit_price": "60000.01"}},
        }
        assert_signed(fetch.only)


@pytest.mark.parametrize("trigger", [False, True])
async def test_orders_are_cancelled_together_by_id(trigger: bool) -> None:
    """Stops like any other; each once."""
    async with coinbase() as (venue, fetch):
        await venue.execute(cancels("a-1", "a-2", "a-1", trigger=trigger))
        assert fetch.only.line == ("POST", HOST, CANCEL)
        assert fetch.only.document == {"order_ids": ["a-1", "a-2"]}
        assert_signed(fetch.only)


async def test_very_many_orders_are_cancelled_in_batches_that_leave_together() -> None:
    """A hundred each."""
    ids = [f"a-{number}" for number in range(230)]
    async with coinbase() as (venue, fetch):
        await venue.execute(cancels(*ids))
        parts = [each.document["order_ids"] for each in fetch.sent]
        assert [len(part) for part in parts] == [100, 100, 30]
        assert [name for part in parts for name in part] == ids


async def test_no_market_is_swept() -> None:
    """The venue cannot; its markets say so, and the planner names the orders."""
    step = CancelSymbol(slice="spot", symbol="BTC/USD", market_id="BTC-USD", trigger=False, seen=1)
    async with coinbase() as (venue, fetch):
        assert (await venue.execute(step)).outcome is Outcome.REFUSED
        assert fetch.sent == []
        assert not venue.rules("spot")["BTC/USD"].sweeps


def query(sent: Sent) -> list[tuple[str, str]]:
    """Its parameters, repeated ones among them."""
    return parse_qsl(sent.raw, keep_blank_values=True)


def statuses(*names: str) -> list[tuple[str, str]]:
    """The query for orders of these statuses."""
    return [*(("order_status", name) for name in names), ("limit", "1000")]


EARLY, OPEN = statuses("PENDING", "QUEUED", "EDIT_QUEUED"), statuses("OPEN")
LATE = statuses("EDIT_QUEUED", "CANCEL_QUEUED")


async def test_a_proof_reads_orders_on_their_way_before_open_ones_before_the_wallet() -> None:
    """OPEN stands alone, says the documentation, and has not those that are not in the book yet."""
    async with coinbase() as (venue, fetch):
        snapshot = await venue.read_proof("spot")
        assert [(each.path, query(each)) for each in fetch.sent] == [
            (LIST, EARLY),
            (LIST, OPEN),
            (LIST, LATE),
            (ACCOUNTS, [("limit", "250")]),
        ]
        for each in fetch.sent:
            assert (each.method, each.host) == ("GET", HOST)
            assert_signed(each)
        assert snapshot.causal
        assert (snapshot.positions, snapshot.orders, snapshot.balances) == ((), (), ())


async def test_lists_are_read_to_their_end() -> None:
    """By the cursor."""
    pages = {None: listed(order(), cursor="next page"), "next page": listed(order(order_id="2"))}
    async with coinbase() as (venue, fetch):
        send = fetch.__call__

        async def paged(url: str, *rest: Any) -> object:
            asked = dict(parse_qsl(url.partition("?")[2]))
            fetch.answers[LIST] = pages[asked.get("cursor")] if asked.get("order_status") == "OPEN" else listed()
            return await send(url, *rest)

        venue._client.send = paged
        snapshot = await venue.read_proof("spot")
        assert [each.order_id for each in snapshot.orders or ()] == ["0000-000000-000001", "2"]
        assert [query(each) for each in fetch.sent][1:4] in (
            [OPEN, LATE, [*OPEN, ("cursor", "next page")]],
            [OPEN, [*OPEN, ("cursor", "next page")], LATE],
        )


@pytest.mark.parametrize(
    "page",
    [
        answer({"orders": []}),
        answer({"orders": [], "has_next": "perhaps"}),
        answer({"orders": [], "has_next": True, "cursor": ""}),
        answer({"orders": [], "has_next": True}),
        listed(*[order()] * 1000),
    ],
    ids=["no word", "no truth value", "no cursor", "none at all", "as many as there can be"],
)
async def test_a_list_that_may_go_on_is_none(page: Any) -> None:
    """A thousand open orders are the most that the venue shows."""
    async with coinbase() as (venue, fetch):
        fetch.answers[LIST] = page
        with pytest.raises(VenueAnswerUnknown):
            await venue.read_slice("spot")


async def test_accounts_are_read_to_their_end() -> None:
    """A coin on the second page is held all the same."""
    async with coinbase() as (venue, fetch):
        fetch.answers[ACCOUNTS] = accounts(cursor="x")
        with pytest.raises(VenueAnswerUnknown, match="no end"):
            await venue.read_slice("spot")
        assert [query(each) for each in fetch.sent if each.path == ACCOUNTS][1] == [("limit", "250"), ("cursor", "x")]


async def test_quotes_are_one_request_for_some_symbols() -> None:
    """By name; fresh ones, which need the key."""
    books = [
        {"product_id": "BTC-USD", "bids": [{"price": "10", "size": "1"}], "asks": [{"price": "11", "size": "1"}]},
        {"product_id": "ETH-USDC", "bids": [], "asks": [{"price": "5", "size": "1"}]},
    ]
    async with coinbase() as (venue, fetch):
        fetch.default = answer({"pricebooks": books})
        found = await venue.quotes(["ETH/USDC", "BTC/USD", "NOT/LISTED"])
        assert fetch.only.line == ("GET", HOST, QUOTES)
        assert query(fetch.only) == [("product_ids", "BTC-USD"), ("product_ids", "ETH-USDC")]
        assert_signed(fetch.only)
        assert set(found) == {"BTC/USD"}, "nobody bids for the other"
        assert found["BTC/USD"].bid == 10
        assert found["BTC/USD"].ask == 11
        assert await venue.quotes([]) == {}


async def test_an_ambiguous_sale_is_looked_for_among_the_newest_orders() -> None:
    """There is no request by client id."""
    async with coinbase() as (venue, fetch):
        fetch.answers[LIST] = listed(order(client_order_id=ID))
        assert await venue.filled(sale()) is True
        assert fetch.only.line == ("GET", HOST, LIST)
        assert query(fetch.only) == [("product_ids", "BTC-USD"), ("order_side", "SELL"), ("limit", "250")]
        assert_signed(fetch.only)


async def test_the_probe_cancels_an_order_that_cannot_exist() -> None:
    """By an id of the right form."""
    async with coinbase() as (venue, fetch):
        await venue.probe()
        assert fetch.only.line == ("POST", HOST, CANCEL)
        assert fetch.only.document == {"order_ids": ["11111111-1111-4111-8111-111111111111"]}
        assert_signed(fetch.only)


async def test_keeping_warm_asks_for_the_time() -> None:
    """Unsigned, once a socket."""
    async with coinbase() as (venue, fetch):
        fetch.default = clock(1_800_000_000)
        await venue.keep_warm(2)
        assert fetch.lines == [("GET", HOST, TIME)] * 2
        assert not any("authorization" in each.headers for each in fetch.sent)


def clock(seconds: int) -> Any:
    """The venue's time."""
    document = {"iso": "2027-01-15T08:00:00Z", "epochSeconds": str(seconds), "epochMillis": f"{seconds}123"}
    return answer(document)


async def test_the_venues_clock_is_what_tokens_are_made_with() -> None:
    """ccxt itself makes them with ours."""
    async with coinbase() as (venue, fetch):
        fetch.default = clock(1_800_000_000)
        await venue.keep_warm(1)
        await venue.execute(sale())
        assert_signed(fetch.sent[-1], now_s=1_800_000_000)


async def test_a_time_that_is_none_does_not_move_the_clock() -> None:
    """Every token would be made with it."""
    async with coinbase() as (venue, fetch):
        for given in ({"epochMillis": "1800000000"}, {"epochMillis": "noon"}, {}):
            fetch.default = answer(given)
            with pytest.raises((VenueAnswerUnknown, VenueUnavailable)):
                await venue.keep_warm(1)
        assert venue.clock_offset_ms() is None


PRODUCT: dict[str, Any] = {
    "product_id": "BTC-USD",
    "base_currency_id": "BTC",
    "quote_currency_id": "USD",
    "base_increment": "0.00000001",
    "quote_increment": "0.01",
    "price_increment": "0.01",
    "base_min_size": "0.00000001",
    "base_max_size": "3400",
    "quote_min_size": "1",
    "quote_max_size": "150000000",
    "status": "online",
    "product_type": "SPOT",
    "trading_disabled": False,
    "is_disabled": False,
    "cancel_only": False,
    "limit_only": True,
    "post_only": False,
    "auction_mode": False,
    "view_only": False,
    "alias": "",
    "alias_to": ["BTC-USDC"],
}


def at_arming(fetch: RecordedFetch, *products: dict[str, Any], **rights: Any) -> None:
    """What the venue answers to a node that starts."""
    told = {"can_view": True, "can_trade": True, "can_transfer": False, "portfolio_uuid": "u", **rights}
    fetch.answers = {
        PRODUCTS: answer({"products": products or [PRODUCT], "num_products": 1, "pagination": None}),
        TIME: clock(int(time.time())),
        KEY: answer({**told, "portfolio_type": "DEFAULT"}),
    }


async def test_arming_asks_for_products_time_and_rights_and_nothing_else() -> None:
    """No currencies, no fees, no accounts."""
    async with coinbase(warm_sockets=1) as (venue, fetch):
        venue._shelf.books.clear()
        at_arming(fetch)
        await venue.arm()
        assert sorted((each.path, query(each)) for each in fetch.sent) == [
            (KEY, []),
            (PRODUCTS, [("product_type", "SPOT")]),
            (TIME, []),
        ]
        assert venue.key_facts is not None
        assert (venue.key_facts.may_trade, venue.key_facts.may_withdraw) == (True, False)
        assert venue.not_covered == ("futures", "perpetuals", "vaults and staked coins")


async def test_products_with_the_venues_limits() -> None:
    """Named as ccxt names them. A market that takes only limits takes ours."""
    shut = [{**PRODUCT, "product_id": f"{name}-USD", "base_currency_id": name} for name in ("AAA", "BBB", "CCC")]
    shut[0] |= {"trading_disabled": True}
    shut[1] |= {"status": "delisted"}
    shut[2] |= {"cancel_only": True}
    renamed = {**PRODUCT, "product_id": "CGLD-USD", "base_currency_id": "CGLD"}
    future = {**PRODUCT, "product_id": "BIP-20DEC30-CDE", "product_type": "FUTURE"}
    async with coinbase(warm_sockets=1) as (venue, fetch):
        venue._shelf.books.clear()
        at_arming(fetch, PRODUCT, *shut, renamed, future, can_transfer=True)
        await venue.arm()
        found = venue.rules("spot")
        assert {symbol: rule.trading for symbol, rule in found.items()} == {
            "BTC/USD": True,
            "AAA/USD": False,
            "BBB/USD": False,
            "CCC/USD": False,
            "CELO/USD": True,
        }
        rule = found["BTC/USD"]
        assert rule.quantity_step == rule.quantity_min == Decimal("1E-8")
        assert rule.limit_quantity_max == rule.market_quantity_max == 3400
        assert rule.notional_min == 1
        assert rule.notional_max == 150_000_000
        assert rule.price_tick == Decimal("0.01")
        assert venue.key_facts is not None
        assert venue.key_facts.may_withdraw


async def test_products_that_come_in_pages_are_not_all_there_are() -> None:
    """Nobody asked for pages."""
    async with coinbase(warm_sockets=1) as (venue, fetch):
        venue._shelf.books.clear()
        at_arming(fetch)
        fetch.answers[PRODUCTS] = answer({"products": [PRODUCT], "pagination": {"has_next": True}})
        with pytest.raises(VenueAnswerUnknown, match="pages"):
            await venue.arm()


def test_there_is_no_sandbox_and_only_spot() -> None:
    """Coinbase's own answers the same to everything."""
    wrong = VenueOptions(exchange="coinbase", credentials=CREDENTIALS, sandbox=True, slices=("linear",))
    faults = factory.check(wrong)
    assert any("no test environment" in fault for fault in faults)
    assert any("'linear'" in fault for fault in faults)


async def test_keys_of_the_newer_kind_sign_too() -> None:
    """Ed25519, by ccxt's own recognition."""
    key = ed25519.Ed25519PrivateKey.generate()
    secret = base64.b64encode(key.private_bytes_raw() + key.public_key().public_bytes_raw()).decode()
    async with coinbase(credentials={"apiKey": "d2efa49a-369c-43d7", "secret": secret}) as (venue, fetch):
        await venue.execute(cancels("1"))
        token = fetch.only.headers["authorization"].removeprefix("Bearer ")
        said = jwt.decode(token, key.public_key(), algorithms=["EdDSA"], options={"verify_aud": False})
        assert said["uris"] == [f"POST {HOST}{API}/orders/batch_cancel"]
        (stream,) = venue._streams._streams
        first = json.loads(stream.hello(venue._client.ccxt, None)[0])
        assert jwt.get_unverified_header(first["jwt"])["alg"] == "EdDSA"


class TestStream:
    """The one connection."""

    async def test_one_subscription_each_for_orders_and_heartbeats(self) -> None:
        """Without heartbeats a quiet channel is closed. Each token is another one, and for no place."""
        async with coinbase() as (venue, _):
            (stream,) = venue._streams._streams
            assert stream.url(None) == "wss://advanced-trade-ws-user.coinbase.com"
            sent = [json.loads(text) for text in stream.hello(venue._client.ccxt, None)]
            tokens = [each.pop("jwt") for each in sent]
            assert sent == [
                {"type": "subscribe", "channel": "user"},
                {"type": "subscribe", "channel": "heartbeats"},
            ]
            assert len(set(tokens)) == 2
            options: Any = {"verify_aud": False}
            for token in tokens:
                said = jwt.decode(token, PRIVATE_KEY.public_key(), algorithms=["ES256"], options=options)
                assert "uri" not in said

    @pytest.mark.parametrize(
        ("message", "confirmed", "changed", "over"),
        [
            ({"channel": "subscriptions", "events": [{"subscriptions": {"user": ["uid"]}}]}, True, (), False),
            ({"channel": "subscriptions", "events": [{"subscriptions": {"heartbeats": ["h"]}}]}, False, (), False),
            ({"channel": "user", "events": [{"type": "snapshot", "orders": []}]}, False, ("spot",), False),
            ({"channel": "user", "events": [{"type": "update", "orders": [{}]}]}, False, ("spot",), False),
            ({"channel": "heartbeats", "events": [{"heartbeat_counter": 3}]}, False, (), False),
            ({"type": "error", "message": "authentication failure"}, False, (), True),
        ],
    )
    async def test_what_its_messages_say(
        self, message: dict[str, Any], confirmed: bool, changed: tuple[str, ...], over: bool
    ) -> None:
        """Orders change the slice."""
        async with coinbase() as (venue, _):
            (stream,) = venue._streams._streams
            heard = stream.hear(message)
            assert (heard.confirmed, heard.changed, heard.over is not None) == (confirmed, changed, over)
