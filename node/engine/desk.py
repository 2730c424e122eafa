"""Answers the doors of people and programs: what may be asked of the running node."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from node.clock import Clock
from node.domain.account_state import AccountState
from node.domain.command import ALL_ACCOUNTS, Action, CommandState, RejectCode, Request
from node.domain.estimate import HISTORY
from node.domain.guard_mode import GuardMode
from node.domain.result import Document, decimal_text, instant_text, net_exposure
from node.domain.snapshot import Balance, Position
from node.domain.track_record import TrackRecord
from node.engine.actor import AccountActor
from node.engine.bus import Bus
from node.engine.dispatcher import Dispatcher
from node.engine.inbox import Inbox
from node.engine.lock_ledger import LockLedger
from node.engine.ports import HistoryEntry, Journal, Rejection, Submission
from node.errors import JournalUnavailable

#: A person who sets a guard waits so long for the disk.
GUARD_KEPT_WITHIN_S: Final = 2.0


@dataclass(slots=True, kw_only=True)
class Desk:
    """Implements the CommandDesk port."""

    node_id: str
    version: str
    inbox: Inbox
    dispatcher: Dispatcher
    journal: Journal
    ledger: LockLedger
    bus: Bus
    clock: Clock
    #: Reasons why the node as a whole is not ready; empty if it is.
    not_ready: Callable[[], Sequence[str]]
    #: Broker, journal and the like, for people.
    parts: Callable[[], Document]
    started_at: datetime
    #: How long closes took, and what drills foresaw.
    _record: TrackRecord = field(default_factory=TrackRecord)
    #: Per account: the ending of the newest drill of a close, passed or not.
    _newest_drills: dict[UUID, Document] = field(default_factory=dict)
    #: Per account: when a drill last passed.
    drilled_at: dict[UUID, datetime] = field(default_factory=dict)

    async def submit(self, request: Request) -> Submission:
        """Verify, store, lock, dispatch."""
        return await self.inbox.submit(request)

    async def abort(self, command_id: UUID, *, by: str, reason: str | None) -> Submission | None:
        """End a live command as failed; its lock stays."""
        began_ns = self.clock.monotonic_ns()
        if not await self.dispatcher.abort(command_id, by=by, reason=reason):
            return None
        document = await self.result(command_id)
        latency_ms = (self.clock.monotonic_ns() - began_ns) / 1e6
        return Submission(document=document or {}, rejection=None, duplicate=False, latency_ms=latency_ms)

    async def result(self, command_id: UUID) -> Document | None:
        """The newest event of a command.

        Raises:
            JournalUnavailable: it may be there, and cannot be read.
        """
        kept = self.inbox.scribe.kept(command_id)
        try:
            stored = await self.journal.find(command_id)
        except JournalUnavailable:
            if kept is None:
                raise  # "there is none" would be a guess
            stored = None
        known = [document for document in (stored and stored.document, kept) if document]
        return max(known, key=lambda document: int(document["seq"]), default=None)

    async def follow(self, command_id: UUID) -> AsyncIterator[Document]:
        """The command's events so far, then the live ones; ends after its ending."""
        with self.bus.listen(command_id) as live:
            seen = 0
            try:
                past = await self.journal.events(command_id)
            except JournalUnavailable:
                past = []
            kept = self.inbox.scribe.kept(command_id)
            for document in [*past, kept] if kept else past:
                seen = int(document["seq"])
                yield document
                if CommandState(document["state"]).ended:
                    return
            while True:
                document = await live.get()
                if int(document["seq"]) <= seen:
                    continue
                yield document
                if CommandState(document["state"]).ended:
                    return

    async def set_guard(self, account_id: UUID, mode: GuardMode | None) -> Document:
        """Set what the guard of an account does, until the next word; None: as configured. What it does now, and
        whether a restart would know of it.

        Raises:
            KeyError: there is no such account.
        """
        guard = self.dispatcher.actors[account_id].guard
        guard.set_mode(mode)
        await guard.kept(GUARD_KEPT_WITHIN_S)
        return guard.document()

    async def recall(self) -> None:
        """Remember the executions, drills and guards of earlier runs.

        Raises:
            JournalUnavailable: nothing was learnt.
        """
        kept = await self._recall_executions()
        for account_id, actor in self.dispatcher.actors.items():
            actor.guard.load(kept.get(account_id))

    def begin_unread(self) -> None:
        """Begin without a memory of earlier runs, and without losing it."""
        for actor in self.dispatcher.actors.values():
            actor.guard.begin_unread()

    async def recall_late(self) -> None:
        """Remember earlier runs after all; what this one has learnt meanwhile is newer.

        Raises:
            JournalUnavailable: nothing was learnt.
        """
        kept = await self._recall_executions()
        for account_id, actor in self.dispatcher.actors.items():
            actor.guard.load_late(kept.get(account_id))

    async def _recall_executions(self) -> dict[UUID, Document]:
        """Executions and drills; what the guards have kept is returned."""
        newest, passed = await self.journal.newest_drills(), await self.journal.last_drills()
        times_ms, kept = await self.journal.proof_times_ms(HISTORY), await self.journal.guards()
        self._newest_drills = newest | self._newest_drills
        for document in sorted(passed.values(), key=lambda document: int(document["seq"])):
            if not self._record.knows_drill(UUID(document["account_id"]), Action(document["action"])):
                self._learn_drill(document)
        for (account_id, action), earlier in times_ms.items():
            self._record.closed_before(account_id, action, *earlier)
        return kept

    async def history(self, account_id: UUID | None, *, before_seq: int | None, limit: int) -> list[HistoryEntry]:
        """Commands of one account, or all, newest first; those admitted before one that was seen.

        Raises:
            JournalUnavailable: they are only on disk.
        """
        return await self.journal.history(account_id, before_seq=before_seq, limit=limit)

    async def proofs(self, account_id: UUID | None, *, limit: int) -> list[Document]:
        """The endings of the newest real closes that were proven, oldest first; *limit* of each account.

        Raises:
            JournalUnavailable: they are only on disk.
        """
        wanted = self.dispatcher.actors if account_id is None else (account_id,)
        found = [document for each in wanted for document in await self.journal.proofs(each, limit=limit)]
        return sorted(found, key=lambda document: int(document["seq"]))

    def account_of(self, name_or_id: str) -> UUID | None:
        """Resolve an account by id or configured name."""
        for account_id, actor in self.dispatcher.actors.items():
            if name_or_id in (str(account_id), actor.context.terms.name):
                return account_id
        return None

    def accounts(self) -> list[Document]:
        """Per account: who, where, in what state, and what was last seen of it."""
        return [self._account(actor) for actor in self.dispatcher.actors.values()]

    def status(self) -> Document:
        """The whole node."""
        reasons = list(self.not_ready())
        return {
            "ready": not reasons,
            "reasons": reasons,
            "node_id": self.node_id,
            "version": self.version,
            "started_at": instant_text(self.started_at),
            "at": instant_text(self.clock.now()),
            **self.parts(),
            "accounts": self.accounts(),
        }

    def lock(self, account_id: UUID) -> Document | None:
        """The lock document, freshly dated."""
        return self.ledger.document(account_id) if account_id in self.dispatcher.actors else None

    async def follow_lock(self, account_id: UUID) -> AsyncIterator[Document]:
        """The lock document now, at every change and at every refresh."""
        with self.bus.listen(account_id) as live:
            yield self.ledger.document(account_id)
            while True:
                yield await live.get()

    def estimated_execution_ms(self, account_id: UUID, action: Action) -> float:
        """The 95th percentile of what this action took on this account; else a drill's word; else the deadline."""
        estimated_ms = self._record.estimated_ms(account_id, action)
        deadline_ms = self.dispatcher.actors[account_id].context.terms.execution.deadline_s * 1e3
        return deadline_ms if estimated_ms is None else estimated_ms

    def observe(self, document: Document) -> None:
        """Learn from an ending."""
        state = CommandState(document["state"])
        if not state.ended or document["account_id"] == ALL_ACCOUNTS:
            return
        account_id = UUID(document["account_id"])
        if document["dry_run"] and Action(document["action"]).closes:
            self._newest_drills[account_id] = document
        if state is not CommandState.DONE:
            return
        if document["dry_run"]:
            self._learn_drill(document)
        elif Action(document["action"]).closes and document["latency_ms"]["proof"] is not None:
            self._record.closed(account_id, Action(document["action"]), document["latency_ms"]["proof"])

    def _learn_drill(self, document: Document) -> None:
        if not Action(document["action"]).closes:
            return
        account_id = UUID(document["account_id"])
        at = datetime.fromisoformat(document["at"])
        self.drilled_at[account_id] = max(at, self.drilled_at.get(account_id, at))
        if document.get("predicted_ms") is not None:
            self._record.drilled(account_id, Action(document["action"]), document["predicted_ms"])

    def _account(self, actor: AccountActor) -> Document:
        terms, venue, view = actor.context.terms, actor.context.venue, actor.context.view
        lock = self.ledger.get(terms.account_id)
        drilled_at = self.drilled_at.get(terms.account_id)
        return {
            "id": str(terms.account_id),
            "name": terms.name,
            "owner": terms.owner,
            "exchange": terms.exchange,
            "permission": terms.permission.value,
            "state": account_state(actor, locked=lock.locked).value,
            "reasons": [*_troubles(actor)],
            "lock": self.ledger.document(terms.account_id),
            "live_commands": [str(command.command_id) for command in actor.live],
            "not_covered": list(venue.not_covered),
            "round_trip_ms": venue.round_trip_ms(),
            #: How long somebody who is in no hurry should wait with a drill: its reads spend the request budget.
            "drill_respite_s": max((venue.respite_s(name) for name in venue.slices), default=0.0),
            "clock_offset_ms": venue.clock_offset_ms(),
            "last_drill_at": drilled_at and instant_text(drilled_at),
            "last_drill": _drill(self._newest_drills.get(terms.account_id)),
            **_exposure(actor),
            "guard": actor.guard.document(),
            "unread": view.unread() if actor.armed.is_set() else list(venue.slices),
        }


