"""Streams as hints: what is told, how a connection is known to be dead, and that nothing is left behind."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType, web
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from node.domain.permission import Effect, Permission
from node.domain.steps import Outcome
from node.sim.market import Product
from node.venues import streams as loop_of_streams
from node.venues.call import Call
from node.venues.ccxt_venue import CcxtVenue
from node.venues.lane import Charge, background
from node.venues.layout import Layout
from node.venues.profiles.binance import streams as binance_streams
from node.venues.profiles.binance.profile import BinanceProfile
from node.venues.stream import Heard, Stream
from node.venues.streams import Streams
from tests.support.venue import CREDENTIALS, answer, error, recorded_venue
from tests.support.venue_sim import Bench, bench, closes
from tests.support.waiting import PATIENCE_S, until

ALL = ("spot", "linear", "inverse")


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Streams that were lost are opened again at once."""
    monkeypatch.setattr(loop_of_streams, "PAUSE_MIN_S", 0.01)
    monkeypatch.setattr(loop_of_streams, "PAUSE_MAX_S", 0.02)


@dataclass
class Listener:
    """Somebody who follows the changes."""

    heard: asyncio.Queue[str] = field(default_factory=asyncio.Queue)
    #: Set when there are no more.
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def follow(self, changes: AsyncIterator[str]) -> None:
        """For ever."""
        async for name in changes:
            self.heard.put_nowait(name)
        self.over.set()

    async def next(self) -> str:
        """The next hint."""
        return await asyncio.wait_for(self.heard.get(), PATIENCE_S)

    async def take(self, count: int) -> list[str]:
        """That many hints, sorted."""
        return sorted([await self.next() for _ in range(count)])

    async def until(self, *names: str) -> None:
        """Until each of these has been named."""
        missing = set(names)
        while missing:
            missing.discard(await self.next())

    async def silent(self, seconds: float = 0.05) -> bool:
        """Whether nothing is named for a while."""
        try:
            async with asyncio.timeout(seconds):
                await self.heard.get()
        except TimeoutError:
            return True
        return False


@asynccontextmanager
async def listening(venue: CcxtVenue | Streams) -> AsyncIterator[Listener]:
    """Follow until the end of the block; no task may be left then."""
    listener, changes = Listener(), venue.changes()
    following = asyncio.create_task(listener.follow(changes))
    try:
        yield listener
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await changes.aclose()  # type: ignore[attr-defined]
        assert left_over() == []


def left_over() -> list[str]:
    """Tasks of streams that still run."""
    names = [task.get_name() for task in asyncio.all_tasks()]
    return [name for name in names if name.startswith("stream:")]


Script = Callable[[web.WebSocketResponse], Awaitable[None]]


@dataclass
class Venue:
    """A server that does what it is told with each connection, in turn; the last script repeats."""

    scripts: list[Script]
    said: list[str] = field(default_factory=list)
    connections: int = 0
    pings: int = 0
    url: str = ""

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """One connection."""
        socket = web.WebSocketResponse(autoping=False)
        await socket.prepare(request)
        script = self.scripts[min(self.connections, len(self.scripts) - 1)]
        self.connections += 1
        reader = asyncio.ensure_future(self._read(socket))
        try:
            with suppress(ConnectionError):
                await script(socket)
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)
        return socket

    async def _read(self, socket: web.WebSocketResponse) -> None:
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                self.said.append(message.data)
            elif message.type is WSMsgType.PING:
                self.pings += 1
            elif message.type is WSMsgType.PONG:
                self.said.append(f"pong {message.data.decode()}")


