"""The documents of the contract: shape, numbers, instants."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from node.domain.command import Action, Command, CommandState, Door
from node.domain.latency import STAGES, Stopwatch
from node.domain.lock import AccountLock
from node.domain.result import (
    VERDICTS_BY_WEIGHT,
    BalanceReport,
    Document,
    ErrorReport,
    Findings,
    NetExposure,
    PositionReport,
    Residue,
    Verdict,
    decimal_text,
    instant_text,
    lock_document,
    result_document,
    worst,
)
from node.domain.snapshot import PositionSide, SliceSnapshot
from tests.support.fake_venue import LINEAR, order, position

NOW = datetime(2026, 11, 20, 10, 0, 0, 161999, tzinfo=UTC)
DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]+)?")
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
LOCK = AccountLock(account_id=UUID(int=7), epoch=8, latched=True, since=NOW, by="desk", reason="drawdown")


def command(**changes: Any) -> Command:
    """A CLOSE_ALL of the desk's."""
    fields: dict[str, Any] = {
        "command_id": UUID(int=1),
        "account_id": UUID(int=7),
        "action": Action.CLOSE_ALL,
        "issuer": "desk",
        "door": Door.MQTT,
        "issued_at": NOW,
        "received_at": NOW,
        "content_digest": "",
    }
    return Command(**{**fields, **changes})


def document(findings: Findings | None = None, **changes: Any) -> Document:
    """The event of a proven close."""
    fields: dict[str, Any] = {
        "node_id": "node-1",
        "at": NOW,
        "latency_ms": Stopwatch(received_ns=0).as_milliseconds(1_000_000),
        "lock": LOCK,
        "findings": findings or Findings(verdict=Verdict.FLAT, scope=("spot", LINEAR)),
    }
    return result_document(command(), CommandState.DONE, **{**fields, **changes})


class TestNumbers:
    @pytest.mark.parametrize(
        ("value", "text"),
        [
            ("1.20", "1.2"),
            ("1E+3", "1000"),
            ("1E-8", "0.00000001"),
            ("-0.00", "0"),
            ("0E-18", "0"),
            ("-3.10", "-3.1"),
            ("100", "100"),
            ("123456789012345678901.123456789012345678", "123456789012345678901.123456789012345678"),
        ],
    )
    def test_are_written_out_exactly(self, value: str, text: str) -> None:
        """No exponent, no trailing noughts, no digit lost."""
        assert decimal_text(Decimal(value)) == text


class TestInstants:
    def test_are_utc_with_milliseconds_and_never_ahead(self) -> None:
        """Cut off, not rounded."""
        assert instant_text(NOW) == "2026-11-20T10:00:00.161Z"

    def test_of_other_zones_are_converted(self) -> None:
        """Readers know one zone only."""
        abroad = NOW.astimezone(timezone(timedelta(hours=2)))
        assert instant_text(abroad) == instant_text(NOW)


class TestResult:
    def test_has_every_field_of_the_contract(self) -> None:
        """All but the number, which the journal gives."""
        assert document().keys() >= {
            "schema", "node_id", "command_id", "account_id", "action", "state", "verdict", "rounds", "dry_run",
            "unjournaled", "at", "latency_ms", "orders", "positions", "balances", "net_exposure", "scope",
            "not_covered", "unverified", "evidence", "lock", "errors",
        }  # fmt: skip
        assert document()["schema"] == "sovereign-node/result/1"
        assert document()["orders"] == {"cancelled": 0, "placed": 0, "rejected": 0, "ambiguous": 0}
        assert document()["lock"] == {"locked": True, "epoch": 8}

    def test_is_plain_json(self) -> None:
        """No type of ours is left in it."""
        assert json.loads(json.dumps(document(full_findings()), allow_nan=False)) == document(full_findings())

    def test_writes_sizes_as_decimal_strings_and_unknown_ones_as_null(self) -> None:
        """Positions, balances, debts and exposures alike."""
        found = document(full_findings())
        (closed, unread), (eth,) = found["positions"], found["balances"]
        assert (closed["before"], closed["after"], closed["side"]) == ("1.2", "0", "long")
        assert unread["after"] is None
        assert (eth["before"], eth["after"], eth["debt"]) == ("3.1", "0.00002", "0.5")
        texts = [closed["before"], closed["after"], eth["before"], eth["after"], eth["debt"]]
        texts += [each["value"] for each in found["net_exposure"]]
        assert all(DECIMAL.fullmatch(text) for text in texts)

    def test_counts_what_the_evidence_shows(self) -> None:
        """Resting and trigger orders apart, with the instant of the read."""
        (evidence,) = document(full_findings())["evidence"]
        assert (evidence["positions"], evidence["open_orders"], evidence["trigger_orders"]) == (1, 2, 1)
        assert INSTANT.fullmatch(evidence["read_at"])
        assert INSTANT.fullmatch(document()["at"])

    def test_names_slice_and_symbol_of_an_error_only_where_there_are_any(self) -> None:
        """Its code and message always."""
        errors = [ErrorReport(code="A", message="a"), ErrorReport(code="B", message="b", slice="spot", symbol="X/Y")]
        assert document(errors=errors)["errors"] == [
            {"code": "A", "message": "a"},
            {"code": "B", "message": "b", "slice": "spot", "symbol": "X/Y"},
        ]

    def test_of_a_command_for_all_names_every_account(self) -> None:
        """With its children."""
        parent = result_document(
            command(account_id=None), CommandState.RUNNING, node_id="n", at=NOW, latency_ms={}, lock=None, children=[{}]
        )
        assert parent["account_id"] == "*"
        assert parent["children"] == [{}]
        assert "lock" not in parent

    def test_of_a_drill_predicts(self) -> None:
        """Milliseconds, and what a real command would begin with."""
        drilled = document(Findings(verdict=Verdict.DRILL_PASSED, predicted_ms=12.34567, planned=(("closes", 2),)))
        assert drilled["predicted_ms"] == 12.346
        assert drilled["planned"] == {"closes": 2}
        assert "predicted_ms" not in document()


