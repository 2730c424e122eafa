"""The node's metrics as live objects, on a registry of their own, and the server that shows them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import product
from threading import Thread
from typing import Final, Protocol

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.metrics import MetricWrapperBase

from node.domain.command import Action, CommandState, Door, RejectCode
from node.domain.latency import STAGES
from node.domain.steps import Outcome
from node.errors import ConfigError
from node.observe.metric_list import METRICS, PREFIX, Kind, MetricSpec
from node.observe.scrapes import ScrapeServer, serve

#: How a drill ends.
DRILL_OUTCOMES: Final = ("passed", "failed")
#: What becomes of a request to a venue.
REQUEST_OUTCOMES: Final = ("answered", "refused", "failed", "unanswered")
#: What becomes of a backup of the journal.
BACKUP_OUTCOMES: Final = ("made", "failed")
#: What the guard undoes.
GUARD_DEEDS: Final = ("cancel", "close")
#: What it says of itself.
GUARD_ALERTS: Final = ("GUARD_POWERLESS", "GUARD_INTERVAL", "GUARD_BLIND", "GUARD_SPACED")


class Metrics:
    """One attribute a metric, named as in ``node.observe.metric_list``, which says what each is.

    Label values: ``account`` is the account's configured name, ``exchange`` its ccxt id, ``stage`` one of
    ``node.domain.latency.STAGES``, ``action``, ``door`` and ``reason`` the values of their enumerations.
    """

    build_info: Gauge
    ready: Gauge
    event_loop_lag_seconds: Histogram
    asyncio_tasks: Gauge
    commands_accepted_total: Counter
    commands_total: Counter
    account_commands_total: Counter
    unjournaled_commands_total: Counter
    rejected_total: Counter
    duplicates_total: Counter
    command_stage_seconds: Histogram
    oldest_unfinished_command_seconds: Gauge
    account_unfinished_seconds: Gauge
    account_deadline_seconds: Gauge
    orders_total: Counter
    drill_age_seconds: Gauge
    drills_total: Counter
    drill_stage_seconds: Histogram
    account_armed: Gauge
    account_unread_slices: Gauge
    snapshot_age_seconds: Gauge
    engine_locked: Gauge
    lock_epoch: Gauge
    lock_held_seconds: Gauge
    key_may_withdraw: Gauge
    guard_active: Gauge
    guard_interval_seconds: Gauge
    guard_spaced: Gauge
    guard_alerts: Gauge
    guard_interventions_total: Counter
    venue_requests_total: Counter
    venue_round_trip_seconds: Histogram
    venue_answer_age_seconds: Gauge
    venue_budget_left_ratio: Gauge
    venue_errors_total: Counter
    venue_clock_offset_seconds: Gauge
    mqtt_configured: Gauge
    mqtt_connected: Gauge
    mqtt_reconnects_total: Counter
    outbox_depth: Gauge
    journal_commit_seconds: Histogram
    journal_healthy: Gauge
    journal_backup_age_seconds: Gauge
    journal_backup_interval_seconds: Gauge
    journal_backups_total: Counter
    locks_assumed: Gauge
    notifications_total: Counter
    notify_queue_depth: Gauge

    def __init__(self, version: str, registry: CollectorRegistry | None = None) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry: Final = registry or CollectorRegistry()
        ProcessCollector(registry=self.registry)
        for spec in METRICS:
            setattr(self, spec.name, self._made(spec))
        self.build_info.labels(version=version).set(1)

    def begin(self, *, accounts: Iterable[str], exchanges: Iterable[str]) -> None:
        """Show every counter at zero: what appears with a one has, to Prometheus, never risen."""
        for reason in RejectCode:
            self.rejected_total.labels(reason=reason.value)
        for action, door in product(Action, Door):
            self.commands_accepted_total.labels(action=action.value, door=door.value)
        for stage, action in product(STAGES, Action):
            self.command_stage_seconds.labels(stage=stage, action=action.value)
        for stage, action in product(STAGES, (Action.CLOSE_ALL, Action.FLATTEN)):
            self.drill_stage_seconds.labels(stage=stage, action=action.value)
        for account in accounts:
            for state in (CommandState.DONE, CommandState.FAILED):
                self.account_commands_total.labels(account=account, state=state.value)
            for outcome in DRILL_OUTCOMES:
                self.drills_total.labels(account=account, outcome=outcome)
            for kind in GUARD_DEEDS:
                self.guard_interventions_total.labels(account=account, kind=kind)
        for exchange in exchanges:
            for outcome in REQUEST_OUTCOMES:
                self.venue_requests_total.labels(exchange=exchange, outcome=outcome)
            for ending in Outcome:
                self.orders_total.labels(exchange=exchange, outcome=ending.value)

    def observe_stages(self, action: str, latency_ms: Mapping[str, float | None], *, drill: bool = False) -> None:
        """Count an ended command's ``latency_ms``; what was not measured is left out."""
        stages = self.drill_stage_seconds if drill else self.command_stage_seconds
        for stage in STAGES:
            value = latency_ms.get(stage)
            if value is not None:
                stages.labels(stage=stage, action=action).observe(value / 1000)

    def _made(self, spec: MetricSpec) -> MetricWrapperBase:
        match spec.kind:
            case Kind.COUNTER:
                return Counter(spec.name, spec.help, spec.labels, namespace=PREFIX, registry=self.registry)
            case Kind.GAUGE:
                return Gauge(spec.name, spec.help, spec.labels, namespace=PREFIX, registry=self.registry)
            case Kind.HISTOGRAM:
                return Histogram(
                    spec.name,
                    spec.help,
                    spec.labels,
                    namespace=PREFIX,
                    registry=self.registry,
                    buckets=spec.buckets,
                )


class HasRegistry(Protocol):
    """Metrics on a registry of their own."""

    @property
    def registry(self) -> CollectorRegistry:
        """What is served."""


class MetricsServer:
    """Serves a registry over HTTP from a thread of its own, so that a scrape never waits for the event loop."""

    def __init__(self, metrics: HasRegistry, *, host: str, port: int) -> None:
        self._registry = metrics.registry
        self._host, self._port = host, port
        self._serving: tuple[ScrapeServer, Thread] | None = None

    def start(self) -> None:
        """Bind and serve.

        Raises:
            ConfigError: the address cannot be bound.
        """
        try:
            self._serving = serve(self._registry, self._host, self._port)
        except OSError as error:
            raise ConfigError([f"metrics.listen: {self._host}:{self._port}: {error.strerror or error}"]) from None

    @property
    def port(self) -> int:
        """The port that is served: the kernel's choice if 0 was asked for."""
        return self._port if self._serving is None else self._serving[0].server_port

    def close(self) -> None:
        """Stop serving and release the port; waits at most half a second for the thread's turn."""
        if self._serving is not None:
            server, thread = self._serving
            self._serving = None
            server.shutdown()
            server.server_close()
            thread.join(5)
