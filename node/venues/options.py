"""What one account's configuration says about its venue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from node.domain.permission import Permission

#: The name, among ``VenueOptions.options``, under which configuration says of which kind the account is.
ACCOUNT: Final = "account"


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
    #: Handed to the ccxt class, except for ``ACCOUNT``.
    options: Mapping[str, Any] = field(default_factory=dict)
    #: An account whose key may withdraw is degraded. (Commands are carried out all the same: they make risk smaller.)
    refuse_withdrawal: bool = False
    #: Where the venue's markets are kept between starts; None: nowhere.
    market_cache_dir: Path | None = None
    #: From handing a request to its connection to the last byte of the answer.
    request_timeout_s: float = 5.0
    #: How long ``close`` may take.
    close_timeout_s: float = 2.0
    #: Opened to every host when the account is armed.
    warm_sockets: int = 4
