"""The HTTP application: one for the operator's socket, one for the public listener."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any, Final

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import JSONResponse, StreamingResponse

from node import __version__
from node.api.console_pages import console_router
from node.api.documents import Health, LockDocument
from node.api.errors import ApiError, install_error_handlers
from node.api.guards import NoStore, SizeLimits, require_local_peer
from node.api.keyring import Keyring
from node.api.keys import keys_router
from node.api.node_routes import node_router
from node.api.openapi import EXAMPLE_LOCK, DescribedApp, Responses, answers, stream_answers
from node.api.operator_access import OperatorAccess, operator_or, session_router
from node.api.principal import Authenticator, operator_of_socket
from node.api.risk import AccountRef, lock_of, operator_router, risk_router
from node.api.streams import event_stream
from node.domain.account_state import AccountState
from node.engine.ports import CommandDesk

#: What keeps the process from being called alive; empty while all is well. From memory, without I/O.
Liveness = Callable[[], Sequence[str]]

_DESCRIPTION: Final = (
    "Carries out risk commands on exchange accounts: CLOSE_ALL, FLATTEN, LOCK. Every refusal has the same shape, and a "
    "`code` that does not change; its `message` is for people and may."
)
_HEALTH_ANSWERS: Final[Responses] = {
    int(HTTPStatus.OK): {"content": {"application/json": {"example": {"ready": True, "reasons": []}}}},
    int(HTTPStatus.SERVICE_UNAVAILABLE): {
        "model": Health,
        "content": {"application/json": {"example": {"ready": False, "reasons": ["journal: cannot be written"]}}},
    },
}


_OF_ROLES: Final = ("BAD_REQUEST", "UNAUTHORIZED", "NOT_FOUND")
EXAMPLE_ROLE: Final = {"account_id": EXAMPLE_LOCK["account_id"], "state": "locked", "locked": True, "reasons": []}


def create_app(
    desk: CommandDesk,
    *,
    operator: bool,
    authenticate: Authenticator | None = None,
    access: OperatorAccess | None = None,
    keyring: Keyring | None = None,
    liveness: Liveness = tuple,
) -> FastAPI:
    """Build an application.

    Args:
        desk: What carries out and answers.
        operator: For the operator's socket: everything, without a key.
        authenticate: Recognises callers of the risk API on the public listener; without it, *access* and *operator*
            only health and locks are served.
        access: Recognises the operator on the public listener, where that is wanted.
        keyring: The API keys, for the operator to manage.
        liveness: Reasons against being alive.

    ``app.state.stopping`` is an event: once set, streams end.
    """
    app = DescribedApp(
        title="Sovereign Node",
        version=__version__,
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    stopping = asyncio.Event()
    app.state.stopping = stopping
    recognise = operator_of_socket if operator else authenticate
    the_operator: Authenticator | None = operator_of_socket if operator else access
    if access is not None and not operator:
        recognise = operator_or(access, authenticate)
    if recognise is not None:
        named = the_operator is not None
        app.include_router(risk_router(desk, recognise, stopping, keyed=not operator, operator=named))
    if the_operator is not None:
        app.include_router(operator_router(desk, the_operator))
        app.include_router(node_router(desk, the_operator))
        app.include_router(session_router(None if operator else access, the_operator))
        app.include_router(console_router())
        if keyring is not None:
            app.include_router(keys_router(keyring, desk, the_operator))
    app.include_router(_locks_router(desk, stopping))
    app.include_router(_health_router(desk, liveness))
    install_error_handlers(app)
    app.add_middleware(SizeLimits)
    app.add_middleware(NoStore)
    return app


def _locks_router(desk: CommandDesk, stopping: asyncio.Event) -> APIRouter:
    router = APIRouter(prefix="/api/v1/locks", tags=["locks"], dependencies=[Depends(require_local_peer)])
    refusals = ("UNAUTHORIZED", "NOT_FOUND")

    @router.get("/{account_id}", response_model=LockDocument, responses=answers(EXAMPLE_LOCK, *refusals))
    async def lock(account_id: AccountRef) -> JSONResponse:
        """The lock document of an account. Stale, missing or unreadable means locked."""
        return JSONResponse(lock_of(desk, account_id))

    @router.get(
        "/{account_id}/events", response_class=StreamingResponse, responses=stream_answers(EXAMPLE_LOCK, *refusals)
    )
    async def events(account_id: AccountRef) -> StreamingResponse:
        """The lock document now, at every change, and whenever it is refreshed."""
        lock_of(desk, account_id)
        account = desk.account_of(account_id)
        assert account is not None  # noqa: S101  (lock_of has found it)
        return event_stream(desk.follow_lock(account), stopping=stopping)

    return router


def _health_router(desk: CommandDesk, liveness: Liveness) -> APIRouter:
    """``/livez``: the process turns. ``/readyz``: it can do its work. ``/healthz``: both, for people."""
    router = APIRouter(tags=["health"])

    async def livez() -> JSONResponse:
        """200 while the event loop turns; a supervisor restarts the process otherwise."""
        reasons = list(liveness())
        return _health({"live": not reasons, "reasons": reasons}, healthy=not reasons)

    async def readyz() -> JSONResponse:
        """200 while commands can be carried out; a locked account is ready."""
        status = desk.status()
        body = {"ready": status["ready"], "reasons": status.get("reasons", [])}
        return _health(body, healthy=bool(status["ready"]))

    async def healthz() -> JSONResponse:
        """Liveness and readiness in one answer."""
        status, against = desk.status(), list(liveness())
        reasons = [*against, *status.get("reasons", [])]
        body = {"live": not against, "ready": status["ready"], "reasons": reasons, "version": __version__}
        return _health(body, healthy=not against and bool(status["ready"]))

    async def account(account_id: AccountRef, role: AccountState, request: Request) -> JSONResponse:
        """200 if the account (id or name) is in this state, 503 if it is in another, 404 if there is none: the code
        alone tells. On this machine only."""
        await require_local_peer(request)
        shown = next((each for each in desk.accounts() if account_id in (each["id"], each["name"])), None)
        if shown is None:
            raise ApiError.not_found(f"no such account: {account_id}")
        state, fits = shown["state"], shown["state"] == role
        # Why it is degraded is the operator's: nobody has shown a key here.
        body = {"account_id": shown["id"], "state": state, "locked": bool(shown["lock"]["locked"])}
        return _health({**body, "reasons": [] if fits else [f"the account is {state}"]}, healthy=fits)

    of_account = "/healthz/accounts/{account_id}/{role}"
    for path, endpoint in (("/livez", livez), ("/readyz", readyz), ("/healthz", healthz)):
        router.add_api_route(path, endpoint, methods=["GET"], response_model=Health, responses=_HEALTH_ANSWERS)
        router.add_api_route(path, endpoint, methods=["HEAD"], include_in_schema=False)
    router.add_api_route(
        of_account,
        account,
        methods=["GET"],
        responses=_HEALTH_ANSWERS | answers(EXAMPLE_ROLE, *_OF_ROLES),
    )
    router.add_api_route(of_account, account, methods=["HEAD"], include_in_schema=False)
    return router


def _health(body: dict[str, Any], *, healthy: bool) -> JSONResponse:
    return JSONResponse(body, status_code=HTTPStatus.OK if healthy else HTTPStatus.SERVICE_UNAVAILABLE)
