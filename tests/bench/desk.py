"""A sender that stamps the moment of handing a command over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from uuid import uuid4

from node.domain.command import Action
from node.transport.issuer_key import IssuerKey
from node.transport.mqtt import MqttTransport
from node.transport.mqtt_options import MqttOptions
from node.transport.sender import Outgoing, Sender
from node.transport.topics import AccountTarget, Topics
from tests.bench.configuration import ACCOUNT_ID, ISSUER, TENANT
from tests.bench.processes import BenchError
from tests.bench.relay import Relay
from tests.bench.venue import Document
from tests.support.mosquitto import PASSWORDS


class StampingTransport(MqttTransport):
    """Remembers when each command was first handed over."""

    def __init__(self, options: MqttOptions) -> None:
        super().__init__(options)
        #: Monotonic nanoseconds by correlation data, immediately before the publish.
        self.handed_over_ns: dict[bytes, int] = {}

    async def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        retain: bool = False,
        correlation_data: bytes | None = None,
        response_topic: str | None = None,
        expiry_s: int | None = None,
    ) -> None:
        """Publish at QoS 1, with a stamp."""
        if correlation_data is not None:
            self.handed_over_ns.setdefault(correlation_data, time.monotonic_ns())
        await super().publish(
            topic,
            payload,
            retain=retain,
            correlation_data=correlation_data,
            response_topic=response_topic,
            expiry_s=expiry_s,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One command from the sender's side; times are monotonic nanoseconds."""

    handed_over_ns: int
    #: When it reached the node's socket, if somebody looked.
    received_ns: int | None
    told_ns: int
    #: One of each node.
    endings: tuple[Document, ...]

    @property
    def ending(self) -> Document:
        """Of the only node."""
        (only,) = self.endings
        return only


class Desk:
    """An issuer connected to a broker."""

    def __init__(self, transport: StampingTransport, sender: Sender) -> None:
        self._transport = transport
        self._sender = sender

    async def publish(self, topic: str, payload: bytes) -> None:
        """Anything, anywhere that an issuer may write."""
        await self._transport.publish(topic, payload)

    async def command(
        self,
        action: Action,
        *,
        account: AccountTarget = ACCOUNT_ID,
        dry_run: bool = False,
        epoch: int | None = None,
        nodes: int = 1,
        between: Relay | None = None,
    ) -> Sent:
        """Send one command and wait for the ending of it at every node; *between* stamps its receipt.

        Raises:
            BenchError: it was rejected.
        """
        outgoing = Outgoing(
            account=account,
            action=action,
            command_id=uuid4(),
            dry_run=dry_run,
            reason="bench",
            epoch=epoch,
            nodes=nodes,
        )
        if between is not None:
            between.expect(outgoing.command_id)
        endings: dict[str, tuple[int, Document]] = {}
        async with aclosing(self._sender.send(outgoing)) as events:
            async for event in events:
                endings[event["node_id"]] = time.monotonic_ns(), event
        handed_over_ns = self._transport.handed_over_ns.pop(outgoing.command_id.bytes)
        if refused := [event for _, event in endings.values() if event["state"] == "rejected"]:
            raise BenchError(f"{action} was rejected: {refused[0]['errors']}")
        return Sent(
            handed_over_ns=handed_over_ns,
            received_ns=between.reached_ns(outgoing.command_id) if between is not None else None,
            told_ns=max(told_ns for told_ns, _ in endings.values()),
            endings=tuple(event for _, event in endings.values()),
        )


@asynccontextmanager
async def desk(broker_port: int, key: IssuerKey) -> AsyncIterator[Desk]:
    """Connect an issuer, until the context ends."""
    topics = Topics(TENANT)
    response_topic = Sender.new_response_topic(topics, ISSUER)
    transport = StampingTransport(
        MqttOptions(
            host="127.0.0.1",
            port=broker_port,
            client_id=response_topic.rpartition("/")[2],
            subscriptions=(response_topic,),
            session_expiry_s=0,
            username=ISSUER,
            password=PASSWORDS[ISSUER],
        )
    )
    sender = Sender(transport, key, topics, response_topic)
    tasks = [
        asyncio.create_task(transport.run(), name="bench-mqtt"),
        asyncio.create_task(sender.receive(), name="bench-answers"),
    ]
    try:
        await transport.wait_connected()
        yield Desk(transport, sender)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
