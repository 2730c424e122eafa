"""What old history may go, and what stays whatever its age."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from node.domain.command import Action, Command, CommandState, RejectCode
from node.engine.ports import Admitted, Refused, Rejection, RejectNote
from node.journal.forgetting import EXECUTIONS_KEPT
from node.journal.store import SqliteJournal
from tests.contract.test_journal import ACCOUNT, OTHER
from tests.support.journal import NODE_ID, SteadyClock, admission, for_many, make_command, reached


@dataclass(slots=True, kw_only=True)
class Kept:
    """A journal, and the ids of what is in it."""

    journal: SqliteJournal
    path: Path
    clock: SteadyClock = field(default_factory=SteadyClock)

    async def ended(self, command: Command, state: CommandState = CommandState.DONE, *, published: bool = True) -> UUID:
        """Admitted, ended, and confirmed by the broker."""
        await self.journal.admit([admission(command)])
        await self.journal.record([reached(command, state)])
        if published:
            await self.journal.published([message.seq for message in await self.journal.pending(100)])
        return command.command_id

    async def forget(self, *, limit: int = 1000) -> int:
        """Everything that may go: as if years had passed."""
        return await self.journal.forget(datetime(2099, 1, 1, tzinfo=UTC), limit=limit)

    def ids(self) -> set[UUID]:
        """What is still there."""
        with closing(sqlite3.connect(self.path)) as reader:
            return {UUID(row[0]) for row in reader.execute("SELECT id FROM command")}


@pytest.fixture
async def kept(tmp_path: Path) -> AsyncIterator[Kept]:
    """A new journal."""
    path = tmp_path / "state" / "journal.sqlite3"
    async with SqliteJournal(path, node_id=NODE_ID, clock=SteadyClock()) as journal:
        yield Kept(journal=journal, path=path)


async def test_what_has_ended_long_ago_goes_with_all_that_belongs_to_it(kept: Kept) -> None:
    """Command, events, outbox rows, rejects; the locks stay as they were, and so does the next number."""
    await kept.ended(make_command(ACCOUNT, Action.LOCK))
    note = RejectNote(
        issuer="desk",
        command_id=None,
        account_id=None,
        rejection=Rejection(code=RejectCode.MALFORMED, message="no"),
    )
    await kept.journal.note_rejects([note])
    locks = await kept.journal.locks()
    assert await kept.forget() == 2
    assert kept.ids() == set()
    with closing(sqlite3.connect(kept.path)) as reader:
        counts = [
            reader.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608
            for table in ("command_event", "outbox", "reject")
        ]
    assert counts == [0, 0, 0]
    assert await kept.journal.locks() == locks
    [outcome] = await kept.journal.admit([admission(make_command(OTHER, Action.LOCK))])
    assert isinstance(outcome, Admitted)
    assert outcome.documents[0]["seq"] == 4


async def test_numbers_do_not_fall_although_the_newest_event_is_gone(kept: Kept) -> None:
    """Also after a restart, when nothing in memory knows it."""
    await kept.ended(make_command(ACCOUNT, Action.LOCK))
    await kept.forget()
    await kept.journal.close()
    async with SqliteJournal(kept.path, node_id=NODE_ID, clock=SteadyClock()) as journal:
        [outcome] = await journal.admit([admission(make_command(OTHER, Action.LOCK))])
        assert isinstance(outcome, Admitted)
        assert outcome.documents[0]["seq"] == 3
        assert (await journal.locks())[ACCOUNT].epoch == 1


async def test_what_is_unfinished_held_or_unpublished_stays(kept: Kept) -> None:
    """Whatever its age."""
    live = make_command(ACCOUNT)
    holder = make_command(OTHER)
    await kept.journal.admit([admission(live), admission(holder, latch=False)])
    unpublished = await kept.ended(make_command(ACCOUNT, Action.LOCK), published=False)
    assert await kept.forget() == 0
    assert kept.ids() == {live.command_id, holder.command_id, unpublished}


async def test_a_family_goes_together_or_stays_together(kept: Kept) -> None:
    """A command for many accounts and its children."""
    parent = make_command(None, Action.LOCK)
    await kept.journal.admit([for_many(parent, [ACCOUNT, OTHER])])
    first, second = parent.child(ACCOUNT), parent.child(OTHER)
    await kept.journal.record([reached(first, CommandState.DONE)])
    await kept.journal.published(list(range(1, 10)))
    assert await kept.forget() == 0
    await kept.journal.record([reached(second, CommandState.DONE), reached(parent, CommandState.DONE)])
    await kept.journal.published(list(range(1, 10)))
    assert await kept.forget() == 1
    assert kept.ids() == set()


async def test_the_executions_of_the_estimate_and_the_newest_drill_stay(kept: Kept) -> None:
    """What the desk remembers at a start is what is on disk."""
    drill = await kept.ended(make_command(ACCOUNT, dry_run=True), CommandState.FAILED)
    older = await kept.ended(make_command(ACCOUNT))
    newer = [await kept.ended(make_command(ACCOUNT)) for _ in range(EXECUTIONS_KEPT)]
    assert await kept.forget() == 1
    assert kept.ids() == {drill, *newer}
    assert older not in kept.ids()


async def test_what_ended_lately_stays(kept: Kept) -> None:
    """The horizon is an instant, and the file itself holds to it."""
    wanted = await kept.ended(make_command(ACCOUNT, Action.LOCK))
    before = kept.clock.now() - timedelta(days=1)
    assert await kept.journal.forget(before, limit=10) == 0
    with closing(sqlite3.connect(kept.path, isolation_level=None)) as stranger:
        stranger.execute("PRAGMA foreign_keys = OFF")
        for table in ("command_event", "command"):
            with pytest.raises(sqlite3.IntegrityError):
                stranger.execute(f"DELETE FROM {table}")  # noqa: S608
    assert kept.ids() == {wanted}


async def test_a_signed_lock_that_is_forgotten_never_acts_again(kept: Kept) -> None:
    """It may be valid for ever, and whoever has a copy may send it again."""
    lock = make_command(ACCOUNT, Action.LOCK)
    await kept.ended(lock)
    await kept.forget()
    [outcome] = await kept.journal.admit([admission(lock)])
    assert isinstance(outcome, Refused)
    assert outcome.rejection.code is RejectCode.CONFLICT
    assert (await kept.journal.locks())[ACCOUNT].epoch == 1


async def test_much_history_goes_piece_by_piece_and_its_room_is_used_again(kept: Kept) -> None:
    """No transaction is longer than a command may wait; the file does not grow with the years."""
    sizes = []
    for _year in range(3):
        for _ in range(60):
            await kept.ended(make_command(ACCOUNT, Action.LOCK))
        gone = [await kept.forget(limit=25) for _ in range(4)]
        assert gone == [25, 25, 10, 0]
        await kept.journal.probe()
        sizes.append(kept.path.stat().st_size)
    assert sizes[2] <= sizes[0] * 1.1


async def test_what_names_a_dropped_event_is_found_by_an_index(kept: Kept) -> None:
    """SQLite asks for it once an event: without the index a new command would wait for the whole table, each time."""
    with closing(sqlite3.connect(kept.path)) as reader:
        query = "EXPLAIN QUERY PLAN SELECT 1 FROM command WHERE newest_seq = 1"
        [step] = [row[3] for row in reader.execute(query)]
    assert "INDEX command_by_newest_seq" in step
