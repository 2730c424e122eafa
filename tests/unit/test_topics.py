"""The topic tree of design 5.2."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.transport.topics import (
    CommandTopic,
    EventTopic,
    GuardTopic,
    LockTopic,
    ResponseTopic,
    StatusTopic,
    TopicError,
    Topics,
    matches,
)

ACCOUNT = UUID("6b0c8d1e-0f5a-4d3b-9c1e-5a2f7c9d0e11")
COMMAND = UUID("0193a3c0-7b1d-7c3e-8f00-1234567890ab")
TOPICS = Topics("acme")


@pytest.mark.parametrize(
    ("built", "topic", "parsed"),
    [
        (TOPICS.command(ACCOUNT), f"sn/v1/acme/cmd/{ACCOUNT}", CommandTopic(account=ACCOUNT)),
        (TOPICS.command("*"), "sn/v1/acme/cmd/_all", CommandTopic(account="*")),
        (
            TOPICS.event(ACCOUNT, COMMAND),
            f"sn/v1/acme/evt/{ACCOUNT}/{COMMAND}",
            EventTopic(account=ACCOUNT, command_id=COMMAND),
        ),
        (
            TOPICS.event("*", COMMAND),
            f"sn/v1/acme/evt/_all/{COMMAND}",
            EventTopic(account="*", command_id=COMMAND),
        ),
        (TOPICS.guard_event(ACCOUNT), f"sn/v1/acme/evt/{ACCOUNT}/_guard", GuardTopic(account_id=ACCOUNT)),
        (TOPICS.lock(ACCOUNT), f"sn/v1/acme/lock/{ACCOUNT}", LockTopic(account_id=ACCOUNT)),
        (TOPICS.status("node-1"), "sn/v1/acme/node/node-1/status", StatusTopic(node_id="node-1")),
        (TOPICS.response("desk-7"), "sn/v1/acme/rsp/desk-7", ResponseTopic(path="desk-7")),
    ],
)
def test_every_topic_is_as_the_contract_spells_it_and_parses_back(built: str, topic: str, parsed: object) -> None:
    """What is built is what the contract says, and parsing undoes it."""
    assert built == topic
    assert TOPICS.parse(topic) == parsed


@pytest.mark.parametrize("name", ["", "a/b", "+", "#", "a+", "a\0b", "a\nb", "_all", "$SYS", "x" * 129, "\ud800"])
def test_a_name_that_would_change_the_tree_is_refused(name: str) -> None:
    """Wildcards, slashes, control characters and reserved beginnings cannot come in through a name."""
    with pytest.raises(TopicError):
        Topics(name)
    with pytest.raises(TopicError):
        TOPICS.status(name)
    with pytest.raises(TopicError):
        TOPICS.response(name)


@pytest.mark.parametrize(
    "topic",
    [
        "",
        f"sn/v1/other/cmd/{ACCOUNT}",
        f"sn/v2/acme/cmd/{ACCOUNT}",
        f"sn/v1/acme/cmd/{str(ACCOUNT).upper()}",
        f"sn/v1/acme/cmd/{ACCOUNT.hex}",
        "sn/v1/acme/cmd/+",
        "sn/v1/acme/cmd",
        f"sn/v1/acme/cmd/{ACCOUNT}/more",
        "sn/v1/acme/evt/_all/_guard",
        "sn/v1/acme/lock/_all",
        "sn/v1/acme/rsp/",
        f"/sn/v1/acme/cmd/{ACCOUNT}",
    ],
)
def test_a_topic_that_is_not_ours_is_refused(topic: str) -> None:
    """Another tenant, version, spelling or depth is not guessed at."""
    with pytest.raises(TopicError):
        TOPICS.parse(topic)


@pytest.mark.parametrize(
    ("topic", "allowed"),
    [
        ("sn/v1/acme/rsp/desk", True),
        ("sn/v1/acme/rsp/desk/7/answers", True),
        ("sn/v1/acme/rsp/", False),
        ("sn/v1/acme/rsp", False),
        ("sn/v1/acme/rsp/+", False),
        ("sn/v1/acme/rsp/a\0", False),
        ("sn/v1/acme/rspx/desk", False),
        ("sn/v1/other/rsp/desk", False),
        (f"sn/v1/acme/cmd/{ACCOUNT}", False),
        ("sn/v1/acme/rsp/" + "x" * 65_535, False),
    ],
)
def test_answers_go_only_below_the_tenants_response_topics(topic: str, allowed: bool) -> None:
    """A sender cannot make the node publish anywhere else."""
    assert TOPICS.is_response(topic) is allowed


@pytest.mark.parametrize(
    ("topic_filter", "topic", "covered"),
    [
        ("a/b", "a/b", True),
        ("a/+", "a/b", True),
        ("a/+", "a/b/c", False),
        ("a/+", "a", False),
        ("a/#", "a/b/c", True),
        ("a/#", "a", True),
        ("#", "a/b", True),
        ("+/+", "/a", True),
        ("#", "$SYS/x", False),
        ("+/x", "$SYS/x", False),
        ("$SYS/#", "$SYS/x", True),
        ("a", "A", False),
    ],
)
def test_filters_cover_what_mqtt_says(topic_filter: str, topic: str, covered: bool) -> None:
    """The examples of MQTT 5, section 4.7."""
    assert matches(topic_filter, topic) is covered


@given(st.text(alphabet="cmdevtlock_al/+#0123456789abcdef-\0\u00e9"))
def test_parsing_any_text_gives_a_topic_or_a_topic_error(text: str) -> None:
    """Nothing that a broker may hand over raises anything else."""
    try:
        TOPICS.parse("sn/v1/acme/" + text)
    except TopicError:
        return
