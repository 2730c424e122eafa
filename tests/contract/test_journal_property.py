"""Whatever comes, in whatever order: epochs rise, ids stay unique, and both journals agree."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from node.domain.command import Action, CommandState, RejectCode, child_id
from node.domain.lock import AccountLock
from node.domain.result import Document
from node.engine.ports import Admission, AdmissionOutcome, Admitted, Event, Journal, Rejection
from node.journal.decisions import IllegalTransition
from node.journal.memory import MemoryJournal
from node.journal.store import SqliteJournal
from tests.support.journal import NODE_ID, SteadyClock, admission, for_many, make_command, reached

ACCOUNTS = [UUID(int=1), UUID(int=2)]
IDS = [UUID(int=100 + number) for number in range(5)]
REJECTION = Rejection(code=RejectCode.EXPIRED, message="too late")

Batch = list[Admission] | list[Event]


@st.composite
def admissions(draw: st.DrawFn) -> Admission:
    """One of few ids, so that repetitions and conflicts are common."""
    action = draw(st.sampled_from(Action))
    changes: dict[str, Any] = {
        "command_id": draw(st.sampled_from(IDS)),
        "dry_run": draw(st.booleans()),
        "issuer": draw(st.sampled_from(["desk", "desk", "other"])),
    }
    if action is Action.UNLOCK:
        changes["epoch"] = draw(st.integers(0, 6))
    latch = draw(st.booleans())
    if action is not Action.UNLOCK and draw(st.integers(0, 4)) == 0:
        return for_many(make_command(None, action, **changes), ACCOUNTS, latch=latch)
    command = make_command(draw(st.sampled_from(ACCOUNTS)), action, **changes)
    return admission(command, latch=latch, reject=draw(st.sampled_from([None, None, None, REJECTION])))


@st.composite
def events(draw: st.DrawFn) -> Event:
    """A state of any id, known or not."""
    command = make_command(draw(st.sampled_from(ACCOUNTS)), command_id=draw(st.sampled_from(IDS)))
    if draw(st.booleans()):
        command = command.child(draw(st.sampled_from(ACCOUNTS)))
    state = draw(st.sampled_from([CommandState.RUNNING, CommandState.DONE, CommandState.DONE, CommandState.FAILED]))
    return reached(command, state, release=draw(st.booleans()), keep_locked=draw(st.booleans()))


batches = st.lists(
    st.one_of(st.lists(admissions(), min_size=1, max_size=3), st.lists(events(), max_size=2)), max_size=8
)


class Observer:
    """Applies batches and checks after each what must never happen."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.seen_locks: dict[UUID, AccountLock] = {}
        self.newest_seq = 0

    async def apply(self, batch: Batch) -> list[object]:
        """Carry out one batch; what came of it, without what differs between two runs."""
        answers = await self._answers(batch)
        await self._check_locks()
        await self._check_numbers()
        return [_comparable(answer) for answer in answers]

    async def _answers(self, batch: Batch) -> list[Any]:
        wanted = [item for item in batch if isinstance(item, Admission)]
        if wanted:
            return list[Any](await self.journal.admit(wanted))
        try:
            return list[Any](await self.journal.record([item for item in batch if isinstance(item, Event)]))
        except IllegalTransition:
            return ["illegal"]

    async def _check_locks(self) -> None:
        locks = await self.journal.locks()
        for account_id, lock in locks.items():
            before = self.seen_locks.get(account_id, AccountLock(account_id=account_id))
            assert lock == before or lock.epoch > before.epoch, "the lock changed under one epoch"
        self.seen_locks = locks

    async def _check_numbers(self) -> None:
        numbers = [message.seq for message in await self.journal.pending(1000)]
        assert numbers == sorted(set(numbers)), "an event's number is its own"
        assert max(numbers, default=0) >= self.newest_seq, "numbers only rise"
        self.newest_seq = max(numbers, default=0)


async def check_holds(journal: Journal) -> None:
    """Every hold belongs to a command that has not ended."""
    live = {stored.command.command_id for stored in await journal.unfinished()}
    assert all(lock.holds <= live for lock in (await journal.locks()).values())


async def check_ids(journal: Journal) -> None:
    """Every command, children included, began at most once."""
    for command_id in [*IDS, *(child_id(one, account_id) for one in IDS for account_id in ACCOUNTS)]:
        states = [document["state"] for document in await journal.events(command_id)]
        assert sum(state in ("accepted", "rejected") for state in states) == bool(states)


def _comparable(answer: AdmissionOutcome | Document | str) -> object:
    if isinstance(answer, str):
        return answer
    if isinstance(answer, Admitted):
        return "admitted", [_gist(document) for document in answer.documents]
    if isinstance(answer, dict):
        return "recorded", _gist(answer)
    return type(answer).__name__, _gist(answer.document)


def _gist(document: Document) -> tuple[object, ...]:
    return document["seq"], document["state"], document.get("lock"), document["errors"]


@settings(max_examples=150, deadline=None)
@given(batches)
def test_epochs_only_rise_and_no_hold_outlives_its_command(sequence: list[Batch]) -> None:
    """Any sequence of admissions and states, legal or not."""

    async def run() -> None:
        observer = Observer(MemoryJournal(node_id=NODE_ID, clock=SteadyClock()))
        for batch in sequence:
            await observer.apply(batch)
        await check_holds(observer.journal)
        await check_ids(observer.journal)

    asyncio.run(run())


@settings(max_examples=25, deadline=None)
@given(batches, st.integers(0, 8))
def test_the_journal_on_disk_agrees_with_the_one_in_memory(sequence: list[Batch], restart_at: int) -> None:
    """Answer by answer, lock by lock, through a restart; and never two rows for an id."""

    async def run(path: Path) -> None:
        memory = Observer(MemoryJournal(node_id=NODE_ID, clock=SteadyClock()))
        journal = SqliteJournal(path, node_id=NODE_ID, clock=SteadyClock())
        store = Observer(journal)
        async with journal:
            for position, batch in enumerate(sequence):
                if position == restart_at:
                    await journal.close()
                    await journal.open()
                assert await store.apply(batch) == await memory.apply(batch)
            await check_holds(journal)
            assert _shape(store.seen_locks) == _shape(memory.seen_locks)
            await check_ids(journal)

    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(run(Path(directory) / "journal.db"))


def _shape(locks: dict[UUID, AccountLock]) -> dict[UUID, tuple[int, bool, frozenset[UUID]]]:
    return {account_id: (lock.epoch, lock.latched, lock.holds) for account_id, lock in locks.items()}
