"""KuCoin: what answers say about steps, and what its error codes say for certain. Pure.

Codes: https://www.kucoin.com/docs-new/error-code (spot, futures, gateway), and ccxt's table where it names an answer. A
code that is not here proves nothing by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from node.domain.steps import CancelOrders, CancelSymbol, ClosePosition, Outcome, Refusal, SellSpot, Step
from node.errors import VenueAnswerUnknown
from node.venues.call import Answer, Judgement, Reply
from node.venues.profiles.kucoin import calls
from node.venues.strict import decimal

DONE: Final = Judgement(outcome=Outcome.DONE)
NOT_UNDERSTOOD: Final = Judgement(
    outcome=Outcome.AMBIGUOUS, message="the venue's answer shows no order id", strange=True
)

#: Codes that mean success.
_SUCCESS: Final = ("200000", "200")
#: Our timestamp is more than 5 s off.
CLOCK: Final = frozenset({"400002"})
#: An earlier attempt has arrived, or the venue does not know.
UNCERTAIN: Final = frozenset(
    {
        "300018",  # clientOid parameter repeated
        "126044",  # clientOid duplicate
        "126033",  # duplicate order
        "408000",  # network timeout, please try again later
        "500000",
        "500",
        "503",
        "300010",  # failed to close the position
    }
)
#: A person must act.
DENIED: Final = frozenset(
    {
        "400001",  # parts of the key are missing
        "400003",  # no such key
        "400004",  # passphrase
        "400005",  # signature
        "400006",  # address
        "400007",  # rights
        "400008",  # keys of an older kind
        "400009",
        "400010",
        "400301",  # region, identity
        "400302",
        "400303",
        "400304",
        "400401",
        "400500",
        "40010",
        "411100",  # frozen
        "401",
    }
)
LIMITED: Final = frozenset({"429000", "429", "200002", "1015"})
#: "Order is in not cancelable state": it does not exist, or is over.
_GONE: Final = "100004"

REFUSALS: Final[Mapping[str, Refusal]] = {
    **dict.fromkeys(DENIED, Refusal.DENIED),
    **dict.fromkeys(LIMITED, Refusal.RATE_LIMITED),
    **dict.fromkeys(CLOCK, Refusal.OTHER),
    _GONE: Refusal.UNKNOWN_ORDER,
    "order_not_exist": Refusal.UNKNOWN_ORDER,  # ccxt's list
    "300009": Refusal.NOTHING_TO_REDUCE,  # current position size: 0
    "300006": Refusal.PRICE_BAND,  # worse than the bankruptcy price
    "300007": Refusal.PRICE_BAND,  # worse than the liquidation price
    "300011": Refusal.PRICE_BAND,  # cannot be higher than
    "300012": Refusal.PRICE_BAND,  # cannot be lower than
    "400330": Refusal.PRICE_BAND,  # ccxt's list: deviates from the net asset value
    "400370": Refusal.PRICE_BAND,  # ccxt's list: max. price
    "400760": Refusal.PRICE_BAND,  # ccxt's list: order price should be more than
    "300008": Refusal.UNFILLED,  # no contra order in the market
    "300013": Refusal.UNFILLED,  # no contra order in the order book
    "600100": Refusal.TOO_SMALL,  # ccxt's list: funds below the minimum requirement
    "600101": Refusal.TOO_SMALL,  # ccxt's list: the order funds should more than
    "300002": Refusal.MARKET_CLOSED,  # order placement or cancellation suspended
    "300015": Refusal.MARKET_CLOSED,  # settlement
    "400600": Refusal.MARKET_CLOSED,  # ccxt's list: symbol not available
    "300003": Refusal.INSUFFICIENT,
    "200004": Refusal.INSUFFICIENT,
    "200005": Refusal.INSUFFICIENT,
    "330008": Refusal.INSUFFICIENT,
    **dict.fromkeys(
        (
            "100001",  # invalid parameters
            "100003",  # contract parameter invalid
            "100005",
            "200003",  # symbol invalid
            "300000",  # request parameter illegal
            "300001",  # too many active orders
            "300004",  # too many stop orders
            "300005",  # risk limit
            "300014",  # being liquidated
            "300016",  # leverage
            "300017",  # a position of another product
            "330005",  # margin mode of the order and of the market
            "330011",  # position mode not chosen
            "330012",  # position mode of the order and of the account
            "400000",
            "400100",  # parameter error
            "400200",  # forbidden to place an order
            "404000",
            "415000",
        ),
        Refusal.OTHER,
    ),
}
#: Codes that KuCoin uses for several things: the first matching piece of the message decides.
_BY_MESSAGE: Final[tuple[tuple[frozenset[str], str, Refusal | None], ...]] = (
    (frozenset({"400100"}), "clientoid", None),  # repeated: an earlier attempt has arrived
    (frozenset({"400100", "100001"}), "order_not_exist", Refusal.UNKNOWN_ORDER),
    (frozenset({"400100", "100001"}), "ordernotexist", Refusal.UNKNOWN_ORDER),
    (frozenset({"400100", "100001"}), "order not exist", Refusal.UNKNOWN_ORDER),
    (frozenset({"400100", "100001"}), "order does not exist", Refusal.UNKNOWN_ORDER),
    (frozenset({"400100"}), "account.available.amount", Refusal.INSUFFICIENT),
    (frozenset({"400100"}), "below the minimum", Refusal.TOO_SMALL),
)


def reply(status: int | None, body: Answer) -> Reply:
    """``{"code": "300009", "msg": "No open positions to close."}``, with whatever status.

    A redirection is no answer of the venue's, whatever it carries.
    """
    if isinstance(body, dict) and not (status is not None and 300 <= status < 400):
        code, message = body.get("code"), body.get("msg", "")
        named = isinstance(code, str | int) and not isinstance(code, bool) and 0 < len(str(code)[:41]) <= 40
        if named and str(code) not in _SUCCESS and isinstance(message, str):
            return Reply(status=status, code=str(code), message=message)
    return Reply(status=status, code=None, message="")


def refusal_of(code: str, message: str) -> Refusal | None:
    """What a code says for certain; None: the order may have been placed."""
    for codes, piece, refusal in _BY_MESSAGE:
        if code in codes and piece in message.lower():
            return refusal
    return None if code in UNCERTAIN else REFUSALS.get(code)


def uncertain(code: str, message: str) -> bool:
    """Whether the venue itself says that it does not know, or that it knows the order already."""
    return code in UNCERTAIN or any(
        refusal is None and code in codes and piece in message.lower() for codes, piece, refusal in _BY_MESSAGE
    )


def refused(step: Step, reply: Reply) -> Judgement | None:
    """By the code. A server error (5xx) may have been executed."""
    if reply.code is None:
        return None
    message = f"{reply.code} {reply.message}"
    if (reply.status or 0) >= 500 or uncertain(reply.code, reply.message):
        return Judgement(outcome=Outcome.AMBIGUOUS, message=message)
    refusal = refusal_of(reply.code, reply.message)
    if refusal is None:
        return None
    if refusal is Refusal.UNKNOWN_ORDER and isinstance(step, CancelSymbol):
        return Judgement(outcome=Outcome.DONE, message=message)  # nothing rests
    return Judgement(outcome=Outcome.REFUSED, refusal=refusal, message=message, clock_is_off=reply.code in CLOCK)


def accepted(step: Step, answer: Answer) -> Judgement:
    """What an answer without an error says."""
    try:
        found = calls.data(answer)
    except VenueAnswerUnknown:
        return NOT_UNDERSTOOD
    match step:
        case ClosePosition():
            return DONE if _named(found, "orderId") else NOT_UNDERSTOOD
        case SellSpot():
            return _of_sale(found) if _named(found, "orderId") else NOT_UNDERSTOOD
        case CancelOrders():
            return _of_cancels(found, len(step.order_ids))
        case CancelSymbol():
            # Spot only says that it has taken the request; all others name what they have cancelled, or nothing.
            listed = isinstance(found, dict) and _ids(found.get("cancelledOrderIds"))
            return DONE if found == "success" or listed else NOT_UNDERSTOOD
        case _:
            return NOT_UNDERSTOOD


def _of_sale(found: Mapping[str, Any]) -> Judgement:
    """After matching: an order that is over and has sold nothing was refused by the market."""
    over = found.get("status") == "done"
    try:
        filled = decimal(found, "dealSize")
    except VenueAnswerUnknown:
        return DONE
    if over and filled == 0:
        return Judgement(
            outcome=Outcome.REFUSED,
            refusal=Refusal.UNFILLED,
            message="the order ended without a fill",
            filled=filled,
        )
    return Judgement(outcome=Outcome.DONE, filled=filled if over else None)


def _of_cancels(found: object, named: int) -> Judgement:
    """One order, or what became of each of several."""
    if isinstance(found, list):
        return _of_batch(found) if 0 < len(found) <= named else NOT_UNDERSTOOD
    if not isinstance(found, dict):
        return NOT_UNDERSTOOD
    ids = found.get("cancelledOrderIds")
    return DONE if _named(found, "orderId") or (ids and _ids(ids)) else NOT_UNDERSTOOD


def _of_batch(found: list[Any]) -> Judgement:
    """Done if every named order is cancelled or gone; the whole says no more than its worst part."""
    refusals: list[tuple[Refusal, str]] = []
    for each in found:
        if not isinstance(each, dict) or not _named(each, "orderId"):
            return NOT_UNDERSTOOD
        code, message = str(each.get("code")), str(each.get("msg") or "")
        if code in _SUCCESS:
            continue
        refusal = refusal_of(code, message)
        if refusal is None:
            return NOT_UNDERSTOOD
        refusals.append((refusal, f"{code} {message}"))
    hard = [entry for entry in refusals if entry[0] is not Refusal.UNKNOWN_ORDER]
    if hard or (refusals and len(refusals) == len(found)):
        refusal, text = (hard or refusals)[0]
        return Judgement(outcome=Outcome.REFUSED, refusal=refusal, message=text)
    return DONE


def _named(found: object, name: str) -> bool:
    value = found.get(name) if isinstance(found, dict) else None
    return isinstance(value, str) and bool(value)


def _ids(found: object) -> bool:
    return isinstance(found, list) and all(isinstance(each, str) and each for each in found)
