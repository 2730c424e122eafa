"""Binance Convert: a price, its acceptance, and what became of it.

https://developers.binance.com/docs/convert/trade: Send-Quote-Request, Accept-Quote, Order-Status. A price comes without
``quoteId`` where there is not enough to convert.
"""

from __future__ import annotations

from typing import Final

from node.domain.permission import Effect
from node.domain.steps import ConvertAsset, Outcome, Refusal
from node.errors import VenueAnswerUnknown
from node.venues.call import Answer, Call, Judgement
from node.venues.conversion import Offer
from node.venues.lane import Charge
from node.venues.profiles.plain import plain
from node.venues.strict import decimal, row, text

_DONE: Final = Judgement(outcome=Outcome.DONE)
_UNDER_WAY: Final = ("PROCESS", "ACCEPT_SUCCESS")


def _by_account(units: int) -> tuple[Charge, ...]:
    return (Charge(bucket="sapi:uid", units=units, per_key=True),)


def offer_call(step: ConvertAsset) -> Call:
    """POST getQuote, for as short as can be: it is accepted at once or not at all."""
    params = {
        "fromAsset": step.asset,
        "toAsset": step.into,
        "fromAmount": plain(step.quantity),
        "walletType": "SPOT",
        "validTime": "10s",
    }
    return Call(endpoint="sapiPostConvertGetQuote", effect=Effect.CLOSE, params=params, charges=_by_account(200))


def offer(step: ConvertAsset, answer: Answer) -> Offer | Judgement:
    """Its answer: for no more than was named, or not understood."""
    found = row(answer, "quote")
    received, given = decimal(found, "toAmount"), decimal(found, "fromAmount")
    if not 0 < given <= step.quantity or received <= 0:
        raise VenueAnswerUnknown(f"the quote is {plain(received)} {step.into} for {plain(given)} {step.asset}")
    if found.get("quoteId") in (None, ""):
        return Judgement(
            outcome=Outcome.REFUSED,
            refusal=Refusal.INSUFFICIENT,
            message="a price without an offer: not enough is free",
        )
    return Offer(offer_id=text(found, "quoteId"), received=received)


def accept_call(accepted: Offer) -> Call:
    """POST acceptQuote."""
    params = {"quoteId": accepted.offer_id}
    return Call(endpoint="sapiPostConvertAcceptQuote", effect=Effect.CLOSE, params=params, charges=_by_account(500))


def conversion_call(accepted: Offer) -> Call:
    """GET orderStatus, by the quote: its id is known even where the acceptance was not answered."""
    params = {"quoteId": accepted.offer_id}
    return Call(endpoint="sapiGetConvertOrderStatus", effect=Effect.READ, params=params, charges=_by_account(100))


def conversion(answer: Answer) -> Judgement | None:
    """An answer to either; None: still under way."""
    found = row(answer, "conversion")
    status, _ = text(found, "orderStatus"), text(found, "orderId")
    if status == "SUCCESS":
        return _DONE
    if status == "FAIL":
        return Judgement(outcome=Outcome.REFUSED, refusal=Refusal.OTHER, message="the conversion failed")
    if status in _UNDER_WAY:
        return None
    raise VenueAnswerUnknown(f"orderStatus is {status[:20]}")
