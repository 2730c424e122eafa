"""A price of a venue's convert service, as far as it decides anything."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What the service would give, until it expires (within seconds)."""

    offer_id: str
    #: In units of what is converted into.
    received: Decimal
