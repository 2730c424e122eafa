"""Bitget: what answers say about steps. Pure.

Done only with the venue's own id, or its word that is documented in its place; refused only by its own code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from node.domain.steps import CancelOrders, CancelSymbol, ClosePosition, Outcome, Refusal, Step
from node.venues.call import Answer, Judgement, Reply
from node.venues.profiles.bitget.refusals import CLOCK, UNCERTAIN, refusal_in_batch, refusal_of
from node.venues.profiles.bitget.words import SUCCESS

DONE: Final = Judgement(outcome=Outcome.DONE)
NOT_UNDERSTOOD: Final = Judgement(
    outcome=Outcome.AMBIGUOUS, message="the venue's answer shows no order id", strange=True
)


def reply(status: int | None, body: Answer) -> Reply:
    """``{"code": "40768", "msg": "Order does not exist", "data": null}``; a redirection is no answer of Bitget's."""
    nothing = Reply(status=status, code=None, message="")
    if not isinstance(body, dict) or (status is not None and 300 <= status < 400):
        return nothing
    code, message = body.get("code"), body.get("msg")
    if isinstance(code, int) and not isinstance(code, bool) and 0 <= code < 10**9:
        code = str(code)  # the gateway's 429
    simple = isinstance(code, str) and code.isascii() and code.isdecimal() and len(code) <= 9
    if not simple or code in (SUCCESS, "0", "200") or not isinstance(message, str | None):
        return nothing
    return Reply(status=status, code=code, message=message or "")


def refused(step: Step, reply: Reply) -> Judgement | None:
    """By the code. A server error (5xx) may have been executed."""
    if reply.code is None:
        return None
    message = f"{reply.code} {reply.message}"
    if (reply.status or 0) >= 500 or reply.code in UNCERTAIN:
        return Judgement(outcome=Outcome.AMBIGUOUS, message=message)
    refusal = refusal_of(reply.code, reply.message)
    if refusal is None:
        return None
    if refusal is Refusal.UNKNOWN_ORDER and isinstance(step, CancelSymbol):
        return Judgement(outcome=Outcome.DONE, message=message)  # nothing rests there
    return Judgement(outcome=Outcome.REFUSED, refusal=refusal, message=message, clock_is_off=reply.code in CLOCK)


def accepted(step: Step, answer: Answer, *, unified: bool) -> Judgement:
    """What an answer without an error says."""
    if not isinstance(answer, dict) or answer.get("code") != SUCCESS:
        return NOT_UNDERSTOOD
    data = answer.get("data")
    if isinstance(step, CancelOrders):
        return _of_cancels(step, data, unified=unified)
    if isinstance(step, CancelSymbol):
        return _of_sweep(step, data)
    if not isinstance(data, dict):
        return NOT_UNDERSTOOD
    if _is_id(data.get("orderId")):
        return DONE
    # Documented of reduce-only orders in one-way mode that displace others: only our own id comes back.
    ours = isinstance(step, ClosePosition) and not step.hedged and data.get("clientOid") == step.client_order_id
    return DONE if ours else NOT_UNDERSTOOD


def _of_cancels(step: CancelOrders, data: object, *, unified: bool) -> Judgement:
    if data is None:
        return DONE if unified and step.trigger else NOT_UNDERSTOOD  # Cancel-Strategy-Order names nothing
    if isinstance(data, list):
        return _of_batch(data, len(step.order_ids))
    if not isinstance(data, dict):
        return NOT_UNDERSTOOD
    if "successList" in data or "failureList" in data:
        return _of_batch(_in_lists(data), len(step.order_ids))
    succeeded = data.get("result") == "success" or _is_id(data.get("orderId"))
    return DONE if succeeded else NOT_UNDERSTOOD


def _of_sweep(step: CancelSymbol, data: object) -> Judgement:
    """Lists may be empty where nothing rested. On spot the market's name is all there is."""
    if not isinstance(data, dict):
        return NOT_UNDERSTOOD
    if data.get("symbol") == step.market_id:
        return DONE
    if "successList" in data and "failureList" in data:
        listed: Any = _in_lists(data)
    else:
        listed = data.get("list")
    if not isinstance(listed, list):
        return NOT_UNDERSTOOD
    judgement = _of_batch(listed, None) if listed else DONE
    return DONE if judgement.refusal is Refusal.UNKNOWN_ORDER else judgement


def _in_lists(data: Mapping[str, Any]) -> list[Any]:
    """Both lists as one; what failed is marked, if only by its message."""
    done, failed = data.get("successList") or [], data.get("failureList") or []
    if not isinstance(done, list) or not isinstance(failed, list):
        return [None]
    return [*done, *({"failed": True, **each} if isinstance(each, dict) else None for each in failed)]


def _of_batch(found: list[Any], most: int | None) -> Judgement:
    """Done if every order is cancelled or gone; the whole says no more than its worst part."""
    if not found or (most is not None and len(found) > most):
        return NOT_UNDERSTOOD
    refusals: list[tuple[Refusal, str]] = []
    for each in found:
        if not isinstance(each, dict):
            return NOT_UNDERSTOOD
        code = str(each.get("errorCode") or each.get("code") or "")
        failed = each.get("failed") is True or code not in ("", "0", SUCCESS)
        if not failed:
            if not _is_id(each.get("orderId")):
                return NOT_UNDERSTOOD
            continue
        message = str(each.get("errorMsg") or each.get("msg") or "")
        refusal = refusal_in_batch(code, message)
        if refusal is None:
            return NOT_UNDERSTOOD
        refusals.append((refusal, f"{code} {message}".strip()))
    hard = [entry for entry in refusals if entry[0] is not Refusal.UNKNOWN_ORDER]
    if hard or (refusals and len(refusals) == len(found)):
        refusal, text = (hard or refusals)[0]
        return Judgement(outcome=Outcome.REFUSED, refusal=refusal, message=text)
    return DONE


def _is_id(value: object) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool) and value != ""
