"""The command line against a daemon's socket, with a desk that counts behind it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from structlog.testing import capture_logs

from node.api.app import create_app
from node.api.server import ApiServer, UnixListener
from node.cli import main
from node.domain.command import Action, RejectCode
from node.domain.guard_mode import GuardMode
from tests.support.counting_desk import ACCOUNT, ACCOUNT_NAME, COMMAND, CountingDesk, event
from tests.support.keyring import make_keyring
from tests.support.waiting import PATIENCE_S, until


class Daemon:
    """A desk behind a real socket, and the command line in a thread beside it."""

    def __init__(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.desk = CountingDesk()
        self.keyring = make_keyring()
        self.path = path
        self._capsys = capsys

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Until the end of the block."""
        app = create_app(self.desk, operator=True, keyring=self.keyring)
        server = ApiServer([UnixListener(app=app, path=self.path)], stop_deadline_s=1)
        with capture_logs():  # standard output is the command line's
            async with self._running(server):
                yield

    @staticmethod
    @asynccontextmanager
    async def _running(server: ApiServer) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as tasks:
            await server.start(tasks)
            try:
                yield
            finally:
                await server.stop()

    async def call(self, *words: str) -> tuple[int, object]:
        """Exit status, and the document on standard output."""
        status = await asyncio.to_thread(main, [*words, "--socket", str(self.path), "--json"])
        out = self._capsys.readouterr().out
        return status, json.loads(out) if out.count("\n") == 1 else out


