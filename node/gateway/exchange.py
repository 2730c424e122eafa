"""Takes what the broker brings: answers to the commands that they belong to, nodes' words to the mirror."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Final
from uuid import UUID

import structlog

from node.clock import Clock
from node.domain.command import ALL_ACCOUNTS, Action, RejectCode
from node.domain.result import Document
from node.engine.bus import Bus
from node.engine.ports import Delivery
from node.errors import JournalUnavailable
from node.gateway.answers import Answer, Conversation, NotUnderstood
from node.gateway.courier import Courier
from node.gateway.estimates import Estimates
from node.gateway.mirror import Mirror
from node.gateway.sent import SentCommand
from node.gateway.store import GatewayStore, Heard
from node.transport.claims import parse_json_object
from node.transport.topics import EventTopic, LockTopic, ResponseTopic, StatusTopic, TopicError, Topics

#: Conversations in memory, beyond which those that have ended, or were never confirmed, are forgotten there.
KEPT_MAX: Final = 2048
#: A command that has not ended is asked after for so long.
ASK_FOR: Final = timedelta(days=1)
#: An envelope that nobody confirmed is asked after only when no node's clock can take it for valid any more.
ASK_AFTER_EXPIRY: Final = timedelta(seconds=60)
#: Between two tries to write down what was heard.
RETRY_S: Final = 0.5
#: No document of a node's goes deeper; whoever shows one must not run out of stack.
DEPTH_MAX: Final = 32
#: Answers in one transaction.
BATCH_MAX: Final = 256

log = structlog.get_logger(__name__)


class Exchange:
    """Owns the conversations about commands that have not ended."""

    def __init__(
        self,
        topics: Topics,
        *,
        gateway_id: str,
        store: GatewayStore,
        courier: Courier,
        mirror: Mirror,
        bus: Bus,
        estimates: Estimates,
        clock: Clock,
        on_junk: Callable[[], None] = lambda: None,
        on_answer: Callable[[Answer], None] = lambda _answer: None,
    ) -> None:
        self._topics = topics
        self._gateway_id = gateway_id
        self._store = store
        self._courier = courier
        self._mirror = mirror
        self._bus = bus
        self._estimates = estimates
        self._clock = clock
        self._on_junk = on_junk
        self._on_answer = on_answer
        self._open: dict[UUID, Conversation] = {}
        #: Ids of commands and of their accounts' parts, to the command's own.
        self._root_of: dict[UUID, UUID] = {}
        self._decided: dict[UUID, asyncio.Event] = {}
        self._unwritten: list[Heard] = []
        #: Commands that went out while the disk was away.
        self._unremembered: list[SentCommand] = []
        self._heard_more = asyncio.Event()
        self._back = asyncio.Event()

    async def recover(self) -> None:
        """Go on with what an earlier run has sent.

        Raises:
            JournalUnavailable: nothing was learnt.
        """
        for document in await self._store.endings(limit=1000):
            self._estimates.observe(Answer.of(document))
        for sent, documents in await self._store.unfinished(since=self._clock.now() - ASK_FOR):
            conversation = self.open(self._replayed(sent, documents))
            if not conversation.confirmed:
                self._courier.carry(sent)

    def conversation(self, command_id: UUID) -> Conversation | None:
        """The conversation about a command, or about its part for one account, if it is in memory."""
        root_id = self._root_of.get(command_id)
        return None if root_id is None else self._open.get(root_id)

    def open(self, conversation: Conversation) -> Conversation:
        """Follow a command from now on; the conversation that is followed."""
        root_id = conversation.sent.command_id
        known = self._open.get(root_id)
        if known is not None:
            return known
        self._open[root_id] = conversation
        for command_id in (root_id, *conversation.sent.children.values()):
            self._root_of[command_id] = root_id
        self._forget_old()
        return conversation

    def remember_later(self, sent: SentCommand) -> None:
        """It was sent, and is not on disk: it will be as soon as the disk is back."""
        self._unremembered.append(sent)
        self._heard_more.set()

    async def recall(self, command_id: UUID) -> Conversation | None:
        """The conversation from memory, else from disk; None if this gateway has sent no such command.

        Raises:
            JournalUnavailable: it is not in memory, and the disk will not.
        """
        in_memory = self.conversation(command_id)
        if in_memory is not None:
            return in_memory
        found = await self._store.find(command_id)
        return None if found is None else self._replayed(*found)

    async def past(self, command_id: UUID) -> list[Document]:
        """What was shown of a command so far, oldest first; what was heard in this moment may be missing but for the
        newest.
        """
        try:
            found = await self._store.find(command_id)
        except JournalUnavailable:
            found = None
        shown: list[Document] = []
        if found is not None:
            sent, documents = found
            replayed = Conversation(sent, gateway_id=self._gateway_id)
            for document in documents:
                if replayed.hear(Answer.of(document)):
                    _append_news(shown, _view(replayed, command_id))
        live = self.conversation(command_id)
        _append_news(shown, None if live is None else _view(live, command_id))
        return shown

    async def confirmed(self, conversation: Conversation, *, within_s: float) -> Document | None:
        """The first document that tells of every account; None if there was none in time."""
        decided = self._decided.setdefault(conversation.sent.command_id, asyncio.Event())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await decided.wait()
        return conversation.shown

    def connection(self, connected: bool) -> None:
        """The broker has come back, or gone."""
        if connected:
            self._courier.stir()
            self._back.set()
        else:
            self._mirror.connection_lost()

    async def receive(self, deliveries: AsyncIterator[Delivery]) -> None:
        """Take in what comes, for ever. Nothing that anybody may write to a topic ends this."""
        async for delivery in deliveries:
            try:
                self._hear(delivery)
            except ValueError as error:
                self._on_junk()
                log.debug("message_not_understood", topic=delivery.topic, reason=str(error))
            await delivery.acknowledge()

    async def write(self) -> None:
        """Keep what was heard, for ever; what the disk does not take now is kept later, in its order."""
        while True:
            await self._heard_more.wait()
            self._heard_more.clear()
            try:
                await self.flush()
            except JournalUnavailable:
                await asyncio.sleep(RETRY_S)
                self._heard_more.set()

    async def flush(self) -> None:
        """Write down what is not written yet.

        Raises:
            JournalUnavailable: some of it still is not. What is written twice is heard once.
        """
        while self._unremembered:
            await self._store.add(self._unremembered[0])
            del self._unremembered[0]
        while self._unwritten:
            batch = self._unwritten[:BATCH_MAX]
            await self._store.keep(batch)
            del self._unwritten[: len(batch)]

    async def ask_again(self) -> None:
        """Whenever a node speaks up: ask after what has not ended. An answer may have been lost with a broker."""
        while True:
            await self._back.wait()
            self._back.clear()
            for conversation in list(self._open.values()):
                if self._worth_asking(conversation):
                    await self._courier.ask(conversation.sent)

    def _worth_asking(self, conversation: Conversation) -> bool:
        sent, now = conversation.sent, self._clock.now()
        if conversation.ended or self._courier.carries(sent.command_id) or now - sent.issued_at > ASK_FOR:
            return False
        # A node that never had it must find it expired, not fresh; and nothing that adds risk is ever left to that.
        expired = now > sent.expires_at + ASK_AFTER_EXPIRY and sent.action is not Action.UNLOCK
        return conversation.confirmed or expired

    def _hear(self, delivery: Delivery) -> None:
        try:
            topic = self._topics.parse(delivery.topic)
        except TopicError as error:
            raise NotUnderstood(str(error)) from None
        if delivery.retained and isinstance(topic, EventTopic | ResponseTopic):
            raise NotUnderstood("no node has its events stored")
        match topic:
            case EventTopic(account=account, command_id=command_id):
                answer = Answer.of(_document(delivery.payload))
                if answer.command_id != command_id or answer.account_id != (
                    None if account == ALL_ACCOUNTS else account
                ):
                    raise NotUnderstood("topic and document speak of different commands")
                self._heard(answer)
            case ResponseTopic() if RejectCode.CONFLICT.encode() in delivery.payload:
                # All else here is what the command's own topic brings as well, or about one copy only, which anybody
                # may have sent.
                answer = Answer.of(_document(delivery.payload))
                if answer.code == RejectCode.CONFLICT:
                    self._heard(answer)
            case LockTopic(account_id=account_id):
                self._mirror.hear_lock(account_id, _document(delivery.payload))
            case StatusTopic(node_id=node_id):
                if self._mirror.hear_status(node_id, _document(delivery.payload)):
                    self._courier.stir()
                    self._back.set()
            case _:
                pass  # interventions of guards are not ours to follow

    def _heard(self, answer: Answer) -> None:
        self._estimates.observe(answer)
        conversation = self.conversation(answer.command_id)
        if conversation is None:
            return  # somebody else's command
        root_id = conversation.sent.command_id
        before = conversation.shown
        if not conversation.hear(answer):
            return
        shown = conversation.shown
        self._unwritten.append(
            Heard(root_id=root_id, command_id=answer.command_id, document=answer.document, ended=conversation.ended)
        )
        self._heard_more.set()
        self._on_answer(answer)
        if answer.command_id != root_id and (child := conversation.child(answer.command_id)) is not None:
            self._bus.publish(answer.command_id, child)
        if shown is not None and shown is not before:
            self._bus.publish(root_id, shown)
        if conversation.confirmed:
            self._courier.delivered(root_id)
            if (decided := self._decided.pop(root_id, None)) is not None:
                decided.set()

    def _replayed(self, sent: SentCommand, documents: list[Document]) -> Conversation:
        conversation = Conversation(sent, gateway_id=self._gateway_id)
        for document in documents:
            conversation.hear(Answer.of(document))
        return conversation

    def _forget_old(self) -> None:
        """What has ended is on disk, and so is what nobody may confirm any more; the oldest go first."""
        if len(self._open) <= KEPT_MAX:
            return
        settled = [
            root_id
            for root_id, conversation in self._open.items()
            if conversation.ended or not (conversation.confirmed or self._courier.carries(root_id))
        ]
        for root_id in settled[: len(self._open) - KEPT_MAX // 2]:
            self._decided.pop(root_id, None)
            for command_id in (root_id, *self._open.pop(root_id).sent.children.values()):
                self._root_of.pop(command_id, None)


def _document(payload: bytes) -> Document:
    """A document that can be told on as it is.

    Raises:
        ValueError: it is none, or no JSON can be made of it again: then it could neither be kept nor shown.
    """
    document = parse_json_object(payload)
    _tellable(document, DEPTH_MAX)
    return document


def _tellable(value: object, depth: int) -> None:
    if isinstance(value, str):
        value.encode()  # half of a surrogate pair has no bytes, and says so by a ValueError
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise NotUnderstood("a number beyond all numbers")
    elif isinstance(value, dict | list):
        if not depth:
            raise NotUnderstood("nested too deeply")
        for inner in value:
            _tellable(inner, depth - 1)
        if isinstance(value, dict):
            for inner in value.values():
                _tellable(inner, depth - 1)


def _view(conversation: Conversation, command_id: UUID) -> Document | None:
    return conversation.shown if command_id == conversation.sent.command_id else conversation.child(command_id)


def _append_news(shown: list[Document], document: Document | None) -> None:
    if document is not None and (not shown or document != shown[-1]):
        shown.append(document)
