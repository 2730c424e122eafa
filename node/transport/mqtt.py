"""The broker connection: MQTT 5 at QoS 1, acknowledged by hand, healed for ever."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import aiomqtt
import structlog
from paho.mqtt.client import MQTTMessage
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from node.engine.ports import Delivery
from node.errors import TransportUnavailable
from node.transport.delivery_queue import DeliveryQueue
from node.transport.mqtt_options import MqttOptions
from node.transport.paho_link import PahoLink, check_library

log = structlog.get_logger(__name__)

#: Without it on both ends, Nagle and delayed acknowledgement add 40 ms to a command (mosquitto #433, #1526; measured).
_SOCKET_OPTIONS: Final = ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),)
_FIRST_DELAY_S: Final = 0.2
_LONGEST_DELAY_S: Final = 5.0
#: A connection that lasted this long was a good one: the next break starts again with the short delay.
_GOOD_CONNECTION_S: Final = 5.0
_RETAINED_TO_NEW_SUBSCRIPTIONS: Final = 1

#: Both libraries log every packet and, as errors, what is handled here and logged below.
_LIBRARY_LOG: Final = logging.getLogger("sovereign_node.mqtt_library")
_LIBRARY_LOG.setLevel(logging.CRITICAL)


class MqttTransport:
    """A :class:`node.engine.ports.MessageTransport` over aiomqtt.

    ``on_connection`` is called with True after every (re)connect and subscribe, with False when the connection ends.
    A clean stop (cancelling ``run``) disconnects without the will and publishes nothing by itself.
    """

    def __init__(
        self,
        options: MqttOptions,
        *,
        on_connection: Callable[[bool], None] | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._options = options
        self._on_connection = on_connection
        self._jitter = jitter
        self._inbox = DeliveryQueue()
        self._link: PahoLink | None = None
        self._up = asyncio.Event()
        self._connected_at: float | None = None
        self._session_present = False
        #: Connections so far, the first included.
        self.connections = 0

    @property
    def connected(self) -> bool:
        """Whether a publish can succeed now."""
        return self._link is not None and not self._link.broken

    @property
    def reconnects(self) -> int:
        """Connections after the first."""
        return max(0, self.connections - 1)

    async def wait_connected(self) -> None:
        """Return once connected and subscribed."""
        await self._up.wait()

    async def run(self) -> None:
        """Connect, subscribe, receive; reconnect for ever. Ends only by cancellation.

        Raises:
            TransportLibraryChanged: the installed libraries are not the tested ones.
        """
        check_library()
        failures = 0
        while True:
            self._connected_at = None
            try:
                await self._live_once()
            except (aiomqtt.MqttError, OSError) as error:
                reason = _reason(error)
            lasted_s = self._lasted_s()
            if lasted_s is not None and lasted_s >= _GOOD_CONNECTION_S:
                failures = 0
            delay_s = retry_delay_s(failures, self._jitter())
            failures += 1
            log.warning(
                "mqtt_unreachable" if lasted_s is None else "mqtt_disconnected",
                reason=reason,
                retry_in_ms=round(delay_s * 1000),
            )
            await asyncio.sleep(delay_s)

    def deliveries(self) -> DeliveryQueue:
        """Messages in order of arrival, across reconnects, for one reader."""
        return self._inbox

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
        """Publish at QoS 1 and wait for the acknowledgement.

        Raises:
            TransportUnavailable: not connected, or the connection broke before the acknowledgement.
            TransportRefused: the broker will not have this message.
        """
        link = self._link
        if link is None:
            raise TransportUnavailable
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        if correlation_data is not None:
            properties.CorrelationData = correlation_data
        if response_topic is not None:
            properties.ResponseTopic = response_topic
        if expiry_s is not None:
            properties.MessageExpiryInterval = expiry_s
        await link.publish(
            topic, payload, retain=retain, properties=properties, timeout_s=self._options.publish_timeout_s
        )

    async def _live_once(self) -> None:
        """One connection, from opening to its end; a new client each, since packet ids die with it.

        Raises:
            aiomqtt.MqttError: it could not be opened, or it ended.
        """
        client = self._new_client()
        link = PahoLink(
            client,
            connect_timeout_s=self._options.connect_timeout_s,
            on_session=self._resume,
            on_message=self._receive,
        )
        try:
            await _open(client)
            await self._subscribe(client, link)
            self._announce(link)
            async for _ in client.messages:  # ours never enter its queue: this ends when the connection does
                pass
        finally:
            self._withdraw(link)
            with contextlib.suppress(aiomqtt.MqttError):
                await client.__aexit__(None, None, None)
            link.close()

    def _new_client(self) -> aiomqtt.Client:
        options = self._options
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = options.session_expiry_s
        properties.ReceiveMaximum = options.receive_maximum
        return aiomqtt.Client(
            options.host,
            options.port,
            identifier=options.client_id,
            protocol=aiomqtt.ProtocolVersion.V5,
            username=options.username,
            password=options.password,
            clean_start=False,  # the default would throw the session away at every start
            properties=properties,
            will=self._will(),
            keepalive=options.keepalive_s,
            timeout=options.connect_timeout_s,
            tls_context=options.tls,
            socket_options=_SOCKET_OPTIONS,
            logger=_LIBRARY_LOG,
        )

    def _will(self) -> aiomqtt.Will | None:
        will = self._options.will
        if will is None:
            return None
        properties = Properties(PacketTypes.WILLMESSAGE)  # type: ignore[no-untyped-call]
        properties.WillDelayInterval = will.delay_s
        return aiomqtt.Will(will.topic, will.payload, qos=1, retain=will.retain, properties=properties)

    async def _subscribe(self, client: aiomqtt.Client, link: PahoLink) -> None:
        """Subscribe anew each time: it is idempotent, and a broker may have lost the session.

        Raises:
            aiomqtt.MqttError: the broker refused a filter, or closed the connection at once.
        """
        if link.broken:  # aiomqtt forgets a disconnection that comes together with the CONNACK
            raise aiomqtt.MqttError("closed by the broker at once")
        if not self._options.subscriptions:
            return
        terms = SubscribeOptions(qos=1, retainAsPublished=True, retainHandling=_RETAINED_TO_NEW_SUBSCRIPTIONS)
        answers = await client.subscribe([(topic_filter, terms) for topic_filter in self._options.subscriptions])
        for topic_filter, answer in zip(self._options.subscriptions, answers, strict=True):
            if not isinstance(answer, ReasonCode) or answer.is_failure:
                raise aiomqtt.MqttError(f"subscription to {topic_filter} refused: {answer}")
        if self._options.unsubscriptions:  # afterwards: no moment without any
            await client.unsubscribe(list(self._options.unsubscriptions))

    def _resume(self, session_present: bool) -> None:
        """Before the first message: what the broker will send again must not come twice, and out of order."""
        self._session_present = session_present
        if session_present:
            self._inbox.forget_what_comes_again()

    def _receive(self, link: PahoLink, message: MQTTMessage, received_ns: int) -> None:
        receipt = _Receipt(link=link, packet_id=message.mid, given=message.qos == 0)
        delivery = Delivery(
            topic=message.topic,
            payload=bytes(message.payload),
            retained=bool(message.retain),
            response_topic=getattr(message.properties, "ResponseTopic", None),
            correlation_data=getattr(message.properties, "CorrelationData", None),
            received_ns=received_ns,
            acknowledge=receipt.give,
        )
        self._inbox.put(delivery, redelivered_if_lost=message.qos > 0)

    def _lasted_s(self) -> float | None:
        """How long the last connection was up; None: it never was."""
        return None if self._connected_at is None else time.monotonic() - self._connected_at

    def _announce(self, link: PahoLink) -> None:
        self._link = link
        self._connected_at = time.monotonic()
        self.connections += 1
        self._up.set()
        log.info("mqtt_connected", session_present=self._session_present, reconnects=self.reconnects)
        if self._on_connection is not None:
            self._on_connection(True)

    def _withdraw(self, link: PahoLink) -> None:
        if self._link is not link:
            return
        self._link = None
        self._up.clear()
        if self._on_connection is not None:
            self._on_connection(False)


@dataclass(slots=True)
class _Receipt:
    """The right to acknowledge one message once, on the connection that brought it."""

    link: PahoLink
    packet_id: int
    given: bool

    async def give(self) -> None:
        if not self.given:
            self.given = True
            self.link.acknowledge(self.packet_id)


async def _open(client: aiomqtt.Client) -> None:
    """Connect. aiomqtt does it in a thread, which a cancellation would leave behind with an open socket.

    Raises:
        aiomqtt.MqttError: refused, unreachable, or no answer in time.
    """
    opening = asyncio.create_task(client.__aenter__(), name="mqtt-open")
    try:
        await asyncio.shield(opening)
    except asyncio.CancelledError:
        with contextlib.suppress(aiomqtt.MqttError):
            await opening  # bounded by the connection time-outs
        raise


def retry_delay_s(failures: int, jitter: float) -> float:
    """How long to wait before the next attempt: full jitter (0 to 1) over a doubling, capped delay."""
    return jitter * min(_LONGEST_DELAY_S, _FIRST_DELAY_S * 2.0 ** min(failures, 16))


def _reason(error: Exception) -> str:
    """Why the connection ended, in the broker's or the system's words."""
    return str(error.__cause__ or error) or type(error).__name__
