"""How to reach a broker, and as whom."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from node.key_pair import load_key_pair
from node.plain_files import must_be_regular

_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}


@dataclass(frozen=True, slots=True, kw_only=True)
class Will:
    """What the broker publishes, at QoS 1, when the connection dies without a goodbye."""

    topic: str
    payload: bytes
    retain: bool = True
    #: A reconnect within this time keeps the broker silent.
    delay_s: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class MqttOptions:
    """One client of one broker."""

    host: str
    port: int
    client_id: str
    #: Filters, each at QoS 1. They should not overlap: some brokers then deliver twice.
    subscriptions: tuple[str, ...] = ()
    #: Filters that an earlier run may have left with the broker, and that are no longer wanted.
    unsubscriptions: tuple[str, ...] = ()
    #: None: no TLS.
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    will: Will | None = None
    #: How long the broker keeps what arrives while we are away; 0 for a visitor.
    session_expiry_s: int = 7 * 24 * 3600
    #: Messages that the broker may have unacknowledged with us: back-pressure.
    receive_maximum: int = 64
    keepalive_s: int = 15
    #: For each step of connecting: TCP, TLS, the broker's answer, the subscriptions.
    connect_timeout_s: float = 5.0
    publish_timeout_s: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerAddress:
    """Where a broker listens."""

    host: str
    port: int
    tls: bool


def parse_broker_url(url: str) -> BrokerAddress:
    """Take ``mqtt://host[:port]`` or ``mqtts://host[:port]`` apart.

    Raises:
        ValueError: it is something else, or carries a password: those are references, not text.
    """
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError("a broker is mqtt://host:port or mqtts://host:port")
    if parts.username or parts.password or parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError("a broker's URL has a host and a port, and nothing else")
    return BrokerAddress(host=parts.hostname, port=parts.port or _PORTS[parts.scheme], tls=parts.scheme == "mqtts")


def client_tls(
    *, ca_file: Path | None = None, cert_file: Path | None = None, key_file: Path | None = None
) -> ssl.SSLContext:
    """TLS 1.2 or later, the broker's name verified; with our own certificate where the broker wants one.

    Raises:
        OSError: a file cannot be read or used (``ssl.SSLError`` is one).
    """
    must_be_regular(ca_file)
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if cert_file is not None:
        load_key_pair(context, cert_file, key_file)
    return context
