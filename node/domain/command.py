"""Commands: what somebody wants to be true of an account, and how far it has come."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID, uuid5

#: The account of a command that was sent to every account of its issuer.
ALL_ACCOUNTS: Final = "*"

#: The issuer of everything that comes through the operator's socket.
OPERATOR: Final = "operator"
#: By whom a lock is set that nobody asked for, and a drill ordered that the schedule wants.
THE_NODE: Final = "node"


class Action(StrEnum):
    """The state that a command asks for."""

    CLOSE_ALL = "CLOSE_ALL"  # no orders, no positions
    FLATTEN = "FLATTEN"  # the same, and only base currency left
    LOCK = "LOCK"  # no new risk
    UNLOCK = "UNLOCK"  # new risk allowed again

    @property
    def closes(self) -> bool:
        """Whether it acts on the venue."""
        return self in (Action.CLOSE_ALL, Action.FLATTEN)


class CommandState(StrEnum):
    """How far a command has come. Endings are final."""

    ACCEPTED = "accepted"  # durable, on its way
    RUNNING = "running"  # at least one round carried out
    INCOMPLETE = "incomplete"  # the deadline passed; it goes on
    DONE = "done"  # proven
    REJECTED = "rejected"  # never begun
    FAILED = "failed"  # only a person can help; the lock stays

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self in (CommandState.DONE, CommandState.REJECTED, CommandState.FAILED)


#: Which state may follow which.
TRANSITIONS: Final[dict[CommandState, frozenset[CommandState]]] = {
    CommandState.ACCEPTED: frozenset(
        {CommandState.RUNNING, CommandState.INCOMPLETE, CommandState.DONE, CommandState.FAILED}
    ),
    CommandState.RUNNING: frozenset(
        {CommandState.RUNNING, CommandState.INCOMPLETE, CommandState.DONE, CommandState.FAILED}
    ),
    CommandState.INCOMPLETE: frozenset(
        {CommandState.RUNNING, CommandState.INCOMPLETE, CommandState.DONE, CommandState.FAILED}
    ),
    CommandState.DONE: frozenset(),
    CommandState.REJECTED: frozenset(),
    CommandState.FAILED: frozenset(),
}


class RejectCode(StrEnum):
    """Why a command was not begun."""

    MALFORMED = "MALFORMED"  # not a command at all
    BAD_SIGNATURE = "BAD_SIGNATURE"  # not signed by whom it names
    UNKNOWN_ISSUER = "UNKNOWN_ISSUER"  # nobody we know
    FORBIDDEN = "FORBIDDEN"  # the issuer may not do that, or not there
    EXPIRED = "EXPIRED"  # too late to begin
    NOT_YET_VALID = "NOT_YET_VALID"  # an UNLOCK from the future
    REPLAYED = "REPLAYED"  # older than the journal remembers
    CONFLICT = "CONFLICT"  # the id was used for something else
    UNKNOWN_ACCOUNT = "UNKNOWN_ACCOUNT"  # no such account here
    STALE_EPOCH = "STALE_EPOCH"  # an UNLOCK of a lock that has changed since
    BUSY = "BUSY"  # an UNLOCK while a command is live
    NOT_READY = "NOT_READY"  # an UNLOCK while something is not proven healthy
    RETAINED = "RETAINED"  # a stored message: it would fire again for ever


class Door(StrEnum):
    """Where a command came in."""

    MQTT = "mqtt"
    OPERATOR = "operator"
    HTTP = "http"
    DIRECT = "direct"  # in the process itself: break-glass, and scheduled drills


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyTo:
    """Where the sender wants the events as well (MQTT 5 request and response)."""

    topic: str
    correlation_data: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One verified request for one account (or the parent of one for many).

    ``account_id`` is None for the parent of a ``*`` command; its children carry ``parent_id``.
    """

    command_id: UUID
    account_id: UUID | None
    action: Action
    issuer: str
    door: Door
    #: Unified symbols, sorted; empty means all.
    symbols: tuple[str, ...] = ()
    #: Overrides the account's lock_on_close: True latches, False holds.
    latch: bool | None = None
    dry_run: bool = False
    reason: str | None = None
    #: Of the lock to release; UNLOCK only.
    epoch: int | None = None
    #: UNLOCK by the operator although slices are unread.
    force: bool = False
    issued_at: datetime
    received_at: datetime
    #: sha256 of action, account and parameters: the same id must always carry the same content.
    content_digest: str
    #: The signed bytes as received: evidence.
    envelope: bytes | None = None
    parent_id: UUID | None = None
    reply_to: ReplyTo | None = None

    def child(self, account_id: UUID) -> Command:
        """The same command for one account, its id derived from the parent's and the account's."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        fields |= {
            "command_id": child_id(self.command_id, account_id),
            "account_id": account_id,
            "parent_id": self.command_id,
            "envelope": None,
        }
        return Command(**fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A command as it was asked for, before it is known which accounts it means."""

    command_id: UUID
    #: None: every account that the issuer may command.
    account_id: UUID | None
    action: Action
    issuer: str
    door: Door
    symbols: tuple[str, ...] = ()
    latch: bool | None = None
    dry_run: bool = False
    reason: str | None = None
    epoch: int | None = None
    force: bool = False
    #: By the sender's clock; None at doors without one.
    issued_at: datetime | None = None
    expires_at: datetime | None = None
    envelope: bytes | None = None
    reply_to: ReplyTo | None = None

    @property
    def content_digest(self) -> str:
        """What it means, without when it was signed."""
        return content_digest(
            action=self.action.value,
            account=ALL_ACCOUNTS if self.account_id is None else str(self.account_id),
            symbols=self.symbols,
            latch=self.latch,
            dry_run=self.dry_run,
            reason=self.reason,
            epoch=self.epoch,
        )


def child_id(parent_id: UUID, account_id: UUID) -> UUID:
    """The id of a ``*`` command's child: uuid5(parent, account)."""
    return uuid5(parent_id, str(account_id))


def content_digest(
    *,
    action: str,
    account: str,
    symbols: tuple[str, ...] = (),
    latch: bool | None = None,
    dry_run: bool = False,
    reason: str | None = None,
    epoch: int | None = None,
) -> str:
    """Sha256 (hex) over what a command means: two commands with one id must agree in it."""
    meaning = [action, account, sorted(symbols), latch, dry_run, reason, epoch]
    return hashlib.sha256(json.dumps(meaning, separators=(",", ":")).encode()).hexdigest()
