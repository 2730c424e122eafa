"""Metrics: what a Prometheus server will find."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
import urllib.request
from collections.abc import Callable

import pytest
from prometheus_client import Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from node.domain.latency import STAGES
from node.errors import ConfigError
from node.observe.metric_list import BY_NAME, LABELS, METRICS, PREFIX, SERIES, Kind
from node.observe.metrics import Metrics, MetricsServer
from node.observe.scrapes import CONNECTIONS_MAX


def declared(metrics: Metrics) -> dict[str, MetricWrapperBase]:
    """Every metric by its attribute."""
    return {name: value for name, value in vars(metrics).items() if isinstance(value, MetricWrapperBase)}


def described(metric: MetricWrapperBase) -> Metric:
    """Its name and help text."""
    (description,) = metric.describe()
    return description


def test_names_follow_the_conventions() -> None:
    """Our prefix, counters end in _total, histograms in a base unit, nothing in milliseconds."""
    for attribute, metric in declared(Metrics("1.0")).items():
        name = described(metric).name
        assert attribute in (name.removeprefix(f"{PREFIX}_"), f"{name.removeprefix(f'{PREFIX}_')}_total")
        assert name.startswith(f"{PREFIX}_")
        assert attribute.endswith("_total") is isinstance(metric, Counter)
        assert not re.search(r"_(ms|millis|minutes|percent|count|bucket|sum)(_|$)", name)
        if isinstance(metric, Histogram):
            assert name.endswith("_seconds")


def test_every_metric_says_what_it_is() -> None:
    """A help text is a sentence."""
    for metric in declared(Metrics("1.0")).values():
        assert described(metric).documentation.endswith(".")


def test_labels_are_bounded() -> None:
    """No label whose values grow with use: no command ids, no symbols."""
    for metric in declared(Metrics("1.0")).values():
        assert set(metric._labelnames) <= LABELS  # the library has no public way to ask


def test_what_is_served_parses_again_without_created_series() -> None:
    """A round trip through the text format, as promtool would do it."""
    metrics = Metrics("1.2.3")
    metrics.commands_total.labels(action="LOCK", door="mqtt", outcome="done").inc()
    metrics.engine_locked.labels(account="main").set(1)
    metrics.journal_commit_seconds.observe(0.0004)
    text = generate_latest(metrics.registry).decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert families["sovereign_node_build_info"].samples[0].labels == {"version": "1.2.3"}
    assert families["sovereign_node_commands"].samples[0].value == 1
    assert "_created" not in text


def test_stages_are_counted_in_seconds_and_only_where_measured() -> None:
    """What is null in the document is no observation of zero."""
    metrics = Metrics("1.0")
    metrics.observe_stages("CLOSE_ALL", {"transport": None, "proof": 107.3, "total": 108.0, "unheard_of": 1.0})

    def value(suffix: str, stage: str) -> float | None:
        labels = {"stage": stage, "action": "CLOSE_ALL"}
        return metrics.registry.get_sample_value(f"{PREFIX}_command_stage_seconds_{suffix}", labels)

    assert value("sum", "proof") == pytest.approx(0.1073)
    assert value("count", "total") == 1
    assert value("count", "transport") is None
    assert value("count", "unheard_of") is None
    assert "total" in STAGES


def test_buckets_rise_and_are_few() -> None:
    """Each costs a series for every combination of labels."""
    for spec in METRICS:
        assert bool(spec.buckets) is (spec.kind is Kind.HISTOGRAM), spec.name
        assert list(spec.buckets) == sorted(set(spec.buckets)), spec.name
        assert len(spec.buckets) <= 17, spec.name


def test_stages_are_told_apart_from_half_a_millisecond_to_minutes() -> None:
    """Fine where a rack is, and beyond any deadline where a close has to wait."""
    buckets = BY_NAME["command_stage_seconds"].buckets
    assert (buckets[0], buckets[-1]) == (0.0005, 300.0)


def test_the_list_is_what_there_is() -> None:
    """Every entry is an attribute of its kind, and no attribute is missing from the list."""
    kinds: dict[Kind, type[MetricWrapperBase]] = {
        Kind.COUNTER: Counter,
        Kind.GAUGE: Gauge,
        Kind.HISTOGRAM: Histogram,
    }
    made = declared(Metrics("1.0"))
    assert sorted(made) == sorted(BY_NAME)
    for name, spec in BY_NAME.items():
        assert isinstance(made[name], kinds[spec.kind])
        assert made[name]._labelnames == spec.labels  # the library has no public way to ask
        assert Metrics.__annotations__[name] == kinds[spec.kind].__name__


def test_what_is_served_is_named_in_the_list() -> None:
    """Nothing of ours is shown that rules and dashboards could not know of."""
    metrics = Metrics("1.0")
    metrics.begin(accounts=["main"], exchanges=["binance"])
    text = generate_latest(metrics.registry).decode()
    shown = {sample.name for family in text_string_to_metric_families(text) for sample in family.samples}
    assert {name for name in shown if not name.startswith("process_")} <= SERIES


def test_counters_are_there_before_anything_happens() -> None:
    """What appears with a one has never risen, as far as Prometheus can tell: no alert would see it."""
    metrics = Metrics("1.0")
    metrics.begin(accounts=["main"], exchanges=["binance"])

    def value(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(f"{PREFIX}_{name}", labels)

    assert value("account_commands_total", account="main", state="failed") == 0
    assert value("drills_total", account="main", outcome="failed") == 0
    assert value("rejected_total", reason="BAD_SIGNATURE") == 0
    assert value("orders_total", exchange="binance", outcome="ambiguous") == 0
    assert value("guard_interventions_total", account="main", kind="close") == 0
    assert value("venue_requests_total", exchange="binance", outcome="unanswered") == 0
    assert value("command_stage_seconds_count", stage="proof", action="FLATTEN") == 0


def test_one_more_account_costs_few_series() -> None:
    """A thousand accounts on one node must not make a scrape a megabyte."""

    def series(accounts: int) -> int:
        metrics = Metrics("1.0")
        metrics.begin(accounts=[f"account-{number}" for number in range(accounts)], exchanges=["binance"])
        return len(generate_latest(metrics.registry).decode().splitlines())

    assert series(11) - series(10) <= 10


def test_two_nodes_in_one_process_do_not_share_metrics() -> None:
    """Each has a registry of its own."""
    one, two = Metrics("1"), Metrics("2")
    one.outbox_depth.set(3)
    assert isinstance(two.outbox_depth, Gauge)
    assert two.registry.get_sample_value(f"{PREFIX}_outbox_depth") == 0


def test_the_server_serves_and_lets_go_of_its_port() -> None:
    """It can be started again on the same port at once, and a taken port is a fault of the configuration."""
    metrics = Metrics("1.0")
    first = MetricsServer(metrics, host="127.0.0.1", port=0)
    first.start()
    port = first.port
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            assert f"{PREFIX}_build_info" in answer.read().decode()
        with pytest.raises(ConfigError, match=r"metrics\.listen"):
            MetricsServer(metrics, host="127.0.0.1", port=port).start()
    finally:
        first.close()
    again = MetricsServer(metrics, host="127.0.0.1", port=port)
    again.start()
    again.close()


def test_whoever_opens_connections_and_says_nothing_takes_few_threads_and_keeps_no_scrape_out() -> None:
    """The last thread of the process belongs to a command."""
    server = MetricsServer(Metrics("1.0"), host="127.0.0.1", port=0)
    server.start()
    before = threading.active_count()
    with contextlib.ExitStack() as stack:
        stack.callback(server.close)
        for _ in range(3 * CONNECTIONS_MAX):
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=5))
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=5) as answer:
            assert f"{PREFIX}_build_info" in answer.read().decode()
        assert eventually(lambda: threading.active_count() - before <= CONNECTIONS_MAX)


def eventually(holds: Callable[[], bool], within_s: float = 5.0) -> bool:
    """Whether something comes true in time."""
    until = time.monotonic() + within_s
    while not (held := holds()) and time.monotonic() < until:
        time.sleep(0.01)
    return held
