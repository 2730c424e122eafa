"""Binance: what answers say about steps. Pure.

Done only with the venue's own id, or its word for "all cancelled"; refused only by its own code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from node.domain.snapshot import MarketKind
from node.domain.steps import (
    CancelOrders,
    CancelSymbol,
    ClosePosition,
    ConvertAsset,
    Outcome,
    Refusal,
    RepayDebt,
    Step,
)
from node.errors import VenueAnswerUnknown
from node.venues.call import Answer, Judgement, Reply
from node.venues.profiles.binance.refusals import CLOCK, CONVERT, MARGIN, TRADING, refusal_of, uncertain
from node.venues.strict import decimal, rows

DONE: Final = Judgement(outcome=Outcome.DONE)
NOT_UNDERSTOOD: Final = Judgement(
    outcome=Outcome.AMBIGUOUS, message="the venue's answer shows no order id", strange=True
)
#: Of an order that is over without having done anything.
_EXPIRED: Final = ("EXPIRED", "EXPIRED_IN_MATCH", "REJECTED")
#: Of an order that nothing more happens to.
_OVER: Final = ("FILLED", "CANCELED", *_EXPIRED)
#: Codes that mean success.
_SUCCESS: Final = ("200", "0")


def accepted(step: Step, answer: Answer) -> Judgement:
    """What an answer without an error says."""
    if isinstance(answer, list):
        if isinstance(step, CancelOrders):
            return _of_batch(answer, step)
        # Spot names what it has cancelled; of nothing it says -2011, not an empty list.
        named = isinstance(step, CancelSymbol) and bool(answer) and all(has_id(each) for each in answer)
        return DONE if named else NOT_UNDERSTOOD
    if not isinstance(answer, dict):
        return NOT_UNDERSTOOD
    if isinstance(step, CancelSymbol):
        return DONE if _code(answer) == "200" else NOT_UNDERSTOOD
    if isinstance(step, RepayDebt):
        return DONE if _identified(answer, "tranId") else NOT_UNDERSTOOD
    if not has_id(answer):
        return NOT_UNDERSTOOD
    return DONE if isinstance(step, CancelOrders) else _of_order(answer)


def of_closes(steps: Sequence[ClosePosition], answer: Answer) -> list[Judgement]:
    """``POST batchOrders``: an order or an error for each, in the order of the request.

    Raises:
        VenueAnswerUnknown: not one for each.
    """
    parts = rows(answer, "batch")
    if len(parts) != len(steps):
        raise VenueAnswerUnknown(f"{len(parts)} answers to {len(steps)} orders")
    return [_of_close(step, part) for step, part in zip(steps, parts, strict=True)]


def _of_close(step: ClosePosition, part: Mapping[str, Any]) -> Judgement:
    named = part.get("clientOrderId", step.client_order_id)
    if named != step.client_order_id:
        return Judgement(outcome=Outcome.AMBIGUOUS, message="the answer is about another order", strange=True)
    told = reply(200, part)
    if told.code is None:
        return accepted(step, part)
    return refused(step, told) or Judgement(outcome=Outcome.AMBIGUOUS, message=f"{told.code} {told.message}")


def refused(step: Step, reply: Reply) -> Judgement | None:
    """By the code. A server error (5xx) may have been executed, except for the overload protection's."""
    if reply.code is None:
        return None
    message = f"{reply.code} {reply.message}"
    refusal = refusal_of(reply.code, reply.message, _table(step))
    server_error = (reply.status or 0) >= 500 and refusal is not Refusal.OVERLOADED
    if server_error or uncertain(reply.code, reply.message):
        return Judgement(outcome=Outcome.AMBIGUOUS, message=message)
    if refusal is None:
        return None
    if refusal is Refusal.UNKNOWN_ORDER and isinstance(step, CancelSymbol):
        return Judgement(outcome=Outcome.DONE, message=message)  # spot's way of saying that nothing rests
    return Judgement(outcome=Outcome.REFUSED, refusal=refusal, message=message, clock_is_off=reply.code in CLOCK)


def reply(status: int | None, body: Answer) -> Reply:
    """``{"code": -2022, "msg": "..."}``, alone or as the only element of a batch. Convert's codes are positive.

    A redirection is no answer of the venue's, whatever it carries.
    """
    if status is not None and 300 <= status < 400:
        return Reply(status=status, code=None, message="")
    if isinstance(body, list) and len(body) == 1:
        body = body[0]
    if isinstance(body, dict):
        code, message = _code(body), body.get("msg")
        number = code.removeprefix("-")
        if number.isascii() and number.isdecimal() and code not in _SUCCESS and isinstance(message, str):
            return Reply(status=status, code=code, message=message)
    return Reply(status=status, code=None, message="")


def has_id(answer: object) -> bool:
    """Whether an answer shows an order, or orders that were cancelled together."""
    # Cancelled order lists (OCO) come back with the ids of their legs inside.
    identified = isinstance(answer, dict) and any(
        _identified(answer, name) for name in ("orderId", "algoId", "orderListId")
    )
    return identified and isinstance(answer, dict) and _code(answer) in ("", "200")


def _identified(answer: Mapping[str, Any], name: str) -> bool:
    value = answer.get(name)
    return isinstance(value, str | int) and not isinstance(value, bool) and value != ""


def _code(answer: Mapping[str, Any]) -> str:
    """Its ``code`` as text; empty without one."""
    value = answer.get("code", "")
    simple = isinstance(value, str | int) and not isinstance(value, bool)
    return str(value)[:20] if simple and (isinstance(value, str) or abs(value) < 10**9) else "?"


def _table(step: Step) -> Mapping[str, Refusal]:
    if isinstance(step, ConvertAsset):
        return CONVERT
    return MARGIN if step.slice == MarketKind.MARGIN.value else TRADING


def _of_order(answer: Mapping[str, Any]) -> Judgement:
    """An order that ended without doing anything was refused by the market, whatever the status line says."""
    status = str(answer.get("status", ""))
    try:
        executed = decimal(answer, "executedQty")
    except VenueAnswerUnknown:
        return NOT_UNDERSTOOD if status in _EXPIRED else DONE
    if executed == 0 and status in _EXPIRED:
        refusal = Refusal.UNFILLED if status == "EXPIRED" else Refusal.OTHER
        text = f"the order ended {status} without a fill"
        return Judgement(outcome=Outcome.REFUSED, refusal=refusal, message=text, filled=executed)
    # A bare acknowledgement says nothing of fills: its zero is no number.
    told = executed > 0 or status in _OVER
    return Judgement(outcome=Outcome.DONE, filled=executed if told else None)


def _of_batch(answer: list[Any], step: CancelOrders) -> Judgement:
    """Done if every named order is cancelled or gone; the whole says no more than its worst part."""
    if not 0 < len(answer) <= len(step.order_ids):
        return NOT_UNDERSTOOD
    refusals: list[tuple[Refusal, str]] = []
    for each in answer:
        if has_id(each):
            continue
        part = reply(200, each)
        refusal = refusal_of(part.code, part.message) if part.code is not None else None
        if refusal is None:
            return NOT_UNDERSTOOD
        refusals.append((refusal, f"{part.code} {part.message}"))
    hard = [entry for entry in refusals if entry[0] is not Refusal.UNKNOWN_ORDER]
    if hard or len(refusals) == len(answer):
        refusal, text = (hard or refusals)[0]
        return Judgement(outcome=Outcome.REFUSED, refusal=refusal, message=text)
    return DONE
