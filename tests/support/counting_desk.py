"""A desk for the doors: remembers what it was asked, answers what it was told to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import UUID

from node.domain.command import ALL_ACCOUNTS, Action, Door, RejectCode, Request
from node.domain.guard_mode import GuardMode
from node.domain.result import Document
from node.engine.ports import HistoryEntry, Rejection, Submission

ACCOUNT = UUID("6b0c8d1e-5f0a-4c52-9a1e-3d0f6f1d2a77")
ACCOUNT_NAME = "binance-main"
RECEIVED_AT = datetime(2026, 11, 20, 10, tzinfo=UTC)
COMMAND = UUID("11111111-2222-4333-8444-555555555555")


def event(state: str = "accepted", **fields: object) -> Document:
    """A result document with the least that the contract asks for."""
    document: Document = {
        "schema": "sovereign-node/result/1",
        "node_id": "node-1",
        "seq": 1,
        "command_id": str(COMMAND),
        "account_id": str(ACCOUNT),
        "action": "CLOSE_ALL",
        "state": state,
        "verdict": None,
        "dry_run": False,
        "unjournaled": False,
        "at": "2026-11-20T10:00:00.161Z",
        "latency_ms": {"total": 1.0},
        "errors": [],
    }
    return document | fields


class CountingDesk:
    """A :class:`node.engine.ports.CommandDesk` that counts."""

    def __init__(self) -> None:
        self.submitted: list[Request] = []
        #: Account, before, limit.
        self.looked_back: list[tuple[UUID | None, int | None, int]] = []
        self.aborted: list[tuple[UUID, str, str | None]] = []
        self.results: dict[UUID, Document] = {}
        #: What ``follow`` yields for a command before it waits.
        self.histories: dict[UUID, list[Document]] = {}
        #: Fed to whoever follows, after the history; None ends the stream.
        self.live: asyncio.Queue[Document | None] = asyncio.Queue()
        self.live_commands: set[UUID] = set()
        self.following = 0
        self.guard_modes: list[tuple[UUID, GuardMode | None]] = []
        self.rejection: Rejection | None = None
        self.unjournaled = False
        self.ready = True
        self.state = "armed"
        self.fails: Exception | None = None

    def reject(self, code: RejectCode, message: str = "because") -> None:
        """Refuse whatever comes."""
        self.rejection = Rejection(code=code, message=message)

    async def submit(self, request: Request) -> Submission:
        """Accept, answer again, or refuse."""
        if self.fails is not None:
            raise self.fails
        duplicate = request.command_id in self.results
        self.submitted.append(request)
        account = ALL_ACCOUNTS if request.account_id is None else str(request.account_id)
        fields = {"command_id": str(request.command_id), "account_id": account, "action": request.action.value}
        if self.rejection is not None:
            errors = [{"code": self.rejection.code.value, "message": self.rejection.message}]
            document = event("rejected", errors=errors, **fields)
        else:
            document = event("accepted", unjournaled=self.unjournaled, **fields)
        stored = self.results.setdefault(request.command_id, document)
        rejection = None if duplicate else self.rejection
        return Submission(document=stored, rejection=rejection, duplicate=duplicate, latency_ms=1.23456)

    async def abort(self, command_id: UUID, *, by: str, reason: str | None) -> Submission | None:
        """End a live command."""
        self.aborted.append((command_id, by, reason))
        if command_id not in self.live_commands:
            return None
        document = event("failed", command_id=str(command_id), errors=[{"code": "ABORTED", "message": "aborted"}])
        return Submission(document=document, rejection=None, duplicate=False, latency_ms=0.5)

    async def result(self, command_id: UUID) -> Document | None:
        """The newest event."""
        if self.fails is not None:
            raise self.fails
        return self.results.get(command_id)

    async def follow(self, command_id: UUID) -> AsyncIterator[Document]:
        """History, then whatever is fed."""
        self.following += 1
        try:
            for document in self.histories.get(command_id, []):
                yield document
            while (document_or_end := await self.live.get()) is not None:
                yield document_or_end
        finally:
            self.following -= 1

    async def history(self, account_id: UUID | None, *, before_seq: int | None, limit: int) -> list[HistoryEntry]:
        """What was submitted, newest first."""
        self.looked_back.append((account_id, before_seq, limit))
        if self.fails is not None:
            raise self.fails
        entries = [
            HistoryEntry(first_seq=number, door=Door.OPERATOR, received_at=RECEIVED_AT, document=document)
            for number, document in enumerate(self.results.values(), 1)
        ]
        return [entry for entry in reversed(entries) if before_seq is None or entry.first_seq < before_seq][:limit]

    async def proofs(self, account_id: UUID | None, *, limit: int) -> list[Document]:
        """Those of the results that are proofs."""
        self.looked_back.append((account_id, None, limit))
        return [document for document in self.results.values() if document["state"] == "done"]

    def account_of(self, name_or_id: str) -> UUID | None:
        """One account is known."""
        return ACCOUNT if name_or_id in (ACCOUNT_NAME, str(ACCOUNT)) else None

    def accounts(self) -> list[Document]:
        """The one account."""
        return [{"id": str(ACCOUNT), "name": ACCOUNT_NAME, "state": self.state, "lock": self.lock(ACCOUNT)}]

    def status(self) -> Document:
        """Ready, or why not."""
        reasons = [] if self.ready else ["journal: disk full"]
        return {"node_id": "node-1", "ready": self.ready, "reasons": reasons, "accounts": self.accounts()}

    def lock(self, account_id: UUID) -> Document | None:
        """Unlocked, epoch 7."""
        if account_id != ACCOUNT:
            return None
        return {"schema": "sovereign-node/lock/1", "account_id": str(account_id), "locked": False, "epoch": 7}

    async def follow_lock(self, account_id: UUID) -> AsyncIterator[Document]:
        """The lock now, then whatever is fed."""
        self.following += 1
        try:
            first = self.lock(account_id)
            if first is not None:
                yield first
            while (document := await self.live.get()) is not None:
                yield document
        finally:
            self.following -= 1

    async def set_guard(self, account_id: UUID, mode: GuardMode | None) -> Document:
        """Remember the word."""
        self.guard_modes.append((account_id, mode))
        return {"active": False, "after_lock": mode or "cancel", "after_close": mode or "revert"}

    def estimated_execution_ms(self, account_id: UUID, action: Action) -> float:
        """From history."""
        return 480.2 if account_id == ACCOUNT else 10_000
