"""One client's connection to the embedded broker: bytes to packets, packets to actions."""

from __future__ import annotations

import asyncio
import math
import socket
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol, cast

import mqtt5

from node.sim.broker_session import Message, Session
from node.sim.broker_text import texts_are_utf8

_CONNECT_TIMEOUT_S: Final = 5.0
_LONGEST_REMAINING_LENGTH: Final = 4  # bytes of the variable integer (MQTT 5, 1.5.5)

Reason = mqtt5.DisconnectReasonCode


class ProtocolFaultError(Exception):
    """The client did what MQTT 5 or this broker does not allow."""

    def __init__(self, reason: mqtt5.DisconnectReasonCode) -> None:
        super().__init__(reason.name)
        self.reason = reason


class BrokerCore(Protocol):
    """What a connection needs of its broker."""

    max_packet_bytes: int
    clock: Callable[[], float]

    def welcome(self, connection: Connection) -> None:
        """A client is there; who it is comes later."""

    def admit(self, connection: Connection, packet: mqtt5.ConnectPacket) -> mqtt5.ConnAckPacket:
        """Open or resume a session, or refuse."""

    def release(self, connection: Connection, *, with_will: bool) -> None:
        """The connection is over."""

    def publish(self, message: Message) -> int:
        """Hand a message to every session that wants it: how many."""

    def subscribe(
        self, session: Session, filters: Sequence[mqtt5.TopicFilter]
    ) -> tuple[list[mqtt5.SubAckReasonCode], Callable[[], None]]:
        """Subscribe; the second value sends the retained messages, after the acknowledgement."""

    def fault(self, fault: str, client_id: str) -> bool:
        """Whether a fault is armed."""


