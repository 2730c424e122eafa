"""A command is on the disk before anybody is told of it: by the bytes of the real daemon, as the kernel saw them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from uuid import UUID, uuid4

import aiohttp
import pytest

from node.domain.command import Action
from tests.support.crashing.stage import ACCOUNT, ROOT, Stage, raised
from tests.support.crashing.trace import NotInOrder, answered_at, durable_at, pubacks, read, told_at, tracing
from tests.support.crashing.witness import Sent
from tests.support.mosquitto import free_port
from tests.support.waiting import until


async def test_the_disk_has_a_command_before_any_door_says_so(tmp_path: Path) -> None:
    """The journal's fdatasync has come back before the PUBACK, the `accepted` event and each answer are written."""
    http_port, trace = free_port(), tmp_path / "trace"
    async with raised(tmp_path, http_port=http_port) as stage:
        daemon = start(stage, trace)
        try:
            await until(lambda: '"event": "account_ready"' in stage.log())
            key = await make_key(stage)
            # One at a time: what is on the wire then is this command's.
            over_mqtt = lock(stage, signed=True)
            assert stage.deliver(over_mqtt.envelope or b"")
            await until(lambda: over_mqtt.done and over_mqtt.acknowledged)
            over_socket = lock(stage)
            await stage.ask(over_socket)
            await until(lambda: over_socket.done)
            over_api = lock(stage)
            await ask_the_risk_api(http_port, key, over_api)
            await until(lambda: over_api.done)
        finally:
            daemon.kill()
            daemon.wait()
            await until(lambda: " +++ " in trace.read_text()[-200:])
    events = read(trace.read_text().splitlines())
    on_disk = {sent.command_id: durable_at(events, str(sent.command_id)) for sent in (over_mqtt, over_socket, over_api)}
    for command_id, place in on_disk.items():
        assert place < told_at(events, f"/{command_id}", '"state":"accepted"')
    acknowledged = pubacks(events, stage.broker.port)
    assert len(acknowledged) == 1
    assert on_disk[over_mqtt.command_id] < acknowledged[0]
    for sent in (over_socket, over_api):
        assert on_disk[sent.command_id] < answered_at(events, str(sent.command_id))
    assert stage.witness.breaches == []


def start(stage: Stage, trace: Path) -> subprocess.Popen[bytes]:
    """`sovereign-node run`, traced from its first instruction."""
    keys = stage.venue["accounts"][0]["credentials"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "KEY": keys["apiKey"], "SECRET": keys["secret"]}
    command = [sys.executable, "-m", "node", "run", "--config", str(stage.folder / "node.toml")]
    with (stage.folder / "node.log").open("wb") as log:
        return subprocess.Popen([*tracing(trace), *command], stderr=log, env=environment, cwd=stage.folder)


def lock(stage: Stage, *, signed: bool = False) -> Sent:
    """A LOCK, signed or for a door that knows its callers."""
    command_id = uuid4()
    envelope = stage.sign(command_id, Action.LOCK, None) if signed else None
    return stage.witness.send(Sent(command_id=command_id, action=Action.LOCK.value, envelope=envelope))


async def make_key(stage: Stage) -> str:
    """A key of the account's owner."""
    async with (
        aiohttp.ClientSession(connector=stage.operator_connector()) as session,
        session.post("http://node/api/v1/b2b/keys", json={"owner": "acme"}) as answer,
    ):
        return str((await answer.json())["api_key"])


async def ask_the_risk_api(port: int, key: str, sent: Sent) -> None:
    """Over HTTP, with a key."""
    headers = {"X-API-Key": key, "Idempotency-Key": str(sent.command_id)}
    body = {"account_id": str(ACCOUNT), "action": sent.action}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"http://127.0.0.1:{port}/api/v1/b2b/risk/kill", json=body, headers=headers) as answer,
    ):
        assert answer.status == 200, await answer.text()
        sent.answer = await answer.json()


COMMAND = UUID(int=7)
LOG = "15</state/journal.sqlite3-wal>"
BROKER = "31<TCP:[127.0.0.1:5000->127.0.0.1:1883]>"
CALLER = "40<TCP:[127.0.0.1:8787->127.0.0.1:5001]>"
WRITE = f'11 pwrite64({LOG}, "{COMMAND}", 4096, 32) = 4096'
SYNC = [f"11 fdatasync({LOG} <unfinished ...>", '12 write(2</log>, "x", 1) = 1', "11 <... fdatasync resumed>) = 0"]
PUBACK = f'10 sendto({BROKER}, "@\\2\\0\\1", 4, 0, NULL, 0) = 4'
EVENT = f'10 sendto({BROKER}, "3\\343evt/{COMMAND}\\0{{\\"state\\":\\"accepted\\"", 99, 0, NULL, 0) = 99'
HEAD = f'10 sendto({CALLER}, "HTTP/1.1 200 OK\\r\\n", 99, 0, NULL, 0) = 99'
BODY = f'10 sendto({CALLER}, "{{\\"success\\":true,\\"command_id\\":\\"{COMMAND}\\"", 99, 0, NULL, 0) = 99'


def test_a_trace_is_read_as_what_happened() -> None:
    """A sync counts when it has come back, an answer from its first byte."""
    events = read([WRITE, *SYNC, PUBACK, EVENT, HEAD, BODY])
    places = [durable_at(events, str(COMMAND)), *pubacks(events, 1883)]
    places += [told_at(events, f"/{COMMAND}", '"state":"accepted"'), answered_at(events, str(COMMAND))]
    assert places == [2, 3, 4, 5]


@pytest.mark.parametrize(
    "told", [pytest.param(PUBACK, id="puback"), pytest.param(EVENT, id="event"), pytest.param(HEAD, id="answer")]
)
def test_what_is_told_while_the_disk_has_not_answered_is_found(told: str) -> None:
    """Between the sync's beginning and its end is too early."""
    lines = [WRITE, SYNC[0], told, SYNC[2], *[each for each in (PUBACK, EVENT, HEAD, BODY) if each != told]]
    events = read(lines)
    place = durable_at(events, str(COMMAND))
    places = {
        PUBACK: pubacks(events, 1883)[0],
        EVENT: told_at(events, f"/{COMMAND}", '"state":"accepted"'),
        HEAD: answered_at(events, str(COMMAND)),
    }
    assert {line for line, at in places.items() if at < place} == {told}


def test_a_command_that_never_reached_the_disk_is_no_proof() -> None:
    """A sync without the write before it proves nothing; nor does a write without a sync after it."""
    for lines in ([*SYNC, PUBACK], [*SYNC, WRITE, PUBACK]):
        with pytest.raises(NotInOrder):
            durable_at(read(lines), str(COMMAND))
