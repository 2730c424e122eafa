"""What nodes say about one command, put together: never more than they have said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from node.domain.command import Action, CommandState, Door, child_id
from node.domain.result import Document
from node.gateway.answers import Answer, Conversation, NotUnderstood
from node.gateway.sent import SentCommand

COMMAND = UUID("11111111-2222-4333-8444-555555555555")
FIRST, SECOND, FOREIGN = uuid4(), uuid4(), uuid4()
ISSUED = datetime(2026, 11, 20, 10, tzinfo=UTC)


def conversation(account: UUID | None = FIRST, *, accounts: tuple[UUID, ...] = (FIRST,)) -> Conversation:
    """About a CLOSE_ALL that was just sent."""
    sent = SentCommand(
        command_id=COMMAND,
        account_id=account,
        action=Action.CLOSE_ALL,
        issuer="operator",
        door=Door.OPERATOR,
        content_digest="",
        envelope=b"",
        dry_run=False,
        reason=None,
        accounts=accounts,
        issued_at=ISSUED,
        expires_at=ISSUED + timedelta(seconds=60),
    )
    return Conversation(sent, gateway_id="gateway-1")


def document(
    state: str,
    *,
    seq: int = 1,
    node: str = "node-1",
    account: UUID | str = FIRST,
    verdict: str | None = None,
    **more: Any,
) -> Document:
    """A node's event."""
    code = more.pop("code", None)
    return {
        "schema": "sovereign-node/result/1",
        "node_id": node,
        "seq": seq,
        "command_id": str(more.pop("command_id", COMMAND)),
        "account_id": str(account),
        "action": "CLOSE_ALL",
        "state": state,
        "verdict": verdict,
        "dry_run": False,
        "at": "2026-11-20T10:00:00.161Z",
        "latency_ms": {"total": 1.0},
        "errors": [] if code is None else [{"code": code, "message": "because"}],
        "lock": {"locked": True, "epoch": 3},
        **more,
    }


def say(about: Conversation, *args: Any, **fields: Any) -> bool:
    """Let a node say something."""
    return about.hear(Answer.of(document(*args, **fields)))


def shown(about: Conversation) -> Document | None:
    """What callers see now."""
    return about.shown


def state(about: Conversation) -> tuple[bool, bool]:
    """Whether it is confirmed, and whether it has ended."""
    return about.confirmed, about.ended


def child(account: UUID) -> dict[str, Any]:
    """Of an event about one account's part of a command for all."""
    return {"account": account, "command_id": child_id(COMMAND, account)}


class TestOneAccount:
    def test_nothing_is_shown_before_a_node_has_spoken(self) -> None:
        assert conversation().shown is None
        assert not conversation().confirmed

    def test_the_nodes_document_is_shown_as_it_is(self) -> None:
        about = conversation()
        assert say(about, "accepted")
        assert state(about) == (True, False)
        assert say(about, "done", seq=2, verdict="flat")
        assert state(about)[1]
        assert about.shown == document("done", seq=2, verdict="flat")

    def test_what_was_said_before_or_comes_late_changes_nothing(self) -> None:
        about = conversation()
        say(about, "running", seq=5)
        assert not say(about, "running", seq=5)
        assert not say(about, "accepted", seq=4)
        say(about, "failed", seq=6, verdict="unknown")
        assert not say(about, "done", seq=7, verdict="flat")
        assert about.shown is not None
        assert about.shown["state"] == "failed"

    def test_a_node_without_the_account_is_not_an_answer(self) -> None:
        about = conversation()
        assert say(about, "rejected", node="node-2", code="UNKNOWN_ACCOUNT")
        assert not state(about)[0]
        assert list(about.strangers) == ["node-2"]
        say(about, "accepted")
        assert state(about)[0]
        assert list(about.strangers) == []

    def test_a_refusal_is_shown_until_a_node_has_taken_it_all_the_same(self) -> None:
        about = conversation()
        say(about, "rejected", code="CONFLICT", seq=9, node="node-2")
        assert state(about)[1]
        say(about, "accepted")
        assert about.shown is not None
        assert about.shown["state"] == "accepted"
        assert not state(about)[1]

    def test_two_nodes_that_both_took_it_have_ended_when_both_have_and_as_badly_as_the_worse(self) -> None:
        about = conversation()
        say(about, "accepted", node="node-2")
        say(about, "done", verdict="flat")
        assert not state(about)[1]
        say(about, "done", verdict="flat_with_residue", node="node-2", seq=2)
        assert about.shown is not None
        assert about.shown["verdict"] == "flat_with_residue"

    @pytest.mark.parametrize(
        "wrong",
        [
            {"action": "LOCK"},
            {"account": SECOND},
            {"command_id": uuid4()},
            {"account": "*"},
        ],
        ids=["action", "account", "command", "all"],
    )
    def test_what_contradicts_the_command_is_not_taken_in(self, wrong: dict[str, Any]) -> None:
        about = conversation()
        assert not say(about, "done", verdict="flat", **wrong)
        assert shown(about) is None


