"""Hyperliquid: what answers say about steps. It has no error codes: its words are all there is. Pure.

Of single orders and cancels: https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api/error-responses. Of
whole actions (signature, nonce, expiry, limits): no page lists them; as the venue has answered, collected in public
trackers (ccxt's table and its issue 30348, the Python SDK's issues).
"""

from __future__ import annotations

from typing import Any, Final

from node.domain.steps import CancelOrders, Outcome, Refusal, Step
from node.errors import VenueAnswerUnknown
from node.venues.call import Answer, Judgement, Reply
from node.venues.strict import decimal, row, text

#: ``Reply.code`` of a refused action, and of an order that the venue has never heard of.
ERROR: Final = "err"
UNKNOWN_ORDER: Final = "unknownOid"
#: When an account has sent more than it may, one action every ten seconds is still taken (.../rate-limits).
LIMITED_S: Final = 10.0
#: An address that has sent too much is not told how long to wait. Its weight comes back within a minute.
AWAY_S: Final = 1.0

NOT_UNDERSTOOD: Final = Judgement(
    outcome=Outcome.AMBIGUOUS, message="the venue's answer shows no order id", strange=True
)

#: Of single orders and cancels, by a piece of the text. Whatever else it says of one, it says that it was not taken.
_OF_ORDERS: Final = (
    ("would increase position", Refusal.NOTHING_TO_REDUCE),  # ReduceOnly
    ("minimum value", Refusal.TOO_SMALL),  # MinTradeNtl, MinTradeSpotNtl
    ("zero size", Refusal.TOO_SMALL),
    ("could not immediately match", Refusal.UNFILLED),  # IocCancel
    ("No liquidity available", Refusal.UNFILLED),  # MarketOrderNoLiquidity
    ("too far from oracle", Refusal.PRICE_BAND),  # Oracle
    ("away from the reference price", Refusal.PRICE_BAND),
    ("more aggressive than oracle", Refusal.PRICE_BAND),  # TooAggressiveAtOpenInterestCap
    ("Insufficient margin", Refusal.INSUFFICIENT),  # PerpMargin
    ("Insufficient spot balance", Refusal.INSUFFICIENT),  # InsufficientSpotBalance
    ("insufficient spot balance", Refusal.INSUFFICIENT),
    ("never placed, already canceled, or filled", Refusal.UNKNOWN_ORDER),  # MissingOrder; also of TWAP orders
    ("halted", Refusal.MARKET_CLOSED),
    ("Only post-only orders allowed", Refusal.OVERLOADED),  # for a moment after an upgrade of the network
    ("Too many cumulative requests", Refusal.RATE_LIMITED),
)
#: Of whole actions, where only what is here or above is certain.
_OF_ACTIONS: Final = (
    ("User or API Wallet", Refusal.DENIED),  # ... does not exist
    ("Must deposit before performing actions", Refusal.DENIED),  # also of a signature that is another's
    ("Unable to recover signer", Refusal.DENIED),
    ("require different signature", Refusal.DENIED),  # of the test environment
    ("Vault not registered", Refusal.DENIED),
    ("Multi-sig required", Refusal.DENIED),
    ("Too many cumulative requests", Refusal.RATE_LIMITED),
    ("Action already expired", Refusal.OTHER),
    ("nonce too low", Refusal.OTHER),
    ("nonce too high", Refusal.OTHER),
    ("Order has invalid price", Refusal.OTHER),
    ("Order has invalid size", Refusal.OTHER),
    ("divisible by tick size", Refusal.OTHER),
    ("Only post-only orders allowed", Refusal.OVERLOADED),
)
#: Not here: "duplicate nonce". The same request has arrived before.
_CLOCK: Final = ("Action already expired", "nonce too low", "nonce too high")


def reply(status: int | None, body: Answer) -> Reply:
    """``{"status": "err", "response": "..."}`` or ``{"status": "unknownOid"}``; the rest is no error document."""
    if isinstance(body, dict) and not (status is not None and 300 <= status < 400):
        words = body.get("response")
        if body.get("status") == ERROR and isinstance(words, str) and words:
            return Reply(status=status, code=ERROR, message=words)
        if body.get("status") == UNKNOWN_ORDER:
            return Reply(status=status, code=UNKNOWN_ORDER, message="")
    return Reply(status=status, code=None, message="")


