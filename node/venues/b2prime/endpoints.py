"""Every endpoint of B2PRIME that is used, with the headers that its documentation shows.

Sources: "documented" is B2PRIME's own documentation (https://api-docs.b2prime.com/rest-api/settings, .../trading,
.../history); "platform" is documented for the same platform under another brand
(https://api-docs.b2trader.b2broker.com/rest-api); "inferred" has been seen in no documentation, and is not used unless
an option says so (``OPTIONS``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

Source = Literal["documented", "platform", "third-party", "inferred"]

_V3: Final = "frontoffice/api/v3"
_V4: Final = "frontoffice/api/v4"
_V6: Final = "frontoffice/api/v6"
_MARGIN: Final = f"{_V4}/account-margin-settings/assets"
_KEYS: Final = f"{_V3}/webhook/api-keys"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One method and path."""

    method: str
    path: str
    source: Source = "documented"
    #: Carries ``Authorization: Bearer``.
    private: bool = True
    #: Carries ``accountId``.
    account: bool = False
    #: Shows ``Accept: */*``.
    accept: bool = False
    #: What ``Content-Type`` carries besides ``application/json``.
    version: str | None = None
    #: The parameters are the query, whatever the method.
    query: bool = False

    @property
    def call(self) -> str:
        """ccxt's name of the method for it, such as ``privateGetFrontofficeApiV3Accounts``."""
        words = [word for word in re.split(r"[^A-Za-z0-9]+", self.path) if word]
        side = "private" if self.private else "public"
        return side + self.method.capitalize() + "".join(word[0].upper() + word[1:] for word in words)

    @property
    def body(self) -> bool:
        """Whether parameters travel as JSON."""
        return self.method in ("POST", "PUT") and not self.query


def _trading(method: str, path: str, source: Source = "platform", version: str | None = None) -> Endpoint:
    return Endpoint(method=method, path=path, source=source, account=True, accept=True, version=version)


TOKEN: Final = Endpoint(method="POST", path=f"{_V4}/access-token", source="third-party", private=False)

ENDPOINTS: Final = (
    TOKEN,
    # Settings: the whole page is documented by the venue itself.
    Endpoint(method="GET", path=f"{_V3}/accounts", accept=True),
    Endpoint(method="GET", path=f"{_V3}/assets", accept=True),
    Endpoint(method="GET", path=f"{_V6}/markets", account=True),
    Endpoint(method="GET", path=f"{_V6}/markets/{{marketId}}", accept=True),
    Endpoint(method="POST", path=f"{_V6}/markets/favorites/add"),
    Endpoint(method="POST", path=f"{_V6}/markets/favorites/delete"),
    Endpoint(method="GET", path=_MARGIN, accept=True),
    Endpoint(method="POST", path=f"{_MARGIN}/{{assetId}}", accept=True),
    Endpoint(method="DELETE", path=f"{_MARGIN}/{{assetId}}", accept=True),
    Endpoint(method="GET", path=f"{_V3}/info", accept=True),
    Endpoint(method="GET", path=f"{_V3}/info/time-zones", accept=True),
    Endpoint(method="POST", path=_KEYS),
    Endpoint(method="GET", path=_KEYS),
    Endpoint(method="DELETE", path=f"{_KEYS}/{{id}}"),
    Endpoint(method="POST", path=f"{_V3}/webhook/alerts/{{userId}}", private=False),
    # Orders
    _trading("POST", f"{_V3}/orders", "documented"),
    _trading("POST", "frontoffice/api/cfd/v4/orders", version="4.0"),
    _trading("POST", "frontoffice/api/perpetual/v4/orders", "inferred", "4.0"),
    _trading("DELETE", f"{_V3}/orders/{{orderId}}"),
    _trading("POST", f"{_V3}/stop-orders", version="4.0"),
    _trading("POST", "frontoffice/api/cfd/v4/stop-orders", "inferred", "4.0"),
    _trading("POST", "frontoffice/api/perpetual/v4/stop-orders", version="4.0"),
    _trading("DELETE", f"{_V3}/stop-orders/{{orderId}}"),
    _trading("POST", f"{_V3}/order-data", version="3.0"),
    _trading("POST", "frontoffice/api/cfd/v4/order-data", version="4.0"),
    _trading("POST", "frontoffice/api/perpetual/v4/order-data", version="4.0"),
    # Positions
    _trading("POST", f"{_V4}/positions/{{positionId}}/close", version="4.0"),
    _trading("POST", f"{_V4}/positions/bulk-close", version="4.0"),
    _trading("POST", f"{_V4}/positions/{{positionId}}/trigger-data", version="4.0"),
    _trading("PUT", f"{_V4}/positions/{{positionId}}/triggers", version="4.0"),
    # History; of the last two, heading and example name different versions
    _trading("POST", f"{_V4}/positions/{{positionId}}/executions/list", "documented", "4.0"),
    _trading("POST", f"{_V4}/positions/executions/list", version="4.0"),
    _trading("POST", f"{_V4}/orders/closed-positions", version="4.0"),
    *(
        _trading("POST", f"frontoffice/api/{version}/orders/{rest}", version="4.0")
        for version in ("v5", "v4")
        for rest in ("{orderId}/executions/list", "executions/list")
    ),
    # SignalR's negotiation (aspnetcore/src/SignalR/docs/specs/TransportProtocols.md)
    *(
        Endpoint(method="POST", path=f"frontoffice/ws/{version}/account/negotiate", source="inferred", query=True)
        for version in ("v3", "v4")
    ),
)

