"""From a message at the door to a durable command: what is stored, what is answered, when it is acknowledged."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4, uuid5

import pytest

from node.domain.command import Action, CommandState, Door, RejectCode, Request
from node.engine.authority import Issuer
from node.engine.ports import Junk, Rejection
from tests.support.deliveries import post_for
from tests.support.engine import ACCOUNT, OTHER, engine, request
from tests.support.fake_venue import LINEAR, FakeVenue, position
from tests.support.waiting import until

BTC = "BTC/USDT:USDT"
DESK = Issuer(id="desk", actions=frozenset(Action), accounts=None)
RIVAL = Issuer(id="rival", actions=frozenset(Action), accounts=None)
ONE = Issuer(id="one", actions=frozenset({Action.CLOSE_ALL}), accounts=frozenset({ACCOUNT}))


def signed(action: Action = Action.LOCK, account: UUID | None = ACCOUNT, *, age_s: float = 0, **changes: object) -> (
    Request
):  # fmt: skip
    """A request of the desk's, valid for a minute."""
    issued_at = datetime.now(UTC) - timedelta(seconds=age_s)
    fields: dict[str, object] = {
        "issuer": "desk",
        "door": Door.MQTT,
        "issued_at": issued_at,
        "expires_at": issued_at + timedelta(seconds=60),
    }
    return request(action, account, **{**fields, **changes})


class TestAcknowledgement:
    async def test_follows_the_commit_in_the_order_of_arrival(self) -> None:
        """Good commands, rejected ones and junk alike."""
        junk = Junk(code=RejectCode.BAD_SIGNATURE, message="not signed by desk")
        async with engine(FakeVenue(), issuers=(DESK,)) as node, post_for(node) as post:
            post.deliver("1", signed())
            post.deliver("2", junk)
            post.deliver("3", signed(Action.UNLOCK, epoch=99))
            post.deliver("4", signed())
            await post.until_acknowledged("1", "2", "3", "4")
            assert post.acknowledged == ["1", "2", "3", "4"]

    async def test_never_comes_before_the_commit(self) -> None:
        """While the transaction is under way nothing is acknowledged."""
        async with engine(FakeVenue(), issuers=(DESK,)) as node, post_for(node) as post:
            post.deliver("1", signed())
            await post.until_acknowledged("1")
            assert post.admissions_by_then == [1]
            assert node.journal.calls["admit"] == 1

    async def test_waits_for_orders_that_are_about_to_leave_and_the_command_does_not(self) -> None:
        """The broker is in no hurry."""
        async with engine(FakeVenue(), issuers=(DESK,)) as node, post_for(node) as post:
            departures = node.dispatcher.actors[ACCOUNT].context.departures
            locked = list[bool]()
            departures.announce(ACCOUNT, [LINEAR])
            post.deliver("1", signed())
            post.deliver("2", signed())
            await until(lambda: node.ledger.get(ACCOUNT).epoch == 2)
            locked.append(departures.pending(ACCOUNT, LINEAR))
            acknowledged_by_then = list(post.acknowledged)
            departures.left(ACCOUNT)
            await post.until_acknowledged("1", "2")
            assert (locked, acknowledged_by_then) == ([True], [])

    async def test_of_many_waits_for_one_transaction(self) -> None:
        """What waits together is written together."""
        async with engine(FakeVenue(), issuers=(DESK,)) as node, post_for(node) as post:
            names = [str(number) for number in range(20)]
            for name in names:
                post.deliver(name, signed())
            await post.until_acknowledged(*names)
            assert post.acknowledged == names
            assert node.journal.calls["admit"] < 3
            assert node.ledger.get(ACCOUNT).epoch == 20


class TestDuplicates:
    async def test_get_the_stored_answer_at_any_age(self) -> None:
        """Also long after the expiry: the newest event, and no second effect."""
        async with engine(FakeVenue(), issuers=(DESK,)) as node:
            first = signed()
            await node.desk.submit(first)
            ending = await node.ending(first.command_id)
            late = replace(first, issued_at=first.issued_at and first.issued_at - timedelta(days=800))
            late = replace(late, expires_at=late.issued_at and late.issued_at + timedelta(seconds=60))
            again = await node.desk.submit(late)
            assert again.duplicate
            assert again.rejection is None
            assert again.document == ending
            assert node.ledger.get(ACCOUNT).epoch == 1

    async def test_within_one_batch_have_one_effect(self) -> None:
        """The same message twice at once."""
        async with engine(FakeVenue(), issuers=(DESK,)) as node, post_for(node) as post:
            again = signed()
            post.deliver("1", again)
            post.deliver("2", again)
            await post.until_acknowledged("1", "2")
            assert node.ledger.get(ACCOUNT).epoch == 1

    async def test_are_told_to_the_broker_again(self) -> None:
        """The sender repeats itself because it has not seen the first answer."""
        async with engine(FakeVenue(), issuers=(DESK,)) as node, post_for(node) as post:
            again = signed()
            post.deliver("1", again)
            await post.until_acknowledged("1")
            post.deliver("2", again)
            await post.until_acknowledged("2")
            assert [document["command_id"] for document in node.published] == [str(again.command_id)]

    async def test_of_a_rejected_command_are_rejected_as_before(self) -> None:
        """An ending is an ending: it cannot become acceptable later."""
        async with engine(FakeVenue(), issuers=(DESK,)) as node:
            late = signed(Action.CLOSE_ALL, age_s=120)
            first = await node.desk.submit(late)
            again = await node.desk.submit(replace(late, issued_at=None, expires_at=None))
            assert first.rejection is not None
            assert again.document == first.document
            assert again.document["state"] == "rejected"


