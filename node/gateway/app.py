"""The gateway's composition root: builds every part, starts and stops them in order, owns the tasks and the signals."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID, uuid4

import structlog
from pydantic import SecretStr

from node import __version__
from node.api.app import create_app
from node.api.key_gate import KeyGate
from node.api.keyring import Keyring, Owner
from node.api.rates import KeyRates, StrangerRates
from node.api.server import ApiServer, Listener, TcpListener, UnixListener
from node.clock import Clock, SystemClock, boot_id
from node.engine.bus import Bus
from node.errors import ConfigError, JournalUnavailable
from node.gateway.courier import Courier
from node.gateway.desk import GatewayDesk
from node.gateway.estimates import Estimates
from node.gateway.exchange import Exchange
from node.gateway.metrics import GatewayMetrics
from node.gateway.mirror import Mirror
from node.gateway.settings import GatewaySettings
from node.gateway.store import GatewayStore
from node.journal.directory import StateDirectory
from node.journal.key_store import SqliteKeyStore, key_database
from node.observe.health import Health, LoopMonitor
from node.observe.metrics import MetricsServer
from node.secrets import find
from node.settings import Subscription
from node.transport.issuer_key import IssuerKey, KeyFileError
from node.transport.mqtt import MqttTransport
from node.transport.mqtt_options import MqttOptions, client_tls
from node.transport.topics import Topics

STORE_PROBE_EVERY_S: Final = 2.0
#: Every event of every account comes by; each is worth a fraction of a millisecond.
RECEIVE_MAXIMUM: Final = 1024

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySecrets:
    """What the configuration refers to."""

    key: IssuerKey
    mqtt_password: SecretStr | None

    @classmethod
    def resolve(cls, settings: GatewaySettings) -> GatewaySecrets:
        """Look everything up.

        Raises:
            ConfigError: with one line for each reference that leads nowhere, or to something else.
        """
        faults: list[str] = []
        key, password = None, None
        try:
            text = find(settings.gateway.issuer_key.credential).get_secret_value()
            key = IssuerKey.parse(text)
        except ConfigError as error:
            faults += [f"gateway.issuer_key: {fault}" for fault in error.faults]
        except KeyFileError as error:
            faults.append(f"gateway.issuer_key: {error}")
        try:
            password = find(settings.mqtt.password.credential) if settings.mqtt.password else None
        except ConfigError as error:
            faults += [f"mqtt.password: {fault}" for fault in error.faults]
        if faults or key is None:
            raise ConfigError(faults)
        return cls(key=key, mqtt_password=password)


def run(settings: GatewaySettings, secrets: GatewaySecrets) -> int:
    """Serve until SIGTERM or SIGINT; the process's exit status.

    Raises:
        ConfigError, StateDirectoryBusy, JournalUnavailable: nothing was started.
    """
    with ExitStack() as stack:
        for name, path, shared in (
            ("state_dir", settings.gateway.state_dir, False),
            ("runtime_dir", settings.gateway.runtime_dir, True),
        ):
            try:
                stack.enter_context(StateDirectory(path, shared=shared))
            except OSError as error:
                raise ConfigError([f"gateway.{name}: {path}: {error.strerror or error}"]) from None
        asyncio.run(_serve(settings, secrets))
    return 0


async def _serve(settings: GatewaySettings, secrets: GatewaySecrets) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with running(settings, secrets) as gateway:
        log.info("gateway_serving", id=settings.gateway.id, version=__version__, accounts=len(settings.accounts))
        await stop.wait()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)  # a second signal ends the process at once
        gateway.health.drain()
    log.info("gateway_stopped")


@dataclass(slots=True, kw_only=True)
class Gateway:
    """The running gateway's parts, for the composition root and the tests that drive it in process."""

    desk: GatewayDesk
    transport: MqttTransport
    api: ApiServer
    health: Health
    courier: Courier
    mirror: Mirror