class TestAllAccounts:
    def test_it_is_confirmed_when_every_account_is(self) -> None:
        about = conversation(None, accounts=(FIRST, SECOND))
        say(about, "accepted", **child(FIRST))
        assert shown(about) is None
        assert about.unconfirmed == (SECOND,)
        say(about, "accepted", node="node-2", **child(SECOND))
        assert about.shown is not None
        assert (about.shown["state"], about.shown["account_id"]) == ("accepted", "*")

    def test_the_whole_is_as_far_as_the_slowest_and_as_bad_as_the_worst(self) -> None:
        about = conversation(None, accounts=(FIRST, SECOND))
        say(about, "done", verdict="flat", **child(FIRST))
        say(about, "running", node="node-2", **child(SECOND))
        assert about.shown is not None
        assert (about.shown["state"], about.shown["verdict"]) == ("running", "unknown")
        say(about, "failed", verdict="not_flat", node="node-2", seq=2, **child(SECOND))
        assert (about.shown["state"], about.shown["verdict"]) == ("failed", "not_flat")
        assert state(about)[1]
        assert about.child(child_id(COMMAND, FIRST)) == document("done", verdict="flat", **child(FIRST))

    def test_its_numbers_rise_with_every_change(self) -> None:
        about = conversation(None, accounts=(FIRST,))
        seen = []
        for seq, state in enumerate(("accepted", "running", "done"), start=1):
            say(about, state, seq=seq, verdict="flat", **child(FIRST))
            assert about.shown is not None
            seen.append(about.shown["seq"])
        assert seen == sorted(set(seen))

    def test_an_account_that_only_a_node_knows_counts_as_well(self) -> None:
        about = conversation(None, accounts=(FIRST,))
        say(about, "done", verdict="flat", **child(FIRST))
        assert state(about)[1]
        other = {"command_id": str(uuid4()), "account_id": str(FOREIGN), "state": "running", "verdict": None}
        more = conversation(None, accounts=(FIRST,))
        say(more, "running", account="*", children=[other])
        say(more, "done", verdict="flat", seq=2, **child(FIRST))
        assert more.shown is not None
        assert more.shown["state"] == "running"
        assert other in more.shown["children"]

    def test_a_nodes_refusal_of_the_whole_is_told_only_where_nobody_took_it(self) -> None:
        about = conversation(None, accounts=(FIRST, SECOND))
        say(about, "rejected", account="*", code="FORBIDDEN")
        assert shown(about) is None
        assert about.refusal is not None
        say(about, "accepted", node="node-2", **child(SECOND))
        assert about.refusal is None


@pytest.mark.parametrize(
    "broken",
    [
        {"schema": "another/1"},
        {"state": "asleep"},
        {"seq": "7"},
        {"verdict": "splendid"},
        {"account_id": "x"},
        {"command_id": None},
        {"at": "yesterday"},
        {"latency_ms": None},
        {"errors": None, "state": "rejected"},
        {"errors": ["x"], "state": "rejected"},
        {"lock": "open"},
    ],
    ids=str,
)
def test_what_is_no_result_document_is_refused(broken: Document) -> None:
    """Anybody may write to a topic."""
    with pytest.raises(NotUnderstood):
        Answer.of(document("done", verdict="flat") | broken)


def test_every_state_of_the_contract_is_understood() -> None:
    """So that a node's ending is never waited for in vain."""
    for state in CommandState:
        assert Answer.of(document(state.value)).state is state
