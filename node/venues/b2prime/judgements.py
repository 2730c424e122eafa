"""B2PRIME: what an answer to a step says. Errors have no documented form: the status decides, and only a 4xx is a no.

Statuses: the platform's OpenAPI pages list 400, 401, 403 and 404. A close is acknowledged with the position's
identifier alone, and carried out afterwards: DONE says that it was taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from node.domain.steps import CancelOrders, ClosePosition, Outcome, Refusal, Step
from node.errors import VenueAnswerUnknown
from node.venues.call import Answer, Judgement, Reply
from node.venues.strict import Row, decimal, row, text

#: Statuses that say for certain that nothing was done (RFC 9110, section 15.5); 408 and 429 have meanings of their own.
_REFUSED: Final = frozenset({400, 401, 403, 404, 405, 409, 415, 422, 429})
#: Where an error's own words may be.
_WORDS: Final = ("detail", "message", "title", "error")
_OVER: Final = frozenset({"Completed", "Cancelled", "Expired"})
_LONGEST_S: Final = 60.0


def accepted(step: Step, answer: Answer, shut: str | None) -> Judgement:
    """Of an answer without an error. *shut*: the market is closed by its calendar, and until when."""
    try:
        if isinstance(step, ClosePosition):
            text(row(answer, "close"), "positionId")
            if shut is None:
                return Judgement(outcome=Outcome.DONE)
            # It may wait for the next session, and the calendar may be wrong: what is listed next decides.
            return Judgement(outcome=Outcome.AMBIGUOUS, refusal=Refusal.MARKET_CLOSED, message=f"taken, but {shut}")
        order = row(row(answer, "order").get("order"), "order")
        order_id, status = text(order, "orderId"), text(order, "status")
        return _cancelled(step, order_id, status) if isinstance(step, CancelOrders) else _sold(order, status)
    except VenueAnswerUnknown as error:
        return Judgement(outcome=Outcome.AMBIGUOUS, message=str(error), strange=True)


def _cancelled(step: CancelOrders, order_id: str, status: str) -> Judgement:
    """Whether the status is the one before or after is not documented: the next list shows what is left."""
    if order_id not in step.order_ids:
        return Judgement(outcome=Outcome.AMBIGUOUS, message="the answer is about another order", strange=True)
    if status == "Completed":
        return Judgement(outcome=Outcome.REFUSED, refusal=Refusal.UNKNOWN_ORDER, message="the order is filled")
    return Judgement(outcome=Outcome.DONE)


def _sold(order: Row, status: str) -> Judgement:
    if status == "Rejected":
        words = str(order.get("rejectDetails") or "rejected")[:200]
        return Judgement(outcome=Outcome.REFUSED, refusal=Refusal.OTHER, message=words)
    if status not in _OVER:
        return Judgement(outcome=Outcome.DONE)  # under way: the balance will show it
    filled = decimal(order, "requestedAmount") - decimal(order, "remainingAmount")
    if filled < 0:
        raise VenueAnswerUnknown("more remains than was asked for")
    if not filled:
        return Judgement(outcome=Outcome.REFUSED, refusal=Refusal.UNFILLED, message="nobody buys at that price")
    return Judgement(outcome=Outcome.DONE, filled=filled)


def refused(step: Step, reply: Reply, shut: str | None, unknown_order: int) -> Judgement | None:
    """Of a status that says so; None: it may have been executed."""
    if reply.status not in _REFUSED:
        return None
    refusal, message = Refusal.OTHER, f"{reply.status} {reply.message}".strip()
    if reply.status == 429:
        refusal = Refusal.RATE_LIMITED
    elif reply.status in (401, 403):
        refusal = Refusal.DENIED
    elif isinstance(step, CancelOrders) and reply.status == unknown_order:
        refusal = Refusal.UNKNOWN_ORDER
    elif isinstance(step, ClosePosition) and reply.status == 404:
        refusal = Refusal.NOTHING_TO_REDUCE
    elif shut is not None:
        refusal, message = Refusal.MARKET_CLOSED, f"{message}; {shut}"
    return Judgement(outcome=Outcome.REFUSED, refusal=refusal, message=message)


def reply(status: int | None, body: Answer) -> Reply:
    """Status and words; a code only where the status is a refusal."""
    code = str(status) if status in _REFUSED else None
    words = [body[name] for name in _WORDS if isinstance(body, dict) and isinstance(body.get(name), str)]
    return Reply(status=status, code=code, message=words[0] if words else "")


def reset_in_s(reply: Reply, headers: Mapping[str, str], now_s: float) -> float | None:
    """Until ``X-RateLimit-Reset``, at most a minute; None: no such header, or no such answer."""
    named = headers.get("x-ratelimit-reset", "")
    if reply.status != 429 or not (named.isascii() and named.isdecimal() and len(named) <= 12):
        return None
    return min(max(float(Decimal(named)) - now_s, 0.0), _LONGEST_S)
