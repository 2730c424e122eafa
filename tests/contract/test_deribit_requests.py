"""Every request that the Deribit profile makes, exactly as it leaves the real ccxt class.

By hand from https://docs.deribit.com/api-reference: private/sell, private/buy, private/cancel,
private/cancel_all_by_instrument, private/get_open_orders, private/get_positions, private/get_account_summaries,
public/get_instruments, public/get_time, public/auth.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import re
import time
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

import pytest

from node.domain.snapshot import PositionSide
from node.domain.steps import ClosePosition, Step
from tests.support.deribit import API, HOST, ORDERS, POSITIONS, SELL, WALLET, cancels, deribit, executed, result, sweep
from tests.support.venue import CREDENTIALS, RecordedFetch, Sent, close_position

LABEL = "sabcdefgh234567abc"


def close(**changes: Any) -> ClosePosition:
    """Closing a long of 60 USD at market."""
    values = {"slice": "inverse", "symbol": "BTC/USD:BTC", "market_id": "BTC-PERPETUAL", "contracts": Decimal(60)}
    return close_position(**(values | changes))


def linear_close(**changes: Any) -> ClosePosition:
    """Closing a long of 0.003 BTC at market."""
    values = {"slice": "linear", "symbol": "BTC/USDC:USDC", "market_id": "BTC_USDC-PERPETUAL"}
    return close_position(**(values | {"contracts": Decimal("0.003")} | changes))


BOUNDED = {"reduce_only": "true", "label": LABEL}
MARKET: dict[str, str] = {"instrument_name": "BTC-PERPETUAL", "amount": "60", "type": "market", **BOUNDED}
WITHIN = {"type": "limit", "price": "60800.50", "time_in_force": "immediate_or_cancel"}
LINEAR = {"instrument_name": "BTC_USDC-PERPETUAL", "amount": "0.003", "type": "market", **BOUNDED}

STEPS: dict[str, tuple[Step, str, dict[str, str]]] = {
    "close a long": (close(), "private/sell", MARKET),
    "close a short": (close(side=PositionSide.SHORT), "private/buy", MARKET),
    # There are no such modes: whatever the step says, the request is bounded by what the venue knows.
    "close, said to be hedged": (close(hedged=True), "private/sell", MARKET),
    "close, said to be isolated": (close(isolated=True), "private/sell", MARKET),
    "close many": (close(contracts=Decimal("1E+6")), "private/sell", {**MARKET, "amount": "1000000"}),
    "close within a price": (close(limit_price=Decimal("60800.50")), "private/sell", {**MARKET, **WITHIN}),
    "close linear": (linear_close(), "private/sell", LINEAR),
    "close a linear short within a price": (
        linear_close(side=PositionSide.SHORT, limit_price=Decimal("60800.50")),
        "private/buy",
        {**LINEAR, **WITHIN},
    ),
    "close a linear rest": (linear_close(contracts=Decimal("1E-4")), "private/sell", {**LINEAR, "amount": "0.0001"}),
    "cancel one": (cancels("ETH-349249"), "private/cancel", {"order_id": "ETH-349249"}),
    "cancel a trigger": (cancels("SLIS-103", trigger=True), "private/cancel", {"order_id": "SLIS-103"}),
    "sweep": (sweep(), "private/cancel_all_by_instrument", {"instrument_name": "BTC-PERPETUAL", "type": "all"}),
    "sweep triggers": (
        sweep(trigger=True),
        "private/cancel_all_by_instrument",
        {"instrument_name": "BTC-PERPETUAL", "type": "trigger_all"},
    ),
}


def assert_signed(sent: Sent, now_ms: float | None = None) -> None:
    """HMAC-SHA256 over time, nonce, method, address as it leaves, and an empty body."""
    found = re.fullmatch(
        r"deri-hmac-sha256 id=(.+),ts=(\d+),sig=([0-9a-f]{64}),nonce=(.+)", sent.headers["authorization"]
    )
    assert found is not None
    key, at, signature, nonce = found.groups()
    address = f"{sent.path}?{sent.raw}" if sent.raw else sent.path
    payload = f"{at}\n{nonce}\nGET\n{address}\n\n"
    assert signature == hmac.new(CREDENTIALS["secret"].encode(), payload.encode(), hashlib.sha256).hexdigest()
    assert key == CREDENTIALS["apiKey"]
    assert abs(int(at) - (now_ms or time.time() * 1000)) < 2_000


@pytest.mark.parametrize("name", STEPS)
async def test_a_step_is_one_request_with_the_documented_parameters_and_nothing_else(name: str) -> None:
    """No ``hedged``, no ``clientOrderId``, nothing of ccxt's."""
    step, method, params = STEPS[name]
    async with deribit() as (venue, fetch):
        await venue.execute(step)
        assert fetch.only.line == ("GET", HOST, f"{API}/{method}")
        assert fetch.only.params == params
        assert_signed(fetch.only)


