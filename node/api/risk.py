"""The risk API: kill, unlock, abort, and what became of it."""

# No postponed annotations here: FastAPI could not resolve those that name a local dependency.

import asyncio
import contextlib
import math
from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends, Header
from fastapi.responses import JSONResponse, StreamingResponse

from node.api.bodies import AbortBody, GuardBody, KillBody, UnlockBody
from node.api.errors import ApiError
from node.api.principal import Authenticator, Principal
from node.api.streams import event_stream, last_event_seq
from node.domain.command import ALL_ACCOUNTS, Action, CommandState, RejectCode
from node.domain.command import Request as CommandRequest
from node.domain.result import Document
from node.engine.ports import CommandDesk, Submission
from node.errors import NotConfirmed

IdempotencyKey = Annotated[UUID | None, Header(alias="Idempotency-Key")]


def risk_router(desk: CommandDesk, authenticate: Authenticator, stopping: asyncio.Event) -> APIRouter:
    """Routes below ``/api/v1/b2b`` for everybody whom *authenticate* recognises."""
    known = Annotated[Principal, Depends(authenticate)]
    router = APIRouter(prefix="/api/v1/b2b", tags=["risk"])

    @router.post("/risk/kill")
    async def kill(body: KillBody, principal: known, idempotency_key: IdempotencyKey = None) -> JSONResponse:
        """Lock, close or flatten an account. Answers once the command is durable; it is carried out meanwhile."""
        request = CommandRequest(
            command_id=idempotency_key or uuid4(),
            account_id=_target(desk, principal, body.account_id, several=True),
            action=body.action,
            issuer=principal.issuer,
            door=principal.door,
            symbols=tuple(sorted(set(body.symbols or ()))),
            latch=body.latch,
            dry_run=body.dry_run,
            reason=body.reason,
        )
        return await _submit(desk, request)

    @router.get("/risk/commands/{command_id}")
    async def result(command_id: UUID, _principal: known) -> JSONResponse:
        """The newest result document of a command."""
        return _document(await _existing(desk, command_id))

    @router.get("/risk/commands/{command_id}/events", response_class=StreamingResponse)
    async def events(
        command_id: UUID, _principal: known, last_event_id: Annotated[str | None, Header()] = None
    ) -> StreamingResponse:
        """A command's result documents so far, then the live ones, until its ending."""
        with contextlib.suppress(NotConfirmed):  # what has not come yet is what a stream is for
            await _existing(desk, command_id)
        return event_stream(desk.follow(command_id), stopping=stopping, after_seq=last_event_seq(last_event_id))

    @router.get("/accounts")
    async def accounts(_principal: known) -> dict[str, Any]:
        """Every account with its state and lock."""
        return {"accounts": desk.accounts()}

    @router.get("/accounts/{account_id}/lock")
    async def lock(account_id: str, _principal: known) -> JSONResponse:
        """The lock document of an account."""
        return _document(lock_of(desk, account_id))

    return router


def operator_router(desk: CommandDesk, authenticate: Authenticator) -> APIRouter:
    """Routes that only the operator has: what adds risk, and what ends a command."""
    known = Annotated[Principal, Depends(authenticate)]
    router = APIRouter(prefix="/api/v1/b2b", tags=["operator"])

    @router.post("/risk/unlock")
    async def unlock(body: UnlockBody, principal: known, idempotency_key: IdempotencyKey = None) -> JSONResponse:
        """Allow new risk again, if the epoch is the lock's own."""
        request = CommandRequest(
            command_id=idempotency_key or uuid4(),
            account_id=_target(desk, principal, body.account_id, several=False),
            action=Action.UNLOCK,
            issuer=principal.issuer,
            door=principal.door,
            reason=body.reason,
            epoch=body.epoch,
            force=body.force,
        )
        return await _submit(desk, request)

    @router.post("/risk/commands/{command_id}/abort")
    async def abort(command_id: UUID, principal: known, body: AbortBody | None = None) -> JSONResponse:
        """End a live command as failed. The lock stays."""
        reason = body.reason if body is not None else None
        submission = await desk.abort(command_id, by=principal.issuer, reason=reason)
        if submission is None:
            await _existing(desk, command_id)
            raise ApiError("CONFLICT", HTTPStatus.CONFLICT, "the command has ended already")
        return _accepted(submission, estimated_ms=submission.latency_ms)

    @router.post("/accounts/{account_id}/guard")
    async def guard(account_id: str, body: GuardBody, _principal: known) -> dict[str, Any]:
        """Set what is done about new exposure while the account is locked, until the next word."""
        found = desk.account_of(account_id)
        if found is None:
            raise ApiError.not_found("no such account")
        mode = None if body.mode == "configured" else body.mode
        return {"account_id": str(found), "guard": await desk.set_guard(found, mode)}

    return router


def lock_of(desk: CommandDesk, name_or_id: str) -> Document:
    """An account's lock document.

    Raises:
        ApiError: 404 NOT_FOUND.
    """
    account_id = desk.account_of(name_or_id)
    document = None if account_id is None else desk.lock(account_id)
    if document is None:
        raise ApiError.not_found("no such account")
    return document


async def _existing(desk: CommandDesk, command_id: UUID) -> Document:
    document = await desk.result(command_id)
    if document is None:
        raise ApiError.not_found("no such command")
    return document


def _target(desk: CommandDesk, principal: Principal, account: str, *, several: bool) -> UUID | None:
    """The account that is meant; None for all. An id nobody knows goes to the engine, which records the attempt."""
    if account == ALL_ACCOUNTS and principal.operator:
        if not several:
            raise ApiError.bad_request("account_id: UNLOCK is for one account at a time")
        return None
    try:
        return UUID(account)
    except ValueError:
        if not principal.operator:
            raise ApiError.bad_request("account_id: not a UUID") from None
    found = desk.account_of(account)
    if found is None:
        raise ApiError.not_found("no such account")
    return found


async def _submit(desk: CommandDesk, request: CommandRequest) -> JSONResponse:
    submission = await desk.submit(request)
    _raise_rejected(submission)
    return _accepted(submission, estimated_ms=_estimated_ms(desk, request, submission))


def _raise_rejected(submission: Submission) -> None:
    """Also for a duplicate of a command that was rejected: the stored answer again."""
    document = submission.document
    if submission.rejection is not None:
        raise ApiError.of_rejection(submission.rejection.code, submission.rejection.message, document)
    if document.get("state") == CommandState.REJECTED:
        error = next(iter(document.get("errors", ())), {"code": RejectCode.MALFORMED, "message": "rejected"})
        raise ApiError.of_rejection(error["code"], error["message"], document)


def _estimated_ms(desk: CommandDesk, request: CommandRequest, submission: Submission) -> float:
    """A lock has been taken by the time of the answer; closing takes what it took before."""
    if not request.action.closes:
        return submission.latency_ms
    if request.account_id is not None:
        return desk.estimated_execution_ms(request.account_id)
    ids = [UUID(account["id"]) for account in desk.accounts()]
    return max(map(desk.estimated_execution_ms, ids), default=0.0)


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
