"""What nodes say about one command, put together. Pure.

A broker carries one tenant's commands to all of its nodes, so several answer: those that do not have the account say
UNKNOWN_ACCOUNT, and are not meant. Nothing here ever makes more of a command than a node has said.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from node.domain.command import ALL_ACCOUNTS, CommandState, RejectCode
from node.domain.latency import STAGES
from node.domain.lock import AccountLock
from node.domain.result import (
    RESULT_SCHEMA,
    VERDICTS_BY_WEIGHT,
    Document,
    Findings,
    Verdict,
    result_document,
    worst,
)
from node.gateway.sent import SentCommand

#: The state of many that have ended is the first of these that any of them is in.
_ENDINGS_BY_WEIGHT: Final = (CommandState.FAILED, CommandState.REJECTED, CommandState.DONE)


class NotUnderstood(ValueError):
    """A message that is not what its topic is for: anybody with the right to may write anything there."""


def instant(text: object) -> datetime:
    """An instant of a document, in UTC.

    Raises:
        NotUnderstood: it is none.
    """
    try:
        at = datetime.fromisoformat(text if isinstance(text, str) else "")
        if at.tzinfo is not None:
            return at.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise NotUnderstood("not an instant")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One event of a node's, checked for the fields that are relied on."""

    node_id: str
    seq: int
    command_id: UUID
    #: None: of the parent of many.
    account_id: UUID | None
    action: str
    state: CommandState
    verdict: Verdict | None
    #: Why it was rejected.
    code: str | None
    at: datetime
    document: Document

    @classmethod
    def of(cls, document: Document) -> Answer:
        """Read a result document.

        Raises:
            NotUnderstood: it is none.
        """
        try:
            node_id, seq, action, errors = (document[name] for name in ("node_id", "seq", "action", "errors"))
            state, verdict = CommandState(document["state"]), document.get("verdict")
            sound = document["schema"] == RESULT_SCHEMA and isinstance(node_id, str) and type(seq) is int
            sound = sound and isinstance(action, str) and isinstance(errors, list)
            sound = sound and isinstance(document["latency_ms"], dict) and isinstance(document.get("lock", {}), dict)
            sound = sound and isinstance(document.get("children", []), list)
            code = str(errors[0]["code"]) if sound and errors and state is CommandState.REJECTED else None
            answer = cls(
                node_id=node_id,
                seq=seq,
                command_id=UUID(document["command_id"]),
                account_id=None if document["account_id"] == ALL_ACCOUNTS else UUID(document["account_id"]),
                action=action,
                state=state,
                verdict=None if verdict is None else Verdict(verdict),
                code=code,
                at=instant(document["at"]),
                document=document,
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise NotUnderstood(f"not a result document: {error!r}") from None
        if not sound:
            raise NotUnderstood("not a result document: not of the documented types")
        return answer


class AccountAnswers:
    """What the nodes say about one command for one account."""

    def __init__(self) -> None:
        self._newest: dict[str, Answer] = {}

    def hear(self, answer: Answer) -> bool:
        """Take one in; whether it was news. What has ended, and what was said before, changes nothing."""
        known = self._newest.get(answer.node_id)
        if known is not None and (answer.seq <= known.seq or known.state.ended):
            return False
        self._newest[answer.node_id] = answer
        return True

    @property
    def decisive(self) -> Answer | None:
        """The one that tells what has become of the command; None while no node that has the account has spoken.

        A node that has taken it weighs more than one that has refused. Should several have taken it, it has ended
        when all have, and as badly as the worst.
        """
        taken = [each for each in self._newest.values() if each.state is not CommandState.REJECTED]
        if taken:
            going_on = [each for each in taken if not each.state.ended]
            return going_on[0] if going_on else max(taken, key=_badness)
        refused = [each for each in self._newest.values() if each.code != RejectCode.UNKNOWN_ACCOUNT]
        return refused[0] if refused else None

    @property
    def strangers(self) -> tuple[str, ...]:
        """The nodes that say that they do not have the account."""
        return tuple(name for name, each in self._newest.items() if each.code == RejectCode.UNKNOWN_ACCOUNT)


class Conversation:
    """One command and all that was said about it."""

    def __init__(self, sent: SentCommand, *, gateway_id: str) -> None:
        self.sent = sent
        self._gateway_id = gateway_id
        self._of_account = {account: AccountAnswers() for account in sent.children}
        self._by_id = {command_id: account for account, command_id in sent.children.items()}
        #: Of nodes that were asked for all their accounts: what each says of its own.
        self._parents = AccountAnswers()
        self._parent_documents: dict[str, Document] = {}
        self._heard = 0
        self._shown: Document | None = None

    def hear(self, answer: Answer) -> bool:
        """Take an answer in; whether it belongs to this command and was news.

        An answer that contradicts what was sent is somebody's mistake or invention: it is not taken in.
        """
        if answer.action != self.sent.action.value or not self._belongs(answer):
            return False
        if answer.account_id is None:
            news = self._parents.hear(answer)
            if news:
                self._parent_documents[answer.node_id] = answer.document
        else:
            news = self._of_account[answer.account_id].hear(answer)
        if news:
            self._heard += 1
            self._shown = self._put_together()
        return news

    def _belongs(self, answer: Answer) -> bool:
        if answer.account_id is None:
            return self.sent.account_id is None and answer.command_id == self.sent.command_id
        return self._by_id.get(answer.command_id) == answer.account_id

    @property
    def shown(self) -> Document | None:
        """The newest result document; None until every account's node has answered."""
        return self._shown

    @property
    def confirmed(self) -> bool:
        """Whether every account's node has answered: nothing need be repeated."""
        return self._shown is not None

    @property
    def ended(self) -> bool:
        """Whether nothing more will be said."""
        return self._shown is not None and CommandState(self._shown["state"]).ended

    @property
    def unconfirmed(self) -> tuple[UUID, ...]:
        """The accounts of which no node has spoken."""
        return tuple(account for account, answers in self._of_account.items() if answers.decisive is None)

    @property
    def strangers(self) -> tuple[str, ...]:
        """The nodes that have said that an account without an answer is not theirs."""
        return tuple(dict.fromkeys(name for each in self.unconfirmed for name in self._of_account[each].strangers))

    @property
    def refusal(self) -> Answer | None:
        """Of a command for all accounts: a node's refusal, where no account's node has taken it."""
        if any(answers.decisive for answers in self._of_account.values()):
            return None
        answer = self._parents.decisive
        return answer if answer is not None and answer.state is CommandState.REJECTED else None

    def child(self, command_id: UUID) -> Document | None:
        """The newest document of one account's part."""
        account = self._by_id.get(command_id)
        answer = None if account is None else self._of_account[account].decisive
        return None if answer is None else answer.document

    def _put_together(self) -> Document | None:
        newest = [answers.decisive for answers in self._of_account.values()]
        told = [answer for answer in newest if answer is not None]
        if not told or len(told) < len(newest):
            return None
        return told[0].document if self.sent.account_id is not None else self._of_many(told)

    def _of_many(self, told: list[Answer]) -> Document:
        """One document for all: as far as the slowest, as bad as the worst."""
        others = self._of_others()
        states = {answer.state for answer in told} | {CommandState(child["state"]) for child in others}
        state = _state_of_many(states)
        verdicts = [answer.verdict for answer in told] + [_verdict(child) for child in others]
        locked = all(answer.document.get("lock", {}).get("locked") is True for answer in told)
        document = result_document(
            self.sent.as_command(),
            state,
            node_id=self._gateway_id,
            at=max(answer.at for answer in told),
            latency_ms={stage: _slowest(told, stage) for stage in STAGES},
            lock=AccountLock(account_id=self.sent.command_id, latched=locked),
            findings=Findings(verdict=worst(verdicts) if state.ended else Verdict.UNKNOWN),
            unjournaled=any(answer.document.get("unjournaled") is True for answer in told),
            children=[_summary(answer) for answer in told] + others,
        )
        return document | {"seq": self._heard}

    def _of_others(self) -> list[Document]:
        """Accounts that nodes have and this gateway does not know: commanded all the same, and told of."""
        ours = {str(command_id) for command_id in self._by_id}
        return [
            child
            for document in self._parent_documents.values()
            for child in document.get("children", ())
            if isinstance(child, dict) and str(child.get("command_id")) not in ours and _known_state(child.get("state"))
        ]


def _badness(answer: Answer) -> tuple[bool, int]:
    verdict = Verdict.UNKNOWN if answer.verdict is None else answer.verdict
    return answer.state is CommandState.FAILED, VERDICTS_BY_WEIGHT.index(verdict)


def _state_of_many(states: Iterable[CommandState]) -> CommandState:
    found = set(states)
    if all(state.ended for state in found):
        return next(state for state in _ENDINGS_BY_WEIGHT if state in found)
    if CommandState.INCOMPLETE in found:
        return CommandState.INCOMPLETE
    return CommandState.ACCEPTED if found == {CommandState.ACCEPTED} else CommandState.RUNNING


def _verdict(child: Document) -> Verdict | None:
    found = child.get("verdict")
    return Verdict(found) if isinstance(found, str) and found in set(Verdict) else None


def _known_state(state: object) -> bool:
    return isinstance(state, str) and state in set(CommandState)


def _slowest(told: Iterable[Answer], stage: str) -> float | None:
    found = [answer.document["latency_ms"].get(stage) for answer in told]
    return max((value for value in found if isinstance(value, int | float)), default=None)


def _summary(answer: Answer) -> Document:
    return {
        "command_id": str(answer.command_id),
        "account_id": str(answer.account_id),
        "node_id": answer.node_id,
        "state": answer.state.value,
        "verdict": answer.verdict and answer.verdict.value,
    }
