"""What the operator reads of the node: how it is, what it has done, and how long that took."""

# No postponed annotations here: FastAPI could not resolve those that name a local dependency.

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse

from node.api.documents import NodeStatus
from node.api.errors import ApiError
from node.api.openapi import EXAMPLE_ACCOUNTS, EXAMPLE_INSTANT, EXAMPLE_RESULT, answers
from node.api.principal import Authenticator
from node.api.recognised import recognised
from node.domain.result import instant_text
from node.engine.ports import CommandDesk

_PAGE_MAX: Final = 200
_PROOFS_MAX: Final = 1000

Account = Annotated[str | None, Query(max_length=64, description="id or name; left out: all")]
Before = Annotated[int | None, Query(ge=1, description="`next_before` of the page before")]
Limit = Annotated[int, Query(ge=1, le=_PAGE_MAX)]
ProofLimit = Annotated[int, Query(ge=1, le=_PROOFS_MAX, description="of each account, newest first")]

#: What the gate in front of the operator's routes may say.
_OF_OPERATOR: Final = ("UNAUTHORIZED", "FORBIDDEN", "RATE_LIMITED")
_EXECUTION: Final = ("command_id", "account_id", "action", "verdict", "at", "latency_ms")
_EXAMPLE_HISTORY: Final = {
    "commands": [{"door": "http", "received_at": EXAMPLE_INSTANT, "result": EXAMPLE_RESULT}],
    "next_before": None,
}
_EXAMPLE_LATENCIES: Final = {"executions": [{name: EXAMPLE_RESULT[name] for name in _EXECUTION}]}


def node_router(desk: CommandDesk, authenticate: Authenticator) -> APIRouter:
    """Routes below ``/api/v1/node``."""
    router = APIRouter(prefix="/api/v1/node", tags=["node"], route_class=recognised(authenticate))

    @router.get(
        "/status",
        response_model=NodeStatus,
        responses=answers({"ready": True, "reasons": []} | EXAMPLE_ACCOUNTS, *_OF_OPERATOR),
    )
    async def status() -> JSONResponse:
        """The whole node: readiness, accounts, locks, what was last seen and how old that is, broker, journal."""
        return JSONResponse(desk.status())

    @router.get(
        "/commands", responses=answers(_EXAMPLE_HISTORY, *_OF_OPERATOR, "BAD_REQUEST", "NOT_FOUND", "NOT_READY")
    )
    async def commands(account: Account = None, before: Before = None, limit: Limit = 50) -> dict[str, Any]:
        """Commands, newest first, each with its newest result document; those that only memory has are missing."""
        page = await desk.history(_account(desk, account), before_seq=before, limit=limit)
        return {
            "commands": [
                {"door": entry.door.value, "received_at": instant_text(entry.received_at), "result": entry.document}
                for entry in page
            ],
            "next_before": page[-1].first_seq if len(page) == limit else None,
        }

    @router.get(
        "/latencies", responses=answers(_EXAMPLE_LATENCIES, *_OF_OPERATOR, "BAD_REQUEST", "NOT_FOUND", "NOT_READY")
    )
    async def latencies(account: Account = None, limit: ProofLimit = 200) -> dict[str, Any]:
        """What closing took until the proof, in milliseconds: every execution, drills left out; oldest first."""
        documents = await desk.proofs(_account(desk, account), limit=limit)
        return {"executions": [{name: document[name] for name in _EXECUTION} for document in documents]}

    return router


def _account(desk: CommandDesk, name_or_id: str | None) -> UUID | None:
    if name_or_id is None:
        return None
    found = desk.account_of(name_or_id)
    if found is None:
        raise ApiError.not_found("no such account")
    return found
