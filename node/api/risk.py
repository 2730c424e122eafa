"""The risk API: kill, unlock, abort, and what became of it."""

# No postponed annotations here: FastAPI could not resolve those that name a local dependency.

import asyncio
import contextlib
import math
from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import APIRouter, Body, Header, Path, Security
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import WithJsonSchema

from node.api.bodies import AbortBody, GuardBody, KeyedKillBody, KillBody, UnlockBody
from node.api.documents import AccountList, GuardAnswer, KillAnswer, LockDocument, ResultDocument
from node.api.errors import ApiError
from node.api.openapi import (
    EXAMPLE_ACCEPTED,
    EXAMPLE_ACCOUNT,
    EXAMPLE_ACCOUNTS,
    EXAMPLE_COMMAND,
    EXAMPLE_KILLS,
    EXAMPLE_LOCK,
    EXAMPLE_RESULT,
    KEY_SCHEME,
    OF_KEYS,
    answers,
    stream_answers,
)
from node.api.principal import Authenticator, Principal
from node.api.recognised import Caller, recognised
from node.api.streams import OpenStreams, event_stream, last_event_seq
from node.domain.command import ALL_ACCOUNTS, Action, CommandState, RejectCode
from node.domain.command import Request as CommandRequest
from node.domain.result import Document
from node.engine.ports import CommandDesk, Submission
from node.errors import NotConfirmed

IdempotencyKey = Annotated[
    UUID | None,
    WithJsonSchema({"type": "string", "format": "uuid"}),  # it may be left out; the text "null" is none
    Header(alias="Idempotency-Key", description="Becomes the command's id: sent again, it acts once."),
]
CommandId = Annotated[UUID, Path(examples=[EXAMPLE_COMMAND])]
AccountRef = Annotated[str, Path(examples=[EXAMPLE_ACCOUNT])]

_REFUSED_COMMAND = ("BAD_REQUEST", "NOT_FOUND", "CONFLICT", "FORBIDDEN")
_UNREADABLE = "NOT_READY"


def risk_router(
    desk: CommandDesk, authenticate: Authenticator, stopping: asyncio.Event, *, keyed: bool, operator: bool
) -> APIRouter:
    """Routes below ``/api/v1/b2b`` for everybody whom *authenticate* recognises: by API keys, if *keyed*; and the
    *operator*, who may name accounts.
    """
    gate = OF_KEYS if keyed else ("RATE_LIMITED",)
    streams = OpenStreams()
    router = APIRouter(
        prefix="/api/v1/b2b",
        tags=["risk"],
        route_class=recognised(authenticate),
        dependencies=[Security(KEY_SCHEME)] if keyed else [],
    )
    kill_options: dict[str, Any] = {
        "response_model": KillAnswer,
        "responses": answers(EXAMPLE_ACCEPTED, *gate, *_REFUSED_COMMAND, "TIMEOUT", command=True, rates=keyed),
    }

    async def carry_out(body: KillBody, caller: Principal, command_id: UUID | None) -> JSONResponse:
        if body.action not in caller.actions:
            raise ApiError("FORBIDDEN", HTTPStatus.FORBIDDEN, f"the key may not {body.action}")
        request = CommandRequest(
            command_id=command_id or uuid4(),
            account_id=_target(desk, caller, body.account_id, several=True),
            action=body.action,
            issuer=caller.issuer,
            door=caller.door,
            symbols=tuple(sorted(set(getattr(body, "symbols", None) or ()))),
            latch=getattr(body, "latch", None),
            dry_run=body.dry_run,
            reason=body.reason,
        )
        return await _submit(desk, request, caller)

    if not operator:

        @router.post("/risk/kill", **kill_options)
        async def kill(
            body: Annotated[KeyedKillBody, Body(discriminator="action", openapi_examples=EXAMPLE_KILLS)],
            caller: Caller,
            idempotency_key: IdempotencyKey = None,
        ) -> JSONResponse:
            """Lock, close or flatten an account. Answers once the command is durable; it is carried out meanwhile."""
            return await carry_out(body, caller, idempotency_key)

    else:

        @router.post("/risk/kill", **kill_options)
        async def kill_named(
            body: Annotated[KillBody, Body(discriminator="action", openapi_examples=EXAMPLE_KILLS)],
            caller: Caller,
            idempotency_key: IdempotencyKey = None,
        ) -> JSONResponse:
            """The same, for the operator of accounts by id or name, or ``*`` for all."""
            return await carry_out(body, caller, idempotency_key)

    @router.get(
        "/risk/commands/{command_id}",
        response_model=ResultDocument,
        responses=answers(EXAMPLE_RESULT, *gate, "BAD_REQUEST", "NOT_FOUND", _UNREADABLE, "TIMEOUT", rates=keyed),
    )
    async def result(command_id: CommandId, caller: Caller) -> JSONResponse:
        """The newest result document of a command."""
        return _document(await _existing(desk, command_id, caller))

    @router.get(
        "/risk/commands/{command_id}/events",
        response_class=StreamingResponse,
        responses=stream_answers(EXAMPLE_RESULT, *gate, "BAD_REQUEST", "NOT_FOUND", _UNREADABLE, rates=keyed),
    )
    async def events(
        command_id: CommandId, caller: Caller, last_event_id: Annotated[str | None, Header()] = None
    ) -> StreamingResponse:
        """A command's result documents so far, then the live ones, until its ending."""
        with contextlib.suppress(NotConfirmed):  # what has not come yet is what a stream is for
            await _existing(desk, command_id, caller)
        streams.require(caller.issuer)
        documents = streams.counted(caller.issuer, desk.follow(command_id))
        after = last_event_seq(last_event_id)
        return event_stream(documents, stopping=stopping, after_seq=after, welcome=caller.welcome)

    @router.get(
        "/accounts",
        response_model=AccountList,
        responses=answers(EXAMPLE_ACCOUNTS, *gate, rates=keyed),
    )
    async def accounts(caller: Caller) -> JSONResponse:
        """The caller's accounts, each with its state and lock."""
        return JSONResponse({"accounts": [found for found in desk.accounts() if caller.reaches(UUID(found["id"]))]})

    @router.get(
        "/accounts/{account_id}/lock",
        response_model=LockDocument,
        responses=answers(EXAMPLE_LOCK, *gate, "NOT_FOUND", rates=keyed),
    )
    async def lock(account_id: AccountRef, caller: Caller) -> JSONResponse:
        """The lock document of an account."""
        return _document(lock_of(desk, account_id, caller))

    return router


