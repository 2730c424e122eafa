"""What is known after a request: from the wire, the venue's own code, and ccxt's exception, in that order. Pure.

Only a whitelist counts as refused. Whatever else happens after the first byte left (a lost connection, a time-out, a
5xx, a truncated or unreadable answer, a success without an order id, an error inside a parser) may have been executed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import aiohttp

from node.domain.steps import Outcome, Refusal, Step, StepResult
from node.errors import VenueAnswerUnknown, VenueDenied, VenueError, VenueLimited, VenueUnavailable
from node.venues.answer_log import Scrubber
from node.venues.call import Answer, Call, Judgement, Reply
from node.venues.gate import NotPermitted
from node.venues.profile import Profile
from node.venues.wire import Wire


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One request, ended: exactly one of ``answer`` and ``error`` counts."""

    wire: Wire
    answer: Answer = None
    error: Exception | None = None

    @property
    def not_sent(self) -> bool:
        """The venue cannot have seen it: no byte was handed to a socket."""
        return self.error is not None and self.wire.sent_ns is None


def definite_refusals() -> dict[type[Exception], Refusal]:
    """ccxt's exceptions that mean "not placed", narrowest first."""
    import ccxt

    return {
        ccxt.DuplicateOrderId: Refusal.OTHER,  # not definite: see judge
        ccxt.AuthenticationError: Refusal.DENIED,
        ccxt.InsufficientFunds: Refusal.INSUFFICIENT,
        ccxt.OrderNotFound: Refusal.UNKNOWN_ORDER,
        ccxt.MarketClosed: Refusal.MARKET_CLOSED,
        ccxt.RateLimitExceeded: Refusal.RATE_LIMITED,
        ccxt.DDoSProtection: Refusal.RATE_LIMITED,
        ccxt.ArgumentsRequired: Refusal.OTHER,
        ccxt.NotSupported: Refusal.OTHER,
        ccxt.BadRequest: Refusal.OTHER,
        ccxt.InvalidOrder: Refusal.OTHER,
        ccxt.OperationRejected: Refusal.OTHER,
        ccxt.InvalidNonce: Refusal.OTHER,
    }


def judge(profile: Profile, step: Step, attempt: Attempt) -> Judgement:
    """What one request of a step came to."""
    error, wire = attempt.error, attempt.wire
    if isinstance(error, NotPermitted):
        return Judgement(outcome=Outcome.REFUSED, refusal=Refusal.PERMISSION, message=str(error))
    if isinstance(error, VenueLimited):  # the lane held it back
        return Judgement(outcome=Outcome.REFUSED, refusal=Refusal.RATE_LIMITED, message=str(error))
    if isinstance(error, VenueDenied) and attempt.not_sent:  # what would have admitted it was refused
        return Judgement(outcome=Outcome.REFUSED, refusal=Refusal.DENIED, message=f"not sent: {error}")
    if error is not None and attempt.not_sent:
        return Judgement(outcome=Outcome.REFUSED, refusal=Refusal.OTHER, message=f"not sent: {describe(error)}")
    if error is None:
        return profile.accepted(step, attempt.answer)
    if wire.status in (418, 429):
        reply = profile.reply(wire.status, wire.document())
        text = f"HTTP {wire.status} {reply.code or ''} {reply.message}"
        return Judgement(outcome=Outcome.REFUSED, refusal=Refusal.RATE_LIMITED, message=text)
    reply = profile.reply(wire.status, wire.document())
    judgement = profile.refused(step, reply)
    if judgement is not None:
        return judgement
    message = f"{reply.code} {reply.message}" if reply.code else describe(error)
    refusal = refusal_of(error, reply)
    if refusal is None:
        return Judgement(outcome=Outcome.AMBIGUOUS, message=message, strange=wire.answered_ns is not None)
    return Judgement(outcome=Outcome.REFUSED, refusal=refusal, message=message)


def refusal_of(error: Exception, reply: Reply) -> Refusal | None:
    """What ccxt's exception says for certain: only where the venue's own error document bears it out."""
    if reply.code is None or reply.status is None or reply.status >= 500:
        return None
    for kind, refusal in definite_refusals().items():
        if isinstance(error, kind):
            return None if kind.__name__ == "DuplicateOrderId" else refusal
    return None


def read_failure(profile: Profile, attempt: Attempt, scrub: Scrubber) -> VenueError:
    """Why a read told nothing."""
    error, wire = attempt.error, attempt.wire
    if isinstance(error, VenueError):
        return error
    reply = profile.reply(wire.status, wire.document())
    message = scrub(f"{reply.code} {reply.message}" if reply.code else describe(error))
    if profile.limited(reply):
        return VenueLimited(message, retry_after_s=profile.retry_after_s(wire.headers, reply))
    if profile.denied(reply):
        return VenueDenied(message)
    if profile.clock_is_off(reply):  # it is being measured; the next request has it right
        return VenueUnavailable(message)
    if reply.code is not None and wire.status is not None and wire.status < 500:
        return VenueError(message)  # the venue's own word, which some venues send with a 200
    if wire.status is None or wire.status >= 400 or _broke_off(error):
        return VenueUnavailable(message)
    return VenueAnswerUnknown(message)


def _broke_off(error: BaseException | None) -> bool:
    return isinstance(error, aiohttp.ClientError | TimeoutError | OSError) or (
        error is not None and error.__cause__ is not None and _broke_off(error.__cause__)
    )


def describe(error: BaseException | None) -> str:
    """An exception's kind and cause; its text only where it is not ccxt's, which carries the signed address."""
    if error is None:
        return "no error"
    cause = error.__cause__
    own = type(error).__module__.startswith("ccxt")
    text = type(error).__name__ if own else f"{type(error).__name__}: {error}"
    return text if cause is None else f"{text}, from {type(cause).__name__}: {cause}"


def gone(calls: Sequence[Call], judgements: Sequence[Judgement]) -> frozenset[str]:
    """The orders of those cancels that were carried out, or found nothing."""
    return frozenset(
        order_id
        for call, judgement in zip(calls, judgements, strict=True)
        if judgement.outcome is Outcome.DONE or judgement.refusal is Refusal.UNKNOWN_ORDER
        for order_id in call.order_ids
    )


def combine(step: Step, judgements: Sequence[Judgement], wires: Iterable[Wire], ended_ns: int) -> StepResult:
    """One result for the requests of a step: the worst of them; "gone already" only if all say so."""
    ranked = sorted(judgements, key=_badness, reverse=True)
    worst = ranked[0] if ranked else Judgement(outcome=Outcome.DONE)
    sent = [wire.sent_ns for wire in wires if wire.sent_ns is not None]
    return StepResult(
        step=step,
        outcome=worst.outcome,
        refusal=worst.refusal,
        message=worst.message,
        filled=worst.filled,
        sent_ns=min(sent, default=None),
        ended_ns=ended_ns,
    )


def _badness(judgement: Judgement) -> int:
    if judgement.outcome is Outcome.AMBIGUOUS:
        return 3
    if judgement.outcome is Outcome.DONE:
        return 1
    return 0 if judgement.refusal is Refusal.UNKNOWN_ORDER else 2
