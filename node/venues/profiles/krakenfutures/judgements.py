"""Kraken Futures: what answers say about steps. Pure.

https://docs.kraken.com/api/docs/futures-api/trading/send-order, .../cancel-order, .../cancel-all-orders,
.../send-batch-order and .../guides/futures-rest ("Calls and Returns"): an answer with ``result: success`` has only been
understood, and says in a ``status`` whether anything was done. What some statuses mean:
https://support.kraken.com/hc/en-us/articles/derivatives-trading-interface-error-messages.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Final

from node.domain.steps import CancelOrders, CancelSymbol, ClosePosition, Outcome, Refusal, Step
from node.venues.call import Answer, Judgement, Reply
from node.venues.strict import Row, decimal, row, rows, text

#: Cancels in one batch. The venue names no limit; ccxt has 100 for orders.
BATCH: Final = 50
#: The error of a spent budget.
LIMIT: Final = "apiLimitExceeded"

DONE: Final = Judgement(outcome=Outcome.DONE)
NOT_UNDERSTOOD: Final = Judgement(
    outcome=Outcome.AMBIGUOUS, message="the venue's answer shows no order id", strange=True
)

#: Errors of a whole request. "Server Error", "unknownError" and "Unavailable" say nothing for certain.
ERRORS: Final = {
    LIMIT: Refusal.RATE_LIMITED,
    "authenticationError": Refusal.DENIED,
    "accountInactive": Refusal.DENIED,
    "marketUnavailable": Refusal.MARKET_CLOSED,
    "contractNotFound": Refusal.OTHER,
    "insufficientFunds": Refusal.INSUFFICIENT,
    **dict.fromkeys(("invalidAccount", "invalidAmount", "invalidArgument", "invalidUnit"), Refusal.OTHER),
    **dict.fromkeys(("Json Parse Error", "notFound", "requiredArgumentMissing", "Bad Request"), Refusal.OTHER),
    **dict.fromkeys(("nonceBelowThreshold", "nonceDuplicate"), Refusal.OTHER),
}

#: Statuses of an order that was not placed. "clientOrderIdAlreadyExist" is not among them: an earlier attempt arrived.
STATUSES: Final = {
    "wouldNotReducePosition": Refusal.NOTHING_TO_REDUCE,
    "iocWouldNotExecute": Refusal.UNFILLED,
    "outsidePriceCollar": Refusal.PRICE_BAND,
    "wouldIncreasePriceDislocation": Refusal.PRICE_BAND,
    "invalidPrice": Refusal.PRICE_BAND,  # zero, not a multiple of the tick, or beyond the contract's largest
    "invalidSize": Refusal.QUANTITY,  # more than 20 million USD; or more decimals than the contract has
    "tooManySmallOrders": Refusal.TOO_SMALL,
    "marketSuspended": Refusal.MARKET_CLOSED,
    "marketInactive": Refusal.MARKET_CLOSED,
    "marketIsPostOnly": Refusal.MARKET_CLOSED,
    "insufficientAvailableFunds": Refusal.INSUFFICIENT,
    "wouldCauseLiquidation": Refusal.OTHER,
    "selfFill": Refusal.OTHER,  # it would meet an order of ours, which is being cancelled
    "wouldProcessAfterSpecifiedTime": Refusal.OTHER,
    **dict.fromkeys(("invalidOrderType", "invalidSide", "postWouldExecute", "fixedLeverageTooHigh"), Refusal.OTHER),
    **dict.fromkeys(("maxPositionViolation", "tooManyOrders", "requiredArgumentMissing"), Refusal.OTHER),
    **dict.fromkeys(("clientOrderIdTooLong", "clientOrderIdTooBig", "clientOrderIdInvalid"), Refusal.OTHER),
}
#: Of an order that the venue has taken.
_TAKEN: Final = ("placed", "partiallyFilled", "filled")
#: Of an order to cancel that is over already.
_GONE: Final = ("notFound", "filled")


def accepted(step: Step, answer: Answer) -> Judgement:
    """What an answer without an error says."""
    document = row(answer, "answer")
    if document.get("result") != "success":
        # ccxt overlooks errors that are named in the list of them alone.
        return refused(reply(200, document)) or NOT_UNDERSTOOD
    if isinstance(step, ClosePosition):
        return _of_order(row(document.get("sendStatus"), "sendStatus"))
    if isinstance(step, CancelSymbol):
        status = text(row(document.get("cancelStatus"), "cancelStatus"), "status")
        # "No orders" is also said where the list of those that were cancelled is not empty.
        return DONE if status in ("cancelled", "noOrdersToCancel") else _unknown(status)
    if isinstance(step, CancelOrders):
        if "batchStatus" in document:
            return _of_batch(rows(document["batchStatus"], "batchStatus"), step)
        return _of_cancel(row(document.get("cancelStatus"), "cancelStatus"))
    return NOT_UNDERSTOOD


def refused(reply: Reply) -> Judgement | None:
    """By the error's name. ccxt's reading of names that are not in the table counts for nothing."""
    if reply.code is None:
        return None
    message = f"{reply.code} {reply.message}".strip()
    refusal = ERRORS.get(reply.code)
    if (reply.status or 0) >= 500 or (refusal is None and not denied(reply)):
        return Judgement(outcome=Outcome.AMBIGUOUS, message=message)
    return Judgement(outcome=Outcome.REFUSED, refusal=refusal or Refusal.DENIED, message=message)


def denied(reply: Reply) -> bool:
    """Key, signature or account."""
    return reply.code is not None and (ERRORS.get(reply.code) is Refusal.DENIED or reply.status in (401, 403))


def reply(status: int | None, body: Answer) -> Reply:
    """``error``, or the first of ``errors``, which are names or ``{"code": 92, "message": "..."}``.

    A redirection is no answer of the venue's, whatever it carries.
    """
    nothing = Reply(status=status, code=None, message="")
    if not isinstance(body, dict) or (status is not None and 300 <= status < 400) or body.get("result") == "success":
        return nothing
    errors = body.get("errors")
    details = [each for each in errors if isinstance(each, dict | str)] if isinstance(errors, list) else []
    said = [str(each.get("message", "")) if isinstance(each, dict) else each for each in details]
    said += [body["message"]] if isinstance(body.get("message"), str) else []
    code = body.get("error") or next(iter(said), None)
    if not isinstance(code, str) or not code:
        return nothing
    rest = "; ".join(each for each in said if each and each != code)
    return Reply(status=status, code=code[:60], message=rest[:200])


def _of_order(status: Row) -> Judgement:
    """Done with the venue's id, and with what the events say was executed."""
    word = text(status, "status")
    events = rows(status.get("orderEvents") or [], "orderEvents")
    filled = sum((decimal(each, "amount") for each in events if each.get("type") == "EXECUTION"), Decimal(0))
    if word in _TAKEN or filled > 0:
        if not _identified(status):
            return NOT_UNDERSTOOD
        if events and not filled and all(each.get("type") == "REJECT" for each in events):
            return _refusal(Refusal.UNFILLED, f"{word}, and rejected", filled)
        return Judgement(outcome=Outcome.DONE, filled=filled if events else None)
    return _unknown(word) if word not in STATUSES else _refusal(STATUSES[word], word, Decimal(0))


