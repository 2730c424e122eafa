"""Hands durable commands to their accounts, and puts the answers of many together for the one who asked for all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final
from uuid import UUID

from node.clock import Clock
from node.domain.command import Command, CommandState
from node.domain.latency import Stopwatch
from node.domain.lock import AccountLock
from node.domain.result import Document, ErrorReport, Findings, OrderCounts, Verdict, result_document, worst
from node.engine.actor import AccountActor
from node.engine.ports import Event
from node.engine.scribe import Scribe

#: The state of many is the first of these that any of them is in, if all have come that far.
ENDINGS_BY_WEIGHT: Final = (CommandState.FAILED, CommandState.REJECTED, CommandState.DONE)


class Parent:
    """A ``*`` command and what has become of its children."""

    def __init__(self, command: Command, stopwatch: Stopwatch, children: Mapping[UUID, Document | None]) -> None:
        self.command = command
        self.stopwatch = stopwatch
        self.children = dict(children)
        self.state = CommandState.ACCEPTED

    def verdict(self) -> Verdict:
        """The worst of the children's; unknown while one has none."""
        found = [child and child.get("verdict") for child in self.children.values()]
        return worst(Verdict(text) if text else None for text in found)

    def state_now(self) -> CommandState:
        """Ended when all have; incomplete when one is and the others have ended or are it too."""
        states = {CommandState(child["state"]) if child else CommandState.ACCEPTED for child in self.children.values()}
        if all(state.ended for state in states):
            return next(state for state in ENDINGS_BY_WEIGHT if state in states)
        return CommandState.INCOMPLETE if CommandState.INCOMPLETE in states else CommandState.RUNNING


class Dispatcher:
    """One actor an account; parents are answered from here."""

    def __init__(self, actors: Iterable[AccountActor], scribe: Scribe, clock: Clock, *, node_id: str) -> None:
        self._actors = {actor.context.terms.account_id: actor for actor in actors}
        self._scribe = scribe
        self._clock = clock
        self._node_id = node_id
        self._parents: dict[UUID, Parent] = {}
        self._parent_of: dict[UUID, UUID] = {}

    @property
    def actors(self) -> Mapping[UUID, AccountActor]:
        """By account id."""
        return self._actors

    def actor_of(self, command_id: UUID) -> AccountActor | None:
        """Who is carrying a live command out."""
        return next(
            (
                actor
                for actor in self._actors.values()
                if any(command.command_id == command_id for command in actor.live)
            ),
            None,
        )

    def dispatch(
        self,
        commands: tuple[Command, ...],
        stopwatch: Stopwatch,
        *,
        attempt: int = 0,
        counted: OrderCounts | None = None,
    ) -> None:
        """Start one command, or a parent (first) and its children. Returns at once. *counted*: the orders that an
        earlier run has told of one command.
        """
        first, rest = commands[0], commands[1:]
        if first.account_id is None:
            self.adopt_parent(first, stopwatch, {child.command_id: None for child in rest})
        else:
            rest = commands
        for command in rest:
            if command.account_id is not None:
                own = stopwatch if len(rest) == 1 else _copy(stopwatch)
                self._actors[command.account_id].accept(command, own, attempt=attempt, counted=counted)

    def adopt_parent(self, command: Command, stopwatch: Stopwatch, children: Mapping[UUID, Document | None]) -> None:
        """Watch over a ``*`` command, once, with what is known of its children already."""
        if command.command_id in self._parents:
            return
        self._parents[command.command_id] = Parent(command, stopwatch, children)
        for child_id in children:
            self._parent_of[child_id] = command.command_id
        self._tell(self._parents[command.command_id])

    def observe(self, command: Command, document: Document) -> None:
        """A child has a new event."""
        parent_id = self._parent_of.get(command.command_id)
        parent = self._parents.get(parent_id) if parent_id else None
        if parent is not None:
            parent.children[command.command_id] = document
            self._tell(parent)

    def _tell(self, parent: Parent) -> None:
        state = parent.state_now()
        if state is parent.state or (state is CommandState.RUNNING and parent.state is CommandState.INCOMPLETE):
            return
        parent.state = state
        command, node_id, now = parent.command, self._node_id, self._clock.now()
        latency_ms = parent.stopwatch.as_milliseconds(self._clock.monotonic_ns())
        children = [_summary(child_id, document) for child_id, document in parent.children.items()]
        findings = Findings(verdict=parent.verdict() if state.ended else Verdict.UNKNOWN)

        def document(lock: AccountLock | None) -> Document:
            return result_document(
                command,
                state,
                node_id=node_id,
                at=now,
                latency_ms=latency_ms,
                lock=lock or AccountLock(account_id=command.command_id, latched=all_locked),
                findings=findings,
                children=children,
            )

        all_locked = all(bool(child and child.get("lock", {}).get("locked")) for child in parent.children.values())
        self._scribe.note(Event(command=command, state=state, document=document))
        if state.ended:
            del self._parents[command.command_id]
            for child_id in parent.children:
                self._parent_of.pop(child_id, None)

    async def abort(self, command_id: UUID, *, by: str, reason: str | None) -> bool:
        """End a live command (of a parent: every live child). False: nothing live has that id."""
        error = ErrorReport(code="ABORTED", message=f"aborted by {by}" + (f": {reason}" if reason else ""))
        parent = self._parents.get(command_id)
        wanted = list(parent.children) if parent else [command_id]
        aborted = False
        for wanted_id in wanted:
            actor = self.actor_of(wanted_id)
            aborted = (actor is not None and await actor.abort(wanted_id, error)) or aborted
        return aborted


def _copy(stopwatch: Stopwatch) -> Stopwatch:
    return Stopwatch(
        received_ns=stopwatch.received_ns,
        transport_ms=stopwatch.transport_ms,
        verify_ns=stopwatch.verify_ns,
        journal_ns=stopwatch.journal_ns,
        lock_ns=stopwatch.lock_ns,
    )


def _summary(child_id: UUID, document: Document | None) -> Document:
    found = document or {}
    return {
        "command_id": str(child_id),
        "account_id": found.get("account_id"),
        "state": found.get("state", CommandState.ACCEPTED.value),
        "verdict": found.get("verdict"),
    }
