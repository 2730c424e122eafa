"""What the engine may rely on from any journal: the one on disk and its twin in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from node.domain.command import Action, CommandState, Door, RejectCode, ReplyTo
from node.domain.lock import AccountLock
from node.domain.result import Document
from node.engine.ports import Admitted, Duplicate, Journal, LockChange, Refused, Rejection
from node.journal.decisions import IllegalTransition
from node.journal.memory import MemoryJournal
from node.journal.store import SqliteJournal
from tests.support.journal import ISSUED_AT, NODE_ID, SteadyClock, admission, for_many, make_command, reached

ACCOUNT = UUID("6b0c8d1e-0000-4000-8000-000000000001")
OTHER = UUID("6b0c8d1e-0000-4000-8000-000000000002")


@pytest.fixture(params=["memory", "sqlite"])
async def journal(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Journal]:
    """Each implementation in turn, empty."""
    if request.param == "memory":
        yield MemoryJournal(node_id=NODE_ID, clock=SteadyClock())
    else:
        async with SqliteJournal(tmp_path / "journal.db", node_id=NODE_ID, clock=SteadyClock()) as store:
            yield store


async def lock_of(journal: Journal, account_id: UUID = ACCOUNT) -> AccountLock:
    """As the journal has it; open if it was never changed."""
    return (await journal.locks()).get(account_id, AccountLock(account_id=account_id))


async def test_an_accepted_command_is_stored_whole(journal: Journal) -> None:
    """What is found later equals what was admitted, in every field."""
    command = make_command(
        ACCOUNT,
        symbols=("BTC/USDT:USDT", "ETH/USDT:USDT"),
        latch=False,
        reason="drawdown \u2013 5 %",
        reply_to=ReplyTo(topic="sn/v1/acme/rsp/desk", correlation_data=b"\x00\xff"),
    )
    [outcome] = await journal.admit([admission(command)])
    found = await journal.find(command.command_id)
    assert isinstance(outcome, Admitted)
    assert outcome.commands == (command,)
    assert found is not None
    assert found.command == command
    assert (found.state, found.attempt) == (CommandState.ACCEPTED, 0)
    assert found.document == outcome.documents[0]


@pytest.mark.parametrize("door", list(Door))
async def test_every_door_and_every_optional_field_survives(journal: Journal, door: Door) -> None:
    """Absent values come back absent."""
    plain = make_command(ACCOUNT, door=door, envelope=None)
    forced = make_command(OTHER, Action.UNLOCK, epoch=0, force=True, reply_to=ReplyTo(topic="sn/v1/acme/rsp/x"))
    await journal.admit([admission(plain), admission(forced)])
    stored = [await journal.find(command.command_id) for command in (plain, forced)]
    assert [found and found.command for found in stored] == [plain, forced]


async def test_the_accepted_document_states_the_lock_after_the_change(journal: Journal) -> None:
    """Numbered, journaled, timed, and locked."""
    command = make_command(ACCOUNT)
    [outcome] = await journal.admit([admission(command)])
    assert isinstance(outcome, Admitted)
    [document] = outcome.documents
    assert document["seq"] == 1
    assert document["state"] == "accepted"
    assert document["unjournaled"] is False
    assert document["latency_ms"]["total"] >= 0
    assert document["lock"] == {"locked": True, "epoch": 1}


async def test_nothing_is_known_of_an_id_that_never_came(journal: Journal) -> None:
    """No row, no events, no children."""
    assert await journal.find(uuid4()) is None
    assert await journal.events(uuid4()) == []
    assert await journal.children(uuid4()) == []
    assert await journal.locks() == {}


async def test_the_same_command_again_gets_the_newest_answer(journal: Journal) -> None:
    """However often it comes, it takes effect once."""
    command = make_command(ACCOUNT)
    await journal.admit([admission(command)])
    [done] = await journal.record([reached(command, CommandState.DONE)])
    [again] = await journal.admit([admission(replace(command, door=Door.HTTP, envelope=b"signed again"))])
    assert again == Duplicate(document=done)
    assert (await lock_of(journal)).epoch == 1
    assert [document["state"] for document in await journal.events(command.command_id)] == ["accepted", "done"]


async def test_a_duplicate_within_one_batch_sees_the_first(journal: Journal) -> None:
    """One transaction, but in order."""
    command = make_command(ACCOUNT)
    first, second = await journal.admit([admission(command), admission(command)])
    assert isinstance(first, Admitted)
    assert second == Duplicate(document=first.documents[0])
    assert (await lock_of(journal)).epoch == 1


@pytest.mark.parametrize("difference", [{"issuer": "intruder"}, {"content_digest": "other"}])
async def test_a_reused_id_is_a_conflict_that_discloses_nothing(journal: Journal, difference: dict[str, str]) -> None:
    """The second sender learns neither what the first wanted nor how the account stands."""
    first = make_command(ACCOUNT, reason="secret")
    second = make_command(OTHER, Action.LOCK, command_id=first.command_id, **difference)
    await journal.admit([admission(first)])
    [outcome] = await journal.admit([admission(second)])
    assert isinstance(outcome, Refused)
    assert outcome.rejection.code is RejectCode.CONFLICT
    assert outcome.document["seq"] == 2
    assert outcome.document["account_id"] == str(OTHER)
    assert "lock" not in outcome.document
    assert "secret" not in str(outcome.document)
    assert len(await journal.events(first.command_id)) == 1
    assert [message.seq for message in await journal.pending(10)] == [1]
    assert not (await lock_of(journal, OTHER)).locked


async def test_a_parent_whose_child_id_is_taken_is_a_conflict(journal: Journal) -> None:
    """Never half a command for many."""
    parent = make_command(None)
    squatter = replace(make_command(ACCOUNT), command_id=parent.child(ACCOUNT).command_id)
    await journal.admit([admission(squatter)])
    [outcome] = await journal.admit([for_many(parent, [OTHER, ACCOUNT])])
    assert isinstance(outcome, Refused)
    assert outcome.rejection.code is RejectCode.CONFLICT
    assert await journal.find(parent.command_id) is None
    assert await journal.children(parent.command_id) == []
    assert not (await lock_of(journal, OTHER)).locked


async def test_a_command_for_many_locks_each_account_and_has_a_parent_without_lock(journal: Journal) -> None:
    """Parent first; children in order, each with its own event."""
    parent = make_command(None, reply_to=ReplyTo(topic="sn/v1/acme/rsp/desk"))
    [outcome] = await journal.admit([for_many(parent, [ACCOUNT, OTHER])])
    assert isinstance(outcome, Admitted)
    assert [document["account_id"] for document in outcome.documents] == ["*", str(ACCOUNT), str(OTHER)]
    assert "lock" not in outcome.documents[0]
    children = await journal.children(parent.command_id)
    assert [child.command for child in children] == list(outcome.commands[1:])
    assert all([(await lock_of(journal, account)).latched for account in (ACCOUNT, OTHER)])


async def test_the_doors_obstacle_is_stored_as_a_rejected_command(journal: Journal) -> None:
    """It has an event to be sent, changes no lock, is ended, and answers its own repetition."""
    command = make_command(ACCOUNT)
    rejection = Rejection(code=RejectCode.EXPIRED, message="too late")
    [outcome] = await journal.admit([admission(command, reject=rejection)])
    assert isinstance(outcome, Refused)
    assert outcome.rejection == rejection
    assert outcome.document["errors"] == [{"code": "EXPIRED", "message": "too late"}]
    found = await journal.find(command.command_id)
    assert found is not None
    assert found.state is CommandState.REJECTED
    assert [message.document for message in await journal.pending(10)] == [outcome.document]
    assert await journal.unfinished() == []
    assert not (await lock_of(journal)).locked
    assert await journal.admit([admission(command, reject=rejection)]) == [Duplicate(document=outcome.document)]


async def test_a_repetition_that_has_expired_meanwhile_still_gets_its_answer(journal: Journal) -> None:
    """The stored answer goes before the door's obstacle, whatever the age."""
    command = make_command(ACCOUNT)
    [first] = await journal.admit([admission(command)])
    assert isinstance(first, Admitted)
    late = admission(command, reject=Rejection(code=RejectCode.EXPIRED, message="too late"))
    assert await journal.admit([late]) == [Duplicate(document=first.documents[0])]


