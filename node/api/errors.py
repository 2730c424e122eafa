"""What goes wrong at the HTTP door, in the contract's shape."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from node.domain.command import Action, RejectCode
from node.domain.result import Document
from node.errors import JournalUnavailable, SovereignError

#: Reject codes of the engine to those of the HTTP contract; the rest is the sender's fault: BAD_REQUEST.
_OF_REJECT_CODE: Final[dict[str, tuple[str, HTTPStatus]]] = {
    RejectCode.UNKNOWN_ACCOUNT: ("NOT_FOUND", HTTPStatus.NOT_FOUND),
    RejectCode.FORBIDDEN: ("FORBIDDEN", HTTPStatus.FORBIDDEN),
    RejectCode.CONFLICT: ("CONFLICT", HTTPStatus.CONFLICT),
    RejectCode.STALE_EPOCH: ("STALE_EPOCH", HTTPStatus.CONFLICT),
    RejectCode.BUSY: ("BUSY", HTTPStatus.CONFLICT),
    RejectCode.NOT_READY: ("NOT_READY", HTTPStatus.SERVICE_UNAVAILABLE),
}
_BAD_REQUEST: Final = ("BAD_REQUEST", HTTPStatus.BAD_REQUEST)

#: UNLOCK has a route of its own.
_ACTIONS: Final = tuple(action for action in Action if action is not Action.UNLOCK)

#: What the framework itself raises.
_OF_STATUS: Final = {
    HTTPStatus.UNAUTHORIZED: "UNAUTHORIZED",
    HTTPStatus.FORBIDDEN: "FORBIDDEN",
    HTTPStatus.NOT_FOUND: "NOT_FOUND",
    HTTPStatus.METHOD_NOT_ALLOWED: "METHOD_NOT_ALLOWED",
}


class ApiError(Exception):
    """An answer that is not what was asked for."""

    def __init__(
        self,
        code: str,
        status: int,
        message: str,
        *,
        result: Document | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code, self.status, self.message, self.result = code, status, message, result
        self.headers = dict(headers or {})

    @classmethod
    def not_found(cls, message: str) -> ApiError:
        """404 NOT_FOUND."""
        return cls("NOT_FOUND", HTTPStatus.NOT_FOUND, message)

    @classmethod
    def bad_request(cls, message: str) -> ApiError:
        """400 BAD_REQUEST."""
        return cls("BAD_REQUEST", HTTPStatus.BAD_REQUEST, message)

    @classmethod
    def of_rejection(cls, code: str, message: str, result: Document | None) -> ApiError:
        """The engine's refusal, with the document that tells it where the caller may see that."""
        http_code, status = _OF_REJECT_CODE.get(code, _BAD_REQUEST)
        return cls(http_code, status, message, result=result)


def error_body(code: str, message: str, result: Document | None = None) -> dict[str, Any]:
    """The contract's error document."""
    body: dict[str, Any] = {"success": False, "error": {"code": code, "message": message}}
    if result is not None:
        body["result"] = result
    return body


def install_error_handlers(app: FastAPI) -> None:
    """Every failure leaves in the contract's shape; what nobody foresaw says INTERNAL and nothing else."""
    app.add_exception_handler(ApiError, _api_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _framework_error)
    app.add_exception_handler(SovereignError, _own_error)
    app.add_exception_handler(Exception, _unforeseen)


def _answer(
    code: str,
    status: int,
    message: str,
    result: Document | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    return JSONResponse(error_body(code, message, result), status_code=status, headers=headers)


async def _api_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ApiError)  # noqa: S101  (narrows the type of Starlette's handler)
    return _answer(error.code, error.status, error.message, error.result, error.headers)


async def _validation_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101  (as above)
    fault = error.errors()[0]
    if fault["type"] == "json_invalid":
        return _answer(*_BAD_REQUEST, "the body is not JSON")
    if fault["type"].startswith("union_tag"):
        return _answer(*_BAD_REQUEST, f"action: one of {', '.join(_ACTIONS)}")
    # A union's member is named by its tag: that is no place in what was sent.
    place = ".".join(str(part) for part in fault["loc"][1:] if part not in list(Action))
    reason = str(fault["msg"]).removeprefix("Value error, ")
    return _answer(*_BAD_REQUEST, f"{place}: {reason}" if place else reason)


async def _framework_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101  (as above)
    code = _OF_STATUS.get(HTTPStatus(error.status_code), "BAD_REQUEST")
    status = error.status_code if code != "BAD_REQUEST" else HTTPStatus.BAD_REQUEST
    return JSONResponse(error_body(code, str(error.detail)), status_code=status, headers=error.headers)


async def _own_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, SovereignError)  # noqa: S101  (as above)
    if isinstance(error, JournalUnavailable):
        return _answer("NOT_READY", HTTPStatus.SERVICE_UNAVAILABLE, str(error))
    return _answer("INTERNAL", HTTPStatus.INTERNAL_SERVER_ERROR, "the node failed: its log says why")


async def _unforeseen(_request: Request, _error: Exception) -> JSONResponse:
    answer = _answer("INTERNAL", HTTPStatus.INTERNAL_SERVER_ERROR, "the node failed: its log says why")
    answer.headers["Cache-Control"] = "no-store"  # this one leaves outside of all middleware
    return answer
