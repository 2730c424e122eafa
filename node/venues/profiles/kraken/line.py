"""Kraken: private requests of one key, one after the other where their nonces have to rise.

https://docs.kraken.com/api/docs/guides/spot-rest-auth: each nonce must be larger than the last one that has arrived.
Requests that leave together on several connections arrive in any order, so that without a "nonce window" (a setting of
the key) some would be refused. A request therefore waits for the answer to the one before it, but not for long: what
has not been answered by then has arrived, or is lost.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

#: How long a request that is not answered may keep the next one waiting.
PATIENCE_S: Final = 0.5
#: A window, in milliseconds like our nonces, in which all that leaves together arrives.
WINDOW_MS: Final = 1000


class Line:
    """Whose turn it is. One for each account."""

    def __init__(self) -> None:
        #: Whether the key accepts nonces out of order: then nobody waits.
        self.wide = False
        self._turn = asyncio.Lock()

    async def send(self, exchange: Any, path: str, api: Any, method: str, params: Any) -> Any:  # noqa: ANN401
        """Sign a request when it is its turn, send it, and return its answer."""
        sending: asyncio.Future[Any] | None = None
        try:
            async with self._turn:
                request = exchange.sign(path, api, method, params)
                sending = asyncio.ensure_future(
                    exchange.fetch(request["url"], request["method"], request["headers"], request["body"])
                )
                await asyncio.wait({sending}, timeout=PATIENCE_S)
            return await sending
        finally:
            if sending is not None and not sending.done():
                sending.cancel()


def in_line(plain_class: Any, line: Line) -> Any:  # noqa: ANN401 - ccxt has no types
    """ccxt's class, with its private requests in line."""

    async def fetch2(self: Any, path: str, api: Any = ("public",), method: str = "GET", *rest: Any) -> Any:  # noqa: ANN401
        if line.wide or api[0] != "private":
            return await plain_class.fetch2(self, path, api, method, *rest)
        await self.throttle(None)  # the wait for a budget is nobody else's: it comes before the turn
        return await line.send(self, path, api, method, rest[0] if rest else {})

    def sign(self: Any, path: str, api: Any = ("public",), method: str = "GET", params: Any = None) -> Any:  # noqa: ANN401
        params = dict(params or {})
        if path == "AddOrder" and "reduce_only" not in params:
            # Whoever asks after it may then be told that it will not come any more.
            params["deadline"] = self.iso8601(int(self.nonce()) + DEADLINE_MS)
        return plain_class.sign(self, path, api, method, params)

    return type(plain_class.__name__, (plain_class,), {"fetch2": fetch2, "sign": sign})


#: An order that nothing bounds is not matched later than this after it was signed (the venue allows 2 to 60 s).
DEADLINE_MS: Final = 8000
