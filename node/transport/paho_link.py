"""The one place that reaches through aiomqtt 2.5 to its paho client.

aiomqtt acknowledges a message once it is in a queue in memory, keeps quiet about the session, about a refused
publish (its ``_on_publish`` ignores the reason code) and about a publish whose connection breaks (it waits for its
time-out). All four matter here, and none can be changed from outside.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import time
from collections.abc import Callable
from typing import Final

import aiomqtt
from paho.mqtt.client import Client as PahoClient
from paho.mqtt.client import ConnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from node.errors import TransportRefused, TransportUnavailable

_QOS: Final = 1
#: What we call or replace, and the parameters we rely on.
_EXPECTED: Final = {
    "manual_ack_set": ["self", "on"],
    "ack": ["self", "mid", "qos"],
    "publish": ["self", "topic", "payload", "qos", "retain", "properties"],
    "socket": ["self"],
    "_sock_close": ["self"],
}
_REPLACED: Final = ("on_connect", "on_message", "on_publish")


class TransportLibraryChanged(RuntimeError):
    """aiomqtt or paho-mqtt is not the one that this node was built for: install the pinned versions."""


def check_library() -> None:
    """See that the private interfaces are the ones that were tested. Call once, before connecting.

    Raises:
        TransportLibraryChanged: they are not.
    """
    for name, wanted in _EXPECTED.items():
        method = getattr(PahoClient, name, None)
        if method is None or list(inspect.signature(method).parameters) != wanted:
            raise TransportLibraryChanged(f"paho.mqtt.client.Client.{name} has changed")
    if any(not isinstance(getattr(PahoClient, name, None), property) for name in _REPLACED):
        raise TransportLibraryChanged("the callbacks of paho.mqtt.client.Client have changed")
    probe = PahoClient(CallbackAPIVersion.VERSION2)
    probe.manual_ack_set(True)
    if getattr(probe, "_manual_ack", None) is not True:
        raise TransportLibraryChanged("manual acknowledgement in paho.mqtt.client.Client has changed")


class PahoLink:
    """One connection's paho client: manual acknowledgement, publishing with an outcome, messages as they come.

    Packet ids belong to the connection: once ``close`` was called, nothing that came over it can be acknowledged.
    """

    def __init__(
        self,
        client: aiomqtt.Client,
        *,
        connect_timeout_s: float,
        on_session: Callable[[bool], None],
        on_message: Callable[[PahoLink, MQTTMessage, int], None],
    ) -> None:
        paho = getattr(client, "_client", None)
        if not isinstance(paho, PahoClient):
            raise TransportLibraryChanged("aiomqtt.Client no longer has a paho client inside")
        self._client = client
        self._paho = paho
        self._on_session = on_session
        self._on_message = on_message
        self._unacknowledged: dict[int, asyncio.Future[None]] = {}
        self._closed = False
        self._forward_connect: Callable[..., None] | None = paho.on_connect
        paho.connect_timeout = connect_timeout_s
        paho.manual_ack_set(True)
        paho.on_connect = self._connected
        paho.on_message = self._received
        paho.on_publish = self._published

    @property
    def broken(self) -> bool:
        """Whether the socket is gone already."""
        return self._closed or self._paho.socket() is None

    def acknowledge(self, packet_id: int) -> None:
        """Tell the broker that the message is ours. Without effect on a connection that is gone."""
        if not self.broken:
            self._paho.ack(packet_id, _QOS)  # a failed write ends the connection, and the message comes again

    async def publish(
        self, topic: str, payload: bytes, *, retain: bool, properties: Properties | None, timeout_s: float
    ) -> None:
        """Publish at QoS 1 and wait for the broker's answer.

        Raises:
            TransportUnavailable: the connection broke, or the broker did not answer in time.
            TransportRefused: the broker will not have this message.
        """
        if self.broken:
            raise TransportUnavailable
        info = self._paho.publish(topic, payload, _QOS, retain, properties)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise TransportUnavailable
        outcome = asyncio.get_running_loop().create_future()
        self._unacknowledged[info.mid] = outcome
        try:
            async with asyncio.timeout(timeout_s):
                await outcome
        except TimeoutError:
            raise TransportUnavailable(f"the broker did not acknowledge within {timeout_s:g} s") from None
        finally:
            self._unacknowledged.pop(info.mid, None)

    def close(self) -> None:
        """Give the connection up: what waits fails, what was received can no longer be acknowledged."""
        self._closed = True
        for outcome in self._unacknowledged.values():
            if not outcome.done():
                outcome.set_exception(TransportUnavailable("the connection to the broker broke"))
        self._unacknowledged.clear()
        with contextlib.suppress(OSError, ValueError):
            self._paho._sock_close()  # aiomqtt leaves it open when connecting fails half-way
        ended = getattr(self._client, "_disconnected", None)
        if isinstance(ended, asyncio.Future) and ended.done() and not ended.cancelled():
            ended.exception()  # retrieved, or asyncio complains when it is collected

    def _connected(
        self, client: PahoClient, userdata: object, flags: ConnectFlags, reason: ReasonCode, properties: object = None
    ) -> None:
        if not reason.is_failure:
            self._on_session(flags.session_present)
        if self._forward_connect is not None:
            self._forward_connect(client, userdata, flags, reason, properties)

    def _received(self, _client: PahoClient, _userdata: object, message: MQTTMessage) -> None:
        received_ns = time.monotonic_ns()
        try:
            message.topic.encode()
        except UnicodeError:  # no broker should let it through; left alone, it would come again for ever
            self.acknowledge(message.mid)
            return
        self._on_message(self, message, received_ns)

    def _published(
        self, _client: PahoClient, _userdata: object, packet_id: int, reason: ReasonCode, _properties: object = None
    ) -> None:
        outcome = self._unacknowledged.get(packet_id)
        if outcome is None or outcome.done():
            return
        if reason.is_failure:
            outcome.set_exception(TransportRefused(f"the broker refused the message: {reason}"))
        else:
            outcome.set_result(None)
