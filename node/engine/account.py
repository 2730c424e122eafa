"""What the engine must know of an account, apart from what the venue says."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from node.domain.flatten import FlattenTerms
from node.domain.guard_mode import GuardModes
from node.domain.permission import Permission


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionTerms:
    """How a command is carried out."""

    #: After it a command is reported as incomplete, and goes on.
    deadline_s: float = 10.0
    #: Whether CLOSE_ALL and FLATTEN leave the account locked when they do not say.
    latch_by_default: bool = True
    #: Between the two proofs that a hold needs to lift.
    settle_s: float = 3.0
    max_slippage: Decimal = Decimal("0.05")
    #: What is done about new exposure while the account is locked.
    guard: GuardModes = field(default_factory=GuardModes)
    #: An older unfinished command is not resumed after a restart.
    resume_within: timedelta = timedelta(seconds=900)
    #: Whether a proof never goes back to an earlier look. One that does takes a single round trip, and cannot see a
    #: trigger that somebody places after that look and that fires while the lists are read.
    causal_proof: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountTerms:
    """One account as configured."""

    account_id: UUID
    name: str
    owner: str
    exchange: str
    permission: Permission
    execution: ExecutionTerms = field(default_factory=ExecutionTerms)
    flatten: FlattenTerms
