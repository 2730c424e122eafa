"""What Coinbase's answers mean, what may leave at which level, and that nothing odd becomes an empty result."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import aiohttp
import ccxt
import pytest

from node.domain.permission import Effect, Permission
from node.domain.snapshot import Side
from node.domain.steps import Outcome, Refusal
from node.errors import VenueAnswerUnknown, VenueDenied, VenueError, VenueLimited, VenueUnavailable
from node.venues import wire
from node.venues.call import Call
from node.venues.gate import NotPermitted, read_request
from node.venues.options import VenueOptions
from node.venues.profiles.coinbase.profile import CoinbaseProfile
from node.venues.wire import Wire
from tests.support.coinbase import (
    ACCOUNTS,
    API,
    CANCEL,
    CREDENTIALS,
    LIST,
    ORDERS,
    PEM,
    QUOTES,
    TIME,
    account,
    accounts,
    cancelled,
    cancels,
    coinbase,
    failed,
    listed,
    order,
    refusal,
    sale,
    taken,
)
from tests.support.venue import Answer, answer, close_position

CLOCK = answer({"epochMillis": "1800000000123"})


async def orders_of(*rows: Any) -> Any:
    """The snapshot's orders; each of the three lists shows the same."""
    async with coinbase() as (venue, fetch):
        fetch.answers[LIST] = listed(*rows)
        found = (await venue.read_slice("spot")).orders or ()
        return list({each.order_id: each for each in found}.values())


async def balances_of(*entries: Any) -> Any:
    """The snapshot's balances."""
    async with coinbase() as (venue, fetch):
        fetch.answers[ACCOUNTS] = accounts(*entries)
        return (await venue.read_slice("spot")).balances


class TestOrders:
    """From rows to orders."""

    async def test_a_resting_order(self) -> None:
        """What is left of it, by the client's own id."""
        (found,) = await orders_of(order())
        assert (found.symbol, found.order_id, found.side) == ("BTC/USD", "0000-000000-000001", Side.BUY)
        assert str(found.remaining) == "0.006"
        assert (found.client_order_id, found.trigger, found.protective) == ("11111-000000-000001", False, False)

    async def test_a_stop_waits_for_its_trigger(self) -> None:
        """In the same list."""
        stop = {"stop_limit_stop_limit_gtc": {"base_size": "1", "limit_price": "7", "stop_price": "8"}}
        (found,) = await orders_of(order(order_configuration=stop, trigger_status="STOP_PENDING", filled_size="0"))
        assert found.trigger
        assert found.remaining == 1

    @pytest.mark.parametrize("kinds", [{"market_market_ioc": {"quote_size": "10"}}, {"a": {}, "b": {}}, None, {}])
    async def test_an_order_of_money_or_of_parts_has_no_amount(self, kinds: Any) -> None:
        """It is cancelled like any other."""
        (found,) = await orders_of(order(order_configuration=kinds))
        assert found.remaining is None

    @pytest.mark.parametrize("status", ["OPEN", "PENDING", "QUEUED", "EDIT_QUEUED", "CANCEL_QUEUED"])
    async def test_whatever_may_still_trade_is_an_order(self, status: str) -> None:
        """Also what is not in the book yet."""
        assert len(await orders_of(order(status=status))) == 1

    async def test_what_has_ended_meanwhile_is_none_and_futures_are_not_covered(self) -> None:
        """The account names them."""
        over = [order(status=status) for status in ("FILLED", "CANCELLED", "EXPIRED", "FAILED")]
        assert await orders_of(*over, order(product_type="FUTURE", product_id="BIP-20DEC30-CDE")) == []

    async def test_an_unlisted_product_is_kept_under_its_raw_name(self) -> None:
        """And one of a type that nobody knows."""
        (found,) = await orders_of(order(product_id="GONE-USD", product_type="NEW_TYPE"))
        assert (found.symbol, found.market_id) == ("GONE-USD", "GONE-USD")

    @pytest.mark.parametrize(
        "row",
        [
            order(order_id=None),
            order(order_id=""),
            order(side="UNKNOWN_ORDER_SIDE"),
            order(status="NEW"),
            order(status=None),
            order(product_id=""),
            order(filled_size="some"),
            order(order_configuration={"x": {"base_size": "many"}}),
            "order",
        ],
        ids=str,
    )
    async def test_one_odd_row_makes_the_whole_read_unknown(self, row: Any) -> None:
        """A row that was skipped could be the one that matters."""
        with pytest.raises(VenueAnswerUnknown):
            await orders_of(order(), row)

    async def test_an_order_that_moves_between_the_lists_is_cancelled_once(self) -> None:
        """Seen on its way and in the book."""
        async with coinbase() as (venue, fetch):
            fetch.answers[LIST] = listed(order(status="EDIT_QUEUED"))
            snapshot = await venue.read_proof("spot")
            ids = [each.order_id for each in snapshot.orders or ()]
            assert len(ids) == 2
            fetch.sent.clear()
            await venue.execute(cancels(*ids))
            assert fetch.only.document == {"order_ids": ["0000-000000-000001"]}