def full_findings() -> Findings:
    """Something in every list."""
    read = SliceSnapshot(
        slice=LINEAR,
        positions=(position("BTC/USDT:USDT", "1"),),
        orders=(order("A/B:B", "1"), order("A/B:B", "2"), order("A/B:B", "3", trigger=True)),
        balances=(),
        started_ns=1,
        ended_ns=2,
        read_at=NOW,
    )
    leg = PositionReport(
        slice=LINEAR,
        symbol="BTC/USDT:USDT",
        side=PositionSide.LONG,
        before=Decimal("1.20"),
        after=Decimal("0E-8"),
        verdict=Residue.FLAT,
    )
    eth = BalanceReport(
        slice="spot",
        asset="ETH",
        before=Decimal("3.10"),
        after=Decimal("2E-5"),
        debt=Decimal("0.5"),
        verdict=Residue.DUST,
    )
    return Findings(
        verdict=Verdict.FLAT_WITH_RESIDUE,
        positions=(leg, replace(leg, after=None, verdict=Residue.UNKNOWN)),
        balances=(eth,),
        net_exposure=NetExposure(by_asset=(("BTC", Decimal("-1E-7")),)),
        evidence=(read,),
    )


class TestVerdictOfMany:
    def test_is_the_worst(self) -> None:
        """One account that is not flat makes the whole not flat."""
        assert worst([Verdict.FLAT, Verdict.NOT_FLAT, Verdict.FLAT_WITH_RESIDUE]) is Verdict.NOT_FLAT

    def test_is_unknown_while_any_has_none(self) -> None:
        """And for none at all."""
        assert worst([Verdict.FLAT, None]) is Verdict.UNKNOWN
        assert worst([]) is Verdict.UNKNOWN

    def test_every_verdict_has_a_weight(self) -> None:
        """A new one must be put in its place."""
        assert set(VERDICTS_BY_WEIGHT) == set(Verdict)


class TestLatency:
    def test_names_every_stage_and_leaves_unmeasured_ones_null(self) -> None:
        """In the order of the contract."""
        latency = Stopwatch(received_ns=0).as_milliseconds(2_500_000)
        assert tuple(latency) == STAGES
        assert latency["total"] == 2.5
        assert latency["proof"] is None

    def test_is_never_negative(self) -> None:
        """A sender's clock ahead of ours, or a view that is older than the command."""
        stopwatch = Stopwatch(received_ns=5_000_000, transport_ms=-3.0)
        stopwatch.snapshot_taken(1_000_000)
        latency = stopwatch.as_milliseconds(6_000_000)
        assert (latency["transport"], latency["snapshot"]) == (0.0, 0.0)

    def test_keeps_the_first_order_sent_and_the_last_one_ended(self) -> None:
        """In whatever order they are reported."""
        stopwatch = Stopwatch(received_ns=0)
        for at_ns in (3_000_000, 1_000_000, 2_000_000):
            stopwatch.order_sent(at_ns)
            stopwatch.order_ended(at_ns * 10)
        latency = stopwatch.as_milliseconds(0)
        assert (latency["first_order"], latency["last_order"]) == (1.0, 30.0)


class TestLockDocument:
    def test_has_exactly_the_fields_of_the_contract(self) -> None:
        """Locked or not."""
        for lock in (LOCK, AccountLock(account_id=UUID(int=7))):
            shown = lock_document(lock, node_id="n", valid_until=NOW, boot_id="b", valid_until_boottime_ns=5)
            assert set(shown) == {
                "schema", "node_id", "account_id", "locked", "epoch", "since", "by", "reason", "valid_until",
                "boot_id", "valid_until_boottime_ns",
            }  # fmt: skip
            assert shown["schema"] == "sovereign-node/lock/1"
            assert INSTANT.fullmatch(shown["valid_until"])

    def test_says_since_when_by_whom_and_why(self) -> None:
        """Null where it was never changed."""
        shown = lock_document(LOCK, node_id="n", valid_until=NOW, boot_id="b", valid_until_boottime_ns=5)
        assert (shown["locked"], shown["epoch"], shown["by"], shown["reason"]) == (True, 8, "desk", "drawdown")
        assert shown["since"] == "2026-11-20T10:00:00.161Z"