@asynccontextmanager
async def served(*scripts: Script) -> AsyncIterator[Venue]:
    """A venue of one's own on loopback."""
    venue = Venue(list(scripts))
    server = web.Server(venue.handle)
    runner = web.ServerRunner(server, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    venue.url = f"ws://127.0.0.1:{runner.addresses[0][1]}/"
    try:
        yield venue
    finally:
        await runner.cleanup()


def hear(message: Any) -> Heard:
    """A little protocol."""
    return Heard(
        changed=tuple(message.get("changed", ())),
        confirmed=message.get("confirmed", False),
        reply=tuple(message.get("reply", ())),
        over=message.get("over"),
    )


def stream(venue: Venue, **changes: Any) -> Stream:
    """A stream of two slices."""
    values: dict[str, Any] = {
        "name": "test",
        "slices": ("one", "two"),
        "url": lambda _: venue.url,
        "hear": hear,
        "hello": lambda _exchange, _ticket: ("hello",),
    }
    return Stream(**(values | changes))


@asynccontextmanager
async def streaming(*scripts: Script, **changes: Any) -> AsyncIterator[tuple[Streams, Venue, Listener]]:
    """The loop, its venue, and who follows."""
    async with served(*scripts) as venue, recorded_venue() as (account, _), aiohttp.ClientSession() as session:
        streams = Streams(account._client, session, (stream(venue, **changes),))
        async with listening(streams) as listener:
            yield streams, venue, listener


def says(*messages: Any, then: str = "stay") -> Script:
    """Send these, then stay silent, or close, or break."""

    async def script(socket: web.WebSocketResponse) -> None:
        for message in messages:
            await socket.send_str(message if isinstance(message, str) else json.dumps(message))
        if then == "stay":
            await asyncio.Event().wait()
        elif then == "break":
            assert socket._req is not None
            assert socket._req.transport is not None
            socket._req.transport.abort()

    return script


CONFIRMED = {"confirmed": True}


class TestLoop:
    """Of any venue."""

    async def test_every_slice_is_named_once_the_venue_has_confirmed(self) -> None:
        """Something may have been missed before; and only then is it told that changes are told."""
        gate = asyncio.Event()

        async def script(socket: web.WebSocketResponse) -> None:
            await gate.wait()
            await socket.send_json(CONFIRMED)
            await asyncio.Event().wait()

        async with streaming(script) as (streams, venue, listener):
            assert await listener.silent()
            assert not streams.telling("one")
            gate.set()
            assert await listener.take(2) == ["one", "two"]
            assert streams.telling("one")
            assert streams.telling("two")
            assert not streams.telling("three")
            assert venue.said == ["hello"]
        assert not streams.telling("one")

    async def test_a_challenge_is_answered_with_the_accounts_key(self) -> None:
        """What a message says is a matter of the message alone; the key is the client's."""

        def challenged(message: Any) -> Heard:
            return Heard(reply=("first",), signed=lambda exchange: (f"{message['challenge']} {exchange.apiKey}",))

        async with streaming(says({"challenge": "42"}), hear=challenged) as (_, venue, _listener):
            async with asyncio.timeout(PATIENCE_S):
                while len(venue.said) < 3:  # noqa: ASYNC110 - the server only takes down what it hears
                    await asyncio.sleep(0.005)
            assert venue.said == ["hello", "first", f"42 {CREDENTIALS['apiKey']}"]

    async def test_a_change_is_named_and_a_burst_of_them_once(self) -> None:
        """Whoever looks late looks once."""
        async with streaming(says(CONFIRMED, *[{"changed": ["two"]}] * 50, {"changed": ["one"]})) as (_, _, listener):
            assert await listener.take(2) == ["one", "two"]
            names = [await listener.next()]
            while not await listener.silent(0.02):
                names.append("more")
            assert len(names) < 10

    async def test_what_one_moment_brings_is_heard_a_little_later_but_for_the_first_of_it(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its hint is out; the time goes to what it leads to."""
        monkeypatch.setattr(loop_of_streams, "REST_S", 0.3)
        heard = list[float]()

        def noted(message: Any) -> Heard:
            heard.append(asyncio.get_running_loop().time())
            return hear(message)

        changes = [{"changed": ["one"]}] * 20
        async with streaming(says(CONFIRMED, *changes, {"changed": ["two"]}), hear=noted) as (_, _, listener):
            assert await listener.take(2) == ["one", "two"]
            await listener.until("two")
        first, *rest = heard[1:]
        assert min(rest) - first >= 0.3
        assert max(rest) - min(rest) < 0.3  # and then all of it

    async def test_before_the_venue_has_confirmed_nothing_rests(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Its word is what everybody waits for."""
        monkeypatch.setattr(loop_of_streams, "REST_S", 60.0)
        async with streaming(says({"changed": ["one"]}, CONFIRMED)) as (streams, _, listener):
            await listener.until("one", "two")
            assert streams.telling("two")

    @pytest.mark.parametrize("then", ["close", "break"])
    async def test_a_lost_connection_is_opened_again_and_every_slice_named_again(self, then: str) -> None:
        """And until then nothing is told."""
        async with streaming(says(CONFIRMED, then=then), says(CONFIRMED)) as (streams, venue, listener):
            assert await listener.take(2) == ["one", "two"]
            assert await listener.take(2) == ["one", "two"]
            assert venue.connections == 2
            assert streams.telling("one")

    async def test_the_end_that_the_venue_announces_is_one(self) -> None:
        """A key that has expired leaves the connection open, and says nothing more."""
        async with streaming(says(CONFIRMED, {"over": "expired"}), says(CONFIRMED)) as (_, venue, listener):
            assert await listener.take(2) == ["one", "two"]
            assert await listener.take(2) == ["one", "two"]
            assert venue.connections == 2

    async def test_a_venue_that_never_confirms_is_not_told_of_and_tried_again(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A connection is not a subscription."""
        monkeypatch.setattr(loop_of_streams, "OPENING_S", 0.05)
        async with streaming(says({"changed": []}), says(CONFIRMED)) as (streams, venue, listener):
            assert await listener.take(2) == ["one", "two"]
            assert venue.connections == 2
            assert streams.telling("one")

    async def test_a_connection_that_is_a_subscription_needs_no_word_but_a_sign_of_life(self) -> None:
        """The handshake alone may be over before the venue has begun to tell."""
        awake = asyncio.Event()

        async def script(socket: web.WebSocketResponse) -> None:
            await awake.wait()
            await socket.pong()
            await asyncio.Event().wait()

        async with streaming(script, confirmed_by_opening=True) as (streams, venue, listener):
            assert await listener.silent()
            assert venue.pings == 1
            assert not streams.telling("one")
            awake.set()
            assert await listener.take(2) == ["one", "two"]
            assert streams.telling("one")

    async def test_silence_is_asked_about_and_then_taken_for_death(self) -> None:
        """Not even an answer to a ping."""
        async with streaming(says(CONFIRMED), ping_after_s=0.02, silence_s=0.08) as (_, venue, listener):
            assert await listener.take(2) == ["one", "two"]
            assert await listener.take(2) == ["one", "two"]
            assert venue.connections >= 2
            assert venue.pings >= 1

    async def test_a_venue_that_pings_is_alive_and_answered(self) -> None:
        """With what it has sent."""

        async def script(socket: web.WebSocketResponse) -> None:
            await socket.send_json(CONFIRMED)
            for number in range(10):
                await asyncio.sleep(0.02)
                await socket.ping(str(number).encode())
            await socket.send_json({"changed": ["one"]})
            await asyncio.Event().wait()

        async with streaming(script, ping_after_s=0.05, silence_s=0.1) as (_, venue, listener):
            assert await listener.take(2) == ["one", "two"]
            assert await listener.next() == "one"
            assert venue.connections == 1
            assert [each for each in venue.said if each.startswith("pong")] == [f"pong {n}" for n in range(10)]

    async def test_a_venue_with_a_ping_of_its_own_is_sent_that(self) -> None:
        """Some want words."""
        async with streaming(says(CONFIRMED), ping="ping?", ping_after_s=0.01, silence_s=5.0) as (_, venue, listener):
            assert await listener.take(2) == ["one", "two"]
            assert await listener.silent(0.05)
            assert venue.said == ["hello", "ping?"]

    async def test_a_frame_of_several_messages_is_each_of_them_and_half_of_one_may_have_been_a_change(self) -> None:
        """Each ends with a sign of its own."""
        heard = asyncio.Semaphore(0)

        async def script(socket: web.WebSocketResponse) -> None:
            for frame in (json.dumps(CONFIRMED) + "|", '{"changed": ["one"]}|{"changed": ["two"]}|', '{"changed": ["o'):
                await socket.send_str(frame)
                await heard.acquire()

        async with streaming(script, separator="|") as (_, _venue, listener):
            for _ in range(3):
                assert await listener.take(2) == ["one", "two"]
                heard.release()

    async def test_a_venue_that_wants_to_hear_us_hears_us_however_much_it_tells(self) -> None:
        """Its own messages are no reason to be silent."""

        async def talkative(socket: web.WebSocketResponse) -> None:
            await socket.send_json(CONFIRMED)
            for _ in range(40):
                await socket.send_json({"changed": []})
                await asyncio.sleep(0.005)
            await asyncio.Event().wait()

        async with streaming(talkative, ping="here", talk_every_s=0.03) as (_, venue, _listener):
            await until(lambda: venue.said.count("here") >= 3)
            assert venue.connections == 1

    async def test_a_connection_is_opened_anew_before_the_venue_ends_it(self) -> None:
        """In its own time."""
        async with streaming(says(CONFIRMED), lifetime_s=0.05) as (_, venue, listener):
            assert await listener.take(2) == ["one", "two"]
            assert await listener.take(2) == ["one", "two"]
            assert venue.connections >= 2

    async def test_what_is_not_understood_may_have_been_a_change(self) -> None:
        """It is kept in the log, and a look costs little."""
        heard = asyncio.Event()

        async def script(socket: web.WebSocketResponse) -> None:
            await socket.send_json(CONFIRMED)
            await heard.wait()
            for text in ("<html>", "[]", "7"):
                await socket.send_str(text)
            await asyncio.Event().wait()

        with capture_logs() as logged:
            async with streaming(script) as (_, venue, listener):
                assert await listener.take(2) == ["one", "two"]
                heard.set()
                assert await listener.take(2) == ["one", "two"]
                assert venue.connections == 1
        (kept,) = [entry for entry in logged if entry["event"] == "venue_answer_not_understood"]
        assert (kept["endpoint"], kept["body"]) == ("stream test", "<html>")

    async def test_a_protocol_of_several_steps_is_led_by_what_is_heard(self) -> None:
        """First to log in, then to subscribe."""

        async def script(socket: web.WebSocketResponse) -> None:
            await socket.send_json({"reply": ["subscribe"]})
            await socket.send_json(CONFIRMED)
            await asyncio.Event().wait()

        async with streaming(script) as (_, venue, listener):
            assert await listener.take(2) == ["one", "two"]
            assert venue.said == ["hello", "subscribe"]

    async def test_a_venue_that_is_not_there_is_tried_again_and_nothing_raised(self) -> None:
        """With a constant event, and no address with a key in it."""
        with capture_logs() as logged:
            async with streaming(says(CONFIRMED), url=lambda _: "ws://127.0.0.1:1/ws/0123456789abcdef0123") as (
                streams,
                _,
                listener,
            ):
                assert await listener.silent(0.1)
                assert not streams.telling("one")
        lost = [entry for entry in logged if entry["event"] == "venue_stream_lost"]
        assert len(lost) >= 2
        assert {entry["stream"] for entry in lost} == {"test"}

    async def test_pauses_grow(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Half a second, a second, two; not beyond half a minute."""
        monkeypatch.setattr(loop_of_streams, "PAUSE_MIN_S", 0.5)
        monkeypatch.setattr(loop_of_streams, "PAUSE_MAX_S", 30.0)
        monkeypatch.setattr("random.uniform", lambda _low, high: high)
        slept: list[float] = []
        sleep = asyncio.sleep

        async def quick(seconds: float) -> None:
            slept.append(seconds)
            await sleep(0)

        monkeypatch.setattr("node.venues.streams.asyncio.sleep", quick)
        async with streaming(says(), url=lambda _: "ws://127.0.0.1:1/") as (_, _, listener):
            while len(slept) < 10:
                await listener.silent(0.01)
        assert slept[:9] == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]

    async def test_closing_ends_whoever_waits(self) -> None:
        """The generator is exhausted; nothing hangs."""
        async with streaming(says(CONFIRMED)) as (streams, _, listener):
            assert await listener.take(2) == ["one", "two"]
            await streams.close()
            await asyncio.wait_for(listener.over.wait(), PATIENCE_S)
            assert not streams.telling("one")
            assert left_over() == []

    async def test_cancelling_whoever_waits_ends_the_connections(self) -> None:
        """As a task group does."""
        async with streaming(says(CONFIRMED)) as (streams, _, listener):
            second = Listener()
            task = asyncio.create_task(second.follow(streams.changes()))
            assert await second.take(2) == await listener.take(2)
            assert len(left_over()) == 2
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert len(left_over()) == 1
            assert streams.telling("one"), "the other one goes on"

    async def test_a_venue_without_streams_ends_at_once(self) -> None:
        """So the engine knows to poll."""
        async with recorded_venue() as (account, _), aiohttp.ClientSession() as session:
            streams = Streams(account._client, session, ())
            assert [name async for name in streams.changes()] == []


TICKET = Call(endpoint="fapiPrivatePostListenKey", effect=Effect.READ)
RENEWAL = Call(endpoint="fapiPrivatePutListenKey", effect=Effect.READ)
KEY = "0123456789abcdef0123456789abcdef"


class TestTickets:
    """Keys that admit to a stream."""

    @asynccontextmanager
    async def held(self, *scripts: Script, **changes: Any) -> AsyncIterator[tuple[Any, Venue, Listener]]:
        """A stream with a ticket that is renewed."""
        async with served(*scripts) as venue, recorded_venue() as (account, fetch):
            fetch.default = answer({"listenKey": KEY})
            async with aiohttp.ClientSession() as session:
                tickets = {"ticket": TICKET, "renewal": RENEWAL, "renew_every_s": 0.02, **changes}
                streams = Streams(account._client, session, (stream(venue, **tickets),))
                async with listening(streams) as listener:
                    yield fetch, venue, listener

    async def test_a_ticket_is_renewed_while_the_connection_lasts(self) -> None:
        """By the key itself, on the same connection."""
        async with self.held(says(CONFIRMED)) as (fetch, venue, listener):
            assert await listener.take(2) == ["one", "two"]
            assert await listener.silent(0.15)
            methods = [each.method for each in fetch.sent]
            assert methods[0] == "POST"
            assert methods[1:].count("PUT") == len(methods) - 1 >= 3
            assert venue.connections == 1

    async def test_a_ticket_that_the_venue_has_forgotten_is_replaced(self) -> None:
        """-1125: This listenKey does not exist."""
        async with self.held(says(CONFIRMED)) as (fetch, venue, listener):
            fetch.answers["PUT /fapi/v1/listenKey"] = error(-1125, "This listenKey does not exist.")
            assert await listener.take(2) == ["one", "two"]
            assert await listener.take(2) == ["one", "two"]
            assert [each.method for each in fetch.sent][:3] == ["POST", "PUT", "POST"]
            assert venue.connections >= 2

    async def test_a_renewal_that_does_not_get_through_is_tried_again_on_the_same_connection(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The key has most of an hour left."""
        monkeypatch.setattr(loop_of_streams, "RENEW_AGAIN_S", 0.01)
        async with self.held(says(CONFIRMED)) as (fetch, venue, listener):
            fetch.answers["PUT /fapi/v1/listenKey"] = error(-1001, "Internal error", 500)
            assert await listener.take(2) == ["one", "two"]
            assert await listener.silent(0.1)
            assert [each.method for each in fetch.sent].count("PUT") >= 2
            assert venue.connections == 1

    async def test_a_key_in_an_address_never_reaches_the_log(self) -> None:
        """Wherever in it it stands: the client names the address that refused it."""

        async def refuse(_: web.BaseRequest) -> web.StreamResponse:
            return web.Response(status=401)

        runner = web.ServerRunner(web.Server(refuse))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        with capture_logs() as logged:
            for form in (f"ws://127.0.0.1:{port}/ws/", f"ws://127.0.0.1:{port}/ws?listenKey="):
                async with self.held(says(), url=lambda ticket, form=form: form + ticket["listenKey"]) as (_, _, ear):
                    assert await ear.silent(0.05)
        await runner.cleanup()
        reasons = [entry["reason"] for entry in logged if entry["event"] == "venue_stream_lost"]
        assert any("401" in reason and "/ws/***" in reason for reason in reasons)
        assert KEY not in str(logged)

    async def test_an_account_that_may_only_read_may_listen(self) -> None:
        """Opening a stream does nothing to an account."""
        async with recorded_venue(permission=Permission.READ) as (venue, fetch):
            fetch.default = answer({"listenKey": KEY})
            await venue._client.ask(TICKET)
            await venue._client.ask(RENEWAL)
            assert [each.method for each in fetch.sent] == ["POST", "PUT"]


def told_by(event: Any, *names: str) -> tuple[str, ...]:
    """Which of the slices of a product an event names."""
    (found,) = binance_streams.streams(BinanceProfile().layout(names), sandbox=False)
    return found.hear(event).changed


class TestBinanceEvents:
    """What Binance's messages say."""

    @pytest.mark.parametrize(
        "event",
        [
            {"e": "ORDER_TRADE_UPDATE", "o": {"s": "BTCUSDT"}},
            {"e": "ALGO_UPDATE", "o": {"s": "BTCUSDT_251226"}},
            {"e": "ACCOUNT_UPDATE", "a": {"B": [{"a": "USDT"}], "P": [{"s": "BTCUSDT"}]}},
            {"stream": KEY, "data": {"e": "ORDER_TRADE_UPDATE", "o": {"s": "BTCUSDT"}}},
        ],
    )
    def test_an_event_names_the_slice_of_its_coin(self, event: dict[str, Any]) -> None:
        """Of a narrowed account, only that one."""
        assert told_by(event, "linear:USDC", "linear:USDT") == ("linear:USDT",)
        assert told_by(event, "linear") == ("linear",)

    @pytest.mark.parametrize(
        "event",
        [
            {"e": "MARGIN_CALL"},
            {"e": "SOMETHING_NEW", "x": 1},
            {"e": "ORDER_TRADE_UPDATE", "o": {"s": "ETHBTC"}},
            {"e": "TRADE_LITE", "s": "BTCUSDT"},
        ],
    )
    def test_an_event_that_does_not_say_names_all(self, event: dict[str, Any]) -> None:
        """Better one look too many."""
        assert told_by(event, "linear:USDC", "linear:USDT") == ("linear:USDC", "linear:USDT")

    def test_a_coin_that_belongs_to_no_slice_is_told_to_the_one_that_reports_it(self) -> None:
        """As balances are."""
        event = {"e": "ACCOUNT_UPDATE", "a": {"B": [{"a": "BNB"}], "P": []}}
        assert told_by(event, "linear:USDC", "linear:USDT") == ("linear:USDC",)

    @pytest.mark.parametrize(
        "event",
        [
            {"subscriptionId": 0, "event": {"e": "executionReport", "s": "BTCUSDT", "o": "LIMIT"}},
            {"subscriptionId": 0, "event": {"e": "outboundAccountPosition", "B": [{"a": "BTC"}]}},
            {"subscriptionId": 0, "event": {"e": "balanceUpdate", "a": "BTC"}},
            {"subscriptionId": 0, "event": {"e": "listStatus", "O": []}},
        ],
    )
    @pytest.mark.parametrize("name", ["spot", "margin"])
    def test_wallets_that_trade_on_spot_markets_have_one_slice(self, event: dict[str, Any], name: str) -> None:
        """Whatever it is."""
        assert told_by(event, name) == (name,)

    @pytest.mark.parametrize(
        "event",
        [
            {"e": "listenKeyExpired", "listenKey": KEY},
            {"subscriptionId": 0, "event": {"e": "eventStreamTerminated"}},
            {"event": {"e": "serverShutdown"}},
        ],
    )
    def test_the_end_of_a_stream_is_heard(self, event: dict[str, Any]) -> None:
        """And all its slices named."""
        for name in ("spot", "linear", "inverse", "margin"):
            (found,) = binance_streams.streams(BinanceProfile().layout((name,)), sandbox=False)
            assert found.hear(event).over
            assert found.hear(event).changed == (name,)

    def test_a_subscription_is_confirmed_or_refused(self) -> None:
        """By the answer to it."""
        (spot,) = binance_streams.streams(BinanceProfile().layout(("spot",)), sandbox=False)
        assert spot.hear({"id": "subscribe", "status": 200, "result": {"subscriptionId": 0}}).confirmed
        refused = spot.hear({"id": "subscribe", "status": 400, "error": {"code": -1022, "msg": "Signature"}})
        assert not refused.confirmed
        assert "-1022" in (refused.over or "")

    def test_settings_are_nobodys_business(self) -> None:
        """Leverage and strategies."""
        assert told_by({"e": "ACCOUNT_CONFIG_UPDATE", "ac": {"s": "BTCUSDT", "l": 25}}, "linear") == ()

    @settings(max_examples=300, deadline=None, derandomize=True)
    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=6),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["e", "o", "a", "s", "B", "P", "id", "status", "result", "event", "data"]), inner
                )
            ),
            max_leaves=8,
        )
    )
    def test_no_message_names_a_slice_that_is_not_there(self, message: Any) -> None:
        """It is understood, or raises: the loop takes that for a change."""
        layout = BinanceProfile().layout(("spot", "linear:USDT", "linear:USDC"))
        for found in binance_streams.streams(layout, sandbox=False):
            with suppress(Exception):
                assert set(found.hear(message).changed) <= set(found.slices)