async def test_several_orders_are_cancelled_each_by_itself() -> None:
    """There is no list of ids."""
    async with deribit() as (venue, fetch):
        await venue.execute(cancels("1", "2", "SLIS-3"))
        assert sorted(each.params["order_id"] for each in fetch.sent) == ["1", "2", "SLIS-3"]


READS = [(ORDERS, {"type": "all"}), (POSITIONS, {"currency": "any"}), (WALLET, {})]


@pytest.mark.parametrize("name", ["inverse", "linear"])
async def test_a_proof_reads_all_coins_orders_before_positions_and_wallet(name: str) -> None:
    """ccxt would ask for BTC alone. Orders that wait for a trigger are in the one list."""
    async with deribit() as (venue, fetch):
        snapshot = await venue.read_proof(name)
        assert [(each.path, each.params) for each in fetch.sent] == READS
        for each in fetch.sent:
            assert (each.method, each.host) == ("GET", HOST)
            assert_signed(each)
        assert snapshot.causal
        assert (snapshot.positions, snapshot.orders, snapshot.balances) == ((), (), ())


async def test_a_full_read_makes_the_same_requests() -> None:
    """All at once."""
    async with deribit() as (venue, fetch):
        snapshot = await venue.read_slice("linear")
        assert sorted((each.path, str(each.params)) for each in fetch.sent) == sorted((p, str(q)) for p, q in READS)
        assert not snapshot.causal


async def test_a_read_of_positions_is_one_request() -> None:
    """The cheap read between rounds."""
    async with deribit() as (venue, fetch):
        await venue.read_positions("inverse")
        assert fetch.only.path == POSITIONS


async def test_the_probe_cancels_an_order_that_cannot_exist() -> None:
    """By an id of the right form."""
    async with deribit() as (venue, fetch):
        await venue.probe()
        assert fetch.only.line == ("GET", HOST, f"{API}/private/cancel")
        assert fetch.only.params == {"order_id": "BTC-999999999999"}
        assert_signed(fetch.only)


async def test_keeping_warm_asks_for_the_time() -> None:
    """Unsigned, once a socket."""
    async with deribit() as (venue, fetch):
        fetch.default = result(1_800_000_000_000)
        await venue.keep_warm(2)
        assert fetch.lines == [("GET", HOST, f"{API}/public/get_time")] * 2
        assert not any("authorization" in each.headers for each in fetch.sent)


async def test_the_venues_clock_is_what_requests_are_signed_with() -> None:
    """ccxt itself would sign by ours: a clock that is off would have every request denied."""
    async with deribit() as (venue, fetch):
        fetch.default = result(1_800_000_000_000)
        await venue.keep_warm(1)
        await venue.execute(close())
        assert_signed(fetch.sent[-1], now_ms=1_800_000_000_000)


AUTH = f"{API}/public/auth"
GRANTED = {"access_token": "canary-token-4444444444", "refresh_token": "canary-token-5555555555", "expires_in": 900}
INSTRUMENTS = [
    {
        "instrument_name": "BTC-PERPETUAL",
        "kind": "future",
        "base_currency": "BTC",
        "counter_currency": "USD",
        "quote_currency": "USD",
        "settlement_currency": "BTC",
        "settlement_period": "perpetual",
        "expiration_timestamp": 32503708800000,
        "contract_size": 10.0,
        "min_trade_amount": 10.0,
        "tick_size": 0.5,
        "is_active": True,
        "instrument_type": "reversed",
    },
    {
        "instrument_name": "BTC-27MAY22",
        "kind": "future",
        "base_currency": "BTC",
        "counter_currency": "USD",
        "settlement_currency": "BTC",
        "settlement_period": "month",
        "expiration_timestamp": 1653638400000,
        "min_trade_amount": 10.0,
        "tick_size": 0.5,
        "is_active": False,
    },
    {
        "instrument_name": "BTC_USDC-PERPETUAL",
        "kind": "future",
        "base_currency": "BTC",
        "counter_currency": "USDC",
        "settlement_currency": "USDC",
        "settlement_period": "perpetual",
        "expiration_timestamp": 32503708800000,
        "contract_size": 0.0001,
        "min_trade_amount": 0.0001,
        "tick_size": 0.5,
        "tick_size_steps": [{"above_price": 100000, "tick_size": 2.5}],
        "state": "locked",
        "is_active": True,
    },
]


