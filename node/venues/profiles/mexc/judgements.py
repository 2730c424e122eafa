"""MEXC: what answers say about steps. Pure.

Done only with the venue's own id, or with the success that is all that is documented in its place; refused only by its
own code.
"""

from __future__ import annotations

from typing import Any, Final

from node.domain.snapshot import MarketKind
from node.domain.steps import CancelOrders, CancelSymbol, Outcome, Refusal, Step
from node.venues.call import Answer, Judgement, Reply
from node.venues.profiles.mexc.refusals import CLOCK, UNCERTAIN, refusal_of
from node.venues.profiles.mexc.words import is_id, succeeded

DONE: Final = Judgement(outcome=Outcome.DONE)
NOT_UNDERSTOOD: Final = Judgement(
    outcome=Outcome.AMBIGUOUS, message="the venue's answer shows no order id", strange=True
)
_NO_ERROR: Final = ("0", "200")


def reply(status: int | None, body: Answer) -> Reply:
    """``{"code": -2011, "msg": "..."}`` of spot, ``{"success": false, "code": 2009, "message": "..."}`` of futures."""
    nothing = Reply(status=status, code=None, message="")
    if not isinstance(body, dict) or (status is not None and 300 <= status < 400):
        return nothing
    code, message = body.get("code"), body.get("msg") or body.get("message")
    if isinstance(code, int) and not isinstance(code, bool) and abs(code) < 10**9:
        code = str(code)
    digits = code.removeprefix("-") if isinstance(code, str) else ""
    simple = digits.isascii() and digits.isdecimal() and len(digits) <= 9
    if not simple or code in _NO_ERROR or body.get("success") is True or not isinstance(message, str | None):
        return nothing
    return Reply(status=status, code=str(code), message=message or "")


def refused(step: Step, reply: Reply) -> Judgement | None:
    """By the code. A server error (5xx) may have been executed."""
    if reply.code is None:
        return None
    message = f"{reply.code} {reply.message}"
    if (reply.status or 0) >= 500 or reply.code in UNCERTAIN:
        return Judgement(outcome=Outcome.AMBIGUOUS, message=message)
    refusal = refusal_of(reply.code)
    if refusal is None:
        return None
    if refusal is Refusal.UNKNOWN_ORDER and isinstance(step, CancelSymbol):
        return Judgement(outcome=Outcome.DONE, message=message)  # nothing rests there
    return Judgement(outcome=Outcome.REFUSED, refusal=refusal, message=message, clock_is_off=reply.code in CLOCK)


def accepted(step: Step, answer: Answer, kind: MarketKind) -> Judgement:
    """What an answer without an error says."""
    return _on_spot(step, answer) if kind is MarketKind.SPOT else _on_contracts(step, answer)


def _on_spot(step: Step, answer: Answer) -> Judgement:
    """The order as it is; of a sweep a list of those that were cancelled."""
    if isinstance(step, CancelSymbol):
        listed = isinstance(answer, list) and all(_is_order(each) for each in answer)
        return DONE if listed else NOT_UNDERSTOOD
    return DONE if _is_order(answer) else NOT_UNDERSTOOD


def _is_order(answer: object) -> bool:
    return isinstance(answer, dict) and is_id(answer.get("orderId"))


def _on_contracts(step: Step, answer: Answer) -> Judgement:
    """An order's id; of cancels a row each; of other cancels, and of sweeps, no more than a success."""
    if not isinstance(answer, dict) or not succeeded(answer):
        return NOT_UNDERSTOOD
    data = answer.get("data")
    if isinstance(step, CancelSymbol):
        return DONE
    if isinstance(step, CancelOrders):
        if isinstance(data, list) and data:
            return _of_rows(data, len(step.order_ids))
        return DONE if step.trigger and data in (None, []) else NOT_UNDERSTOOD
    if isinstance(data, dict):
        data = data.get("orderId")
    return DONE if is_id(data) else NOT_UNDERSTOOD


def _of_rows(found: list[Any], most: int) -> Judgement:
    """Done if every order is cancelled or gone; the whole says no more than its worst part."""
    if len(found) > most:
        return NOT_UNDERSTOOD
    refusals: list[tuple[Refusal, str]] = []
    for each in found:
        code = each.get("errorCode") if isinstance(each, dict) else None
        if not is_id(each.get("orderId") if isinstance(each, dict) else None) or not _is_code(code):
            return NOT_UNDERSTOOD
        if str(code) == "0":
            continue
        refusal = refusal_of(str(code))
        if refusal is None:
            return NOT_UNDERSTOOD
        refusals.append((refusal, f"{code} {each.get('errorMsg')}"))
    hard = [entry for entry in refusals if entry[0] is not Refusal.UNKNOWN_ORDER]
    if hard or (refusals and len(refusals) == len(found)):
        refusal, text = (hard or refusals)[0]
        return Judgement(outcome=Outcome.REFUSED, refusal=refusal, message=text)
    return DONE


def _is_code(code: object) -> bool:
    return isinstance(code, str | int) and not isinstance(code, bool) and code != ""
