"""Takes alerts: recognises, remembers, asks the lock, and lets at most one order go for each."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from http import HTTPStatus
from typing import Any, Final, Protocol

import structlog

from node.api.errors import error_body
from node.api.rates import StrangerRates
from node.client import LockState
from node.clock import Clock
from node.domain.permission import Effect, Permission
from node.domain.rate_window import Allowance, SlidingWindow
from node.errors import JournalUnavailable
from node.signals.alert import Alert, Message, read_alert, read_message
from node.signals.keys import WebhookKey, WebhookKeys, ulid
from node.signals.metrics import SignalMetrics
from node.signals.orders import Draft, draft
from node.signals.refusal import Code, Refused
from node.signals.settings import OffStep
from node.signals.store import Earlier, Entry, SignalStore
from node.signals.venue import Exchange, OrderUnknown, Placed

#: Of one user, as documented.
ALERTS_PER_SECOND: Final = 5
_SECOND_NS: Final = 1_000_000_000
#: How long an order of unknown outcome is looked for.
FIND_WITHIN_S: Final = 5.0

log = structlog.get_logger(__name__)


class Lock(Protocol):
    """``node.client.EngineLock``."""

    def state(self) -> LockState:
        """The lock as it may be relied on at this instant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalTarget:
    """An account that alerts may name."""

    id: str
    name: str
    owner: str
    permission: Permission
    off_step: OffStep
    lock: Lock
    exchange: Exchange


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the sender of an alert is told."""

    status: int
    document: dict[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)


class UserRates:
    """Five a second for each user; only those are counted who have shown a key."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._windows: dict[str, SlidingWindow] = {}

    def take(self, user: str) -> Allowance:
        """Count one alert."""
        window = self._windows.setdefault(user, SlidingWindow(ALERTS_PER_SECOND, _SECOND_NS))
        return window.take(self._clock.monotonic_ns())