def at_arming(fetch: RecordedFetch, scope: str) -> None:
    """What the venue answers to a node that starts."""
    fetch.answers = {
        f"{API}/public/get_instruments": result(INSTRUMENTS),
        f"{API}/public/get_time": result(int(time.time() * 1000)),
        AUTH: result({**GRANTED, "scope": scope, "token_type": "bearer"}),
    }


async def test_arming_asks_for_markets_time_and_scope_and_nothing_else() -> None:
    """No currencies, no options; the secret stays here."""
    async with deribit(warm_sockets=1) as (venue, fetch):
        venue._shelf.books.clear()
        at_arming(fetch, "account:read connection trade:read_write wallet:read")
        await venue.arm()
        lists = [each for each in fetch.sent if each.path.endswith("get_instruments")]
        assert [each.params for each in lists] == [{"currency": "any", "kind": "future"}], "one list of both kinds"
        assert {each.path for each in fetch.sent} == {*fetch.answers}
        (login,) = (each for each in fetch.sent if each.path == AUTH)
        asked = dict(parse_qsl(login.raw, keep_blank_values=True))
        at, nonce = asked["timestamp"], asked["nonce"]
        signature = hmac.new(CREDENTIALS["secret"].encode(), f"{at}\n{nonce}\n".encode(), hashlib.sha256).hexdigest()
        assert asked == {
            "grant_type": "client_signature",
            "client_id": CREDENTIALS["apiKey"],
            "timestamp": at,
            "nonce": nonce,
            "data": "",
            "signature": signature,
        }
        facts = venue.key_facts
        assert facts is not None
        assert (facts.may_trade, facts.may_withdraw, facts.hedged) == (True, False, False)
        assert venue.not_covered == ("options", "spot")


async def test_markets_are_named_like_ccxt_names_them_with_the_venues_limits() -> None:
    """Amounts in USD or coins; the largest tick; what is locked or over is not trading."""
    async with deribit(warm_sockets=1) as (venue, fetch):
        venue._shelf.books.clear()
        at_arming(fetch, "trade:read_write")
        await venue.arm()
        inverse, linear = venue.rules("inverse"), venue.rules("linear")
        assert set(inverse) == {"BTC/USD:BTC", "BTC/USD:BTC-220527"}
        assert set(linear) == {"BTC/USDC:USDC"}
        perpetual, coin = inverse["BTC/USD:BTC"], linear["BTC/USDC:USDC"]
        assert perpetual.quantity_step == perpetual.quantity_min == 10
        assert perpetual.price_tick == Decimal("0.5")
        assert (perpetual.trading, inverse["BTC/USD:BTC-220527"].trading, coin.trading) == (True, False, False)
        assert (coin.quantity_step, coin.price_tick) == (Decimal("0.0001"), Decimal("2.5"))
        assert {perpetual.contract_size, coin.contract_size} == {Decimal(1)}, "amounts are no numbers of contracts"


@pytest.mark.parametrize(
    ("scope", "trades", "withdraws"),
    [
        ("trade:read_write wallet:read_write mainaccount", True, True),
        ("trade:read wallet:none", False, False),
        ("connection mainaccount", None, None),
    ],
)
async def test_the_scope_says_what_the_key_may_do(scope: str, trades: bool | None, withdraws: bool | None) -> None:
    """Where it speaks of it."""
    async with deribit(warm_sockets=1) as (venue, fetch):
        at_arming(fetch, scope)
        await venue.arm()
        assert venue.key_facts is not None
        assert (venue.key_facts.may_trade, venue.key_facts.may_withdraw) == (trades, withdraws)


