"""The class as the node uses it: every request has a record of its own, and none leaves that nobody has declared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from node.domain.permission import Effect
from node.errors import VenueAnswerUnknown, VenueDenied, VenueUnavailable
from node.venues import wire
from node.venues.b2prime.charges import ONE
from node.venues.call import Answer
from node.venues.lane import foreground
from node.venues.wire import Wire


def bounded(plain: Any) -> Any:  # noqa: ANN401 - ccxt has no types
    """A class like *plain* with ``firstItem`` and ``accessToken``, two endpoints that answer what was asked with it."""
    from ccxt.base import errors

    async def first_item(self: Any, params: Mapping[str, Any]) -> Answer:  # noqa: ANN401
        """``{"stream": ..., "markets": [...]}``: the first message of a fresh subscription, ``{"stream", "item"}``.

        Raises:
            VenueAnswerUnknown: the stream said nothing in time, or something that is no message.
        """
        name, markets = params["stream"], params.get("markets")
        try:
            [item] = await self.first_items([name], arguments=[markets] if markets else [])
        except errors.RequestTimeout as silence:
            raise VenueAnswerUnknown(f"{name}: silence, which is no empty list") from silence
        except (errors.BadResponse, errors.ExchangeNotAvailable) as error:
            record = wire.current()
            if record is not None and record.status is not None:
                raise  # the venue's own word is in the record
            unknown = isinstance(error, errors.BadResponse)
            raise (VenueAnswerUnknown if unknown else VenueUnavailable)(f"{name}: {error}") from error
        return {"stream": name, "item": item}

    async def access_token(self: Any, _params: Mapping[str, Any]) -> Answer:  # noqa: ANN401
        return {"accessToken": await self.authorize()}

    async def authorize(self: Any, instead_of: str | None = None) -> str:  # noqa: ANN401
        """As the class; a refusal is a matter for a person, whatever the token was wanted for.

        Raises:
            VenueDenied: the venue does not accept the API token.
        """
        try:
            return str(await plain.authorize(self, instead_of))
        except errors.AuthenticationError as error:
            raise VenueDenied(f"the API token is not accepted: {error}") from error

    async def exchange_token(self: Any) -> Any:  # noqa: ANN401
        """A read with a record of its own; it waits for no budget, lest an order wait for it."""
        with wire.recording(Wire(effect=Effect.READ, charges=ONE)), foreground():
            return await plain._exchange_token(self)

    def before_repetition(_self: Any) -> None:  # noqa: ANN401
        """What was refused for its access token has done nothing: the second attempt is the one that counts."""
        record = wire.current()
        if record is not None:
            record.acted, record.answered_ns, record.status, record.headers, record.body = False, None, None, {}, ""

    own = {
        "firstItem": first_item,
        "accessToken": access_token,
        "authorize": authorize,
        "_exchange_token": exchange_token,
        "before_repetition": before_repetition,
    }
    return type("b2prime", (plain,), own)