class TestBalances:
    """From accounts to coins."""

    async def test_what_is_free_and_what_is_held(self) -> None:
        """Empty ones are left out; CGLD is CELO."""
        found = await balances_of(account(hold="0.5"), account("USD", "0", "0.00"), account("CGLD", "3"))
        assert [f"{each.asset} {each.free} {each.locked}" for each in found] == ["BTC 1.5 0.5", "CELO 3 0"]

    @pytest.mark.parametrize(
        "changes",
        [
            {"type": "ACCOUNT_TYPE_VAULT"},
            {"type": "VAULT"},
            {"type": None},
            {"platform": "ACCOUNT_PLATFORM_CFM_CONSUMER"},
            {"platform": "ACCOUNT_PLATFORM_INTX"},
            {"ready": False},
        ],
        ids=str,
    )
    async def test_what_no_order_can_sell_is_held_not_free(self, changes: dict[str, Any]) -> None:
        """It is there, and is named; one coin in two accounts is one balance."""
        (found,) = await balances_of(account(**changes), account(free="1"))
        assert f"{found.asset} {found.free} {found.locked}" == "BTC 1 1.5"

    async def test_short_names_are_known(self) -> None:
        """Of older answers."""
        bare = account(type="CRYPTO")
        del bare["platform"]
        (found,) = await balances_of(bare)
        assert f"{found.free} {found.locked}" == "1.5 0"

    async def test_a_negative_balance_is_a_debt(self) -> None:
        """And no coin."""
        (found,) = await balances_of(account("USD", "-5"))
        assert (found.total, str(found.debt)) == (0, "5")

    @pytest.mark.parametrize(
        "entry",
        [
            account(currency=""),
            account(free="much"),
            account(available_balance=None),
            {**account(), "hold": None},
            {**account(), "hold": {"currency": "BTC"}},
            account(ready=None),
            [],
        ],
        ids=str,
    )
    async def test_one_odd_account_makes_the_read_unknown(self, entry: Any) -> None:
        """It may be the one with the money."""
        with pytest.raises(VenueAnswerUnknown):
            await balances_of(account(), entry)


def raw(text: str, status: int = 200) -> Answer:
    """A body as it is."""
    return Answer(body=text, status=status)


BROKEN: dict[str, Answer | Callable[[], Any]] = {
    "nothing": raw(""),
    "a web page": raw("<html><body>maintenance</body></html>"),
    "a list": answer([]),
    "an object": answer({"has_next": False}),
    "a null list": answer({"orders": None, "accounts": None, "has_next": False}),
    "half a document": raw('{"orders": [], "accounts": [], "has_ne'),
    "null": raw("null"),
    "a list of text": answer({"orders": ["a"], "accounts": ["a"], "has_next": False}),
    "a surprise inside ccxt": lambda: (_ for _ in ()).throw(KeyError("data")),
}


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("path", [LIST, ACCOUNTS])
async def test_what_is_not_understood_is_unknown_and_never_empty(name: str, path: str) -> None:
    """The read raises; nobody may take it for flat."""
    async with coinbase() as (venue, fetch):
        fetch.answers[path] = BROKEN[name]
        for read in (venue.read_slice, venue.read_proof):
            with pytest.raises((VenueAnswerUnknown, VenueUnavailable)):
                await read("spot")