@pytest.mark.parametrize(
    ("code", "told"),
    [(RejectCode.EXPIRED, True), (RejectCode.FORBIDDEN, False), (RejectCode.UNKNOWN_ACCOUNT, False)],
)
async def test_who_may_not_command_an_account_is_not_told_its_lock(
    journal: Journal, code: RejectCode, told: bool
) -> None:
    """Only a reject of somebody entitled carries the lock."""
    command = make_command(ACCOUNT)
    [outcome] = await journal.admit([admission(command, reject=Rejection(code=code, message="no"))])
    assert isinstance(outcome, Refused)
    assert ("lock" in outcome.document) is told


@pytest.mark.parametrize("action", [Action.LOCK, Action.CLOSE_ALL, Action.FLATTEN])
@pytest.mark.parametrize(
    ("says", "default", "latched"), [(None, True, True), (None, False, False), (True, False, True)]
)
async def test_latch_or_hold(journal: Journal, action: Action, says: bool | None, default: bool, latched: bool) -> None:
    """The command's own word, else the account's default; LOCK always latches."""
    command = make_command(ACCOUNT, action, latch=says)
    await journal.admit([admission(command, latch=default)])
    lock = await lock_of(journal)
    assert lock.locked
    assert lock.latched is (latched or action is Action.LOCK)
    assert lock.holds == (frozenset() if lock.latched else {command.command_id})
    assert (lock.by, lock.reason, lock.epoch) == ("desk", action.value, 1)