BY_PLACE: Final[Mapping[tuple[str, str], Endpoint]] = {(each.method, each.path): each for each in ENDPOINTS}

#: Hub and target of each stream ("platform", open orders "documented").
STREAMS: Final[Mapping[str, tuple[str, str]]] = {
    "orders": ("frontoffice/ws/v4/account", "OpenOrders"),
    "positions": ("frontoffice/ws/v4/account", "OpenPositions"),
    "closed_positions": ("frontoffice/ws/v4/account", "ClosePositionsOrders"),
    "balances": ("frontoffice/ws/v3/account", "FullBalance"),
    "margin": ("frontoffice/ws/v3/account", "MarginData"),
    #: With the markets besides the account.
    "quotes": ("marketdata/v5/info", "Tob"),
}

#: What may be set in ``options``. Everything that no documentation of the venue bears out is here, by name, with the
#: value that cannot do harm where the inference is wrong.
OPTIONS: Final[Mapping[str, Any]] = {
    # Identification of the account: 24 hexadecimal digits, from ``fetch_accounts``.
    "accountId": None,
    # Third-party: the token made in the terminal is exchanged for one of an hour. False: it is the Bearer itself.
    "exchangeToken": True,
    # Inferred: life of an access token that does not name its own end, in seconds.
    "accessTokenLife": 3600,
    # Inferred: path of perpetual orders.
    "perpetualOrders": False,
    # Inferred: path of stop orders on CFDs.
    "cfdStopOrders": False,
    # Unknown: the document shows no account with the margin settings, though they are of an account.
    "accountIdWithMarginSettings": False,
    # Documented as nullable; inferred that null is the whole position. "null", "empty" (``{}``) or "none" (no body).
    "wholeClose": "null",
    # Heading "v5", example "v4".
    "executionsVersion": "v5",
    # Inferred: whether SignalR wants its negotiation. The documentation shows the bare address.
    "negotiate": False,
    # How long the first message of a subscription may take, in milliseconds. Silence is never an empty list.
    "firstMessageTimeout": 5000,
    # Whether ``fetch_markets`` asks for each market's details at once: one request a market.
    "marketDetails": False,
}


def api() -> dict[str, dict[str, dict[str, int]]]:
    """The endpoints as ccxt wants them described, so that each has its own method."""
    found: dict[str, dict[str, dict[str, int]]] = {"public": {}, "private": {}}
    for each in ENDPOINTS:
        found["private" if each.private else "public"].setdefault(each.method.lower(), {})[each.path] = 1
    return found