def _exposure(actor: AccountActor) -> Document:
    """What direction the account has, as far as it was ever read; each slice says how old that is."""
    terms, venue, view = actor.context.terms, actor.context.venue, actor.context.view
    seen = {name: view.last(name) for name in venue.slices}
    snapshots = [last.snapshot for last in seen.values() if last is not None]
    exposure = net_exposure(
        [position for snapshot in snapshots for position in snapshot.positions],
        [balance for snapshot in snapshots for balance in snapshot.balances or ()],
        terms.flatten.base_currency,
        unread=[name for name, last in seen.items() if last is None],
    )
    return {
        "base_currency": terms.flatten.base_currency,
        "net_exposure": [{"asset": asset, "value": decimal_text(value)} for asset, value in exposure.by_asset],
        "net_exposure_unknown": list(exposure.unknown),
        "slices": [_slice(actor, name) for name in venue.slices],
    }


def _slice(actor: AccountActor, name: str) -> Document:
    view = actor.context.view
    seen = view.last(name)
    if seen is None:
        return {"slice": name, "age_s": None}
    snapshot = seen.snapshot
    orders = snapshot.orders or ()
    return {
        "slice": name,
        "age_s": view.age_s(name),
        #: Of orders and balances; None: never read.
        "whole_age_s": view.whole_age_s(name),
        "open_orders": len(orders),
        "trigger_orders": sum(order.trigger for order in orders),
        "positions": [_position(position) for position in snapshot.positions],
        "balances": [_balance(balance) for balance in snapshot.balances or () if balance.total or balance.debt],
    }