@pytest.mark.parametrize(
    "books",
    [
        {},
        {"pricebooks": []},
        {"pricebooks": [{"product_id": "BTC-USD"}]},
        {"pricebooks": [{"product_id": "BTC-USD", "bids": [{"price": "x"}], "asks": []}]},
    ],
    ids=str,
)
async def test_quotes_that_were_asked_for_and_are_not_told_are_not_nothing(books: dict[str, Any]) -> None:
    """Or a balance would be called unsellable."""
    async with coinbase() as (venue, fetch):
        fetch.answers[QUOTES] = answer(books)
        with pytest.raises(VenueAnswerUnknown):
            await venue.quotes(["BTC/USD"])


async def test_all_quotes_are_asked_for_where_the_venue_knows_one_of_the_names_no_more() -> None:
    """One product that is gone must not keep the others from being sold."""
    books = [{"product_id": "BTC-USD", "bids": [{"price": "10"}], "asks": [{"price": "11"}]}]
    async with coinbase() as (venue, fetch):
        fetch.in_turn = iter([failed("INVALID_ARGUMENT", 400, "invalid product_id"), answer({"pricebooks": books})])
        assert set(await venue.quotes(["BTC/USD", "ETH/USDC"])) == {"BTC/USD"}
        assert [each.raw for each in fetch.sent] == ["product_ids=BTC-USD&product_ids=ETH-USDC", ""]


LIMITED = answer({"errors": [{"id": "rate_limit_exceeded", "message": "Too many requests"}]}, 429)


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (raw("Unauthorized\n", 401), VenueDenied),
        (failed("PERMISSION_DENIED", 403, "Missing required scopes"), VenueDenied),
        (answer({"errors": [{"id": "authentication_error", "message": "invalid"}]}, 401), VenueDenied),
        (LIMITED, VenueLimited),
        (raw("rate limited", 429), VenueLimited),
        (failed("INTERNAL", 500), VenueUnavailable),
        (raw("<html>bad gateway</html>", 502), VenueUnavailable),
        (raw("<html>forbidden</html>", 403), VenueUnavailable),
        (failed("INVALID_ARGUMENT", 400), VenueError),
    ],
    ids=lambda value: str(value)[:60],
)
async def test_a_failed_read_says_what_to_do_about_it(given: Answer, kind: type[VenueError]) -> None:
    """By the name, else by the status."""
    async with coinbase() as (venue, fetch):
        fetch.answers |= {ACCOUNTS: given, TIME: CLOCK}
        with pytest.raises(VenueError) as raised:
            await venue.read_slice("spot")
        assert type(raised.value) is kind


async def test_a_refused_token_has_the_clock_measured() -> None:
    """It does not say whether key or time was wrong: the next one has the time right."""
    async with coinbase() as (venue, fetch):
        fetch.answers |= {ORDERS: raw("Unauthorized", 401), TIME: CLOCK}
        given = await venue.execute(sale())
        assert (given.outcome, given.refusal) == (Outcome.REFUSED, Refusal.DENIED)
        assert fetch.sent[-1].path == TIME
        assert venue.clock_offset_ms() is not None


# Outcomes


def caused(kind: type[Exception], cause: BaseException) -> Exception:
    """ccxt's exception as it raises it."""
    raised = kind(f"coinbase POST https://api.coinbase.com{ORDERS} {CREDENTIALS['apiKey']} {PEM}")
    raised.__cause__ = cause
    return raised


