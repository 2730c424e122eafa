"""The token exchange: a long-lived API token for an access token of an hour.

Source: second-hand (``POST /frontoffice/api/v4/access-token``); the identity provider is taken to be Keycloak.
"""

from __future__ import annotations

import itertools
import secrets
from dataclasses import dataclass, field
from typing import Any

import jwt

from node.sim.b2prime.switches import Switches
from node.sim.keys import ApiKey, KeyRing

#: The permission that the documentation asks for.
PERMISSION = "trading-ui"
#: Tokens outlive a reset of the world, as keys do.
_SIGNING_KEY = secrets.token_bytes(32)
_numbers = itertools.count(1)


@dataclass(slots=True, kw_only=True)
class AccessTokens:
    """Issues access tokens and knows them again."""

    keys: KeyRing
    switches: Switches
    user_id: str
    #: Tokens with a number up to this one are not valid any more.
    ended: int = 0
    _opaque: dict[str, str] = field(default_factory=dict)

    def issue(self, key: ApiKey, now_ms: int) -> str:
        """A token for the holder of an API token."""
        now_s = now_ms / 1000
        claims = {
            "sub": self.user_id,
            "jti": str(next(_numbers)),
            "azp": key.public[:8],
            "iat": int(now_s),
            "exp": now_s + self.switches.token_life_s,
            "operations": [PERMISSION],
        }
        token = jwt.encode(claims, _SIGNING_KEY, algorithm="HS256")
        if not self.switches.token_opaque:
            return token
        word = secrets.token_urlsafe(48)
        self._opaque[word] = token
        return word

    def holder(self, token: str, now_ms: int) -> tuple[ApiKey, int] | None:
        """Whose token it is, and when it ends (milliseconds since the epoch); none if it is not valid."""
        try:
            claims: dict[str, Any] = jwt.decode(
                self._opaque.get(token, token),
                _SIGNING_KEY,
                algorithms=["HS256"],
                options={"verify_exp": False, "verify_iat": False, "verify_nbf": False},  # by the venue's own clock
            )
        except jwt.InvalidTokenError:
            return None
        ends_ms = int(claims["exp"] * 1000)
        if ends_ms <= now_ms or int(claims["jti"]) <= self.ended:
            return None
        key = next((each for each in self.keys.by_public.values() if each.public.startswith(claims["azp"])), None)
        return None if key is None or key.revoked else (key, ends_ms)

    def end_all(self) -> None:
        """Nothing that was issued so far is valid any more; API tokens are."""
        self.ended = next(_numbers)
