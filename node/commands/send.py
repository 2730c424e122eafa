"""Commands to the daemon: send, unlock, drill, abort. The same command is repeated until the daemon has answered."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from node.commands.operator_client import Answer, ConnectionLost, OperatorClient
from node.commands.output import Document, ExitStatus, Output, Trouble
from node.commands.report import ended, exit_status, line, paragraph

_PAUSE_S: Final = 0.2
_RISK: Final = "/api/v1/b2b/risk"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What the command line was asked to send."""

    command_id: UUID
    action: str
    #: Id, name or ``*``.
    account: str
    symbols: tuple[str, ...] = ()
    latch: bool | None = None
    dry_run: bool = False
    reason: str | None = None
    epoch: int | None = None
    force: bool = False
    #: Over a broker: how many nodes must answer a command to ``*``.
    nodes: int = 1

    @property
    def body(self) -> dict[str, object]:
        """For the risk API; what was not said is left out."""
        said: dict[str, object] = {"account_id": self.account}
        if self.action == "UNLOCK":
            said |= {"epoch": self.epoch, "force": self.force or None}
        else:
            said |= {
                "action": self.action,
                "symbols": list(self.symbols) or None,
                "latch": self.latch,
                "dry_run": self.dry_run or None,
            }
        said["reason"] = self.reason
        return {name: value for name, value in said.items() if value is not None}


class Deadline:
    """How long the command line goes on."""

    def __init__(self, timeout_s: float) -> None:
        self._ends = time.monotonic() + timeout_s

    @property
    def left_s(self) -> float:
        """Seconds left; never negative."""
        return max(self._ends - time.monotonic(), 0.0)

    def passed(self) -> bool:
        """Whether it is over."""
        return self.left_s <= 0


def send(client: OperatorClient, order: Order, output: Output, *, wait: bool, timeout_s: float) -> ExitStatus:
    """Send a command over the operator's socket, and wait for its ending if so asked.

    Raises:
        Trouble: it is not known what became of the command.
    """
    deadline = Deadline(timeout_s)
    path = f"{_RISK}/unlock" if order.action == "UNLOCK" else f"{_RISK}/kill"
    headers = {"Idempotency-Key": str(order.command_id)}
    answer = _until_answered(lambda left_s: client.call("POST", path, order.body, headers, left_s), deadline)
    return _conclude(client, _event(answer), output, wait=wait, deadline=deadline)


def ending(client: OperatorClient, order: Order, *, timeout_s: float) -> Document:
    """Send a command and return its last event, printing nothing.

    Raises:
        Trouble: it is not known what became of the command, or it has not ended in time.
    """
    deadline, quiet = Deadline(timeout_s), Output(as_json=True)
    headers = {"Idempotency-Key": str(order.command_id)}
    answer = _until_answered(lambda left_s: client.call("POST", f"{_RISK}/kill", order.body, headers, left_s), deadline)
    document = _event(answer)
    if not ended(document):
        document = _follow(client, document, quiet, deadline)
    if not ended(document):
        raise Trouble("TIMEOUT", f"command {order.command_id} has not ended in {timeout_s:g} s")
    return document


def abort(
    client: OperatorClient, command_id: UUID, output: Output, *, reason: str | None, timeout_s: float
) -> ExitStatus:
    """End a live command.

    Raises:
        Trouble: there is no such command, it has ended already, or the daemon does not answer.
    """
    deadline = Deadline(timeout_s)
    path, body = f"{_RISK}/commands/{command_id}/abort", {} if reason is None else {"reason": reason}
    # Not repeated: the second answer would be that it has ended already.
    try:
        answer = client.call("POST", path, body, timeout_s=timeout_s)
    except ConnectionLost as error:
        raise Trouble("CONNECTION_LOST", f"the daemon went away: {error}") from None
    return _conclude(client, _event(answer), output, wait=True, deadline=deadline)


def conclude(output: Output, document: Document, *, waited: bool) -> ExitStatus:
    """Print the newest event; the exit status says what it means."""
    output.result(document, paragraph(document))
    return exit_status(document, waited=waited)


def _until_answered(call: Callable[[float], Answer], deadline: Deadline) -> Answer:
    """Nobody there at first is an answer; lost in the middle is not: the command may have been taken."""
    lost: ConnectionLost | None = None
    while True:
        try:
            return call(max(deadline.left_s, _PAUSE_S))
        except ConnectionLost as error:
            lost = error
        except Trouble:
            if lost is None or deadline.passed():
                raise
        if deadline.passed():
            raise Trouble("TIMEOUT", f"the daemon took the connection and did not answer: {lost}")
        time.sleep(min(_PAUSE_S, deadline.left_s))


def _event(answer: Answer) -> Document:
    """The command's newest event, also where it tells of a refusal."""
    result = answer.document.get("result")
    return result if isinstance(result, dict) else answer.or_trouble()


def _conclude(
    client: OperatorClient, document: Document, output: Output, *, wait: bool, deadline: Deadline
) -> ExitStatus:
    if wait and not ended(document):
        output.progress(line(document))
        document = _follow(client, document, output, deadline)
        if not ended(document) and document.get("state") != "incomplete":
            output.note("sovereign-node: stopped waiting: the command goes on")
    return conclude(output, document, waited=wait)


def _follow(client: OperatorClient, document: Document, output: Output, deadline: Deadline) -> Document:
    """Wait for an ending or ``incomplete``, across restarts of the daemon; the newest event at the deadline."""
    path = f"{_RISK}/commands/{document['command_id']}/events"
    while not deadline.passed():
        try:
            for event in client.stream(path, after_seq=document.get("seq", 0), silence_max_s=max(deadline.left_s, 1.0)):
                if event is not None:
                    document = event
                    output.progress(line(document))
                if ended(document) or (event is not None and document.get("state") == "incomplete"):
                    return document
                if deadline.passed():
                    return document
        except ConnectionLost:
            pass
        except Trouble as trouble:
            if trouble.code != "NOT_RUNNING":
                raise
        time.sleep(min(_PAUSE_S, deadline.left_s))
    return document