UNCERTAIN: dict[str, Any] = {
    "connection lost after sending": caused(ccxt.ExchangeNotAvailable, aiohttp.ServerDisconnectedError()),
    "no answer in time": caused(ccxt.RequestTimeout, TimeoutError()),
    "empty 200": raw(""),
    "half a document": raw('{"success":true,"success_response":{"order_id":"52'),
    "502": raw("<html>bad gateway</html>", 502),
    "a certain reason with a server error": failed("INSUFFICIENT_FUND", 500),
    "403 from a firewall": raw("<html>forbidden</html>", 403),
    "success without an order": answer({"success": True}),
    "success without an id": taken(order_id=""),
    "an id without success": answer({"success_response": {"order_id": "5"}}),
    "somebody else's order": taken(client_order_id="other"),
    "a list": answer([]),
    "failure without a reason": refusal(),
    "failure without an error": answer({"success": False}),
    "internal": failed("INTERNAL", 400),
    "unavailable": failed("UNAVAILABLE", 503),
    "too late": failed("DEADLINE_EXCEEDED", 400),
    "unknown": failed("unknown", 400),
    "a reason that nobody knows": refusal("SOMETHING_NEW"),
    "IndexError": lambda: (_ for _ in ()).throw(IndexError("surprise")),
}


@pytest.mark.parametrize("name", UNCERTAIN)
async def test_whatever_may_have_been_executed_is_ambiguous(name: str) -> None:
    """Neither done nor refused; and no message carries the key."""
    async with coinbase() as (venue, fetch):
        fetch.answers[ORDERS] = UNCERTAIN[name]
        given = await venue.execute(sale())
        assert (given.outcome, given.refusal) == (Outcome.AMBIGUOUS, None)
        assert CREDENTIALS["apiKey"] not in (given.message or "")
        assert "PRIVATE" not in (given.message or "")


REFUSED: list[tuple[Answer, Refusal]] = [
    (refusal("INSUFFICIENT_FUND"), Refusal.INSUFFICIENT),
    (refusal("INSUFFICIENT_FUNDS"), Refusal.INSUFFICIENT),
    (refusal(preview="PREVIEW_INSUFFICIENT_FUND"), Refusal.INSUFFICIENT),
    (refusal("INVALID_LEDGER_BALANCE"), Refusal.INSUFFICIENT),
    (refusal(error="INSUFFICIENT_FUND"), Refusal.INSUFFICIENT),
    (refusal("INVALID_LIMIT_PRICE"), Refusal.PRICE_BAND),
    (refusal(preview="PREVIEW_INVALID_LIMIT_PRICE"), Refusal.PRICE_BAND),
    (refusal(preview="PREVIEW_BREACHED_PRICE_LIMIT"), Refusal.PRICE_BAND),
    (refusal("INVALID_NO_LIQUIDITY"), Refusal.UNFILLED),
    (refusal(preview="PREVIEW_INVALID_BASE_SIZE_TOO_LARGE"), Refusal.QUANTITY),
    (refusal(preview="PREVIEW_INVALID_QUOTE_SIZE_TOO_LARGE"), Refusal.QUANTITY),
    (refusal(preview="PREVIEW_INVALID_BASE_SIZE_TOO_SMALL"), Refusal.TOO_SMALL),
    (refusal(preview="PREVIEW_INVALID_QUOTE_SIZE_TOO_SMALL"), Refusal.TOO_SMALL),
    (refusal("ORDER_ENTRY_DISABLED"), Refusal.MARKET_CLOSED),
    (refusal("UNTRADABLE_PRODUCT"), Refusal.MARKET_CLOSED),
    (refusal("INELIGIBLE_PAIR"), Refusal.MARKET_CLOSED),
    (refusal("GEOFENCING_RESTRICTION"), Refusal.DENIED),
    (refusal("UNSUPPORTED_ORDER_CONFIGURATION"), Refusal.OTHER),
    (refusal("INVALID_SIZE_PRECISION"), Refusal.OTHER),
    (refusal(preview="PREVIEW_INVALID_PRICE_PRECISION"), Refusal.OTHER),
    (refusal("COMMANDER_REJECTED_NEW_ORDER"), Refusal.OTHER),
    (failed("INVALID_ARGUMENT", 400, "account is not available"), Refusal.OTHER),
    (failed("PERMISSION_DENIED", 403, "Missing required scopes"), Refusal.DENIED),
    (raw("Unauthorized", 401), Refusal.DENIED),
    (LIMITED, Refusal.RATE_LIMITED),
    (failed("RESOURCE_EXHAUSTED", 429), Refusal.RATE_LIMITED),
]


