"""Every metric of the node: the one list that code, alert rules, dashboard and their tests are made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

PREFIX: Final = "sovereign_node"

#: From a warm socket on the same rack to a venue that is drowning.
ROUND_TRIP_BUCKETS_S: Final = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip
#: From the lock of a LOCK to a close that has to wait for a market.
STAGE_BUCKETS_S: Final = (
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
)  # fmt: skip
#: From an idle disk to one that hangs.
COMMIT_BUCKETS_S: Final = (
    0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
)  # fmt: skip
#: From a timer on time to a loop that a long computation holds.
LAG_BUCKETS_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)

#: Label names in use. All are bounded by configuration (``account``, ``exchange``, ``slice``), by the venues' profiles
#: (``bucket``) or by an enumeration; never a command id, a symbol or a sender's text.
LABELS: Final = frozenset(
    {
        "account",
        "action",
        "alert",
        "bucket",
        "door",
        "exchange",
        "kind",
        "outcome",
        "reason",
        "slice",
        "stage",
        "state",
        "version",
    }
)


class Kind(StrEnum):
    """Of a metric."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSpec:
    """One metric, named without the prefix."""

    name: str
    kind: Kind
    #: One sentence.
    help: str
    labels: tuple[str, ...] = ()
    #: Histograms only; in seconds.
    buckets: tuple[float, ...] = ()

    @property
    def series(self) -> tuple[str, ...]:
        """The names under which Prometheus finds it."""
        full = f"{PREFIX}_{self.name}"
        return tuple(f"{full}_{part}" for part in ("bucket", "sum", "count")) if self.buckets else (full,)


def _counter(name: str, text: str, *labels: str) -> MetricSpec:
    return MetricSpec(name=name, kind=Kind.COUNTER, help=text, labels=labels)


def _gauge(name: str, text: str, *labels: str) -> MetricSpec:
    return MetricSpec(name=name, kind=Kind.GAUGE, help=text, labels=labels)


def _histogram(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> MetricSpec:
    return MetricSpec(name=name, kind=Kind.HISTOGRAM, help=text, labels=labels, buckets=buckets)


METRICS: Final[tuple[MetricSpec, ...]] = (
    # The node
    _gauge("build_info", "Always 1; the version is the label.", "version"),
    _gauge("ready", "Whether every part says that it is well; a locked account is well."),
    _histogram("event_loop_lag_seconds", "How late the event loop's timer fired.", LAG_BUCKETS_S),
    _gauge("asyncio_tasks", "Tasks of the event loop that have not ended."),
    # Commands
    _counter("commands_accepted_total", "Commands taken on.", "action", "door"),
    _counter("commands_total", "Commands that ended.", "action", "door", "outcome"),
    _counter("account_commands_total", "Commands of an account that ended, drills left out.", "account", "state"),
    _counter("unjournaled_commands_total", "Commands carried out without the journal."),
    _counter("rejected_total", "Commands not begun, and junk.", "reason"),
    _counter("duplicates_total", "Deliveries of a command already known."),
    _histogram(
        "command_stage_seconds",
        "Stages of commands that ended; most count from receipt.",
        STAGE_BUCKETS_S,
        "stage",
        "action",
    ),
    _gauge("oldest_unfinished_command_seconds", "Age of the oldest live command; 0 without one."),
    _gauge("account_unfinished_seconds", "Age of the account's oldest live command; 0 without one.", "account"),
    _gauge("account_deadline_seconds", "After so long a command is reported as incomplete.", "account"),
    _counter("orders_total", "Orders placed or cancelled.", "exchange", "outcome"),
    # Drills
    _gauge("drill_age_seconds", "Since the last drill that passed; infinite if none ever did.", "account"),
    _counter("drills_total", "Drills that ended, but for those that a command stopped.", "account", "outcome"),
    _histogram("drill_stage_seconds", "Stages of drills that passed.", STAGE_BUCKETS_S, "stage", "action"),
    # Accounts and their locks
    _gauge("account_armed", "Whether commands can act on the venue at once.", "account"),
    _gauge("account_unread_slices", "Slices that were not read whole for long: nothing is known of them.", "account"),
    _gauge("snapshot_age_seconds", "Age of the last complete read.", "account", "slice"),
    _gauge("engine_locked", "Whether new risk is forbidden.", "account"),
    _gauge("lock_epoch", "Counter of the lock's changes.", "account"),
    _gauge("lock_held_seconds", "For how long the account has been locked; 0 while it is not.", "account"),
    _gauge("key_may_withdraw", "Whether the venue says that the key may withdraw; absent if it is silent.", "account"),
    # The guard
    _gauge("guard_active", "Whether a locked account is watched now.", "account"),
    _gauge("guard_interval_seconds", "Between two looks where no stream tells; 0 if streams tell all.", "account"),
    _gauge("guard_spaced", "Whether the guard has had to slow down.", "account"),
    _gauge("guard_alerts", "Whether the guard says that a person should know.", "account", "alert"),
    _counter("guard_interventions_total", "Orders cancelled and positions closed by the guard.", "account", "kind"),
    # Venues
    _counter("venue_requests_total", "Requests to venues.", "exchange", "outcome"),
    _histogram(
        "venue_round_trip_seconds", "From a request's first byte to its answer.", ROUND_TRIP_BUCKETS_S, "exchange"
    ),
    _gauge("venue_answer_age_seconds", "Since a venue last answered anything but a fault of its own.", "exchange"),
    _gauge("venue_budget_left_ratio", "What is left of a request budget; 1 is all of it.", "exchange", "bucket"),
    _counter("venue_errors_total", "Orders and cancels that a venue refused.", "exchange", "kind"),
    _gauge("venue_clock_offset_seconds", "The venue's clock less the node's.", "account"),
    # Broker and journal
    _gauge("mqtt_configured", "Whether the node is meant to have a broker."),
    _gauge("mqtt_connected", "Whether the broker is connected."),
    _counter("mqtt_reconnects_total", "Connections to the broker after the first."),
    _gauge("outbox_depth", "Events that no broker has confirmed."),
    _histogram("journal_commit_seconds", "Durable commits of the journal.", COMMIT_BUCKETS_S),
    _gauge("journal_healthy", "Whether the journal can be written."),
    _gauge("journal_backup_age_seconds", "Since the newest backup; infinite if there is none."),
    _gauge("journal_backup_interval_seconds", "Between two backups; 0 where none are wanted."),
    _counter("journal_backups_total", "Backups of the journal that were tried.", "outcome"),
    _gauge("locks_assumed", "Whether locks are taken for granted: the journal has not been read since the start."),
    # Notifications
    _counter("notifications_total", "Notifications that were delivered or given up.", "kind", "outcome"),
    _gauge("notify_queue_depth", "Notifications that wait for the webhook."),
)  # fmt: skip

BY_NAME: Final[Mapping[str, MetricSpec]] = {spec.name: spec for spec in METRICS}
#: Every name under which Prometheus finds something of ours.
SERIES: Final[frozenset[str]] = frozenset(name for spec in METRICS for name in spec.series)
