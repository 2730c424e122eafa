"""The claims of a command envelope (design 5.1), parsed once and strictly."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated, Final, Literal
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from node.domain.command import ALL_ACCOUNTS, Action

_LATEST_INSTANT_S: Final = 253_402_300_799  # the end of the year 9999
_MOST_SYMBOLS: Final = 200


def _canonical_uuid(value: object) -> UUID:
    """One id, one spelling: otherwise one command could have two identities."""
    if isinstance(value, str):
        parsed = UUID(value)
        if str(parsed) == value:
            return parsed
    raise ValueError("a UUID in lower case with hyphens is wanted")


def _target(value: object) -> object:
    return value if value == ALL_ACCOUNTS else _canonical_uuid(value)


def _instant(value: object) -> datetime:
    # bool is an int to Python; NaN compares false.
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _LATEST_INSTANT_S:
        return datetime.fromtimestamp(value, UTC)
    raise ValueError("a number of seconds since 1970 is wanted")


def _action(value: object) -> Action:
    if isinstance(value, str) and value in Action.__members__:
        return Action(value)
    raise ValueError(f"one of {', '.join(Action)} is wanted")


class Parameters(BaseModel):
    """What the action needs to know besides; each may be left out, none may be null."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    symbols: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=64)]] | None,
        Field(min_length=1, max_length=_MOST_SYMBOLS),
    ] = None
    latch: bool | None = None
    dry_run: bool = False
    reason: Annotated[str | None, Field(max_length=256)] = None
    epoch: Annotated[int | None, Field(ge=0, lt=2**63)] = None

    @field_validator("reason")
    @classmethod
    def _printable(cls, value: str | None) -> str | None:
        if value is not None and not value.isprintable():
            raise ValueError("a reason has no control characters: people read it on terminals")
        return value

    @model_validator(mode="before")
    @classmethod
    def _no_null(cls, value: object) -> object:
        if isinstance(value, dict) and None in value.values():
            raise ValueError("null is not a value: leave the parameter out")
        return value


class Claims(BaseModel):
    """What an issuer signed."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    jti: Annotated[UUID, BeforeValidator(_canonical_uuid)]
    iss: Annotated[str, Field(min_length=1, max_length=128)]
    aud: Annotated[str, Field(min_length=1, max_length=128)]
    iat: Annotated[datetime, BeforeValidator(_instant)]
    exp: Annotated[datetime, BeforeValidator(_instant)]
    account_id: Annotated[UUID | Literal["*"], BeforeValidator(_target)]
    action: Annotated[Action, BeforeValidator(_action)]
    params: Parameters = Parameters()

    @model_validator(mode="after")
    def _agree(self) -> Claims:
        """Refuse parameters that the action does not have: obeying half of a command is worse than none."""
        params, action = self.params, self.action
        if params.symbols is not None and action is not Action.CLOSE_ALL:
            raise ValueError("symbols belong to CLOSE_ALL")
        if params.latch is not None and not action.closes:
            raise ValueError("latch belongs to CLOSE_ALL and FLATTEN")
        if action is Action.UNLOCK:
            if params.epoch is None:
                raise ValueError("UNLOCK names the epoch of the lock that it releases")
            if self.account_id == ALL_ACCOUNTS:
                raise ValueError("UNLOCK names one account")
            if params.dry_run:
                raise ValueError("there is no drill of UNLOCK")
        return self


def parse_json_object(raw: bytes) -> dict[str, object]:
    """JSON as RFC 8259 means it: an object, no key twice, no NaN.

    Raises:
        ValueError: anything else.
    """
    try:
        value = json.loads(raw.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError("not an object")  # noqa: TRY004 - one kind of error for one kind of fault
    return value


def describe(error: ValidationError) -> str:
    """The first faults, by place and reason, without the values."""
    faults = [
        f"{'.'.join(str(part) for part in fault['loc']) or 'claims'}: {fault['msg']}"
        for fault in error.errors(include_url=False, include_context=False, include_input=False)[:3]
    ]
    return "; ".join(faults)[:300]


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key appears twice")
    return value


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not a number")
