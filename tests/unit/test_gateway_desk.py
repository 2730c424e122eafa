"""The gateway's desk on the in-memory broker: what it sends, when it stops, and what it takes for an answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from node.domain.command import Action, Door, RejectCode
from node.domain.result import instant_text
from node.errors import NotAvailable, NotConfirmed
from node.gateway.sent import SentCommand
from node.transport.issuer_key import IssuerKey
from node.transport.memory import MemoryBroker
from tests.support.gateway_parts import ACCOUNT, RESPONSES, TOPICS, Parts, gateway_parts, request
from tests.support.waiting import until


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Parts]:
    """One account at one node."""
    async with gateway_parts(tmp_path) as parts:
        yield parts


async def test_a_command_is_signed_as_it_was_asked_and_answered_with_the_nodes_word(gateway: Parts) -> None:
    """Its id is the request's; its issuer the gateway's; what the node says comes back."""
    asked = request(Action.CLOSE_ALL, symbols=("BTC/USDT",), latch=False, reason="because")
    submission = await gateway.desk.submit(asked)
    (signed,) = gateway.node.heard
    assert (signed.command_id, signed.issuer, signed.account) == (asked.command_id, "gateway", ACCOUNT)
    assert (signed.symbols, signed.latch, signed.reason) == (("BTC/USDT",), False, "because")
    assert signed.content_digest == asked.content_digest
    assert (signed.expires_at - signed.issued_at).total_seconds() == 60
    assert (submission.document["state"], submission.document["node_id"]) == ("accepted", "node-1")
    assert submission.rejection is None


async def test_a_command_is_on_disk_before_it_is_sent(gateway: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the disk takes its time over one, that one does not leave."""
    slow, quick = request(), request()
    writing, written = asyncio.Event(), asyncio.Event()
    add = gateway.store.add

    async def slowly(sent: SentCommand) -> SentCommand | None:
        if sent.command_id == slow.command_id:
            writing.set()
            await written.wait()
        return await add(sent)

    monkeypatch.setattr(gateway.store, "add", slowly)
    submitting = asyncio.create_task(gateway.desk.submit(slow))
    await writing.wait()
    await gateway.desk.submit(quick)
    assert [signed.command_id for signed in gateway.node.heard] == [quick.command_id]
    written.set()
    await submitting
    assert [signed.command_id for signed in gateway.node.heard] == [quick.command_id, slow.command_id]


async def test_an_envelope_is_repeated_byte_by_byte_until_a_node_answers_and_not_after(gateway: Parts) -> None:
    """Silence, one repetition later an answer."""
    gateway.node.script = []
    asked = request()
    with pytest.raises(NotConfirmed) as raised:
        await gateway.desk.submit(asked)
    assert raised.value.command_id == asked.command_id
    gateway.node.script = ["accepted"]
    await until(lambda: len(gateway.node.heard) > 1)
    assert {signed.envelope for signed in gateway.node.heard} == {gateway.node.heard[0].envelope}
    await until(lambda: not gateway.courier.carries(asked.command_id))
    heard = len(gateway.node.heard)
    gateway.courier.stir()
    await gateway.desk.submit(request())  # whatever was still to come, came before this
    assert len(gateway.node.heard) == heard + 1
    document = await gateway.desk.result(asked.command_id)
    assert document is not None
    assert document["state"] == "accepted"


async def test_an_envelope_is_not_repeated_once_it_has_expired(tmp_path: Path) -> None:
    """Nor is the same command sent again under its id: the caller is told that it expired."""
    async with gateway_parts(tmp_path, lifetime_s=1.0) as gateway:
        gateway.node.script = []
        asked = request(Action.CLOSE_ALL)
        with pytest.raises(NotConfirmed, match="may be carried out"):
            await gateway.desk.submit(asked)
        await until(lambda: not gateway.courier.carries(asked.command_id))
        heard = len(gateway.node.heard)
        gateway.courier.stir()
        gateway.exchange.connection(True)
        with pytest.raises(NotConfirmed, match="it expired"):
            await gateway.desk.submit(asked)
        assert len(gateway.node.heard) == heard


