"""Whatever anybody writes to the topics that a gateway reads: it goes on, and never makes more of it than was said."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from node.clock import SystemClock
from node.domain.command import Action, CommandState, Door, child_id
from node.domain.result import VERDICTS_BY_WEIGHT, instant_text
from node.gateway.answers import Answer, Conversation, NotUnderstood
from node.gateway.estimates import Estimates
from node.gateway.mirror import Mirror
from node.gateway.sent import SentCommand

COMMAND = UUID("11111111-2222-4333-8444-555555555555")
ACCOUNTS = (UUID(int=1), UUID(int=2))
NOW = datetime.now(UTC)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
INSTANTS = st.sampled_from(
    [instant_text(NOW), "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2026-11-20T10:00:00", "soon"]
)


def sent(account: UUID | None) -> SentCommand:
    """A CLOSE_ALL."""
    return SentCommand(
        command_id=COMMAND,
        account_id=account,
        action=Action.CLOSE_ALL,
        issuer="operator",
        door=Door.OPERATOR,
        content_digest="",
        envelope=b"",
        dry_run=False,
        reason=None,
        accounts=ACCOUNTS if account is None else (account,),
        issued_at=NOW,
        expires_at=NOW + timedelta(seconds=60),
    )


@st.composite
def events(draw: st.DrawFn) -> dict[str, Any]:
    """Result documents, some of them with anything at all in some of their places."""
    account = draw(st.sampled_from([*ACCOUNTS, "*"]))
    own = COMMAND if account == "*" else draw(st.sampled_from([COMMAND, child_id(COMMAND, ACCOUNTS[0])]))
    document: dict[str, Any] = {
        "schema": "sovereign-node/result/1",
        "node_id": draw(st.sampled_from(["node-1", "node-2"])),
        "seq": draw(st.integers(1, 9)),
        "command_id": str(own),
        "account_id": str(account),
        "action": "CLOSE_ALL",
        "state": draw(st.sampled_from([state.value for state in CommandState])),
        "verdict": draw(st.sampled_from([None, *(verdict.value for verdict in VERDICTS_BY_WEIGHT)])),
        "at": draw(INSTANTS),
        "latency_ms": {"total": draw(JSON), "proof": draw(JSON)},
        "errors": draw(st.lists(st.dictionaries(st.just("code"), JSON, max_size=1) | JSON, max_size=2)),
    }
    optional = st.fixed_dictionaries(
        {},
        optional={
            "lock": st.fixed_dictionaries({"locked": JSON}) | JSON,
            "children": st.lists(
                st.fixed_dictionaries({"command_id": JSON, "state": st.just("running") | JSON, "verdict": JSON}) | JSON,
                max_size=2,
            )
            | JSON,
            "unjournaled": JSON,
            "dry_run": JSON,
            "predicted_ms": JSON,
        },
    )
    return document | draw(optional) | draw(st.dictionaries(st.sampled_from(sorted(document)), JSON, max_size=1))


@given(st.sampled_from([None, ACCOUNTS[0]]), st.lists(events(), max_size=12))
def test_no_message_breaks_a_conversation_and_no_end_comes_before_every_account_has_one(
    account: UUID | None, messages: list[dict[str, Any]]
) -> None:
    """What is shown can be sent on, is done only where a node said so of each account, and an end stays an end."""
    about, estimates = Conversation(sent(account), gateway_id="gateway-1"), Estimates(ACCOUNTS)
    said: set[tuple[UUID | None, CommandState]] = set()
    for message in messages:
        with suppress(NotUnderstood):
            answer = Answer.of(message)
            estimates.observe(answer)
            about.hear(answer)
            if answer.command_id in (COMMAND, *about.sent.children.values()):
                said.add((answer.account_id, answer.state))
        if (shown := about.shown) is not None:
            json.dumps(shown)
            assert CommandState(shown["state"])
            if shown["state"] == "done":
                assert all((each, CommandState.DONE) in said for each in about.sent.children)
    for each in ACCOUNTS:
        assert all(0 <= estimates.of(each, action) <= 86_400_000 for action in Action if action.closes)


@given(
    st.fixed_dictionaries(
        {
            "schema": st.just("sovereign-node/lock/1") | JSON,
            "node_id": st.just("node-1") | JSON,
            "account_id": st.just(str(ACCOUNTS[0])) | JSON,
            "locked": st.booleans() | JSON,
            "epoch": st.integers(0, 9) | JSON,
            "valid_until": INSTANTS | JSON,
        }
    ),
    st.fixed_dictionaries(
        {"node_id": st.just("node-1") | JSON, "state": st.just("online") | JSON},
        optional={
            "at": INSTANTS | JSON,
            "version": JSON,
            "accounts": st.lists(st.fixed_dictionaries({"id": st.just(str(ACCOUNTS[0])), "state": JSON}) | JSON) | JSON,
        },
    ),
)
def test_no_message_breaks_the_mirror_nor_unlocks_by_itself(lock: dict[str, Any], status: dict[str, Any]) -> None:
    """One message is no renewal, whatever it says."""
    mirror = Mirror(ACCOUNTS, SystemClock(), boot_id="here")
    with suppress(NotUnderstood):
        mirror.hear_lock(ACCOUNTS[0], lock)
    with suppress(NotUnderstood):
        mirror.hear_status("node-1", status)
    assert mirror.lock(ACCOUNTS[0])["locked"] is True
    json.dumps([mirror.lock(ACCOUNTS[0]), mirror.nodes(), mirror.account(ACCOUNTS[0])])