def _of_cancel(status: Row) -> Judgement:
    word = text(status, "status")
    if word == "cancelled":
        return DONE
    return _refusal(Refusal.UNKNOWN_ORDER, word) if word in _GONE else _unknown(word)


def _of_batch(found: list[Row], step: CancelOrders) -> Judgement:
    """Done if every order of the batch is cancelled or gone; the whole says no more than its worst part."""
    named = len(step.order_ids)
    if len(found) not in {min(BATCH, named - start) for start in range(0, named, BATCH)}:
        return NOT_UNDERSTOOD
    parts = [_of_cancel(each) for each in found]
    return _worst(parts)


def _worst(parts: Iterable[Judgement]) -> Judgement:
    order = {Outcome.AMBIGUOUS: 0, Outcome.DONE: 1, Outcome.REFUSED: 2}  # refused is here: gone already
    return min(parts, key=lambda part: order[part.outcome])


def _refusal(refusal: Refusal, message: str, filled: Decimal | None = None) -> Judgement:
    return Judgement(outcome=Outcome.REFUSED, refusal=refusal, message=message, filled=filled)


def _unknown(word: str) -> Judgement:
    return Judgement(outcome=Outcome.AMBIGUOUS, message=f"status {word[:40]}", strange=word not in _EXPECTED)


#: Statuses that say that something is not certain.
_EXPECTED: Final = ("clientOrderIdAlreadyExist",)


def _identified(status: Any) -> bool:  # noqa: ANN401
    value = status.get("order_id")
    return isinstance(value, str) and bool(value)
