"""The composition root: builds every part, starts and stops them in order, owns the tasks and the signals."""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import os
import resource
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

import structlog

from node import __version__
from node.api.server import ApiServer
from node.clock import Clock, SystemClock, boot_id
from node.domain.result import instant_text
from node.engine.actor import AccountActor
from node.engine.afterwards import Afterwards
from node.engine.bus import Bus
from node.engine.departures import Departures
from node.engine.desk import Desk, unlock_obstacle
from node.engine.dispatcher import Dispatcher
from node.engine.inbox import Inbox
from node.engine.lock_ledger import LockLedger
from node.engine.lock_mirror import LockMirror
from node.engine.outbox import Outbox, encode
from node.engine.recovery import Recovery
from node.engine.scribe import Scribe
from node.engine.venue_port import ExaminedVenue
from node.errors import ConfigError, JournalUnavailable, TransportRefused, TransportUnavailable
from node.garbage import Collector, keep_what_stays
from node.journal.directory import StateDirectory
from node.journal.key_copy import CopiedKeys, copied_keys
from node.journal.key_store import SqliteKeyStore
from node.observe.clock_watch import ClockWatch
from node.observe.health import Health, LoopMonitor
from node.observe.kept_memory import KeptMemory
from node.observe.lock_files import LockFileDirectory
from node.observe.metrics import Metrics
from node.observe.telemetry import Sources, Telemetry
from node.observe.watchdog import ServiceManager
from node.reload import Reload
from node.secrets import Secrets
from node.settings import Settings
from node.transport.mqtt import MqttTransport
from node.transport.topics import Topics
from node.venues import factory
from node.venues.pool import Pools
from node.vitals import Vitals, status_line
from node.wiring import accounts, broker, doors, notices, record

STATUS_EVERY_S: Final = 15.0
#: After it, what waits for the broker is left to the next start.
FLUSH_WITHIN_S: Final = 10.0
#: All of an orderly end: requests under way, what waits for the broker, two words to it, the file.
STOP_WITHIN_S: Final = 25.0

log = structlog.get_logger(__name__)


def run(settings: Settings, secrets: Secrets, *, config: Path | None = None) -> int:
    """Serve until SIGTERM or SIGINT; the process's exit status. SIGHUP reads *config* again.

    Raises:
        ConfigError, StateDirectoryBusy: nothing was started.
    """
    allow_open_files()
    with ExitStack() as stack:
        for name, path, shared in (
            ("state_dir", settings.node.state_dir, False),
            ("runtime_dir", settings.node.runtime_dir, True),
        ):
            try:
                stack.enter_context(StateDirectory(path, shared=shared))
            except OSError as error:
                raise ConfigError([f"node.{name}: {path}: {error.strerror or error}"]) from None
        # Where the watchdog ends a process that is stuck (SIGABRT), the log says in which lines.
        faulthandler.enable()
        asyncio.run(_serve(settings, secrets, config))
    return 0


