"""B2PRIME's webhook keys under a lock: revoked on request, by the venue's own word, and nobody's otherwise."""

from __future__ import annotations

from typing import Any

import pytest

from node.domain.permission import Permission
from node.errors import VenueAnswerUnknown, VenueDenied, VenueError
from tests.support.b2prime_venue import API, b2prime_venue
from tests.support.venue_sim import bench

KEYS = f"GET {API}/v3/webhook/api-keys"


def revoke(key: str) -> str:
    """The line of a revocation."""
    return f"DELETE {API}/v3/webhook/api-keys/{key}"


def listed(**statuses: str) -> dict[str, Any]:
    """Keys by their statuses."""
    return {"webhookUrl": "https://x", "apiKeys": [{"id": name, "status": each} for name, each in statuses.items()]}


async def test_active_keys_are_revoked_and_dead_ones_left() -> None:
    """One by one; a status that nobody knows may be of use to somebody."""
    async with b2prime_venue(revokeWebhookKeys=True) as (venue, sent):
        sent.answers[KEYS] = listed(A="Active", B="Revoked", C="Expired", D="Suspended")
        sent.answers |= {revoke(each): {"success": True, "message": "Revoked."} for each in "AD"}
        assert await venue.shut_doors() == 2
        assert sent.lines == [KEYS, revoke("A"), revoke("D")]
        assert "alerts that go straight to the broker" in str(venue.doors)


async def test_a_key_that_is_not_revoked_leaves_the_door_open_and_the_others_are_shut() -> None:
    """Refused, unclear or denied: it is said."""
    for answer, error in (
        ({"success": False, "message": "No."}, VenueAnswerUnknown),
        ({}, VenueAnswerUnknown),
        ((500, ""), VenueError),
        ((403, ""), VenueDenied),
    ):
        async with b2prime_venue(revokeWebhookKeys=True) as (venue, sent):
            sent.answers |= {KEYS: listed(A="Active", B="Active"), revoke("A"): answer, revoke("B"): {"success": True}}
            with pytest.raises(error):
                await venue.shut_doors()
            assert sent.lines[-1] == revoke("B")


@pytest.mark.parametrize(
    "body", [None, [], {}, {"apiKeys": {}}, {"apiKeys": [{}]}, {"apiKeys": [{"id": "A"}]}], ids=str
)
async def test_a_list_that_is_not_understood_is_no_empty_list(body: Any) -> None:
    """Whatever it is."""
    async with b2prime_venue(revokeWebhookKeys=True) as (venue, sent):
        sent.answers[KEYS] = body
        with pytest.raises(VenueAnswerUnknown):
            await venue.shut_doors()


async def test_without_the_option_keys_are_neither_listed_nor_revoked() -> None:
    """The gate knows no such request then."""
    async with b2prime_venue() as (venue, sent):
        await venue._client.ccxt.authorize()
        sent.sent.clear()
        assert venue.doors is None
        with pytest.raises(VenueDenied):
            await venue.shut_doors()
        assert sent.sent == []


async def test_an_account_that_may_only_look_revokes_nothing() -> None:
    """Its permission level is in force here too."""
    async with b2prime_venue(permission=Permission.READ, revokeWebhookKeys=True) as (venue, sent):
        sent.answers[KEYS] = listed(A="Active")
        with pytest.raises(VenueDenied):
            await venue.shut_doors()
        assert sent.lines == [KEYS]


async def test_at_the_venue_an_alert_with_a_revoked_key_places_nothing() -> None:
    """The whole way, over TLS."""
    async with bench(venue="b2prime", options={"revokeWebhookKeys": True}) as the:
        from node.venues.b2prime.exchange import b2prime

        own = the.sim.kind.options(the.sim.account.name)
        script = b2prime({**the.sim.credentials(), "options": own, "session": the.pool.session})
        script.ssl_context, script.timeout_on_exit = the.pool.ssl_context, 0
        created = await script.create_webhook_key("chart")
        assert await the.venue.shut_doors() == 1
        assert await the.venue.shut_doors() == 0
        [key] = (await script.fetch_webhook_keys())["apiKeys"]
        assert (key["id"], key["status"]) == (created["id"], "Revoked")
        await script.close()
