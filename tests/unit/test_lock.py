"""The lock of one account: holds, the latch, and the epoch that orders every change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from node.domain.command import Action, Command, Door
from node.domain.lock import AccountLock, StaleEpoch, after_admission

ACCOUNT = UUID(int=7)
NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
LATER = NOW + timedelta(seconds=5)
OPEN = AccountLock(account_id=ACCOUNT)


def command(action: Action, **changes: Any) -> Command:
    """A command of the desk's."""
    fields: dict[str, Any] = {
        "command_id": uuid4(),
        "account_id": ACCOUNT,
        "action": action,
        "issuer": "desk",
        "door": Door.MQTT,
        "issued_at": NOW,
        "received_at": NOW,
        "content_digest": "",
    }
    return Command(**{**fields, **changes})


def latched() -> AccountLock:
    """Locked until an UNLOCK, at epoch 1."""
    return OPEN.latch(by="desk", reason="drawdown", at=NOW)


class TestEpoch:
    def test_rises_when_a_latch_is_set_on_a_lock_that_is_latched_already(self) -> None:
        """A late UNLOCK of the first lock must not undo the second."""
        again = latched().latch(by="desk", reason="again", at=LATER)
        assert again.epoch == 2
        with pytest.raises(StaleEpoch):
            again.unlock(1, by="desk", reason=None, at=LATER)

    def test_rises_with_hold_release_and_unlock(self) -> None:
        """Every change has a number of its own."""
        held = OPEN.hold(UUID(int=1), by="desk", reason=None, at=NOW)
        released = held.release(UUID(int=1), keep_locked=False, at=LATER)
        locked = released.latch(by="desk", reason=None, at=LATER)
        unlocked = locked.unlock(3, by="desk", reason=None, at=LATER)
        assert [each.epoch for each in (held, released, locked, unlocked)] == [1, 2, 3, 4]

    def test_stays_when_nothing_changes(self) -> None:
        """An UNLOCK of what is open, or the release of a hold that is not there."""
        assert OPEN.unlock(0, by="desk", reason=None, at=NOW) is OPEN
        assert latched().release(UUID(int=1), keep_locked=True, at=NOW) == latched()

    def test_must_be_named_exactly_to_unlock(self) -> None:
        """Neither an older nor a future one will do."""
        for epoch in (0, 2):
            with pytest.raises(StaleEpoch):
                latched().unlock(epoch, by="desk", reason=None, at=LATER)
        assert not latched().unlock(1, by="desk", reason=None, at=LATER).locked


class TestHolds:
    def test_lock_for_the_length_of_their_commands(self) -> None:
        """Open again when the last has gone."""
        both = OPEN.hold(UUID(int=1), by="a", reason=None, at=NOW).hold(UUID(int=2), by="b", reason=None, at=NOW)
        one = both.release(UUID(int=1), keep_locked=False, at=LATER)
        none = one.release(UUID(int=2), keep_locked=False, at=LATER)
        assert (both.locked, one.locked, none.locked) == (True, True, False)
        assert (none.since, none.by) == (LATER, None)

    def test_become_a_latch_when_the_account_must_stay_locked(self) -> None:
        """Not proven flat: only a person may open it."""
        kept = OPEN.hold(UUID(int=1), by="a", reason="why", at=NOW).release(UUID(int=1), keep_locked=True, at=LATER)
        assert kept.latched
        assert kept.holds == frozenset()
        assert (kept.since, kept.by, kept.reason) == (NOW, "a", "why")

    def test_never_lift_a_latch_with_them(self) -> None:
        """Whatever order they came in."""
        after = latched().hold(UUID(int=1), by="a", reason=None, at=NOW).release(UUID(int=1), keep_locked=False, at=NOW)
        before = OPEN.hold(UUID(int=1), by="a", reason=None, at=NOW).latch(by="b", reason=None, at=NOW)
        assert after.latched
        assert before.release(UUID(int=1), keep_locked=False, at=LATER).latched

    def test_outlast_an_unlock(self) -> None:
        """Only the latch is lifted: the command under way still holds."""
        held = latched().hold(UUID(int=1), by="a", reason=None, at=NOW)
        assert held.unlock(2, by="b", reason=None, at=LATER).locked

    def test_tell_since_when_the_account_has_been_locked(self) -> None:
        """The first lock's instant, not the latest change's."""
        assert latched().hold(UUID(int=1), by="a", reason=None, at=LATER).since == NOW
        assert latched().latch(by="a", reason=None, at=LATER).since == NOW


class TestAdmission:
    def after(self, action: Action, *, lock: AccountLock = OPEN, default: bool = True, **changes: Any) -> AccountLock:
        """The lock once such a command is accepted."""
        return after_admission(lock, command(action, **changes), latch_by_default=default, at=NOW)

    @pytest.mark.parametrize("action", [Action.CLOSE_ALL, Action.FLATTEN])
    def test_of_a_close_locks_first_as_configured_or_as_it_says(self, action: Action) -> None:
        """Its own word overrides the account's configuration."""
        assert self.after(action).latched
        assert not self.after(action, default=False).latched
        assert self.after(action, default=False).locked
        assert self.after(action, default=False, latch=True).latched
        assert not self.after(action, default=True, latch=False).latched

    def test_of_a_lock_always_latches(self) -> None:
        """Whatever the configuration says about closes."""
        assert self.after(Action.LOCK, default=False).latched

    def test_of_an_unlock_lifts_the_latch_of_its_epoch(self) -> None:
        """And names who did it."""
        opened = self.after(Action.UNLOCK, lock=latched(), epoch=1, reason="clear")
        assert (opened.locked, opened.epoch, opened.by, opened.reason) == (False, 2, "desk", "clear")

    def test_of_an_unlock_without_an_epoch_opens_nothing(self) -> None:
        """It cannot know what it opens."""
        with pytest.raises(StaleEpoch):
            self.after(Action.UNLOCK, lock=latched())

    @pytest.mark.parametrize("action", [Action.CLOSE_ALL, Action.FLATTEN, Action.LOCK])
    def test_of_a_drill_changes_nothing(self, action: Action) -> None:
        """No lock, no epoch."""
        assert self.after(action, dry_run=True) is OPEN

    def test_of_an_unlock_drill_changes_nothing_but_judges_the_epoch(self) -> None:
        """A drill must fail where the real command would."""
        held = latched()
        assert self.after(Action.UNLOCK, lock=held, epoch=1, dry_run=True) is held
        with pytest.raises(StaleEpoch):
            self.after(Action.UNLOCK, lock=held, epoch=0, dry_run=True)

    def test_gives_the_action_as_the_reason_where_none_is_given(self) -> None:
        """A lock always says why."""
        assert self.after(Action.CLOSE_ALL).reason == "CLOSE_ALL"
        assert self.after(Action.CLOSE_ALL, reason="drawdown").reason == "drawdown"
