"""The embedded MQTT 5 broker, packet by packet; sections are those of the OASIS specification."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import mqtt5
import pytest

from node.sim.broker import Broker, matches
from tests.support.broker import RawClient
from tests.support.waiting import until

AT_LEAST_ONCE = mqtt5.QoS.AT_LEAST_ONCE
Reason = mqtt5.DisconnectReasonCode


@pytest.fixture
async def broker() -> AsyncIterator[Broker]:
    """One on a free port."""
    async with Broker() as serving:
        yield serving


@pytest.fixture(autouse=True)
async def clients() -> AsyncIterator[None]:
    """Close every raw client of a test."""
    yield
    await RawClient.close_all()


def publication(payload: bytes, topic: str = "a", **terms: Any) -> mqtt5.PublishPacket:
    """A message at QoS 1."""
    return mqtt5.PublishPacket(topic, payload, qos=AT_LEAST_ONCE, packet_id=1, **terms)


async def published(client: RawClient, payload: bytes, topic: str = "a", **terms: Any) -> mqtt5.PubAckPacket:
    """Publish at QoS 1, and the answer."""
    client.send(publication(payload, topic, **terms))
    answer = await client.receive()
    assert isinstance(answer, mqtt5.PubAckPacket)
    return answer


async def farewell(client: RawClient) -> mqtt5.DisconnectReasonCode:
    """The reason with which the broker closed the connection."""
    packet = await client.receive()
    assert isinstance(packet, mqtt5.DisconnectPacket), packet
    assert await client.receive() is None
    return packet.reason_code


async def test_a_session_is_present_only_when_it_was_kept(broker: Broker) -> None:
    """3.2.2.1.1: after an expiry interval, not after a clean start, not after none."""
    for clean, expiry_s, present in [(False, 60, False), (False, 60, True), (True, 60, False), (False, 0, True)]:
        client, answer = await RawClient.connect(broker, "c", clean_start=clean, session_expiry_interval=expiry_s)
        assert answer.session_present is present
        client.send(mqtt5.DisconnectPacket())
        assert await client.receive() is None
    _, answer = await RawClient.connect(broker, "c")
    assert not answer.session_present


async def test_a_session_ends_after_its_expiry(broker: Broker) -> None:
    """3.1.2.11.2: one second, here."""
    client, _ = await RawClient.connect(broker, "c", session_expiry_interval=1)
    client.send(mqtt5.DisconnectPacket())
    await until(lambda: not broker.connected("c"))
    assert broker.session("c").client_id == "c"

    def gone() -> bool:
        try:
            broker.session("c")
        except KeyError:
            return True
        return False

    await until(gone)


async def test_what_the_broker_cannot_do_it_says(broker: Broker) -> None:
    """3.2.2.3: maximum QoS 1, no shared subscriptions, no subscription identifiers."""
    _, answer = await RawClient.connect(broker, "")
    assert answer.assigned_client_id
    assert int(answer.max_qos) == 1
    assert not answer.shared_subscription_available
    assert not answer.subscription_id_available
    assert answer.max_packet_size == broker.max_packet_bytes


async def test_qos_2_is_refused(broker: Broker) -> None:
    """3.3.1.2: reason 0x9B; a subscription is granted QoS 1 instead."""
    client, _ = await RawClient.connect(broker, "c")
    granted = await client.subscribe(mqtt5.TopicFilter("a", max_qos=mqtt5.QoS.EXACTLY_ONCE))
    assert granted.reason_codes == [mqtt5.SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE]
    client.send(mqtt5.PublishPacket("a", b"x", qos=mqtt5.QoS.EXACTLY_ONCE, packet_id=1))
    assert await farewell(client) == Reason.QOS_NOT_SUPPORTED


async def test_a_message_has_the_lower_qos_of_publisher_and_subscriber(broker: Broker) -> None:
    """4.6: QoS 0 stays 0, QoS 1 becomes 0 for who asked for 0."""
    client, _ = await RawClient.connect(broker, "c")
    await client.subscribe(mqtt5.TopicFilter("a"), mqtt5.TopicFilter("b", max_qos=mqtt5.QoS.AT_MOST_ONCE))
    sender, _ = await RawClient.connect(broker, "s")
    sender.send(mqtt5.PublishPacket("a", b"0"))
    await published(sender, b"1", "a")
    await published(sender, b"2", "b")
    received = [await client.message() for _ in range(3)]
    assert [(message.payload, int(message.qos)) for message in received] == [(b"0", 0), (b"1", 1), (b"2", 0)]


async def test_overlapping_subscriptions_deliver_once(broker: Broker) -> None:
    """3.3.4: our choice of the two that are allowed."""
    client, _ = await RawClient.connect(broker, "c")
    await client.subscribe(mqtt5.TopicFilter("a/#"), mqtt5.TopicFilter("a/+"))
    sender, _ = await RawClient.connect(broker, "s")
    await published(sender, b"x", "a/b")
    assert (await client.message()).payload == b"x"
    await client.ping()


async def test_a_message_keeps_its_properties(broker: Broker) -> None:
    """3.3.2.3: they are handed on unchanged."""
    client, _ = await RawClient.connect(broker, "c")
    await client.subscribe(mqtt5.TopicFilter("a"))
    sender, _ = await RawClient.connect(broker, "s")
    await published(
        sender,
        b"x",
        response_topic="r",
        correlation_data=b"\x00",
        content_type="t",
        payload_format_indicator=1,
        user_properties=[("k", "v"), ("k", "w")],
        message_expiry_interval=60,
    )
    message = await client.message()
    assert (message.response_topic, message.correlation_data, message.content_type) == ("r", b"\x00", "t")
    assert (message.payload_format_indicator, message.user_properties) == (1, [("k", "v"), ("k", "w")])
    assert message.message_expiry_interval in (59, 60)


async def test_nobody_there_is_told_to_the_publisher(broker: Broker) -> None:
    """3.4.2.1: reason 0x10, which is a success."""
    client, _ = await RawClient.connect(broker, "c")
    assert (await published(client, b"x")).reason_code == mqtt5.PubAckReasonCode.NO_MATCHING_SUBSCRIBERS
    await client.subscribe(mqtt5.TopicFilter("a", no_local=True))
    assert (await published(client, b"x")).reason_code == mqtt5.PubAckReasonCode.NO_MATCHING_SUBSCRIBERS
    other, _ = await RawClient.connect(broker, "o")
    assert (await published(other, b"x")).reason_code == mqtt5.PubAckReasonCode.SUCCESS


async def test_unacknowledged_messages_come_again_in_order_with_their_ids(broker: Broker) -> None:
    """4.4: original packet identifiers, DUP set, before anything new."""
    client, _ = await RawClient.connect(broker, "c", session_expiry_interval=60)
    await client.subscribe(mqtt5.TopicFilter("a"))
    sender, _ = await RawClient.connect(broker, "s")
    for number in range(4):
        await published(sender, b"%d" % number)
    first = [await client.message() for _ in range(4)]
    client.send(mqtt5.PubAckPacket(first[1].packet_id or 0))
    await client.ping()
    broker.cut("c")
    await published(sender, b"4")
    client, _ = await RawClient.connect(broker, "c", session_expiry_interval=60)
    again = [await client.message() for _ in range(4)]
    assert [(message.payload, message.duplicate) for message in again] == [
        (b"0", True),
        (b"2", True),
        (b"3", True),
        (b"4", False),
    ]
    assert [message.packet_id for message in again[:3]] == [first[at].packet_id for at in (0, 2, 3)]
    assert len({message.packet_id for message in again}) == 4


async def test_the_receive_maximum_is_kept_over_a_reconnect(broker: Broker) -> None:
    """3.1.2.11.3: also for what is sent again."""
    client, _ = await RawClient.connect(broker, "c", session_expiry_interval=60, receive_max=3)
    await client.subscribe(mqtt5.TopicFilter("a"))
    sender, _ = await RawClient.connect(broker, "s")
    for number in range(5):
        await published(sender, b"%d" % number)
    for _ in range(3):
        await client.message()
    await client.ping()
    broker.cut("c")
    client, _ = await RawClient.connect(broker, "c", session_expiry_interval=60, receive_max=2)
    held = [await client.message() for _ in range(2)]
    await client.ping()
    for message in held:
        client.send(mqtt5.PubAckPacket(message.packet_id or 0))
    rest = []
    for _ in range(3):
        message = await client.message()
        client.send(mqtt5.PubAckPacket(message.packet_id or 0))
        rest.append(message)
    assert [message.payload for message in [*held, *rest]] == [b"0", b"1", b"2", b"3", b"4"]


async def test_a_second_connection_takes_over(broker: Broker) -> None:
    """3.1.4: reason 0x8E, and the session goes on with the newer."""
    old, _ = await RawClient.connect(broker, "c", session_expiry_interval=60)
    await old.subscribe(mqtt5.TopicFilter("a"))
    new, answer = await RawClient.connect(broker, "c", session_expiry_interval=60)
    assert answer.session_present
    assert await farewell(old) == Reason.SESSION_TAKEN_OVER
    sender, _ = await RawClient.connect(broker, "s")
    await published(sender, b"x")
    assert (await new.message()).payload == b"x"


async def test_a_silent_client_is_let_go_and_one_that_pings_is_not(broker: Broker) -> None:
    """3.1.2.10: after one and a half times its keep-alive, and its will speaks."""
    watcher, _ = await RawClient.connect(broker, "w", keep_alive=1)
    await watcher.subscribe(mqtt5.TopicFilter("will"))
    silent, _ = await RawClient.connect(broker, "c", keep_alive=1, will=mqtt5.Will("will", payload=b"x"))
    while broker.connected("c"):
        await asyncio.sleep(0.1)  # well below the keep-alive
        watcher.send(mqtt5.PingReqPacket())
    assert await farewell(silent) == Reason.KEEP_ALIVE_TIMEOUT
    assert broker.connected("w")
    while not isinstance(packet := await watcher.receive(), mqtt5.PublishPacket):
        assert isinstance(packet, mqtt5.PingRespPacket)
    assert packet.payload == b"x"


@pytest.mark.parametrize("reason", [Reason.NORMAL_DISCONNECTION, Reason.DISCONNECT_WITH_WILL_MESSAGE])
async def test_a_goodbye_decides_over_the_will(broker: Broker, reason: mqtt5.DisconnectReasonCode) -> None:
    """3.14.4: normal removes it, 0x04 sends it."""
    watcher, _ = await RawClient.connect(broker, "w")
    await watcher.subscribe(mqtt5.TopicFilter("will"))
    client, _ = await RawClient.connect(broker, "c", will=mqtt5.Will("will", payload=b"x"))
    client.send(mqtt5.DisconnectPacket(reason_code=reason))
    assert await client.receive() is None
    if reason == Reason.NORMAL_DISCONNECTION:
        await watcher.ping()
    else:
        assert (await watcher.message()).payload == b"x"


async def test_a_delayed_will_is_silent_when_the_client_is_back_in_time(broker: Broker) -> None:
    """3.1.3.2.2: and speaks at once when its session ends."""
    watcher, _ = await RawClient.connect(broker, "w")
    await watcher.subscribe(mqtt5.TopicFilter("will"))
    will = mqtt5.Will("will", payload=b"x", will_delay_interval=60)
    await RawClient.connect(broker, "c", session_expiry_interval=60, will=will)
    broker.cut("c")
    await until(lambda: not broker.connected("c"))
    await RawClient.connect(broker, "c", session_expiry_interval=60, will=will)
    await watcher.ping()
    broker.cut("c")
    await until(lambda: not broker.connected("c"))
    await watcher.ping()
    await RawClient.connect(broker, "c", clean_start=True)
    assert (await watcher.message()).payload == b"x"


async def test_a_delayed_will_speaks_after_its_delay(broker: Broker) -> None:
    """One second, here."""
    watcher, _ = await RawClient.connect(broker, "w")
    await watcher.subscribe(mqtt5.TopicFilter("will"))
    will = mqtt5.Will("will", payload=b"x", will_delay_interval=1)
    await RawClient.connect(broker, "c", session_expiry_interval=60, will=will)
    broker.cut("c")
    await until(lambda: not broker.connected("c"))
    await watcher.ping()
    assert (await watcher.message()).payload == b"x"


@pytest.mark.parametrize(
    ("handling", "first", "second"),
    [
        (mqtt5.RetainHandling.SEND_ALWAYS, True, True),
        (mqtt5.RetainHandling.SEND_IF_SUBSCRIPTION_NOT_EXISTS, True, False),
        (mqtt5.RetainHandling.SEND_NEVER, False, False),
    ],
)
async def test_retained_messages_come_as_the_subscription_wants(
    broker: Broker, handling: mqtt5.RetainHandling, first: bool, second: bool
) -> None:
    """3.8.3.1: always, for new subscriptions, never."""
    sender, _ = await RawClient.connect(broker, "s")
    await published(sender, b"kept", retain=True)
    client, _ = await RawClient.connect(broker, "c")
    for expected in (first, second):
        await client.subscribe(mqtt5.TopicFilter("+", retain_handling=handling))
        if expected:
            message = await client.message()
            assert (message.payload, message.retain) == (b"kept", True)
            client.send(mqtt5.PubAckPacket(message.packet_id or 0))
        await client.ping()


@pytest.mark.parametrize("as_published", [True, False])
async def test_the_retain_flag_of_a_live_message(broker: Broker, as_published: bool) -> None:
    """3.3.1.3: kept with retain-as-published, cleared without."""
    client, _ = await RawClient.connect(broker, "c")
    await client.subscribe(mqtt5.TopicFilter("a", retain_as_published=as_published))
    sender, _ = await RawClient.connect(broker, "s")
    await published(sender, b"x", retain=True)
    assert (await client.message()).retain is as_published


async def test_an_empty_retained_message_clears(broker: Broker) -> None:
    """3.3.1.3: and is itself delivered."""
    sender, _ = await RawClient.connect(broker, "s")
    await published(sender, b"kept", retain=True)
    await published(sender, b"", retain=True)
    client, _ = await RawClient.connect(broker, "c")
    await client.subscribe(mqtt5.TopicFilter("a"))
    await client.ping()


async def test_messages_expire_while_they_wait() -> None:
    """3.3.2.3.3: queued and retained alike; what remains is told."""
    now_s = 1000.0
    async with Broker(clock=lambda: now_s) as broker:
        client, _ = await RawClient.connect(broker, "c", session_expiry_interval=60)
        await client.subscribe(mqtt5.TopicFilter("a"))
        client.send(mqtt5.DisconnectPacket())
        assert await client.receive() is None
        sender, _ = await RawClient.connect(broker, "s")
        await published(sender, b"short", message_expiry_interval=10, retain=True)
        await published(sender, b"long", message_expiry_interval=30)
        now_s += 10
        client, _ = await RawClient.connect(broker, "c", session_expiry_interval=60)
        message = await client.message()
        assert (message.payload, message.message_expiry_interval) == (b"long", 20)
        await sender.subscribe(mqtt5.TopicFilter("a"))
        await sender.ping()


async def test_unsubscribing_ends_the_messages(broker: Broker) -> None:
    """3.11: with 0x11 for what was not subscribed."""
    client, _ = await RawClient.connect(broker, "c")
    await client.subscribe(mqtt5.TopicFilter("a"))
    client.send(mqtt5.UnsubscribePacket(2, ["a", "b"]))
    answer = await client.receive()
    assert isinstance(answer, mqtt5.UnsubAckPacket)
    assert [int(code) for code in answer.reason_codes] == [0x00, 0x11]
    sender, _ = await RawClient.connect(broker, "s")
    await published(sender, b"x")
    await client.ping()


@pytest.mark.parametrize(
    ("username", "password", "admitted"),
    [
        ("desk", b"secret", True),
        ("desk", b"wrong", False),
        ("desk", None, False),
        ("eve", b"", False),
        (None, None, False),
    ],
)
async def test_passwords_are_wanted_where_there_are_some(
    username: str | None, password: bytes | None, admitted: bool
) -> None:
    """3.2.2.2: reason 0x86."""
    async with Broker(credentials={"desk": "secret"}) as broker:
        client, answer = await RawClient.connect(broker, "c", username=username, password=password)
        if admitted:
            assert answer.reason_code == mqtt5.ConnAckReasonCode.SUCCESS
        else:
            assert answer.reason_code == mqtt5.ConnAckReasonCode.BAD_USER_NAME_OR_PASSWORD
            assert await client.receive() is None


async def test_a_packet_over_the_limit_is_refused_by_its_header() -> None:
    """3.2.2.3.6: reason 0x95, before its body is read."""
    async with Broker(max_packet_bytes=1000) as broker:
        client, _ = await RawClient.connect(broker, "c")
        await published(client, b"x" * 900)
        client.write(publication(b"x" * 1000).write()[:3])
        assert await farewell(client) == Reason.PACKET_TOO_LARGE


async def test_a_client_is_not_sent_more_than_it_takes(broker: Broker) -> None:
    """3.1.2.11.4: the message is dropped, and the window stays open."""
    client, _ = await RawClient.connect(broker, "c", max_packet_size=100, receive_max=1)
    await client.subscribe(mqtt5.TopicFilter("a"))
    sender, _ = await RawClient.connect(broker, "s")
    await published(sender, b"x" * 200)
    await published(sender, b"small")
    assert (await client.message()).payload == b"small"


async def test_the_first_packet_must_be_a_connect(broker: Broker) -> None:
    """3.1: anything else ends the connection; a second one too."""
    client = await RawClient.open(broker)
    client.send(mqtt5.PingReqPacket())
    assert await client.receive() is None
    client, _ = await RawClient.connect(broker, "c")
    client.send(mqtt5.ConnectPacket("c"))
    assert await farewell(client) == Reason.PROTOCOL_ERROR


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (mqtt5.PublishPacket("a", b"", topic_alias=1), Reason.TOPIC_ALIAS_INVALID),
        (mqtt5.SubscribePacket(1, [mqtt5.TopicFilter("a")], subscription_id=1), Reason.SUBSCRIPTION_IDS_NOT_SUPPORTED),
        (mqtt5.PubRelPacket(1), Reason.PROTOCOL_ERROR),
        (mqtt5.ConnAckPacket(), Reason.PROTOCOL_ERROR),
    ],
)
async def test_what_was_not_offered_is_refused(
    broker: Broker, packet: mqtt5.Packet, reason: mqtt5.DisconnectReasonCode
) -> None:
    """4.13: with the reason that fits."""
    client, _ = await RawClient.connect(broker, "c")
    client.send(packet)
    assert await farewell(client) == reason


async def test_a_shared_subscription_is_refused_alone(broker: Broker) -> None:
    """3.9.3: reason 0x9E, the others are granted."""
    client, _ = await RawClient.connect(broker, "c")
    answer = await client.subscribe(mqtt5.TopicFilter("$share/g/a"), mqtt5.TopicFilter("a"))
    assert [int(code) for code in answer.reason_codes] == [0x9E, 0x01]


async def test_garbage_ends_its_connection_and_no_other(broker: Broker) -> None:
    """Random bytes, mutilated packets, text that is no UTF-8: the broker goes on."""
    chance = random.Random(5)  # noqa: S311 - not a secret
    bystander, _ = await RawClient.connect(broker, "bystander")
    samples = [
        mqtt5.ConnectPacket("c", will=mqtt5.Will("w", payload=b"x"), username="u", keep_alive=9).write(),
        publication(b"x", response_topic="r", user_properties=[("k", "v")]).write(),
        mqtt5.SubscribePacket(1, [mqtt5.TopicFilter("a/#")]).write(),
    ]
    for attempt in range(150):
        raw = bytearray(chance.choice(samples) if attempt % 3 else chance.randbytes(40))
        for _ in range(3):
            raw[chance.randrange(len(raw))] = chance.randrange(256)
        client = await RawClient.open(broker)
        if attempt % 2:
            client.send(mqtt5.ConnectPacket("victim"))
        client.write(bytes(raw) + b"\xff" * 8)
        client.close()
    await until(lambda: broker.connections == 1)
    await bystander.ping()


async def test_a_packet_may_arrive_byte_by_byte(broker: Broker) -> None:
    """The stream has no boundaries."""
    client, _ = await RawClient.connect(broker, "c")
    for byte in mqtt5.SubscribePacket(7, [mqtt5.TopicFilter("a")]).write():
        client.write(bytes([byte]))
        await asyncio.sleep(0)
    answer = await client.receive()
    assert isinstance(answer, mqtt5.SubAckPacket)
    assert answer.packet_id == 7


async def test_sessions_survive_a_stop_and_a_start() -> None:
    """The same object on the same port: what was queued is delivered."""
    broker = Broker()
    await broker.start()
    port = broker.port
    client, _ = await RawClient.connect(broker, "c", session_expiry_interval=60)
    await client.subscribe(mqtt5.TopicFilter("a"))
    sender, _ = await RawClient.connect(broker, "s")
    await published(sender, b"x")
    await broker.stop()
    await client.message()
    assert await farewell(client) == Reason.SERVER_SHUTTING_DOWN
    await broker.start()
    assert broker.port == port
    client, answer = await RawClient.connect(broker, "c", session_expiry_interval=60)
    assert answer.session_present
    message = await client.message()
    assert (message.payload, message.duplicate) == (b"x", True)
    await broker.stop()


@pytest.mark.parametrize(
    ("pattern", "topic", "covered"),
    [
        ("a/#", "a", True),
        ("a/#", "a/b/c", True),
        ("a/#", "ab", False),
        ("+/b", "a/b", True),
        ("+", "a/b", False),
        ("#", "$SYS/a", False),
        ("+/a", "$SYS/a", False),
        ("$SYS/#", "$SYS/a", True),
        ("a/b", "a/b/c", False),
    ],
)
def test_wildcards(pattern: str, topic: str, covered: bool) -> None:
    """4.7."""
    assert matches(pattern, topic) is covered
