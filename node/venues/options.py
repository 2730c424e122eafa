"""What one account's configuration says about its venue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from node.domain.steps import CancelOrders, CancelSymbol, Step


class Permission(StrEnum):
    """What this node may do to an account. Each level includes the ones before it."""

    READ = "read"
    CANCEL = "cancel"
    CLOSE = "close"  # positions, and selling spot into base currency
    FULL = "full"  # signals may open positions

    def allows(self, step: Step) -> bool:
        """Whether *step* stays within the level."""
        if isinstance(step, CancelOrders | CancelSymbol):
            return self is not Permission.READ
        return self in (Permission.CLOSE, Permission.FULL)


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueOptions:
    """One account at one venue."""

    #: A ccxt id.
    exchange: str
    #: In ccxt's words: apiKey, secret, ...
    credentials: Mapping[str, str] = field(repr=False)
    permission: Permission = Permission.CLOSE
    #: None: all that the profile knows.
    slices: tuple[str, ...] | None = None
    #: ``host:port`` that every host of the venue is sent to, TLS and host names kept.
    connect_to: str | None = None
    #: A certificate authority trusted besides the usual ones.
    ca_file: Path | None = None
    #: Source address: request budgets are per address.
    local_address: str | None = None
    #: The venue's own test environment.
    sandbox: bool = False
    #: Handed to the ccxt class.
    options: Mapping[str, Any] = field(default_factory=dict)
    #: Where the venue's markets are kept between starts; None: nowhere.
    market_cache_dir: Path | None = None
    #: From handing a request to its connection to the last byte of the answer.
    request_timeout_s: float = 5.0
    #: How long ``close`` may take.
    close_timeout_s: float = 2.0
    #: Opened to every host when the account is armed.
    warm_sockets: int = 4