async def test_without_a_configured_default_a_close_latches(journal: Journal) -> None:
    """The lock that stays is the safe one."""
    await journal.admit([replace(admission(make_command(ACCOUNT)), latch_by_default={})])
    assert (await lock_of(journal)).latched


async def test_a_drill_changes_no_lock(journal: Journal) -> None:
    """It is stored and runs, and that is all."""
    await journal.admit([admission(make_command(ACCOUNT, dry_run=True))])
    assert await journal.locks() == {}
    assert len(await journal.unfinished()) == 1


async def test_an_unlock_names_the_epoch_it_releases(journal: Journal) -> None:
    """The right one opens the lock and raises the epoch once more."""
    lock = make_command(ACCOUNT, Action.LOCK)
    await journal.admit([admission(lock)])
    await journal.record([reached(lock, CommandState.DONE)])
    stale, right = (make_command(ACCOUNT, Action.UNLOCK, epoch=epoch) for epoch in (0, 1))
    refused, admitted = await journal.admit([admission(stale), admission(right)])
    assert isinstance(refused, Refused)
    assert refused.rejection.code is RejectCode.STALE_EPOCH
    assert refused.document["lock"] == {"locked": True, "epoch": 1}
    assert isinstance(admitted, Admitted)
    assert admitted.documents[0]["lock"] == {"locked": False, "epoch": 2}
    assert (await lock_of(journal)).epoch == 2


async def test_a_lock_ahead_of_an_unlock_in_the_same_batch_wins(journal: Journal) -> None:
    """A late UNLOCK cannot undo a newer LOCK."""
    first = make_command(ACCOUNT, Action.LOCK)
    await journal.admit([admission(first)])
    await journal.record([reached(first, CommandState.DONE)])
    newer, unlock = make_command(ACCOUNT, Action.LOCK), make_command(ACCOUNT, Action.UNLOCK, epoch=1)
    _, refused = await journal.admit([admission(newer), admission(unlock)])
    assert isinstance(refused, Refused)
    assert (await lock_of(journal)).latched


@pytest.mark.parametrize("epoch", [0, 1])
async def test_an_unlock_is_busy_while_a_command_is_live(journal: Journal, epoch: int) -> None:
    """Whatever epoch it names; the lock stays, and the reject says how it stands."""
    command = make_command(ACCOUNT)
    await journal.admit([admission(command)])
    await journal.record([reached(command, CommandState.RUNNING)])
    [outcome] = await journal.admit([admission(make_command(ACCOUNT, Action.UNLOCK, epoch=epoch))])
    assert isinstance(outcome, Refused)
    assert outcome.rejection.code is RejectCode.BUSY
    assert outcome.document["lock"] == {"locked": True, "epoch": 1}
    assert (await lock_of(journal)).epoch == 1


