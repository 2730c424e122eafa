"""Break-glass: a command carried out in this process, with the daemon dead.

The same executor on the same journal, wired as the daemon is, with what only serves others left out: the broker, the
public listener, metrics, drills, notifications. Of the configuration nothing else is read than what the account needs:
a fault elsewhere, or another account's missing key, must not stand in the way.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from node.app import Node, allow_open_files, running
from node.commands.output import Document, ExitStatus, Output, Trouble
from node.commands.report import ended, line
from node.commands.send import Order, conclude
from node.domain.command import ALL_ACCOUNTS, OPERATOR, Action, Door, Request
from node.errors import StateDirectoryBusy
from node.journal.directory import StateDirectory
from node.secrets import Secrets
from node.settings import Settings, parse, read
from node.wiring.record import journal_file

#: Sections of the configuration that a command is carried out by.
_NEEDED: Final = ("node", "owners", "accounts", "execution")

_NOT_WATCHED: Final = (
    "this process ends now: nobody guards the account, and engines read that it is locked, until the daemon runs"
)
_UNWRITTEN: Final = "Keep what was printed here. A daemon that starts later takes the lock from the file for engines"
_NOT_CARRIED_ON: Final = (
    "stopped: NOBODY carries the command on now. Send it again, with a longer --timeout, or start the daemon, which"
    " takes it up if it is younger than resume_within_s"
)


def direct(config: Path, order: Order, output: Output, *, timeout_s: float) -> ExitStatus:
    """Carry a command out until it has ended, beyond ``incomplete``, for *timeout_s* at most.

    Raises:
        Trouble: another process holds the state directory, no daemon ever did, or there is no such account.
        ConfigError, JournalUnavailable: nothing was started.
    """
    settings = _settings(config, order.account)
    secrets = Secrets.resolve(settings)
    allow_open_files()
    with ExitStack() as stack:
        state_dir = settings.node.state_dir
        if not (state_dir / "lock").exists() and not journal_file(settings).exists():
            raise _elsewhere(state_dir)
        stack.callback(_hand_back, state_dir)
        try:
            stack.enter_context(StateDirectory(state_dir))
        except StateDirectoryBusy:
            raise _busy(state_dir) from None
        except OSError as error:
            raise Trouble("STATE_DIRECTORY", f"{state_dir}: {error.strerror or error}") from None
        settings = _with_runtime_dir(settings, stack, output)
        document, trouble = asyncio.run(_carry_out(settings, secrets, order, output, timeout_s))
    status = conclude(output, document, waited=True)
    if document.get("unjournaled"):
        output.note(
            f"sovereign-node: no journal knows of this command: {trouble or 'it was lost meanwhile'}. {_UNWRITTEN}"
        )
    output.note(f"sovereign-node: {_NOT_WATCHED if ended(document) else _NOT_CARRIED_ON}")
    return status


async def _carry_out(
    settings: Settings, secrets: Secrets, order: Order, output: Output, timeout_s: float
) -> tuple[Document, str | None]:
    """The newest event, and what is wrong with the journal."""
    async with running(settings, secrets, leave_events=True) as node:
        newest = await _submitted(node, settings, order)
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                async for document in node.desk.follow(order.command_id):
                    newest = document
                    output.progress(line(document))
                    if ended(document):
                        break
        journal = node.desk.parts()["journal"]
        await node.drain()
    return newest, journal["code"] and f"{journal['code']}: {journal['reason']}; {journal['remedy']}"


async def _submitted(node: Node, settings: Settings, order: Order) -> Document:
    account = None if order.account == ALL_ACCOUNTS else settings.accounts[0].id
    request = Request(
        command_id=order.command_id,
        account_id=account,
        action=Action(order.action),
        issuer=OPERATOR,
        door=Door.DIRECT,
        symbols=tuple(sorted(set(order.symbols))),
        latch=order.latch,
        dry_run=order.dry_run,
        reason=order.reason,
    )
    submission = await node.desk.submit(request)
    if submission.rejection is not None and not submission.document:
        raise Trouble(submission.rejection.code, submission.rejection.message)
    return submission.document


def _settings(config: Path, account: str) -> Settings:
    """What is needed for one account, or for all."""
    data = {name: said for name, said in read(config).items() if name in _NEEDED}
    if account != ALL_ACCOUNTS:
        listed = data.get("accounts")
        data["accounts"] = [each for each in listed if _is(each, account)] if isinstance(listed, list) else []
        if not data["accounts"]:
            raise Trouble("NOT_FOUND", f"{config}: there is no account {account}")
    return parse(data)


def _is(account: Any, name_or_id: str) -> bool:  # noqa: ANN401 - TOML, not looked at yet
    return isinstance(account, dict) and (
        account.get("name") == name_or_id or str(account.get("id")).lower() == name_or_id.lower()
    )


def _with_runtime_dir(settings: Settings, stack: ExitStack, output: Output) -> Settings:
    """Where engines read the lock. Elsewhere if that cannot be used: the old word runs out, and they read locked."""
    path = settings.node.runtime_dir
    try:
        stack.callback(_hand_back, path)
        stack.enter_context(StateDirectory(path, shared=True))
    except (OSError, StateDirectoryBusy) as error:
        output.note(f"sovereign-node: engines are not told of the lock: {path}: {error}")
        path = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sovereign-node-")))
    return settings.model_copy(update={"node": settings.node.model_copy(update={"runtime_dir": path})})


def _elsewhere(state_dir: Path) -> Trouble:
    """A new directory would keep nobody out: the daemon may live, and hold another."""
    return Trouble(
        "STATE_DIRECTORY",
        f"{state_dir.absolute()}: no daemon has ever run here. node.state_dir is relative to the working directory:"
        " go where the daemon was started",
    )


def _busy(state_dir: Path) -> Trouble:
    """Which process to end; it is never ended from here."""
    holder = _Holder.of(state_dir)
    return Trouble(
        StateDirectoryBusy.code,
        f"{state_dir} is held by {holder}: as long as it lives, it alone acts on these accounts. Send the command"
        f" without --direct. If it does not answer, end it: `kill {holder.pid}`, ten seconds later"
        f" `kill -9 {holder.pid}` (a service: `systemctl stop`, or it is started again), and repeat this command",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Holder:
    """Who holds a state directory."""

    pid: str
    command: str

    @classmethod
    def of(cls, state_dir: Path) -> _Holder:
        pid = StateDirectory(state_dir).holder() or "PID"
        try:
            command = Path("/proc", pid, "cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ").decode()
        except (OSError, UnicodeDecodeError):
            command = ""
        return cls(pid=pid, command=command)

    def __str__(self) -> str:
        return f"process {self.pid}" + (f" ({self.command})" if self.command else "")


def _hand_back(folder: Path) -> None:
    """Run by root for another user's daemon, leave nothing that it could not open."""
    with suppress(OSError):
        owner = folder.stat()
        if os.geteuid() != 0 or owner.st_uid == 0:
            return
        for path in folder.rglob("*"):
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