def operator_router(desk: CommandDesk, authenticate: Authenticator) -> APIRouter:
    """Routes that only the operator has: what adds risk, and what ends a command."""
    router = APIRouter(prefix="/api/v1/b2b", tags=["operator"], route_class=recognised(authenticate))

    @router.post(
        "/risk/unlock",
        response_model=KillAnswer,
        responses=answers(
            {**EXAMPLE_ACCEPTED, "action": "UNLOCK"},
            *_REFUSED_COMMAND,
            "STALE_EPOCH",
            "BUSY",
            "NOT_READY",
            "TIMEOUT",
            command=True,
        ),
    )
    async def unlock(body: UnlockBody, caller: Caller, idempotency_key: IdempotencyKey = None) -> JSONResponse:
        """Allow new risk again, if the epoch is the lock's own."""
        request = CommandRequest(
            command_id=idempotency_key or uuid4(),
            account_id=_target(desk, caller, body.account_id, several=False),
            action=Action.UNLOCK,
            issuer=caller.issuer,
            door=caller.door,
            reason=body.reason,
            epoch=body.epoch,
            force=body.force,
        )
        return await _submit(desk, request, caller)

    @router.post(
        "/risk/commands/{command_id}/abort",
        response_model=KillAnswer,
        responses=answers(
            EXAMPLE_ACCEPTED, "BAD_REQUEST", "NOT_FOUND", "CONFLICT", "NOT_READY", "NOT_AVAILABLE", command=True
        ),
    )
    async def abort(command_id: CommandId, caller: Caller, body: AbortBody | None = None) -> JSONResponse:
        """End a live command as failed. The lock stays."""
        reason = body.reason if body is not None else None
        submission = await desk.abort(command_id, by=caller.issuer, reason=reason)
        if submission is None:
            await _existing(desk, command_id, caller)
            raise ApiError("CONFLICT", HTTPStatus.CONFLICT, "the command has ended already")
        return _accepted(submission, estimated_ms=submission.latency_ms)

    @router.post(
        "/accounts/{account_id}/guard",
        response_model=GuardAnswer,
        responses=answers(
            {"account_id": EXAMPLE_ACCOUNT, "guard": {"active": True, "after_lock": "revert"}},
            "BAD_REQUEST",
            "NOT_FOUND",
            "NOT_AVAILABLE",
        ),
    )
    async def guard(account_id: AccountRef, body: GuardBody, _caller: Caller) -> JSONResponse:
        """Set what is done about new exposure while the account is locked, until the next word."""
        found = desk.account_of(account_id)
        if found is None:
            raise ApiError.not_found("no such account")
        mode = None if body.mode == "configured" else body.mode
        return JSONResponse({"account_id": str(found), "guard": await desk.set_guard(found, mode)})

    return router


