"""Access tokens: how long they live and when they are renewed. No I/O, no clock."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass, field
from typing import Final

#: Renewed when this part of its life is over, and whenever less than this many seconds are left.
_RENEW_AT: Final = 0.8
_RENEW_LEFT_S: Final = 300.0
#: A life that is none.
_LIFE_MAX_S: Final = 400 * 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """A Bearer token; times are monotonic seconds."""

    value: str = field(repr=False)
    obtained_s: float
    life_s: float

    def due(self, now_s: float) -> bool:
        """Whether it should be replaced, though it may still be valid."""
        age_s = now_s - self.obtained_s
        return age_s >= min(_RENEW_AT * self.life_s, max(self.life_s - _RENEW_LEFT_S, self.life_s / 2))

    def expired(self, now_s: float) -> bool:
        """Whether it is certainly of no use."""
        return now_s - self.obtained_s >= self.life_s


def life_s(token: str, otherwise_s: float, wall_s: float) -> float:
    """Seconds that a token lives, by its own ``iat`` and ``exp`` (RFC 7519); *otherwise_s* where it does not say.

    Issue and end are both by the venue's clock, so that ours does not matter; without ``iat`` ours has to do.
    """
    parts = token.split(".")
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (IndexError, ValueError, binascii.Error, RecursionError):
        return otherwise_s
    if not isinstance(claims, dict):
        return otherwise_s
    until, issued = claims.get("exp"), claims.get("iat", wall_s)
    if isinstance(until, bool) or not isinstance(until, int | float) or not isinstance(issued, int | float):
        return otherwise_s
    life = float(until) - float(issued)
    return life if 0 < life < _LIFE_MAX_S else otherwise_s
