"""The gateway's own metrics, on a registry of their own."""

from __future__ import annotations

from typing import Final, TypedDict

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics

from node.observe.metric_list import COMMIT_BUCKETS_S, LAG_BUCKETS_S, PREFIX, ROUND_TRIP_BUCKETS_S

_SUBSYSTEM: Final = "gateway"


class _Place(TypedDict):
    namespace: str
    subsystem: str
    registry: CollectorRegistry


class GatewayMetrics:
    """One attribute a metric; all names begin with ``sovereign_node_gateway_``."""

    def __init__(self, version: str) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry: Final = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.commands_total = Counter(
            "commands_total", "Commands by what the caller was told.", ("action", "outcome"), **self._place()
        )
        self.confirm_seconds = Histogram(
            "confirm_seconds", "From a request to its node's word.", buckets=ROUND_TRIP_BUCKETS_S, **self._place()
        )
        self.not_understood_total = Counter("not_understood_total", "Messages that are no answer.", **self._place())
        self.mqtt_connected = Gauge("mqtt_connected", "Whether the broker is connected.", **self._place())
        self.mqtt_reconnects_total = Counter(
            "mqtt_reconnects_total", "Connections to the broker after the first.", **self._place()
        )
        self.store_healthy = Gauge("store_healthy", "Whether the gateway's file can be written.", **self._place())
        self.commit_seconds = Histogram("commit_seconds", "Durable commits.", buckets=COMMIT_BUCKETS_S, **self._place())
        self.account_known = Gauge(
            "account_known", "Whether a node has confirmed the account's lock lately.", ("account",), **self._place()
        )
        self.event_loop_lag_seconds = Histogram(
            "event_loop_lag_seconds",
            "How late the event loop's timer fired.",
            buckets=LAG_BUCKETS_S,
            **self._place(),
        )
        build = Gauge("build_info", "Always 1; the version is the label.", ("version",), **self._place())
        build.labels(version=version).set(1)

    def _place(self) -> _Place:
        return {"namespace": PREFIX, "subsystem": _SUBSYSTEM, "registry": self.registry}