async def test_what_expired_unconfirmed_is_asked_after_when_no_node_could_take_it_for_valid(tmp_path: Path) -> None:
    """A node that has it says what became of it, any other that it is too late. An UNLOCK is not even asked after."""
    async with gateway_parts(tmp_path, lifetime_s=1.0) as gateway:
        gateway.node.script = []
        kill, unlock = request(Action.CLOSE_ALL), request(Action.UNLOCK, epoch=3)
        for asked in (kill, unlock):
            with pytest.raises(NotConfirmed):
                await gateway.desk.submit(asked)
        await until(lambda: not any(gateway.courier.carries(asked.command_id) for asked in (kill, unlock)))
        for seconds, expected in ((50, []), (70, [kill.command_id])):
            gateway.node.heard.clear()
            gateway.clock.shift = timedelta(seconds=seconds)
            gateway.exchange.connection(True)
            with pytest.raises(NotConfirmed):
                await gateway.desk.submit(request(Action.LOCK))  # what was asked, was asked before this
            heard = [signed.command_id for signed in gateway.node.heard if signed.action is not Action.LOCK]
            assert heard == expected
        await gateway.node.say(kill.command_id, "rejected", action="CLOSE_ALL", code="EXPIRED")
        submission = await gateway.desk.submit(kill)
        assert submission.rejection is not None
        assert submission.rejection.code is RejectCode.EXPIRED


async def test_a_refusal_of_the_node_is_the_answer(gateway: Parts) -> None:
    """With its code."""
    gateway.node.script = []
    asked = request(Action.UNLOCK, epoch=4)
    submitting = asyncio.create_task(gateway.desk.submit(asked))
    await gateway.node.arrived.wait()
    await gateway.node.say(asked.command_id, "rejected", action="UNLOCK", code="STALE_EPOCH")
    submission = await submitting
    assert submission.rejection is not None
    assert submission.rejection.code is RejectCode.STALE_EPOCH


async def test_the_answer_of_another_node_is_waited_for(gateway: Parts) -> None:
    """UNKNOWN_ACCOUNT is said by every node that has not the account; the message names it if nobody else speaks."""
    gateway.node.script = []
    asked = request()
    submitting = asyncio.create_task(gateway.desk.submit(asked))
    await gateway.node.arrived.wait()
    await gateway.node.say(asked.command_id, "rejected", code="UNKNOWN_ACCOUNT")
    with pytest.raises(NotConfirmed, match="node-1 does not have the account"):
        await submitting


async def test_what_anybody_could_have_written_is_not_an_answer(gateway: Parts) -> None:
    """Junk, a stored event, another command's topic, a refusal of one copy: none is believed, none ends us."""
    gateway.node.script = []
    asked = request()
    submitting = asyncio.create_task(gateway.desk.submit(asked))
    await gateway.node.arrived.wait()
    topic = TOPICS.event(ACCOUNT, asked.command_id)
    for payload in (b"", b"garbage", b"[]", b"{}", b'{"schema":"sovereign-node/result/1"}', b"\xff", b"[" * 100_000):
        await gateway.node.transport.publish(topic, payload)
        await gateway.node.transport.publish(TOPICS.lock(ACCOUNT), payload)
        await gateway.node.transport.publish(TOPICS.status("node-1"), payload)
    await gateway.node.say(asked.command_id, "done", retain=True)
    await gateway.node.say(asked.command_id, "done", topic=TOPICS.event(ACCOUNT, uuid4()))
    await gateway.node.say(asked.command_id, "done", topic=TOPICS.event(uuid4(), asked.command_id))
    await gateway.node.say(asked.command_id, "done", action="FLATTEN")
    await gateway.node.say(asked.command_id, "rejected", topic=RESPONSES, code="RETAINED", reason="CONFLICT")
    with pytest.raises(NotConfirmed):
        await submitting
    assert len(gateway.junk) == 7 * 3 + 3
    gateway.node.script = ["done"]
    assert (await gateway.desk.submit(request())).document["state"] == "done"


