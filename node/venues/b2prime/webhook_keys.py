"""B2PRIME: webhook keys, with which TradingView sends alerts straight to the broker, past engine, node and lock.

Revoking them is for good, and of the whole user: https://api-docs.b2prime.com/rest-api/settings (webhook/api-keys).
"""

from __future__ import annotations

from typing import Final

from node.domain.permission import Effect
from node.errors import VenueAnswerUnknown
from node.venues.b2prime.charges import ONE
from node.venues.call import Answer, Call
from node.venues.strict import flag, row, rows, text

WHAT: Final = "webhook keys: TradingView's alerts that go straight to the broker, and nothing else"
LISTING: Final = Call(endpoint="privateGetFrontofficeApiV3WebhookApiKeys", effect=Effect.READ, charges=ONE)
_DEAD: Final = frozenset({"Revoked", "Expired"})


def revocations(answer: Answer) -> tuple[Call, ...]:
    """One request a key that is not known to be of no use."""
    found = rows(row(answer, "webhook keys").get("apiKeys"), "webhook keys")
    active = [text(each, "id") for each in found if text(each, "status") not in _DEAD]
    endpoint = "privateDeleteFrontofficeApiV3WebhookApiKeysId"
    return tuple(Call(endpoint=endpoint, effect=Effect.CANCEL, params={"id": each}, charges=ONE) for each in active)


def revoked(answer: Answer) -> None:
    """``{"success": true, "message": ...}``.

    Raises:
        VenueAnswerUnknown: it does not say so.
    """
    if not flag(row(answer, "revocation"), "success"):
        raise VenueAnswerUnknown("the venue does not say that the key is revoked")