class Connection(asyncio.Protocol):
    """The transport side of one client; a :class:`node.sim.broker_session.Link` once it is admitted."""

    def __init__(self, broker: BrokerCore) -> None:
        self._broker = broker
        self._buffer = bytearray()
        self._timer: asyncio.TimerHandle | None = None
        self._keep_alive_s = 0.0
        self._last_packet_at = time.monotonic()
        self._max_packet_bytes: float = math.inf
        self.session: Session | None = None
        self.will: mqtt5.Will | None = None
        self.receive_maximum = 0
        self.congested = False
        self.closed = asyncio.get_running_loop().create_future()

    # Socket.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accept; the first packet must come soon."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._timer = asyncio.get_running_loop().call_later(_CONNECT_TIMEOUT_S, self.transport.abort)
        self._broker.welcome(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the interface's
        """The end, whoever began it."""
        if self._timer is not None:
            self._timer.cancel()
        self._broker.release(self, with_will=True)
        if not self.closed.done():
            self.closed.set_result(None)

    def pause_writing(self) -> None:
        """The client does not read: stop sending."""
        self.congested = True

    def resume_writing(self) -> None:
        """The client reads again."""
        self.congested = False
        if self.session is not None:
            self.session.flush()

    def data_received(self, data: bytes) -> None:
        """Take whole packets off the stream, and act on each."""
        self._buffer += data
        try:
            while not self.transport.is_closing() and (packet := self._take_packet()) is not None:
                self._last_packet_at = time.monotonic()
                self._handle(packet)
        except ProtocolFaultError as fault:
            self.disconnect(fault.reason)

    def disconnect(self, reason: mqtt5.DisconnectReasonCode, *, with_will: bool = True) -> None:
        """Say why, and close."""
        if self.session is not None:
            self.transport.write(mqtt5.DisconnectPacket(reason_code=reason).write())
        self._buffer.clear()
        self._broker.release(self, with_will=with_will)
        self.transport.close()

    def send_publish(self, packet: mqtt5.PublishPacket) -> None:
        """Write a message, unless it is larger than the client takes (MQTT 5, 3.1.2.11.4)."""
        raw = packet.write()
        if len(raw) <= self._max_packet_bytes:
            self.transport.write(raw)
        elif self.session is not None and packet.packet_id is not None:
            self.session.acknowledged(packet.packet_id)

    # Packets.

    def _take_packet(self) -> mqtt5.Packet | None:
        size = self._packet_size()
        if size is None:
            return None
        if size > self._broker.max_packet_bytes:
            raise ProtocolFaultError(Reason.PACKET_TOO_LARGE)
        if len(self._buffer) < size:
            return None
        raw = bytes(self._buffer[:size])
        del self._buffer[:size]
        return _decode(raw)

    def _packet_size(self) -> int | None:
        """Fixed header and rest, as soon as it can be told."""
        length = 0
        for position in range(_LONGEST_REMAINING_LENGTH):
            if len(self._buffer) < position + 2:
                return None
            byte = self._buffer[position + 1]
            length |= (byte & 0x7F) << (7 * position)
            if byte < 0x80:
                return position + 2 + length
        raise ProtocolFaultError(Reason.MALFORMED_PACKET)

    def _handle(self, packet: mqtt5.Packet) -> None:
        session = self.session
        if session is None:
            self._handle_first(packet)
            return
        match packet:
            case mqtt5.PublishPacket():
                self._handle_publish(session, packet)
            case mqtt5.PubAckPacket():
                if not self._broker.fault("ack_from", session.client_id):
                    session.acknowledged(packet.packet_id)
            case mqtt5.SubscribePacket():
                self._handle_subscribe(session, packet)
            case mqtt5.UnsubscribePacket():
                self._handle_unsubscribe(session, packet)
            case mqtt5.PingReqPacket():
                self.transport.write(mqtt5.PingRespPacket().write())
            case mqtt5.DisconnectPacket():
                self._handle_disconnect(session, packet)
            case _:
                raise ProtocolFaultError(Reason.PROTOCOL_ERROR)

    def _handle_first(self, packet: mqtt5.Packet) -> None:
        if not isinstance(packet, mqtt5.ConnectPacket):
            raise ProtocolFaultError(Reason.PROTOCOL_ERROR)
        answer = self._broker.admit(self, packet)
        self.transport.write(answer.write())
        if self.session is None:
            self.transport.close()
            return
        self.will = packet.will
        self.receive_maximum = packet.receive_max
        self._max_packet_bytes = packet.max_packet_size or math.inf
        self._keep_alive_s = packet.keep_alive * 1.5  # MQTT 5, 3.1.2.10
        if self._timer is not None:
            self._timer.cancel()
        self._watch_keep_alive()
        self.session.attach(self)

    def _handle_publish(self, session: Session, packet: mqtt5.PublishPacket) -> None:
        if packet.qos == mqtt5.QoS.EXACTLY_ONCE:
            raise ProtocolFaultError(Reason.QOS_NOT_SUPPORTED)
        if packet.topic_alias is not None:
            raise ProtocolFaultError(Reason.TOPIC_ALIAS_INVALID)
        takers = self._broker.publish(_message(packet, session.client_id, self._broker.clock()))
        if packet.packet_id is None or self._broker.fault("ack_to", session.client_id):
            return
        code = mqtt5.PubAckReasonCode.SUCCESS if takers else mqtt5.PubAckReasonCode.NO_MATCHING_SUBSCRIBERS
        self.transport.write(mqtt5.PubAckPacket(packet.packet_id, reason_code=code).write())

    def _handle_subscribe(self, session: Session, packet: mqtt5.SubscribePacket) -> None:
        if packet.subscription_id is not None:
            raise ProtocolFaultError(Reason.SUBSCRIPTION_IDS_NOT_SUPPORTED)
        codes, send_retained = self._broker.subscribe(session, packet.topic_filters)
        self.transport.write(mqtt5.SubAckPacket(packet.packet_id, codes).write())
        send_retained()

    def _handle_unsubscribe(self, session: Session, packet: mqtt5.UnsubscribePacket) -> None:
        known = [session.subscriptions.pop(pattern, None) is not None for pattern in packet.patterns]
        codes = [
            mqtt5.UnsubAckReasonCode.SUCCESS if was else mqtt5.UnsubAckReasonCode.NO_SUBSCRIPTION_EXISTED
            for was in known
        ]
        self.transport.write(mqtt5.UnsubAckPacket(packet.packet_id, codes).write())

    def _handle_disconnect(self, session: Session, packet: mqtt5.DisconnectPacket) -> None:
        if packet.session_expiry_interval is not None:
            session.expiry_s = packet.session_expiry_interval
        self._broker.release(self, with_will=packet.reason_code != Reason.NORMAL_DISCONNECTION)
        self.transport.close()

    def _watch_keep_alive(self) -> None:
        """Look again when the client could be overdue."""
        if not self._keep_alive_s or self.transport.is_closing():
            return
        left_s = self._last_packet_at + self._keep_alive_s - time.monotonic()
        if left_s <= 0:
            self.disconnect(Reason.KEEP_ALIVE_TIMEOUT)
        else:
            self._timer = asyncio.get_running_loop().call_later(left_s, self._watch_keep_alive)


def _decode(raw: bytes) -> mqtt5.Packet:
    """One whole packet.

    Raises:
        ProtocolFaultError: it is none.
    """
    if not texts_are_utf8(raw):
        raise ProtocolFaultError(Reason.MALFORMED_PACKET)
    try:
        packet, size = mqtt5.read(memoryview(raw))
    except (ValueError, IndexError):
        raise ProtocolFaultError(Reason.MALFORMED_PACKET) from None
    except BaseException as error:
        # A panic of Rust is no Exception, and would end the process.
        if type(error).__name__ != "PanicException":
            raise
        raise ProtocolFaultError(Reason.MALFORMED_PACKET) from None
    if size != len(raw):
        raise ProtocolFaultError(Reason.MALFORMED_PACKET)
    return packet


def _message(packet: mqtt5.PublishPacket, sender: str, now_s: float) -> Message:
    expiry_s = packet.message_expiry_interval
    return Message(
        topic=packet.topic,
        payload=packet.payload,
        qos=int(packet.qos),
        retain=packet.retain,
        sender=sender,
        expires_at_s=math.inf if expiry_s is None else now_s + expiry_s,
        payload_format_indicator=packet.payload_format_indicator,
        content_type=packet.content_type,
        response_topic=packet.response_topic,
        correlation_data=packet.correlation_data,
        user_properties=tuple(packet.user_properties),
    )
