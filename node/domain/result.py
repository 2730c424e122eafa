"""What the node says about a command: verdicts, reports, and the result document of the contract."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from node.domain.command import ALL_ACCOUNTS, Command, CommandState
from node.domain.lock import AccountLock
from node.domain.snapshot import Balance, Position, PositionSide, SliceSnapshot

RESULT_SCHEMA: Final = "sovereign-node/result/1"
LOCK_SCHEMA: Final = "sovereign-node/lock/1"

#: A JSON document of the contract.
Document = dict[str, Any]


class Verdict(StrEnum):
    """Of a command."""

    FLAT = "flat"
    FLAT_WITH_RESIDUE = "flat_with_residue"
    LOCKED = "locked"
    UNLOCKED = "unlocked"
    DRILL_PASSED = "drill_passed"
    NOT_FLAT = "not_flat"
    UNKNOWN = "unknown"
    DRILL_FAILED = "drill_failed"


#: From best to worst: the verdict of many is the worst of them.
VERDICTS_BY_WEIGHT: Final = (
    Verdict.LOCKED,
    Verdict.UNLOCKED,
    Verdict.FLAT,
    Verdict.DRILL_PASSED,
    Verdict.FLAT_WITH_RESIDUE,
    Verdict.DRILL_FAILED,
    Verdict.NOT_FLAT,
    Verdict.UNKNOWN,
)


class Residue(StrEnum):
    """Of one position or balance."""

    FLAT = "flat"
    DUST = "dust"  # below the venue's minimum, and worth less than min_value
    UNSELLABLE = "unsellable"  # below the minimum but worth more, unpriced, or without a route
    MARKET_CLOSED = "market_closed"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    #: Balances only: not the command's to sell, because it is kept by configuration or because CLOSE_ALL sells nothing.
    HELD = "held"
    #: Balances only: in a derivatives wallet, where it cannot be sold.
    COLLATERAL = "collateral"


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionReport:
    """One leg, from first sight to the last read."""

    slice: str
    symbol: str
    side: PositionSide
    before: Decimal
    #: None: not known.
    after: Decimal | None
    verdict: Residue


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceReport:
    """One asset of one wallet, from first sight to the last read."""

    slice: str
    asset: str
    before: Decimal
    after: Decimal | None
    debt: Decimal
    verdict: Residue


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOver:
    """Of a drill: what a real command would leave behind."""

    slice: str
    #: A position's symbol, or a balance's asset.
    name: str
    #: Contracts, or units; a debt is negative.
    quantity: Decimal
    verdict: Residue


@dataclass(slots=True, kw_only=True)
class OrderCounts:
    """What was asked of the venue, in orders."""

    cancelled: int = 0
    placed: int = 0
    rejected: int = 0
    ambiguous: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorReport:
    """One thing that went wrong."""

    code: str
    message: str
    slice: str | None = None
    symbol: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NetExposure:
    """What direction is left, and what that leaves out."""

    #: Assets and their sums in base units, by name; none that comes to zero.
    by_asset: tuple[tuple[str, Decimal], ...] = ()
    #: Slices that were not read, and positions of which the venue does not say how much they are worth.
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Everything a command can tell about the account."""

    verdict: Verdict | None = None
    rounds: int = 0
    orders: OrderCounts = field(default_factory=OrderCounts)
    positions: tuple[PositionReport, ...] = ()
    balances: tuple[BalanceReport, ...] = ()
    net_exposure: NetExposure = NetExposure()
    scope: tuple[str, ...] = ()
    not_covered: tuple[str, ...] = ()
    unverified: tuple[str, ...] = ()
    evidence: tuple[SliceSnapshot, ...] = ()
    errors: tuple[ErrorReport, ...] = ()
    #: Drills: what a real command would take, from measured round trips; milliseconds.
    predicted_ms: float | None = None
    #: Drills: how many closes, cancels and sales a real command would begin with.
    planned: tuple[tuple[str, int], ...] = ()
    #: Drills: what a real command would leave.
    left_over: tuple[LeftOver, ...] = ()


