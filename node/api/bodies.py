"""The request bodies of the risk API, checked for form. What a field means is the engine's business."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    WithJsonSchema,
    model_validator,
)

from node.domain.command import Action
from node.domain.guard_mode import GuardMode

SYMBOLS_MAX: Final = 200
_SYMBOL_LENGTH_MAX: Final = 64
_REASON_LENGTH_MAX: Final = 256


def _uuid(text: str) -> str:
    try:
        UUID(text)
    except ValueError:
        raise ValueError("not a UUID") from None
    return text


#: People read it on terminals: no control characters, no line separators, nothing that turns the direction of writing.
_ONE_LINE: Final = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]*$"
OneLine = Annotated[str, Field(pattern=_ONE_LINE)]
Reason = Annotated[OneLine, Field(min_length=1, max_length=_REASON_LENGTH_MAX)]
#: An id or a name.
AccountName = Annotated[str, Field(min_length=1, max_length=64)]
AccountUuid = Annotated[str, AfterValidator(_uuid), WithJsonSchema({"type": "string", "format": "uuid"})]
Symbol = Annotated[str, Field(min_length=1, max_length=_SYMBOL_LENGTH_MAX)]


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CloseAllBody(_Body):
    """Close all open positions at once; or those of some symbols."""

    account_id: AccountName
    action: Literal[Action.CLOSE_ALL]
    symbols: Annotated[tuple[Symbol, ...], Field(min_length=1, max_length=SYMBOLS_MAX)] | None = None
    #: Overrides the account's ``lock_on_close``.
    latch: StrictBool | None = None
    #: A drill: nothing is placed or cancelled.
    dry_run: StrictBool = False
    reason: Reason | None = None


class FlattenBody(_Body):
    """Close everything, and sell what is left into base currency."""

    account_id: AccountName
    action: Literal[Action.FLATTEN]
    latch: StrictBool | None = None
    dry_run: StrictBool = False
    reason: Reason | None = None


class LockBody(_Body):
    """Lock the engine, preventing new trades."""

    account_id: AccountName
    action: Literal[Action.LOCK]
    dry_run: StrictBool = False
    reason: Reason | None = None


class KeyedCloseAllBody(CloseAllBody):
    """Close all open positions at once; or those of some symbols."""

    account_id: AccountUuid


class KeyedFlattenBody(FlattenBody):
    """Close everything, and sell what is left into base currency."""

    account_id: AccountUuid


class KeyedLockBody(LockBody):
    """Lock the engine, preventing new trades."""

    account_id: AccountUuid


#: ``POST …/risk/kill`` of the operator, who may name accounts; and of the holder of a key.
KillBody = CloseAllBody | FlattenBody | LockBody
KeyedKillBody = KeyedCloseAllBody | KeyedFlattenBody | KeyedLockBody


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
