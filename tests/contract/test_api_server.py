"""The HTTP server: real sockets, streams, signals left alone, and an end within its deadline."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import ssl
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from node.api.app import create_app
from node.api.server import ApiServer, Listener, TcpListener, UnixListener
from node.errors import ConfigError
from tests.support.counting_desk import ACCOUNT, COMMAND, CountingDesk, event
from tests.support.waiting import PATIENCE_S, until


@asynccontextmanager
async def serving(*listeners: Listener) -> AsyncIterator[ApiServer]:
    """A server that serves."""
    server = ApiServer(listeners, stop_deadline_s=2)
    async with asyncio.TaskGroup() as tasks:
        await server.start(tasks)
        try:
            yield server
        finally:
            await server.stop()


@asynccontextmanager
async def client(path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    """A caller at a Unix socket."""
    async with aiohttp.ClientSession("http://node", connector=aiohttp.UnixConnector(str(path))) as session:
        yield session


@pytest.fixture
def desk() -> CountingDesk:
    """What is served."""
    return CountingDesk()


async def lines_of(answer: aiohttp.ClientResponse, prefix: str) -> AsyncIterator[str]:
    """The stream's lines with a prefix, without it."""
    async for line in answer.content:
        text = line.decode().rstrip("\n")
        if text.startswith(prefix):
            yield text.removeprefix(prefix)


async def test_the_operators_socket_is_for_owner_and_group(tmp_path: Path, desk: CountingDesk) -> None:
    """It answers, nobody else may open it, and it is gone afterwards."""
    path = tmp_path / "run" / "operator.sock"
    async with serving(UnixListener(app=create_app(desk, operator=True), path=path)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        async with client(path) as session, session.get("/readyz") as answer:
            assert answer.status == 200
    assert not path.exists()


async def test_a_stale_socket_is_replaced_and_a_live_one_is_not(tmp_path: Path, desk: CountingDesk) -> None:
    """Nor is anything else that lies there."""
    path = tmp_path / "operator.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    async with serving(UnixListener(app=create_app(desk, operator=True), path=path)):
        rival = ApiServer([UnixListener(app=create_app(desk, operator=True), path=path)])
        async with asyncio.TaskGroup() as tasks:
            with pytest.raises(ConfigError, match="another process serves there"):
                await rival.start(tasks)
        async with client(path) as session, session.get("/livez") as answer:
            assert answer.status == 200
    path.write_text("precious")
    async with asyncio.TaskGroup() as tasks:
        with pytest.raises(ConfigError, match="it is no socket"):
            await ApiServer([UnixListener(app=create_app(desk, operator=True), path=path)]).start(tasks)
    assert path.read_text() == "precious"


async def test_a_taken_port_is_a_fault_and_nothing_is_left_behind(tmp_path: Path, desk: CountingDesk) -> None:
    """The listeners that could be bound are released again."""
    path = tmp_path / "operator.sock"
    app = create_app(desk, operator=False)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        server = ApiServer(
            [UnixListener(app=app, path=path), TcpListener(app=app, host="127.0.0.1", port=taken.getsockname()[1])]
        )
        async with asyncio.TaskGroup() as tasks:
            with pytest.raises(ConfigError, match="cannot listen on 127"):
                await server.start(tasks)
    assert not path.exists()


async def test_signals_stay_with_the_daemon(tmp_path: Path, desk: CountingDesk) -> None:
    """Neither while it serves nor afterwards has a handler changed."""
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    async with serving(UnixListener(app=create_app(desk, operator=True), path=tmp_path / "s")):
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


async def test_tls_is_served_with_a_certificate(tmp_path: Path, desk: CountingDesk) -> None:
    """And a certificate that cannot be used is a fault."""
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    cert_file, key_file = tmp_path / "cert.pem", tmp_path / "key.pem"
    issued.cert_chain_pems[0].write_to_path(str(cert_file))
    issued.private_key_pem.write_to_path(str(key_file))
    app = create_app(desk, operator=False)
    listener = TcpListener(app=app, host="127.0.0.1", port=0, cert_file=cert_file, key_file=key_file)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    async with serving(listener) as server, aiohttp.ClientSession() as session:
        url = f"https://localhost:{server.ports[0]}/livez"
        async with session.get(url, ssl=context) as answer:
            assert answer.status == 200
    broken = TcpListener(app=app, host="127.0.0.1", port=0, cert_file=key_file, key_file=key_file)
    async with asyncio.TaskGroup() as tasks:
        with pytest.raises(ConfigError, match="cert_file"):
            await ApiServer([broken]).start(tasks)


async def test_nobody_is_asked_for_a_passphrase(tmp_path: Path, desk: CountingDesk) -> None:
    """OpenSSL would ask the terminal, and hold up the whole node until somebody types."""
    issued = trustme.CA().issue_cert("localhost")
    cert_file, key_file = tmp_path / "cert.pem", tmp_path / "key.pem"
    issued.cert_chain_pems[0].write_to_path(str(cert_file))
    issued.private_key_pem.write_to_path(str(key_file))
    listener = TcpListener(
        app=create_app(desk, operator=False), host="127.0.0.1", port=0, cert_file=cert_file, key_file=key_file
    )
    private_key = serialization.load_pem_private_key(key_file.read_bytes(), None)
    encryption = serialization.BestAvailableEncryption(b"passphrase")
    locked = private_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, encryption
    )
    async with serving(listener) as server:
        key_file.write_bytes(locked)
        with pytest.raises(ConfigError, match="the key is encrypted"):
            server.reload_certificates()
    with pytest.raises(ConfigError, match="the key is encrypted"):
        ApiServer([listener]).bind()


