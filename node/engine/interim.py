"""What this run has accepted: its memory while the journal cannot be asked, and what the journal is owed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from node.domain.command import Command
from node.domain.result import Document
from node.engine.ports import Admission

#: Commands remembered: far more than can be repeated by their senders before they expire.
REMEMBERED_MAX: Final = 4096

Acknowledge = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """A command that was accepted in this run, and what its sender was told."""

    issuer: str
    content_digest: str
    document: Document

    def is_same(self, command: Command) -> bool:
        """Whether it is the same command again; otherwise its id was used for something else."""
        return (self.issuer, self.content_digest) == (command.issuer, command.content_digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Owed:
    """A command that was carried out without the journal, and must be brought into it."""

    admission: Admission
    #: One for each time that it was delivered: whichever connection is still there wants its own.
    acknowledgements: list[Acknowledge]


@dataclass(slots=True, kw_only=True)
class Interim:
    """Answers for the journal while it is down."""

    #: By id of the command (of a ``*`` command: the parent), in order of arrival.
    owed: dict[UUID, Owed] = field(default_factory=dict)
    #: UNLOCKs that were refused because the journal failed under them: whether they are stored is not known.
    doubtful: list[UUID] = field(default_factory=list)
    _remembered: OrderedDict[UUID, Remembered] = field(default_factory=OrderedDict)

    def remember(self, command: Command, document: Document) -> None:
        """Note what was accepted, written or not."""
        self._remembered[command.command_id] = Remembered(
            issuer=command.issuer, content_digest=command.content_digest, document=document
        )
        while len(self._remembered) > REMEMBERED_MAX:
            self._remembered.popitem(last=False)

    def recall(self, command_id: UUID) -> Remembered | None:
        """What was accepted under this id."""
        return self._remembered.get(command_id)

    def owe(self, admission: Admission, acknowledge: Acknowledge | None) -> None:
        """Note what was accepted without the journal."""
        command_id = admission.commands[0].command_id
        self.owed[command_id] = Owed(admission=admission, acknowledgements=[] if acknowledge is None else [acknowledge])

    def take_acknowledgement(self, command_id: UUID, acknowledge: Acknowledge) -> bool:
        """Keep one more acknowledgement until the command is on record; False: it is, or never was here."""
        owed = self.owed.get(command_id)
        if owed is not None:
            owed.acknowledgements.append(acknowledge)
        return owed is not None
