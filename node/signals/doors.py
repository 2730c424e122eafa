"""The HTTP doors: alerts for whoever has a webhook key, keys for the operator, health for everybody."""

# No postponed annotations here: FastAPI could not resolve those that name a local dependency.

import asyncio
from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from time import perf_counter
from typing import Annotated, Any, Final

from fastapi import APIRouter, FastAPI, Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from node import __version__
from node.api.bodies import OneLine
from node.api.errors import ApiError, install_error_handlers
from node.api.guards import NoStore, SizeLimits
from node.api.openapi import DescribedApp
from node.api.principal import Authenticator
from node.api.recognised import recognised
from node.signals.desk import SignalDesk
from node.signals.keys import NAME_LENGTH_MAX, NoSuchKey, NoSuchUser, WebhookKey, WebhookKeys
from node.signals.metrics import SignalMetrics

WEBHOOK: Final = "/frontoffice/api/v3/webhook"

#: What is wrong; empty while nothing is. From memory, without I/O.
Reasons = Callable[[], list[str]]


class NewKeyBody(BaseModel):
    """``POST …/webhook/api-keys``."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: Annotated[OneLine, Field(min_length=1, max_length=NAME_LENGTH_MAX)]
    #: Whose key it is, where the configuration has several owners.
    userId: Annotated[str, Field(min_length=1, max_length=64)] | None = None  # noqa: N815  (the document's spelling)


def create_app(
    desk: SignalDesk,
    keys: WebhookKeys,
    *,
    public_url: str | None,
    operator: Authenticator | None,
    liveness: Reasons,
    readiness: Reasons,
    metrics: SignalMetrics,
) -> FastAPI:
    """Build an application; without *operator* nobody can make, list or revoke keys there."""
    app = DescribedApp(
        title="Sovereign Node: signals", version=__version__, docs_url=None, redoc_url=None, redirect_slashes=False
    )
    app.state.stopping = asyncio.Event()
    app.include_router(_alerts(desk, metrics))
    if operator is not None:
        app.include_router(_keys(keys, operator, public_url))
    app.include_router(_health(liveness, readiness))
    install_error_handlers(app)
    app.add_middleware(SizeLimits)
    app.add_middleware(NoStore)
    return app


def _alerts(desk: SignalDesk, metrics: SignalMetrics) -> APIRouter:
    router = APIRouter(prefix=f"{WEBHOOK}/alerts", tags=["alerts"])

    @router.post("/{user_id}")
    async def alert(user_id: str, request: Request) -> JSONResponse:
        """Place the order of an alert, once. The key is in the body: TradingView cannot sign, nor set a header."""
        started = perf_counter()
        # The bytes as they are, whatever the header calls them.
        body = await request.body()
        answer = await desk.alert(user_id, body, request.client.host if request.client else None)
        metrics.answer_seconds.observe(perf_counter() - started)
        return JSONResponse(answer.document, status_code=answer.status, headers=dict(answer.headers))

    return router


def _keys(keys: WebhookKeys, operator: Authenticator, public_url: str | None) -> APIRouter:
    router = APIRouter(prefix=f"{WEBHOOK}/api-keys", tags=["keys"], route_class=recognised(operator))

    @router.post("", status_code=HTTPStatus.CREATED)
    async def create(body: NewKeyBody) -> dict[str, Any]:
        """Make a key; it is shown this once, and good for a year."""
        try:
            key, text = await keys.create(body.name, body.userId)
        except NoSuchUser as error:
            raise ApiError.bad_request(f"userId: {error}") from None
        return {"id": key.id, "apiKey": text, "userId": key.owner, **_times(key, keys)}

    @router.get("")
    async def listed(user_id: Annotated[str | None, Query(alias="userId", max_length=64)] = None) -> dict[str, Any]:
        """Every key, without what would let somebody use it."""
        user = user_id or (keys.owners[0] if len(keys.owners) == 1 else None)
        url = f"{public_url or ''}{WEBHOOK}/alerts/{user or '{userId}'}"
        found = [{"id": key.id, **_times(key, keys), "userId": key.owner} for key in keys.keys(user_id)]
        return {"webhookUrl": url, "apiKeys": found}

    @router.delete("/{key_id}")
    async def revoke(key_id: str) -> dict[str, Any]:
        """End a key for good."""
        try:
            first = await keys.revoke(key_id)
        except NoSuchKey:
            raise ApiError.not_found("there is no such key") from None
        return {"success": first, "message": "API key revoked successfully" if first else "API key was revoked before"}

    return router


def _times(key: WebhookKey, keys: WebhookKeys) -> dict[str, str]:
    return {
        "name": key.name,
        "status": keys.status(key),
        "createdAt": _instant(key.created_at),
        "expiresAt": _instant(key.expires_at),
    }


def _health(liveness: Reasons, readiness: Reasons) -> APIRouter:
    router = APIRouter(tags=["health"])

    async def livez() -> JSONResponse:
        """200 while the event loop turns."""
        reasons = liveness()
        return _answer({"live": not reasons, "reasons": reasons}, healthy=not reasons)

    async def readyz() -> JSONResponse:
        """200 while alerts can be placed; a locked account is ready."""
        reasons = readiness()
        return _answer({"ready": not reasons, "reasons": reasons}, healthy=not reasons)

    for path, endpoint in (("/livez", livez), ("/readyz", readyz)):
        router.add_api_route(path, endpoint, methods=["GET", "HEAD"])
    return router


def _answer(body: dict[str, Any], *, healthy: bool) -> JSONResponse:
    return JSONResponse(body, status_code=HTTPStatus.OK if healthy else HTTPStatus.SERVICE_UNAVAILABLE)


def _instant(at: datetime) -> str:
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")