async def test_neither_drills_nor_other_accounts_make_an_unlock_wait(journal: Journal) -> None:
    """Only a live command for the same account counts."""
    lock = make_command(ACCOUNT, Action.LOCK)
    await journal.admit([admission(lock), admission(make_command(OTHER))])
    await journal.record([reached(lock, CommandState.DONE)])
    await journal.admit([admission(make_command(ACCOUNT, dry_run=True))])
    [outcome] = await journal.admit([admission(make_command(ACCOUNT, Action.UNLOCK, epoch=1))])
    assert isinstance(outcome, Admitted)
    assert not (await lock_of(journal)).locked


async def test_an_unlock_drill_changes_nothing(journal: Journal) -> None:
    """It is accepted where the real one would be, and refused where that would be."""
    lock = make_command(ACCOUNT, Action.LOCK)
    await journal.admit([admission(lock)])
    await journal.record([reached(lock, CommandState.DONE)])
    drills = [make_command(ACCOUNT, Action.UNLOCK, epoch=epoch, dry_run=True) for epoch in (1, 7)]
    accepted, refused = await journal.admit([admission(drill) for drill in drills])
    assert isinstance(accepted, Admitted)
    assert isinstance(refused, Refused)
    assert await lock_of(journal) == replace(await lock_of(journal), epoch=1, latched=True)


async def test_an_unlock_for_many_is_refused(journal: Journal) -> None:
    """Even if a door let it through."""
    [outcome] = await journal.admit([for_many(make_command(None, Action.UNLOCK, epoch=0), [ACCOUNT])])
    assert isinstance(outcome, Refused)
    assert outcome.rejection.code is RejectCode.MALFORMED


async def test_states_are_recorded_in_order_with_rising_numbers(journal: Journal) -> None:
    """Each with its document; the newest is the command's."""
    command = make_command(ACCOUNT)
    await journal.admit([admission(command)])
    states = [CommandState.RUNNING, CommandState.INCOMPLETE, CommandState.RUNNING, CommandState.DONE]
    documents = await journal.record([reached(command, state) for state in states])
    assert [document["seq"] for document in documents] == [2, 3, 4, 5]
    assert (await journal.events(command.command_id))[1:] == documents
    assert await journal.events(command.command_id, after_seq=3) == documents[2:]
    found = await journal.find(command.command_id)
    assert found is not None
    assert (found.state, found.document) == (CommandState.DONE, documents[-1])


@pytest.mark.parametrize("keep_locked", [False, True])
async def test_an_ending_releases_its_hold_in_the_same_transaction(journal: Journal, keep_locked: bool) -> None:
    """Or turns it into a latch; the document already says so."""
    command = make_command(ACCOUNT)
    await journal.admit([admission(command, latch=False)])
    [done] = await journal.record([reached(command, CommandState.DONE, release=True, keep_locked=keep_locked)])
    lock = await lock_of(journal)
    assert (lock.locked, lock.latched, lock.holds, lock.epoch) == (keep_locked, keep_locked, frozenset(), 2)
    assert done["lock"] == {"locked": keep_locked, "epoch": 2}


async def test_releasing_one_hold_never_lifts_another_or_a_latch(journal: Journal) -> None:
    """The account stays locked until the last reason is gone."""
    first, second = make_command(ACCOUNT), make_command(ACCOUNT)
    await journal.admit([admission(first, latch=False), admission(second, latch=False)])
    await journal.record([reached(first, CommandState.DONE, release=True)])
    assert (await lock_of(journal)).holds == {second.command_id}
    await journal.admit([admission(make_command(ACCOUNT, Action.LOCK))])
    await journal.record([reached(second, CommandState.DONE, release=True)])
    assert (await lock_of(journal)).latched


