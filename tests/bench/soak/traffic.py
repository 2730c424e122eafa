"""What a node hears in an hour: commands over every door, reads, readers that come and go, drills, junk."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final
from uuid import UUID, uuid4

import aiohttp

from node.domain.command import Action
from node.errors import TransportRefused, TransportUnavailable
from node.transport.sender import NotConfirmed
from node.transport.topics import Topics
from tests.bench.configuration import TENANT, account_id
from tests.bench.desk import Desk
from tests.bench.processes import BenchError

Document = dict[str, Any]

#: A command that has not ended by then is counted, and its sender goes on.
PATIENCE_S: Final = 60.0
#: Between two commands of one sender.
PAUSE_S: Final = 1.0
#: After a close, instead: Binance bears a dozen a minute of an address, and some. Faster, its limit would be measured.
AFTER_CLOSE_S: Final = 4.0
#: A key may ask a hundred times a minute.
READ_EVERY_S: Final = 0.8
STREAM_MAX_S: Final = 6.0
DRILL_EVERY_S: Final = 20.0
JUNK_EVERY_S: Final = 0.5
#: Over the broker the first account is commanded, over the socket and with a key the second.
OVER_BROKER, OVER_SOCKET = account_id(0), account_id(1)
#: While brokers die and exchanges misbehave.
EXPECTED: Final = (
    BenchError, NotConfirmed, TransportUnavailable, TransportRefused, TimeoutError, aiohttp.ClientError, OSError,
    ValueError,
)  # fmt: skip
_RISK: Final = "/api/v1/b2b/risk"


@dataclass(slots=True, kw_only=True)
class Traffic:
    """Everybody who talks to the node. Trouble is expected: it is counted, and never ends anything."""

    desk: Desk
    socket: aiohttp.ClientSession
    http: aiohttp.ClientSession
    key: str
    port: int
    chance: random.Random
    done: Counter[str] = field(default_factory=Counter)
    troubles: Counter[str] = field(default_factory=Counter)
    newest: UUID | None = None

    def parts(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """Each is tried again and again, by a task of its own."""
        return {
            "over the broker": self._over_the_broker,
            "over the socket": self._over_the_socket,
            "with a key": self._with_a_key,
            "read": self._read,
            "lock stream": self._lock_stream,
            "command stream": self._command_stream,
            "drill": self._drill,
            "junk over the broker": self._junk_over_the_broker,
            "junk over http": self._junk_over_http,
        }

    async def again_and_again(self, name: str, part: Callable[[], Awaitable[None]]) -> None:
        """Until cancelled."""
        while True:
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await part()
            except EXPECTED as error:
                self.troubles[f"{name}: {type(error).__name__}"] += 1
                await asyncio.sleep(PAUSE_S)
            else:
                self.done[name] += 1

    async def _over_the_broker(self) -> None:
        action = self.chance.choice((Action.LOCK, Action.CLOSE_ALL, Action.LOCK))
        sent = await self.desk.command(action, account=OVER_BROKER)
        await asyncio.sleep(self.chance.uniform(0, PAUSE_S))
        epoch = sent.ending["lock"]["epoch"]
        await self.desk.command(Action.UNLOCK, account=OVER_BROKER, epoch=epoch)
        await asyncio.sleep(PAUSE_S if action is Action.LOCK else AFTER_CLOSE_S)

    async def _over_the_socket(self) -> None:
        action = self.chance.choice(("LOCK", "CLOSE_ALL", "FLATTEN"))
        ending = await self._carried_out(self.socket, {"account_id": str(OVER_SOCKET), "action": action})
        await self._unlock(ending["lock"]["epoch"])
        await asyncio.sleep(PAUSE_S if action == "LOCK" else AFTER_CLOSE_S)

    async def _with_a_key(self) -> None:
        """The same id twice: the second is answered as the first was."""
        command_id = str(uuid4())
        body = {"account_id": str(OVER_SOCKET), "action": "LOCK"}
        for _ in range(2):
            await self._kill(self.http, body, {"Idempotency-Key": command_id, **self._credentials})
        await asyncio.sleep(4 * PAUSE_S)

    async def _drill(self) -> None:
        account = self.chance.choice((OVER_BROKER, OVER_SOCKET))
        await self._carried_out(self.socket, {"account_id": str(account), "action": "CLOSE_ALL", "dry_run": True})
        await asyncio.sleep(DRILL_EVERY_S)

    async def _read(self) -> None:
        paths = [
            "/api/v1/b2b/accounts",
            f"/api/v1/b2b/accounts/{OVER_SOCKET}/lock",
            f"/api/v1/locks/{OVER_BROKER}",
            "/readyz",
            "/openapi.json",
        ]
        if self.newest is not None:
            paths.append(f"{_RISK}/commands/{self.newest}")
        async with self.http.get(self.chance.choice(paths), headers=self._credentials) as answer:
            await answer.read()
        async with self.socket.get("/api/v1/node/status") as answer:
            await answer.read()
        await asyncio.sleep(READ_EVERY_S)

    async def _lock_stream(self) -> None:
        """An engine's: open for a while, then gone without a word."""
        await self._listen(f"/api/v1/locks/{self.chance.choice((OVER_BROKER, OVER_SOCKET))}/events")

    async def _command_stream(self) -> None:
        """Of a command that may be over, or that nobody has ever sent."""
        wanted = self.newest or uuid4()
        command_id = self.chance.choice((wanted, wanted, uuid4()))
        await self._listen(f"{_RISK}/commands/{command_id}/events")

    async def _junk_over_the_broker(self) -> None:
        topic = Topics(TENANT).command(self.chance.choice((OVER_BROKER, OVER_SOCKET)))
        await self.desk.publish(topic, self.chance.randbytes(self.chance.choice((0, 3, 200, 20_000))))
        await asyncio.sleep(JUNK_EVERY_S)

    async def _junk_over_http(self) -> None:
        kind = self.chance.randrange(4)
        if kind == 0:
            async with self.http.post(f"{_RISK}/kill", data=b"{", headers=self._credentials) as answer:
                await answer.read()
        elif kind == 1:
            async with self.http.get(f"/api/v1/{uuid4()}") as answer:
                await answer.read()
        elif kind == 2:
            async with self.http.post(f"{_RISK}/kill", json={}, headers={"X-API-Key": "ad_b2b_nobody"}) as answer:
                await answer.read()
        else:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.write(b"POST /api/v1/b2b/risk/kill HTTP/1.1\r\nContent-Length: 5000\r\n\r\n{")
            await writer.drain()
            writer.transport.abort()
        await asyncio.sleep(JUNK_EVERY_S)

    @property
    def _credentials(self) -> dict[str, str]:
        return {"X-API-Key": self.key}

    async def _listen(self, path: str) -> None:
        async with self.http.get(path, headers=self._credentials) as stream:
            if stream.status != HTTPStatus.OK:
                await stream.read()
                await asyncio.sleep(PAUSE_S)
                return
            try:
                async with asyncio.timeout(self.chance.uniform(0.1, STREAM_MAX_S)):
                    async for _ in stream.content:
                        pass
            except TimeoutError:
                stream.close()

    async def _unlock(self, epoch: int) -> None:
        """Somebody else may have locked in between: then it is refused, as it should be."""
        body = {"account_id": str(OVER_SOCKET), "epoch": epoch}
        async with self.socket.post(f"{_RISK}/unlock", json=body) as answer:
            await answer.read()

    async def _carried_out(self, session: aiohttp.ClientSession, body: Document) -> Document:
        command_id = await self._kill(session, body, {})
        newest: Document = {}
        async with session.get(f"{_RISK}/commands/{command_id}/events") as stream:
            stream.raise_for_status()
            async for line in stream.content:
                if line.startswith(b"data: "):
                    newest = json.loads(line.removeprefix(b"data: "))
        if "lock" not in newest:
            raise ValueError("a stream that ends without an ending")
        return newest

    async def _kill(self, session: aiohttp.ClientSession, body: Document, headers: dict[str, str]) -> str:
        async with session.post(f"{_RISK}/kill", json=body, headers=headers) as answer:
            answer.raise_for_status()
            self.newest = UUID((await answer.json())["command_id"])
            return str(self.newest)