def refusal_of(answered: Reply) -> Refusal | None:
    """What the refusal of a whole action says for certain."""
    return _by_words(_OF_ACTIONS + _OF_ORDERS, answered.message) if answered.code == ERROR else None


def clock_is_off(answered: Reply) -> bool:
    """By nonce, or by expiry: both are times."""
    return answered.code == ERROR and any(words in answered.message for words in _CLOCK)


def refused(answered: Reply) -> Judgement | None:
    """By the venue's words, unless it failed itself."""
    if answered.code is None:
        return None
    refusal = refusal_of(answered)
    if refusal is None or (answered.status or 0) >= 500:
        return Judgement(outcome=Outcome.AMBIGUOUS, message=answered.message)
    off = clock_is_off(answered)
    return Judgement(outcome=Outcome.REFUSED, refusal=refusal, message=answered.message, clock_is_off=off)


def accepted(step: Step, answer: Answer) -> Judgement:
    """An answer that is no error as a whole: one status for each order or cancel that was sent."""
    try:
        action, statuses = _statuses(answer)
        if isinstance(step, CancelOrders):
            return _of_cancels(statuses)
        return _of_order(statuses[0]) if action == "order" and len(statuses) == 1 else NOT_UNDERSTOOD
    except VenueAnswerUnknown:
        return NOT_UNDERSTOOD


def _statuses(answer: Answer) -> tuple[str, list[Any]]:
    """What was sent, and what became of each part of it."""
    wrapped = row(answer, "answer")
    action = row(row(wrapped.get("asked"), "asked").get("action"), "action")
    response = row(row(wrapped.get("answer"), "answer").get("response"), "response")
    kind, data = text(response, "type"), row(response.get("data"), "data")
    parts = action.get("orders", action.get("cancels", [None]))
    statuses = data.get("statuses", [data.get("status")])
    if wrapped["answer"].get("status") != "ok" or kind != action["type"] or not isinstance(statuses, list):
        raise VenueAnswerUnknown("not an answer to this action")
    if len(statuses) != len(parts):
        raise VenueAnswerUnknown("not a status for each part")
    return kind, statuses


def shows(answer: Answer, cloid: str) -> bool:
    """Whether an answer to ``orderStatus`` is of an order with that id."""
    try:
        document = row(row(answer, "answer").get("answer"), "order status")
        order = row(row(document.get("order"), "order").get("order"), "order")
        decimal(order, "oid")
    except VenueAnswerUnknown:
        return False
    return document.get("status") == "order" and order.get("cloid") == cloid


def _of_order(status: object) -> Judgement:
    """Done only with the venue's own number of the order."""
    if (words := _error(status)) is not None:
        return _not_taken(words)
    placed = row(status, "status")
    for how in ("filled", "resting"):
        if how in placed:
            decimal(row(placed[how], how), "oid")
            filled = decimal(placed[how], "totalSz") if how == "filled" else None
            return Judgement(outcome=Outcome.DONE, filled=filled)
    return NOT_UNDERSTOOD


def _of_cancels(statuses: list[Any]) -> Judgement:
    """Done if every order is cancelled or gone; the whole says no more than its worst part."""
    failed = [_not_taken(words) for status in statuses if (words := _error(status)) is not None]
    if len(failed) + statuses.count("success") != len(statuses):
        return NOT_UNDERSTOOD
    hard = [each for each in failed if each.refusal is not Refusal.UNKNOWN_ORDER]
    if hard or len(failed) == len(statuses):
        return (hard or failed)[0]
    return Judgement(outcome=Outcome.DONE)


def _error(status: object) -> str | None:
    words = status.get("error") if isinstance(status, dict) else None
    return words if isinstance(words, str) and words else None


def _not_taken(words: str) -> Judgement:
    refusal = _by_words(_OF_ORDERS, words) or Refusal.OTHER
    return Judgement(outcome=Outcome.REFUSED, refusal=refusal, message=words)


def _by_words(table: tuple[tuple[str, Refusal], ...], words: str) -> Refusal | None:
    return next((refusal for piece, refusal in table if piece in words), None)
