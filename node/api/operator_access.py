"""The operator at the HTTP listener: a token for programs, a session for browsers."""

# No postponed annotations here: FastAPI could not resolve those that name a local dependency.

import hmac
import math
import re
from http import HTTPStatus
from typing import Annotated, Final

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from node.api.errors import ApiError
from node.api.openapi import answers
from node.api.origins import Origins
from node.api.principal import Authenticator, Need, Principal
from node.api.recognised import recognised
from node.api.sessions import Failures, Sessions, SessionTerms, csrf_token, digest
from node.clock import Clock
from node.domain.command import OPERATOR, Door

#: A token is made by a program, not by a head: ``openssl rand -hex 32``.
TOKEN_LENGTH_MIN: Final = 32
CSRF_HEADER: Final = "X-CSRF-Token"

_COOKIE: Final = "sn_session"
#: Browsers take a cookie of this prefix only over TLS, for this host alone, and for no single path.
_SECURE_COOKIE: Final = "__Host-sn_session"
_BEARER: Final = re.compile(r"Bearer +(\S+) *", re.IGNORECASE)
_SAFE_METHODS: Final = ("GET", "HEAD")

_REFUSALS: Final = ("UNAUTHORIZED", "FORBIDDEN")
_EXAMPLE_SESSION: Final = {"by": "session", "csrf_token": "…", "idle_left_s": 900.0, "life_left_s": 14_400.0}

log = structlog.get_logger(__name__)


class SignIn(BaseModel):
    """``POST /api/v1/operator/session``."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    token: Annotated[SecretStr, Field(min_length=1, max_length=1024)]


class SessionState(BaseModel):
    """What a page must know of its session."""

    #: ``session``: by cookie. ``token``: a program's. ``socket``: whoever may open the operator's socket.
    by: str
    #: To be sent as ``X-CSRF-Token`` with every request that changes something; None where none is needed.
    csrf_token: str | None = None
    #: Until it ends if nobody touches the page, and in any case.
    idle_left_s: float | None = None
    life_left_s: float | None = None


class OperatorAccess:
    """Recognises the operator. An ``Authenticator``."""

    def __init__(self, token: SecretStr, terms: SessionTerms, clock: Clock, origins: Origins) -> None:
        self._token = digest(token.get_secret_value())
        self._failures = Failures(clock)
        self.origins = origins
        self.sessions = Sessions(terms, clock)

    def claimed(self, request: Request) -> bool:
        """Whether a request says that it is the operator's."""
        return "authorization" in request.headers or self.session_id(request) is not None

    async def __call__(self, request: Request, _need: Need) -> Principal:
        """The operator.

        Raises:
            ApiError: 401 UNAUTHORIZED, 403 FORBIDDEN (another site's page), 429 RATE_LIMITED.
        """
        if "authorization" in request.headers:
            bearer = _BEARER.fullmatch(request.headers["authorization"])
            self.check_token(request, bearer.group(1) if bearer else "")
            return Principal(issuer=OPERATOR, door=Door.HTTP, operator=True)
        session_id = self.require_session(request)
        return Principal(
            issuer=OPERATOR,
            door=Door.HTTP,
            operator=True,
            welcome=lambda: self.sessions.find(session_id) is not None,
        )

    def check_token(self, request: Request, token: str) -> None:
        """Compare in constant time.

        Raises:
            ApiError: 401 UNAUTHORIZED, 429 RATE_LIMITED.
        """
        peer = request.client.host if request.client else ""
        if (wait_s := self._failures.wait_s(peer)) > 0:
            raise ApiError(
                "RATE_LIMITED",
                HTTPStatus.TOO_MANY_REQUESTS,
                "too many wrong tokens from this address",
                headers={"Retry-After": str(math.ceil(wait_s))},
            )
        if not hmac.compare_digest(digest(token), self._token):
            self._failures.note(peer)
            log.warning("operator_token_wrong", peer=peer)
            raise _unauthorized("not the operator's token")
        self._failures.forgive(peer)

    def session_id(self, request: Request) -> str | None:
        """What the browser's cookie says."""
        return request.cookies.get(self._cookie(request))

    def require_session(self, request: Request) -> str:
        """The id of a live session, of one of our own pages.

        Raises:
            ApiError: 401 UNAUTHORIZED, 403 FORBIDDEN.
        """
        self.origins.require(request)
        session_id = self.session_id(request)
        if session_id is None or self.sessions.find(session_id) is None:
            raise _unauthorized("sign in, or send the operator's token")
        if request.method not in _SAFE_METHODS:
            shown = request.headers.get(CSRF_HEADER, "")
            if not hmac.compare_digest(shown.encode(), csrf_token(session_id).encode()):
                raise ApiError("FORBIDDEN", HTTPStatus.FORBIDDEN, f"{CSRF_HEADER}: not this session's")
            self.sessions.touch(session_id)  # polling is no sign of life, acting is
        return session_id

    def state(self, session_id: str) -> SessionState:
        """Of a live session."""
        session = self.sessions.find(session_id)
        idle_s, life_s = (0.0, 0.0) if session is None else self.sessions.left_s(session)
        return SessionState(
            by="session",
            csrf_token=csrf_token(session_id),
            idle_left_s=round(idle_s, 1),
            life_left_s=round(life_s, 1),
        )

    def set_cookie(self, request: Request, answer: JSONResponse, session_id: str) -> None:
        """Hand the session to the browser; to its pages it stays unreadable."""
        answer.set_cookie(
            self._cookie(request),
            session_id,
            max_age=math.ceil(self.sessions.terms.life_s),
            path="/",
            secure=self.origins.secure(request),
            httponly=True,
            samesite="strict",
        )

    def delete_cookie(self, request: Request, answer: JSONResponse) -> None:
        """Take it back."""
        secure = self.origins.secure(request)
        answer.delete_cookie(self._cookie(request), path="/", secure=secure, httponly=True, samesite="strict")

    def _cookie(self, request: Request) -> str:
        return _SECURE_COOKIE if self.origins.secure(request) else _COOKIE