def allow_open_files() -> int:
    """As many files as the kernel lets this process have: ten accounts with their warm sockets need more than the usual
    1024, and a socket that cannot be opened is an order that does not leave. The limit that is in force afterwards.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


async def _serve(settings: Settings, secrets: Secrets, config: Path | None) -> None:
    signals: asyncio.Queue[signal.Signals] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, signals.put_nowait, number)
    manager = ServiceManager.of_environment()
    async with running(settings, secrets, config=config, manager=manager) as node:
        log.info("node_serving", node_id=settings.node.id, version=__version__, accounts=len(settings.accounts))
        manager.ready(node.status_line())
        while await signals.get() is signal.SIGHUP:
            manager.reloading()
            await node.reload.carry_out()
            manager.ready(node.status_line())
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)  # a second signal ends the process at once
        manager.stopping("stopping", within_s=STOP_WITHIN_S)
        await node.drain()
    log.info("node_stopped")
    if node.disk_silent():
        # A thread that waits for a disk cannot be ended, and the interpreter would wait for it. Nothing is left to do.
        log.warning("ended_without_the_disk")
        logging.shutdown()
        os._exit(0)


@dataclass(slots=True, kw_only=True)
class Node:
    """The running daemon's parts, for the composition root and the tests that drive it in process."""

    settings: Settings
    desk: Desk
    transport: MqttTransport | None
    topics: Topics
    health: Health
    outbox: Outbox
    api: ApiServer
    clock: Clock
    started_at: datetime
    dispatcher: Dispatcher
    reload: Reload
    #: How the node is, in one line.
    status_line: Callable[[], str]
    #: Whether a disk owes us an answer.
    disk_silent: Callable[[], bool] = lambda: False
    metrics_port: int | None = None
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def drain(self) -> None:
        """Say that we are going: not ready, draining; flush what waits for the broker."""
        self.health.drain()
        await self.announce("draining")
        await self.api.stop()
        try:
            async with asyncio.timeout(FLUSH_WITHIN_S):
                await self.outbox.flush()
        except (TimeoutError, TransportUnavailable, JournalUnavailable):
            log.warning("outbox_left_for_next_start")
        await self.announce("offline")

    async def announce(self, state: str) -> None:
        """Publish the node's retained status."""
        if self.transport is None:
            return
        document = {
            "schema": broker.STATUS_SCHEMA,
            "node_id": self.settings.node.id,
            "state": state,
            "at": instant_text(self.clock.now()),
            "started_at": instant_text(self.started_at),
            "version": __version__,
            "accounts": [
                {key: account[key] for key in ("id", "name", "state", "lock", "last_drill_at")}
                | {"guard": {key: account["guard"][key] for key in ("active", "interval_s", "spaced", "alerts")}}
                for account in self.desk.accounts()
            ],
        }
        try:
            async with asyncio.timeout(1.0):
                await self.transport.publish(self.topics.status(self.settings.node.id), encode(document), retain=True)
        except (TransportUnavailable, TransportRefused, TimeoutError) as error:
            log.warning("status_not_published", state=state, error=str(error))


