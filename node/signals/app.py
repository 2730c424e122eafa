"""The composition root of ``sovereign-node signals``: builds the parts, starts and stops them, owns the tasks."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import structlog
from fastapi import Request
from pydantic import SecretStr

from node import __version__
from node.api.errors import ApiError
from node.api.operator_access import TOKEN_LENGTH_MIN, OperatorAccess
from node.api.origins import Origins
from node.api.principal import Authenticator, Need, Principal, operator_of_socket
from node.api.rates import StrangerRates
from node.api.server import ApiServer, Listener, TcpListener, UnixListener
from node.api.sessions import SessionTerms
from node.client import EngineLock
from node.clock import Clock, SystemClock
from node.errors import ConfigError, JournalUnavailable
from node.journal.directory import StateDirectory
from node.observe.health import Health, LoopMonitor
from node.observe.metrics import MetricsServer
from node.observe.watchdog import ServiceManager, Watchdog
from node.secrets import find
from node.settings_fields import web_origin
from node.signals.desk import SignalDesk, SignalTarget
from node.signals.doors import create_app
from node.signals.fence import fence_trace
from node.signals.keys import WebhookKeys
from node.signals.metrics import SignalMetrics
from node.signals.settings import SignalAccount, SignalsSettings
from node.signals.store import SignalStore
from node.signals.venue import SignalVenue
from node.venues.options import VenueOptions
from node.venues.pool import Pools

STOP_WITHIN_S: Final = 10.0
#: Longer than an exchange may take to answer: an order that is on its way is waited for.
_DRAIN_MARGIN_S: Final = 1.0
_PROBE_EVERY_S: Final = 2.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalSecrets:
    """What the configuration refers to."""

    operator_token: SecretStr | None
    #: By account name, then by ccxt's names.
    credentials: Mapping[str, Mapping[str, SecretStr]]

    @classmethod
    def resolve(cls, settings: SignalsSettings) -> SignalSecrets:
        """Look everything up.

        Raises:
            ConfigError: with one line for each reference that leads nowhere, or to something that could be guessed.
        """
        faults: list[str] = []
        found: dict[str, SecretStr] = {}
        for place, reference in settings.references:
            try:
                found[reference.credential] = find(reference.credential)
            except ConfigError as error:
                faults.extend(f"{place}: {fault}" for fault in error.faults)
        token = found.get(settings.operator.token.credential) if settings.operator else None
        if token is not None and len(token.get_secret_value()) < TOKEN_LENGTH_MIN:
            faults.append(
                f"operator.token: shorter than {TOKEN_LENGTH_MIN} characters: `openssl rand -hex 32` makes one"
            )
        if faults:
            raise ConfigError(faults)
        credentials = {
            account.name: {name: found[reference.credential] for name, reference in account.credentials.items()}
            for account in settings.accounts
        }
        return cls(operator_token=token, credentials=credentials)


def venue_options(account: SignalAccount, settings: SignalsSettings, secrets: SignalSecrets) -> VenueOptions:
    """What the venue layer must know of an account."""
    return VenueOptions(
        exchange=account.exchange,
        credentials={name: secret.get_secret_value() for name, secret in secrets.credentials[account.name].items()},
        permission=account.permission,
        connect_to=str(account.connect_to) if account.connect_to else None,
        ca_file=account.ca_file,
        local_address=account.local_address,
        sandbox=account.sandbox,
        options=account.options,
        request_timeout_s=settings.signals.request_timeout_s,
    )


def run(settings: SignalsSettings, secrets: SignalSecrets) -> int:
    """Serve until SIGTERM or SIGINT; the process's exit status.

    Raises:
        ConfigError, StateDirectoryBusy, JournalUnavailable: nothing was started.
    """
    with ExitStack() as stack:
        for name, path, shared in (
            ("state_dir", settings.signals.state_dir, False),
            ("runtime_dir", settings.signals.runtime_dir, True),
        ):
            try:
                stack.enter_context(StateDirectory(path, shared=shared))
            except OSError as error:
                raise ConfigError([f"signals.{name}: {path}: {error.strerror or error}"]) from None
        asyncio.run(_serve(settings, secrets))
    return 0


async def _serve(settings: SignalsSettings, secrets: SignalSecrets) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    manager = ServiceManager.of_environment()
    async with running(settings, secrets) as signals:
        log.info("signals_serving", version=__version__, accounts=len(settings.accounts))
        manager.ready("serving")
        pings = {"event loop": signals.loop_monitor.ping}
        watchdog = Watchdog(manager, pings, status=lambda: _status(signals.health))
        watching = asyncio.create_task(watchdog.run(), name="watchdog")
        await stop.wait()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)  # a second signal ends the process at once
        signals.health.drain()
        manager.stopping("stopping", within_s=STOP_WITHIN_S + settings.signals.request_timeout_s)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    log.info("signals_stopped")


def _status(health: Health) -> str:
    readiness = health.readiness()
    return "ready" if readiness.ready else f"NOT READY ({'; '.join(readiness.reasons)})"


@dataclass(slots=True, kw_only=True)
class Signals:
    """The running parts, for the composition root and the tests that drive it in process."""

    desk: SignalDesk
    keys: WebhookKeys
    store: SignalStore
    api: ApiServer
    health: Health
    loop_monitor: LoopMonitor
    metrics: SignalMetrics
    pools: Pools
    venues: Mapping[str, SignalVenue]


@asynccontextmanager
async def running(
    settings: SignalsSettings, secrets: SignalSecrets, *, clock: Clock | None = None
) -> AsyncIterator[Signals]:
    """Start everything in order, yield, stop everything in the opposite order."""
    clock = clock or SystemClock()
    # At DEBUG ccxt logs every request with its key and signature.
    logging.getLogger("ccxt").setLevel(logging.WARNING)
    metrics, health = SignalMetrics(__version__), Health()
    async with AsyncExitStack() as stack:
        store = SignalStore(
            settings.signals.state_dir / "signals.sqlite3",
            on_health=metrics.store_healthy.set,
            commit_seconds=metrics.commit_seconds.observe,
        )
        await stack.enter_async_context(store)
        metrics.store_healthy.set(1)
        if left := await store.recover():
            log.warning("signals_of_unknown_fate", alerts=left)
        keys = WebhookKeys(store, [owner.id for owner in settings.owners], clock)
        await keys.load()
        pools = Pools(traces=(fence_trace(),))
        stack.push_async_callback(pools.close)
        targets: list[SignalTarget] = []
        venues: dict[str, SignalVenue] = {}
        for account in settings.accounts:
            venue = SignalVenue(account.name, venue_options(account, settings, secrets), pools, account.symbols)
            stack.push_async_callback(venue.close)
            venues[account.name] = venue
            targets.append(_target(account, settings, venue))
            health.register(account.name, lambda venue=venue: venue.obstacle)  # type: ignore[misc]  # bound now
        health.register("store", lambda: None if store.healthy else "cannot be written")
        desk = SignalDesk(targets, keys=keys, store=store, clock=clock, metrics=metrics, strangers=StrangerRates(clock))
        loop_monitor = LoopMonitor(observe_lag_s=metrics.event_loop_lag_seconds.observe)
        listeners = _listeners(settings, secrets, desk, keys, clock, health, loop_monitor, metrics)
        api = ApiServer(listeners, stop_deadline_s=settings.signals.request_timeout_s + _DRAIN_MARGIN_S)
        if settings.metrics is not None:
            listen = settings.metrics.listen
            metrics_server = MetricsServer(metrics, host=listen.host, port=listen.port)
            metrics_server.start()
            stack.callback(metrics_server.close)
        api.bind()
        async with asyncio.TaskGroup() as tasks:
            work = [tasks.create_task(loop_monitor.run(), name="loop-monitor")]
            work.append(tasks.create_task(_probe(store, targets, venues, metrics), name="store-probe"))
            work += [tasks.create_task(venue.run(), name=f"markets:{name}") for name, venue in venues.items()]
            await api.start(tasks)
            gc.freeze()
            try:
                yield Signals(
                    desk=desk,
                    keys=keys,
                    store=store,
                    api=api,
                    health=health,
                    loop_monitor=loop_monitor,
                    metrics=metrics,
                    pools=pools,
                    venues=venues,
                )
            finally:
                await api.stop()
                for task in work:
                    task.cancel()


def _target(account: SignalAccount, settings: SignalsSettings, venue: SignalVenue) -> SignalTarget:
    """An account with its lock: the node's word on this machine, and nothing else."""
    node = account.node_runtime_dir or settings.signals.node_runtime_dir
    return SignalTarget(
        id=str(account.id),
        name=account.name,
        owner=account.owner,
        permission=account.permission,
        off_step=account.off_step,
        lock=EngineLock(node, str(account.id)),
        exchange=venue,
    )


