"""Kraken: what answers say about steps. Pure.

https://docs.kraken.com/api/docs/guides/spot-errors, .../guides/spot-rest-ratelimits and .../rest-api (add-order,
cancel-order, cancel-order-batch). Everything is answered with 200: ``{"error": ["EOrder:Insufficient funds"]}``.
"""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import Final

from node.domain.steps import CancelOrders, ClosePosition, Outcome, Refusal, SellSpot, Step
from node.venues.call import Answer, Judgement, Reply
from node.venues.strict import decimal, row

#: CancelOrderBatch takes no more ids.
BATCH: Final = 50
#: "Additional calls will be restricted for a few seconds".
_COUNTER_PAUSE_S: Final = 4.0
_THROTTLED: Final = ("EService:Throttled", "EService: Throttled")
_THROTTLE_MAX_S: Final = 60.0

DONE: Final = Judgement(outcome=Outcome.DONE)
NOT_UNDERSTOOD: Final = Judgement(
    outcome=Outcome.AMBIGUOUS, message="the venue's answer shows no order id", strange=True
)

#: Errors of our clock: a nonce that is too small, and an order that came too late.
_CLOCK: Final = ("EAPI:Invalid nonce", "EService:Deadline elapsed")

#: How an error begins, and what it says for certain; the first that fits. Not here, and so not certain: "Unavailable",
#: "Busy", "Internal error", "Timeout", and "Reduce only:Position is closed", which comes after a part was executed.
ERRORS: Final[tuple[tuple[str, Refusal], ...]] = (
    ("EAPI:Rate limit exceeded", Refusal.RATE_LIMITED),
    ("EOrder:Rate limit exceeded", Refusal.RATE_LIMITED),
    ("EOrder:Domain rate limit exceeded", Refusal.RATE_LIMITED),
    ("EGeneral:Too many requests", Refusal.RATE_LIMITED),
    ("EAuth:Rate limit exceeded", Refusal.RATE_LIMITED),
    ("EAuth:Too many requests", Refusal.RATE_LIMITED),
    *((name, Refusal.RATE_LIMITED) for name in _THROTTLED),
    ("EAPI:Invalid nonce", Refusal.OTHER),
    ("EService:Deadline elapsed", Refusal.OTHER),
    ("EAPI:", Refusal.DENIED),  # key, signature
    ("EAuth:", Refusal.DENIED),
    ("EAccount:", Refusal.DENIED),
    ("ESession:", Refusal.DENIED),
    ("EGeneral:Permission denied", Refusal.DENIED),
    ("EGeneral:Temporary lockout", Refusal.DENIED),  # after many invalid keys
    ("ETrade:User Locked", Refusal.DENIED),
    ("EOrder:Trading agreement required", Refusal.DENIED),
    ("EOrder:Unknown order", Refusal.UNKNOWN_ORDER),
    ("EOrder:Reduce only:No position exists", Refusal.NOTHING_TO_REDUCE),
    ("EOrder:Unknown position", Refusal.NOTHING_TO_REDUCE),
    ("EOrder:Reduce only:Non-", Refusal.OTHER),  # not for customers of this kind or country
    ("EOrder:Insufficient funds", Refusal.INSUFFICIENT),
    ("EOrder:Order minimum not met", Refusal.TOO_SMALL),
    ("EOrder:Cost minimum not met", Refusal.TOO_SMALL),
    ("EGeneral:Invalid arguments:volume minimum not met", Refusal.TOO_SMALL),
    ("EOrder:Invalid price", Refusal.PRICE_BAND),
    ("EOrder:Tick size check failed", Refusal.OTHER),
    ("EService:Market in ", Refusal.MARKET_CLOSED),  # cancel_only, post_only, ... mode
    *(
        (f"EOrder:{name}", Refusal.OTHER)
        for name in (
            "Cannot open ",
            "Margin ",
            "Insufficient margin",
            "Orders limit exceeded",
            "Scheduled orders limit exceeded",
            "Positions limit exceeded",
            "Invalid order",
        )
    ),
    ("EGeneral:Invalid arguments", Refusal.OTHER),
    ("EGeneral:Unknown method", Refusal.OTHER),
    ("EQuery:", Refusal.OTHER),
    ("ETrade:Invalid request", Refusal.OTHER),
    ("EBM:limit exceeded", Refusal.OTHER),
)


