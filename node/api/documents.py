"""The shapes of answers, for the interface's description. Documents carry more fields than are named here, and will."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from node.domain.command import Action, CommandState


class _Document(BaseModel):
    model_config = ConfigDict(extra="allow")


class ErrorDetail(BaseModel):
    """What went wrong."""

    code: str
    message: str


class ErrorBody(BaseModel):
    """Every answer that is not a success."""

    success: Literal[False] = False
    error: ErrorDetail
    #: At the operator's socket: the command's document, where one was refused.
    result: dict[str, Any] | None = None


class LockState(_Document):
    """A lock in a result document."""

    locked: bool
    epoch: int


class ResultDocument(_Document):
    """What is known of a command: contract ``sovereign-node/result/1``."""

    schema_: Literal["sovereign-node/result/1"] = Field(alias="schema")
    node_id: str
    seq: int = Field(ge=1)
    command_id: str
    account_id: str
    action: Action
    state: CommandState
    #: ``flat``, ``flat_with_residue``, ``locked``, ``unlocked``, ``drill_passed``; ``not_flat``, ``unknown``,
    #: ``drill_failed``; null before the ending.
    verdict: str | None = None
    rounds: int = 0
    dry_run: bool
    unjournaled: bool = False
    at: str
    #: Milliseconds since receipt; null where nothing was measured.
    latency_ms: dict[str, float | None]
    positions: list[dict[str, Any]] = []
    balances: list[dict[str, Any]] = []
    evidence: list[dict[str, Any]] = []
    lock: LockState | None = None
    errors: list[dict[str, Any]]


class LockDocument(_Document):
    """The lock of an account: contract ``sovereign-node/lock/1``. Stale, missing or unreadable means locked."""

    schema_: Literal["sovereign-node/lock/1"] = Field(alias="schema")
    account_id: str
    locked: bool
    #: Raised by every change.
    epoch: int = Field(ge=0)


class KillAnswer(BaseModel):
    """A command is durable and on its way."""

    success: Literal[True] = True
    #: Ask for its result under this id.
    command_id: str
    action: Action
    account_id: str
    #: ``<n>ms``: the 95th percentile of this account's own executions; else what its last drill foresaw; else the
    #: deadline.
    estimated_execution: str = Field(pattern=r"^[0-9]+ms$")
    #: From receipt to durable, locked and dispatched.
    latency_ms: float
    result: ResultDocument


class Account(_Document):
    """An account with what was last seen of it."""

    id: str
    name: str
    #: ``armed``, ``locked`` or ``degraded``.
    state: str
    lock: LockDocument


class AccountList(BaseModel):
    """The caller's accounts."""

    accounts: list[Account]


class Health(_Document):
    """Whether the process lives and can work, and if not why."""

    reasons: list[str]


class NodeStatus(_Document):
    """The whole node."""

    ready: bool
    reasons: list[str]
    accounts: list[Account]


class GuardAnswer(BaseModel):
    """What the guard of an account does now."""

    account_id: str
    guard: dict[str, Any]
