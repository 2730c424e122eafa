"""The composition root: builds every part, starts and stops them in order, owns the tasks and the signals."""

from __future__ import annotations

import asyncio
import gc
import resource
import signal
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import structlog

from node import __version__, wiring
from node.api.server import ApiServer
from node.clock import Clock, SystemClock, boot_id
from node.domain.result import instant_text
from node.engine.actor import AccountActor
from node.engine.bus import Bus
from node.engine.desk import Desk, unlock_obstacle
from node.engine.dispatcher import Dispatcher
from node.engine.inbox import Inbox
from node.engine.lock_ledger import LockLedger
from node.engine.lock_mirror import LockMirror
from node.engine.outbox import Outbox, encode
from node.engine.recovery import Recovery
from node.engine.scribe import Scribe
from node.errors import ConfigError, JournalUnavailable, TransportRefused, TransportUnavailable
from node.journal.directory import StateDirectory
from node.journal.key_store import SqliteKeyStore
from node.journal.store import SqliteJournal
from node.observe.health import Health, LoopMonitor
from node.observe.lock_files import LockFileDirectory
from node.observe.metrics import Metrics
from node.observe.telemetry import Telemetry
from node.secrets import Secrets
from node.settings import Settings
from node.transport.gatekeeper import Gatekeeper
from node.transport.mqtt import MqttTransport
from node.transport.topics import Topics
from node.venues import factory
from node.venues.pool import Pools

STATUS_EVERY_S: Final = 15.0
JOURNAL_PROBE_EVERY_S: Final = 2.0
#: Asked of the kernel, as far as it lets us.
OPEN_FILES_MAX: Final = 65_536
#: After it, what is in flight is left to the next start.
STOP_WITHIN_S: Final = 10.0

log = structlog.get_logger(__name__)


def run(settings: Settings, secrets: Secrets) -> int:
    """Serve until SIGTERM or SIGINT; the process's exit status.

    Raises:
        ConfigError, StateDirectoryBusy, JournalUnavailable: nothing was started.
    """
    _allow_open_files()
    with ExitStack() as stack:
        for name, path, shared in (
            ("state_dir", settings.node.state_dir, False),
            ("runtime_dir", settings.node.runtime_dir, True),
        ):
            try:
                stack.enter_context(StateDirectory(path, shared=shared))
            except OSError as error:
                raise ConfigError([f"node.{name}: {path}: {error.strerror or error}"]) from None
        asyncio.run(_serve(settings, secrets))
    return 0


def _allow_open_files() -> None:
    """Connections that strangers hold open must not take the descriptors that the exchanges' sockets need.

    (An unfinished TLS handshake is given up on after 60 s only; the usual limit of 1024 would be reached by then.)
    """
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = OPEN_FILES_MAX if most == resource.RLIM_INFINITY else min(most, OPEN_FILES_MAX)
    if now != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(now, allowed), most))