@pytest.mark.parametrize("change", [None, LockChange(account_id=ACCOUNT)])
async def test_a_hold_that_its_ending_does_not_release_becomes_a_latch(
    journal: Journal, change: LockChange | None
) -> None:
    """No hold outlives its command: nobody could ever lift it."""
    command = make_command(ACCOUNT)
    await journal.admit([admission(command, latch=False)])
    [failed] = await journal.record([replace(reached(command, CommandState.FAILED), lock_change=change)])
    lock = await lock_of(journal)
    assert (lock.latched, lock.holds) == (True, frozenset())
    assert failed["lock"] == {"locked": True, "epoch": lock.epoch}


async def test_an_ended_command_takes_no_further_state(journal: Journal) -> None:
    """Endings are final, even for themselves."""
    command = make_command(ACCOUNT)
    await journal.admit([admission(command)])
    await journal.record([reached(command, CommandState.DONE)])
    for state in CommandState:
        with pytest.raises(IllegalTransition):
            await journal.record([reached(command, state)])
    assert len(await journal.events(command.command_id)) == 2


async def test_a_state_of_an_unknown_command_is_refused(journal: Journal) -> None:
    """There is nothing to hang it on."""
    with pytest.raises(IllegalTransition):
        await journal.record([reached(make_command(ACCOUNT), CommandState.RUNNING)])


@pytest.mark.parametrize("state", [CommandState.ACCEPTED, CommandState.REJECTED])
async def test_a_command_is_accepted_or_rejected_only_once(journal: Journal, state: CommandState) -> None:
    """Those states belong to the admission."""
    command = make_command(ACCOUNT)
    await journal.admit([admission(command)])
    with pytest.raises(IllegalTransition):
        await journal.record([reached(command, state)])


async def test_a_refused_record_stores_nothing_of_its_batch(journal: Journal) -> None:
    """All or none, locks and numbers included."""
    good, bad = make_command(ACCOUNT), make_command(OTHER)
    await journal.admit([admission(good, latch=False)])
    with pytest.raises(IllegalTransition):
        await journal.record([reached(good, CommandState.DONE, release=True), reached(bad, CommandState.DONE)])
    assert (await lock_of(journal)).holds == {good.command_id}
    [document] = await journal.record([reached(good, CommandState.RUNNING)])
    assert document["seq"] == 2


async def test_a_document_that_is_not_json_stores_nothing(journal: Journal) -> None:
    """The fault is the caller's, and the journal goes on."""

    def broken(_lock: AccountLock | None) -> Document:
        return {"latency": float("nan")}

    command = make_command(ACCOUNT)
    await journal.admit([admission(command)])
    with pytest.raises(ValueError, match="JSON"):
        await journal.record([reached(command, CommandState.DONE, document=broken)])
    assert journal.healthy
    [document] = await journal.record([reached(command, CommandState.DONE)])
    assert document["seq"] == 2


async def test_the_parents_events_have_no_lock(journal: Journal) -> None:
    """It belongs to no account."""
    parent = make_command(None)
    await journal.admit([for_many(parent, [ACCOUNT])])
    [document] = await journal.record([reached(parent, CommandState.DONE)])
    assert "lock" not in document


async def test_the_unfinished_are_found_oldest_first_and_counted(journal: Journal) -> None:
    """Parents and drills too; each look raises the attempt."""
    ended, parent, drill = make_command(ACCOUNT), make_command(None), make_command(ACCOUNT, dry_run=True)
    await journal.admit([admission(ended), for_many(parent, [OTHER]), admission(drill)])
    await journal.record([reached(ended, CommandState.FAILED), reached(parent, CommandState.RUNNING)])
    await journal.unfinished()
    found = await journal.unfinished()
    expected = [parent.command_id, parent.child(OTHER).command_id, drill.command_id]
    assert [stored.command.command_id for stored in found] == expected
    assert [stored.attempt for stored in found] == [2, 2, 2]
    assert [stored.state.value for stored in found] == ["running", "accepted", "accepted"]
    again = await journal.find(drill.command_id)
    assert again is not None
    assert again.attempt == 2