def lock_of(desk: CommandDesk, name_or_id: str, caller: Principal | None = None) -> Document:
    """An account's lock document; an account that the caller does not reach is as if there were none.

    Raises:
        ApiError: 404 NOT_FOUND.
    """
    account_id = desk.account_of(name_or_id)
    hidden = account_id is None or (caller is not None and not caller.reaches(account_id))
    document = None if account_id is None or hidden else desk.lock(account_id)
    if document is None:
        raise ApiError.not_found("no such account")
    return document


async def _existing(desk: CommandDesk, command_id: UUID, caller: Principal) -> Document:
    """A command's newest document; one for an account that the caller does not reach is as if there were none."""
    try:
        document = await desk.result(command_id)
    except NotConfirmed as error:
        if not _may_see(caller, error.account_id):
            raise ApiError.not_found("no such command") from None
        raise
    account = None if document is None or document["account_id"] == ALL_ACCOUNTS else UUID(document["account_id"])
    if document is None or not _may_see(caller, account):
        raise ApiError.not_found("no such command")
    return document


def _may_see(caller: Principal, account_id: UUID | None) -> bool:
    """The parent of a ``*`` command (None) names accounts of several owners: only the operator sees it."""
    return caller.accounts is None or (account_id is not None and caller.reaches(account_id))


def _target(desk: CommandDesk, caller: Principal, account: str, *, several: bool) -> UUID | None:
    """The account that is meant; None for all. An id that the caller does not reach goes to the engine all the same,
    which records the attempt and answers as for an id that nobody has.
    """
    if account == ALL_ACCOUNTS and caller.operator:
        if not several:
            raise ApiError.bad_request("account_id: UNLOCK is for one account at a time")
        return None
    try:
        return UUID(account)
    except ValueError:
        if not caller.operator:
            raise ApiError.bad_request("account_id: not a UUID") from None
    found = desk.account_of(account)
    if found is None:
        raise ApiError.not_found("no such account")
    return found


async def _submit(desk: CommandDesk, request: CommandRequest, caller: Principal) -> JSONResponse:
    submission = await desk.submit(request)
    _raise_rejected(submission, caller)
    return _accepted(submission, estimated_ms=_estimated_ms(desk, request, submission))


def _raise_rejected(submission: Submission, caller: Principal) -> None:
    """Also for a duplicate of a command that was rejected: the stored answer again.

    The holder of a key is told the reason only: the document tells of the account that was named.
    """
    document = submission.document if caller.operator else None
    if submission.rejection is not None:
        raise ApiError.of_rejection(submission.rejection.code, submission.rejection.message, document)
    if submission.document.get("state") == CommandState.REJECTED:
        errors = submission.document.get("errors", ())
        error = next(iter(errors), {"code": RejectCode.MALFORMED, "message": "rejected"})
        raise ApiError.of_rejection(error["code"], error["message"], document)


def _estimated_ms(desk: CommandDesk, request: CommandRequest, submission: Submission) -> float:
    """A lock has been taken by the time of the answer; closing takes what it took before."""
    if not request.action.closes:
        return submission.latency_ms
    if request.account_id is not None:
        return desk.estimated_execution_ms(request.account_id, request.action)
    ids = [UUID(account["id"]) for account in desk.accounts()]
    return max((desk.estimated_execution_ms(each, request.action) for each in ids), default=0.0)


def _accepted(submission: Submission, *, estimated_ms: float) -> JSONResponse:
    document = submission.document
    body = {
        "success": True,
        "command_id": document["command_id"],
        "action": document["action"],
        "account_id": document["account_id"],
        "estimated_execution": f"{math.ceil(estimated_ms)}ms",
        "latency_ms": round(submission.latency_ms, 3),
        "result": document,
    }
    headers = _journal_headers(document)
    if submission.duplicate:
        headers["Idempotency-Replayed"] = "true"
    return JSONResponse(body, headers=headers)


def _document(document: Document) -> JSONResponse:
    return JSONResponse(document, headers=_journal_headers(document))


def _journal_headers(document: Document) -> dict[str, str]:
    """Says aloud what the document says: nothing on disk knows of this command."""
    return {"X-Journaled": "false"} if document.get("unjournaled") else {}
