"""What the wire alone takes: a message of an envelope's size to another client of the same broker, and back."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Final

from node.transport.mqtt import MqttTransport
from node.transport.mqtt_options import MqttOptions
from tests.bench.figures import ms
from tests.support.mosquitto import PASSWORDS

#: About what a signed LOCK has.
ENVELOPE_BYTES: Final = 500
_PING, _PONG = "sn/v1/acme/rsp/bench/ping", "sn/v1/acme/rsp/bench/pong"


class Echo:
    """Two clients of one broker: what the one says the other repeats."""

    def __init__(self, port: int) -> None:
        self._caller, self._answerer = (self._client(port, name, topic) for name, topic in (("a", _PONG), ("b", _PING)))

    @staticmethod
    def _client(port: int, name: str, topic: str) -> MqttTransport:
        return MqttTransport(
            MqttOptions(
                host="127.0.0.1",
                port=port,
                client_id=f"bench-{name}",
                subscriptions=(topic,),
                username="node-1",
                password=PASSWORDS["node-1"],
                session_expiry_s=0,
            )
        )

    async def __aenter__(self) -> Echo:
        self._tasks = [
            asyncio.create_task(self._caller.run(), name="echo-caller"),
            asyncio.create_task(self._answerer.run(), name="echo-answerer"),
            asyncio.create_task(self._answer(), name="echo-answers"),
        ]
        await asyncio.gather(self._caller.wait_connected(), self._answerer.wait_connected())
        return self

    async def __aexit__(self, *_exception: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _answer(self) -> None:
        async for delivery in self._answerer.deliveries():
            await asyncio.gather(self._answerer.publish(_PONG, delivery.payload), delivery.acknowledge())

    async def once(self) -> float:
        """Milliseconds there and back."""
        began_ns = time.monotonic_ns()
        publishing = asyncio.create_task(self._caller.publish(_PING, os.urandom(ENVELOPE_BYTES)), name="ping")
        delivery = await anext(self._caller.deliveries())
        taken_ms = ms(time.monotonic_ns() - began_ns)
        await delivery.acknowledge()
        await publishing
        return taken_ms