@pytest.mark.parametrize(("given", "expected"), REFUSED, ids=lambda value: str(value)[-60:])
async def test_the_venues_certain_words_are_refusals(given: Answer, expected: Refusal) -> None:
    """Those of orders come with HTTP 200."""
    async with coinbase() as (venue, fetch):
        fetch.answers |= {ORDERS: given, TIME: CLOCK}
        found = await venue.execute(sale())
        assert (found.outcome, found.refusal) == (Outcome.REFUSED, expected)


async def test_done_needs_the_venues_own_id() -> None:
    """What was filled it does not say."""
    async with coinbase() as (venue, fetch):
        fetch.answers[ORDERS] = taken()
        found = await venue.execute(sale())
        assert (found.outcome, found.filled) == (Outcome.DONE, None)


SUCCESS, NONE = "UNKNOWN_CANCEL_FAILURE_REASON", Outcome.AMBIGUOUS
DONE, GONE = (Outcome.DONE, None), (Outcome.REFUSED, Refusal.UNKNOWN_ORDER)


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        ([("1", True, SUCCESS), ("2", True, SUCCESS)], DONE),
        ([("2", True, ""), ("1", True, "")], DONE),
        ([("1", True, SUCCESS), ("2", False, "UNKNOWN_CANCEL_ORDER")], DONE),
        ([("1", True, SUCCESS), ("2", False, "DUPLICATE_CANCEL_REQUEST")], DONE),
        ([("1", False, "ORDER_IS_FULLY_FILLED"), ("2", False, "UNKNOWN_CANCEL_ORDER")], GONE),
        ([("1", True, SUCCESS), ("2", False, "ORDER_IS_BEING_REPLACED")], (Outcome.REFUSED, Refusal.OVERLOADED)),
        ([("1", True, SUCCESS), ("2", False, "NOT_ALLOWED_TO_CANCEL")], (Outcome.REFUSED, Refusal.OTHER)),
        ([("1", True, SUCCESS), ("2", False, "COMMANDER_REJECTED_CANCEL_ORDER")], (Outcome.REFUSED, Refusal.OTHER)),
        ([("1", True, SUCCESS), ("2", False, "INVALID_CANCEL_REQUEST")], (Outcome.REFUSED, Refusal.OTHER)),
        ([("1", True, SUCCESS), ("2", False, SUCCESS)], (NONE, None)),
        ([("1", True, SUCCESS), ("2", False, "SOMETHING_NEW")], (NONE, None)),
        ([("1", True, SUCCESS)], (NONE, None)),
        ([("1", True, SUCCESS), ("1", True, SUCCESS)], (NONE, None)),
        ([("1", True, SUCCESS), ("3", True, SUCCESS)], (NONE, None)),
        ([], (NONE, None)),
    ],
    ids=str,
)
async def test_a_batch_is_no_better_than_its_worst_part(
    results: list[tuple[str, bool, str]], expected: tuple[Outcome, Refusal | None]
) -> None:
    """Each order has its own word, or the whole is not understood."""
    async with coinbase() as (venue, fetch):
        fetch.answers[CANCEL] = cancelled(*results)
        found = await venue.execute(cancels("1", "2"))
        assert (found.outcome, found.refusal) == expected


async def test_of_several_batches_each_must_answer_for_all_its_orders() -> None:
    """A hundred and the rest."""
    ids = [f"a-{number}" for number in range(130)]
    whole = [(name, True, "") for name in ids]
    async with coinbase() as (venue, fetch):
        fetch.in_turn = iter([cancelled(*whole[:100]), cancelled(*whole[100:])])
        assert (await venue.execute(cancels(*ids))).outcome is Outcome.DONE
        fetch.in_turn = iter([cancelled(*whole[:99]), cancelled(*whole[100:])])
        assert (await venue.execute(cancels(*ids))).outcome is Outcome.AMBIGUOUS


