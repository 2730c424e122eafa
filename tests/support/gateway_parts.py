"""A gateway's desk in this process, on the in-memory broker, with a node that says what it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from node.api.keyring import Keyring, Owner
from node.api.rates import KeyRates
from node.clock import SystemClock
from node.domain.command import Action, Door, Request
from node.domain.result import Document, instant_text
from node.engine.bus import Bus
from node.engine.ports import Delivery
from node.errors import JournalUnavailable
from node.gateway.courier import Courier
from node.gateway.desk import GatewayDesk
from node.gateway.estimates import Estimates
from node.gateway.exchange import Exchange
from node.gateway.mirror import Mirror
from node.gateway.settings import GatewaySettings, parse_gateway
from node.gateway.store import GatewayStore
from node.transport.envelope import EnvelopeVerifier, SignedRequest
from node.transport.issuer_key import IssuerKey
from node.transport.memory import MemoryBroker, MemoryTransport
from node.transport.topics import Topics
from tests.support.keyring import MemoryKeyStore

ACCOUNT = UUID("6b0c8d1e-5f0a-4c52-9a1e-3d0f6f1d2a77")
TOPICS = Topics("acme")
RESPONSES = "sn/v1/acme/rsp/gateway-1/x"


class ScriptedNode:
    """Hears every command of the tenant and verifies it; answers with ``script`` (states), in order, each time."""

    def __init__(self, broker: MemoryBroker, key: IssuerKey, name: str = "node-1") -> None:
        self.name = name
        self.script: list[str] = ["accepted"]
        self.heard: list[SignedRequest] = []
        self.arrived = asyncio.Event()
        self._seq = 0
        self.transport = MemoryTransport(broker, f"sn-acme-{name}", TOPICS.every_command)
        self._verifier = EnvelopeVerifier(tenant="acme", public_keys={key.issuer: key.private_key.public_key()})

    async def run(self) -> None:
        """Answer until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.transport.run(), name="scripted-node")
            async for delivery in self.transport.deliveries():
                await self._take(delivery)

    async def _take(self, delivery: Delivery) -> None:
        await delivery.acknowledge()
        signed = self._verifier.verify(delivery.payload)
        self.heard.append(signed)
        self.arrived.set()
        for state in self.script:
            await self.say(signed.command_id, state, action=signed.action.value, account=signed.account)

    async def say(
        self,
        command_id: UUID,
        state: str,
        *,
        action: str = "LOCK",
        account: UUID | str = ACCOUNT,
        topic: str | None = None,
        retain: bool = False,
        code: str | None = None,
        **fields: Any,
    ) -> None:
        """Publish an event."""
        self._seq += 1
        target = "*" if isinstance(account, str) else account
        document: Document = {
            "schema": "sovereign-node/result/1",
            "node_id": self.name,
            "seq": self._seq,
            "command_id": str(command_id),
            "account_id": str(account),
            "action": action,
            "state": state,
            "verdict": "locked" if state == "done" else None,
            "dry_run": False,
            "at": instant_text(datetime.now(UTC)),
            "latency_ms": {"total": 1.0},
            "errors": [] if code is None else [{"code": code, "message": "because"}],
            **fields,
        }
        place = TOPICS.event("*" if target == "*" else target, command_id) if topic is None else topic  # type: ignore[arg-type]
        await self.transport.publish(place, json.dumps(document).encode(), retain=retain)


class ShiftedClock(SystemClock):
    """The machine's clock, as if it were later on the wall."""

    def __init__(self) -> None:
        self.shift = timedelta()

    def now(self) -> datetime:
        """Aware UTC."""
        return super().now() + self.shift


@dataclass(slots=True, kw_only=True)
class Parts:
    """What tests drive."""

    broker: MemoryBroker
    node: ScriptedNode
    desk: GatewayDesk
    exchange: Exchange
    courier: Courier
    store: GatewayStore
    mirror: Mirror
    transport: MemoryTransport
    clock: ShiftedClock
    keyring: Keyring
    junk: list[int] = field(default_factory=list)


