"""A webhook: one attempt at a real server that takes, refuses, redirects, fails, hangs, or is not there."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from node.notify.webhook import ID_HEADER, SIGNATURE_HEADER, Answer, Webhook, signature
from tests.support.mosquitto import free_port
from tests.support.webhook import WebhookServer, webhook_server

SECRET = b"a secret of some length"


@asynccontextmanager
async def client(url: str, *, secret: bytes | None = None, timeout_s: float = 5.0) -> AsyncIterator[Webhook]:
    """Posts there."""
    webhook = Webhook(url, secret=secret, timeout_s=timeout_s, now_s=lambda: 1_700_000_000.9)
    try:
        yield webhook
    finally:
        await webhook.close()


async def attempt(server: WebhookServer, **parameters: float) -> tuple[Answer, str]:
    """One post of a small document."""
    async with client(server.url, **parameters) as webhook:  # type: ignore[arg-type]
        return await webhook.post(b'{"a":1}', "some-id")


@pytest.mark.parametrize("status", [200, 201, 204])
async def test_a_good_answer_means_taken(status: int) -> None:
    """Whatever is in it."""
    with webhook_server(status) as server:
        assert await attempt(server) == (Answer.TAKEN, f"HTTP {status}")
        (received,) = server.received
        assert received.body == b'{"a":1}'
        assert received.headers["Content-Type"] == "application/json"
        assert received.headers[ID_HEADER] == "some-id"
        assert SIGNATURE_HEADER not in received.headers


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_a_refusal_and_not_followed(status: int) -> None:
    """What was configured is where it goes: a signed document is not carried to wherever an answer says."""
    with webhook_server(status) as server:
        assert await attempt(server) == (Answer.REFUSED, f"HTTP {status}")
        assert len(server.received) == 1


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (400, Answer.REFUSED),
        (401, Answer.REFUSED),
        (404, Answer.REFUSED),
        (410, Answer.REFUSED),
        (408, Answer.FAILED),
        (429, Answer.FAILED),
        (500, Answer.FAILED),
        (503, Answer.FAILED),
    ],
)
async def test_a_refusal_is_for_good_and_a_failure_is_not(status: int, answer: Answer) -> None:
    """Only what may be taken later is worth another attempt."""
    with webhook_server(status) as server:
        assert await attempt(server) == (answer, f"HTTP {status}")


async def test_a_server_that_hangs_is_left_alone_in_time() -> None:
    """The time is for the whole attempt."""
    with webhook_server(None) as server:
        assert await attempt(server, timeout_s=0.2) == (Answer.FAILED, "TimeoutError")
        assert server.hanging.is_set()


async def test_nobody_there_is_a_failure_and_its_words_do_not_name_the_address() -> None:
    """Many addresses are secrets."""
    async with client(f"http://127.0.0.1:{free_port()}/a-secret-path") as webhook:
        answer, said = await webhook.post(b"{}", "some-id")
    assert answer is Answer.FAILED
    assert "secret" not in said
    assert "127" not in said


async def test_what_is_posted_is_signed_with_the_instant() -> None:
    """A receiver can tell a forgery, and an old one that somebody sends again."""
    with webhook_server() as server:
        async with client(server.url, secret=SECRET) as webhook:
            await webhook.post(b'{"a":1}', "some-id")
        (received,) = server.received
    expected = hmac.new(SECRET, b'1700000000.{"a":1}', hashlib.sha256).hexdigest()
    assert received.headers[SIGNATURE_HEADER] == f"t=1700000000,v1={expected}"
    assert signature(SECRET, b'{"a":2}', 1_700_000_000) != received.headers[SIGNATURE_HEADER]
    assert signature(SECRET, b'{"a":1}', 1_700_000_001) != received.headers[SIGNATURE_HEADER]


async def test_a_name_that_nobody_knows_is_a_failure() -> None:
    """Looked up on a thread of its own."""
    async with client("https://no-such-host.invalid/hook") as webhook:
        assert (await webhook.post(b"{}", "some-id"))[0] is Answer.FAILED