async def test_what_configuration_leaves_out_is_named_besides() -> None:
    """One slice alone."""
    async with deribit(slices=("inverse",)) as (venue, _):
        assert venue.not_covered == ("linear", "options", "spot")


async def test_the_sandbox_is_the_venues_testnet() -> None:
    """Another host, other keys."""
    async with deribit(sandbox=True) as (venue, fetch):
        await venue.execute(close())
        assert fetch.only.host == "test.deribit.com"


class TestStream:
    """The one connection."""

    async def test_login_then_channels_then_hints(self) -> None:
        """No secret leaves; what is told names its slice."""
        async with deribit() as (venue, _):
            (stream,) = venue._streams._streams
            assert stream.url(None) == "wss://www.deribit.com/ws/api/v2"
            (first,) = stream.hello(venue._client.ccxt, None)
            asked = json.loads(first)
            at = asked["params"]["timestamp"]
            expected = hmac.new(CREDENTIALS["secret"].encode(), f"{at}\n{at}\n".encode(), hashlib.sha256).hexdigest()
            assert asked == {
                "jsonrpc": "2.0",
                "id": 1,
                "method": "public/auth",
                "params": {
                    "grant_type": "client_signature",
                    "client_id": CREDENTIALS["apiKey"],
                    "timestamp": at,
                    "nonce": str(at),
                    "data": "",
                    "signature": expected,
                },
            }
            granted = stream.hear({"jsonrpc": "2.0", "id": 1, "result": {**GRANTED, "scope": "trade:read_write"}})
            assert not granted.confirmed
            (second,) = granted.reply
            channels = ["user.changes.any.any.raw", "user.orders.any.any.raw"]
            assert json.loads(second) == {
                "jsonrpc": "2.0",
                "id": 2,
                "method": "private/subscribe",
                "params": {"channels": channels},
            }
            assert stream.hear({"jsonrpc": "2.0", "id": 2, "result": channels}).confirmed
            assert stream.hear({"jsonrpc": "2.0", "id": 2, "result": channels[:1]}).over
            assert stream.hear({"id": 1, "error": {"code": 13004, "message": "invalid_credentials"}}).over

    @pytest.mark.parametrize(
        ("data", "changed"),
        [
            ({"instrument_name": "BTC-PERPETUAL", "orders": [], "trades": [], "positions": []}, ("inverse",)),
            ({"instrument_name": "BTC_USDC-27DEC24"}, ("linear",)),
            ([{"instrument_name": "ETH-PERPETUAL"}, {"instrument_name": "ETH_USDC-PERPETUAL"}], ("linear", "inverse")),
            ({"instrument_name": "BTC-27DEC24-60000-C"}, ()),
            ({"instrument_name": "BTC_USDC"}, ()),
            ({"instrument_name": "BTC-FS-27DEC24_PERP"}, ("inverse",)),
            ({"what": "is this"}, ("linear", "inverse")),
        ],
    )
    async def test_a_notification_names_the_slice_that_it_is_about(self, data: object, changed: Any) -> None:
        """All of them where it does not say."""
        async with deribit() as (venue, _):
            (stream,) = venue._streams._streams
            params = {"channel": "user.changes.any.any.raw", "data": data}
            assert stream.hear({"jsonrpc": "2.0", "method": "subscription", "params": params}).changed == changed

    async def test_heartbeats_and_pings_say_nothing(self) -> None:
        """A test request is answered."""
        async with deribit() as (venue, _):
            (stream,) = venue._streams._streams
            asked = {"jsonrpc": "2.0", "method": "heartbeat", "params": {"type": "test_request"}}
            assert [json.loads(each)["method"] for each in stream.hear(asked).reply] == ["public/test"]
            assert json.loads(stream.ping or "")["method"] == "public/test"
            assert stream.hear({"jsonrpc": "2.0", "id": 3, "result": {"version": "1.2.26"}}).changed == ()


async def test_two_closes_at_once_do_not_share_anything() -> None:
    """Each is signed for itself."""
    async with deribit() as (venue, fetch):
        fetch.answers[SELL] = executed()
        await asyncio.gather(venue.execute(close()), venue.execute(linear_close()))
        for each in fetch.sent:
            assert_signed(each)
