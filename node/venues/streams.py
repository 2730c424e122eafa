"""Streams as hints: slices in which a venue says that something has happened. Nothing here knows a venue.

A hint is never a proof, and silence means nothing: what was said while a connection was down is lost, so every slice
is named once after every opening. Connections come from the account's pool: same resolver, same trust, TCP_NODELAY.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from typing import Final

import aiohttp
import structlog

from node.errors import VenueAnswerUnknown, VenueLimited, VenueUnavailable
from node.venues.call import Answer
from node.venues.ccxt_client import CcxtClient
from node.venues.lane import foreground
from node.venues.stream import Heard, Stream

#: Waiting before a stream is opened again: doubled each time, with jitter on the upper half.
PAUSE_MIN_S: Final = 0.5
PAUSE_MAX_S: Final = 30.0
#: A connection that has lasted so long was a good one: the next pause is the shortest again.
GOOD_AFTER_S: Final = 30.0
#: For the handshake, and for the venue to confirm a subscription.
OPENING_S: Final = 10.0
#: How soon a renewal that did not get through is tried again.
RENEW_AGAIN_S: Final = 60.0
MESSAGE_MAX: Final = 4 * 1024 * 1024
#: What one moment brings comes as many messages, sixty where twenty positions close, and one hint says it: after each
#: nothing is heard for so long, and the time goes to the requests that are about to leave.
REST_S: Final = 0.04

log = structlog.get_logger(__name__)


class StreamOver(Exception):
    """The stream has to be opened anew."""


class Hints:
    """Slices to look at, each once however often it was named."""

    def __init__(self) -> None:
        self._names: dict[str, None] = {}
        self._some = asyncio.Event()
        self._over = False

    def name(self, slices: Iterable[str]) -> None:
        """Something has happened there."""
        self._names |= dict.fromkeys(slices)
        if self._names:
            self._some.set()

    def end(self) -> None:
        """No more."""
        self._over = True
        self._some.set()

    async def next(self) -> str | None:
        """The slice that has waited longest; None at the end."""
        while not self._names:
            if self._over:
                return None
            self._some.clear()
            await self._some.wait()
        name = next(iter(self._names))
        del self._names[name]
        return name


class Streams:
    """The streams of one account. Create it inside the running event loop."""

    def __init__(self, client: CcxtClient, session: aiohttp.ClientSession, streams: tuple[Stream, ...]) -> None:
        self._client = client
        self._session = session
        self._streams = streams
        #: By slice, how many connections are telling of it now.
        self._telling: Counter[str] = Counter()
        self._open: dict[Hints, list[asyncio.Task[None]]] = {}

    def telling(self, slice_name: str) -> bool:
        """Whether changes of the slice are being told right now."""
        return self._telling[slice_name] > 0

    async def changes(self) -> AsyncIterator[str]:
        """Names of slices in which something is said to have happened; for ever, or not at all without streams.

        What it starts ends with it.
        """
        if not self._streams:
            return
        hints = Hints()
        self._open[hints] = [
            asyncio.create_task(self._listen(stream, hints), name=f"stream:{self._client.name}:{stream.name}")
            for stream in self._streams
        ]
        try:
            while (name := await hints.next()) is not None:
                yield name
        finally:
            await _end(self._open.pop(hints, []))

    async def close(self) -> None:
        """End every connection, and whoever waits for a change."""
        for hints, tasks in list(self._open.items()):
            await _end(tasks)
            hints.end()

    async def _listen(self, stream: Stream, hints: Hints) -> None:
        """Open a stream, again and again."""
        pause_s = PAUSE_MIN_S
        while True:
            started = time.monotonic()
            try:
                await self._once(stream, hints)
            except Exception as error:  # noqa: BLE001 - whatever a venue sends, this loop goes on
                reason = self._client.scrub(f"{type(error).__name__}: {error}")
                log.warning("venue_stream_lost", exchange=self._client.name, stream=stream.name, reason=reason)
            if time.monotonic() - started > GOOD_AFTER_S:
                pause_s = PAUSE_MIN_S
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
            pause_s = min(pause_s * 2, PAUSE_MAX_S)

    async def _once(self, stream: Stream, hints: Hints) -> None:
        """One connection, from its ticket to its end."""
        async with asyncio.timeout(OPENING_S):
            # A key costs next to nothing, and without it nothing is told.
            with foreground():
                ticket = await self._client.ask(stream.ticket) if stream.ticket else None
            self._client.scrub.learn(ticket)
            socket = await self._session.ws_connect(
                stream.url(ticket), autoping=False, max_msg_size=MESSAGE_MAX, compress=0
            )
        conversation = _Conversation(self._client, stream, socket, ticket)
        told: tuple[str, ...] = ()
        rested = -REST_S
        try:
            async for heard in conversation.heard():
                if heard.confirmed and not told:
                    told = stream.slices
                    self._telling.update(told)
                    log.info("venue_stream_open", exchange=self._client.name, stream=stream.name)
                    hints.name(told)
                hints.name(heard.changed)
                if told and heard.changed and time.monotonic() - rested > REST_S:
                    await asyncio.sleep(REST_S)
                    rested = time.monotonic()
                # Answers to requests come between two messages.
                await asyncio.sleep(0)
        finally:
            self._telling.subtract(told)
            await _hang_up(socket)


class _Conversation:
    """What is said over one connection, and when it is dead."""

    def __init__(
        self, client: CcxtClient, stream: Stream, socket: aiohttp.ClientWebSocketResponse, ticket: Answer
    ) -> None:
        now = time.monotonic()
        self._client = client
        self._stream = stream
        self._socket = socket
        self._ticket = ticket
        self._confirmed = False
        self._opened = self._last_heard = self._last_said = now
        self._pinged = False
        self._renew_at = now + stream.renew_every_s if stream.renewal else None

    async def heard(self) -> AsyncIterator[Heard]:
        """What the messages say, one after the other.

        Raises:
            StreamOver: nothing more is to be had from this connection.
        """
        for text in self._stream.hello(self._client.ccxt, self._ticket):
            await self._say(text)
        if self._stream.confirmed_by_opening:
            await self._socket.ping()
        while True:
            message = await self._next()
            alive = self._stream.confirmed_by_opening and self._last_heard > self._opened
            if alive and not self._confirmed:
                self._confirmed = True
                yield Heard(confirmed=True)
            for heard in map(self._understood, self._messages(message)) if message is not None else (Heard(),):
                self._confirmed = self._confirmed or heard.confirmed
                yield heard
                signed = heard.signed(self._client.ccxt) if heard.signed is not None else ()
                for text in (*heard.reply, *signed):
                    await self._say(text)
                if heard.over is not None:
                    raise StreamOver(heard.over)

    def _messages(self, frame: str) -> list[str]:
        """What a frame holds; of half a message the half, which will not be understood."""
        separator = self._stream.separator
        return [frame] if separator is None else [each for each in frame.split(separator) if each]

    async def _say(self, text: str) -> None:
        self._last_said = time.monotonic()
        await self._socket.send_str(text)

    async def _next(self) -> str | None:
        """The next message, or None after anything else that shows life; sees to pings and renewals meanwhile."""
        now = time.monotonic()
        if now - self._opened > self._stream.lifetime_s:
            raise StreamOver("its time is over")
        if not self._confirmed and now - self._opened > OPENING_S:
            raise StreamOver("the subscription was not confirmed")
        if self._renew_at is not None and now >= self._renew_at:
            await self._renew()
        quiet_s = time.monotonic() - self._last_heard
        if quiet_s >= self._stream.silence_s:
            raise StreamOver("nothing was heard for too long")
        if quiet_s >= self._stream.ping_after_s and not self._pinged:
            await self._ping()
        elif self._stream.talk_every_s is not None and now - self._last_said >= self._stream.talk_every_s:
            await self._say(self._stream.ping or "")
        try:
            frame = await self._socket.receive(timeout=self._patience_s())
        except TimeoutError:
            return None
        self._last_heard, self._pinged = time.monotonic(), False
        if frame.type is aiohttp.WSMsgType.PING:
            await self._socket.pong(frame.data)
        if frame.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED):
            raise StreamOver(f"closed by the venue ({self._socket.close_code})")
        if frame.type is aiohttp.WSMsgType.ERROR:
            raise StreamOver(f"broken: {self._socket.exception()}")
        return str(frame.data) if frame.type is aiohttp.WSMsgType.TEXT else None

    def _patience_s(self) -> float:
        """How long until something is to be done even if nothing comes."""
        stream = self._stream
        due = [self._last_heard + (stream.silence_s if self._pinged else stream.ping_after_s)]
        due += [self._opened + (stream.lifetime_s if self._confirmed else OPENING_S)]
        due += [self._last_said + stream.talk_every_s] if stream.talk_every_s is not None else []
        due += [self._renew_at] if self._renew_at is not None else []
        return max(0.001, min(due) - time.monotonic())

    async def _ping(self) -> None:
        self._pinged = True
        if self._stream.ping is None:
            await self._socket.ping()
        else:
            await self._say(self._stream.ping)

    async def _renew(self) -> None:
        """A venue that cannot be reached is asked again soon; one that refuses has forgotten the ticket."""
        if self._stream.renewal is None:
            return
        try:
            with foreground():
                await self._client.ask(self._stream.renewal)
        except (VenueUnavailable, VenueLimited, VenueAnswerUnknown):
            self._renew_at = time.monotonic() + RENEW_AGAIN_S
        else:
            self._renew_at = time.monotonic() + self._stream.renew_every_s

    def _understood(self, text: str) -> Heard:
        """What a message says; one that is not understood says that something may have happened."""
        if text == self._stream.pong:
            return Heard()
        try:
            return self._stream.hear(json.loads(text))
        except Exception as error:  # noqa: BLE001 - a venue may send anything
            self._client.message_not_understood(f"stream {self._stream.name}", text, type(error).__name__)
            return Heard(changed=self._stream.slices if self._confirmed else ())


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _hang_up(socket: aiohttp.ClientWebSocketResponse) -> None:
    """The venue's goodbye is not worth waiting for."""
    try:
        async with asyncio.timeout(0.5):
            await socket.close()
    except (TimeoutError, aiohttp.ClientError, OSError):
        pass