def decimal_text(value: Decimal) -> str:
    """A decimal string without exponent and without trailing zeros."""
    text = format(value, "f")  # not normalize(): that rounds to the context's 28 digits
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def instant_text(at: datetime) -> str:
    """RFC 3339 in UTC with milliseconds."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def worst(verdicts: Iterable[Verdict | None]) -> Verdict:
    """The verdict of several commands together; unknown if any has none."""
    weights = [Verdict.UNKNOWN if verdict is None else verdict for verdict in verdicts]
    return max(weights, key=VERDICTS_BY_WEIGHT.index, default=Verdict.UNKNOWN)


def net_exposure(
    positions: Iterable[Position], balances: Iterable[Balance], base_currency: str, *, unread: Iterable[str] = ()
) -> NetExposure:
    """What direction is left: positions, spot and collateral, less debts; nothing is known of the slices *unread*."""
    exposure: dict[str, Decimal] = {}
    unknown = list(unread)
    for position in positions:
        if position.base_exposure is None:
            unknown.append(f"{position.slice} {position.symbol}")
        else:
            asset = position.symbol.partition("/")[0]
            exposure[asset] = exposure.get(asset, Decimal(0)) + position.base_exposure
    for balance in balances:
        if balance.asset != base_currency:
            exposure[balance.asset] = exposure.get(balance.asset, Decimal(0)) + balance.total - balance.debt
    by_asset = tuple((asset, value) for asset, value in sorted(exposure.items()) if value)
    return NetExposure(by_asset=by_asset, unknown=tuple(unknown))


def result_document(
    command: Command,
    state: CommandState,
    *,
    node_id: str,
    at: datetime,
    latency_ms: Mapping[str, float | None],
    lock: AccountLock | None,
    findings: Findings | None = None,
    unjournaled: bool = False,
    errors: Iterable[ErrorReport] = (),
    children: Iterable[Document] | None = None,
) -> Document:
    """The event of contract 5.3, without its ``seq``: the journal numbers it."""
    found = findings or Findings()
    document: Document = {
        "schema": RESULT_SCHEMA,
        "node_id": node_id,
        "command_id": str(command.command_id),
        "account_id": ALL_ACCOUNTS if command.account_id is None else str(command.account_id),
        "action": command.action.value,
        "state": state.value,
        "verdict": found.verdict and found.verdict.value,
        "rounds": found.rounds,
        "dry_run": command.dry_run,
        "unjournaled": unjournaled,
        "at": instant_text(at),
        "issuer": command.issuer,
        "reason": command.reason,
        "latency_ms": dict(latency_ms),
        "orders": {name: getattr(found.orders, name) for name in OrderCounts.__slots__},
        "positions": [_position(report) for report in found.positions],
        "balances": [_balance(report) for report in found.balances],
        "net_exposure": [
            {"asset": asset, "value": decimal_text(value)} for asset, value in found.net_exposure.by_asset
        ],
        "scope": list(found.scope),
        "not_covered": list(found.not_covered),
        "unverified": list(found.unverified),
        "evidence": [_evidence(snapshot) for snapshot in found.evidence],
        "errors": [_error(report) for report in (*found.errors, *errors)],
    }
    if lock is not None:
        document["lock"] = {"locked": lock.locked, "epoch": lock.epoch}
    if found.net_exposure.unknown:
        document["net_exposure_unknown"] = list(found.net_exposure.unknown)
    if found.predicted_ms is not None:
        document["predicted_ms"] = round(found.predicted_ms, 3)
    if found.planned:
        document["planned"] = dict(found.planned)
        document["left_over"] = [_left_over(each) for each in found.left_over]
    if children is not None:
        document["children"] = list(children)
    return document


def _position(report: PositionReport) -> Document:
    return {
        "slice": report.slice,
        "symbol": report.symbol,
        "side": report.side.value,
        "before": decimal_text(report.before),
        "after": None if report.after is None else decimal_text(report.after),
        "verdict": report.verdict.value,
    }


def _balance(report: BalanceReport) -> Document:
    document: Document = {
        "asset": report.asset,
        "slice": report.slice,
        "before": decimal_text(report.before),
        "after": None if report.after is None else decimal_text(report.after),
        "verdict": report.verdict.value,
    }
    if report.debt:
        document["debt"] = decimal_text(report.debt)
    return document


def _left_over(left: LeftOver) -> Document:
    quantity = decimal_text(left.quantity)
    return {"slice": left.slice, "name": left.name, "quantity": quantity, "verdict": left.verdict.value}


def _evidence(snapshot: SliceSnapshot) -> Document:
    orders = snapshot.orders or ()
    return {
        "slice": snapshot.slice,
        "positions": len(snapshot.positions),
        "open_orders": sum(not order.trigger for order in orders),
        "trigger_orders": sum(order.trigger for order in orders),
        "read_at": instant_text(snapshot.read_at),
    }


def _error(report: ErrorReport) -> Document:
    document: Document = {"code": report.code, "message": report.message}
    if report.slice:
        document["slice"] = report.slice
    if report.symbol:
        document["symbol"] = report.symbol
    return document


def lock_document(
    lock: AccountLock, *, node_id: str, valid_until: datetime, boot_id: str, valid_until_boottime_ns: int
) -> Document:
    """The lock document of contract 5.3: topic, file, HTTP and event stream alike."""
    return {
        "schema": LOCK_SCHEMA,
        "node_id": node_id,
        "account_id": str(lock.account_id),
        "locked": lock.locked,
        "epoch": lock.epoch,
        "since": lock.since and instant_text(lock.since),
        "by": lock.by,
        "reason": lock.reason,
        "valid_until": instant_text(valid_until),
        "boot_id": boot_id,
        "valid_until_boottime_ns": valid_until_boottime_ns,
    }
