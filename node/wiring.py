"""From settings to parts: what the composition root puts together, one function a part."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from statistics import median
from typing import Final
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from node import __version__
from node.api.app import create_app
from node.api.key_gate import KeyGate
from node.api.keyring import Keyring, KeyStore, Owner
from node.api.rates import KeyRates, StrangerRates
from node.api.server import Listener, TcpListener, UnixListener
from node.clock import Clock
from node.domain.command import ALL_ACCOUNTS, Command, ReplyTo
from node.domain.flatten import FlattenTerms
from node.domain.result import Document
from node.engine.account import AccountTerms, ExecutionTerms
from node.engine.actor import AccountActor
from node.engine.authority import Authority, Issuer
from node.engine.desk import Desk
from node.engine.dispatcher import Dispatcher
from node.engine.drill_schedule import DrillSchedule
from node.engine.inbox import Inbox
from node.engine.lock_ledger import LockLedger
from node.engine.outbox import Outbox, Router, encode
from node.engine.ports import Journal, Venue
from node.engine.pursuit import AccountContext
from node.engine.scribe import Scribe
from node.engine.view import AccountView
from node.errors import ConfigError
from node.observe.health import LoopMonitor
from node.observe.metrics import Metrics, MetricsServer
from node.observe.telemetry import Telemetry
from node.secrets import Secrets
from node.settings import AccountSettings, LockOnClose, Settings, Subscription
from node.transport.envelope import EnvelopeVerifier
from node.transport.mqtt import MqttTransport
from node.transport.mqtt_options import MqttOptions, Will, client_tls
from node.transport.topics import Topics
from node.venues.lane import background
from node.venues.options import VenueOptions

#: While the journal is down commands stay unacknowledged: a small window would make the node deaf.
RECEIVE_MAXIMUM: Final = 1024
STATUS_SCHEMA: Final = "sovereign-node/status/1"


def observers(dispatcher: Dispatcher, desk: Desk, telemetry: Telemetry) -> Callable[[Command, Document], None]:
    """Tell everybody who follows commands of each event."""

    def observe(command: Command, document: Document) -> None:
        dispatcher.observe(command, document)
        desk.observe(document)
        telemetry.event(command, document)

    return observe


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
            subscriptions=(topics.every_command,),
            tls=tls,
            username=mqtt.username,
            password=secrets.of(mqtt.password).get_secret_value() if mqtt.password else None,
            will=Will(topic=topics.status(settings.node.id), payload=encode(will)),
            receive_maximum=RECEIVE_MAXIMUM,
        ),
        on_connection=on_connection,
    )


def verifier(settings: Settings) -> EnvelopeVerifier:
    """Knows the issuers' public keys."""
    keys = {issuer.id: Ed25519PublicKey.from_public_bytes(issuer.public_key) for issuer in settings.issuers}
    return EnvelopeVerifier(tenant=settings.node.tenant, public_keys=keys)


def keyring(settings: Settings, store: KeyStore, clock: Clock) -> Keyring:
    """The API keys of the configured owners."""
    owners = [
        Owner(
            id=owner.id,
            subscribed=owner.subscription is not Subscription.NONE,
            accounts=frozenset(account.id for account in settings.accounts if account.owner == owner.id),
        )
        for owner in settings.owners
    ]
    return Keyring(store, owners, clock=clock, rates=KeyRates(clock))


def authority(settings: Settings, actors: list[AccountActor], keyring: Keyring) -> Authority:
    """Knows who may command what."""

    def holder(issuer: str) -> Issuer | None:
        key = keyring.of_issuer(issuer)
        if key is None:
            return None
        return Issuer(id=issuer, actions=key.actions, accounts=keyring.accounts_of(key), kept_in_the_dark=True)

    def venue_offset() -> timedelta | None:
        offsets = [offset for actor in actors if (offset := actor.context.venue.clock_offset_ms()) is not None]
        return timedelta(milliseconds=median(offsets)) if offsets else None

    issuers = [
        Issuer(
            id=issuer.id,
            actions=frozenset(issuer.actions),
            accounts=None if ALL_ACCOUNTS in issuer.accounts else frozenset(settings.accounts_of(issuer)),
            lifetime=timedelta(seconds=issuer.max_lifetime_s),
        )
        for issuer in settings.issuers
    ]
    return Authority(issuers, [account.id for account in settings.accounts], venue_offset=venue_offset, further=holder)


def venue_options(account: AccountSettings, settings: Settings, credentials: dict[str, str]) -> VenueOptions:
    """What the venue layer must know of an account."""
    return VenueOptions(
        exchange=account.exchange,
        credentials=credentials,
        permission=account.permission,
        slices=account.slices,
        connect_to=str(account.connect_to) if account.connect_to else None,
        ca_file=account.ca_file,
        local_address=account.local_address,
        sandbox=account.sandbox,
        options=account.options,
        refuse_withdrawal=account.withdrawal_right == "refuse",
        market_cache_dir=settings.node.state_dir / "markets",
    )


