"""Every topic that the node speaks and hears: built, matched and taken apart. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal
from uuid import UUID

from node.domain.command import ALL_ACCOUNTS

#: A command's target: one account, or every account that its issuer may command.
AccountTarget = UUID | Literal["*"]

_ROOT: Final = "sn/v1"
_ALL: Final = "_all"
_GUARD: Final = "_guard"
_LONGEST_PART: Final = 128
_LONGEST_TOPIC_BYTES: Final = 65_535  # MQTT 5, 1.5.4: a two-byte length


class TopicError(ValueError):
    """Not a topic of this node, or a name that cannot be part of one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandTopic:
    """``…/cmd/{account_id}`` or ``…/cmd/_all``."""

    account: AccountTarget


@dataclass(frozen=True, slots=True, kw_only=True)
class EventTopic:
    """``…/evt/{account_id}/{command_id}`` or ``…/evt/_all/{command_id}``."""

    account: AccountTarget
    command_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardTopic:
    """``…/evt/{account_id}/_guard``."""

    account_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class LockTopic:
    """``…/lock/{account_id}``."""

    account_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusTopic:
    """``…/node/{node_id}/status``."""

    node_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseTopic:
    """``…/rsp/{anything}``: the sender's own."""

    path: str


ParsedTopic = CommandTopic | EventTopic | GuardTopic | LockTopic | StatusTopic | ResponseTopic


@dataclass(frozen=True, slots=True)
class Topics:
    """The topic tree of one tenant.

    Raises:
        TopicError: a name is empty, too long, or holds a wildcard, a slash or a control character.
    """

    tenant: str

    def __post_init__(self) -> None:
        _part(self.tenant)

    def command(self, account: AccountTarget) -> str:
        """Where commands for an account, or for all, are sent."""
        return f"{self._base}/cmd/{_target(account)}"

    @property
    def every_command(self) -> str:
        """The filter for all commands of the tenant: one filter, since overlapping ones deliver twice."""
        return f"{self._base}/cmd/+"

    @property
    def every_event(self) -> str:
        """The filter for what becomes of all commands of the tenant, and for the interventions of its guards."""
        return f"{self._base}/evt/+/+"

    @property
    def every_lock(self) -> str:
        """The filter for the locks of all accounts of the tenant."""
        return f"{self._base}/lock/+"

    @property
    def every_status(self) -> str:
        """The filter for the states of all nodes of the tenant."""
        return f"{self._base}/node/+/status"

    def event(self, account: AccountTarget, command_id: UUID) -> str:
        """Where what became of a command is told; with ``*``, the parent of its children."""
        return f"{self._base}/evt/{_target(account)}/{command_id}"

    def guard_event(self, account_id: UUID) -> str:
        """Where interventions of the guard are told."""
        return f"{self._base}/evt/{account_id}/{_GUARD}"

    def lock(self, account_id: UUID) -> str:
        """The retained mirror of an account's lock."""
        return f"{self._base}/lock/{account_id}"

    def status(self, node_id: str) -> str:
        """The retained state of a node; also the topic of its will."""
        return f"{self._base}/node/{_part(node_id)}/status"

    def response(self, client: str) -> str:
        """A sender's own topic for answers."""
        return f"{self._base}/rsp/{_part(client)}"

    def is_response(self, topic: str) -> bool:
        """Whether a sender may have its answers there: anywhere below ``rsp``, nowhere else."""
        prefix = f"{self._base}/rsp/"
        return topic.startswith(prefix) and len(topic) > len(prefix) and _publishable(topic)

    def parse(self, topic: str) -> ParsedTopic:
        """Take one of this tenant's topics apart.

        Raises:
            TopicError: it is none of them.
        """
        prefix = f"{self._base}/"
        if not topic.startswith(prefix) or not _publishable(topic):
            raise TopicError("not a topic of this tenant")
        match topic.removeprefix(prefix).split("/"):
            case ["cmd", target]:
                return CommandTopic(account=_parse_target(target))
            case ["evt", account, tail] if tail == _GUARD:
                return GuardTopic(account_id=_parse_uuid(account))
            case ["evt", target, command_id]:
                return EventTopic(account=_parse_target(target), command_id=_parse_uuid(command_id))
            case ["lock", account]:
                return LockTopic(account_id=_parse_uuid(account))
            case ["node", node_id, "status"]:
                return StatusTopic(node_id=_part(node_id))
            case ["rsp", *path] if path and path != [""]:
                return ResponseTopic(path="/".join(path))
            case _:
                raise TopicError("not a topic of this tenant")

    @property
    def _base(self) -> str:
        return f"{_ROOT}/{self.tenant}"


def matches(topic_filter: str, topic: str) -> bool:
    """Whether a subscription's filter (``+`` one level, ``#`` the rest) covers a topic (MQTT 5, 4.7)."""
    wanted, levels = topic_filter.split("/"), topic.split("/")
    if topic.startswith("$") and wanted[0] in ("+", "#"):
        return False
    for position, level in enumerate(wanted):
        if level == "#":
            return True
        if position >= len(levels) or level not in ("+", levels[position]):
            return False
    return len(wanted) == len(levels)


def _part(name: str) -> str:
    """One level of a topic, from outside."""
    if not 0 < len(name) <= _LONGEST_PART:
        raise TopicError(f"a part of a topic has 1 to {_LONGEST_PART} characters")
    if "/" in name or not _publishable(name) or name[0] in "_$":
        raise TopicError("a part of a topic holds no slash, wildcard or control character, nor begins with _ or $")
    return name


def _publishable(topic: str) -> bool:
    """Whether MQTT allows a message there: no wildcard, no control character, valid UTF-8, not too long."""
    if any(character in "+#" or not character.isprintable() for character in topic):
        return False
    return len(topic.encode(errors="replace")) <= _LONGEST_TOPIC_BYTES


def _target(account: AccountTarget) -> str:
    return _ALL if isinstance(account, str) else str(account)


def _parse_target(part: str) -> AccountTarget:
    return ALL_ACCOUNTS if part == _ALL else _parse_uuid(part)


def _parse_uuid(part: str) -> UUID:
    """Only the canonical spelling, so that one account has one topic."""
    try:
        value = UUID(part)
    except ValueError:
        raise TopicError("not an id") from None
    if str(value) != part:
        raise TopicError("an id is written in lower case with hyphens")
    return value