async def _serve(settings: Settings, secrets: Secrets) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with running(settings, secrets) as node:
        log.info("node_serving", node_id=settings.node.id, version=__version__, accounts=len(settings.accounts))
        await stop.wait()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)  # a second signal ends the process at once
        await node.drain()
    log.info("node_stopped")


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
    metrics_port: int | None = None
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def drain(self) -> None:
        """Say that we are going: not ready, draining; flush what waits for the broker."""
        self.health.drain()
        await self.announce("draining")
        await self.api.stop()
        try:
            async with asyncio.timeout(STOP_WITHIN_S):
                await self.outbox.flush()
        except (TimeoutError, TransportUnavailable):
            log.warning("outbox_left_for_next_start")
        await self.announce("offline")

    async def announce(self, state: str) -> None:
        """Publish the node's retained status."""
        if self.transport is None:
            return
        document = {
            "schema": wiring.STATUS_SCHEMA,
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
async def running(settings: Settings, secrets: Secrets) -> AsyncIterator[Node]:
    """Start everything in order, yield, stop everything in the opposite order.

    Locks first: they are loaded and shown before anything else exists that could act.
    """
    clock = SystemClock()
    metrics = Metrics(__version__)
    topics = Topics(settings.node.tenant)
    async with AsyncExitStack() as stack:
        journal = SqliteJournal(
            settings.node.state_dir / "journal.sqlite3",
            node_id=settings.node.id,
            clock=clock,
            on_health=metrics.journal_healthy.set,
            commit_seconds=metrics.journal_commit_seconds.observe,
        )
        await stack.enter_async_context(journal)
        metrics.journal_healthy.set(1)
        bus = Bus()
        accounts = [account.id for account in settings.accounts]
        ledger = LockLedger(accounts, node_id=settings.node.id, boot_id=boot_id(), clock=clock)
        files = LockFileDirectory(settings.locks_dir)
        # A run without a journal may have locked more than it could write down.
        await journal.raise_locks([lock for each in accounts if (lock := files.shown(each, at=clock.now()))])
        ledger.load(await journal.locks())
        access = wiring.operator_access(settings, secrets, clock)
        keyring = wiring.keyring(settings, SqliteKeyStore(journal.database), clock)
        await keyring.load()
        transport = wiring.transport(settings, secrets, topics, metrics)
        mirror = LockMirror(ledger, files, bus, transport, topics.lock)
        ledger.add_listener(mirror.changed)

        pools = Pools()
        stack.push_async_callback(pools.close)
        scribe = Scribe(journal, ledger, bus, clock)
        telemetry = Telemetry(metrics, names={account.id: account.name for account in settings.accounts})
        outbox = Outbox(journal, transport, wiring.router(topics))
        on_guard = wiring.guard_observer(topics, outbox, telemetry)
        actors: list[AccountActor] = []
        for account in settings.accounts:
            venue = factory.build(wiring.revealed_options(account, settings, secrets), pools, clock=clock)
            stack.push_async_callback(venue.close)
            actors.append(
                wiring.actor(
                    account,
                    settings,
                    venue,
                    scribe=scribe,
                    clock=clock,
                    ledger=ledger,
                    journal=journal,
                    telemetry=telemetry,
                    on_guard=on_guard,
                )
            )
        dispatcher = Dispatcher(actors, scribe, clock, node_id=settings.node.id)
        inbox = Inbox(
            node_id=settings.node.id,
            journal=journal,
            ledger=ledger,
            dispatcher=dispatcher,
            scribe=scribe,
            bus=bus,
            authority=wiring.authority(settings, actors, keyring),
            clock=clock,
            verify=Gatekeeper(wiring.verifier(settings), topics),
            unlock_obstacle=lambda account_id, force: unlock_obstacle(
                dispatcher.actors, journal, account_id, force=force
            ),
            latch_by_default={
                actor.context.terms.account_id: actor.context.terms.execution.latch_by_default for actor in actors
            },
            observer=telemetry.inbox_observer(),
            publish=outbox.publish_directly,
            reply_only=outbox.reply_only,
        )
        health = Health()
        health.register("journal", lambda: None if journal.healthy else "cannot be written")
        if transport is not None:
            health.register("broker", lambda: None if transport.connected else "not connected")
        health.register("accounts", lambda: _accounts_ping(actors))
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
                "journal": {"healthy": journal.healthy},
                "outbox_depth": outbox.depth,
            },
            started_at=started_at,
        )
        await desk.recall()
        schedule = wiring.drill_schedule(settings, actors, inbox, clock, desk.drilled_at)
        scribe.on_recorded = outbox.notify
        scribe.on_unjournaled = outbox.publish_directly
        scribe.on_event = wiring.observers(dispatcher, desk, telemetry)

        loop_monitor = LoopMonitor(observe_lag_s=metrics.event_loop_lag_seconds.observe)
        api = ApiServer(wiring.listeners(settings, desk, keyring, access, clock, loop_monitor))
        metrics_server = wiring.metrics_server(settings, metrics)
        if metrics_server is not None:
            metrics_server.start()
            stack.callback(metrics_server.close)
        api.bind()
        # From here on nothing can be in the way of starting: only now do we speak for the accounts.
        files.prepare()
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
                "journal-probe": _probe(journal),
                "telemetry": telemetry.run(desk=desk, outbox=outbox, actors=actors, ledger=ledger, clock=clock),
                **{f"actor:{actor.context.terms.name}": actor.run() for actor in actors},
            }
            serving = [tasks.create_task(part, name=name) for name, part in work.items()]
            await Recovery(
                node_id=settings.node.id, journal=journal, scribe=scribe, dispatcher=dispatcher, clock=clock
            ).run()
            serving.append(tasks.create_task(inbox.run(), name="inbox"))
            serving.append(tasks.create_task(inbox.make_durable(), name="inbox-debts"))
            if schedule is not None:
                serving.append(tasks.create_task(schedule.run(), name="drill-schedule"))
            await api.start(tasks)
            if transport is not None:
                serving.append(tasks.create_task(transport.run(), name="mqtt"))
                serving.append(tasks.create_task(inbox.receive(transport.deliveries()), name="mqtt-deliveries"))
                serving.append(tasks.create_task(_announce(node), name="node-status"))
            serving.append(tasks.create_task(_freeze(actors), name="gc-freeze"))
            try:
                yield node
            finally:
                await api.stop()
                await keyring.keep()
                for task in serving:
                    task.cancel()


async def _announce(node: Node) -> None:
    assert node.transport is not None  # noqa: S101  (only started with a broker)
    while True:
        await node.transport.wait_connected()
        await node.announce("online")
        await asyncio.sleep(STATUS_EVERY_S)


async def _probe(journal: SqliteJournal) -> None:
    """Learn of a full disk or a lost file before a command does; and keep the log of writes short."""
    while True:
        await asyncio.sleep(JOURNAL_PROBE_EVERY_S)
        try:
            await journal.probe()
        except JournalUnavailable as error:
            log.warning("journal_probe_failed", error=str(error))


async def _freeze(actors: Iterable[AccountActor]) -> None:
    """Once the markets are loaded, take them out of the garbage collector's sight: a full pass costs 60 ms.

    Without a collection first: that would be such a pass, at the moment when the first command may come. What is there
    by now goes first: an exchange that cannot be reached must not make the commands for the others slow.
    """
    gc.freeze()
    for actor in actors:
        await actor.armed.wait()
    gc.freeze()
    log.info("all_accounts_armed")


def _accounts_ping(actors: list[AccountActor]) -> str | None:
    """Ready while any account can be served; a degraded one says so in its own state."""
    if not actors or any(actor.healthy for actor in actors):
        return None
    return "none is armed"
