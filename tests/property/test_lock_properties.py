"""What must hold of a lock through any history of commands."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from node.domain.command import Action, Command, Door
from node.domain.lock import AccountLock, StaleEpoch, after_admission
from node.domain.result import decimal_text

NOW = datetime(2026, 11, 20, tzinfo=UTC)
ACCOUNT = UUID(int=7)

changes = st.lists(
    st.one_of(
        st.builds(
            lambda **fields: ("admit", fields),
            action=st.sampled_from(list(Action)),
            number=st.integers(0, 4),
            latch=st.sampled_from([None, True, False]),
            dry_run=st.booleans(),
            behind=st.integers(0, 2),
        ),
        st.builds(lambda **fields: ("release", fields), number=st.integers(0, 4), keep_locked=st.booleans()),
    ),
    max_size=30,
)


def admitted(lock: AccountLock, *, action: Action, number: int, latch: bool | None, dry_run: bool, behind: int) -> (
    AccountLock
):  # fmt: skip
    """The lock after a command, with an epoch that many behind."""
    command = Command(
        command_id=UUID(int=number),
        account_id=ACCOUNT,
        action=action,
        issuer="desk",
        door=Door.MQTT,
        latch=latch,
        dry_run=dry_run,
        epoch=lock.epoch - behind,
        issued_at=NOW,
        received_at=NOW,
        content_digest="",
    )
    return after_admission(lock, command, latch_by_default=True, at=NOW)


@given(changes)
def test_an_epoch_names_one_state_and_a_latch_goes_only_by_unlock(history: list[tuple[str, dict[str, Any]]]) -> None:
    """Every change raises it by one, nothing else does; drills change nothing; a stale UNLOCK opens nothing."""
    lock = AccountLock(account_id=ACCOUNT)
    for what, fields in history:
        before = lock
        try:
            if what == "admit":
                lock = admitted(lock, **fields)
            else:
                keep = fields["keep_locked"]
                lock = lock.release(UUID(int=fields["number"]), keep_locked=keep, at=NOW)
        except StaleEpoch:
            assert fields["behind"] > 0
            continue
        assert lock == before or lock.epoch == before.epoch + 1
        assert lock.locked == (lock.latched or bool(lock.holds))
        if fields.get("dry_run"):
            assert lock == before
        if before.latched and not lock.latched:
            assert fields.get("action") is Action.UNLOCK
            assert fields["behind"] == 0
        if what == "admit" and fields["action"] is not Action.UNLOCK and not fields["dry_run"]:
            assert lock.locked


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30))
def test_a_number_written_down_is_the_same_number(value: Any) -> None:
    """Exactly, without an exponent."""
    text = decimal_text(value)
    assert type(value)(text) == value
    assert not set(text) - set("-0123456789.")
    assert text == "0" or "." not in text or not text.endswith("0")