@pytest.fixture
async def daemon(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> AsyncIterator[Daemon]:
    """A daemon that serves."""
    found = Daemon(tmp_path / "operator.sock", capsys)
    async with found.serving():
        yield found


async def test_send_prints_the_accepted_event(daemon: Daemon) -> None:
    """Every option arrives, under the id that was given."""
    options = ["--symbols", "B/C,A/C", "--no-latch", "--dry-run", "--reason", "fire"]
    status, document = await daemon.call("send", "CLOSE_ALL", ACCOUNT_NAME, *options, "--id", str(COMMAND))
    (request,) = daemon.desk.submitted
    assert (status, document) == (0, daemon.desk.results[COMMAND])
    assert (request.command_id, request.action, request.account_id) == (COMMAND, Action.CLOSE_ALL, ACCOUNT)
    assert (request.symbols, request.latch, request.dry_run, request.reason) == (("A/C", "B/C"), False, True, "fire")


@pytest.mark.parametrize(("state", "status"), [("done", 0), ("incomplete", 3), ("failed", 5)])
async def test_waiting_ends_with_the_ending_or_incomplete(daemon: Daemon, state: str, status: int) -> None:
    """Running is not an end."""
    daemon.desk.live.put_nowait(event("running", seq=2))
    daemon.desk.live.put_nowait(event(state, seq=3))
    found = await daemon.call("send", "FLATTEN", ACCOUNT_NAME, "--wait", "--id", str(COMMAND))
    assert found == (status, event(state, seq=3))


async def test_what_has_ended_already_is_not_waited_for(daemon: Daemon) -> None:
    """The same id again: the stored answer, at once."""
    daemon.desk.results[COMMAND] = event("done", seq=9, verdict="flat")
    assert await daemon.call("send", "CLOSE_ALL", ACCOUNT_NAME, "--wait", "--id", str(COMMAND)) == (
        0,
        daemon.desk.results[COMMAND],
    )


async def test_an_older_incomplete_is_no_end(daemon: Daemon) -> None:
    """Who sends again wants to know what became of it since."""
    daemon.desk.results[COMMAND] = event("incomplete", seq=4)
    daemon.desk.histories[COMMAND] = [event(seq=1), event("incomplete", seq=4)]
    daemon.desk.live.put_nowait(event("done", seq=5, verdict="flat"))
    status, document = await daemon.call("send", "CLOSE_ALL", ACCOUNT_NAME, "--wait", "--id", str(COMMAND))
    assert (status, document) == (0, event("done", seq=5, verdict="flat"))


async def test_patience_ends(daemon: Daemon) -> None:
    """The newest event is printed: the command goes on."""
    status, document = await daemon.call("send", "LOCK", ACCOUNT_NAME, "--wait", "--timeout", "0.2")
    assert isinstance(document, dict)
    assert (status, document["state"]) == (3, "accepted")


async def test_a_refusal_prints_its_document(daemon: Daemon) -> None:
    """State rejected, exit status 4."""
    daemon.desk.reject(RejectCode.STALE_EPOCH)
    status, document = await daemon.call("unlock", ACCOUNT_NAME, "--epoch", "3", "--reason", "clear")
    assert isinstance(document, dict)
    assert (status, document["state"], document["errors"][0]["code"]) == (4, "rejected", "STALE_EPOCH")
    (request,) = daemon.desk.submitted
    assert (request.action, request.epoch, request.reason, request.force) == (Action.UNLOCK, 3, "clear", False)


async def test_an_unknown_name_is_trouble(daemon: Daemon) -> None:
    """Nothing was sent."""
    status, document = await daemon.call("send", "LOCK", "nobody")
    assert (status, document) == (1, {"error": {"code": "NOT_FOUND", "message": "no such account"}})


async def test_a_drill_is_a_dry_run_to_its_end(daemon: Daemon) -> None:
    """CLOSE_ALL, with nothing placed."""
    daemon.desk.live.put_nowait(event("done", seq=2, verdict="drill_passed", dry_run=True))
    status, document = await daemon.call("drill", ACCOUNT_NAME)
    (request,) = daemon.desk.submitted
    assert (status, request.action, request.dry_run) == (0, Action.CLOSE_ALL, True)
    assert document == event("done", seq=2, verdict="drill_passed", dry_run=True)


async def test_guard_sets_the_mode_and_prints_what_the_guard_does(daemon: Daemon) -> None:
    """A word that is none of the modes is never sent."""
    status, document = await daemon.call("guard", ACCOUNT_NAME, "revert")
    assert (status, document) == (
        0,
        {"account_id": str(ACCOUNT), "guard": {"active": False, "after_lock": "revert", "after_close": "revert"}},
    )
    assert (await daemon.call("guard", ACCOUNT_NAME, "mild"))[0] == 1
    assert daemon.desk.guard_modes == [(ACCOUNT, GuardMode.REVERT)]


async def test_abort_prints_the_failed_event(daemon: Daemon) -> None:
    """And exits as one who waited for it; what is not live cannot be aborted."""
    daemon.desk.live_commands.add(COMMAND)
    status, document = await daemon.call("abort", str(COMMAND), "--reason", "wrong one")
    assert isinstance(document, dict)
    assert (status, document["state"]) == (5, "failed")
    assert daemon.desk.aborted == [(COMMAND, "operator", "wrong one")]
    assert (await daemon.call("abort", str(uuid4())))[0] == 1


async def test_status_and_ping_need_only_a_daemon_that_answers(daemon: Daemon) -> None:
    """Not a ready one."""
    daemon.desk.ready = False
    assert await daemon.call("status") == (0, daemon.desk.status())
    assert (await daemon.call("ping"))[0] == 0


async def test_ping_asks_for_readiness_or_a_role_and_tells_by_its_status(daemon: Daemon) -> None:
    """0 is yes and 1 is no, as health checks of containers have it; the document says why."""
    assert (await daemon.call("ping", "--ready"))[0] == 0
    daemon.desk.ready = False
    assert await daemon.call("ping", "--ready") == (1, {"ready": False, "reasons": ["journal: disk full"]})
    assert (await daemon.call("ping", "--account", "binance-main", "--role", "armed"))[0] == 0
    status, document = await daemon.call("ping", "--account", str(ACCOUNT), "--role", "locked")
    assert isinstance(document, dict)
    assert (status, document["reasons"]) == (1, ["the account is armed"])
    for wrong in (["--role", "armed"], ["--account", "binance-main"], ["--account", "nobody", "--role", "armed"]):
        status, document = await daemon.call("ping", *wrong)
        assert isinstance(document, dict)
        assert (status, "error" in document) == (1, True)


async def test_watching_a_command_prints_every_event(daemon: Daemon) -> None:
    """One line each, and the exit status of its ending."""
    daemon.desk.results[COMMAND] = event("running", seq=2)
    daemon.desk.histories[COMMAND] = [event(seq=1), event("running", seq=2)]
    daemon.desk.live.put_nowait(event("failed", seq=3))
    status, out = await daemon.call("watch", str(COMMAND))
    assert status == 5
    assert [json.loads(text)["seq"] for text in str(out).splitlines()] == [1, 2, 3]


async def test_a_daemon_that_restarts_does_not_end_the_waiting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command line comes back, and asks only for what it has not seen."""
    daemon = Daemon(tmp_path / "operator.sock", capsys)
    async with daemon.serving():
        words = ("send", "CLOSE_ALL", ACCOUNT_NAME, "--wait", "--id", str(COMMAND))
        calling = asyncio.create_task(daemon.call(*words), name="cli")
        await until(lambda: daemon.desk.following)
    assert not calling.done()
    daemon.desk.histories[COMMAND] = [event(seq=1), event("done", seq=2, verdict="flat")]
    async with daemon.serving(), asyncio.timeout(PATIENCE_S):
        assert await calling == (0, event("done", seq=2, verdict="flat"))
    assert len(daemon.desk.submitted) == 1


async def test_a_broken_answer_is_asked_for_again_under_the_same_id(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command may have been taken: only its identity makes a second one harmless."""
    daemon = Daemon(tmp_path / "operator.sock", capsys)
    taken: list[bytes] = []

    async def cut_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        taken.append(await reader.readuntil(b"\r\n\r\n"))
        writer.close()

    first = await asyncio.start_unix_server(cut_off, daemon.path)
    calling = asyncio.create_task(daemon.call("send", "LOCK", ACCOUNT_NAME), name="cli")
    await until(lambda: taken)
    first.close()
    await first.wait_closed()
    async with daemon.serving(), asyncio.timeout(PATIENCE_S):
        assert (await calling)[0] == 0
    (request,) = daemon.desk.submitted
    assert f"Idempotency-Key: {request.command_id}".encode() in taken[0]


async def test_an_interrupt_ends_without_a_trace(daemon: Daemon) -> None:
    """Exit status 130, and not a word."""
    words = ("send", "LOCK", ACCOUNT_NAME, "--wait", "--socket", str(daemon.path))
    # As from a terminal: where these tests are run in the background, the signal is ignored by whoever inherits that.
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "node", *words),
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    await until(lambda: daemon.desk.following)
    async with asyncio.timeout(PATIENCE_S):
        process.send_signal(signal.SIGINT)
        _, err = await process.communicate()
    assert (process.returncode, err) == (130, b"")


