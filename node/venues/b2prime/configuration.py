"""B2PRIME: what ``options`` may say. Whatever is inferred about the venue has a name, and a safe default."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from node.venues.b2prime import endpoints
from node.venues.options import ACCOUNT

#: What the profile reads itself, and the class does not know.
OWN: Final[Mapping[str, Any]] = {
    # Unknown: what a close does to an account that copies another. Such an account is degraded unless this allows it.
    "copyTradingAccount": False,
    # Unknown: with which status the venue refuses to cancel what is not there, 404 or 400. It proves a permission only
    # where it is this one.
    "unknownOrderStatus": 404,
    # A lock revokes every active webhook key as well: for good, and of the whole user.
    "revokeWebhookKeys": False,
}
ALL: Final[Mapping[str, Any]] = {**endpoints.OPTIONS, **OWN, "hostname": None}
_ACCOUNT_ID: Final = re.compile(r"[0-9a-f]{24}")
_HOST: Final = re.compile(r"[A-Za-z0-9.-]+(:\d+)?")


def faults(given: Mapping[str, Any]) -> list[str]:
    """What is wrong: the broker's host and the account must be named, and no option that nobody reads."""
    found = []
    host, account = given.get("hostname"), given.get("accountId")
    if not isinstance(host, str) or not _HOST.fullmatch(host):
        found.append("options.hostname: the broker's host, without https:// and path")
    if not isinstance(account, str) or not _ACCOUNT_ID.fullmatch(account):
        found.append("options.accountId: 24 digits 0-9a-f, as Get accounts lists them")
    known = {*ALL, ACCOUNT, "recvWindow"}
    found += [f"options.{name}: b2prime knows no such option" for name in sorted(given.keys() - known)]
    for name, default in ALL.items():
        if isinstance(default, bool) and not isinstance(given.get(name, default), bool):
            found.append(f"options.{name}: true or false")
    for name, allowed in (("wholeClose", ("null", "empty", "none")), ("unknownOrderStatus", (404, 400))):
        if given.get(name, ALL[name]) not in allowed:
            found.append(f"options.{name}: one of {', '.join(map(repr, allowed))}")
    return found