class TestAddresses:
    """As ccxt.pro has them."""

    @pytest.mark.parametrize("sandbox", [False, True])
    def test_addresses_are_those_of_ccxt_pro(self, sandbox: bool) -> None:
        """Of this very version."""
        import ccxt.pro

        exchange = ccxt.pro.binance()
        if sandbox:
            exchange.enable_demo_trading(True)
        found = {each.name: each for each in binance_streams.streams(BinanceProfile().layout(ALL), sandbox=sandbox)}
        ticket = {"listenKey": KEY}
        for name in ("linear", "inverse"):
            assert found[name].url(ticket) == exchange.get_private_ws_url(name, KEY)
        assert found["spot"].url(None) == exchange.urls["api"]["ws"]["ws-api"]["spot"]

    async def test_a_subscription_is_signed_as_ccxt_pro_signs_it(self) -> None:
        """Same parameters, same order, same signature."""
        import ccxt.pro

        async with recorded_venue() as (venue, _):
            ours = binance_streams.signed(venue._client.ccxt)
            theirs = ccxt.pro.binance({**CREDENTIALS, "options": {"recvWindow": 5000}})
            theirs.nonce = lambda: ours["timestamp"]
            assert ours == theirs.sign_params({})
            await theirs.close()

    def test_a_key_that_is_not_there_opens_nothing(self) -> None:
        """An empty answer is no key."""
        for name in ("linear", "inverse"):
            (found,) = binance_streams.streams(BinanceProfile().layout((name,)), sandbox=False)
            tickets: list[Any] = [{}, {"listenKey": ""}, [], None]
            for ticket in tickets:
                with pytest.raises(Exception, match=r"listenKey|listen key"):
                    found.url(ticket)

    def test_demo_trading_knows_no_margin(self) -> None:
        """So there is no stream of it."""
        assert binance_streams.streams(BinanceProfile().layout(("margin",)), sandbox=True) == ()
        assert binance_streams.streams(Layout(slices=()), sandbox=False) == ()


