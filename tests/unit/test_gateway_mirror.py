"""Locks as a gateway may tell them: renewed before its eyes, within the lease, or unknown, which means locked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from node.domain.result import Document, instant_text
from node.gateway.answers import NotUnderstood
from node.gateway.mirror import Mirror

ACCOUNT = uuid4()


class Clock:
    """Stands still until told."""

    def __init__(self) -> None:
        self.wall = datetime(2026, 11, 20, 10, tzinfo=UTC)
        self.ns = 1_000_000_000_000

    def now(self) -> datetime:
        return self.wall

    def monotonic_ns(self) -> int:
        return self.ns

    def boottime_ns(self) -> int:
        return self.ns

    def advance(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.ns += int(seconds * 1e9)


@pytest.fixture
def clock() -> Clock:
    """Of the gateway."""
    return Clock()


@pytest.fixture
def mirror(clock: Clock) -> Mirror:
    """Of one account."""
    return Mirror([ACCOUNT], clock, boot_id="here")


def lock(clock: Clock, *, locked: bool = False, epoch: int = 4, age_s: float = 0.0, **fields: Any) -> Document:
    """As a node publishes it."""
    return {
        "schema": "sovereign-node/lock/1",
        "node_id": "node-1",
        "account_id": str(ACCOUNT),
        "locked": locked,
        "epoch": epoch,
        "since": None,
        "by": None,
        "reason": None,
        "valid_until": instant_text(clock.wall + timedelta(seconds=10 - age_s)),
        "boot_id": "there",
        "valid_until_boottime_ns": 5,
        **fields,
    }


def hear_twice(mirror: Mirror, clock: Clock, **fields: Any) -> None:
    """The stored word, and a renewal three seconds later."""
    mirror.hear_lock(ACCOUNT, lock(clock, **fields))
    clock.advance(3)
    mirror.hear_lock(ACCOUNT, lock(clock, **fields))


class TestLocks:
    def test_nothing_heard_is_locked_and_says_that_it_is_not_known(self, mirror: Mirror) -> None:
        document = mirror.lock(ACCOUNT)
        assert (document["locked"], document["known"]) == (True, False)

    def test_a_stored_word_alone_is_not_believed(self, mirror: Mirror, clock: Clock) -> None:
        """It may be as old as the node is dead, and our clock as wrong."""
        mirror.hear_lock(ACCOUNT, lock(clock))
        assert mirror.lock(ACCOUNT)["locked"] is True
        mirror.hear_lock(ACCOUNT, lock(clock))  # the same again is no renewal
        assert mirror.lock(ACCOUNT)["locked"] is True

    def test_a_renewed_lock_is_told_with_a_lease_by_this_machines_clock(self, mirror: Mirror, clock: Clock) -> None:
        hear_twice(mirror, clock)
        document = mirror.lock(ACCOUNT)
        assert (document["locked"], document["epoch"]) == (False, 4)
        assert document["boot_id"] == "here"
        assert document["valid_until_boottime_ns"] == clock.ns + 10_000_000_000

    def test_the_lease_runs_out(self, mirror: Mirror, clock: Clock) -> None:
        hear_twice(mirror, clock)
        clock.advance(9.9)
        assert mirror.lock(ACCOUNT)["locked"] is False
        clock.advance(0.2)
        document = mirror.lock(ACCOUNT)
        assert (document["locked"], document["known"], document["epoch"]) == (True, False, 4)

    def test_a_wall_clock_that_is_ahead_of_the_nodes_makes_it_unknown(self, mirror: Mirror, clock: Clock) -> None:
        hear_twice(mirror, clock, age_s=12)
        assert mirror.lock(ACCOUNT)["locked"] is True

    def test_a_wall_clock_that_steps_back_cannot_keep_a_dead_word_alive(self, mirror: Mirror, clock: Clock) -> None:
        hear_twice(mirror, clock)
        clock.advance(11)
        clock.wall -= timedelta(hours=1)
        assert mirror.lock(ACCOUNT)["locked"] is True

    def test_what_was_heard_before_a_break_does_not_vouch_for_what_comes_after(
        self, mirror: Mirror, clock: Clock
    ) -> None:
        """The broker's stored word is newer than ours, and its node may have died since."""
        hear_twice(mirror, clock)
        mirror.connection_lost()
        assert mirror.lock(ACCOUNT)["locked"] is True
        clock.advance(1)
        mirror.hear_lock(ACCOUNT, lock(clock))
        assert mirror.lock(ACCOUNT)["locked"] is True
        clock.advance(3)
        mirror.hear_lock(ACCOUNT, lock(clock))
        assert mirror.lock(ACCOUNT)["locked"] is False

    def test_an_older_word_does_not_replace_a_newer_one(self, mirror: Mirror, clock: Clock) -> None:
        hear_twice(mirror, clock, locked=True, epoch=5)
        mirror.hear_lock(ACCOUNT, lock(clock, locked=False, epoch=4, age_s=2))
        assert mirror.lock(ACCOUNT)["epoch"] == 5

    def test_of_two_nodes_that_claim_an_account_the_one_that_says_locked_counts(
        self, mirror: Mirror, clock: Clock
    ) -> None:
        hear_twice(mirror, clock)
        hear_twice(mirror, clock, node_id="node-2", locked=True, epoch=1)
        assert mirror.lock(ACCOUNT)["locked"] is True

    @pytest.mark.parametrize(
        "broken",
        [
            {"schema": "x"},
            {"account_id": str(UUID(int=7))},
            {"locked": "no"},
            {"epoch": True},
            {"valid_until": "soon"},
            {"valid_until": "2026-11-20T10:00:10.000"},
        ],
        ids=str,
    )
    def test_what_is_no_lock_document_is_refused(self, mirror: Mirror, clock: Clock, broken: Document) -> None:
        with pytest.raises(NotUnderstood):
            mirror.hear_lock(ACCOUNT, lock(clock) | broken)


class TestNodes:
    def test_a_node_is_there_while_it_speaks_and_gone_with_its_will(self, mirror: Mirror, clock: Clock) -> None:
        account = {"id": str(ACCOUNT), "state": "armed"}
        online = {"node_id": "node-1", "state": "online", "at": instant_text(clock.wall), "accounts": [account]}
        assert mirror.hear_status("node-1", online)
        assert mirror.account(ACCOUNT) == {"node_id": "node-1", "at": online["at"], **account}
        clock.advance(41)
        assert mirror.account(ACCOUNT) is None
        assert not mirror.hear_status("node-1", online)  # stored, and too old
        assert mirror.nodes()[0]["state"] == "unknown"
        assert mirror.hear_status("node-1", online | {"at": instant_text(clock.wall)})
        assert not mirror.hear_status("node-1", {"node_id": "node-1", "state": "offline"})
        assert mirror.account(ACCOUNT) is None

    def test_a_node_speaks_for_itself_only(self, mirror: Mirror) -> None:
        with pytest.raises(NotUnderstood):
            mirror.hear_status("node-1", {"node_id": "node-2", "state": "online"})