class TestConflict:
    @pytest.mark.parametrize(
        "change",
        [{"issuer": "rival"}, {"action": Action.CLOSE_ALL}, {"account_id": OTHER}, {"reason": "another"}],
        ids=["issuer", "action", "account", "parameters"],
    )
    async def test_an_id_used_for_something_else_discloses_nothing(self, change: dict[str, object]) -> None:
        """Neither the first command's state, nor the lock, nor who sent it."""
        async with engine(FakeVenue(), FakeVenue(), issuers=(DESK, RIVAL)) as node:
            first = signed(reason="the first one's secret")
            await node.desk.submit(first)
            await node.ending(first.command_id)
            stolen = replace(first, **change)  # type: ignore[arg-type]
            refused = await node.desk.submit(stolen)
            assert refused.rejection is not None
            assert refused.rejection.code is RejectCode.CONFLICT
            assert "lock" not in refused.document
            assert "secret" not in str({**refused.document, "reason": None})
            assert refused.document["issuer"] == stolen.issuer
            assert node.ledger.get(ACCOUNT).epoch == 1
            assert (await node.desk.result(first.command_id) or {})["state"] == "done"

    async def test_a_conflict_is_not_heard_by_who_follows_the_first_command(self) -> None:
        """The id's own events are another command's."""
        async with engine(FakeVenue(), issuers=(DESK, RIVAL)) as node:
            first = signed()
            await node.desk.submit(first)
            await node.ending(first.command_id)
            with node.inbox.bus.listen(first.command_id) as heard:
                await node.desk.submit(replace(first, issuer="rival"))
                assert heard.empty()


class TestJunk:
    async def test_is_counted_and_acknowledged_and_leaves_no_trace(self) -> None:
        """Nobody that we know signed it: it must neither fill the journal nor block the queue."""
        counted: list[RejectCode] = []
        async with engine(FakeVenue(), issuers=(DESK,)) as node, post_for(node) as post:
            node.inbox.observer.rejected = counted.append
            post.deliver("junk", Junk(code=RejectCode.BAD_SIGNATURE, message="forged"))
            await post.until_acknowledged("junk")
            assert node.journal.calls["admit"] == 0
            assert node.journal.rejects == []
            assert counted == [RejectCode.BAD_SIGNATURE]

    async def test_does_not_touch_the_next_good_command(self) -> None:
        """Which is carried out as if nothing had been before it."""
        async with engine(FakeVenue(), issuers=(DESK,)) as node, post_for(node) as post:
            good = signed()
            post.deliver("junk", Junk(code=RejectCode.MALFORMED, message="not a command"))
            post.deliver("good", good)
            await post.until_acknowledged("junk", "good")
            assert (await node.ending(good.command_id))["verdict"] == "locked"


class TestRejects:
    async def test_of_a_known_issuer_are_journaled(self) -> None:
        """With their code, as an event of their own."""
        counted: list[RejectCode] = []
        async with engine(FakeVenue(), issuers=(DESK, ONE)) as node:
            node.inbox.observer.rejected = counted.append
            forbidden = signed(Action.LOCK, issuer="one")
            answer = await node.desk.submit(forbidden)
            stored = await node.journal.find(forbidden.command_id)
            assert stored is not None
            assert stored.state is CommandState.REJECTED
            assert [each["code"] for each in stored.document["errors"]] == ["FORBIDDEN"]
            assert answer.document["state"] == "rejected"
            assert counted == [RejectCode.FORBIDDEN]

    async def test_of_one_copy_leave_the_id_free_for_the_genuine_one(self) -> None:
        """Who can copy an envelope and retain it must not have the command itself refused."""
        async with engine(FakeVenue(), issuers=(DESK,)) as node, post_for(node) as post:
            genuine = signed()
            rejection = Rejection(code=RejectCode.RETAINED, message="it would fire for ever")
            post.deliver("retained", (genuine, rejection))
            await post.until_acknowledged("retained")
            assert len(node.journal.rejects) == 1
            assert not node.ledger.get(ACCOUNT).locked
            post.deliver("genuine", genuine)
            await post.until_acknowledged("genuine")
            assert node.ledger.get(ACCOUNT).locked

    async def test_do_not_touch_the_next_good_command(self) -> None:
        """In one batch with it."""
        async with engine(FakeVenue(), issuers=(DESK,)) as node, post_for(node) as post:
            good = signed()
            post.deliver("late", signed(Action.CLOSE_ALL, age_s=120))
            post.deliver("good", good)
            await post.until_acknowledged("late", "good")
            assert (await node.ending(good.command_id))["verdict"] == "locked"

    async def test_of_a_stale_unlock_tell_the_epoch(self) -> None:
        """So that its sender can look again."""
        async with engine(FakeVenue(), issuers=(DESK,)) as node:
            await node.armed()
            await node.carried_out(Action.LOCK)
            await node.carried_out(Action.LOCK)
            answer = await node.desk.submit(signed(Action.UNLOCK, epoch=1))
            assert answer.rejection is not None
            assert answer.rejection.code is RejectCode.STALE_EPOCH
            assert answer.document["lock"] == {"locked": True, "epoch": 2}