async def test_without_an_id_every_call_is_a_command_of_its_own(daemon: Daemon) -> None:
    """The command line makes one up."""
    await daemon.call("send", "LOCK", ACCOUNT_NAME)
    await daemon.call("send", "LOCK", ACCOUNT_NAME)
    ids = {request.command_id for request in daemon.desk.submitted}
    assert (len(ids), all(isinstance(one, UUID) for one in ids)) == (2, True)


async def test_keys_create_prints_the_key_once(daemon: Daemon) -> None:
    """What the contract says, and what was asked for."""
    options = ["--scopes", "lock,read", "--accounts", ACCOUNT_NAME, "--expires-in-s", "60", "--label", "desk"]
    status, document = await daemon.call("keys", "create", "--owner", "acme", *options)
    assert isinstance(document, dict)
    assert (status, list(document)) == (0, ["id", "api_key", "scopes", "accounts", "expires_at"])
    assert (document["scopes"], document["accounts"]) == (["lock", "read"], [str(ACCOUNT)])
    key = daemon.keyring.find(document["api_key"])
    assert key is not None
    assert (key.id, key.label) == (document["id"], "desk")
    _, listed = await daemon.call("keys", "list")
    assert document["api_key"] not in json.dumps(listed)
    assert isinstance(listed, dict)
    assert [each["id"] for each in listed["keys"]] == [document["id"]]


async def test_keys_revoke_and_rotate_end_a_key(daemon: Daemon) -> None:
    """The one for good, the other for its successor."""
    first = await daemon.keyring.create("acme")
    status, document = await daemon.call("keys", "rotate", first.key.id)
    assert isinstance(document, dict)
    assert (status, daemon.keyring.get(first.key.id).revoked_at is not None) == (0, True)
    status, shown = await daemon.call("keys", "revoke", document["id"])
    assert isinstance(shown, dict)
    assert (status, shown["state"], "api_key" in shown) == (0, "revoked", False)
    _, listed = await daemon.call("keys", "list", "--owner", "other")
    assert listed == {"keys": []}


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["create", "--owner", "nobody"], "NOT_FOUND"),
        (["create", "--owner", "other", "--accounts", ACCOUNT_NAME], "NOT_FOUND"),
        (["create", "--owner", "acme", "--scopes", "trade"], "BAD_REQUEST"),
        (["create", "--owner", "acme", "--expires-in-s", "0"], "BAD_REQUEST"),
        (["revoke", "nothing"], "NOT_FOUND"),
        (["rotate", "../keys"], "NOT_FOUND"),
    ],
)
async def test_keys_that_cannot_be_are_trouble(daemon: Daemon, words: list[str], code: str) -> None:
    """With the daemon's own reason; nothing is made."""
    status, document = await daemon.call("keys", *words)
    assert isinstance(document, dict)
    assert (status, document["error"]["code"], daemon.keyring.keys()) == (1, code, [])


async def test_a_sixth_key_is_a_conflict(daemon: Daemon) -> None:
    """And says what to do."""
    for _ in range(5):
        await daemon.keyring.create("acme")
    status, document = await daemon.call("keys", "create", "--owner", "acme")
    assert isinstance(document, dict)
    assert (status, document["error"]["code"]) == (1, "CONFLICT")
    assert "revoke one first" in document["error"]["message"]
