"""One attempt to post a document: what came of it, and the signature that it carries."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import socket
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from http import HTTPStatus
from pathlib import Path
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from node import __version__
from node.plain_files import must_be_regular

#: ``t={seconds},v1={hex}``: HMAC-SHA256 of the seconds, a dot, and the body as posted.
SIGNATURE_HEADER: Final = "Sovereign-Node-Signature"
#: The same in every attempt: a receiver that has it already may ignore the rest.
ID_HEADER: Final = "Sovereign-Node-Notification"

_AGAIN: Final = frozenset(
    {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
)  # fmt: skip


class Answer(StrEnum):
    """What became of one attempt."""

    TAKEN = "taken"
    #: It would be refused again.
    REFUSED = "refused"
    #: It may be taken later.
    FAILED = "failed"


def signature(secret: bytes, body: bytes, at_s: int) -> str:
    """The value of the signature's header. The instant is signed too, so that an old one can be told."""
    digest = hmac.new(secret, f"{at_s}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at_s},v1={digest}"


class LonelyResolver(AbstractResolver):
    """Looks names up on a thread of its own: a name server that hangs must hold up nobody else's look-ups."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="notify-dns")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """All addresses of a name."""

        def look_up() -> list[ResolveResult]:
            found = socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
            return [
                ResolveResult(
                    hostname=host,
                    host=str(address[0]),
                    port=int(address[1]),
                    family=kind,
                    proto=protocol,
                    flags=socket.AI_NUMERICHOST,
                )
                for kind, _, protocol, _, address in found
            ]

        return await asyncio.get_running_loop().run_in_executor(self._thread, look_up)

    async def close(self) -> None:
        """Let the thread go, whatever it does."""
        self._thread.shutdown(wait=False, cancel_futures=True)


class Webhook:
    """Where documents are posted to. Create it inside the running event loop."""

    def __init__(
        self,
        url: str,
        *,
        secret: bytes | None = None,
        timeout_s: float = 5.0,
        ca_file: Path | None = None,
        now_s: Callable[[], float],
    ) -> None:
        """Raise OSError where the certificate authority cannot be read."""
        self._url = url
        self._secret = secret
        self._now_s = now_s
        trust = ssl.create_default_context()
        if ca_file is not None:
            must_be_regular(ca_file)
            trust.load_verify_locations(ca_file)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=LonelyResolver(), ssl=trust, force_close=True, limit=1),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=timeout_s),
            trust_env=False,
            headers={"User-Agent": f"sovereign-node/{__version__}", "Content-Type": "application/json"},
        )

    async def post(self, body: bytes, notification_id: str) -> tuple[Answer, str]:
        """Try once. Never raises for what the other side does, and says in few words what that was.

        A redirect is not followed: what was configured is where it goes. No answer's content is read.
        """
        headers = {ID_HEADER: notification_id}
        if self._secret is not None:
            headers[SIGNATURE_HEADER] = signature(self._secret, body, int(self._now_s()))
        try:
            async with self._session.post(self._url, data=body, headers=headers, allow_redirects=False) as answer:
                status = answer.status
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            return Answer.FAILED, type(error).__name__  # its words may hold the address
        if 200 <= status < 300:
            return Answer.TAKEN, f"HTTP {status}"
        again = status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _AGAIN
        return Answer.FAILED if again else Answer.REFUSED, f"HTTP {status}"

    async def close(self) -> None:
        """Close the connection, if there is one."""
        await self._session.close()
