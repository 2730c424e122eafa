"""What only the MQTT transport has: the broker's refusals, lost sessions, TLS, the private interface below."""

from __future__ import annotations

import asyncio
import gc
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from paho.mqtt.client import Client as PahoClient
from structlog.testing import capture_logs

from node.errors import TransportRefused, TransportUnavailable
from node.sim.broker import Broker
from node.transport.mqtt import MqttTransport, retry_delay_s
from node.transport.mqtt_options import MqttOptions, Will, client_tls, parse_broker_url
from node.transport.paho_link import TransportLibraryChanged, check_library
from tests.support.broker import receive, running, within
from tests.support.mosquitto import PASSWORDS, Mosquitto, free_port
from tests.support.waiting import until

COMMAND = "sn/v1/acme/cmd/6b0c8d1e-0f5a-4d3b-9c1e-5a2f7c9d0e11"


def client_of(port: int, client_id: str = "node", *subscriptions: str, **changed: Any) -> MqttTransport:
    """A transport with quick time-outs."""
    terms: dict[str, Any] = {"connect_timeout_s": 1.0} | changed
    return MqttTransport(
        MqttOptions(host="127.0.0.1", port=port, client_id=client_id, subscriptions=subscriptions, **terms),
        jitter=lambda: 0.05,
    )


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    """A process of its own, running."""
    server = Mosquitto(tmp_path)
    server.start()
    yield server
    server.stop()


async def test_an_acknowledgement_that_never_comes_is_unavailability() -> None:
    """Publishing ends within its time-out, not with the connection."""
    async with Broker() as broker:
        node = client_of(broker.port, publish_timeout_s=0.05)
        async with running(node):
            broker.faults.drop_acks_to("node")
            with pytest.raises(TransportUnavailable, match=r"within 0\.05 s"):
                await node.publish("a", b"x")
            await node.publish("a", b"y")


async def test_a_publish_fails_with_its_connection() -> None:
    """At the cut, not ten seconds later."""
    async with Broker() as broker:
        node = client_of(broker.port, publish_timeout_s=60)
        async with running(node):
            broker.faults.drop_acks_to("node")
            publishing = asyncio.create_task(node.publish("a", b"x"), name="publishing")
            await until(lambda: broker.published == 1)
            broker.cut("node")
            with pytest.raises(TransportUnavailable, match="broke"):
                await within(publishing)


async def test_a_message_that_the_broker_refuses_was_not_published(mosquitto: Mosquitto) -> None:
    """A node that may not write there learns it from the PUBACK."""
    node = client_of(mosquitto.port, username="node-1", password=PASSWORDS["node-1"])
    async with running(node):
        with pytest.raises(TransportRefused, match="Not authorized"):
            await node.publish("sn/v1/acme/node/another/status", b"a node speaks for itself only")
        assert node.connected


async def test_an_issuer_cannot_read_commands_nor_speak_for_the_node(mosquitto: Mosquitto) -> None:
    """The access control as shipped."""
    desk = client_of(mosquitto.port, "desk", "sn/v1/acme/#", username="desk", password=PASSWORDS["desk"])
    async with running(desk):
        for topic in ("sn/v1/acme/lock/x", "sn/v1/acme/evt/x/y", "sn/v1/acme/node/node-1/status", "elsewhere"):
            with pytest.raises(TransportRefused):
                await desk.publish(topic, b"forged")
        await desk.publish(COMMAND, b"own command")
        node = client_of(mosquitto.port, "node", username="node-1", password=PASSWORDS["node-1"])
        async with running(node):
            await node.publish("sn/v1/acme/evt/x/y", b"event")
        assert (await receive(desk))[0].payload == b"event"


@pytest.mark.parametrize("password", [None, "wrong"])
async def test_a_wrong_password_is_told_and_tried_again(mosquitto: Mosquitto, password: str | None) -> None:
    """The reason is the broker's; the password is nowhere."""
    node = client_of(mosquitto.port, username="node-1", password=password)
    with capture_logs() as logs:
        run = asyncio.create_task(node.run(), name="run")
        await until(lambda: len(logs) >= 2)
        run.cancel()
    await asyncio.wait([run])
    assert {entry["event"] for entry in logs} == {"mqtt_unreachable"}
    assert "Not authorized" in logs[0]["reason"]
    assert "wrong" not in repr(logs)