def operator_or(access: OperatorAccess, others: Authenticator | None) -> Authenticator:
    """Who brings an API key, or nothing, is the others' business; who claims to be the operator must be."""

    async def recognise(request: Request, need: Need) -> Principal:
        if others is None or ("x-api-key" not in request.headers and access.claimed(request)):
            return await access(request, need)
        return await others(request, need)

    return recognise


def session_router(access: OperatorAccess | None, authenticate: Authenticator) -> APIRouter:
    """Sign in, look, stay, sign out. Without *access* (at the socket) there is nothing to sign in to."""
    router = APIRouter(prefix="/api/v1/operator/session", tags=["operator"])
    looking = APIRouter(prefix="/api/v1/operator/session", tags=["operator"], route_class=recognised(authenticate))

    @looking.get("", responses=answers(_EXAMPLE_SESSION, *_REFUSALS))
    async def state(request: Request) -> SessionState:
        """How the sender is recognised, and for how long."""
        if access is None:
            return SessionState(by="socket")
        session_id = None if "authorization" in request.headers else access.session_id(request)
        return SessionState(by="token") if session_id is None else access.state(session_id)

    if access is None:
        return looking

    @router.post(
        "", response_model=SessionState, responses=answers(_EXAMPLE_SESSION, "BAD_REQUEST", "RATE_LIMITED", *_REFUSALS)
    )
    async def sign_in(request: Request, body: SignIn) -> JSONResponse:
        """Exchange the token for a session: a cookie, and what the page must show beside it."""
        access.origins.require(request)
        access.check_token(request, body.token.get_secret_value())
        session_id = access.sessions.open()
        log.info("operator_signed_in", peer=request.client.host if request.client else "")
        answer = JSONResponse(access.state(session_id).model_dump())
        access.set_cookie(request, answer, session_id)
        return answer

    @router.post("/renew", responses=answers(_EXAMPLE_SESSION, *_REFUSALS))
    async def renew(request: Request) -> SessionState:
        """Somebody is before the page: the idle time begins anew."""
        return access.state(access.require_session(request))

    @router.delete("", responses=answers({"success": True}, *_REFUSALS))
    async def sign_out(request: Request) -> JSONResponse:
        """End the session."""
        access.sessions.close(access.require_session(request))
        answer = JSONResponse({"success": True})
        access.delete_cookie(request, answer)
        return answer

    both = APIRouter()
    both.include_router(looking)
    both.include_router(router)
    return both


def _unauthorized(message: str) -> ApiError:
    return ApiError("UNAUTHORIZED", HTTPStatus.UNAUTHORIZED, message)
