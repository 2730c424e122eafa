"""Looking at the daemon: status, watch, ping."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import Final
from urllib.parse import quote
from uuid import UUID

from node.commands.operator_client import Answer, ConnectionLost, OperatorClient
from node.commands.output import Document, ExitStatus, Output, Trouble
from node.commands.report import ended, exit_status, line

_LOOK_EVERY_S: Final = 1.0
_PING_TIMEOUT_S: Final = 3.0


def status(client: OperatorClient, output: Output) -> ExitStatus:
    """Print the whole node. Exit status 0 if it answers, ready or not."""
    document = _ask(client, "/api/v1/node/status")
    output.result(document, _status_text(document))
    return ExitStatus.DONE


def ping(client: OperatorClient, output: Output, *, ready: bool = False) -> ExitStatus:
    """Exit status 0 if the daemon is alive (or can do its work, too), 1 if not: for supervisors and containers."""
    good, bad = ("ready", "NOT READY") if ready else ("alive", "NOT ALIVE")
    return _yes_or_no(client, "/readyz" if ready else "/livez", output, good, bad)


def ping_role(client: OperatorClient, account: str, role: str, output: Output) -> ExitStatus:
    """Exit status 0 if an account is in this state, 1 if it is in another."""
    return _yes_or_no(client, f"/healthz/accounts/{quote(account, safe='')}/{role}", output, role, f"not {role}")


def _yes_or_no(client: OperatorClient, path: str, output: Output, good: str, bad: str) -> ExitStatus:
    answer = _call(client, path, _PING_TIMEOUT_S)
    no = answer.status == HTTPStatus.SERVICE_UNAVAILABLE and "reasons" in answer.document
    document = answer.document if no else answer.or_trouble()
    output.result(document, "\n  ".join([bad if no else good, *document["reasons"]]))
    return ExitStatus.TROUBLE if no else ExitStatus.DONE


def set_guard(client: OperatorClient, account: str, mode: str, output: Output) -> ExitStatus:
    """Set the guard's mode of one account and print what it does now."""
    try:
        answer = client.call("POST", f"/api/v1/b2b/accounts/{quote(account, safe='')}/guard", {"mode": mode})
    except ConnectionLost as error:
        raise Trouble("CONNECTION_LOST", f"the daemon does not answer: {error}") from None
    document = answer.or_trouble()
    guard = document["guard"]
    forgotten = "" if guard.get("durable", True) else "\nNOT DURABLE: the journal is away, and a restart forgets this"
    output.result(document, _guard_text(guard) + forgotten)
    return ExitStatus.DONE


def watch(client: OperatorClient, subject: str | None, output: Output) -> ExitStatus:
    """Print what happens: of a command until its ending, of an account's lock or the whole node for ever."""
    if subject is None:
        return _watch_node(client, output)
    command_id = _command_id(client, subject)
    if command_id is None:
        return _watch_lock(client, subject, output)
    return _watch_command(client, command_id, output)


def _command_id(client: OperatorClient, subject: str) -> UUID | None:
    """Ids of accounts and commands look alike: an account comes first."""
    try:
        candidate = UUID(subject)
    except ValueError:
        return None
    answer = _call(client, f"/api/v1/locks/{candidate}")
    return candidate if answer.refused else None


def _watch_command(client: OperatorClient, command_id: UUID, output: Output) -> ExitStatus:
    newest: Document = {}
    while not ended(newest):
        try:
            path = f"/api/v1/b2b/risk/commands/{command_id}/events"
            for event in client.stream(path, after_seq=newest.get("seq", 0)):
                if event is not None:
                    newest = event
                    output.result(newest, f"{newest.get('at')}  {line(newest)}")
                if ended(newest):
                    break
        except ConnectionLost:
            output.progress("connection lost, trying again")
        if not ended(newest):
            time.sleep(_LOOK_EVERY_S)
    return exit_status(newest, waited=True)


def _watch_lock(client: OperatorClient, account: str, output: Output) -> ExitStatus:
    epoch: object = None
    while True:
        try:
            for document in client.stream(f"/api/v1/locks/{quote(account, safe='')}/events"):
                if document is not None and document.get("epoch") != epoch:
                    epoch = document.get("epoch")
                    output.result(document, _lock_text(document))
        except ConnectionLost:
            output.progress("connection lost, trying again")
        time.sleep(_LOOK_EVERY_S)


def _watch_node(client: OperatorClient, output: Output) -> ExitStatus:
    shown: object = None
    while True:
        document = _ask(client, "/api/v1/node/status")
        accounts = [
            (item.get("id"), item.get("state"), item.get("lock", {}).get("epoch")) for item in _accounts(document)
        ]
        if (seen := (document.get("ready"), document.get("reasons"), accounts)) != shown:
            shown = seen
            output.result(document, _status_text(document))
        time.sleep(_LOOK_EVERY_S)


def _ask(client: OperatorClient, path: str, timeout_s: float = 10.0) -> Document:
    return _call(client, path, timeout_s).or_trouble()


def _call(client: OperatorClient, path: str, timeout_s: float = 10.0) -> Answer:
    try:
        return client.call("GET", path, timeout_s=timeout_s)
    except ConnectionLost as error:
        raise Trouble("CONNECTION_LOST", f"the daemon does not answer: {error}") from None


def _accounts(document: Document) -> list[Document]:
    accounts: list[Document] = document.get("accounts") or []
    return accounts


def _status_text(document: Document) -> str:
    lines = [f"{document.get('node_id', 'node')}: {'ready' if document.get('ready') else 'NOT READY'}"]
    lines += [f"  {reason}" for reason in document.get("reasons") or ()]
    lines += [f"  {place}: differs in the file, waits for a restart" for place in document.get("pending_restart") or ()]
    for account in _accounts(document):
        lock = _lock_text(account.get("lock") or {})
        lines.append(f"  {account.get('name')}  {account.get('id')}  {account.get('state')}  {lock}")
        if (guard := account.get("guard")) and (guard.get("active") or (account.get("lock") or {}).get("locked")):
            lines.append(f"    {_guard_text(guard)}")
        lines += [f"    {reason}" for reason in account.get("reasons") or ()]
    return "\n".join(lines)


def _guard_text(guard: Document) -> str:
    watching = "watching" if guard.get("active") else "standing by"
    told = f"guard {watching}: after LOCK {guard.get('after_lock')}, after a close {guard.get('after_close')}"
    if guard.get("interval_s"):
        told += f"; without a stream it looks every {guard['interval_s']:g} s"
    return told + (f"; {guard['interventions']} interventions" if guard.get("interventions") else "")


def _lock_text(lock: Document) -> str:
    if "locked" not in lock:
        return "lock unknown"
    state = "LOCKED" if lock["locked"] else "unlocked"
    by = f" by {lock['by']}" if lock.get("by") else ""
    reason = f": {lock['reason']}" if lock.get("reason") else ""
    return f"{state}, epoch {lock.get('epoch')}{by}{reason}"