def revealed_options(account: AccountSettings, settings: Settings, secrets: Secrets) -> VenueOptions:
    """The same with the account's own credentials."""
    revealed = {name: secret.get_secret_value() for name, secret in secrets.of_account(account).items()}
    return venue_options(account, settings, revealed)


def account_terms(account: AccountSettings, settings: Settings) -> AccountTerms:
    """What the engine must know of an account."""
    execution = account.execution_with(settings.execution)
    return AccountTerms(
        account_id=account.id,
        name=account.name,
        owner=account.owner,
        exchange=account.exchange,
        permission=account.permission,
        execution=ExecutionTerms(
            deadline_s=execution.deadline_s,
            latch_by_default=execution.lock_on_close is LockOnClose.LATCH,
            settle_s=execution.settle_s,
            max_slippage=execution.max_slippage,
            resume_within=timedelta(seconds=execution.resume_within_s),
            guard=execution.guard,
        ),
        flatten=FlattenTerms(
            base_currency=account.base_currency,
            keep=frozenset(account.flatten.keep),
            min_value=account.flatten.min_value,
            max_slippage=execution.max_slippage,
        ),
    )


def actor(
    account: AccountSettings,
    settings: Settings,
    venue: Venue,
    *,
    scribe: Scribe,
    clock: Clock,
    ledger: LockLedger,
    journal: Journal,
    telemetry: Telemetry,
    on_guard: Callable[[AccountTerms, Document], None],
) -> AccountActor:
    """One account's actor with its terms."""
    terms = account_terms(account, settings)
    context = AccountContext(
        terms=terms,
        venue=venue,
        view=AccountView(venue, clock, background),
        scribe=scribe,
        clock=clock,
        ledger=ledger,
        journal=journal,
        on_guard=on_guard,
        on_step=telemetry.step,
    )
    return AccountActor(context, node_id=settings.node.id)


def guard_observer(topics: Topics, outbox: Outbox, telemetry: Telemetry) -> Callable[[AccountTerms, Document], None]:
    """Tell the broker and the metrics of each intervention of a guard."""

    def observe(terms: AccountTerms, document: Document) -> None:
        outbox.publish_notice(topics.guard_event(terms.account_id), document)
        telemetry.guarded(terms, document)

    return observe


def drill_schedule(
    settings: Settings, actors: list[AccountActor], inbox: Inbox, clock: Clock, drilled_at: Mapping[UUID, datetime]
) -> DrillSchedule | None:
    """Rehearsals by configuration; None where none are wanted."""
    if settings.drill is None:
        return None
    wanted = settings.accounts_of(settings.drill)
    by_id = {actor.context.terms.account_id: actor for actor in actors}
    return DrillSchedule(
        every=timedelta(seconds=settings.drill.every_s),
        action=settings.drill.action,
        actors={account_id: by_id[account_id] for account_id in wanted},
        inbox=inbox,
        clock=clock,
        drilled_at=drilled_at,
    )


def router(topics: Topics) -> Router:
    """Sends each event to its topic, and to the sender's own where it named one."""

    def route(document: Document, reply_to: ReplyTo | None) -> list[tuple[str, bytes | None]]:
        target = document["account_id"]
        command_id = UUID(document["command_id"])
        topic = topics.event("*" if target == ALL_ACCOUNTS else UUID(target), command_id)
        own: tuple[str, bytes | None] = (topic, None)
        return [own] if reply_to is None else [own, (reply_to.topic, reply_to.correlation_data)]

    return route


def listeners(
    settings: Settings, desk: Desk, keyring: Keyring, clock: Clock, loop_monitor: LoopMonitor
) -> list[Listener]:
    """The operator's socket, and the public listener where there is one."""

    def liveness() -> tuple[str, ...]:
        wrong = loop_monitor.ping()
        return () if wrong is None else (wrong,)

    listeners: list[Listener] = [
        UnixListener(
            app=create_app(desk, operator=True, keyring=keyring, liveness=liveness), path=settings.operator_socket
        )
    ]
    if settings.http is not None:
        gate = KeyGate(keyring, StrangerRates(clock))
        listeners.append(
            TcpListener(
                app=create_app(desk, operator=False, authenticate=gate, liveness=liveness),
                host=settings.http.listen.host,
                port=settings.http.listen.port,
                cert_file=settings.http.cert_file,
                key_file=settings.http.key_file,
            )
        )
    return listeners


def metrics_server(settings: Settings, metrics: Metrics) -> MetricsServer | None:
    """The Prometheus listener where there is one."""
    if settings.metrics is None:
        return None
    return MetricsServer(metrics, host=settings.metrics.listen.host, port=settings.metrics.listen.port)
