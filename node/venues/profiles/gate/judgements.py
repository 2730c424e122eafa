"""Gate: what answers say about steps, and what its error labels say for certain. Pure.

Labels: https://www.gate.com/docs/developers/apiv4/en, section "label list"; those that the list does not have are named
as observed. A label that is not here proves nothing by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from node.domain.steps import CancelOrders, CancelSymbol, ClosePosition, Outcome, Refusal, SellSpot, Step
from node.errors import VenueAnswerUnknown
from node.venues.call import Answer, Judgement, Reply
from node.venues.strict import decimal

DONE: Final = Judgement(outcome=Outcome.DONE)
NOT_UNDERSTOOD: Final = Judgement(
    outcome=Outcome.AMBIGUOUS, message="the venue's answer shows no order id", strange=True
)

#: Our timestamp is more than 60 s off, or the request came after the time that it names itself.
CLOCK: Final = frozenset({"REQUEST_EXPIRED"})
#: An earlier attempt may have arrived, or the venue does not know.
UNCERTAIN: Final = frozenset(
    {
        "REPEATED_CREATION",
        "DUPLICATE_REQUEST",
        "ORDER_EXISTS",
        "CANCEL_FAIL",
        "INTERNAL",
        "SERVER_ERROR",
        "TOO_BUSY",
    }
)
#: A person must act.
DENIED: Final = frozenset(
    {
        "INVALID_CREDENTIALS",
        "INVALID_KEY",
        "IP_FORBIDDEN",
        "READ_ONLY",
        "INVALID_SIGNATURE",
        "MISSING_REQUIRED_HEADER",
        "ACCOUNT_LOCKED",
        "SUB_ACCOUNT_LOCKED",
        "FORBIDDEN",
        "AUTHENTICATION_FAILED",  # ccxt's list
    }
)
LIMITED: Final = frozenset({"TOO_MANY_REQUESTS", "TOO_FAST"})
#: The account has never had a futures wallet of that coin: it holds nothing there.
NEVER_OPENED: Final = "USER_NOT_FOUND"

REFUSALS: Final[Mapping[str, Refusal]] = {
    **dict.fromkeys(DENIED, Refusal.DENIED),
    **dict.fromkeys(LIMITED, Refusal.RATE_LIMITED),
    **dict.fromkeys(CLOCK, Refusal.OTHER),
    "ORDER_NOT_FOUND": Refusal.UNKNOWN_ORDER,
    "CLIENT_ID_NOT_FOUND": Refusal.UNKNOWN_ORDER,  # ccxt's list
    "AUTO_ORDER_NOT_FOUND": Refusal.UNKNOWN_ORDER,  # observed, of price orders
    "ORDER_CLOSED": Refusal.UNKNOWN_ORDER,  # already
    "ORDER_CANCELLED": Refusal.UNKNOWN_ORDER,  # already
    "ORDER_FINISHED": Refusal.UNKNOWN_ORDER,  # already
    "POSITION_EMPTY": Refusal.NOTHING_TO_REDUCE,
    "POSITION_NOT_FOUND": Refusal.NOTHING_TO_REDUCE,
    "REDUCE_EXCEEDED": Refusal.NOTHING_TO_REDUCE,  # of the leg there is less, or nothing ("empty position")
    "INCREASE_POSITION": Refusal.NOTHING_TO_REDUCE,  # a reduce-only order would
    "REDUCE_ONLY_FAIL": Refusal.NOTHING_TO_REDUCE,  # observed: pending orders conflict with the reduce order
    "POSITION_IN_CLOSE": Refusal.NOTHING_TO_REDUCE,  # orders that close it are there
    "PRICE_TOO_DEVIATED": Refusal.PRICE_BAND,
    "MARKET_PRICE_TOO_DEVIATED": Refusal.PRICE_BAND,  # observed, of orders at market
    "PRICE_THRESHOLD_EXCEEDED": Refusal.PRICE_BAND,  # ccxt's list
    "PRICE_OVER_LIQUIDATION": Refusal.PRICE_BAND,
    "PRICE_OVER_BANKRUPT": Refusal.PRICE_BAND,
    "CONTRACT_NO_COUNTER": Refusal.UNFILLED,  # no counter order
    "ORDER_BOOK_NOT_FOUND": Refusal.UNFILLED,  # insufficient liquidity
    "SIZE_TOO_LARGE": Refusal.QUANTITY,
    "AMOUNT_TOO_MUCH": Refusal.QUANTITY,
    "SIZE_TOO_SMALL": Refusal.TOO_SMALL,
    "AMOUNT_TOO_LITTLE": Refusal.TOO_SMALL,
    "ERR_QUOTA_LOWER_LIMIT": Refusal.TOO_SMALL,  # not meeting the minimum order amount
    "CONTRACT_IN_DELISTING": Refusal.MARKET_CLOSED,
    "BALANCE_NOT_ENOUGH": Refusal.INSUFFICIENT,
    "MARGIN_BALANCE_NOT_ENOUGH": Refusal.INSUFFICIENT,
    "FUTURES_BALANCE_NOT_ENOUGH": Refusal.INSUFFICIENT,
    "INSUFFICIENT_AVAILABLE": Refusal.INSUFFICIENT,
    **dict.fromkeys(
        (
            "INVALID_PARAM_VALUE",
            "INVALID_PROTOCOL",
            "INVALID_ARGUMENT",
            "INVALID_REQUEST_BODY",
            "MISSING_REQUIRED_PARAM",
            "BAD_REQUEST",
            "INVALID_CONTENT_TYPE",
            "NOT_ACCEPTABLE",
            "METHOD_NOT_ALLOWED",
            "INVALID_PRECISION",
            "INVALID_CURRENCY",
            "INVALID_CURRENCY_PAIR",
            "QUANTITY_NOT_ENOUGH",
            "TOO_MANY_ORDERS",
            "TRADE_RESTRICTED",
            "INITIAL_MARGIN_TOO_LOW",
            NEVER_OPENED,
            "CONTRACT_NOT_FOUND",
            "RISK_LIMIT_EXCEEDED",
            "LIQUIDATE_IMMEDIATELY",
            "ORDER_NOT_OWNED",
            "POSITION_IN_LIQUIDATION",
            "POSITION_DUAL_MODE",
            "ORDER_FOK",
            "FOK_NOT_FILL",
        ),
        Refusal.OTHER,
    ),
}
#: Labels that Gate uses for several things: the first matching piece of the message decides.
_BY_MESSAGE: Final[Mapping[str, tuple[tuple[str, Refusal], ...]]] = {
    "INVALID_PARAM_VALUE": (("too small", Refusal.TOO_SMALL), ("too large", Refusal.QUANTITY)),
}
#: How an order ended that did nothing, of futures and of spot.
_ENDED: Final[Mapping[str, Refusal]] = {
    "reduce_only": Refusal.NOTHING_TO_REDUCE,
    "reduce_out": Refusal.NOTHING_TO_REDUCE,
    "position_closed": Refusal.NOTHING_TO_REDUCE,
    "liquidated": Refusal.OTHER,
    "auto_deleveraged": Refusal.OTHER,
    "stp": Refusal.OTHER,
    "small": Refusal.TOO_SMALL,
    "price_protect_cancelled": Refusal.PRICE_BAND,
}


def reply(status: int | None, body: Answer) -> Reply:
    """``{"label": "ORDER_NOT_FOUND", "message": "Order not found"}``; some errors of futures have a ``detail`` instead.

    A redirection is no answer of the venue's, whatever it carries.
    """
    if isinstance(body, dict) and not (status is not None and 300 <= status < 400):
        label, message = body.get("label"), body.get("message", body.get("detail", ""))
        if isinstance(label, str) and label and len(label) <= 60 and isinstance(message, str):
            return Reply(status=status, code=label, message=message)
    return Reply(status=status, code=None, message="")


def refusal_of(label: str, message: str) -> Refusal | None:
    """What a label says for certain; None: the order may have been placed."""
    for piece, refusal in _BY_MESSAGE.get(label, ()):
        if piece in message.lower():
            return refusal
    return None if label in UNCERTAIN else REFUSALS.get(label)


def refused(step: Step, reply: Reply) -> Judgement | None:
    """By the label. A server error (5xx) may have been executed."""
    if reply.code is None:
        return None
    message = f"{reply.code} {reply.message}"
    if (reply.status or 0) >= 500 or reply.code in UNCERTAIN:
        return Judgement(outcome=Outcome.AMBIGUOUS, message=message)
    refusal = refusal_of(reply.code, reply.message)
    if refusal is None:
        return None
    if refusal is Refusal.UNKNOWN_ORDER and isinstance(step, CancelSymbol):
        return Judgement(outcome=Outcome.DONE, message=message)  # nothing rests
    return Judgement(outcome=Outcome.REFUSED, refusal=refusal, message=message, clock_is_off=reply.code in CLOCK)


def accepted(step: Step, answer: Answer) -> Judgement:
    """What an answer without an error says."""
    match step:
        case ClosePosition() | SellSpot():
            return _of_order(answer, *(("size", "left") if isinstance(step, ClosePosition) else ("amount", "left")))
        case CancelOrders():
            return _of_cancels(answer, len(step.order_ids))
        case CancelSymbol():
            # Names what was cancelled; a list of none says that nothing rested.
            listed = _auto_orders(answer) if isinstance(answer, dict) else answer
            return _of_batch(listed) if isinstance(listed, list) else NOT_UNDERSTOOD
        case _:
            return NOT_UNDERSTOOD


def _of_order(answer: Answer, whole: str, rest: str) -> Judgement:
    """An order that is over without having done anything was refused by the market, whatever the status line says."""
    if not _identified(answer):
        return NOT_UNDERSTOOD
    over = answer.get("status") in ("finished", "closed", "cancelled")
    try:
        filled = abs(decimal(answer, whole)) - abs(decimal(answer, rest))
    except VenueAnswerUnknown:
        return DONE
    if over and filled <= 0:
        how = str(answer.get("finish_as") or "")
        text = f"the order ended without a fill ({how[:30]})"
        return Judgement(
            outcome=Outcome.REFUSED, refusal=_ENDED.get(how, Refusal.UNFILLED), message=text, filled=filled
        )
    return Judgement(outcome=Outcome.DONE, filled=filled if over else None)


def _of_cancels(answer: Answer, named: int) -> Judgement:
    """One order, in whichever envelope it comes, or what became of each of several."""
    if isinstance(answer, list):
        return _of_batch(answer) if 0 < len(answer) <= named else NOT_UNDERSTOOD
    if isinstance(answer, dict) and "data" in answer:
        data = answer.get("data")
        stopped = data.get("order") if isinstance(data, dict) and str(answer.get("code")) == "0" else None
        return DONE if _identified(stopped) else NOT_UNDERSTOOD
    return DONE if _identified(answer) else NOT_UNDERSTOOD


def _auto_orders(answer: Mapping[str, Any]) -> object:
    """The orders in an answer of the trailing and chasing orders; an empty list where it is left out."""
    data = answer.get("data")
    return data.get("orders", []) if isinstance(data, dict) and str(answer.get("code")) == "0" else None


def _of_batch(answer: list[Any]) -> Judgement:
    """Done if every named order is cancelled or gone; the whole says no more than its worst part."""
    refusals: list[tuple[Refusal, str]] = []
    for each in answer:
        if not isinstance(each, dict):
            return NOT_UNDERSTOOD
        if each.get("succeeded", True) is True and _identified(each):
            continue
        # Futures tells only in the message what spot tells in the label.
        label, message = str(each.get("label") or each.get("message") or ""), str(each.get("message") or "")
        refusal = refusal_of(label, message)
        if refusal is None or each.get("succeeded") is not False:
            return NOT_UNDERSTOOD
        refusals.append((refusal, f"{label} {message}"))
    hard = [entry for entry in refusals if entry[0] is not Refusal.UNKNOWN_ORDER]
    if hard or (refusals and len(refusals) == len(answer)):
        refusal, text = (hard or refusals)[0]
        return Judgement(outcome=Outcome.REFUSED, refusal=refusal, message=text)
    return DONE


def _identified(answer: object) -> bool:
    """Whether an answer shows an order of the venue's."""
    if not isinstance(answer, dict) or answer.get("label"):
        return False
    value = answer.get("id")
    return isinstance(value, str | int) and not isinstance(value, bool) and value not in ("", 0, "0")
