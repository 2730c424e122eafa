"""What is posted: one JSON document an event, of a stable schema (``config/notification.schema.json``). Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from node.domain.command import Command, CommandState
from node.domain.lock import AccountLock
from node.domain.result import Document, Verdict, instant_text
from node.settings_notify import Happening

NOTIFICATION_SCHEMA: Final = "sovereign-node/notification/1"
#: Of a drill that a real command has stopped: it says nothing of the account.
_PREEMPTED: Final = "PREEMPTED"
_ERRORS_MAX: Final = 20
_TOLD: Final = (CommandState.INCOMPLETE, CommandState.DONE, CommandState.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """One event, as it will be told."""

    notification_id: UUID
    happening: Happening
    at: datetime
    #: Somebody should look now.
    critical: bool
    #: One line for people; chat systems show the member ``text`` of what is posted to them.
    text: str
    details: Document
    #: Id and configured name; None: of the whole node.
    account: tuple[UUID, str] | None = None

    def document(self, *, tenant: str, node_id: str) -> Document:
        """As it is posted."""
        return {
            "schema": NOTIFICATION_SCHEMA,
            "id": str(self.notification_id),
            "event": self.happening.value,
            "severity": "critical" if self.critical else "warning",
            "at": instant_text(self.at),
            "tenant": tenant,
            "node_id": node_id,
            "account": None if self.account is None else {"id": str(self.account[0]), "name": self.account[1]},
            "text": self.text,
            "details": self.details,
        }


def of_lock(lock: AccountLock, name: str, *, notification_id: UUID, at: datetime) -> Notification:
    """An account that was free is locked."""
    because = f": {lock.reason}" if lock.reason else ""
    return Notification(
        notification_id=notification_id,
        happening=Happening.LOCK,
        at=at,
        critical=False,
        text=f"{name} is locked by {lock.by}{because}",
        details={"epoch": lock.epoch, "by": lock.by, "reason": lock.reason},
        account=(lock.account_id, name),
    )


def of_ending(
    command: Command, document: Document, name: str, *, notification_id: UUID, at: datetime
) -> Notification | None:
    """A command's ending, or its missed deadline, if that is worth telling.

    Codes and counts only: what a venue has said stays in the result.
    """
    state = CommandState(document["state"])
    if command.account_id is None or not command.action.closes or state not in _TOLD:
        return None
    codes = [error["code"] for error in document["errors"]]
    if command.dry_run:
        if state is CommandState.DONE or _PREEMPTED in codes:
            return None
        happening, text = Happening.DRILL_FAILED, f"a drill of {command.action} failed on {name}"
    else:
        if document["verdict"] == Verdict.FLAT:
            return None
        happening = Happening.NOT_FLAT
        verb = "goes on beyond its deadline" if state is CommandState.INCOMPLETE else f"ended as {state.value}"
        text = f"{command.action} on {name} {verb}: {document['verdict'] or 'no verdict'}"
    residue = document["verdict"] == Verdict.FLAT_WITH_RESIDUE
    details: dict[str, Any] = {
        "command_id": str(command.command_id),
        "action": command.action.value,
        "state": state.value,
        "verdict": document["verdict"],
        "issuer": command.issuer,
        "error_codes": sorted(set(codes))[:_ERRORS_MAX],
        "positions_not_flat": sum(each["verdict"] != Verdict.FLAT for each in document["positions"]),
    }
    return Notification(
        notification_id=notification_id,
        happening=happening,
        at=at,
        critical=happening is Happening.NOT_FLAT and not residue,
        text=f"{text} ({', '.join(details['error_codes'])})" if codes else text,
        details=details,
        account=(command.account_id, name),
    )


def of_broker(away_s: float, *, notification_id: UUID, at: datetime) -> Notification:
    """The broker has been away for long."""
    return Notification(
        notification_id=notification_id,
        happening=Happening.BROKER_LOST,
        at=at,
        critical=True,
        text=f"not connected to the broker for {away_s:.0f} s: commands over MQTT do not arrive",
        details={"away_s": round(away_s)},
    )
