"""The metrics of this process, on a registry of their own."""

from __future__ import annotations

from typing import Final, TypedDict

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics

from node.observe.metric_list import COMMIT_BUCKETS_S, LAG_BUCKETS_S, PREFIX, ROUND_TRIP_BUCKETS_S

_SUBSYSTEM: Final = "signals"


class _Place(TypedDict):
    namespace: str
    subsystem: str
    registry: CollectorRegistry


class SignalMetrics:
    """One attribute a metric; all names begin with ``sovereign_node_signals_``."""

    def __init__(self, version: str) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry: Final = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.alerts_total = Counter(
            "alerts_total", "Alerts by what their senders were told.", ("outcome",), **self._place()
        )
        self.answer_seconds = Histogram(
            "answer_seconds", "From an alert to its answer.", buckets=ROUND_TRIP_BUCKETS_S, **self._place()
        )
        self.account_locked = Gauge(
            "account_locked", "Whether alerts for the account place nothing.", ("account",), **self._place()
        )
        self.account_ready = Gauge(
            "account_ready", "Whether the account's markets are known.", ("account",), **self._place()
        )
        self.store_healthy = Gauge("store_healthy", "Whether the file can be written.", **self._place())
        self.commit_seconds = Histogram("commit_seconds", "Durable commits.", buckets=COMMIT_BUCKETS_S, **self._place())
        self.event_loop_lag_seconds = Histogram(
            "event_loop_lag_seconds", "How late the event loop's timer fired.", buckets=LAG_BUCKETS_S, **self._place()
        )
        build = Gauge("build_info", "Always 1; the version is the label.", ("version",), **self._place())
        build.labels(version=version).set(1)

    def _place(self) -> _Place:
        return {"namespace": PREFIX, "subsystem": _SUBSYSTEM, "registry": self.registry}
