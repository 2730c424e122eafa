"""``b2prime`` whose ``fetch`` is replaced: what would be sent, and what comes back, by method and path."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from node.venues.b2prime.exchange import b2prime

HOST = "trade.broker.example"
ACCOUNT = "685a7eaa360f9e7416221a61"
OFFLINE = "canary-offline-token"
BEARER = {"Authorization": "Bearer JWT"}
JSON = {"Content-Type": "application/json"}
JSON_V3 = {"Content-Type": "application/json; x-api-version=3.0"}
JSON_V4 = {"Content-Type": "application/json; x-api-version=4.0"}
ANY = {"Accept": "*/*"}
OWN = {"accountId": ACCOUNT}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    line: str
    headers: dict[str, str]
    body: Any = None


@dataclass(slots=True)
class Venue:
    exchange: Any
    answers: dict[str, Any] = field(default_factory=dict)
    sent: list[Sent] = field(default_factory=list)

    async def fetch(self, url: str, method: str, headers: dict[str, str] | None, body: str | None) -> Any:
        parts = urlsplit(url)
        assert (parts.scheme, parts.netloc) == ("https", HOST)
        line = f"{method} {parts.path}" + (f"?{parts.query}" if parts.query else "")
        self.sent.append(Sent(line=line, headers=dict(headers or {}), body=json.loads(body) if body else body))
        found = self.answers[f"{method} {parts.path}"]
        if isinstance(found, list) and found and isinstance(found[0], tuple):
            found = found.pop(0)
        if isinstance(found, tuple):
            status, document = found
            text = document if isinstance(document, str) else json.dumps(document)
            parsed = None if isinstance(document, str) else document
            self.exchange.handle_errors(status, "", url, method, {}, text, parsed, headers, body)
            return document
        return json.loads(json.dumps(found))


@asynccontextmanager
async def recorded(**options: Any) -> AsyncIterator[Venue]:
    """An instance that knows its host and account."""
    exchange = b2prime(
        {"token": OFFLINE, "options": {"hostname": HOST, "accountId": ACCOUNT, **options}, "enableRateLimit": False}
    )
    exchange.timeout_on_exit = 0
    venue = Venue(exchange)
    venue.answers["POST /frontoffice/api/v4/access-token"] = {"accessToken": "JWT"}
    exchange.fetch = venue.fetch
    try:
        yield venue
    finally:
        await exchange.close()