@asynccontextmanager
async def running(
    settings: Settings,
    secrets: Secrets,
    *,
    config: Path | None = None,
    manager: ServiceManager | None = None,
    leave_events: bool = False,
) -> AsyncIterator[Node]:
    """Start everything in order, yield, stop everything in the opposite order.

    Locks first: they are loaded and shown before anything else exists that could act. With *leave_events* what is to be
    told over a broker waits in the journal for a process that has one.
    """
    clock = SystemClock()
    metrics = Metrics(__version__)
    topics = Topics(settings.node.tenant)
    async with AsyncExitStack() as stack:
        journal = record.journal(settings, clock, metrics)
        stack.push_async_callback(journal.close)
        bus = Bus()
        account_ids = [account.id for account in settings.accounts]
        ledger = LockLedger(account_ids, node_id=settings.node.id, boot_id=boot_id(), clock=clock)
        memory = KeptMemory.named("locks", manager or ServiceManager(None))
        stack.callback(memory.close)
        files = LockFileDirectory(settings.locks_dir, memory=memory)
        late = await record.begin(journal, ledger, files, clock, metrics, accounts=account_ids)
        access = doors.operator_access(settings, secrets, clock)
        key_copy = record.key_copy_file(settings)
        keyring = doors.keyring(settings, CopiedKeys(SqliteKeyStore(journal.database), key_copy), clock)
        await late.take(keyring.load, otherwise=keyring.begin_unread)
        if late.pending:
            keyring.adopt_copied(await copied_keys(key_copy))
        transport = broker.transport(settings, secrets, topics, metrics)
        departures = Departures(on_announced=stack.enter_context(Collector()).pause)
        rehearsed = set[tuple[str, ...]]()
        mirror = LockMirror(ledger, files, bus, transport, topics.lock, departures)
        ledger.add_listener(mirror.changed)
        webhook, notifier = notices.webhook(settings, secrets, clock), None
        if webhook is not None:
            stack.push_async_callback(webhook.close)
            notifier = notices.notifier(settings, webhook, ledger, metrics, clock)

        terms = [accounts.account_terms(account, settings) for account in settings.accounts]
        telemetry = Telemetry(metrics, clock, accounts=terms)
        pools = Pools(on_request=telemetry.request)
        stack.push_async_callback(pools.close)
        scribe = Scribe(journal, ledger, bus, clock)
        late.number_events(scribe)
        outbox = Outbox(journal, transport, broker.router(topics), departures, held=leave_events)
        on_guard = accounts.guard_observer(topics, outbox, telemetry)
        actors: list[AccountActor] = []
        venues: dict[UUID, ExaminedVenue] = {}
        for account in settings.accounts:
            venue = factory.build(accounts.revealed_options(account, settings, secrets), pools, clock=clock)
            venues[account.id] = venue
            stack.push_async_callback(venue.close)
            actors.append(
                accounts.actor(
                    account,
                    settings,
                    venue,
                    scribe=scribe,
                    clock=clock,
                    ledger=ledger,
                    journal=journal,
                    departures=departures,
                    rehearsed=rehearsed,
                    telemetry=telemetry,
                    on_guard=on_guard,
                )
            )
        dispatcher = Dispatcher(actors, scribe, clock, node_id=settings.node.id)
        authority = broker.authority(settings, actors, keyring)
        afterwards = Afterwards(departures)
        inbox = Inbox(
            node_id=settings.node.id,
            journal=journal,
            ledger=ledger,
            dispatcher=dispatcher,
            scribe=scribe,
            bus=bus,
            authority=authority,
            clock=clock,
            verify=broker.gatekeeper(settings, topics, authority),
            unlock_obstacle=lambda account_id, force: (
                late.obstacle() or unlock_obstacle(dispatcher.actors, journal, account_id, force=force)
            ),
            latch_by_default={
                actor.context.terms.account_id: actor.context.terms.execution.latch_by_default for actor in actors
            },
            observer=telemetry.inbox_observer(scribe.is_unjournaled),
            afterwards=afterwards,
            publish=outbox.publish_directly,
            reply_only=outbox.reply_only,
            repeat=outbox.repeat,
        )
        health = Health()
        health.register("journal", lambda: record.ping(journal, late))
        if transport is not None:
            health.register("broker", lambda: None if transport.connected else "not connected")
        health.register("accounts", lambda: _accounts_ping(actors))
        clock_watch = ClockWatch(lambda: inbox.authority.skew())  # noqa: PLW0108  (a reload replaces the authority)
        health.register("clock", clock_watch.ping)
        started_at = datetime.now(UTC)
        desk = Desk(
            node_id=settings.node.id,
            version=__version__,
            inbox=inbox,
            dispatcher=dispatcher,
            journal=journal,
            ledger=ledger,
            bus=bus,
            clock=clock,
            not_ready=lambda: health.readiness().reasons,
            parts=lambda: {
                "broker": None if transport is None else {"connected": transport.connected},
                "journal": record.document(journal, late),
                "outbox_depth": outbox.depth,
                "pending_restart": list(reload.pending),
            },
            started_at=started_at,
        )
        await late.take(desk.recall, later=desk.recall_late, otherwise=desk.begin_unread)
        schedule = accounts.drill_schedule(settings, actors, inbox, clock, desk.drilled_at)
        scribe.on_recorded = outbox.notify
        scribe.on_unjournaled = outbox.publish_directly
        scribe.on_event = accounts.observers(dispatcher, desk, telemetry, notifier)

        def status() -> str:
            return status_line(health, actors, ledger, reload.pending)

        figures = Sources(
            desk=desk,
            outbox=outbox,
            actors=actors,
            ledger=ledger,
            clock=clock,
            ready=lambda: health.readiness().ready,
            budgets_left=pools.budgets_left,
            key_facts=lambda account_id: venues[account_id].key_facts,
        )
        loop_monitor = LoopMonitor(observe_lag_s=metrics.event_loop_lag_seconds.observe)
        vitals = Vitals(
            manager or ServiceManager(None),
            inbox=inbox,
            journal=journal,
            actors=actors,
            loop_monitor=loop_monitor,
            status=status,
            begun_without=lambda: late.pending,
        )
        api = ApiServer(doors.listeners(settings, desk, keyring, access, clock, vitals.watchdog.reasons))

        health.register("sockets", api.ping)

        def adopt_issuers(wanted: Settings) -> None:
            inbox.authority = broker.authority(wanted, actors, keyring)
            inbox.verify = broker.gatekeeper(wanted, topics, inbox.authority)

        reload = Reload(
            config=config,
            settings=settings,
            adopt_issuers=adopt_issuers,
            reload_certificates=api.reload_certificates,
            try_certificates=api.try_certificates,
        )
        metrics_server = doors.metrics_server(settings, metrics)
        if metrics_server is not None:
            metrics_server.start()
            stack.callback(metrics_server.close)
        api.bind()
        # From here on nothing can be in the way of starting: only now do we speak for the accounts.
        _prepare(files)
        mirror.show_all()
        node = Node(
            settings=settings,
            desk=desk,
            transport=transport,
            topics=topics,
            health=health,
            outbox=outbox,
            api=api,
            clock=clock,
            started_at=started_at,
            dispatcher=dispatcher,
            reload=reload,
            status_line=status,
            disk_silent=lambda: journal.silent_s > 0,
            metrics_port=metrics_server.port if metrics_server else None,
        )
        async with asyncio.TaskGroup() as tasks:
            work = {
                "scribe": scribe.run(),
                "scribe-debts": scribe.settle_debts(),
                "lock-refresh": mirror.refresh(),
                "lock-topics": mirror.publish(),
                "outbox": outbox.run(),
                "key-use": keyring.run(),
                "loop-monitor": loop_monitor.run(),
                "clock-watch": clock_watch.run(),
                "journal-probe": vitals.probe.run(),
                "journal-upkeep": record.upkeep(
                    settings,
                    journal,
                    clock,
                    metrics,
                    busy=lambda: any(actor.live for actor in actors),
                    clock_is_right=lambda: inbox.authority.clock_is_right(),  # noqa: PLW0108  (as above)
                ).run(),
                "telemetry": telemetry.run(figures),
                **{f"actor:{actor.context.terms.name}": actor.run() for actor in actors},
            }
            serving = [tasks.create_task(part, name=name) for name, part in work.items()]
            recovery = Recovery(
                node_id=settings.node.id,
                journal=journal,
                scribe=scribe,
                dispatcher=dispatcher,
                clock=clock,
                begun=inbox.knows,
                resume_within=timedelta(seconds=settings.execution.resume_within_s),
            )
            await late.take(recovery.run)
            serving.append(tasks.create_task(late.run(), name="late-start"))
            serving.append(tasks.create_task(inbox.run(), name="inbox"))
            serving.append(tasks.create_task(afterwards.run(), name="inbox-afterwards"))
            serving.append(tasks.create_task(inbox.make_durable(), name="inbox-debts"))
            serving.append(tasks.create_task(vitals.dispatcher.run(), name="dispatcher-heartbeat"))
            if schedule is not None:
                serving.append(tasks.create_task(schedule.run(), name="drill-schedule"))
            if notifier is not None:
                serving.append(tasks.create_task(notifier.run(), name="notify"))
            if notifier is not None and transport is not None and settings.notify is not None:
                watch = notifier.watch_broker(lambda: transport.connected, settings.notify.broker_lost_after_s)
                serving.append(tasks.create_task(watch, name="notify-broker"))
            await api.start(tasks)
            if transport is not None:
                serving.append(tasks.create_task(transport.run(), name="mqtt"))
                serving.append(tasks.create_task(inbox.receive(transport.deliveries()), name="mqtt-deliveries"))
                serving.append(tasks.create_task(_announce(node), name="node-status"))
            serving.append(tasks.create_task(vitals.watchdog.run(), name="watchdog"))
            serving.append(tasks.create_task(keep_what_stays(actors), name="gc-freeze"))
            try:
                yield node
            finally:
                await api.stop()
                await keyring.keep()
                for task in serving:
                    task.cancel()


def _prepare(files: LockFileDirectory) -> None:
    try:
        files.prepare()
    except OSError as error:
        # Engines read "locked" where there is no file; what can be carried out is.
        log.error("lock_files_not_prepared", error=str(error))  # noqa: TRY400  (a disk has no traceback)


async def _announce(node: Node) -> None:
    assert node.transport is not None  # noqa: S101  (only started with a broker)
    while True:
        await node.transport.wait_connected()
        await node.announce("online")
        await asyncio.sleep(STATUS_EVERY_S)


def _accounts_ping(actors: list[AccountActor]) -> str | None:
    """Ready while any account can be served; a degraded one says so in its own state."""
    if not actors or any(actor.healthy for actor in actors):
        return None
    return "none is armed"
