"""One account's ccxt instance, with everything hidden taken out: it signs and sends single requests.

ccxt's own queue is replaced by the lane; every request passes the gate; ccxt's hook for raw answers tells the wire
record what really came back; its clock is corrected by the venue's.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import statistics
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from node.clock import SystemClock
from node.domain.permission import Effect
from node.errors import VenueAnswerUnknown, VenueUnavailable
from node.venues import wire
from node.venues.answer_log import AnswerLog, Scrubber
from node.venues.call import Answer, Call, Ccxt, Reply
from node.venues.gate import Gate, NotSent
from node.venues.lane import WHOLE_READS_SHARE, Charge, Lane
from node.venues.options import VenueOptions
from node.venues.outcomes import Attempt, read_failure
from node.venues.pool import Pools
from node.venues.profile import Profile
from node.venues.shared_reads import SharedReads
from node.venues.wire import Wire

#: How many requests the typical round trip is taken from.
_SAMPLES: Final = 64


class CcxtClient:
    """Sends a profile's calls. Create it inside the running event loop."""

    def __init__(self, options: VenueOptions, profile: Profile, pools: Pools) -> None:
        #: For logs and task names.
        self.name = options.exchange
        self._options = options
        self._profile = profile
        self._gate = Gate(options.permission, profile.effect_of)
        self._lane: Lane = pools.lane(options, profile.budgets)
        self._key = hashlib.sha256("\0".join(sorted(options.credentials.values())).encode()).hexdigest()[:12]
        self._round_trips_ms: deque[float] = deque(maxlen=_SAMPLES)
        self._measuring: asyncio.Task[None] | None = None
        self._closed = False
        self.scrub = Scrubber(tuple(value for value in options.credentials.values() if value))
        self._answer_log = AnswerLog(self.scrub)
        self._reads = SharedReads(self.attempt)
        self._on_request = pools.on_request
        #: What a request, or the reading of its answer, may raise: anything. Sockets, ccxt, and its surprises; whatever
        #: it is, the request may have been executed.
        self.faults: tuple[type[Exception], ...] = (Exception,)
        self._measured_ms: float | None = None
        #: Our wall clock less time since boot, when that was measured.
        self._anchor_ms = 0.0
        self.ccxt: Ccxt = self._build(pools)
        #: Puts a request on the wire: ccxt's own way, behind the gate.
        self.send: Callable[..., Awaitable[Any]] = self.ccxt.fetch
        self.ccxt.fetch = self._fetch
        #: What a class of our own calls before it opens a WebSocket to read from.
        self.ccxt.before_connecting = self._connecting
        self._lane.join()

    def _build(self, pools: Pools) -> Ccxt:
        pool = pools.pool(self._options)
        exchange = self._profile.build(self._options, pool.session)
        exchange.ssl_context = pool.ssl_context
        exchange.enableRateLimit = True
        exchange.throttle = self._throttle
        exchange.on_rest_response = self._answered
        # Answers of one request must not be mistaken for another's, and need not stay in memory.
        exchange.enableLastHttpResponse = exchange.enableLastJsonResponse = exchange.enableLastResponseHeaders = False
        exchange.timeout_on_exit = 0
        return exchange

    async def ask(self, call: Call) -> Answer:
        """A read: the decoded answer.

        Raises:
            VenueError: by what the operator must do about it.
        """
        return (await self.asked(call)).answer

    async def asked(self, call: Call, purpose: str = "") -> Attempt:
        """The same, with how it was answered. Who asks the same for the same purpose at the same moment may share it.

        Raises:
            VenueError: by what the operator must do about it.
        """
        attempt = await self._reads.attempt(call, purpose)
        if attempt.error is not None:
            reply = self.reply(attempt)
            if (nothing := self._nothing(call, reply)) is not None:
                return Attempt(wire=attempt.wire, answer=nothing)
            if self._profile.clock_is_off(reply):
                await self.measure_clock(call)
            failure = read_failure(self._profile, attempt, self.scrub)
            if reply.code is None and attempt.wire.answered_ns is not None:
                self.not_understood(call, attempt, str(failure))
            raise failure from None
        if attempt.answer in (None, ""):
            self.not_understood(call, attempt, "the answer is empty")
            raise VenueAnswerUnknown("the answer is empty")
        return attempt

    def _nothing(self, call: Call, reply: Reply) -> Answer | None:
        """What stands for a refused read, where the venue's own code says that there is nothing to read."""
        certain = reply.code is not None and reply.status is not None and reply.status < 500
        return self._profile.nothing(call, reply) if certain and call.effect is Effect.READ else None

    async def attempt(self, call: Call, record: Wire | None = None) -> Attempt:
        """One request, whatever becomes of it; only cancellation passes through."""
        record = record or Wire()
        record.charges, record.effect = call.charges, call.effect
        self._correct_clock()
        answer, error = None, None
        with wire.recording(record):
            try:
                answer = await getattr(self.ccxt, call.endpoint)(_fresh(call.params))
            except self.faults as fault:
                error = fault
        if error is None and record.status is not None and not 200 <= record.status < 300:
            error = VenueUnavailable(f"HTTP {record.status}")  # a status that ccxt has no exception for
        attempt = Attempt(wire=record, answer=answer, error=error)
        self._account(call, attempt)
        return attempt

    async def rehearse(self, call: Call) -> None:
        """One request up to the socket, and no further: nothing is sent, nothing is charged."""
        record = Wire(effect=call.effect, rehearsal=True)
        # Its own end, or whatever a real one would tell.
        with wire.recording(record), contextlib.suppress(*self.faults):
            await getattr(self.ccxt, call.endpoint)(_fresh(call.params))

    def not_understood(self, call: Call, attempt: Attempt, reason: str) -> None:
        """Keep an answer of unexpected shape for whoever has to find out what the venue has changed."""
        self._answer_log.note(call.endpoint, attempt.wire.status, attempt.wire.body, reason)

    def message_not_understood(self, source: str, body: str, reason: str) -> None:
        """The same for a message that nobody asked for."""
        self._answer_log.note(source, None, body, reason)

    async def warm(self, call: Call, sockets: int) -> None:
        """Send a clock call so many times at once, each on a socket of its own; the quickest answer sets our clock.

        Raises:
            VenueError: none was answered.
        """
        wires = [Wire() for _ in range(sockets)]
        # One admission for all, so that they leave together.
        await self._lane.admit([_times(charge, sockets) for charge in call.charges], key=self._key)
        free = Call(endpoint=call.endpoint, effect=call.effect, params=call.params)
        wall_less_monotonic_ms = time.time() * 1000 - time.monotonic_ns() / 1e6
        attempts = await asyncio.gather(*(self.attempt(free, each) for each in wires))
        answered = [each for each in attempts if each.error is None]
        if not answered:
            raise read_failure(self._profile, attempts[0], self.scrub)
        measured = [offset for each in answered if (offset := self._offset(call, each, wall_less_monotonic_ms))]
        if not measured:
            raise VenueAnswerUnknown("the venue's time was not understood")
        self._measured_ms, self._anchor_ms = min(measured)[1], _wall_less_boot_ms()
        self._correct_clock()

    @property
    def offset_ms(self) -> float | None:
        """The venue's clock less ours, as measured, and as our wall clock has been set since; None: not measured."""
        if self._measured_ms is None:
            return None
        return self._measured_ms - (_wall_less_boot_ms() - self._anchor_ms)

    def _correct_clock(self) -> None:
        """ccxt subtracts this from its own clock when it signs: a clock that was just set costs no refusal."""
        if (offset_ms := self.offset_ms) is not None:
            self.ccxt.options["timeDifference"] = -round(offset_ms)

    async def measure_clock(self, refused: Call) -> None:
        """After a refused timestamp: once for however many requests found that out together, on the same host."""
        if self._measuring is None or self._measuring.done():
            name = f"clock:{self._options.exchange}"
            self._measuring = asyncio.create_task(self.warm(self._profile.clock_call_like(refused), 1), name=name)
        await asyncio.gather(asyncio.shield(self._measuring), return_exceptions=True)

    def reply(self, attempt: Attempt) -> Reply:
        """The venue's own error, if the answer carried one."""
        return self._profile.reply(attempt.wire.status, attempt.wire.document())

    def retry_after_s(self, attempt: Attempt) -> float | None:
        """How long to stay away: by the lane, which held the request back, or by the venue."""
        held_back: float | None = getattr(attempt.error, "retry_after_s", None)
        return held_back or self._profile.retry_after_s(attempt.wire.headers, self.reply(attempt))

    def interval_s(self, calls: tuple[Call, ...]) -> float:
        """How often the background's share bears these calls of every account, next to its other work."""
        return self._lane.interval_s(charge for call in calls for charge in call.charges) / WHOLE_READS_SHARE

    def respite_s(self, calls: tuple[Call, ...]) -> float:
        """How long until the whole budget bears these calls once more."""
        return self._lane.respite_s((charge for call in calls for charge in call.charges), key=self._key)

    def borrow_s(self, calls: tuple[Call, ...]) -> float:
        """Book these calls once more on what is lent; how long until they may be sent."""
        return self._lane.borrow_s((charge for call in calls for charge in call.charges), key=self._key)

    def budget_left(self) -> dict[str, float]:
        """What is left of each request budget, as a part of 1."""
        return self._lane.left()

    def round_trip_ms(self) -> float | None:
        """Median of the last requests."""
        return statistics.median(self._round_trips_ms) if self._round_trips_ms else None

    async def close(self) -> None:
        """Stop what is under way; connections belong to the pool."""
        if not self._closed:
            self._closed = True
            self._lane.leave()
        if self._measuring is not None:
            self._measuring.cancel()
            await asyncio.gather(self._measuring, return_exceptions=True)
        await self.ccxt.close()

    def _offset(self, call: Call, attempt: Attempt, wall_less_monotonic_ms: float) -> tuple[float, float] | None:
        """(round trip, offset), assuming that the venue looked at its clock half-way; None: it named no time."""
        try:
            venue_ms = self._profile.venue_time_ms(attempt.answer)
        except self.faults as error:
            self.not_understood(call, attempt, str(error))
            return None
        answered_ns = attempt.wire.answered_ns or 0
        sent_ns = attempt.wire.sent_ns or answered_ns
        middle_ms = (sent_ns + answered_ns) / 2e6 + wall_less_monotonic_ms
        return (answered_ns - sent_ns) / 1e6, venue_ms - middle_ms

    def _account(self, call: Call, attempt: Attempt) -> None:
        """What an answer says about budgets, and how long it took."""
        record = attempt.wire
        if record.sent_ns is not None:
            answered_ns = record.answered_ns
            took_s = None if answered_ns is None else (answered_ns - record.sent_ns) / 1e9
            if took_s is not None:
                self._round_trips_ms.append(took_s * 1e3)
            self._on_request(self.name, ending_of(attempt), took_s)
        if (used := self._profile.used(call, record.headers)) is not None:
            self._lane.reconcile(*used)
        if attempt.error is None:
            return
        reply = self.reply(attempt)
        wait_s = self._profile.retry_after_s(record.headers, reply)
        if record.status in (418, 429) or wait_s is not None:
            orders_only = self._profile.concerns_orders_only(reply)
            spent = [charge for charge in call.charges if charge.per_key or not orders_only]
            self._lane.refused(spent, wait_s, key=self._key)

    async def _fetch(
        self,
        url: str,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: Any = None,  # noqa: ANN401 - whatever ccxt makes of it
    ) -> Any:  # noqa: ANN401 - decoded JSON
        """In place of ccxt's own: nothing leaves that the account's permission level does not include."""
        record = wire.current()
        self._gate.check(url, method, body, record)
        if record is not None and record.rehearsal:
            raise NotSent("a rehearsal ends here")
        if record is not None:
            record.left = True
        return await self.send(url, method, headers, body)

    def _connecting(self, url: str) -> None:
        """A WebSocket that an answer is read from is a request like any other: a GET that asks for it.

        Raises:
            NotPermitted: it must not be opened.
        """
        record = wire.current()
        self._gate.check(url, "GET", None, record)
        if record is not None:
            record.left = True

    async def _throttle(self, _cost: float | None = None) -> None:
        """In place of ccxt's own queue."""
        record = wire.current()
        if record is not None and not record.rehearsal:
            await self._lane.admit(record.charges, key=self._key)

    def _answered(self, status: int, *rest: Any) -> str:  # noqa: ANN401 - ccxt's hook
        """ccxt's hook, called with every complete answer before it is interpreted."""
        _reason, _url, _method, headers, body, _request_headers, _request_body = rest
        record = wire.current()
        if record is not None:
            record.answered_ns = time.monotonic_ns()
            record.status = status
            record.headers = {str(name).lower(): str(value) for name, value in headers.items()}
            record.body = body
        return str(body).strip()


def ending_of(attempt: Attempt) -> str:
    """How a request that has left ended: ``answered``, ``refused``, ``failed`` at the venue, or ``unanswered``."""
    if attempt.error is None:
        return "answered"
    if attempt.wire.answered_ns is None:
        return "unanswered"
    return "failed" if (attempt.wire.status or 0) >= HTTPStatus.INTERNAL_SERVER_ERROR else "refused"


def _fresh(params: Mapping[str, Any] | Sequence[Any]) -> dict[str, Any] | list[Any]:
    """ccxt changes what it is given."""
    return dict(params) if isinstance(params, Mapping) else list(params)


def _wall_less_boot_ms() -> float:
    """Changes only where somebody sets the wall clock: time since boot counts a suspended machine's sleep."""
    return time.time() * 1000 - SystemClock().boottime_ns() / 1e6


def _times(charge: Charge, count: int) -> Charge:
    return Charge(bucket=charge.bucket, units=charge.units * count, per_key=charge.per_key)
