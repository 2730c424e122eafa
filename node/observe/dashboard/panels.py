"""Every panel of the dashboard, row by row."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from node.observe.dashboard.queries import increase, quantiles, rate, series


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One picture: what is asked, by legend."""

    title: str
    targets: tuple[tuple[str, str], ...]
    kind: str = "timeseries"
    unit: str = "short"
    width: int = 8
    description: str = ""
    mappings: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Panels under one heading."""

    title: str
    panels: tuple[Panel, ...]


_ON_OFF: Final = [
    {"type": "value", "options": {"0": {"text": "no", "color": "red"}, "1": {"text": "yes", "color": "green"}}}
]
_NO_YES: Final = [
    {"type": "value", "options": {"0": {"text": "no", "color": "green"}, "1": {"text": "yes", "color": "red"}}}
]
_LOCKED: Final = [
    {"type": "value", "options": {"0": {"text": "open", "color": "blue"}, "1": {"text": "locked", "color": "orange"}}}
]


_CLOSES: Final = 'action=~"CLOSE_ALL|FLATTEN"'
_CLOSED: Final = series("command_stage_seconds", f'stage="proof",{_CLOSES}', part="bucket")
_DRILLED: Final = series("drill_stage_seconds", 'stage="proof"', part="bucket")
_PROVEN: Final = (
    f"sum by (le) (increase({_CLOSED}[$__rate_interval])) + sum by (le) (increase({_DRILLED}[$__rate_interval]))"
)
_OF_BUDGET: Final = (
    "max by (stage) (sovereign_node:stage_seconds:p99_1h"
    " / on (stage) group_left () sovereign_node:stage_budget_seconds)"
)

ROWS: Final[tuple[Row, ...]] = (
    Row(
        title="At a glance",
        panels=(
            Panel(title="Ready", kind="stat", width=4, mappings=_ON_OFF, targets=(("{{instance}}", series("ready")),)),
            Panel(
                title="Locked accounts", kind="stat", width=4, targets=(("locked", f"sum({series('engine_locked')})"),)
            ),
            Panel(
                title="Accounts that are not armed",
                kind="stat",
                width=4,
                targets=(("degraded", f"count({series('account_armed')} == 0) or vector(0)"),),
            ),
            Panel(
                title="Oldest unfinished command",
                kind="stat",
                width=4,
                unit="s",
                targets=(("{{instance}}", series("oldest_unfinished_command_seconds")),),
            ),
            Panel(
                title="Broker connected",
                kind="stat",
                width=4,
                mappings=_ON_OFF,
                targets=(("{{instance}}", f"{series('mqtt_connected')} and {series('mqtt_configured')} == 1"),),
            ),
            Panel(
                title="Journal can be written",
                kind="stat",
                width=4,
                mappings=_ON_OFF,
                targets=(("{{instance}}", series("journal_healthy")),),
            ),
        ),
    ),
    Row(
        title="How fast it kills",
        panels=(
            Panel(
                title="Receipt to proof, closes and drills",
                kind="heatmap",
                width=12,
                unit="s",
                targets=(
                    (
                        "{{le}}",
                        _PROVEN,
                    ),
                ),
            ),
            Panel(
                title="p99 of the last hour, by stage, as a part of its budget",
                kind="bargauge",
                width=12,
                unit="percentunit",
                description="Closes and drills together; the budgets are in the rules.",
                targets=(("{{stage}}", _OF_BUDGET),),
            ),
            Panel(
                title="Stages of closes",
                width=12,
                unit="s",
                targets=quantiles("command_stage_seconds", "stage", _CLOSES, "1h"),
            ),
            Panel(
                title="Stages of drills",
                width=12,
                unit="s",
                targets=quantiles("drill_stage_seconds", "stage", "", "1h"),
            ),
        ),
    ),
    Row(
        title="Commands",
        panels=(
            Panel(
                title="Ended, by outcome",
                targets=(("{{action}} {{outcome}}", increase("commands_total", "action, outcome")),),
            ),
            Panel(
                title="Accepted, by door",
                targets=(("{{action}} {{door}}", increase("commands_accepted_total", "action, door")),),
            ),
            Panel(
                title="Unfinished, by account",
                unit="s",
                targets=(("{{account}}", f"{series('account_unfinished_seconds')} > 0"),),
            ),
            Panel(title="Rejected", targets=(("{{reason}}", f"{increase('rejected_total', 'reason')} > 0"),)),
            Panel(
                title="Orders and cancels, by outcome",
                targets=(("{{exchange}} {{outcome}}", increase("orders_total", "exchange, outcome")),),
            ),
            Panel(
                title="Delivered again, and carried out without the journal",
                targets=(
                    ("duplicates", increase("duplicates_total", "instance")),
                    ("without the journal", increase("unjournaled_commands_total", "instance")),
                ),
            ),
        ),
    ),
    Row(
        title="Accounts, locks and drills",
        panels=(
            Panel(
                title="Locks",
                kind="state-timeline",
                width=12,
                mappings=_LOCKED,
                targets=(("{{account}}", series("engine_locked")),),
            ),
            Panel(
                title="Armed",
                kind="state-timeline",
                width=12,
                mappings=_ON_OFF,
                targets=(("{{account}}", series("account_armed")),),
            ),
            Panel(
                title="Exposure: part of the last day in which risk could be added",
                kind="bargauge",
                unit="percentunit",
                targets=(("{{account}}", f"1 - avg_over_time({series('engine_locked')}[1d])"),),
            ),
            Panel(title="Locked for", unit="s", targets=(("{{account}}", f"{series('lock_held_seconds')} > 0"),)),
            Panel(
                title="Changes of locks",
                targets=(("{{account}}", f"delta({series('lock_epoch')}[$__rate_interval])"),),
            ),
            Panel(
                title="Since the last drill that passed",
                kind="bargauge",
                unit="s",
                targets=(("{{account}}", series("drill_age_seconds")),),
            ),
            Panel(title="Drills", targets=(("{{account}} {{outcome}}", increase("drills_total", "account, outcome")),)),
            Panel(title="Slices that are unread", targets=(("{{account}}", series("account_unread_slices")),)),
            Panel(
                title="Age of the last read",
                unit="s",
                targets=(("{{account}} {{slice}}", series("snapshot_age_seconds")),),
            ),
            Panel(
                title="What the guard has undone",
                targets=(("{{account}} {{kind}}", increase("guard_interventions_total", "account, kind")),),
            ),
            Panel(
                title="What the guard says",
                targets=(("{{account}} {{alert}}", f"{series('guard_alerts')} == 1"),),
            ),
            Panel(
                title="Between two looks of the guard",
                unit="s",
                targets=(("{{account}}", f"{series('guard_interval_seconds')} and {series('guard_active')} == 1"),),
            ),
        ),
    ),
    Row(
        title="Venues",
        panels=(
            Panel(
                title="Round trips", unit="s", targets=quantiles("venue_round_trip_seconds", "exchange", window="5m")
            ),
            Panel(
                title="Requests, by outcome",
                unit="reqps",
                targets=(("{{exchange}} {{outcome}}", rate("venue_requests_total", "exchange, outcome")),),
            ),
            Panel(
                title="Since the last answer",
                unit="s",
                targets=(("{{exchange}}", f"max by (exchange) ({series('venue_answer_age_seconds')})"),),
            ),
            Panel(
                title="What is left of request budgets",
                unit="percentunit",
                targets=(("{{exchange}} {{bucket}}", series("venue_budget_left_ratio")),),
            ),
            Panel(
                title="Clock of the venue less ours",
                unit="s",
                targets=(("{{account}}", series("venue_clock_offset_seconds")),),
            ),
            Panel(
                title="Refusals",
                targets=(("{{exchange}} {{kind}}", increase("venue_errors_total", "exchange, kind")),),
            ),
        ),
    ),
    Row(
        title="The node itself",
        panels=(
            Panel(title="Commits of the journal", unit="s", targets=quantiles("journal_commit_seconds", "")),
            Panel(
                title="Backups of the journal",
                unit="s",
                targets=(
                    ("age {{instance}}", series("journal_backup_age_seconds")),
                    ("failed {{instance}}", increase("journal_backups_total", "instance", 'outcome="failed"')),
                ),
                description="Since the newest one; and how many could not be made.",
            ),
            Panel(
                title="Begun without the journal",
                kind="stat",
                mappings=_NO_YES,
                targets=(("{{instance}}", series("locks_assumed")),),
            ),
            Panel(title="Lag of the event loop", unit="s", targets=quantiles("event_loop_lag_seconds", "")),
            Panel(
                title="Resident memory",
                unit="bytes",
                targets=(
                    ("{{instance}}", 'process_resident_memory_bytes{job="sovereign-node",instance=~"$instance"}'),
                ),
            ),
            Panel(
                title="Tasks of the event loop",
                targets=(("{{instance}}", series("asyncio_tasks")),),
                description="Rises and falls with connections and commands; one that only rises is a leak.",
            ),
            Panel(
                title="Events and notifications that wait",
                targets=(
                    ("events {{instance}}", series("outbox_depth")),
                    ("notifications {{instance}}", series("notify_queue_depth")),
                ),
            ),
            Panel(
                title="Notifications",
                targets=(("{{kind}} {{outcome}}", increase("notifications_total", "kind, outcome")),),
            ),
            Panel(
                title="Connections to the broker after the first",
                targets=(("{{instance}}", increase("mqtt_reconnects_total", "instance")),),
            ),
        ),
    ),
)
