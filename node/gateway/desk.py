"""Answers the doors of a gateway: commands go out signed, and only what a node has said comes back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import structlog

from node.api.keyring import Keyring
from node.clock import Clock
from node.domain.command import ALL_ACCOUNTS, Action, CommandState, Door, RejectCode, Request
from node.domain.guard_mode import GuardMode
from node.domain.latency import STAGES
from node.domain.result import Document, ErrorReport, Findings, Verdict, instant_text, result_document
from node.engine.bus import Bus
from node.engine.ports import HistoryEntry, Rejection, Submission
from node.errors import JournalUnavailable, NotAvailable, NotConfirmed
from node.gateway.answers import Conversation
from node.gateway.courier import Courier
from node.gateway.estimates import Estimates
from node.gateway.exchange import Exchange
from node.gateway.mirror import UNKNOWN, Mirror
from node.gateway.sent import SentCommand
from node.gateway.settings import GatewaySettings
from node.gateway.store import GatewayStore
from node.transport.envelope import sign_command
from node.transport.issuer_key import IssuerKey

#: As often as nodes renew a lock: whoever follows one learns as soon that it is not known any more.
LOCK_LOOK_S: Final = 3.0

log = structlog.get_logger(__name__)


class GatewayDesk:
    """Implements the CommandDesk port over a broker."""

    def __init__(
        self,
        settings: GatewaySettings,
        key: IssuerKey,
        *,
        store: GatewayStore,
        courier: Courier,
        exchange: Exchange,
        mirror: Mirror,
        bus: Bus,
        estimates: Estimates,
        keyring: Keyring,
        clock: Clock,
        not_ready: Callable[[], Sequence[str]],
        parts: Callable[[], Document],
        on_told: Callable[[str, str, float], None],
        version: str,
        started_at: datetime,
    ) -> None:
        self._settings = settings
        self._key = key
        self._store = store
        self._courier = courier
        self._exchange = exchange
        self._mirror = mirror
        self._bus = bus
        self._estimates = estimates
        self._keyring = keyring
        self._clock = clock
        self._not_ready = not_ready
        self._parts = parts
        self._on_told = on_told
        self._version = version
        self._started_at = started_at

    async def submit(self, request: Request) -> Submission:
        """Sign, remember, send; returns once a node has answered.

        Raises:
            NotConfirmed: none has in time. The envelope is repeated until it expires.
        """
        began_ns = self._clock.monotonic_ns()
        outcome = "timeout"
        try:
            submission = await self._submit(request, began_ns)
            outcome = "confirmed" if submission.rejection is None else submission.rejection.code.value.lower()
        finally:
            self._on_told(request.action.value, outcome, (self._clock.monotonic_ns() - began_ns) / 1e9)
        return submission

    async def _submit(self, request: Request, began_ns: int) -> Submission:
        obstacle = self._obstacle(request)
        if obstacle is not None:
            return self._refused(request, obstacle, began_ns)
        sent = self._signed(request)
        try:
            known = await self._store.add(sent)
        except JournalUnavailable as error:
            if request.action is Action.UNLOCK:
                return self._refused(
                    request, Rejection(code=RejectCode.NOT_READY, message="the gateway cannot write"), began_ns
                )
            # Toward flat: the node's journal has it; ours only serves restarts.
            log.error("command_not_remembered", command_id=str(sent.command_id), error=str(error))  # noqa: TRY400
            remembered = self._exchange.conversation(sent.command_id)
            known = None if remembered is None else remembered.sent
            if known is None:
                self._exchange.remember_later(sent)
        if known is not None and (known.issuer, known.content_digest) != (sent.issuer, sent.content_digest):
            conflict = Rejection(code=RejectCode.CONFLICT, message="the command id was used for something else")
            return self._refused(request, conflict, began_ns)
        conversation = await self._begun(known or sent, new=known is None)
        document = await self._confirmed(conversation)
        return self._submission(document, began_ns, duplicate=known is not None)

    async def abort(self, command_id: UUID, *, by: str, reason: str | None) -> Submission | None:  # noqa: ARG002
        """Not from here.

        Raises:
            NotAvailable: always.
        """
        raise NotAvailable("abort is not available through a gateway: use the operator's socket of the node")

    async def set_guard(self, account_id: UUID, mode: GuardMode | None) -> Document:  # noqa: ARG002
        """Not from here.

        Raises:
            NotAvailable: always.
        """
        raise NotAvailable("the guard's mode is not set through a gateway: use the operator's socket of the node")

    async def history(self, account_id: UUID | None, *, before_seq: int | None, limit: int) -> list[HistoryEntry]:  # noqa: ARG002
        """Not from here.

        Raises:
            NotAvailable: always.
        """
        raise NotAvailable("a gateway keeps no history: each node has its own")

    async def proofs(self, account_id: UUID | None, *, limit: int) -> list[Document]:  # noqa: ARG002
        """Not from here.

        Raises:
            NotAvailable: always.
        """
        raise NotAvailable("a gateway keeps no history: each node has its own")

    async def result(self, command_id: UUID) -> Document | None:
        """The newest event of a command, or of one account's part of it.

        Raises:
            NotConfirmed: it was sent, and not every account's node has answered.
        """
        conversation = await self._recalled(command_id)
        if conversation is None:
            return None
        own = conversation.sent.command_id == command_id
        document = conversation.shown if own else conversation.child(command_id)
        if document is None:
            raise self._not_confirmed(conversation)
        return document

    async def follow(self, command_id: UUID) -> AsyncIterator[Document]:
        """The command's events so far, then the live ones; ends after its ending."""
        with self._bus.listen(command_id) as live:
            past = await self._exchange.past(command_id)
            for document in past:
                yield document
                if CommandState(document["state"]).ended:
                    return
            while True:
                document = await live.get()
                if document in past:  # it came while the past was read
                    continue
                yield document
                if CommandState(document["state"]).ended:
                    return

    def account_of(self, name_or_id: str) -> UUID | None:
        """Resolve an account by id or configured name."""
        account = self._settings.account(name_or_id)
        return None if account is None else account.id

    def accounts(self) -> list[Document]:
        """Per account: who, whose, where, and in what state its node says that it is."""
        return [self._account(account.id, account.name, account.owner) for account in self._settings.accounts]

    def status(self) -> Document:
        """The gateway, its nodes and accounts."""
        reasons = list(self._not_ready())
        return {
            "ready": not reasons,
            "reasons": reasons,
            "node_id": self._settings.gateway.id,
            "gateway": True,
            "issuer": self._key.issuer,
            "version": self._version,
            "started_at": instant_text(self._started_at),
            "at": instant_text(self._clock.now()),
            **self._parts(),
            "nodes": self._mirror.nodes(),
            "accounts": self.accounts(),
        }

    def lock(self, account_id: UUID) -> Document | None:
        """The lock as its node has last confirmed it; locked where that is not known."""
        return self._mirror.lock(account_id) if account_id in self._settings.account_ids else None

    async def follow_lock(self, account_id: UUID) -> AsyncIterator[Document]:
        """The lock now, at every word of its node, and whenever it may have become unknown."""
        with self._bus.listen(account_id) as live:
            while True:
                yield self._mirror.lock(account_id)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOCK_LOOK_S):
                        await live.get()

    def estimated_execution_ms(self, account_id: UUID, action: Action) -> float:
        """From what such commands of the account took before; else its last drill; else a node's usual deadline."""
        return self._estimates.of(account_id, action)

    async def _begun(self, sent: SentCommand, *, new: bool) -> Conversation:
        """The live conversation about a command; its envelope is under way while that is worth anything."""
        recalled = None if new else await self._recalled(sent.command_id)
        conversation = self._exchange.open(recalled or Conversation(sent, gateway_id=self._settings.gateway.id))
        if not conversation.confirmed:
            self._courier.carry(sent)
        return conversation

    async def _recalled(self, command_id: UUID) -> Conversation | None:
        try:
            return await self._exchange.recall(command_id)
        except JournalUnavailable:
            return self._exchange.conversation(command_id)

    async def _confirmed(self, conversation: Conversation) -> Document:
        """Wait for the nodes' word.

        Raises:
            NotConfirmed: it has not come in time.
        """
        document = conversation.shown
        waits = self._courier.carries(conversation.sent.command_id)
        if document is None and waits:
            document = await self._exchange.confirmed(conversation, within_s=self._settings.gateway.confirm_within_s)
        if document is None and conversation.refusal is not None:
            document = conversation.refusal.document
        if document is None:
            log.warning("command_unconfirmed", command_id=str(conversation.sent.command_id))
            raise self._not_confirmed(conversation)
        return document

    def _not_confirmed(self, conversation: Conversation) -> NotConfirmed:
        sent = conversation.sent
        names = ", ".join(self._name(account) for account in conversation.unconfirmed)
        words = [f"no node has confirmed the command for {names}"]
        if conversation.strangers:
            words.append(f"{', '.join(conversation.strangers)} does not have the account")
        if not self._courier.connected:
            words.append("the broker is not connected")
        if self._courier.refusal is not None:
            words.append(f"the broker refuses the gateway's messages ({self._courier.refusal})")
        until = instant_text(sent.expires_at)
        late = sent.expires_at <= self._clock.now()
        words.append(f"it expired at {until}" if late else f"it is repeated, and may be carried out, until {until}")
        return NotConfirmed("; ".join(words), command_id=sent.command_id, account_id=sent.account_id)

    def _name(self, account_id: UUID) -> str:
        account = self._settings.account(str(account_id))
        return str(account_id) if account is None else account.name

    def _obstacle(self, request: Request) -> Rejection | None:
        """Why it cannot be sent at all. Whoever has a key learns of no account but its owner's."""
        key = self._keyring.of_issuer(request.issuer)
        if key is None and request.door is Door.HTTP:
            return Rejection(code=RejectCode.UNKNOWN_ISSUER, message="the key has ended")
        reached = self._settings.account_ids if key is None else self._keyring.accounts_of(key)
        if key is not None and (request.account_id is None or request.action not in key.actions):
            return Rejection(code=RejectCode.FORBIDDEN, message="the key may not do that")
        if request.account_id is not None and request.account_id not in reached:
            return Rejection(code=RejectCode.UNKNOWN_ACCOUNT, message="no such account at this gateway")
        if not self._settings.accounts:
            return Rejection(code=RejectCode.UNKNOWN_ACCOUNT, message="this gateway has no accounts")
        if request.force:
            return Rejection(
                code=RejectCode.FORBIDDEN, message="an unlock is forced at the operator's socket of the node only"
            )
        return None

    def _signed(self, request: Request) -> SentCommand:
        table = self._settings.gateway
        lifetime_s = table.lock_lifetime_s if request.action is Action.LOCK else table.lifetime_s
        issued_at = self._clock.now()
        expires_at = issued_at + timedelta(seconds=lifetime_s)
        envelope = sign_command(
            self._key,
            tenant=table.tenant,
            command_id=request.command_id,
            account=ALL_ACCOUNTS if request.account_id is None else request.account_id,
            action=request.action,
            issued_at=issued_at,
            expires_at=expires_at,
            symbols=request.symbols,
            latch=request.latch,
            dry_run=request.dry_run,
            reason=request.reason,
            epoch=request.epoch,
        )
        return SentCommand(
            command_id=request.command_id,
            account_id=request.account_id,
            action=request.action,
            issuer=request.issuer,
            door=request.door,
            content_digest=request.content_digest,
            envelope=envelope,
            dry_run=request.dry_run,
            reason=request.reason,
            accounts=self._settings.account_ids if request.account_id is None else (request.account_id,),
            issued_at=issued_at,
            expires_at=expires_at,
        )

    def _submission(self, document: Document, began_ns: int, *, duplicate: bool) -> Submission:
        rejection = None
        if document["state"] == CommandState.REJECTED.value:
            error = next(iter(document["errors"]), {"code": RejectCode.MALFORMED.value, "message": "rejected"})
            with contextlib.suppress(ValueError):  # a code of a later version: the document has it
                rejection = Rejection(code=RejectCode(error["code"]), message=str(error.get("message", "")))
        return Submission(
            document=document,
            rejection=rejection,
            duplicate=duplicate,
            latency_ms=(self._clock.monotonic_ns() - began_ns) / 1e6,
        )

    def _refused(self, request: Request, rejection: Rejection, began_ns: int) -> Submission:
        """The gateway's own refusal: nothing was sent."""
        log.warning("command_refused", command_id=str(request.command_id), code=rejection.code.value)
        document = result_document(
            self._signed(request).as_command(),
            CommandState.REJECTED,
            node_id=self._settings.gateway.id,
            at=self._clock.now(),
            latency_ms=dict.fromkeys(STAGES, None) | {"total": (self._clock.monotonic_ns() - began_ns) / 1e6},
            lock=None,
            findings=Findings(verdict=Verdict.UNKNOWN),
            errors=(ErrorReport(code=rejection.code.value, message=rejection.message),),
        )
        latency_ms = (self._clock.monotonic_ns() - began_ns) / 1e6
        return Submission(document=document | {"seq": 1}, rejection=rejection, duplicate=False, latency_ms=latency_ms)

    def _account(self, account_id: UUID, name: str, owner: str) -> Document:
        found = self._mirror.account(account_id)
        known = found is not None and self._mirror.known(account_id)
        reasons = [] if known else ["no node that has this account has spoken lately"]
        return {
            "id": str(account_id),
            "name": name,
            "owner": owner,
            "exchange": None,
            "state": str(found["state"]) if found is not None and known else UNKNOWN,
            "node_id": None if found is None else found["node_id"],
            "seen_at": None if found is None else found["at"],
            "last_drill_at": None if found is None else found.get("last_drill_at"),
            "reasons": reasons,
            "lock": self._mirror.lock(account_id),
        }
