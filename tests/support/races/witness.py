"""What must hold however everything races: judged by what anybody outside was told, and by what the exchanges saw."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid5

from node.domain.command import Action, CommandState, RejectCode
from node.domain.lock import AccountLock
from node.domain.result import LOCK_SCHEMA, RESULT_SCHEMA, instant_text
from tests.support.races.wire import Exchange, Look

Document = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One command that somebody has sent, however often."""

    command_id: UUID
    action: Action
    #: None: every account.
    account: UUID | None
    epoch: int | None = None
    #: As it goes over the broker; None: it went over the operator's socket.
    topic: str = ""
    envelope: bytes = b""


@dataclass(slots=True, kw_only=True)
class Witness:
    """Complains of whatever must not be."""

    exchanges: Mapping[UUID, Exchange]
    #: Between the two proofs that a hold needs to lift.
    settle_ns: int
    sent: dict[UUID, Sent] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)
    #: By account: the newest lock of which any part of the node knew.
    locks: dict[UUID, AccountLock] = field(default_factory=dict)
    #: By account and epoch: what was told of the lock at that epoch.
    told_locks: dict[UUID, dict[int, bool]] = field(default_factory=lambda: defaultdict(dict))
    #: By command: the numbers of the events that were told, by state.
    told_events: dict[UUID, dict[str, set[int]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(set)))
    held_since_ns: dict[UUID, int] = field(default_factory=dict)
    #: How often each LOCK has raised an epoch, by account.
    applied: Counter[tuple[UUID, UUID]] = field(default_factory=Counter)

    #: Holds that were lifted before their command was told to be done: the document comes a moment later.
    released: list[tuple[UUID, int]] = field(default_factory=list)

    def send(self, sent: Sent) -> None:
        """Remember what was commanded."""
        self.sent[sent.command_id] = sent

    # Locks

    def locked(self, lock: AccountLock) -> None:
        """A lock has changed, or a node has begun with it."""
        before, self.locks[lock.account_id] = self.locks.get(lock.account_id), lock
        if before is None or lock == before:
            return
        if lock.epoch < before.epoch:
            self._complain(f"the epoch fell: {before} -> {lock}")
        if lock.epoch == before.epoch and (lock.latched, lock.holds) != (before.latched, before.holds):
            self._complain(f"one epoch, two locks: {before} -> {lock}")
        if before.latched and not lock.latched and not self._unlocked_by_name(before, lock):
            self._complain(f"a latch was lifted by nobody who named its epoch: {before} -> {lock}")
        now_ns = self.exchanges[lock.account_id].venue.clock.monotonic_ns()
        for command_id in lock.holds - before.holds:
            self.held_since_ns[command_id] = now_ns
        for command_id in before.holds - lock.holds:
            if not lock.locked and not self._settled(lock.account_id, self.held_since_ns[command_id]):
                self._complain(f"the hold of {command_id} was lifted without a second proof: {before} -> {lock}")
            if not lock.locked and command_id in self.sent and not self._proven(command_id):
                self.released.append((command_id, lock.epoch))
        self._count(before, lock)

    def _count(self, before: AccountLock, lock: AccountLock) -> None:
        by = _command_of(lock.reason)
        if by is None or by not in self.sent or self.sent[by].action is not Action.LOCK or not lock.latched:
            return
        if lock.epoch > before.epoch and lock.holds == before.holds:
            self.applied[by, lock.account_id] += 1
            if self.applied[by, lock.account_id] > 1:
                self._complain(f"LOCK {by} took effect twice: {before} -> {lock}")

    def _unlocked_by_name(self, before: AccountLock, lock: AccountLock) -> bool:
        return any(
            each.action is Action.UNLOCK
            and each.account == lock.account_id
            and each.epoch is not None
            and before.epoch <= each.epoch < lock.epoch
            for each in self.sent.values()
        )

    def _proven(self, command_id: UUID) -> bool:
        return bool(self.told_events[command_id].get(CommandState.DONE.value))

    # What is told

    def told(self, _topic: str, document: Document) -> None:
        """Somebody outside has been told."""
        match document.get("schema"):
            case schema if schema == LOCK_SCHEMA:
                self._told_lock(UUID(document["account_id"]), document)
            case schema if schema == RESULT_SCHEMA:
                self._told_result(document)

    def _told_lock(self, account: UUID, lock: Document) -> None:
        epoch, locked = int(lock["epoch"]), bool(lock["locked"])
        known = self.locks[account]
        if epoch > known.epoch:
            self._complain(f"told of {account}: epoch {epoch}, in force is {known}")
        if self.told_locks[account].setdefault(epoch, locked) is not locked:
            self._complain(f"told both of {account} at epoch {epoch}")

    def _told_result(self, document: Document) -> None:
        command_id, state = UUID(document["command_id"]), document["state"]
        numbers = self.told_events[command_id]
        if any(error["code"] == RejectCode.CONFLICT.value for error in document["errors"]):
            self._complain(f"{command_id} came twice in the same bytes, and was called a conflict")
        if state == CommandState.ACCEPTED.value or CommandState(state).ended:
            numbers[state].add(int(document["seq"]))
            if len(numbers[state]) > 1:
                self._complain(f"{command_id} was {state} twice: {sorted(numbers[state])}")
        endings = [each for each in numbers if CommandState(each).ended]
        if len(endings) > 1:
            self._complain(f"{command_id} has ended as {endings}")
        if document["account_id"] == "*":
            return
        account = UUID(document["account_id"])
        if document.get("lock") and state != CommandState.REJECTED.value:
            self._told_lock(account, document["lock"])
        if state == CommandState.DONE.value and document["verdict"] == "flat":
            self._told_flat(account, document)

    def _told_flat(self, account: UUID, document: Document) -> None:
        exchange = self.exchanges[account]
        evidence = {each["slice"]: each["read_at"] for each in document["evidence"]}
        if set(evidence) != set(exchange.venue.slices):
            self._complain(f"flat without a look at everything: {document}")
        for name, read_at in evidence.items():
            looks = [
                look
                for look in exchange.proofs
                if look.slice == name and instant_text(look.snapshot.read_at) == read_at
            ]
            flat = [look for look in looks if exchange.was_flat_within(look)]
            if not flat:
                self._complain(f"{name} was told to be flat and never was: {looks} {exchange.history[name]}")
            elif not any(self._nothing_under_way(exchange, look) for look in flat):
                self._complain(f"{name} was told to be flat by a look that a step has overlapped: {looks}")

    def _nothing_under_way(self, exchange: Exchange, look: Look) -> bool:
        """Every step that had left before the look's end had ended before its begin."""
        return all(
            sent_ns > look.ended_ns or (ended_ns is not None and ended_ns <= look.started_ns)
            for sent_ns, ended_ns in exchange.steps
            if sent_ns is not None
        )

    def _settled(self, account: UUID, since_ns: int) -> bool:
        """Whether each slice was proven twice since then, the second time a settling time after the first."""
        exchange = self.exchanges[account]
        looks = [look for look in exchange.proofs if look.started_ns >= since_ns]
        return all(
            any(
                second.started_ns - first.ended_ns >= self.settle_ns
                for first in looks
                for second in looks
                if first.slice == second.slice == name
            )
            for name in exchange.venue.slices
        )

    # What is so

    def judge(self) -> None:
        """After each step of the world.

        Raises:
            AssertionError: something is as it must not be.
        """
        for account, exchange in self.exchanges.items():
            venue = exchange.venue
            counters = venue.account.counters
            harm = (counters.sign_flips, counters.exposure_increases, counters.borrows, counters.oversold)
            assert harm == (0, 0, 0, 0), f"{account}: {counters}"
            assert venue.complaints == []
            ids = [step.client_order_id for step in venue.steps if hasattr(step, "client_order_id")]
            assert len(ids) == len(set(ids)), "an order was sent twice"
        assert self.complaints == []

    def judge_end(self) -> None:
        """When everything has been well for long, and every command has ended."""
        self.judge()
        for command_id, epoch in self.released:
            assert self._proven(command_id), f"the hold of {command_id} was lifted at epoch {epoch}, and it is not done"

        self._judge_unlocks()

    def _judge_unlocks(self) -> None:
        """None was accepted while a close of its account was live: by the numbers of the events."""
        closes = {
            (each, account): self.told_events[each]
            for sent in self.sent.values()
            if sent.action.closes
            for account in ([sent.account] if sent.account else self.exchanges)
            for each in [sent.command_id if sent.account else _child(sent.command_id, account)]
        }
        for sent in self.sent.values():
            if sent.action is not Action.UNLOCK:
                continue
            for at in self.told_events[sent.command_id].get(CommandState.ACCEPTED.value, ()):
                for (close, account), events in closes.items():
                    begun = min(events.get(CommandState.ACCEPTED.value, {at + 1}))
                    ended = min(
                        (min(numbers) for state, numbers in events.items() if CommandState(state).ended), default=at
                    )
                    live = account == sent.account and begun < at < ended
                    assert not live, f"UNLOCK {sent.command_id} was accepted while {close} was live"

    def ending_told(self, command_id: UUID) -> bool:
        """Whether somebody outside has heard how it ended."""
        return any(CommandState(state).ended for state in self.told_events[command_id])

    def ids_of(self, sent: Sent) -> list[UUID]:
        """Of a command and its children."""
        children = [] if sent.account else [_child(sent.command_id, account) for account in self.exchanges]
        return [sent.command_id, *children]

    def _complain(self, what: str) -> None:
        self.complaints.append(what)


def _child(parent_id: UUID, account: UUID) -> UUID:
    """As the contract has it (5.1)."""
    return uuid5(parent_id, str(account))


def _command_of(reason: str | None) -> UUID | None:
    """A command's reason is its id here."""
    try:
        return UUID(reason or "")
    except ValueError:
        return None