def settings(folder: Path, **table: Any) -> GatewaySettings:
    """One account."""
    return parse_gateway(
        {
            "gateway": {
                "id": "gateway-1",
                "tenant": "acme",
                "state_dir": str(folder / "state"),
                "runtime_dir": str(folder / "run"),
                "issuer_key": {"credential": "key"},
                "confirm_within_s": 0.3,
                **table,
            },
            "mqtt": {"url": "mqtt://127.0.0.1:1883"},
            "owners": [{"id": "acme"}, {"id": "other"}],
            "accounts": [{"id": str(ACCOUNT), "name": "main", "owner": "acme"}],
        }
    )


def request(action: Action = Action.LOCK, **fields: Any) -> Request:
    """Of the operator."""
    return Request(
        **{"command_id": uuid4(), "account_id": ACCOUNT, "issuer": "operator", "door": Door.OPERATOR, **fields},
        action=action,
    )


@asynccontextmanager
async def gateway_parts(
    folder: Path,
    *,
    broker: MemoryBroker | None = None,
    key: IssuerKey | None = None,
    with_node: bool = True,
    **table: Any,
) -> AsyncIterator[Parts]:
    """Everything but sockets, running."""
    broker, key = broker or MemoryBroker(), key or IssuerKey.generate("gateway")
    made, clock, bus, junk = settings(folder, **table), ShiftedClock(), Bus(), list[int]()
    async with GatewayStore(folder / "gateway.sqlite3") as store:
        mirror, estimates = Mirror(made.account_ids, clock, boot_id="here"), Estimates(made.account_ids)

        def on_connection(connected: bool) -> None:
            exchange.connection(connected)

        transport = MemoryTransport(
            broker,
            "gateway",
            TOPICS.every_event,
            TOPICS.every_lock,
            TOPICS.every_status,
            RESPONSES,
            on_connection=on_connection,
        )
        courier = Courier(transport, TOPICS, RESPONSES, clock)
        exchange = Exchange(
            TOPICS,
            gateway_id="gateway-1",
            store=store,
            courier=courier,
            mirror=mirror,
            bus=bus,
            estimates=estimates,
            clock=clock,
            on_junk=lambda: junk.append(1),
        )
        owners = [
            Owner(
                id=owner.id,
                subscribed=True,
                accounts=frozenset(account.id for account in made.accounts if account.owner == owner.id),
            )
            for owner in made.owners
        ]
        keyring = Keyring(MemoryKeyStore(), owners, clock=clock, rates=KeyRates(clock))
        desk = GatewayDesk(
            made,
            key,
            store=store,
            courier=courier,
            exchange=exchange,
            mirror=mirror,
            bus=bus,
            estimates=estimates,
            keyring=keyring,
            clock=clock,
            not_ready=tuple,
            parts=dict,
            on_told=lambda _action, _outcome, _seconds: None,
            version="0",
            started_at=clock.now(),
        )
        node = ScriptedNode(broker, key)
        await exchange.recover()
        async with asyncio.TaskGroup() as tasks:
            parts = [
                transport.run(),
                exchange.receive(transport.deliveries()),
                exchange.write(),
                exchange.ask_again(),
                courier.run(),
            ]
            if with_node:
                parts.append(node.run())
            running = [tasks.create_task(part, name="gateway-part") for part in parts]
            await transport.wait_connected()
            if with_node:
                await node.transport.wait_connected()
            try:
                yield Parts(
                    broker=broker,
                    node=node,
                    desk=desk,
                    exchange=exchange,
                    courier=courier,
                    store=store,
                    mirror=mirror,
                    transport=transport,
                    clock=clock,
                    keyring=keyring,
                    junk=junk,
                )
            finally:
                for task in running:
                    task.cancel()
        with contextlib.suppress(JournalUnavailable):
            await exchange.flush()
