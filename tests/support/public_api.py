"""The public listener on a real socket, before a desk that counts and knows two owners' accounts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import aiohttp

from node.api.app import create_app
from node.api.key_gate import KeyGate
from node.api.keyring import Keyring
from node.api.rates import StrangerRates
from node.api.server import ApiServer, TcpListener
from node.domain.command import Request
from node.domain.result import Document
from node.engine.authority import Authority, Issuer
from node.engine.ports import Submission
from tests.support.counting_desk import ACCOUNT, ACCOUNT_NAME, CountingDesk
from tests.support.keyring import STRANGERS_ACCOUNT, HandClock, MemoryKeyStore, make_keyring

KILL = "/api/v1/b2b/risk/kill"


class SharedDesk(CountingDesk):
    """Two accounts of two owners; requests are judged by the engine's own authority."""

    def __init__(self, keyring: Keyring, clock: HandClock) -> None:
        super().__init__()
        self._clock = clock
        self._keyring = keyring
        self._authority = Authority((), (ACCOUNT, STRANGERS_ACCOUNT), further=self._holder)

    def _holder(self, issuer: str) -> Issuer | None:
        key = self._keyring.of_issuer(issuer)
        if key is None:
            return None
        accounts = self._keyring.accounts_of(key)
        return Issuer(id=issuer, actions=key.actions, accounts=accounts, kept_in_the_dark=True)

    async def submit(self, request: Request) -> Submission:
        """As the inbox judges."""
        self.rejection = self._authority.obstacle(request, self._clock.now())
        return await super().submit(request)

    def account_of(self, name_or_id: str) -> UUID | None:
        """Both are known here."""
        known = {ACCOUNT_NAME: ACCOUNT, "strangers": STRANGERS_ACCOUNT}
        return known.get(name_or_id) or next((each for each in known.values() if str(each) == name_or_id), None)

    def accounts(self) -> list[Document]:
        """Both."""
        return [
            {"id": str(each), "name": name, "state": "armed", "lock": self.lock(each)}
            for each, name in ((ACCOUNT, ACCOUNT_NAME), (STRANGERS_ACCOUNT, "strangers"))
        ]

    def lock(self, account_id: UUID) -> Document | None:
        """Of both."""
        return {"schema": "sovereign-node/lock/1", "account_id": str(account_id), "locked": False, "epoch": 7}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back."""

    status: int
    headers: Any
    document: Any

    @property
    def refusal(self) -> tuple[int, str]:
        """Status and code; and the shape is the contract's and nothing more."""
        assert set(self.document) == {"success", "error"}
        assert self.document["success"] is False
        assert set(self.document["error"]) == {"code", "message"}
        return self.status, self.document["error"]["code"]


@dataclass(slots=True, kw_only=True)
class PublicApi:
    """A listener and everything behind it."""

    port: int
    desk: SharedDesk
    keyring: Keyring
    store: MemoryKeyStore
    clock: HandClock
    session: aiohttp.ClientSession
    _keys: dict[str, str] = field(default_factory=dict)

    async def key(self, owner: str = "acme", **options: Any) -> str:
        """A new key's text."""
        return (await self.keyring.create(owner, **options)).token.text

    async def call(
        self, method: str, path: str, body: object = None, *, key: str | None = None, **headers: str
    ) -> Answer:
        """One request; bytes go as they are."""
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        if key is not None:
            fields["X-API-Key"] = key
        if isinstance(body, bytes):
            fields.setdefault("Content-Type", "application/json")
        options: dict[str, Any] = {"data": body} if isinstance(body, bytes) else {"json": body}
        url = f"http://127.0.0.1:{self.port}{path}"
        async with self.session.request(method, url, headers=fields, **({} if body is None else options)) as answer:
            document = await answer.json() if method != "HEAD" else None
            return Answer(status=answer.status, headers=answer.headers, document=document)

    async def kill(self, *, key: str | None = None, **fields: Any) -> Answer:
        """A LOCK of the key's account."""
        headers = {"Idempotency_Key": fields.pop("idempotency_key")} if "idempotency_key" in fields else {}
        body = {"account_id": str(ACCOUNT), "action": "LOCK", **fields}
        return await self.call("POST", KILL, body, key=key, **headers)

    async def raw(self, content: bytes) -> bytes:
        """What a connection answers to bytes, until it is closed."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(content)
            await writer.drain()
            return await reader.read()
        finally:
            writer.close()


@asynccontextmanager
async def public_api(*, per_minute: int = 100, strangers_per_minute: int = 60) -> AsyncIterator[PublicApi]:
    """Serve until the end of the block."""
    clock, store = HandClock(), MemoryKeyStore()
    keyring = make_keyring(store, clock, per_minute=per_minute)
    desk = SharedDesk(keyring, clock)
    gate = KeyGate(keyring, StrangerRates(clock, per_minute=strangers_per_minute))
    app = create_app(desk, operator=False, authenticate=gate)
    server = ApiServer([TcpListener(app=app, host="127.0.0.1", port=0)], stop_deadline_s=1)
    async with asyncio.TaskGroup() as tasks:
        await server.start(tasks)
        try:
            async with aiohttp.ClientSession() as session:
                yield PublicApi(
                    port=server.ports[0], desk=desk, keyring=keyring, store=store, clock=clock, session=session
                )
        finally:
            await server.stop()
