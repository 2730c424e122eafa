"""The operator's routes for API keys."""

# No postponed annotations here: FastAPI could not resolve those that name a local dependency.

from datetime import timedelta
from http import HTTPStatus
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, StrictInt

from node.api.bodies import OneLine
from node.api.errors import ApiError
from node.api.keyring import (
    ForeignAccount,
    KeyEnded,
    Keyring,
    NewKey,
    NoSuchKey,
    NoSuchOwner,
    TooManyKeys,
)
from node.api.openapi import EXAMPLE_INSTANT, answers
from node.api.principal import Authenticator
from node.api.recognised import recognised
from node.domain.api_key import ApiKey, Scope
from node.domain.command import ALL_ACCOUNTS
from node.domain.result import Document, instant_text
from node.engine.ports import CommandDesk

#: Ten years.
_LIFE_MAX_S: Final = 315_360_000
_OVERLAP_MAX_S: Final = 604_800

_EXAMPLE: Final = {
    "id": "k3v9q2m4x7ab",
    "owner": "acme",
    "label": "risk desk",
    "scopes": ["kill", "lock", "read"],
    "accounts": [ALL_ACCOUNTS],
    "state": "active",
    "created_at": EXAMPLE_INSTANT,
    "expires_at": None,
    "last_used_at": None,
    "revoked_at": None,
}
_NEW_EXAMPLE: Final = {**_EXAMPLE, "api_key": "ad_b2b_…"}


class NewKeyBody(BaseModel):
    """``POST …/keys``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    owner: Annotated[str, Field(min_length=1, max_length=64)]
    scopes: Annotated[tuple[Scope, ...], Field(min_length=1, max_length=len(Scope))] = tuple(Scope)
    #: Ids or names of the owner's accounts; left out: all that it has, now and later.
    accounts: Annotated[tuple[str, ...], Field(min_length=1, max_length=1000)] | None = None
    expires_in_s: Annotated[StrictInt, Field(ge=1, le=_LIFE_MAX_S)] | None = None
    label: Annotated[OneLine, Field(min_length=1, max_length=64)] | None = None


class RotationBody(BaseModel):
    """``POST …/keys/{key_id}/rotate``; the body may be left out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    #: How long the old key is still good; 0: it ends now.
    overlap_s: Annotated[StrictInt, Field(ge=0, le=_OVERLAP_MAX_S)] = 0


class KeyDocument(BaseModel):
    """A key as it is shown: everything but what would let somebody use it."""

    id: str
    owner: str
    label: str | None
    scopes: list[Scope]
    #: Ids, or ``["*"]``: every account of the owner.
    accounts: list[str]
    state: Literal["active", "expired", "revoked"]
    created_at: str
    expires_at: str | None
    last_used_at: str | None
    revoked_at: str | None


class NewKeyDocument(KeyDocument):
    """A key that was just made."""

    #: Shown once.
    api_key: str


class KeyList(BaseModel):
    """Keys, oldest first."""

    keys: list[KeyDocument]


def keys_router(keyring: Keyring, desk: CommandDesk, authenticate: Authenticator) -> APIRouter:
    """Create, list, revoke, rotate."""
    router = APIRouter(prefix="/api/v1/b2b/keys", tags=["keys"], route_class=recognised(authenticate))

    @router.post(
        "",
        status_code=HTTPStatus.CREATED,
        response_model=NewKeyDocument,
        responses=answers(_NEW_EXAMPLE, "BAD_REQUEST", "NOT_FOUND", "CONFLICT", "NOT_READY", status=201),
    )
    async def create(body: NewKeyBody) -> JSONResponse:
        """Make a key. Its text is in this answer and nowhere else: keep it at once."""
        accounts = None if body.accounts is None else [_account(desk, name) for name in body.accounts]
        try:
            made = await keyring.create(
                body.owner,
                scopes=body.scopes,
                accounts=accounts,
                expires_in=None if body.expires_in_s is None else timedelta(seconds=body.expires_in_s),
                label=body.label,
            )
        except NoSuchOwner:
            raise ApiError.not_found("no such owner") from None
        except ForeignAccount:
            raise ApiError.not_found("no such account of that owner") from None
        except TooManyKeys as error:
            raise _conflict(str(error)) from None
        return _made(keyring, made)

    @router.get("", response_model=KeyList, responses=answers({"keys": [_EXAMPLE]}, "BAD_REQUEST"))
    async def listed(owner: Annotated[str | None, Query(max_length=64)] = None) -> dict[str, Any]:
        """Every key, or every key of an owner; also those that have ended."""
        return {"keys": [key_document(keyring, key) for key in keyring.keys(owner)]}

    @router.delete(
        "/{key_id}",
        response_model=KeyDocument,
        responses=answers({**_EXAMPLE, "state": "revoked"}, "NOT_FOUND", "NOT_READY"),
    )
    async def revoke(key_id: str) -> Document:
        """End a key for good, at once. Again is harmless."""
        try:
            return key_document(keyring, await keyring.revoke(key_id))
        except NoSuchKey:
            raise ApiError.not_found("no such key") from None

    @router.post(
        "/{key_id}/rotate",
        status_code=HTTPStatus.CREATED,
        response_model=NewKeyDocument,
        responses=answers(_NEW_EXAMPLE, "BAD_REQUEST", "NOT_FOUND", "CONFLICT", "NOT_READY", status=201),
    )
    async def rotate(key_id: str, body: RotationBody | None = None) -> JSONResponse:
        """Make a key that may do what this one may, and end this one."""
        overlap = timedelta(seconds=body.overlap_s if body is not None else 0)
        try:
            made = await keyring.rotate(key_id, overlap=overlap)
        except NoSuchKey:
            raise ApiError.not_found("no such key") from None
        except (KeyEnded, TooManyKeys) as error:
            raise _conflict(str(error)) from None
        return _made(keyring, made)

    return router


def key_document(keyring: Keyring, key: ApiKey) -> Document:
    """What may be shown of a key."""
    last_used_at = keyring.last_used_at(key)
    state = "active" if keyring.is_active(key) else "revoked" if key.revoked_at is not None else "expired"
    return {
        "id": key.id,
        "owner": key.owner,
        "label": key.label,
        "scopes": sorted(key.scopes),
        "accounts": [ALL_ACCOUNTS] if key.accounts is None else sorted(map(str, key.accounts)),
        "state": state,
        "created_at": instant_text(key.created_at),
        "expires_at": key.expires_at and instant_text(key.expires_at),
        "last_used_at": last_used_at and instant_text(last_used_at),
        "revoked_at": key.revoked_at and instant_text(key.revoked_at),
    }


def _made(keyring: Keyring, made: NewKey) -> JSONResponse:
    document = {**key_document(keyring, made.key), "api_key": made.token.text}
    return JSONResponse(document, status_code=HTTPStatus.CREATED)


def _account(desk: CommandDesk, name_or_id: str) -> UUID:
    found = desk.account_of(name_or_id)
    if found is None:
        raise ApiError.not_found("no such account of that owner")
    return found


def _conflict(message: str) -> ApiError:
    return ApiError("CONFLICT", HTTPStatus.CONFLICT, message)
