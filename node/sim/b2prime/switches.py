"""What is not known of the venue, each as a switch; and the faults that only this venue can have.

The positions that they start in are the documented ones; where nothing is documented, those that harm an unprepared
client least. They are set with the control port's ``{"venue": {...}}``.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Trading(StrEnum):
    """A market's status, as the documentation names it."""

    OPEN = "Open"
    PAUSED = "Paused"  # new orders are refused, resting ones stay
    HALTED = "Halted"  # resting limit orders are cancelled, too
    DISABLED = "Disabled"  # the same


class Switches(BaseModel):
    """All switches. *Unknown* marks what the public documents do not say."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    # HTTP
    error_body: Literal["problem", "message", "text", "empty"] = "problem"  # unknown
    foreign_account_status: Literal[403, 404] = 403  # unknown
    unknown_order_status: Literal[400, 404] = 404  # unknown
    rate_limit_headers: bool = True  # documented for alerts; proxies before it may leave them out
    rest_requests_per_s: int | None = Field(default=None, ge=1)  # unknown: no limit is documented
    token_life_s: float = Field(default=3600, gt=0)
    token_opaque: bool = False  # the access token is no JWT that a client could read
    closed_positions_wrapper: str | None = "orders"  # unknown; none: a bare list
    # Market descriptions: the page contradicts itself, and its examples come first
    cyrillic_charge: bool = True
    perpetual_type: Literal["Perpetual", "Perp"] = "Perpetual"
    calendars: dict[str, dict[str, Any]] = {}  # by market, in the wire's own form
    market_status: dict[str, Trading] = {}  # by market
    # Orders and closes
    refused_as_order: bool = False  # unknown: a refused order is answered 200 and ``Rejected``
    cancel_delay_ms: float = Field(default=0, ge=0)  # unknown: whether a cancel is done when it is answered
    close_delay_ms: float = Field(default=5, ge=0)  # the counter order fills later than the answer
    close_when_shut: Literal["refuse", "accept"] = "refuse"  # unknown; accepted closes never fill
    bulk_close_skips: int = Field(default=0, ge=0)  # so many positions of each bulk close stay, though acknowledged
    # Streams
    negotiate: Literal["optional", "required", "absent"] = "optional"  # unknown
    stream_updates: Literal["full", "delta"] = "full"  # unknown
    stream_empty: Literal["list", "silence"] = "list"  # unknown
    stream_bare_positions: bool = False  # the list itself, without the object around it
    stream_duplicates: bool = False
    stream_late_ms: float = Field(default=0, ge=0)  # updates come late, with what was true when they were made
    stream_fraction_digits: int = Field(default=7, ge=0, le=7)
    stream_ping_s: float = Field(default=15, gt=0)
    stream_client_silence_s: float = Field(default=30, gt=0)  # then the server closes
    stream_outlives_token: bool = True  # unknown: else the server closes it


def checked(present: Switches, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The changes in the model's own types.

    Raises:
        ValueError: there is no such switch, or no such position of it.
    """
    after = Switches.model_validate({**present.model_dump(), **changes})
    return {name: getattr(after, name) for name in changes}