@asynccontextmanager
async def running(settings: GatewaySettings, secrets: GatewaySecrets) -> AsyncIterator[Gateway]:
    """Start everything in order, yield, stop everything in the opposite order."""
    clock = SystemClock()
    metrics = GatewayMetrics(__version__)
    topics = Topics(settings.gateway.tenant)
    # Nobody but the nodes learns it: what comes there is an answer to this process.
    response_topic = f"{topics.response(settings.gateway.id)}/{uuid4()}"
    bus = Bus()
    async with AsyncExitStack() as stack:
        store = GatewayStore(
            settings.gateway.state_dir / "gateway.sqlite3",
            on_health=metrics.store_healthy.set,
            commit_seconds=metrics.commit_seconds.observe,
        )
        await stack.enter_async_context(store)
        metrics.store_healthy.set(1)
        names = {account.id: account.name for account in settings.accounts}

        def on_lock(account_id: UUID) -> None:
            bus.publish(account_id, {})
            metrics.account_known.labels(account=names[account_id]).set(mirror.known(account_id))

        mirror = Mirror(
            settings.account_ids,
            clock,
            boot_id=boot_id(),
            on_lock=on_lock,
        )

        def on_connection(connected: bool) -> None:
            metrics.mqtt_connected.set(connected)
            if connected and transport.reconnects:
                metrics.mqtt_reconnects_total.inc()
            exchange.connection(connected)

        transport = MqttTransport(
            _options(settings, secrets, topics, response_topic),
            on_connection=on_connection,
        )
        courier = Courier(transport, topics, response_topic, clock)
        estimates = Estimates(settings.account_ids)
        key_file = key_database(settings.gateway.state_dir / "keys.sqlite3", clock=clock)
        await key_file.open()
        stack.push_async_callback(key_file.close)
        keyring = Keyring(SqliteKeyStore(key_file), _owners(settings), clock=clock, rates=KeyRates(clock))
        await keyring.load()
        exchange = Exchange(
            topics,
            gateway_id=settings.gateway.id,
            store=store,
            courier=courier,
            mirror=mirror,
            bus=bus,
            estimates=estimates,
            clock=clock,
            on_junk=metrics.not_understood_total.inc,
        )

        health = Health()
        health.register("store", lambda: None if store.healthy else "cannot be written")
        health.register("keys", lambda: None if key_file.healthy else "cannot be written")
        health.register("broker", lambda: None if transport.connected else "not connected")
        health.register("commands", lambda: courier.refusal and f"the broker refuses them: {courier.refusal}")
        health.register("accounts", lambda: _accounts_ping(settings, mirror))
        desk = GatewayDesk(
            settings,
            secrets.key,
            store=store,
            courier=courier,
            exchange=exchange,
            mirror=mirror,
            bus=bus,
            estimates=estimates,
            keyring=keyring,
            clock=clock,
            not_ready=lambda: health.readiness().reasons,
            parts=lambda: {
                "broker": {"connected": transport.connected},
                "journal": {"healthy": store.healthy},
            },
            on_told=lambda action, outcome, seconds: _told(metrics, action, outcome, seconds),
            version=__version__,
            started_at=datetime.now(UTC),
        )
        await exchange.recover()
        loop_monitor = LoopMonitor(observe_lag_s=metrics.event_loop_lag_seconds.observe)
        api = ApiServer(_listeners(settings, desk, keyring, clock, loop_monitor))
        if settings.metrics is not None:
            listen = settings.metrics.listen
            metrics_server = MetricsServer(metrics, host=listen.host, port=listen.port)
            metrics_server.start()
            stack.callback(metrics_server.close)
        api.bind()
        async with asyncio.TaskGroup() as tasks:
            work = {
                "mqtt": transport.run(),
                "mqtt-deliveries": exchange.receive(transport.deliveries()),
                "answers-writer": exchange.write(),
                "questions": exchange.ask_again(),
                "courier": courier.run(),
                "key-use": keyring.run(),
                "loop-monitor": loop_monitor.run(),
                "store-probe": _probe(store, settings, mirror, metrics),
            }
            serving = [tasks.create_task(part, name=name) for name, part in work.items()]
            await api.start(tasks)
            gc.freeze()  # what is there by now stays: a full collection over it would hold a command up
            try:
                yield Gateway(desk=desk, transport=transport, api=api, health=health, courier=courier, mirror=mirror)
            finally:
                await api.stop()
                await keyring.keep()
                for task in serving:
                    task.cancel()
        try:
            await exchange.flush()
        except JournalUnavailable:
            log.warning("answers_left_unwritten")  # the nodes will be asked again


def _options(settings: GatewaySettings, secrets: GatewaySecrets, topics: Topics, response_topic: str) -> MqttOptions:
    """A visitor without a session: what it missed it asks for, and locks of last night are of no use to it.

    Raises:
        ConfigError: a certificate cannot be used.
    """
    mqtt = settings.mqtt
    try:
        files = {"ca_file": mqtt.ca_file, "cert_file": mqtt.cert_file, "key_file": mqtt.key_file}
        tls = client_tls(**files) if mqtt.url.tls else None
    except OSError as error:
        raise ConfigError([f"mqtt: certificates cannot be used: {error}"]) from None
    return MqttOptions(
        host=mqtt.url.host,
        port=mqtt.url.port,
        client_id=f"sn-gateway-{settings.gateway.tenant}-{settings.gateway.id}",
        subscriptions=(topics.every_event, topics.every_lock, topics.every_status, response_topic),
        tls=tls,
        username=mqtt.username,
        password=secrets.mqtt_password.get_secret_value() if secrets.mqtt_password else None,
        session_expiry_s=0,
        receive_maximum=RECEIVE_MAXIMUM,
    )


def _owners(settings: GatewaySettings) -> list[Owner]:
    """Whose accounts they are is decided by this configuration, whatever the nodes' say."""
    return [
        Owner(
            id=owner.id,
            subscribed=owner.subscription is not Subscription.NONE,
            accounts=frozenset(account.id for account in settings.accounts if account.owner == owner.id),
        )
        for owner in settings.owners
    ]


def _listeners(
    settings: GatewaySettings, desk: GatewayDesk, keyring: Keyring, clock: Clock, loop_monitor: LoopMonitor
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
        listeners.append(
            TcpListener(
                app=create_app(
                    desk, operator=False, authenticate=KeyGate(keyring, StrangerRates(clock)), liveness=liveness
                ),
                host=settings.http.listen.host,
                port=settings.http.listen.port,
                cert_file=settings.http.cert_file,
                key_file=settings.http.key_file,
            )
        )
    return listeners


def _accounts_ping(settings: GatewaySettings, mirror: Mirror) -> str | None:
    """Ready while any account can be reached; one that cannot says so in its own state."""
    if any(mirror.known(account_id) for account_id in settings.account_ids):
        return None
    return "no node that has one has spoken lately"


def _told(metrics: GatewayMetrics, action: str, outcome: str, seconds: float) -> None:
    metrics.commands_total.labels(action=action, outcome=outcome).inc()
    if outcome == "confirmed":
        metrics.confirm_seconds.observe(seconds)


async def _probe(store: GatewayStore, settings: GatewaySettings, mirror: Mirror, metrics: GatewayMetrics) -> None:
    """Learn of a full disk or a lost file before a command does."""
    while True:
        for account in settings.accounts:
            metrics.account_known.labels(account=account.name).set(mirror.known(account.id))
        await asyncio.sleep(STORE_PROBE_EVERY_S)
        try:
            await store.probe()
        except JournalUnavailable as error:
            log.warning("store_probe_failed", error=str(error))