@pytest.mark.parametrize(
    ("given", "outcome", "refusal_"),
    [
        (cancelled((CoinbaseProfile.probe_id, False, "UNKNOWN_CANCEL_ORDER")), Outcome.DONE, None),
        (raw("Unauthorized", 401), Outcome.REFUSED, Refusal.DENIED),
        (failed("PERMISSION_DENIED", 403), Outcome.REFUSED, Refusal.DENIED),
    ],
    ids=["may", "may not", "has no right"],
)
async def test_the_probe_tells_whether_the_key_may_cancel(given: Answer, outcome: Outcome, refusal_: Any) -> None:
    """The venue looked for the order, or would not."""
    async with coinbase() as (venue, fetch):
        fetch.answers |= {CANCEL: given, TIME: CLOCK}
        found = await venue.probe()
        assert (found.outcome, found.refusal) == (outcome, refusal_)


def others(*times: str) -> list[dict[str, Any]]:
    """Orders of somebody else's ids."""
    return [order(client_order_id=f"x{time}", created_time=time) for time in times]


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (listed(*others("3"), order(client_order_id="sabcdefgh234567abc")), True),
        (listed(), False),
        (listed(*others("3", "1", "2")), False),
        (listed(*others("3", "2", "1"), cursor="x"), False),
        # Where the newest may be on another page, nothing is known.
        (listed(*others("1", "2", "3"), cursor="x"), None),
        (listed(*others("3"), cursor="x"), None),
        (listed(order(created_time=None), cursor="x"), None),
        (answer({"orders": []}), None),
        (answer([]), None),
        (failed("INTERNAL", 500), None),
        (failed("NOT_FOUND", 404), None),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_whether_an_order_exists_is_known_only_from_a_list_that_must_show_it(given: Any, found: Any) -> None:
    """Whole, or the newest first."""
    async with coinbase() as (venue, fetch):
        fetch.answers[LIST] = given
        assert await venue.filled(sale()) is found


async def test_positions_are_nothing_of_this_wallet() -> None:
    """A close is not sent."""
    async with coinbase() as (venue, fetch):
        for step in (close_position(), close_position(slice="spot")):
            given = await venue.execute(step)
            assert (given.outcome, given.sent_ns) == (Outcome.REFUSED, None)
        assert fetch.sent == []


# The gate

LEVELS = list(Permission)


@pytest.mark.parametrize("level", LEVELS)
async def test_every_step_leaves_at_its_level_and_not_below(level: Permission) -> None:
    """Cancels from "cancel" on, sales from "close" on."""
    async with coinbase(permission=level) as (venue, fetch):
        for step, effect in ((cancels("1", "2"), Effect.CANCEL), (sale(), Effect.CLOSE)):
            fetch.sent.clear()
            given = await venue.execute(step)
            if level.allows(effect):
                assert len(fetch.sent) == 1
            else:
                assert (given.refusal, fetch.sent) == (Refusal.PERMISSION, [])
        await venue.read_proof("spot")


@pytest.mark.parametrize("level", LEVELS)
async def test_what_the_profile_does_not_know_leaves_at_no_level(level: Permission) -> None:
    """Transfers, conversions, edits, closes of futures; and the whole of version 2, where money is sent from."""
    endpoints = (
        "v3PrivatePostBrokeragePortfoliosMoveFunds",
        "v3PrivatePostBrokerageConvertQuote",
        "v3PrivatePostBrokerageOrdersEdit",
        "v3PrivatePostBrokerageOrdersClosePosition",
        "v3PrivatePostBrokerageCfmSweepsSchedule",
        "v3PrivatePostBrokeragePortfolios",
        "v2PrivatePostAccounts",
        "v2PrivateGetUser",
    )
    async with coinbase(permission=level) as (venue, fetch):
        for endpoint in endpoints:
            for effect in Effect:
                attempt = await venue._client.attempt(Call(endpoint=endpoint, effect=effect, params={"a": "1"}))
                assert isinstance(attempt.error, NotPermitted), endpoint
        assert fetch.sent == []


def body(**changes: Any) -> str:
    """An order that only sells."""
    document = {
        "client_order_id": "s",
        "product_id": "BTC-USD",
        "side": "SELL",
        "order_configuration": {"sor_limit_ioc": {"base_size": "1", "limit_price": "2"}},
        **changes,
    }
    return json.dumps(document)


TWO = {"sor_limit_ioc": {"base_size": "1"}, "limit_limit_gtc": {"base_size": "1"}}


