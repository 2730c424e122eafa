"""Bybit V5: what answers say about steps. Pure.

Orders and cancellations are acknowledged, and carried out afterwards: an acknowledgement never tells of fills. Done
only with the venue's own id, or its word for "all cancelled"; refused only by its own code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from node.domain.steps import (
    CancelOrders,
    CancelSymbol,
    ClosePosition,
    ConvertAsset,
    Outcome,
    Refusal,
    RepayDebt,
    SellSpot,
    Step,
)
from node.errors import VenueAnswerUnknown
from node.venues.call import Answer, Judgement, Reply
from node.venues.profiles.bybit.answers import result
from node.venues.profiles.bybit.refusals import TRADING, UNCERTAIN, WALLET, clock_is_off, refusal_of
from node.venues.strict import Row, row, rows, text

_DONE: Final = Judgement(outcome=Outcome.DONE)


def accepted(step: Step, answer: Answer) -> Judgement:
    """What an answer without an error says."""
    try:
        return _accepted(step, answer)
    except VenueAnswerUnknown as error:
        return Judgement(outcome=Outcome.AMBIGUOUS, message=str(error), strange=True)


def _accepted(step: Step, answer: Answer) -> Judgement:
    found = result(answer, "acknowledgement")
    if isinstance(step, CancelSymbol):
        return _of_sweep(found)
    if isinstance(step, RepayDebt):
        return _of_repayment(found)
    if isinstance(step, CancelOrders) and "list" in found:
        return _of_batch(step, found, row(answer, "acknowledgement"))
    text(found, "orderId")
    named = found.get("orderLinkId")
    if isinstance(step, ClosePosition | SellSpot) and named not in (None, "", step.client_order_id):
        raise VenueAnswerUnknown("the acknowledgement is another order's")
    return _DONE


def refused(step: Step, reply: Reply) -> Judgement | None:
    """By the code, and by nothing else. A server error (5xx) may have been executed."""
    if reply.code is None:
        return None
    message = f"{reply.code} {reply.message}"
    table = WALLET if isinstance(step, ConvertAsset | RepayDebt) else TRADING
    refusal = refusal_of(reply.code, reply.message, table)
    if refusal is None or (reply.status or 0) >= 500:
        unheard = refusal is None and reply.code not in UNCERTAIN
        return Judgement(outcome=Outcome.AMBIGUOUS, message=message, strange=unheard)
    if refusal is Refusal.UNKNOWN_ORDER and isinstance(step, CancelSymbol):
        return Judgement(outcome=Outcome.DONE, message=message)  # nothing rests there
    off = clock_is_off(reply.code, reply.message)
    return Judgement(outcome=Outcome.REFUSED, refusal=refusal, message=message, clock_is_off=off)


def reply(status: int | None, body: Answer) -> Reply:
    """``{"retCode": 110017, "retMsg": "..."}``. A redirection is no answer of the venue's, whatever it carries."""
    if isinstance(body, dict) and not 300 <= (status or 0) < 400:
        code, message = _code(body.get("retCode")), body.get("retMsg")
        if code not in (None, "0") and isinstance(message, str):
            return Reply(status=status, code=code, message=message)
    return Reply(status=status, code=None, message="")


def _code(value: object) -> str | None:
    """A whole number, as one or in words."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if abs(value) < 10**12 else None
    number = value.removeprefix("-") if isinstance(value, str) else ""
    return str(value) if number.isascii() and number.isdecimal() and len(number) <= 12 else None


def _of_sweep(found: Row) -> Judgement:
    """A list of what is being cancelled, empty where nothing was; inverse of unified 1.0 says no more than that."""
    rows(found.get("list"), "what was cancelled")
    success = found.get("success", "1")
    if str(success) == "1":
        return _DONE
    return Judgement(outcome=Outcome.AMBIGUOUS, message=f"success is {str(success)[:20]}", strange=str(success) != "0")


def _of_repayment(found: Row) -> Judgement:
    status = text(found, "resultStatus")
    if status == "FA":
        return Judgement(outcome=Outcome.REFUSED, refusal=Refusal.OTHER, message="the repayment failed")
    if status not in ("SU", "P"):
        raise VenueAnswerUnknown(f"resultStatus is {status[:20]}")
    return _DONE


def _of_batch(step: CancelOrders, found: Row, envelope: Mapping[str, Any]) -> Judgement:
    """Done if every named order is being cancelled or gone; the whole says no more than its worst part."""
    orders = rows(found.get("list"), "batch")
    said = rows(row(envelope.get("retExtInfo"), "batch").get("list"), "batch")
    if not 0 < len(said) == len(orders) <= len(step.order_ids):
        raise VenueAnswerUnknown(f"{len(said)} answers for {len(orders)} orders")
    refusals: list[tuple[Refusal, str]] = []
    for order, each in zip(orders, said, strict=True):
        code, message = text(each, "code"), str(each.get("msg", ""))[:200]
        if code == "0":
            text(order, "orderId")
            continue
        refusal = refusal_of(code, message)
        if refusal is None:
            return Judgement(outcome=Outcome.AMBIGUOUS, message=f"{code} {message}", strange=code not in UNCERTAIN)
        refusals.append((refusal, f"{code} {message}"))
    hard = [entry for entry in refusals if entry[0] is not Refusal.UNKNOWN_ORDER]
    if hard or len(refusals) == len(said):
        refusal, message = (hard or refusals)[0]
        return Judgement(outcome=Outcome.REFUSED, refusal=refusal, message=message)
    return _DONE