class TestAll:
    async def test_is_expanded_into_a_child_for_each_account(self) -> None:
        """With ids that follow from the parent's and the account's."""
        async with engine(FakeVenue(), FakeVenue(), issuers=(DESK,)) as node:
            parent = signed(Action.LOCK, None)
            await node.desk.submit(parent)
            ending = await node.ending(parent.command_id)
            expected = {str(uuid5(parent.command_id, str(account))): str(account) for account in (ACCOUNT, OTHER)}
            assert {child["command_id"]: child["account_id"] for child in ending["children"]} == expected
            assert (ending["state"], ending["verdict"], ending["lock"]["locked"]) == ("done", "locked", True)
            assert all(node.ledger.get(account).locked for account in (ACCOUNT, OTHER))
            assert node.journal.calls["admit"] == 1

    async def test_reaches_only_the_issuers_own_accounts(self) -> None:
        """The others stay as they are."""
        async with engine(FakeVenue(), FakeVenue(), issuers=(ONE,)) as node:
            parent = signed(Action.CLOSE_ALL, None, issuer="one")
            await node.desk.submit(parent)
            ending = await node.ending(parent.command_id)
            assert [child["account_id"] for child in ending["children"]] == [str(ACCOUNT)]
            assert not node.ledger.get(OTHER).locked

    async def test_twice_is_answered_once_for_all(self) -> None:
        """The parent's newest event; no child begins again."""
        async with engine(FakeVenue(), FakeVenue(), issuers=(DESK,)) as node:
            parent = signed(Action.LOCK, None)
            await node.desk.submit(parent)
            ending = await node.ending(parent.command_id)
            assert (await node.desk.submit(parent)).document == ending
            assert [node.ledger.get(account).epoch for account in (ACCOUNT, OTHER)] == [1, 1]

    async def test_cannot_unlock(self) -> None:
        """Each account is opened by itself, by its own epoch."""
        async with engine(FakeVenue(), FakeVenue(), issuers=(DESK,)) as node:
            await node.armed()
            await node.carried_out(Action.LOCK)
            answer = await node.desk.submit(signed(Action.UNLOCK, None, epoch=1))
            assert answer.rejection is not None
            assert answer.rejection.code is RejectCode.MALFORMED
            assert node.ledger.get(ACCOUNT).locked

    async def test_with_no_account_in_reach_is_rejected(self) -> None:
        """Nothing would be done, and it must not be called done."""
        nobody = Issuer(id="nobody", actions=frozenset(Action), accounts=frozenset())
        async with engine(FakeVenue(), issuers=(nobody,)) as node:
            answer = await node.desk.submit(signed(Action.CLOSE_ALL, None, issuer="nobody"))
            assert answer.rejection is not None
            assert answer.rejection.code is RejectCode.UNKNOWN_ACCOUNT


class TestLatency:
    async def test_counts_from_the_socket_and_names_the_journals_share(self) -> None:
        """Transport is what passed since the sender's clock."""
        async with engine(FakeVenue(positions=[position(BTC, "1")]), issuers=(DESK,)) as node, post_for(node) as post:
            closing = signed(Action.CLOSE_ALL, age_s=0.25)
            post.deliver("1", closing)
            await post.until_acknowledged("1")
            latency = (await node.ending(closing.command_id))["latency_ms"]
            assert 200 <= latency["transport"] <= 1000
            assert all(latency[stage] is not None for stage in ("verify", "journal", "lock", "snapshot", "proof"))
            assert latency["total"] >= latency["proof"] >= latency["last_order"] >= latency["first_order"] > 0

    async def test_accepts_an_unknown_id_only_once(self) -> None:
        """Every submission is answered with how long it took."""
        async with engine(FakeVenue()) as node:
            answer = await node.submit(Action.LOCK, command_id=uuid4())
            assert answer.latency_ms > 0
            assert not answer.duplicate
