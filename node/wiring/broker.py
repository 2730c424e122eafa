"""The broker: the connection, who may command what over it, and where events go."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from statistics import median
from typing import Final
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from node import __version__
from node.api.keyring import Keyring
from node.domain.command import ALL_ACCOUNTS, ReplyTo, Request
from node.domain.result import Document
from node.engine.actor import AccountActor
from node.engine.authority import Authority, Issuer
from node.engine.outbox import Router, encode
from node.errors import ConfigError
from node.observe.metrics import Metrics
from node.secrets import Secrets
from node.settings import Settings
from node.transport.envelope import EnvelopeVerifier, rehearse
from node.transport.gatekeeper import Gatekeeper
from node.transport.mqtt import MqttTransport
from node.transport.mqtt_options import MqttOptions, Will, client_tls
from node.transport.topics import Topics

#: While the journal is down commands stay unacknowledged: a small window would make the node deaf.
RECEIVE_MAXIMUM: Final = 1024
STATUS_SCHEMA: Final = "sovereign-node/status/1"


def transport(settings: Settings, secrets: Secrets, topics: Topics, metrics: Metrics) -> MqttTransport | None:
    """The broker connection; None where no broker is configured.

    Raises:
        ConfigError: a certificate cannot be used.
    """
    mqtt = settings.mqtt
    if mqtt is None:
        return None
    tls = None
    if mqtt.url.tls:
        try:
            tls = client_tls(ca_file=mqtt.ca_file, cert_file=mqtt.cert_file, key_file=mqtt.key_file)
        except OSError as error:
            raise ConfigError([f"mqtt: certificates cannot be used: {error}"]) from None
    will = {
        "schema": STATUS_SCHEMA,
        "node_id": settings.node.id,
        "state": "offline",
        "version": __version__,
    }
    metrics.mqtt_configured.set(1)
    connections = 0

    def on_connection(connected: bool) -> None:
        nonlocal connections
        connections += connected
        metrics.mqtt_connected.set(connected)
        if connected and connections > 1:
            metrics.mqtt_reconnects_total.inc()

    return MqttTransport(
        MqttOptions(
            host=mqtt.url.host,
            port=mqtt.url.port,
            client_id=f"sn-{settings.node.tenant}-{settings.node.id}",
            subscriptions=_own_commands(settings, topics) if mqtt.shared else (topics.every_command,),
            unsubscriptions=(topics.every_command,) if mqtt.shared else (),
            tls=tls,
            username=mqtt.username,
            password=secrets.of(mqtt.password).get_secret_value() if mqtt.password else None,
            will=Will(topic=topics.status(settings.node.id), payload=encode(will)),
            receive_maximum=RECEIVE_MAXIMUM,
        ),
        on_connection=on_connection,
    )


def _own_commands(settings: Settings, topics: Topics) -> tuple[str, ...]:
    """Filters that do not overlap: every account's own, and the one for all."""
    return (topics.command(ALL_ACCOUNTS), *(topics.command(account.id) for account in settings.accounts))


def gatekeeper(settings: Settings, topics: Topics, authority: Authority) -> Gatekeeper:
    """Verifies what a broker brings. On a shared broker, what concerns no account of ours is left to other nodes: an
    answer of ours would be taken for theirs.
    """
    ours = {account.id for account in settings.accounts}

    def others(request: Request) -> bool:
        if request.account_id is not None:
            return request.account_id not in ours
        return not authority.accounts_of(request)

    shared = settings.mqtt is not None and settings.mqtt.shared
    return Gatekeeper(verifier(settings), topics, **({"others": others} if shared else {}))


def verifier(settings: Settings) -> EnvelopeVerifier:
    """Knows the issuers' public keys."""
    rehearse(settings.node.tenant)
    keys = {issuer.id: Ed25519PublicKey.from_public_bytes(issuer.public_key) for issuer in settings.issuers}
    return EnvelopeVerifier(tenant=settings.node.tenant, public_keys=keys)


def authority(settings: Settings, actors: list[AccountActor], keyring: Keyring) -> Authority:
    """Knows who may command what."""

    def holder(issuer: str) -> Issuer | None:
        key = keyring.of_issuer(issuer)
        if key is None:
            return None
        return Issuer(id=issuer, actions=key.actions, accounts=keyring.accounts_of(key), kept_in_the_dark=True)

    issuers = [
        Issuer(
            id=issuer.id,
            actions=frozenset(issuer.actions),
            accounts=None if ALL_ACCOUNTS in issuer.accounts else frozenset(settings.accounts_of(issuer)),
            lifetime=timedelta(seconds=issuer.max_lifetime_s),
        )
        for issuer in settings.issuers
    ]
    accounts = [account.id for account in settings.accounts]
    return Authority(issuers, accounts, venue_offset=lambda: venue_offset(actors), further=holder)


def venue_offset(actors: Iterable[AccountActor]) -> timedelta | None:
    """What the venues say of our clock: theirs less ours, the median; None: none has told its time."""
    offsets = [offset for actor in actors if (offset := actor.context.venue.clock_offset_ms()) is not None]
    return timedelta(milliseconds=median(offsets)) if offsets else None


def router(topics: Topics) -> Router:
    """Sends each event to its topic, and to the sender's own where it named one."""

    def route(document: Document, reply_to: ReplyTo | None) -> list[tuple[str, bytes | None]]:
        target = document["account_id"]
        command_id = UUID(document["command_id"])
        topic = topics.event("*" if target == ALL_ACCOUNTS else UUID(target), command_id)
        own: tuple[str, bytes | None] = (topic, None)
        return [own] if reply_to is None else [own, (reply_to.topic, reply_to.correlation_data)]

    return route
