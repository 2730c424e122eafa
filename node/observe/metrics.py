"""Every metric of the node, declared once, on a registry of its own."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Thread
from typing import Final, Protocol
from wsgiref.simple_server import WSGIServer

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    start_http_server,
)

from node.domain.latency import STAGES
from node.errors import ConfigError

PREFIX: Final = "sovereign_node"

#: From a warm socket on the same rack to a venue that is drowning.
LATENCY_BUCKETS_S: Final = (
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
)  # fmt: skip

#: Label names in use. All are bounded by configuration or by an enumeration; never a command id or a symbol.
LABELS: Final = frozenset(
    {"account", "action", "door", "exchange", "kind", "outcome", "reason", "slice", "stage", "version"}
)


class Metrics:
    """One attribute a metric, named without the prefix.

    Label values: ``account`` is the account's configured name, ``exchange`` its ccxt id, ``stage`` one of
    ``node.domain.latency.STAGES``, ``action``, ``door`` and ``reason`` the values of their enumerations.
    """

    def __init__(self, version: str, registry: CollectorRegistry | None = None) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry: Final = registry or CollectorRegistry()
        ProcessCollector(registry=self.registry)
        counter, gauge, histogram = self._counter, self._gauge, self._histogram

        self.commands_total = counter("commands_total", "Commands that ended.", "action", "door", "outcome")
        self.rejected_total = counter("rejected_total", "Commands not begun.", "reason")
        self.duplicates_total = counter("duplicates_total", "Deliveries of a command already known.")
        self.command_stage_seconds = histogram(
            "command_stage_seconds", "Stages of commands that ended; most count from receipt.", "stage", "action"
        )
        self.engine_locked = gauge("engine_locked", "Whether new risk is forbidden.", "account")
        self.lock_epoch = gauge("lock_epoch", "Counter of the lock's changes.", "account")
        self.account_armed = gauge("account_armed", "Whether commands can act on the venue at once.", "account")
        self.mqtt_connected = gauge("mqtt_connected", "Whether the broker is connected.")
        self.mqtt_reconnects_total = counter("mqtt_reconnects_total", "Connections to the broker after the first.")
        self.venue_requests_total = counter("venue_requests_total", "Requests to venues.", "exchange", "outcome")
        self.venue_round_trip_seconds = histogram(
            "venue_round_trip_seconds", "From a request's first byte to its answer.", "exchange"
        )
        self.venue_errors_total = counter("venue_errors_total", "Requests that failed.", "exchange", "kind")
        self.venue_clock_offset_seconds = gauge(
            "venue_clock_offset_seconds", "The venue's clock less the node's.", "account"
        )
        self.orders_total = counter("orders_total", "Orders placed or cancelled.", "exchange", "outcome")
        self.journal_commit_seconds = histogram("journal_commit_seconds", "Durable commits of the journal.")
        self.journal_healthy = gauge("journal_healthy", "Whether the journal can be written.")
        self.outbox_depth = gauge("outbox_depth", "Events that no broker has confirmed.")
        self.oldest_unfinished_command_seconds = gauge(
            "oldest_unfinished_command_seconds", "Age of the oldest live command; 0 without one."
        )
        self.snapshot_age_seconds = gauge("snapshot_age_seconds", "Age of the last complete read.", "account", "slice")
        self.drill_age_seconds = gauge(
            "drill_age_seconds", "Since the last drill that passed; infinite if none ever did.", "account"
        )
        self.guard_active = gauge("guard_active", "Whether a locked account is watched now.", "account")
        self.guard_interval_seconds = gauge(
            "guard_interval_seconds", "Between two looks where no stream tells; 0 where streams tell of all.", "account"
        )
        self.guard_spaced = gauge("guard_spaced", "Whether the guard has had to slow down.", "account")
        self.guard_interventions_total = counter(
            "guard_interventions_total", "Orders cancelled and positions closed by the guard.", "account", "kind"
        )
        self.event_loop_lag_seconds = histogram("event_loop_lag_seconds", "How late the event loop's timer fired.")
        self.build_info = gauge("build_info", "Always 1; the version is the label.", "version")
        self.build_info.labels(version=version).set(1)

    def observe_stages(self, action: str, latency_ms: Mapping[str, float | None]) -> None:
        """Count an ended command's ``latency_ms``; what was not measured is left out."""
        for stage in STAGES:
            value = latency_ms.get(stage)
            if value is not None:
                self.command_stage_seconds.labels(stage=stage, action=action).observe(value / 1000)

    def _counter(self, name: str, documentation: str, *labels: str) -> Counter:
        return Counter(name, documentation, labels, namespace=PREFIX, registry=self.registry)

    def _gauge(self, name: str, documentation: str, *labels: str) -> Gauge:
        return Gauge(name, documentation, labels, namespace=PREFIX, registry=self.registry)

    def _histogram(self, name: str, documentation: str, *labels: str) -> Histogram:
        return Histogram(
            name, documentation, labels, namespace=PREFIX, registry=self.registry, buckets=LATENCY_BUCKETS_S
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
        self._serving: tuple[WSGIServer, Thread] | None = None

    def start(self) -> None:
        """Bind and serve.

        Raises:
            ConfigError: the address cannot be bound.
        """
        try:
            self._serving = start_http_server(self._port, self._host, registry=self._registry)
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
