"""The risk API before the real engine: what a key can do, with the journal and without it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

from node.api.app import create_app
from node.api.key_gate import KeyGate
from node.api.keyring import Keyring, Owner
from node.api.rates import KeyRates, StrangerRates
from node.clock import SystemClock
from node.domain.command import Action
from node.engine.authority import Issuer
from tests.support.asgi_client import Answer, AsgiClient
from tests.support.engine import ACCOUNT, OTHER, Engine, engine
from tests.support.fake_venue import FakeVenue, position
from tests.support.keyring import MemoryKeyStore

KILL = "/api/v1/b2b/risk/kill"
BTC = "BTC/USDT:USDT"


class Holder:
    """Somebody with a key for the first of two accounts."""

    def __init__(self, client: AsgiClient, key: str, node: Engine[FakeVenue], store: MemoryKeyStore) -> None:
        self._client, self._key = client, key
        self.node, self.store = node, store

    async def kill(self, action: Action, *, account: UUID = ACCOUNT, command_id: UUID | None = None) -> Answer:
        """Send a command."""
        headers = {"x_api_key": self._key} | ({} if command_id is None else {"idempotency_key": str(command_id)})
        return await self._client.post(KILL, {"account_id": str(account), "action": action.value}, **headers)

    async def result(self, command_id: object) -> Answer:
        """Ask for a command's result."""
        return await self._client.get(f"/api/v1/b2b/risk/commands/{command_id}", x_api_key=self._key)


@asynccontextmanager
async def holder() -> AsyncIterator[Holder]:
    """Two owners' accounts, each with a position; a key of the first."""
    clock, store = SystemClock(), MemoryKeyStore()
    owners = [Owner(id="acme", subscribed=True, accounts=frozenset({ACCOUNT}))]
    keyring = Keyring(store, owners, clock=clock, rates=KeyRates(clock))
    made = await keyring.create("acme")
    issuer = Issuer(id=made.key.issuer, actions=made.key.actions, accounts=frozenset({ACCOUNT}), kept_in_the_dark=True)
    venues = [FakeVenue(positions=[position(BTC, "1.50")]) for _ in range(2)]
    async with engine(*venues, issuers=(issuer,)) as node:
        app = create_app(node.desk, operator=False, authenticate=KeyGate(keyring, StrangerRates(clock)))
        yield Holder(AsgiClient(app), made.token.text, node, store)


async def test_a_key_closes_its_account() -> None:
    """And is told when it is proven."""
    async with holder() as sender:
        answer = await sender.kill(Action.CLOSE_ALL)
        assert answer.status == 200
        await sender.node.ending(answer.document["command_id"])
        document = (await sender.result(answer.document["command_id"])).document
        assert (document["state"], document["verdict"]) == ("done", "flat")
        assert sender.node.venues[ACCOUNT].positions == []


async def test_anothers_account_is_refused_and_untouched() -> None:
    """As an account that nobody has."""
    async with holder() as sender:
        first = await sender.kill(Action.CLOSE_ALL, account=OTHER)
        second = await sender.kill(Action.CLOSE_ALL, account=uuid4())
        assert (first.status, first.document) == (second.status, second.document)
        assert (first.status, first.code) == (404, "NOT_FOUND")
        assert sender.node.ledger.get(OTHER).locked is False
        assert len(sender.node.venues[OTHER].positions) == 1


async def test_a_conflict_tells_nothing_of_the_first_command() -> None:
    """Neither of one's own with other content nor of another's."""
    async with holder() as sender:
        command_id = uuid4()
        assert (await sender.kill(Action.LOCK, command_id=command_id)).status == 200
        answer = await sender.kill(Action.CLOSE_ALL, command_id=command_id)
        assert (answer.status, answer.code) == (409, "CONFLICT")
        assert set(answer.document) == {"success", "error"}
        assert "LOCK" not in answer.body.decode()


async def test_with_journal_and_key_store_down_the_kill_still_runs() -> None:
    """Toward flat: it says that nothing is on record, and its result can still be asked for."""
    async with holder() as sender:
        sender.node.journal.down = True
        sender.store.broken = True
        answer = await sender.kill(Action.CLOSE_ALL)
        assert (answer.status, answer.headers["x-journaled"]) == (200, "false")
        await sender.node.ending(answer.document["command_id"])
        result = await sender.result(answer.document["command_id"])
        assert (result.status, result.document["state"], result.headers["x-journaled"]) == (200, "done", "false")
        assert sender.node.ledger.get(ACCOUNT).locked is True
        unknown = await sender.result(uuid4())
        assert (unknown.status, unknown.code) == (503, "NOT_READY")
