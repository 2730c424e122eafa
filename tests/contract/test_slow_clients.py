"""Clients that begin and do not go on: they are given up on, and hold up nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.support.public_api import KILL, PublicApi, public_api
from tests.support.waiting import PATIENCE_S

#: In place of ten seconds.
SOON_S = 0.05
HEAD = f"POST {KILL} HTTP/1.1\r\nHost: node\r\n".encode()


@pytest.fixture
async def api(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[PublicApi]:
    """A listener in a hurry."""
    monkeypatch.setattr("node.api.wire.HEAD_WITHIN_S", SOON_S)
    monkeypatch.setattr("node.api.guards.BODY_WITHIN_S", SOON_S)
    async with public_api() as served:
        yield served


async def opened(api: PublicApi, content: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection that has sent so much."""
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    writer.write(content)
    return reader, writer


@pytest.mark.parametrize("content", [b"", b"P", HEAD, HEAD + b"X-Slow: "])
async def test_a_head_that_does_not_come_ends_the_connection(api: PublicApi, content: bytes) -> None:
    """Without an answer: nothing was asked."""
    reader, writer = await opened(api, content)
    async with asyncio.timeout(PATIENCE_S):
        assert await reader.read() == b""
    writer.close()


async def test_a_head_that_trickles_has_no_more_time_than_one_that_stops(api: PublicApi) -> None:
    """The deadline is of the whole head."""
    reader, writer = await opened(api, HEAD)
    ended = asyncio.create_task(reader.read(), name="trickle-end")
    async with asyncio.timeout(PATIENCE_S):
        while not ended.done():
            writer.write(b"X")
            await asyncio.wait({ended}, timeout=SOON_S / 5)
    assert await ended == b""
    writer.close()


async def test_a_head_that_trickles_on_a_used_connection_is_given_up_on_too(api: PublicApi) -> None:
    """Between requests nobody gets more time than at the beginning."""
    reader, writer = await opened(api, b"GET /livez HTTP/1.1\r\nHost: node\r\n\r\n")
    assert b"200" in await reader.readline()
    writer.write(b"GET /li")
    async with asyncio.timeout(PATIENCE_S):
        assert b"GET" not in await reader.read()
    writer.close()


async def test_a_body_that_does_not_come_is_a_bad_request(api: PublicApi) -> None:
    """The contract's, without effect; and the connection does not stay."""
    key = await api.key()
    content = HEAD + f"X-API-Key: {key}\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{{".encode()
    reader, writer = await opened(api, content)
    async with asyncio.timeout(PATIENCE_S):
        answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"did not come in time" in answer
    assert api.desk.submitted == []
    writer.close()


async def test_a_body_is_not_waited_for_without_a_valid_key(api: PublicApi) -> None:
    """The refusal comes at once."""
    reader, writer = await opened(api, HEAD + b"X-API-Key: ad_b2b_junk\r\nContent-Length: 50\r\n\r\n")
    async with asyncio.timeout(PATIENCE_S):
        assert b"401" in await reader.readline()
    writer.close()


async def test_a_client_that_leaves_in_the_middle_of_its_body_has_no_effect(api: PublicApi) -> None:
    """Half a command is none, and the listener serves on."""
    key = await api.key()
    content = HEAD + f"X-API-Key: {key}\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{{".encode()
    _, writer = await opened(api, content)
    writer.close()
    await writer.wait_closed()
    assert (await api.kill(key=key)).status == 200
    assert len(api.desk.submitted) == 1


async def test_connections_that_wait_are_few_and_the_oldest_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who holds them open does not keep a kill out."""
    monkeypatch.setattr("node.api.wire.WAITING_MAX", 4)
    async with public_api() as api:
        held = [await opened(api, b"POST") for _ in range(8)]
        assert (await api.kill(key=await api.key())).status == 200
        async with asyncio.timeout(PATIENCE_S):
            for reader, _ in held[:4]:
                assert await reader.read() == b""
        for _, writer in held:
            writer.close()