async def test_every_event_leaves_through_the_outbox_in_order(journal: Journal) -> None:
    """Once each is confirmed it is gone; what was not stays, with its reply address."""
    reply_to = ReplyTo(topic="sn/v1/acme/rsp/desk", correlation_data=b"7")
    commands = [make_command(ACCOUNT, reply_to=reply_to), make_command(OTHER)]
    await journal.admit([admission(command) for command in commands])
    await journal.record([reached(command, CommandState.DONE) for command in reversed(commands)])
    messages = await journal.pending(10)
    assert [message.seq for message in messages] == [1, 2, 3, 4]
    assert [message.document["seq"] for message in messages] == [1, 2, 3, 4]
    assert [message.reply_to for message in messages] == [reply_to, None, None, reply_to]
    assert [message.seq for message in await journal.pending(3)] == [1, 2, 3]
    await journal.published([3, 1])
    await journal.published([])
    assert [message.seq for message in await journal.pending(10)] == [2, 4]


async def test_an_empty_batch_is_nothing(journal: Journal) -> None:
    """No event, no number."""
    assert await journal.admit([]) == []
    assert await journal.record([]) == []
    assert await journal.pending(10) == []


async def test_numbers_given_out_elsewhere_are_not_given_out_again(journal: Journal) -> None:
    """What the engine had to number itself stays unique."""
    assert isinstance(journal, MemoryJournal | SqliteJournal)
    journal.advance_seq(40)
    [outcome] = await journal.admit([admission(make_command(ACCOUNT))])
    assert isinstance(outcome, Admitted)
    assert outcome.documents[0]["seq"] == 41


async def test_instants_are_kept_exactly(journal: Journal) -> None:
    """Microseconds and zone survive."""
    command = make_command(ACCOUNT)
    await journal.admit([admission(command)])
    found = await journal.find(command.command_id)
    assert found is not None
    assert found.command.issued_at == ISSUED_AT
    assert (await lock_of(journal)).since is not None


async def test_what_a_guard_keeps_replaces_what_it_kept(journal: Journal) -> None:
    """One document an account, whatever is in it."""
    assert await journal.guards() == {}
    await journal.keep_guard(ACCOUNT, {"since": None, "slices": {"linear": [["BTC/USDT:USDT", "long", "1.25"]]}})
    await journal.keep_guard(OTHER, {"since": "x"})
    await journal.keep_guard(ACCOUNT, {"since": "y"})
    assert await journal.guards() == {ACCOUNT: {"since": "y"}, OTHER: {"since": "x"}}


async def test_the_newest_drill_that_passed_is_remembered(journal: Journal) -> None:
    """Of each account and action; neither those that failed nor real commands nor drills of a lock."""
    sale = make_command(ACCOUNT, Action.FLATTEN, dry_run=True)
    first, second = (make_command(ACCOUNT, dry_run=True) for _ in range(2))
    failed, real, lock = (
        make_command(ACCOUNT, dry_run=True),
        make_command(OTHER),
        make_command(OTHER, Action.LOCK, dry_run=True),
    )
    await journal.admit([admission(command) for command in (sale, first, second, failed, real, lock)])
    await journal.record([reached(each, CommandState.DONE) for each in (sale, second)])
    await journal.record([reached(first, CommandState.DONE)])
    await journal.record([reached(failed, CommandState.FAILED), reached(real, CommandState.DONE)])
    await journal.record([reached(lock, CommandState.DONE)])
    found = await journal.last_drills()
    assert {of: document["command_id"] for of, document in found.items()} == {
        (ACCOUNT, Action.CLOSE_ALL): str(first.command_id),
        (ACCOUNT, Action.FLATTEN): str(sale.command_id),
    }


async def test_the_newest_drill_is_remembered_whatever_became_of_it(journal: Journal) -> None:
    """Of each account; neither live ones nor real commands nor drills of a lock."""
    passed, failed, live = (make_command(ACCOUNT, dry_run=True) for _ in range(3))
    real, lock = make_command(OTHER), make_command(OTHER, Action.LOCK, dry_run=True)
    await journal.admit([admission(command) for command in (failed, passed, live, real, lock)])
    await journal.record([reached(passed, CommandState.DONE), reached(failed, CommandState.FAILED)])
    await journal.record([reached(real, CommandState.DONE), reached(lock, CommandState.DONE)])
    found = await journal.newest_drills()
    assert {account: document["command_id"] for account, document in found.items()} == {ACCOUNT: str(failed.command_id)}


