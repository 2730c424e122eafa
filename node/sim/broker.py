"""A small MQTT 5 broker in this process, for the demo, rehearsals and tests.

QoS 0 and 1, persistent sessions, retained messages, wills with delay, message expiry, back-pressure by receive
maximum, client takeover. Sessions live in memory: they survive ``stop`` and ``start`` of the same object, not the
process. It has no access control beyond passwords: for production there is mosquitto (``config/mosquitto.conf``).
Built from the MQTT 5 specification on the ``mqtt5`` codec; it imports nothing else of the node.
"""

from __future__ import annotations

import asyncio
import hmac
import math
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final
from uuid import uuid4

import mqtt5

from node.sim.broker_connection import Connection
from node.sim.broker_faults import BrokerFaults
from node.sim.broker_session import Message, Session

_NEVER_EXPIRES_S: Final = 0xFFFFFFFF  # MQTT 5, 3.1.2.11.2
_STOP_TIMEOUT_S: Final = 2.0

Refusal = mqtt5.ConnAckReasonCode


class Broker:
    """``async with Broker() as broker: broker.port``. Port 0 takes a free one, and keeps it."""

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        credentials: Mapping[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
        max_packet_bytes: int = 1024 * 1024,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.host = host
        self.port = port
        self.max_packet_bytes = max_packet_bytes
        #: Seconds, for the expiry of messages.
        self.clock = clock
        self.faults = BrokerFaults()
        #: Messages taken from publishers.
        self.published = 0
        self._credentials = credentials
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._connections: set[Connection] = set()
        self._sessions: dict[str, Session] = {}
        self._retained: dict[str, Message] = {}
        self._wills: dict[str, tuple[asyncio.TimerHandle, mqtt5.Will]] = {}
        self._expiries: dict[str, asyncio.TimerHandle] = {}

    async def __aenter__(self) -> Broker:
        await self.start()
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen; with the sessions of before, where there are.

        Raises:
            OSError: the port is taken.
        """
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), self.host, self.port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Send the clients away and stop listening. No wills: the clients are well."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for timer in [*self._expiries.values(), *(timer for timer, _ in self._wills.values())]:
            timer.cancel()
        self._expiries.clear()
        self._wills.clear()
        leaving = list(self._connections)
        for connection in leaving:
            connection.disconnect(mqtt5.DisconnectReasonCode.SERVER_SHUTTING_DOWN, with_will=False)
        if leaving:
            await asyncio.wait([connection.closed for connection in leaving], timeout=_STOP_TIMEOUT_S)
        for connection in leaving:
            connection.transport.abort()

    def forget(self) -> None:
        """Lose everything that is kept, as one without a disk does with its process. Only while it is stopped."""
        self._sessions.clear()
        self._retained.clear()

    def cut(self, client_id: str) -> None:
        """Break a client's connection without a word.

        Raises:
            KeyError: it is not connected.
        """
        self._connection(client_id).transport.abort()

    @property
    def connections(self) -> int:
        """Open connections, those included that have not said who they are."""
        return len(self._connections)

    def connected(self, client_id: str) -> bool:
        """Whether the client is connected."""
        session = self._sessions.get(client_id)
        return session is not None and session.link is not None

    def session(self, client_id: str) -> Session:
        """What is remembered of a client.

        Raises:
            KeyError: nothing is.
        """
        return self._sessions[client_id]

    def socket_option(self, client_id: str, level: int, option: int) -> int:
        """A socket option of a client's connection, at this end.

        Raises:
            KeyError: it is not connected.
        """
        value: int = self._connection(client_id).transport.get_extra_info("socket").getsockopt(level, option)
        return value

    # For connections.

    def welcome(self, connection: Connection) -> None:
        """A client is there; who it is comes later."""
        self._connections.add(connection)

    def admit(self, connection: Connection, packet: mqtt5.ConnectPacket) -> mqtt5.ConnAckPacket:
        """Open or resume a session, or refuse."""
        if packet.authentication_method is not None:
            return mqtt5.ConnAckPacket(reason_code=Refusal.BAD_AUTHENTICATION_METHOD)
        if not self._password_fits(packet):
            return mqtt5.ConnAckPacket(reason_code=Refusal.BAD_USER_NAME_OR_PASSWORD)
        if packet.will is not None and packet.will.qos == mqtt5.QoS.EXACTLY_ONCE:
            return mqtt5.ConnAckPacket(reason_code=Refusal.QUALITY_NOT_SUPPORTED)
        client_id = packet.client_id or f"auto-{uuid4()}"
        self._take_over(client_id)
        if packet.clean_start or self.faults.take("forget", client_id):
            self._discard(client_id)
        self._cancel_expiry(client_id)
        self._cancel_will(client_id)
        present = client_id in self._sessions
        session = self._sessions.setdefault(client_id, Session(client_id, clock=self.clock))
        session.expiry_s = packet.session_expiry_interval
        connection.session = session
        return mqtt5.ConnAckPacket(
            session_present=present != self.faults.take("lie", client_id),
            assigned_client_id=None if packet.client_id else client_id,
            max_qos=mqtt5.QoS.AT_LEAST_ONCE,
            max_packet_size=self.max_packet_bytes,
            shared_subscription_available=False,
            subscription_id_available=False,
        )

    def release(self, connection: Connection, *, with_will: bool) -> None:
        """The connection is over: keep the session for as long as the client asked."""
        self._connections.discard(connection)
        session, connection.session = connection.session, None
        if session is None:
            return
        session.detach()
        if connection.will is not None and with_will:
            self._schedule_will(session, connection.will)
        if session.expiry_s <= 0:
            self._discard(session.client_id)
        elif session.expiry_s < _NEVER_EXPIRES_S and self._server is not None:
            self._expiries[session.client_id] = asyncio.get_running_loop().call_later(
                session.expiry_s, self._discard, session.client_id
            )

    def publish(self, message: Message) -> int:
        """Hand a message to every session that wants it: how many."""
        self.published += 1
        if message.retain:
            if message.payload:
                self._retained[message.topic] = message
            else:
                self._retained.pop(message.topic, None)
        takers = 0
        for session in list(self._sessions.values()):
            takers += self._offer(session, message)
        return takers

    def subscribe(
        self, session: Session, filters: Sequence[mqtt5.TopicFilter]
    ) -> tuple[list[mqtt5.SubAckReasonCode], Callable[[], None]]:
        """Subscribe; the second value sends the retained messages, after the acknowledgement."""
        codes: list[mqtt5.SubAckReasonCode] = []
        wanted: list[mqtt5.TopicFilter] = []
        for topic_filter in filters:
            if topic_filter.pattern.startswith("$share/"):
                codes.append(mqtt5.SubAckReasonCode.SHARED_SUBSCRIPTIONS_NOT_SUPPORTED)
                continue
            known = topic_filter.pattern in session.subscriptions
            session.subscriptions[topic_filter.pattern] = topic_filter
            at_most_once = topic_filter.max_qos == mqtt5.QoS.AT_MOST_ONCE
            granted = mqtt5.SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE
            codes.append(mqtt5.SubAckReasonCode.GRANTED_QOS_AT_MOST_ONCE if at_most_once else granted)
            if _wants_retained(topic_filter, known=known):
                wanted.append(topic_filter)
        return codes, lambda: self._send_retained(session, wanted)

    def fault(self, fault: str, client_id: str) -> bool:
        """Whether a fault is armed."""
        return self.faults.take(fault, client_id)

    def _connection(self, client_id: str) -> Connection:
        session = self._sessions[client_id]
        for connection in self._connections:
            if connection.session is session:
                return connection
        raise KeyError(client_id)

    def _password_fits(self, packet: mqtt5.ConnectPacket) -> bool:
        if self._credentials is None:
            return True
        wanted = self._credentials.get(packet.username or "")
        given = packet.password or b""
        return hmac.compare_digest(given, (wanted or "").encode()) and wanted is not None

    def _take_over(self, client_id: str) -> None:
        """One connection a client id: the newer wins (MQTT 5, 3.1.4)."""
        if self.connected(client_id):
            self._connection(client_id).disconnect(mqtt5.DisconnectReasonCode.SESSION_TAKEN_OVER)

    def _discard(self, client_id: str) -> None:
        """The session ends, and with it a will's delay (MQTT 5, 3.1.3.2.2)."""
        self._cancel_expiry(client_id)
        will = self._cancel_will(client_id)
        self._sessions.pop(client_id, None)
        if will is not None:
            self.publish(_will_message(will, client_id, self.clock()))

    def _schedule_will(self, session: Session, will: mqtt5.Will) -> None:
        delay_s = min(will.will_delay_interval, session.expiry_s)
        if delay_s <= 0:
            self.publish(_will_message(will, session.client_id, self.clock()))
            return
        timer = asyncio.get_running_loop().call_later(delay_s, self._send_will, session.client_id)
        self._wills[session.client_id] = (timer, will)

    def _send_will(self, client_id: str) -> None:
        will = self._cancel_will(client_id)
        if will is not None:
            self.publish(_will_message(will, client_id, self.clock()))

    def _cancel_will(self, client_id: str) -> mqtt5.Will | None:
        timer, will = self._wills.pop(client_id, (None, None))
        if timer is not None:
            timer.cancel()
        return will

    def _cancel_expiry(self, client_id: str) -> None:
        timer = self._expiries.pop(client_id, None)
        if timer is not None:
            timer.cancel()

    def _offer(self, session: Session, message: Message) -> bool:
        """Overlapping subscriptions deliver once, at the best QoS (MQTT 5, 3.3.4)."""
        matching = [
            topic_filter
            for pattern, topic_filter in session.subscriptions.items()
            if matches(pattern, message.topic) and not (topic_filter.no_local and message.sender == session.client_id)
        ]
        if not matching:
            return False
        qos = min(message.qos, max(int(topic_filter.max_qos) for topic_filter in matching))
        retain = message.retain and any(topic_filter.retain_as_published for topic_filter in matching)
        if self.faults.take("delay", session.client_id):
            session.hold_back(message, qos=qos, retain=retain)
            return True
        for _ in range(2 if self.faults.take("duplicate", session.client_id) else 1):
            session.offer(message, qos=qos, retain=retain)
        session.release_held()
        return True

    def _send_retained(self, session: Session, filters: Sequence[mqtt5.TopicFilter]) -> None:
        now_s = self.clock()
        for topic_filter in filters:
            for topic, message in list(self._retained.items()):
                if message.expires_at_s <= now_s:
                    del self._retained[topic]
                elif matches(topic_filter.pattern, topic):
                    session.offer(message, qos=min(message.qos, int(topic_filter.max_qos)), retain=True)


def matches(pattern: str, topic: str) -> bool:
    """Whether a filter covers a topic (MQTT 5, 4.7)."""
    if topic.startswith("$") and pattern[0] in "+#":
        return False
    wanted, levels = pattern.split("/"), topic.split("/")
    if wanted[-1] == "#":
        wanted.pop()
        levels = levels[: len(wanted)]
    return len(wanted) == len(levels) and all(
        level in ("+", actual) for level, actual in zip(wanted, levels, strict=True)
    )


def _wants_retained(topic_filter: mqtt5.TopicFilter, *, known: bool) -> bool:
    handling = topic_filter.retain_handling
    if handling == mqtt5.RetainHandling.SEND_IF_SUBSCRIPTION_NOT_EXISTS:
        return not known
    return handling == mqtt5.RetainHandling.SEND_ALWAYS


def _will_message(will: mqtt5.Will, sender: str, now_s: float) -> Message:
    expiry_s = will.message_expiry_interval
    return Message(
        topic=will.topic,
        payload=will.payload or b"",
        qos=int(will.qos),
        retain=will.retain,
        sender=sender,
        expires_at_s=math.inf if expiry_s is None else now_s + expiry_s,
        payload_format_indicator=will.payload_format_indicator,
        content_type=will.content_type,
        response_topic=will.response_topic,
        correlation_data=will.correlation_data,
        user_properties=tuple(will.user_properties),
    )
