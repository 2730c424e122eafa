"""The request bodies of the risk API, checked for form. What a field means is the engine's business."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, model_validator

from node.domain.command import Action
from node.domain.guard_mode import GuardMode

SYMBOLS_MAX: Final = 200
_SYMBOL_LENGTH_MAX: Final = 64
_REASON_LENGTH_MAX: Final = 256


#: People read it on terminals: no control characters, no line separators, nothing that turns the direction of writing.
_ONE_LINE: Final = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]*$"
OneLine = Annotated[str, Field(pattern=_ONE_LINE)]
Reason = Annotated[OneLine, Field(min_length=1, max_length=_REASON_LENGTH_MAX)]
#: A UUID; at the operator's socket also an account's name.
AccountName = Annotated[str, Field(min_length=1, max_length=64)]
Symbol = Annotated[str, Field(min_length=1, max_length=_SYMBOL_LENGTH_MAX)]


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class KillBody(_Body):
    """``POST …/risk/kill``."""

    account_id: AccountName
    action: Literal[Action.CLOSE_ALL, Action.FLATTEN, Action.LOCK]
    symbols: Annotated[tuple[Symbol, ...], Field(min_length=1, max_length=SYMBOLS_MAX)] | None = None
    latch: StrictBool | None = None
    dry_run: StrictBool = False
    reason: Reason | None = None

    @model_validator(mode="after")
    def _meaningful(self) -> Self:
        if self.symbols is not None and self.action is not Action.CLOSE_ALL:
            raise ValueError("symbols: CLOSE_ALL only")
        if self.latch is not None and not self.action.closes:
            raise ValueError("latch: CLOSE_ALL and FLATTEN only")
        return self


class UnlockBody(_Body):
    """``POST …/risk/unlock``."""

    account_id: AccountName
    #: Of the lock to release.
    epoch: Annotated[StrictInt, Field(ge=0)]
    reason: Reason | None = None
    #: Although slices are unread.
    force: StrictBool = False

    @model_validator(mode="after")
    def _justified(self) -> Self:
        if self.force and self.reason is None:
            raise ValueError("reason: needed with force")
        return self


class GuardBody(_Body):
    """``POST …/accounts/{account_id}/guard``; ``configured`` ends what was set before."""

    mode: GuardMode | Literal["configured"]


class AbortBody(_Body):
    """``POST …/risk/commands/{command_id}/abort``; the body may be left out."""

    reason: Reason | None = None