async def test_history_is_told_newest_first_and_page_by_page(journal: Journal) -> None:
    """Of one account or of all, each with its newest event and the door that it came by."""
    commands = [make_command(ACCOUNT if number % 2 else OTHER, door=Door.HTTP) for number in range(5)]
    for command in commands:
        await journal.admit([admission(command)])
    await journal.record([reached(commands[0], CommandState.DONE)])
    everything = await journal.history(None, before_seq=None, limit=10)
    assert [entry.document["command_id"] for entry in everything] == [str(each.command_id) for each in commands[::-1]]
    assert everything[-1].document["state"] == "done"
    assert {(entry.door, entry.received_at) for entry in everything} == {(Door.HTTP, commands[0].received_at)}
    first = await journal.history(OTHER, before_seq=None, limit=2)
    second = await journal.history(OTHER, before_seq=first[-1].first_seq, limit=2)
    told = [entry.document["command_id"] for entry in (*first, *second)]
    assert told == [str(commands[number].command_id) for number in (4, 2, 0)]


async def test_proofs_are_the_newest_real_closes_that_were_proven(journal: Journal) -> None:
    """Oldest first; no drill, no lock, nothing that failed, and no other account's."""
    closes = [make_command(ACCOUNT, Action.FLATTEN if number else Action.CLOSE_ALL) for number in range(3)]
    others = [
        make_command(ACCOUNT, dry_run=True),
        make_command(ACCOUNT, Action.LOCK),
        make_command(OTHER),
        failed := make_command(ACCOUNT),
    ]
    await journal.admit([admission(command) for command in (*closes, *others)])
    await journal.record([reached(each, CommandState.DONE) for each in (*closes, *others) if each is not failed])
    await journal.record([reached(failed, CommandState.FAILED)])
    told = [document["command_id"] for document in await journal.proofs(ACCOUNT, limit=2)]
    assert told == [str(each.command_id) for each in closes[1:]]


async def test_how_long_executions_took_is_remembered(journal: Journal) -> None:
    """By account and action, oldest first, the newest so many; neither drills nor locks nor what was not proven."""

    def took(proof_ms: float | None) -> Callable[[AccountLock | None], Document]:
        return lambda _lock: {"latency_ms": {"proof": proof_ms, "total": 1.0}}

    real = [make_command(ACCOUNT) for _ in range(4)]
    others = [
        make_command(ACCOUNT, Action.FLATTEN),
        make_command(OTHER),
        make_command(ACCOUNT, dry_run=True),
        make_command(ACCOUNT, Action.LOCK),
    ]
    unproven = make_command(ACCOUNT)
    await journal.admit([admission(command) for command in (*real, *others, unproven)])
    for number, command in enumerate([*real, *others]):
        await journal.record([reached(command, CommandState.DONE, document=took(100.5 + number))])
    await journal.record([reached(unproven, CommandState.FAILED, document=took(7))])
    assert await journal.proof_times_ms(3) == {
        (ACCOUNT, Action.CLOSE_ALL): [101.5, 102.5, 103.5],
        (ACCOUNT, Action.FLATTEN): [104.5],
        (OTHER, Action.CLOSE_ALL): [105.5],
    }


async def test_an_admission_that_is_rehearsed_leaves_nothing(journal: Journal) -> None:
    """No command, no lock, no event, and the next number is the next one."""
    rehearsed = make_command(ACCOUNT)
    await journal.rehearse(admission(rehearsed))
    assert await journal.find(rehearsed.command_id) is None
    assert await lock_of(journal) == AccountLock(account_id=ACCOUNT)
    assert await journal.pending(10) == []
    [outcome] = await journal.admit([admission(make_command(OTHER))])
    assert isinstance(outcome, Admitted)
    assert [document["seq"] for document in outcome.documents] == [1]