@pytest.mark.parametrize(
    ("method", "path", "sent", "effect"),
    [
        ("POST", "orders", body(), Effect.CLOSE),
        ("POST", "orders", body(order_configuration={"market_market_ioc": {"base_size": "1"}}), Effect.CLOSE),
        ("POST", "orders", body(side="BUY"), Effect.OPEN),
        ("POST", "orders", body(order_configuration={"limit_limit_gtc": {"base_size": "1"}}), Effect.OPEN),
        ("POST", "orders", body(order_configuration=TWO), Effect.OPEN),
        ("POST", "orders", body(order_configuration={}), Effect.OPEN),
        ("POST", "orders", body(order_configuration=None), Effect.OPEN),
        ("POST", "orders", body(product_id="BIP-20DEC30-CDE"), Effect.OPEN),
        ("POST", "orders", body(product_id="BTC-PERP-INTX"), Effect.OPEN),
        ("POST", "orders", body(product_id=None), Effect.OPEN),
        ("POST", "orders", body(leverage="3"), Effect.OPEN),
        ("POST", "orders", body(attached_order_configuration={"limit_limit_gtc": {}}), Effect.OPEN),
        ("POST", "orders", body(retail_portfolio_id="other"), Effect.OPEN),
        ("POST", "orders", body().replace("{", '{"side": "BUY", ', 1), None),
        ("POST", "orders", "side=SELL&product_id=BTC-USD", None),
        ("POST", "orders", "[]", None),
        ("POST", "orders?side=BUY", body(), None),
        ("POST", "orders/", body(), None),
        ("POST", "orders/preview", body(), None),
        ("POST", "orders/close_position", body(), None),
        ("PUT", "orders", body(), None),
        ("DELETE", "orders", body(), None),
        ("POST", "orders/batch_cancel", '{"order_ids": ["1"]}', Effect.CANCEL),
        ("POST", "orders/batch_cancel", "order_ids=1", None),
        ("GET", "accounts", None, Effect.READ),
        ("GET", "accounts", "{}", None),
        ("HEAD", "accounts", None, None),
        ("GET", "../../../v2/user", None, None),
        ("GET", "%2e%2e/user", None, None),
    ],
)
def test_what_a_request_can_do_is_told_from_itself(
    method: str, path: str, sent: str | None, effect: Effect | None
) -> None:
    """By path and body."""
    profile = CoinbaseProfile(VenueOptions(exchange="coinbase", credentials=CREDENTIALS))
    request = read_request(f"https://api.coinbase.com{API}/{path}", method, sent)
    assert profile.effect_of(request) is effect
    elsewhere = read_request(f"https://api.coinbase.com/v2/{path}", method, sent)
    assert profile.effect_of(elsewhere) is None


@pytest.mark.parametrize("effect", list(Effect))
async def test_forged_requests_are_stopped(effect: Effect) -> None:
    """Under the cover of any call."""
    url = f"https://api.coinbase.com{ORDERS}"
    async with coinbase(permission=Permission.CLOSE) as (venue, fetch):
        for forged in (body(side="BUY"), body(product_id="BIP-20DEC30-CDE"), body()[:-1] + ', "side": "BUY"}'):
            with wire.recording(Wire(effect=effect)), pytest.raises(NotPermitted):
                await venue._client.ccxt.fetch(url, "POST", {}, forged)
        with pytest.raises(NotPermitted):
            await venue._client.ccxt.fetch(url, "POST", {}, body())
        assert fetch.sent == []


async def test_ccxts_own_orders_and_transfers_do_not_leave() -> None:
    """Whoever has got hold of the instance."""
    async with coinbase(permission=Permission.FULL) as (venue, fetch):
        exchange = venue._client.ccxt
        deeds: dict[str, dict[str, Any]] = {
            "v3PrivatePostBrokerageOrders": json.loads(body()),
            "v2PrivatePostAccountsAccountIdTransactions": {"account_id": "1", "amount": "1"},
            "v3PrivatePostBrokeragePortfoliosMoveFunds": {"funds": {}},
        }
        for name, params in deeds.items():
            with pytest.raises(NotPermitted):
                await getattr(exchange, name)(params)
        assert fetch.sent == []