def _listeners(
    settings: SignalsSettings,
    secrets: SignalSecrets,
    desk: SignalDesk,
    keys: WebhookKeys,
    clock: Clock,
    health: Health,
    loop_monitor: LoopMonitor,
    metrics: SignalMetrics,
) -> list[Listener]:
    """The operator's socket, and the door for alerts where there is one."""

    def liveness() -> list[str]:
        wrong = loop_monitor.ping()
        return [] if wrong is None else [wrong]

    def readiness() -> list[str]:
        return list(health.readiness().reasons)

    def app(operator: Authenticator | None, *, socket: bool) -> Listener:
        made = create_app(
            desk,
            keys,
            public_url=settings.signals.public_url,
            operator=operator_of_socket if socket else operator,
            liveness=liveness,
            readiness=readiness,
            metrics=metrics,
        )
        if socket or settings.http is None:
            return UnixListener(app=made, path=settings.operator_socket)
        http = settings.http
        return TcpListener(
            app=made,
            host=http.listen.host,
            port=http.listen.port,
            cert_file=http.cert_file,
            key_file=http.key_file,
        )

    listeners = [app(None, socket=True)]
    if settings.http is not None:
        access: Authenticator | None = None
        if secrets.operator_token is not None:
            scheme = "http" if settings.http.cert_file is None else "https"
            origins = Origins({web_origin(f"{scheme}://{settings.http.listen}")})
            access = _bearer_only(OperatorAccess(secrets.operator_token, SessionTerms(), clock, origins))
        listeners.append(app(access, socket=False))
    return listeners


def _bearer_only(access: OperatorAccess) -> Authenticator:
    """There are no pages here, and so no sessions."""

    async def recognise(request: Request, need: Need) -> Principal:
        if "authorization" not in request.headers:
            raise ApiError("UNAUTHORIZED", HTTPStatus.UNAUTHORIZED, "send the operator's token as Bearer")
        return await access(request, need)

    return recognise


async def _probe(
    store: SignalStore, targets: list[SignalTarget], venues: Mapping[str, SignalVenue], metrics: SignalMetrics
) -> None:
    """Learn of a full disk before an alert does; show locks and markets to Prometheus."""
    while True:
        for target in targets:
            metrics.account_locked.labels(account=target.name).set(target.lock.state().locked)
            metrics.account_ready.labels(account=target.name).set(venues[target.name].obstacle is None)
        await asyncio.sleep(_PROBE_EVERY_S)
        try:
            await store.probe()
        except JournalUnavailable as error:
            log.warning("store_probe_failed", error=str(error))