@pytest.mark.parametrize("value", ['"\\ud800"', "1e999", "[" * 200 + "]" * 200, '{"\\ud800": 1}'])
async def test_what_cannot_be_told_on_is_not_taken_in(gateway: Parts, value: str) -> None:
    """JSON has words for what no JSON can be made of again: one such document would make an error of every answer."""
    asked = request()
    submission = await gateway.desk.submit(asked)
    now = instant_text(datetime.now(UTC))
    status = f'{{"node_id": "node-1", "state": "online", "at": "{now}", "accounts": [], "version": {value}}}'
    lease = instant_text(datetime.now(UTC) + timedelta(seconds=9))
    lock = json.dumps(
        {"schema": "sovereign-node/lock/1", "node_id": "n", "account_id": str(ACCOUNT), "locked": True, "epoch": 1}
    ).replace('"epoch": 1', f'"epoch": 1, "valid_until": "{lease}", "by": {value}')
    event = json.dumps(submission.document | {"node_id": "other", "x": 0}).replace('"x": 0', f'"x": {value}')
    await gateway.node.transport.publish(TOPICS.status("node-1"), status.encode())
    await gateway.node.transport.publish(TOPICS.lock(ACCOUNT), lock.encode())
    await gateway.node.transport.publish(TOPICS.event(ACCOUNT, asked.command_id), event.encode())
    assert (await gateway.desk.submit(request())).document["state"] == "accepted"
    assert len(gateway.junk) == 3


async def test_a_conflict_at_the_node_comes_by_the_response_topic_alone(gateway: Parts) -> None:
    """The id's own events are another command's."""
    gateway.node.script = []
    asked = request()
    submitting = asyncio.create_task(gateway.desk.submit(asked))
    await gateway.node.arrived.wait()
    await gateway.node.say(asked.command_id, "rejected", topic=RESPONSES, code="CONFLICT")
    submission = await submitting
    assert submission.rejection is not None
    assert submission.rejection.code is RejectCode.CONFLICT


async def test_an_id_belongs_to_who_used_it_first(gateway: Parts) -> None:
    """The same again is the stored answer; anybody else, or anything else, is a conflict, and nothing is sent."""
    asked = request()
    first = await gateway.desk.submit(asked)
    again = await gateway.desk.submit(asked)
    assert (again.duplicate, again.document) == (True, first.document)
    for other in (
        request(command_id=asked.command_id, issuer="somebody"),
        request(Action.FLATTEN, command_id=asked.command_id),
    ):
        refused = await gateway.desk.submit(other)
        assert refused.rejection is not None
        assert refused.rejection.code is RejectCode.CONFLICT
    assert len(gateway.node.heard) == 1


async def test_two_at_once_with_one_id_are_one_command(gateway: Parts) -> None:
    """Both get the node's answer."""
    asked = request()
    both = await asyncio.gather(gateway.desk.submit(asked), gateway.desk.submit(asked))
    assert sorted(submission.duplicate for submission in both) == [False, True]
    assert both[0].document == both[1].document
    assert len(gateway.node.heard) == 1


async def test_what_this_gateway_does_not_know_is_not_sent(gateway: Parts) -> None:
    """Nor is a forced UNLOCK: the envelope has no word for it."""
    unknown = await gateway.desk.submit(request(account_id=uuid4()))
    forced = await gateway.desk.submit(request(Action.UNLOCK, epoch=1, force=True, reason="so"))
    assert unknown.rejection is not None
    assert unknown.rejection.code is RejectCode.UNKNOWN_ACCOUNT
    assert forced.rejection is not None
    assert forced.rejection.code is RejectCode.FORBIDDEN
    assert gateway.node.heard == []
    assert await gateway.desk.result(uuid4()) is None


async def test_abort_and_the_guard_are_not_available(gateway: Parts) -> None:
    """There is no message for them."""
    with pytest.raises(NotAvailable):
        await gateway.desk.abort(uuid4(), by="operator", reason=None)
    with pytest.raises(NotAvailable):
        await gateway.desk.set_guard(ACCOUNT, "off")  # type: ignore[arg-type]


async def test_followers_see_every_event_once_in_order_up_to_the_ending(gateway: Parts) -> None:
    """Also one who follows before any node has answered, and one who comes after the end."""
    gateway.node.script = []
    asked = request()
    submitting = asyncio.create_task(gateway.desk.submit(asked))
    await gateway.node.arrived.wait()

    async def states() -> list[str]:
        return [document["state"] async for document in gateway.desk.follow(asked.command_id)]

    early = asyncio.create_task(states())
    await asyncio.sleep(0)
    for state in ("accepted", "running", "done"):
        await gateway.node.say(asked.command_id, state)
    assert (await submitting).document["state"] in ("accepted", "running", "done")
    assert (await early)[-1] == "done"
    await gateway.exchange.flush()
    assert await states() == ["accepted", "running", "done"]