def _position(position: Position) -> Document:
    mark, exposure, value = position.mark_price, position.base_exposure, position.value
    return {
        "symbol": position.symbol,
        "side": position.side.value,
        "contracts": decimal_text(position.contracts),
        "mark_price": None if mark is None else decimal_text(mark),
        "base_exposure": None if exposure is None else decimal_text(exposure),
        "value": None if value is None else decimal_text(value),
    }


def _balance(balance: Balance) -> Document:
    document: Document = {"asset": balance.asset, "total": decimal_text(balance.total)}
    if balance.debt:
        document["debt"] = decimal_text(balance.debt)
    return document


def _drill(ending: Document | None) -> Document | None:
    if ending is None:
        return None
    names = ("command_id", "action", "state", "verdict", "at", "predicted_ms")
    return {name: ending.get(name) for name in names}


def account_state(actor: AccountActor, *, locked: bool) -> AccountState:
    """Armed, locked, or degraded: a lock on an account that cannot be read is no comfort."""
    if not actor.healthy:
        return AccountState.DEGRADED
    return AccountState.LOCKED if locked else AccountState.ARMED


def unlock_obstacle(
    actors: Mapping[UUID, AccountActor], journal: Journal, account_id: UUID, *, force: bool
) -> Rejection | None:
    """BUSY while a command is live, NOT_READY while the journal is down or a slice unread (which *force* overrides)."""
    actor = actors[account_id]
    if actor.live:
        return Rejection(code=RejectCode.BUSY, message=f"command {actor.live[0].command_id} is live")
    if actor.guard.busy:
        return Rejection(code=RejectCode.BUSY, message="the guard is about to undo something")
    if not journal.healthy:
        return Rejection(code=RejectCode.NOT_READY, message="the journal cannot be written")
    unread = actor.context.view.unread() if actor.armed.is_set() else list(actor.context.venue.slices)
    if unread and not force:
        return Rejection(code=RejectCode.NOT_READY, message=f"not read: {', '.join(unread)}")
    return None


def _troubles(actor: AccountActor) -> list[str]:
    found = [f"{actor.arm_error.code}: {actor.arm_error}"] if actor.arm_error else []
    found += actor.guard.alerts()
    return found + [f"{name}: {error.code}: {error}" for name, error in actor.context.view.troubles.items()]
