"""What the world outside has seen of the node: it forgets nothing, and holds each life against it."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import mqtt5

from node.journal.inspection import Inspection
from node.journal.migrations import packaged_migrations
from node.sim.broker import Broker
from node.sim.broker_connection import Connection
from node.sim.broker_session import Message

Document = dict[str, Any]

_ENDED: Final = ("done", "rejected", "failed")
#: Of the exchange's counters, those that nothing of ours may ever raise.
HARM: Final = ("exposure_increases", "sign_flips", "buys", "borrows", "oversold")


@dataclass(slots=True, kw_only=True)
class Sent:
    """A command that was sent, and what has come back of it."""

    command_id: UUID
    action: str
    #: As signed; None: over the operator's socket.
    envelope: bytes | None
    epoch: int | None = None
    #: The broker has it, for the node.
    queued: bool = False
    #: The broker has the node's PUBACK of it.
    acknowledged: bool = False
    #: What a door has answered.
    answer: Document | None = None
    #: Its events by number, as published.
    events: dict[int, Document] = field(default_factory=dict)
    #: The event with which it ended.
    ending: Document | None = None

    @property
    def confirmed(self) -> bool:
        """Whether anybody was told that the node has it."""
        return self.acknowledged or self.answer is not None or bool(self.events)

    @property
    def done(self) -> bool:
        """Whether it ended well."""
        return self.ending is not None and self.ending["state"] == "done"


class Witness:
    """All that was sent and reported, over all lives."""

    def __init__(self, account: UUID) -> None:
        self._account = str(account)
        self.sent: dict[UUID, Sent] = {}
        #: Those whose ending nobody has heard of.
        self.open: dict[UUID, Sent] = {}
        self.acknowledgements = 0
        #: Messages that the broker has taken from the node, by kind.
        self.taken: Counter[str] = Counter()
        self._newest_seq = 0
        #: Of the lock, as last reported by anybody, and by each channel.
        self.locks: dict[str, tuple[int, bool]] = {}
        self.breaches: list[str] = []

    def send(self, sent: Sent) -> Sent:
        """A command is about to leave."""
        self.sent[sent.command_id] = self.open[sent.command_id] = sent
        return sent

    def published(self, message: Message) -> None:
        """The broker has taken a message of the node's."""
        parts = message.topic.split("/")
        self.taken[parts[3]] += 1
        if parts[3] == "evt" and parts[-1] != "_guard":
            document = json.loads(message.payload)
            self._event(document)
        elif parts[3] == "lock":
            document = json.loads(message.payload)
            self.reported("topic", document["epoch"], document["locked"])

    def _event(self, document: Document) -> None:
        command = self.sent.get(UUID(document["command_id"]))
        if command is None:
            self.breaches.append(f"an event of a command that nobody sent: {document}")
            return
        if command.events.setdefault(document["seq"], document) != document:
            self.breaches.append(f"one number, two events: {document}, {command.events[document['seq']]}")
        if document["state"] in _ENDED:
            command.ending = document
            self.open.pop(command.command_id, None)
        if document["unjournaled"]:
            self.breaches.append(f"unjournaled: {document}")
        if "lock" in document and document["seq"] > self._newest_seq:
            self._newest_seq = document["seq"]
            self.reported("events", document["lock"]["epoch"], document["lock"]["locked"])

    def puback(self, payload: bytes) -> None:
        """The broker has the node's acknowledgement of a message."""
        self.acknowledgements += 1
        for command in self.sent.values():
            if command.envelope == payload:
                command.acknowledged = True

    def reported(self, channel: str, epoch: int, locked: bool) -> None:
        """Somebody reads the lock: no channel ever goes back, and one epoch means one state."""
        before = self.locks.get(channel, (0, False))
        if epoch < before[0]:
            self.breaches.append(f"the epoch has fallen on the {channel}: {before[0]} to {epoch}")
        for other, known in self.locks.items():
            if known[0] == epoch and known[1] is not locked:
                self.breaches.append(f"epoch {epoch} is locked={known[1]} on the {other}, {locked} on the {channel}")
        self.locks[channel] = (epoch, locked)

    @property
    def newest(self) -> tuple[int, bool]:
        """The lock with the highest epoch that anybody was told."""
        return max(self.locks.values(), default=(0, False))

    def judge_exchange(self, counters: Document) -> None:
        """What the exchange says that the node's key has done."""
        self.breaches += [f"the exchange counts {name}: {counters[name]}" for name in HARM if counters[name]]

    def judge_journal(self, path: Path) -> None:
        """The node is dead: what it has told anybody must be on the disk, whole and once."""
        with closing(Inspection(path, newest=packaged_migrations()[-1].version)) as inspection:
            self.breaches += inspection.faults()
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            commands = dict(connection.execute("SELECT id, action FROM command").fetchall())
            states = connection.execute("SELECT command, state, seq, document FROM command_event").fetchall()
            locks = connection.execute("SELECT epoch, latched FROM engine_lock").fetchall()
        epoch, locked = (locks[0][0], bool(locks[0][1])) if locks else (0, False)
        documents = {seq: document for _, _, seq, document in states}
        for command in self.sent.values():
            if command.confirmed and not self._is_refusal(command) and str(command.command_id) not in commands:
                self.breaches.append(f"confirmed, and not in the journal: {command.command_id} {command.action}")
            for seq, event in command.events.items():
                if seq in documents and json.loads(documents[seq]) != event:
                    self.breaches.append(f"told otherwise than written: {event}")
        each = Counter((command, state) for command, state, _, _ in states)
        endings = Counter(command for command, state, _, _ in states if state in _ENDED)
        self.breaches += [
            f"{command} was accepted {n} times" for (command, s), n in each.items() if s == "accepted" and n > 1
        ]
        self.breaches += [f"{command} ended {n} times" for command, n in endings.items() if n > 1]
        self._judge_lock(epoch, locked, commands, each)

    def _judge_lock(self, epoch: int, locked: bool, commands: dict[str, str], each: Counter[tuple[str, str]]) -> None:
        accepted = [action for command, action in commands.items() if each[command, "accepted"]]
        undone = sum(1 for command, action in commands.items() if action == "UNLOCK" and each[command, "failed"])
        if epoch != len(accepted) + undone:
            self.breaches.append(f"{len(accepted)} commands and {undone} undone, but the epoch is {epoch}")
        told, told_locked = self.newest
        if epoch < told or (epoch == told and locked is not told_locked):
            self.breaches.append(f"told epoch {told} locked={told_locked}; the journal has {epoch} locked={locked}")
        if not locked and "UNLOCK" not in accepted and epoch:
            self.breaches.append("unlocked by nobody")

    @staticmethod
    def _is_refusal(command: Sent) -> bool:
        answers = [*command.events.values(), *([command.answer] if command.answer else [])]
        return any(each.get("state") == "rejected" or each.get("success") is False for each in answers)


class WitnessBroker(Broker):
    """The embedded broker, which tells the witness what it takes from the node and what the node takes from it."""

    def __init__(self, witness: Witness, node_client: str) -> None:
        super().__init__()
        self._witness = witness
        self._node_client = node_client

    def admit(self, connection: Connection, packet: mqtt5.ConnectPacket) -> mqtt5.ConnAckPacket:
        """Listen to the acknowledgements of the node's session."""
        answer = super().admit(connection, packet)
        session = connection.session
        if session is not None and session.client_id == self._node_client and "acknowledged" not in vars(session):
            take = session.acknowledged

            def acknowledged(packet_id: int) -> None:
                out = session._unacknowledged.get(packet_id)
                if out is not None:
                    self._witness.puback(out.message.payload)
                take(packet_id)

            vars(session)["acknowledged"] = acknowledged
        return answer

    def publish(self, message: Message) -> int:
        """Hand it on, and tell."""
        if message.sender == self._node_client:
            self._witness.published(message)
        return super().publish(message)
