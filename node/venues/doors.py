"""Shutting what lets orders in past an account's engine: listed, shut one by one, and seen to be shut."""

from __future__ import annotations

from node.errors import VenueAnswerUnknown, VenueError
from node.venues.call import Call
from node.venues.ccxt_client import CcxtClient
from node.venues.outcomes import read_failure
from node.venues.profile import Profile


async def shut(client: CcxtClient, profile: Profile) -> int:
    """Shut all that are open; how many there were. One that fails keeps none of the others open.

    Raises:
        VenueError: some may still be open.
    """
    shut_now, failure = 0, None
    for listing in profile.door_calls():
        asked = await client.asked(listing)
        try:
            calls = profile.open_doors(asked.answer)
        except client.faults as error:
            client.not_understood(listing, asked, str(error))
            raise _unknown(error) from error
        for call in calls:
            try:
                await _shut_one(client, profile, call)
            except VenueError as error:
                failure = error
            else:
                shut_now += 1
    if failure is not None:
        raise failure
    return shut_now


async def _shut_one(client: CcxtClient, profile: Profile, call: Call) -> None:
    attempt = await client.attempt(call)
    if attempt.error is not None:
        raise read_failure(profile, attempt, client.scrub)
    try:
        profile.door_shut(attempt.answer)
    except client.faults as error:
        client.not_understood(call, attempt, str(error))
        raise _unknown(error) from error


def _unknown(error: Exception) -> VenueError:
    return error if isinstance(error, VenueError) else VenueAnswerUnknown(f"not understood: {type(error).__name__}")