def opened(the: Bench) -> int:
    """How many streams the venue has ever opened."""
    return sum(entry.status == 101 for entry in the.sim.journal.entries(method="GET"))


class TestOverTheWire:
    """Against the simulator."""

    async def test_every_slice_is_named_at_the_start_and_told_of_from_then_on(self) -> None:
        """Three connections, to their own hosts."""
        async with bench() as the, listening(the.venue) as listener:
            assert not the.venue.streaming("spot")
            assert await listener.take(3) == sorted(ALL)
            assert all(the.venue.streaming(name) for name in ALL)
            hosts = {entry.host for entry in the.sim.journal.entries(method="GET") if entry.status == 101}
            assert hosts == {"fstream.binance.com", "dstream.binance.com", "ws-api.binance.com"}

    @pytest.mark.parametrize("name", ["linear", "inverse"])
    async def test_a_close_is_told(self, name: str) -> None:
        """Of its own product only."""
        async with bench() as the, listening(the.venue) as listener:
            await listener.take(3)
            step = closes((await the.venue.read_positions(name)).positions)[0]
            assert (await the.venue.execute(step)).outcome is Outcome.DONE
            assert await listener.next() == name

    async def test_what_others_do_is_told(self) -> None:
        """Prices that trigger a stop, on either futures venue; a sale on spot."""
        async with bench() as the, listening(the.venue) as listener:
            await listener.take(3)
            the.sim.set_faults(prices={"linear:BTC/USDT": "57000"})
            assert await listener.next() == "linear"
            the.sim.core.cancel_all(the.sim.account, Product.SPOT)
            await listener.until("spot")

    async def test_margin_is_told_by_its_token(self) -> None:
        """Subscribed without a signature."""
        async with bench("margin", slices=("margin",)) as the, listening(the.venue) as listener:
            assert await listener.next() == "margin"
            from tests.contract.test_venue_margin import repay

            assert (await the.venue.execute(repay("1", "BNB"))).outcome is Outcome.DONE
            assert await listener.next() == "margin"

    @pytest.mark.parametrize("fault", [{"cut": True}, {"expire": True}])
    async def test_a_stream_that_ends_is_opened_again(self, fault: dict[str, Any]) -> None:
        """Whether it breaks or its key expires; its slices are named again."""
        async with bench() as the, listening(the.venue) as listener:
            await listener.take(3)
            the.sim.set_faults(streams=fault)
            await listener.until(*ALL)
            await until(lambda: opened(the) == 6 and all(the.venue.streaming(name) for name in ALL))
            while not await listener.silent(0.01):
                pass
            step = closes((await the.venue.read_positions("linear")).positions)[0]
            await the.venue.execute(step)
            await listener.until("linear")

    async def test_streams_that_are_refused_are_not_told_of(self) -> None:
        """The others are."""
        async with bench() as the:
            the.sim.set_faults(streams={"product": "linear", "refused": True})
            async with listening(the.venue) as listener:
                assert await listener.take(2) == ["inverse", "spot"]
                assert not the.venue.streaming("linear")
                the.sim.set_faults(streams={"product": "linear", "refused": False})
                assert await listener.next() == "linear"
                assert the.venue.streaming("linear")

    async def test_a_key_that_is_refused_leaves_the_slice_untold(self) -> None:
        """And nothing is raised."""
        async with bench() as the:
            rule = {"match": {"intent": "stream", "product": "inverse"}, "times": None, "do": "html_200"}
            the.sim.set_faults(rules=[rule])
            async with listening(the.venue) as listener:
                assert await listener.take(2) == ["linear", "spot"]
                assert not the.venue.streaming("inverse")

    async def test_closing_the_venue_ends_its_streams(self) -> None:
        """And whoever follows them."""
        async with bench() as the:
            changes = the.venue.changes()
            found = [await anext(changes) for _ in range(3)]
            await the.venue.close()
            assert [name async for name in changes] == []
            assert sorted(found) == sorted(ALL)
            await until(lambda: not the.sim.state()["streams"])

    async def test_a_stream_is_opened_although_the_background_has_nothing_left_to_spend(self) -> None:
        """Whoever follows it may well be background work; without it there would only be more polling."""
        async with bench(slices=("linear",)) as the:
            lane = the.venue._client._lane
            with background():
                lane._account(Charge(bucket="fapi"), "").background.take(10_000, lane.clock_ns())
                async with listening(the.venue) as listener:
                    assert await listener.next() == "linear"

    async def test_nothing_but_reads_and_keys_is_asked_for_a_stream(self) -> None:
        """At the lowest level."""
        async with bench(permission=Permission.READ) as the, listening(the.venue) as listener:
            await listener.take(3)
            writes = {(entry.method, entry.path) for entry in the.sim.journal.entries() if entry.method != "GET"}
            assert writes == {("POST", "/fapi/v1/listenKey"), ("POST", "/dapi/v1/listenKey")}

    async def test_connections_come_from_the_accounts_pool(self) -> None:
        """Same resolver and trust, TCP_NODELAY."""
        async with bench() as the:
            before = the.pool.connections_opened
            async with listening(the.venue) as listener:
                await listener.take(3)
                assert the.pool.connections_opened >= before + 3


async def test_silence_is_not_the_end_of_a_stream_that_lives() -> None:
    """Pings and their answers keep it, over the wire, for many times the silence limit."""
    async with bench(slices=("linear",)) as the:
        (only,) = the.venue._streams._streams
        the.venue._streams._streams = (replace(only, ping_after_s=0.02, silence_s=0.1),)
        async with listening(the.venue) as listener:
            assert await listener.next() == "linear"
            assert await listener.silent(0.4)
            assert opened(the) == 1