async def test_with_its_own_disk_away_a_kill_is_sent_and_an_unlock_is_not(gateway: Parts) -> None:
    """Toward flat: the node's journal has the command; nothing that adds risk goes out unrecorded."""
    database = gateway.store._database
    await database.close()
    submission = await gateway.desk.submit(request())
    assert (submission.rejection, submission.document["state"]) == (None, "accepted")
    again = await gateway.desk.submit(request(command_id=gateway.node.heard[0].command_id))
    assert (again.duplicate, again.document) == (True, submission.document)
    refused = await gateway.desk.submit(request(Action.UNLOCK, epoch=1))
    assert refused.rejection is not None
    assert refused.rejection.code is RejectCode.NOT_READY
    assert len(gateway.node.heard) == 1
    await database.open()
    await gateway.exchange.flush()
    remembered = await gateway.store.find(gateway.node.heard[0].command_id)
    assert remembered is not None
    assert remembered[1] == [submission.document]


async def test_the_next_run_goes_on_with_what_was_not_confirmed_and_asks_after_what_has_not_ended(
    tmp_path: Path,
) -> None:
    """The same envelopes; what has ended is left alone."""
    broker, key = MemoryBroker(), IssuerKey.generate("gateway")
    async with gateway_parts(tmp_path, broker=broker, key=key) as first:
        first.node.script = ["accepted", "done"]
        ended = request()
        await first.desk.submit(ended)
        first.node.script = ["accepted"]
        accepted = request()
        await first.desk.submit(accepted)
        first.node.script = []
        silent = request()
        with pytest.raises(NotConfirmed):
            await first.desk.submit(silent)
        envelopes = {signed.command_id: signed.envelope for signed in first.node.heard}
    async with gateway_parts(tmp_path, broker=broker, key=key) as second:
        await until(
            lambda: {signed.command_id for signed in second.node.heard} >= {accepted.command_id, silent.command_id}
        )
        assert all(signed.envelope == envelopes[signed.command_id] for signed in second.node.heard)
        assert ended.command_id not in {signed.command_id for signed in second.node.heard}
        stored = await second.desk.result(ended.command_id)
        assert stored is not None
        assert stored["state"] == "done"


async def test_a_command_for_all_is_confirmed_by_every_accounts_node(gateway: Parts) -> None:
    """Sent once, to the topic of all; each account answers under an id of its own."""
    gateway.node.script = []
    asked = request(account_id=None)
    submitting = asyncio.create_task(gateway.desk.submit(asked))
    await gateway.node.arrived.wait()
    (signed,) = gateway.node.heard
    assert signed.account == "*"
    conversation = gateway.exchange.conversation(asked.command_id)
    assert conversation is not None
    (child_id,) = conversation.sent.children.values()
    await gateway.node.say(child_id, "done")
    submission = await submitting
    assert (submission.document["account_id"], submission.document["verdict"]) == ("*", "locked")
    assert (await gateway.desk.result(child_id) or {})["command_id"] == str(child_id)


async def test_a_key_commands_the_accounts_of_its_owner_and_learns_of_no_other(gateway: Parts) -> None:
    """Another owner's account is as unknown as one that nobody has, word for word; for all there is no key."""
    own = await gateway.keyring.create("acme")
    strange = await gateway.keyring.create("other")
    assert (await gateway.desk.submit(request(issuer=own.key.issuer, door=Door.HTTP))).rejection is None
    answers = [
        (await gateway.desk.submit(request(issuer=strange.key.issuer, door=Door.HTTP, account_id=account))).rejection
        for account in (ACCOUNT, uuid4())
    ]
    assert answers[0] is not None
    assert answers[0].code is RejectCode.UNKNOWN_ACCOUNT
    assert answers[0] == answers[1]
    everything = await gateway.desk.submit(request(issuer=own.key.issuer, door=Door.HTTP, account_id=None))
    assert everything.rejection is not None
    assert everything.rejection.code is RejectCode.FORBIDDEN
    assert len(gateway.node.heard) == 1


async def test_a_key_that_was_revoked_meanwhile_commands_nothing(gateway: Parts) -> None:
    """Recognised at the door, ended before its turn."""
    made = await gateway.keyring.create("acme")
    await gateway.keyring.revoke(made.key.id)
    refused = await gateway.desk.submit(request(issuer=made.key.issuer, door=Door.HTTP))
    assert refused.rejection is not None
    assert refused.rejection.code is RejectCode.UNKNOWN_ISSUER
    assert gateway.node.heard == []