async def test_a_broker_that_is_not_there_is_tried_with_growing_delays() -> None:
    """Full jitter over 0.2, 0.4, 0.8 ... 5 seconds."""
    node = client_of(free_port())
    with capture_logs() as logs:
        run = asyncio.create_task(node.run(), name="run")
        await until(lambda: len(logs) >= 3)
        run.cancel()
    await asyncio.wait([run])
    assert [entry["retry_in_ms"] for entry in logs[:3]] == [10, 20, 40]
    assert not node.connected
    assert [retry_delay_s(failures, 1.0) for failures in (0, 1, 4, 5, 10_000)] == [0.2, 0.4, 3.2, 5.0, 5.0]


async def test_a_broker_that_accepts_and_says_nothing_is_left() -> None:
    """The CONNACK has a time-out, and the socket does not stay behind."""
    silent = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    node = client_of(port, connect_timeout_s=0.1)
    with capture_logs() as logs:
        run = asyncio.create_task(node.run(), name="run")
        await until(lambda: len(logs) >= 2)
        run.cancel()
        await asyncio.wait([run])
    silent.close()
    assert {entry["event"] for entry in logs} == {"mqtt_unreachable"}


async def test_a_refused_subscription_is_not_a_connection() -> None:
    """Connected but deaf would be the worst of all."""
    async with Broker() as broker:
        node = client_of(broker.port, "node", "$share/group/a")
        with capture_logs() as logs:
            run = asyncio.create_task(node.run(), name="run")
            await until(lambda: len(logs) >= 1)
            run.cancel()
            await asyncio.wait([run])
        assert not node.connections
        assert "$share/group/a refused" in logs[0]["reason"]


async def test_a_taken_over_client_says_why() -> None:
    """Two nodes with one id push each other out: the log shows it."""
    async with Broker() as broker:
        first = client_of(broker.port)
        with capture_logs() as logs:
            async with running(first), running(client_of(broker.port)):
                await until(lambda: any(entry["event"] == "mqtt_disconnected" for entry in logs))
        lost = next(entry for entry in logs if entry["event"] == "mqtt_disconnected")
        assert "Session taken over" in lost["reason"]


async def test_what_a_broker_forgot_is_not_thrown_away() -> None:
    """Unread messages of a session that the broker lost exist only here."""
    async with Broker() as broker:
        node, desk = client_of(broker.port, "node", "a"), client_of(broker.port, "desk")
        async with running(node, desk):
            await desk.publish("a", b"kept")
            await node.publish("b", b"fence")
            broker.faults.forget_session("node")
            broker.cut("node")
            await until(lambda: node.reconnects == 1)
            await desk.publish("a", b"new")
            assert [delivery.payload for delivery in await receive(node, 2)] == [b"kept", b"new"]


async def test_a_message_delivered_twice_is_acknowledged_twice() -> None:
    """Brokers may duplicate: each copy has its own receipt."""
    async with Broker() as broker:
        node, desk = client_of(broker.port, "node", "a"), client_of(broker.port, "desk")
        async with running(node, desk):
            broker.faults.duplicate_next("node")
            await desk.publish("a", b"x")
            for delivery in await receive(node, 2):
                assert delivery.payload == b"x"
                await delivery.acknowledge()
            await until(lambda: broker.session("node").unacknowledged == 0)


async def test_an_acknowledgement_lost_on_the_way_brings_the_message_again() -> None:
    """At least once, in the other direction."""
    async with Broker() as broker:
        node, desk = client_of(broker.port, "node", "a"), client_of(broker.port, "desk")
        async with running(node, desk):
            broker.faults.drop_acks_from("node")
            await desk.publish("a", b"x")
            await (await receive(node))[0].acknowledge()
            await node.publish("b", b"fence")
            broker.cut("node")
            assert (await receive(node))[0].payload == b"x"


async def test_every_connection_is_announced_and_every_end_too() -> None:
    """What publishes status and locks after a reconnect hangs on this."""
    seen: list[bool] = []
    async with Broker() as broker:
        options = MqttOptions(host="127.0.0.1", port=broker.port, client_id="node")
        node = MqttTransport(options, on_connection=seen.append, jitter=lambda: 0.0)
        async with running(node):
            broker.cut("node")
            await until(lambda: node.reconnects == 1)
        assert seen == [True, False, True, False]
        assert not node.connected


async def test_a_clean_stop_leaves_no_will_and_keeps_the_session() -> None:
    """The caller has said goodbye itself."""
    async with Broker() as broker:
        node = client_of(broker.port, "node", "a", will=Will(topic="status", payload=b"offline", delay_s=0))
        async with running(node):
            pass
        await until(lambda: not broker.connected("node"))
        assert broker.published == 0
        assert broker.session("node").subscriptions.keys() == {"a"}


