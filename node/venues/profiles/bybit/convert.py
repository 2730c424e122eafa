"""Bybit Convert: a price, its acceptance, and what became of it.

https://bybit-exchange.github.io/docs/v5/asset/convert: apply-quote, confirm-quote, get-convert-result. A quote is good
for fifteen seconds. The key needs the permission "Exchange".
"""

from __future__ import annotations

from typing import Final

from node.domain.permission import Effect
from node.domain.steps import ConvertAsset, Outcome, Refusal
from node.errors import VenueAnswerUnknown
from node.venues.call import Answer, Call, Judgement
from node.venues.conversion import Offer
from node.venues.profiles.bybit.answers import result
from node.venues.profiles.bybit.calls import charges
from node.venues.profiles.plain import plain
from node.venues.strict import decimal, row, text

#: The wallet of unified accounts.
_WALLET: Final = "eb_convert_uta"
_DONE: Final = Judgement(outcome=Outcome.DONE)
_UNDER_WAY: Final = ("init", "processing")


def offer_call(step: ConvertAsset) -> Call:
    """POST quote-apply."""
    params = {
        "accountType": _WALLET,
        "fromCoin": step.asset,
        "toCoin": step.into,
        "requestCoin": step.asset,
        "requestAmount": plain(step.quantity),
    }
    endpoint = "privatePostV5AssetExchangeQuoteApply"
    return Call(endpoint=endpoint, effect=Effect.CLOSE, params=params, charges=charges("convert"))


def offer(step: ConvertAsset, answer: Answer) -> Offer:
    """Its answer: for no more than was named, or not understood."""
    found = result(answer, "quote")
    received, given = decimal(found, "toAmount"), decimal(found, "fromAmount")
    coins = text(found, "fromCoin"), text(found, "toCoin")
    if not 0 < given <= step.quantity or received <= 0 or coins != (step.asset, step.into):
        raise VenueAnswerUnknown(f"the quote is {plain(received)} {coins[1]} for {plain(given)} {coins[0]}")
    return Offer(offer_id=text(found, "quoteTxId"), received=received)


def accept_call(accepted: Offer) -> Call:
    """POST convert-execute."""
    params = {"quoteTxId": accepted.offer_id}
    endpoint = "privatePostV5AssetExchangeConvertExecute"
    return Call(endpoint=endpoint, effect=Effect.CLOSE, params=params, charges=charges("convert"))


def conversion_call(accepted: Offer) -> Call:
    """GET convert-result-query, by the quote: its id is known even where the acceptance was not answered."""
    params = {"quoteTxId": accepted.offer_id, "accountType": _WALLET}
    endpoint = "privateGetV5AssetExchangeConvertResultQuery"
    return Call(endpoint=endpoint, effect=Effect.READ, params=params, charges=charges("convert"))


def conversion(answer: Answer) -> Judgement | None:
    """An answer to either; None: still under way."""
    found = result(answer, "conversion")
    if "exchangeStatus" not in found:
        found = row(found.get("result"), "conversion")
    status = text(found, "exchangeStatus")
    if status == "success":
        return _DONE
    if status == "failure":
        return Judgement(outcome=Outcome.REFUSED, refusal=Refusal.OTHER, message="the conversion failed")
    if status in _UNDER_WAY:
        return None
    raise VenueAnswerUnknown(f"exchangeStatus is {status[:20]}")