def refusal_of(code: str) -> Refusal | None:
    """What an error says for certain; None: nothing."""
    return next((refusal for beginning, refusal in ERRORS if code.startswith(beginning)), None)


def accepted(step: Step, answer: Answer) -> Judgement:
    """What an answer without an error says."""
    result = row(row(answer, "answer").get("result"), "result")
    if isinstance(step, SellSpot | ClosePosition):
        ids = result.get("txid")
        identified = isinstance(ids, list) and ids and all(isinstance(each, str) and each for each in ids)
        return DONE if identified else NOT_UNDERSTOOD  # what was executed is not told
    if not isinstance(step, CancelOrders):
        return NOT_UNDERSTOOD
    count = decimal(result, "count")
    named = len(step.order_ids)
    batches = {min(BATCH, named - start) for start in range(0, named, BATCH)}
    if count in batches or result.get("pending") is True:
        return DONE
    if count == 0:
        return Judgement(outcome=Outcome.REFUSED, refusal=Refusal.UNKNOWN_ORDER, message="no order was cancelled")
    return Judgement(outcome=Outcome.AMBIGUOUS, message=f"{count} orders were cancelled, of up to {max(batches)}")


def refused(step: Step, reply: Reply) -> Judgement | None:
    """By the error's beginning. ccxt's reading of those that are not in the table counts for nothing."""
    if reply.code is None:
        return None
    refusal, message = refusal_of(reply.code), f"{reply.code} {reply.message}".strip()
    if refusal is None or (reply.status or 0) >= 500:
        return Judgement(outcome=Outcome.AMBIGUOUS, message=message)
    if isinstance(step, CancelOrders) and reply.code.startswith("EOrder:Invalid order"):
        refusal = Refusal.UNKNOWN_ORDER
    off = reply.code.startswith(_CLOCK)
    return Judgement(outcome=Outcome.REFUSED, refusal=refusal, message=message, clock_is_off=off)


def reply(status: int | None, body: Answer) -> Reply:
    """The first error of the list; warnings ("W...") are none. A redirection is no answer of the venue's."""
    nothing = Reply(status=status, code=None, message="")
    if not isinstance(body, dict) or (status is not None and 300 <= status < 400):
        return nothing
    listed = body.get("error")
    errors = [each for each in listed if isinstance(each, str)] if isinstance(listed, list) else []
    code = next((each for each in errors if each.startswith("E")), None)
    if code is None:
        return nothing
    return Reply(status=status, code=code[:100], message="; ".join(each for each in errors if each != code)[:200])


def clock_is_off(reply: Reply) -> bool:
    """Whether an error means that our time was not accepted."""
    return reply.code is not None and reply.code.startswith(_CLOCK)


def pause_s(code: str | None, date: str) -> float | None:
    """How long a spent counter, or a throttle with its time (by the answer's own date), wants to be left alone."""
    if code is None:
        return None
    if code.startswith("EAPI:Rate limit exceeded"):
        return _COUNTER_PAUSE_S
    until = next((code.removeprefix(name).strip(" :[]") for name in _THROTTLED if code.startswith(name)), "")
    if not (until.isascii() and until.isdecimal() and len(until) <= 12):
        return None
    try:
        now_s = parsedate_to_datetime(date).timestamp()
    except ValueError:
        return _COUNTER_PAUSE_S
    return min(max(float(until) - now_s, 0.0), _THROTTLE_MAX_S)