class SignalDesk:
    """Everything between a body and an order."""

    def __init__(
        self,
        targets: list[SignalTarget],
        *,
        keys: WebhookKeys,
        store: SignalStore,
        clock: Clock,
        metrics: SignalMetrics,
        strangers: StrangerRates,
    ) -> None:
        self._targets = {name: target for target in targets for name in (target.id, target.name)}
        self._keys = keys
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._strangers = strangers
        self._rates = UserRates(clock)
        #: Alerts with an id of their own that are being answered: their repetitions wait for the same answer.
        self._running: dict[tuple[str, str], asyncio.Future[Answer]] = {}

    async def alert(self, user: str, body: bytes, peer: str | None) -> Answer:
        """Answer an alert. Never raises: whatever happens, the sender is told what is known."""
        try:
            message, key = self._recognised(user, body, peer)
        except Refused as refused:
            return self._told(self._refusal(refused), refused.headers)
        allowance = self._rates.take(user)
        headers = _rate_headers(allowance, self._clock.now())
        if not allowance.allowed:
            words = f"more than {ALERTS_PER_SECOND} alerts a second"
            return self._told(self._refusal(Refused(Code.RATE_LIMITED, words)), headers)
        try:
            answer = await self._once(message, key)
        except Exception:
            # Not a 500, after which TradingView sends again: how far the alert has come is not known here.
            log.exception("signal_lost_track_of")
            answer = self._refusal(Refused(Code.ORDER_UNKNOWN, "this process failed: its log says why"))
        return self._told(answer, headers)

    def _recognised(self, user: str, body: bytes, peer: str | None) -> tuple[Message, WebhookKey]:
        """Whose alert it is. Who shows no good key is counted by address, and says nothing about whom there is."""
        try:
            message = read_message(body)
            key = self._keys.find(message.api_key)
            if key is None or key.owner != user:
                raise Refused(Code.INVALID_KEY, "no such webhook key of this user")  # noqa: TRY301  (as read_message)
            self._require_active(key)
        except Refused as refused:
            allowance = self._strangers.take(peer)
            if not allowance.allowed:
                words = "too many alerts without a good key from this address"
                raise Refused(Code.RATE_LIMITED, words, _rate_headers(allowance, self._clock.now())) from None
            log.warning("signal_not_recognised", user=user[:64], code=refused.code.value, peer=peer)
            raise
        return message, key

    def _require_active(self, key: WebhookKey) -> None:
        status = self._keys.status(key)
        if status == "Revoked":
            raise Refused(Code.KEY_REVOKED, "the webhook key has been revoked")
        if status == "Expired":
            raise Refused(Code.KEY_EXPIRED, "the webhook key has expired: make a new one")

    async def _once(self, message: Message, key: WebhookKey) -> Answer:
        """The same alert that arrives while the first is under way waits for that one's answer."""
        if message.deduplication_id is None:
            return await self._answer(message, key)
        place = (key.owner, message.deduplication_id)
        if place in self._running:
            return await asyncio.shield(self._running[place])
        running = self._running[place] = asyncio.get_running_loop().create_future()
        try:
            answer = await self._answer(message, key)
        except BaseException:
            running.cancel()
            raise
        else:
            running.set_result(answer)
            return answer
        finally:
            del self._running[place]

    async def _answer(self, message: Message, key: WebhookKey) -> Answer:
        alert_id, at = ulid(self._clock.now()), self._clock.now()
        try:
            entry = await self._store.receive(alert_id, key, message, at=at)
        except JournalUnavailable:
            return self._refusal(Refused(Code.NOT_READY, "alerts cannot be recorded now: nothing was placed"))
        if isinstance(entry, Earlier):
            return await self._repeated(entry)
        course = _Course()
        try:
            placed = await self._place(entry, message, key, course)
        except Refused as refused:
            answer = self._refusal(refused)
            # What may be otherwise in five seconds, when TradingView repeats it, is not held against the repetition.
            passing = answer.status == HTTPStatus.SERVICE_UNAVAILABLE
            await self._settle(entry, "abandoned" if passing else "answered", answer)
        except OrderUnknown as unknown:
            answer = await self._of_unknown_fate(entry, course, str(unknown))
        except Exception:
            log.exception("signal_failed", alert=entry.id)
            answer = await self._of_unknown_fate(entry, course, "this process failed: its log says why")
        else:
            answer = self._success(placed)
            await self._settle(entry, "answered", answer)
        self._log(entry, course, answer)
        return answer

    async def _place(self, entry: Entry, message: Message, key: WebhookKey, course: _Course) -> Placed:
        """From fields to a confirmed order.

        Raises:
            Refused: nothing was placed.
            OrderUnknown: it may have been.
        """
        alert = course.alert = read_alert(message.fields)
        target = course.target = self._target(alert, key)
        epoch = course.epoch = _unlocked(target)
        market, traits = await target.exchange.prepare(alert.symbol)
        order = draft(alert, market, traits, rounded=target.exchange.rounded, off_step=target.off_step)
        _unlocked(target, epoch)  # asking for markets may have taken a while; nothing is written for nothing
        try:
            await self._store.leaving(entry, epoch=epoch)
        except JournalUnavailable:
            raise Refused(Code.NOT_READY, "alerts cannot be recorded now: nothing was placed") from None
        course.draft = order

        def fence() -> None:
            _unlocked(target, epoch)
            self._require_active(key)

        return await target.exchange.place(order, entry.client_order_id, fence)

    def _target(self, alert: Alert, key: WebhookKey) -> SignalTarget:
        target = self._targets.get(alert.account) or self._targets.get(alert.account.lower())
        if target is None or target.owner != key.owner:
            raise Refused(Code.UNKNOWN_ACCOUNT, "accountId: no such account of this user")
        if not target.permission.allows(Effect.OPEN):
            raise Refused(
                Code.NOT_PERMITTED, f"the account's permission is {target.permission.value!r}: alerts need 'full'"
            )
        return target

    async def _of_unknown_fate(self, entry: Entry, course: _Course, reason: str) -> Answer:
        """Look once whether the exchange has the order; never send it again."""
        if course.draft is None:  # nothing has left
            words = "this process failed, and nothing was placed: its log says why"
            answer = self._refusal(Refused(Code.NOT_READY, words))
            await self._settle(entry, "abandoned", answer)
            return answer
        assert course.target is not None  # noqa: S101  (known before the draft)
        if (found := await _found(course.target, course.draft, entry.client_order_id)) is not None:
            answer = self._success(found)
            await self._settle(entry, "answered", answer)
            return answer
        answer = self._unknown(entry.client_order_id, reason)
        await self._settle(entry, "unknown", answer)
        return answer

    async def _repeated(self, earlier: Earlier) -> Answer:
        """The answer again; or another look for an order of which nobody knows."""
        if earlier.answer is not None and earlier.status is not None:
            return Answer(status=earlier.status, document=earlier.answer)
        if (found := await self._sought(earlier)) is not None:
            answer = self._success(found)
            await self._settle(earlier, "answered", answer)
            return answer
        return self._unknown(earlier.client_order_id, "the same alert was on its way when this process ended")

    async def _sought(self, earlier: Earlier) -> Placed | None:
        try:
            alert = read_alert(earlier.fields)
            target = self._targets.get(alert.account) or self._targets.get(alert.account.lower())
            if target is None:
                return None
            market, traits = await target.exchange.prepare(alert.symbol)
            order = draft(alert, market, traits, rounded=target.exchange.rounded, off_step=target.off_step)
        except Refused:
            return None
        return await _found(target, order, earlier.client_order_id)

    async def _settle(self, entry: Entry | Earlier, state: str, answer: Answer) -> None:
        """What cannot be written stays as it was on disk: an order that left is unknown, and never leaves again."""
        try:
            await self._store.settle(entry.id, state, answer.status, answer.document)
        except JournalUnavailable as error:
            log.error("signal_answer_not_recorded", alert=entry.id, error=str(error))  # noqa: TRY400

    # Answers

    def _success(self, placed: Placed) -> Answer:
        document = {
            "success": True,
            "orderId": placed.order_id,
            "orderStatus": placed.status,
            "message": "Order placed successfully",
            "timestamp": _instant(self._clock.now()),
        }
        return Answer(status=HTTPStatus.OK, document=document)

    def _refusal(self, refused: Refused) -> Answer:
        return self._negative(refused.status, refused.code.value, refused.message)

    def _unknown(self, client_order_id: str, reason: str) -> Answer:
        message = (
            f"the order may have been placed, and is not sent again: {reason}; its client order id: {client_order_id}"
        )
        return self._refusal(Refused(Code.ORDER_UNKNOWN, message))

    def _negative(self, status: int, code: str, message: str) -> Answer:
        words = {"message": message, "timestamp": _instant(self._clock.now())}
        return Answer(status=status, document={**error_body(code, message), **words})

    def _told(self, answer: Answer, headers: Mapping[str, str] | None = None) -> Answer:
        code = "PLACED" if answer.status == HTTPStatus.OK else answer.document["error"]["code"]
        self._metrics.alerts_total.labels(outcome=code).inc()
        return Answer(status=answer.status, document=answer.document, headers=headers or {})

    def _log(self, entry: Entry, course: _Course, answer: Answer) -> None:
        alert, target = course.alert, course.target
        words: dict[str, Any] = {"alert": entry.id, "client_order_id": entry.client_order_id}
        if alert is not None:
            words |= {"symbol": alert.symbol, "side": alert.side.value, "type": alert.order_type.value}
            words |= {"quantity": _plain(alert.quantity)}
        words |= {"account": target.name, "epoch": course.epoch} if target is not None else {}
        if answer.status == HTTPStatus.OK:
            log.info("signal_placed", order=answer.document["orderId"], status=answer.document["orderStatus"], **words)
        else:
            error = answer.document["error"]
            log.warning("signal_refused", code=error["code"], reason=error["message"], **words)