async def test_a_stream_tells_history_then_what_happens_then_ends(tmp_path: Path, desk: CountingDesk) -> None:
    """Each event has its sequence as id; a client that reconnects is not told twice."""
    path = tmp_path / "s"
    desk.results[COMMAND] = event("running", seq=2)
    desk.histories[COMMAND] = [event(seq=1), event("running", seq=2)]
    url = f"/api/v1/b2b/risk/commands/{COMMAND}/events"
    async with serving(UnixListener(app=create_app(desk, operator=True), path=path)), client(path) as session:
        async with session.get(url) as answer:
            assert answer.content_type == "text/event-stream"
            frames = lines_of(answer, "data: ")
            assert [json.loads(await anext(frames))["seq"] for _ in range(2)] == [1, 2]
            desk.live.put_nowait(event("done", seq=3, verdict="flat"))
            assert json.loads(await anext(frames))["state"] == "done"
            desk.live.put_nowait(None)
            assert [line async for line in frames] == []
        async with session.get(url, headers={"Last-Event-ID": "1"}) as answer:
            desk.live.put_nowait(None)
            assert [line async for line in lines_of(answer, "id: ")] == ["2"]
    assert desk.following == 0


async def test_a_stream_of_an_unknown_command_is_not_found(tmp_path: Path, desk: CountingDesk) -> None:
    """Before any stream begins."""
    path = tmp_path / "s"
    url = f"/api/v1/b2b/risk/commands/{COMMAND}/events"
    async with (
        serving(UnixListener(app=create_app(desk, operator=True), path=path)),
        client(path) as session,
        session.get(url) as answer,
    ):
        assert (answer.status, (await answer.json())["error"]["code"]) == (404, "NOT_FOUND")


async def test_silence_is_filled_with_heartbeats(
    tmp_path: Path, desk: CountingDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that both ends notice a dead connection; the document that was waited for is not lost by it."""
    monkeypatch.setattr("node.api.streams.HEARTBEAT_INTERVAL_S", 0.01)
    path = tmp_path / "s"
    async with (
        serving(UnixListener(app=create_app(desk, operator=True), path=path)),
        client(path) as session,
        session.get(f"/api/v1/locks/{ACCOUNT}/events") as answer,
    ):
        assert json.loads(await anext(lines_of(answer, "data: ")))["epoch"] == 7
        beats = lines_of(answer, ": heartbeat")
        assert [await anext(beats) for _ in range(3)] == ["", "", ""]
        desk.live.put_nowait({"epoch": 8})
        assert json.loads(await anext(lines_of(answer, "data: ")))["epoch"] == 8


async def test_a_client_that_leaves_ends_its_stream(tmp_path: Path, desk: CountingDesk) -> None:
    """Nothing goes on waiting for it."""
    path = tmp_path / "s"
    async with serving(UnixListener(app=create_app(desk, operator=True), path=path)):
        async with client(path) as session, session.get(f"/api/v1/locks/{ACCOUNT}/events") as answer:
            await anext(lines_of(answer, "data: "))
            assert desk.following == 1
        await until(lambda: not desk.following)


async def test_stopping_ends_streams_at_once(tmp_path: Path, desk: CountingDesk) -> None:
    """An open stream does not hold the daemon until its deadline."""
    path = tmp_path / "s"
    server = ApiServer([UnixListener(app=create_app(desk, operator=True), path=path)], stop_deadline_s=300)
    async with asyncio.TaskGroup() as tasks:
        await server.start(tasks)
        async with client(path) as session, session.get(f"/api/v1/locks/{ACCOUNT}/events") as answer:
            await anext(lines_of(answer, "data: "))
            async with asyncio.timeout(PATIENCE_S):
                await server.stop()
                assert [line async for line in lines_of(answer, "data: ")] == []
    assert desk.following == 0


async def test_an_unforeseen_failure_tells_nothing_of_itself(
    tmp_path: Path, desk: CountingDesk, caplog: pytest.LogCaptureFixture
) -> None:
    """The caller gets INTERNAL without a trace; the log has it."""
    path = tmp_path / "s"
    desk.fails = RuntimeError("canary")
    async with serving(UnixListener(app=create_app(desk, operator=True), path=path)), client(path) as session:
        kill = {"account_id": str(ACCOUNT), "action": "LOCK"}
        async with session.post("/api/v1/b2b/risk/kill", json=kill) as answer:
            assert answer.status == 500
            assert await answer.json() == {
                "success": False,
                "error": {"code": "INTERNAL", "message": "the node failed: its log says why"},
            }
    assert "canary" in caplog.text
