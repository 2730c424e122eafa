"""Several nodes on one broker: who answers, what a sender waits for, and what it makes of several answers."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from time import monotonic_ns
from typing import Any
from uuid import UUID, uuid4

import pytest

from node.cli import main
from node.commands.send_mqtt import together
from node.domain.command import Action, RejectCode, Request
from node.engine.ports import Delivery, Junk, Rejection
from node.observe.metrics import Metrics
from node.secrets import Secrets
from node.settings import parse
from node.transport.envelope import sign_command
from node.transport.issuer_key import IssuerKey
from node.transport.memory import MemoryBroker, MemoryTransport
from node.transport.sender import Outgoing, Sender
from node.transport.topics import AccountTarget, Topics
from node.wiring import broker
from tests.support.keyring import make_keyring
from tests.support.waiting import until

OURS, OURS_TOO, THEIRS = UUID(int=1), UUID(int=2), UUID(int=3)
TOPICS = Topics("acme")
DESK, NIGHT = IssuerKey.generate("desk"), IssuerKey.generate("night")


def opened(
    account: AccountTarget, *, shared: bool, key: IssuerKey = DESK
) -> Request | Junk | tuple[Request, Rejection]:
    """What becomes of a signed LOCK at the door of a node that has two accounts; `night` may command the second."""
    account_of = {"owner": "acme", "exchange": "binance", "permission": "close", "base_currency": "USDT"}
    credentials = {"apiKey": {"credential": "k"}}
    settings = parse(
        {
            "node": {"id": "node-1", "tenant": "acme", "state_dir": "s", "runtime_dir": "r"},
            "mqtt": {"url": "mqtt://127.0.0.1:1883", "shared": shared},
            "owners": [{"id": "acme"}],
            "issuers": [
                {"id": "desk", "public_key": DESK.public_key, "actions": ["LOCK"], "accounts": ["*"]},
                {"id": "night", "public_key": NIGHT.public_key, "actions": ["LOCK"], "accounts": [str(OURS_TOO)]},
                {"id": "idle", "public_key": IDLE.public_key, "actions": ["LOCK"], "accounts": ["*"]},
            ],
            "accounts": [
                {"id": str(each), "name": f"a{number}", "credentials": credentials, **account_of}
                for number, each in enumerate((OURS, OURS_TOO))
            ],
        }
    )
    now = datetime.now(UTC)
    payload = sign_command(
        key,
        tenant="acme",
        command_id=uuid4(),
        account=account,
        action=Action.LOCK,
        issued_at=now,
        expires_at=now + timedelta(seconds=30),
    )
    delivery = Delivery(
        topic=TOPICS.command(account),
        payload=payload,
        retained=False,
        response_topic=None,
        correlation_data=None,
        received_ns=monotonic_ns(),
        acknowledge=_nothing,
    )
    return broker.gatekeeper(settings, TOPICS, broker.authority(settings, [], make_keyring()))(delivery)


IDLE = IssuerKey.generate("idle")


async def _nothing() -> None:
    return None


class TestWhoAnswers:
    def test_alone_a_node_answers_for_accounts_that_nobody_has(self) -> None:
        """As UNKNOWN_ACCOUNT: its sender must learn that nothing is protected."""
        assert isinstance(opened(THEIRS, shared=False), Request)

    def test_on_a_shared_broker_it_leaves_them_to_other_nodes(self) -> None:
        """Without a word to anybody: no issuer is named, so nothing is journaled, and nothing is answered."""
        left = opened(THEIRS, shared=True)
        assert left == Junk(code=RejectCode.UNKNOWN_ACCOUNT, message="left to other nodes")

    @pytest.mark.parametrize("account", [OURS, "*"])
    def test_it_answers_for_its_own(self, account: AccountTarget) -> None:
        """Also where an issuer may not command them: that is a refusal to be told."""
        for key in (DESK, NIGHT):
            assert isinstance(opened(account, shared=True, key=key), Request)

    def test_filters_are_its_own_and_do_not_overlap(self) -> None:
        """The one for everything, of an earlier configuration, goes."""
        metrics = Metrics("1")
        settings = parse(
            {
                "node": {"id": "node-1", "tenant": "acme", "state_dir": "s", "runtime_dir": "r"},
                "mqtt": {"url": "mqtt://127.0.0.1:1883", "shared": True},
            }
        )
        transport = broker.transport(settings, Secrets({}), TOPICS, metrics)
        assert transport is not None
        assert transport._options.subscriptions == ("sn/v1/acme/cmd/_all",)
        assert transport._options.unsubscriptions == ("sn/v1/acme/cmd/+",)


def event(node: str, seq: int, state: str = "done", **changed: Any) -> dict[str, Any]:
    """What a node tells of a command."""
    return {"node_id": node, "seq": seq, "state": state, "verdict": "locked", "children": [{"of": node}], **changed}


async def heard(nodes: int, *events: dict[str, Any]) -> list[tuple[str, int]]:
    """Which of these documents a sender to all yields before it is content."""
    broker, topic = MemoryBroker(), f"{TOPICS.response('desk')}/1"
    transport = MemoryTransport(broker, "sender", topic)
    node = MemoryTransport(broker, "node", TOPICS.every_command)
    sender = Sender(transport, DESK, TOPICS, topic)
    outgoing = Outgoing(account="*", action=Action.LOCK, command_id=uuid4(), nodes=nodes)

    async def follow() -> list[tuple[str, int]]:
        async with aclosing(sender.send(outgoing)) as documents:
            return [(document["node_id"], document["seq"]) async for document in documents]

    work = [
        asyncio.create_task(each, name=f"{number}")
        for number, each in enumerate((transport.run(), node.run(), sender.receive()))
    ]
    try:
        await transport.wait_connected()
        await node.wait_connected()
        following = asyncio.create_task(follow(), name="follow")
        await until(lambda: sender._waiting)
        for each in events:
            await node.publish(topic, json.dumps({**each, "command_id": str(outgoing.command_id)}).encode())
        async with asyncio.timeout(10):
            return await following
    finally:
        for task in work:
            task.cancel()


class TestWhatASenderWaitsFor:
    async def test_one_node_is_followed_to_its_ending(self) -> None:
        """What is told twice is told once."""
        got = await heard(1, event("a", 7, "accepted"), event("a", 7, "accepted"), event("a", 9))
        assert got == [("a", 7), ("a", 9)]

    async def test_numbers_are_each_nodes_own(self) -> None:
        """A low number of another node is no old news."""
        got = await heard(2, event("a", 50, "accepted"), event("a", 51), event("b", 3, "accepted"), event("b", 4))
        assert got == [("a", 50), ("a", 51), ("b", 3), ("b", 4)]

    async def test_an_ending_is_not_the_end_while_another_node_goes_on(self) -> None:
        """Even if as many have answered as were asked for."""
        got = await heard(2, event("b", 3, "accepted"), event("a", 50), event("b", 4, "running"), event("b", 5))
        assert got == [("b", 3), ("a", 50), ("b", 4), ("b", 5)]

    async def test_an_ending_that_was_lost_is_asked_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """With the same envelope, to which a node answers with its newest event: also long after its expiry."""
        monkeypatch.setattr("node.transport.sender.ASK_EVERY_S", 0.01)
        broker, topic = MemoryBroker(), f"{TOPICS.response('desk')}/1"
        transport = MemoryTransport(broker, "sender", topic)
        node = MemoryTransport(broker, "node", TOPICS.every_command)
        sender = Sender(transport, DESK, TOPICS, topic)
        outgoing = Outgoing(account="*", action=Action.LOCK, command_id=uuid4())
        work = [
            asyncio.create_task(each, name=f"{number}")
            for number, each in enumerate((transport.run(), node.run(), sender.receive()))
        ]

        async def tell(document: dict[str, Any]) -> None:
            await node.publish(topic, json.dumps({**document, "command_id": str(outgoing.command_id)}).encode())

        try:
            await transport.wait_connected()
            await node.wait_connected()
            sending = sender.send(outgoing, lifetime=timedelta(seconds=0.05))
            async with asyncio.timeout(10), aclosing(sending) as documents:
                following = asyncio.ensure_future(anext(documents))
                asked = node.deliveries()
                first = await anext(asked)
                await tell(event("a", 7, "accepted"))
                assert (await following)["seq"] == 7
                following = asyncio.ensure_future(anext(documents))
                for _ in range(20):  # beyond its expiry
                    assert (await anext(asked)).payload == first.payload
                await tell(event("a", 9))
                assert (await following)["state"] == "done"
        finally:
            for task in work:
                task.cancel()


class TestSeveralAnswers:
    def test_one_is_left_as_it_is(self) -> None:
        """And none is none."""
        assert together([event("a", 1)]) == event("a", 1)
        assert together([]) is None

    def test_the_worst_counts_with_all_children(self) -> None:
        """Not ended is worse than failed, failed worse than done, and then by the verdict."""
        done, residue = event("a", 1), event("b", 1, verdict="flat_with_residue")
        failed, late = event("c", 1, "failed", verdict="unknown"), event("d", 1, "incomplete", verdict="unknown")
        for worst, *others in ((residue, done), (failed, residue, done), (late, failed, done)):
            shown = together([*others, worst])
            assert shown is not None
            assert (shown["node_id"], shown["state"]) == (worst["node_id"], worst["state"])
            assert shown["nodes"] == sorted(each["node_id"] for each in (worst, *others))
            assert len(shown["children"]) == len(others) + 1


class TestTheCommandLine:
    @pytest.mark.parametrize("arguments", [("main", "--via", "mqtt", "--key", "k"), ("*",)])
    def test_several_nodes_are_waited_for_with_all_accounts_and_over_a_broker_only(
        self, arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
    ) -> None:
        """One account is at one node, and a socket is one node's."""
        assert main(["send", "LOCK", *arguments, "--nodes", "3", "--json"]) == 1
        printed = capsys.readouterr()
        assert "--nodes goes with * and --via mqtt" in printed.out + printed.err
