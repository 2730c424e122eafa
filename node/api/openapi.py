"""What the description of the interface says beside the shapes: refusals, headers, examples."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI
from fastapi.security import APIKeyHeader

from node.api.documents import ErrorBody
from node.api.errors import error_body
from node.domain.result import Document

Responses = dict[int | str, dict[str, Any]]

#: The code, its status, an example of its message.
_REFUSALS: Final[dict[str, tuple[HTTPStatus, str]]] = {
    "BAD_REQUEST": (HTTPStatus.BAD_REQUEST, "account_id: not a UUID"),
    "UNAUTHORIZED": (HTTPStatus.UNAUTHORIZED, "X-API-Key is missing"),
    "INVALID_KEY": (HTTPStatus.UNAUTHORIZED, "no such API key"),
    "KEY_REVOKED": (HTTPStatus.FORBIDDEN, "the API key has been revoked"),
    "FORBIDDEN": (HTTPStatus.FORBIDDEN, "there is no active subscription"),
    "NOT_FOUND": (HTTPStatus.NOT_FOUND, "no such account at this node"),
    "CONFLICT": (HTTPStatus.CONFLICT, "the command id was used for something else"),
    "STALE_EPOCH": (HTTPStatus.CONFLICT, "the lock has changed since"),
    "BUSY": (HTTPStatus.CONFLICT, "command 4d3c0f2e-8f3b-4a57-9f0e-2b8f1c1d9a10 is live"),
    "RATE_LIMITED": (HTTPStatus.TOO_MANY_REQUESTS, "the key has used up its requests of this minute"),
    "INTERNAL": (HTTPStatus.INTERNAL_SERVER_ERROR, "the node failed: its log says why"),
    "NOT_READY": (HTTPStatus.SERVICE_UNAVAILABLE, "the journal cannot be read"),
    "NOT_AVAILABLE": (HTTPStatus.NOT_IMPLEMENTED, "abort is not available through a gateway"),
    "TIMEOUT": (HTTPStatus.GATEWAY_TIMEOUT, "no node has confirmed the command: ask for its result by its id"),
}
_OF_ALL: Final = ("INTERNAL",)
#: What the gate in front of a key's routes may say.
OF_KEYS: Final = ("UNAUTHORIZED", "INVALID_KEY", "KEY_REVOKED", "RATE_LIMITED", "FORBIDDEN")

_RATE_HEADERS: Final = {
    "X-RateLimit-Limit": "Requests a minute.",
    "X-RateLimit-Remaining": "How many are left in the window that ends now.",
    "X-RateLimit-Reset": "Seconds until the oldest request leaves the window, and one more is allowed.",
}
_COMMAND_HEADERS: Final = {
    "X-Journaled": "`false`: the command is carried out although it could not be written to disk. Else absent.",
    "Idempotency-Replayed": "`true`: this is the stored answer to an earlier request. Else absent.",
}

#: Shown in the description; the gate itself reads the header.
KEY_SCHEME: Final = APIKeyHeader(name="X-API-Key", scheme_name="ApiKey", auto_error=False)

EXAMPLE_ACCOUNT: Final = "6b0c8d1e-5f0a-4c52-9a1e-3d0f6f1d2a77"
EXAMPLE_COMMAND: Final = "4d3c0f2e-8f3b-4a57-9f0e-2b8f1c1d9a10"
EXAMPLE_INSTANT: Final = "2026-11-20T10:00:00.161Z"
EXAMPLE_LOCK: Final = {
    "schema": "sovereign-node/lock/1",
    "node_id": "node-1",
    "account_id": EXAMPLE_ACCOUNT,
    "locked": True,
    "epoch": 8,
    "since": EXAMPLE_INSTANT,
    "by": "key:k3v9q2m4x7ab",
    "reason": None,
    "valid_until": "2026-11-20T10:00:10.161Z",
    "boot_id": "5f1c7f0e-64c1-4d5e-8f5c-0d1d1d7c9a11",
    "valid_until_boottime_ns": 81_364_000_000_000,
}
EXAMPLE_RESULT: Final = {
    "schema": "sovereign-node/result/1",
    "node_id": "node-1",
    "seq": 41,
    "command_id": EXAMPLE_COMMAND,
    "account_id": EXAMPLE_ACCOUNT,
    "action": "CLOSE_ALL",
    "state": "done",
    "verdict": "flat",
    "rounds": 2,
    "dry_run": False,
    "unjournaled": False,
    "at": EXAMPLE_INSTANT,
    "latency_ms": {"journal": 0.5, "first_order": 1.9, "proof": 107.3, "total": 108.0},
    "lock": {"locked": True, "epoch": 8},
    "errors": [],
}
EXAMPLE_ACCEPTED: Final = {
    "success": True,
    "command_id": EXAMPLE_COMMAND,
    "action": "CLOSE_ALL",
    "account_id": EXAMPLE_ACCOUNT,
    "estimated_execution": "500ms",
    "latency_ms": 4.5,
    "result": {**EXAMPLE_RESULT, "seq": 39, "state": "accepted", "verdict": None, "rounds": 0},
}
EXAMPLE_ACCOUNTS: Final = {
    "accounts": [{"id": EXAMPLE_ACCOUNT, "name": "binance-main", "state": "locked", "lock": EXAMPLE_LOCK}]
}
EXAMPLE_KILLS: Final = {
    "close_all": {"value": {"account_id": EXAMPLE_ACCOUNT, "action": "CLOSE_ALL"}},
    "flatten": {"value": {"account_id": EXAMPLE_ACCOUNT, "action": "FLATTEN", "reason": "end of the quarter"}},
    "lock": {"value": {"account_id": EXAMPLE_ACCOUNT, "action": "LOCK"}},
}


def answers(
    example: Document, *refusals: str, command: bool = False, rates: bool = False, status: int = 200
) -> Responses:
    """A route's ``responses``: an example of its success, and every refusal with its examples."""
    headers = {**(_RATE_HEADERS if rates else {}), **(_COMMAND_HEADERS if command else {})}
    found: Responses = {
        status: {"content": {"application/json": {"example": example}}, "headers": _described(headers)},
    }
    for code in (*refusals, *_OF_ALL):
        http_status, message = _REFUSALS[code]
        answer = found.setdefault(
            int(http_status),
            {
                "model": ErrorBody,
                "description": http_status.phrase,
                "content": {"application/json": {"examples": {}}},
                "headers": _described(_RATE_HEADERS if rates else {}),
            },
        )
        answer["content"]["application/json"]["examples"][code] = {"value": error_body(code, message)}
        if code == "RATE_LIMITED":
            answer["headers"] = {**answer["headers"], **_described({"Retry-After": "Seconds."})}
    return found


def stream_answers(example: Document, *refusals: str, rates: bool = False) -> Responses:
    """The same for a route that answers with server-sent events, each with a document as its data."""
    found = answers(example, *refusals, rates=rates)
    event = {
        "type": "object",
        "properties": {"id": {"type": "string"}, "data": {"type": "string"}},
        "required": ["data"],
    }
    content = {"schema": event, "example": {"id": str(example.get("seq", 1)), "data": json.dumps(example)}}
    found[200]["content"] = {"text/event-stream": content}
    found[200]["description"] = "Documents as they happen; a comment line every 10 s."
    return found


class DescribedApp(FastAPI):
    """Describes itself without the framework's own 422, which no route of ours gives."""

    def openapi(self) -> dict[str, Any]:
        """OpenAPI 3.1."""
        if self.openapi_schema is None:
            document = super().openapi()
            for path in document["paths"].values():
                for operation in path.values():
                    operation["responses"].pop("422", None)
            for name in ("HTTPValidationError", "ValidationError"):
                document.get("components", {}).get("schemas", {}).pop(name, None)
        return self.openapi_schema or {}


def _described(headers: dict[str, str]) -> dict[str, Any]:
    return {name: {"description": text, "schema": {"type": "string"}} for name, text in headers.items()}