async def test_a_visitor_leaves_nothing_behind() -> None:
    """A session expiry of 0: what ``send`` uses."""
    async with Broker() as broker:
        async with running(client_of(broker.port, "visitor", "a", session_expiry_s=0)):
            assert broker.connected("visitor")
        await until(lambda: not broker.connected("visitor"))
        with pytest.raises(KeyError):
            broker.session("visitor")


def certificates(directory: Path) -> tuple[trustme.CA, ssl.SSLContext]:
    """A certificate authority, and a server context of its making."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(directory / "ca.pem"))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    return authority, server


async def test_tls_with_our_own_certificate(tmp_path: Path) -> None:
    """mqtts: the broker's name is checked, and ours is shown where the broker wants it."""
    authority, server = certificates(tmp_path)
    server.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(server)
    ours = authority.issue_cert("node-1")
    ours.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "node.pem"))
    tls = client_tls(ca_file=tmp_path / "ca.pem", cert_file=tmp_path / "node.pem")
    assert tls.minimum_version >= ssl.TLSVersion.TLSv1_2
    async with Broker(tls=server) as broker:
        node = client_of(broker.port, "node", "a", tls=tls)
        async with running(node):
            await node.publish("a", b"x" * 50_000)
            assert len((await receive(node))[0].payload) == 50_000


@pytest.mark.filterwarnings("ignore:.*ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning")
async def test_an_untrusted_broker_is_not_spoken_to(tmp_path: Path) -> None:
    """No password goes to a broker whose certificate does not fit."""
    _, server = certificates(tmp_path)
    async with Broker(tls=server) as broker:
        node = client_of(broker.port, tls=client_tls())
        with capture_logs() as logs:
            run = asyncio.create_task(node.run(), name="run")
            await until(lambda: len(logs) >= 1)
            run.cancel()
            await asyncio.wait([run])
        assert "certificate verify failed" in logs[0]["reason"]
        assert not broker.connected("node")
    gc.collect()  # paho leaves the socket of a failed handshake to the collector: here, not in another test


@pytest.mark.parametrize("method", ["ack", "manual_ack_set", "publish", "_sock_close"])
def test_another_paho_is_noticed_before_anything_is_acknowledged(monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    """The private interface is checked at start: better no node than one that loses commands."""
    check_library()
    monkeypatch.setattr(PahoClient, method, lambda self, other: None)
    with pytest.raises(TransportLibraryChanged, match=method):
        check_library()


async def test_the_check_is_made_at_every_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """``run`` ends with the fault instead of connecting."""
    monkeypatch.setattr(PahoClient, "ack", lambda self: None)
    with pytest.raises(TransportLibraryChanged):
        await within(client_of(free_port()).run())


def test_options_do_not_show_the_password() -> None:
    """They may end in a log line."""
    options = MqttOptions(host="h", port=1, client_id="c", username="u", password="s3cret")
    assert "s3cret" not in repr(options)


@pytest.mark.parametrize(
    ("url", "host", "port", "tls"),
    [
        ("mqtt://127.0.0.1", "127.0.0.1", 1883, False),
        ("mqtts://broker.example", "broker.example", 8883, True),
        ("mqtt://[::1]:1884/", "::1", 1884, False),
    ],
)
def test_a_brokers_url_says_where_it_is(url: str, host: str, port: int, tls: bool) -> None:
    """Scheme, host, port."""
    address = parse_broker_url(url)
    assert (address.host, address.port, address.tls) == (host, port, tls)


@pytest.mark.parametrize(
    "url", ["", "http://h", "mqtt://", "mqtt://h:x", "mqtt://h:99999", "mqtt://user:pw@h", "mqtt://h/x", "h:1883"]
)
def test_other_urls_are_refused(url: str) -> None:
    """A password belongs into a credential."""
    with pytest.raises(ValueError, match=r"broker|[Pp]ort"):
        parse_broker_url(url)


async def test_filters_of_an_earlier_configuration_are_taken_back() -> None:
    """The session is the broker's to keep: what it still subscribes to would come for ever, and twice."""
    async with Broker() as broker:
        async with running(client_of(broker.port, "node", "sn/v1/acme/cmd/+")):
            pass
        own, everything = COMMAND, ("sn/v1/acme/cmd/+",)
        node = client_of(broker.port, "node", own, unsubscriptions=everything)
        sender = client_of(broker.port, "sender")
        async with running(node, sender):
            await sender.publish("sn/v1/acme/cmd/_all", b"not subscribed to any more")
            await sender.publish(own, b"own")
            await sender.publish(own, b"the last")
            assert [delivery.payload for delivery in await receive(node, 2)] == [b"own", b"the last"]