@dataclass(slots=True, kw_only=True)
class _Course:
    """How far an alert has come."""

    alert: Alert | None = None
    target: SignalTarget | None = None
    epoch: int | None = None
    #: There from the moment on that the order may leave.
    draft: Draft | None = None


def _rate_headers(allowance: Allowance, now: datetime) -> dict[str, str]:
    """The three documented headers."""
    reset = math.ceil(now.timestamp() + allowance.reset_ns / _SECOND_NS)
    return {
        "X-RateLimit-Limit": str(allowance.limit),
        "X-RateLimit-Remaining": str(allowance.remaining),
        "X-RateLimit-Reset": str(reset),
    }


def _unlocked(target: SignalTarget, epoch: int | None = None) -> int:
    """The lock's epoch, if new risk is allowed; with *epoch*, only if nothing has changed since.

    Raises:
        Refused: ENGINE_LOCKED.
    """
    state = target.lock.state()
    if state.locked or state.epoch is None:
        raise Refused(Code.ENGINE_LOCKED, f"the account is locked: {state.reason or 'no reason was given'}")
    if epoch is not None and state.epoch != epoch:
        raise Refused(Code.ENGINE_LOCKED, "the account was locked after the alert had arrived")
    return state.epoch


async def _found(target: SignalTarget, order: Draft, client_order_id: str) -> Placed | None:
    try:
        async with asyncio.timeout(FIND_WITHIN_S):
            return await target.exchange.find(order, client_order_id)
    except TimeoutError:
        return None
    except Exception:
        log.exception("signal_order_not_looked_up", account=target.name)
        return None


def _instant(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _plain(value: Decimal) -> str:
    return format(value, "f")
