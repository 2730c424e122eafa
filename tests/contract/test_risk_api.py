"""The risk API as its users have it: the document it is built from, row by row, over a real socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from node.api.streams import STREAMS_MAX
from node.domain.api_key import Scope
from node.domain.command import Action, Door
from tests.support.counting_desk import ACCOUNT, ACCOUNT_NAME, COMMAND, event
from tests.support.keyring import STRANGERS_ACCOUNT
from tests.support.public_api import KILL, PublicApi, public_api
from tests.support.waiting import until

BODY = {"account_id": str(ACCOUNT), "action": "CLOSE_ALL"}
ACCOUNTS = "/api/v1/b2b/accounts"


@pytest.fixture
async def api() -> AsyncIterator[PublicApi]:
    """A listener with the documented limits."""
    async with public_api() as served:
        yield served


async def test_the_documented_request_gets_the_documented_answer(api: PublicApi) -> None:
    """With exactly the documented fields first, each of its documented type."""
    answer = await api.call("POST", KILL, BODY, key=await api.key())
    assert answer.status == 200
    document = answer.document
    assert {name: document[name] for name in ("success", "action", "account_id")} == {
        "success": True,
        **BODY,
    } | {"success": True}
    assert UUID(document["command_id"]) == api.desk.submitted[0].command_id
    assert document["estimated_execution"] == "481ms"
    assert document["latency_ms"] == 1.235


async def test_a_command_is_its_keys(api: PublicApi) -> None:
    """By the HTTP door, issued by the key, not by its owner."""
    made = await api.keyring.create("acme")
    await api.call("POST", KILL, BODY, key=made.token.text)
    (request,) = api.desk.submitted
    assert (request.issuer, request.door, request.action) == (f"key:{made.key.id}", Door.HTTP, Action.CLOSE_ALL)


class TestErrorTable:
    """Every row; and each comes before the rows that are checked after it."""

    async def test_unauthorized_without_the_header(self, api: PublicApi) -> None:
        """Whatever the body is."""
        assert (await api.call("POST", KILL, BODY)).refusal == (401, "UNAUTHORIZED")
        assert (await api.call("POST", KILL, b"{")).refusal == (401, "UNAUTHORIZED")

    @pytest.mark.parametrize("text", ["", "ad_b2b_your_key_here", "x" * 4000, "\t", "ad_b2b_é"])
    async def test_invalid_key_for_what_is_no_key(self, api: PublicApi, text: str) -> None:
        """Before the body is looked at."""
        assert (await api.call("POST", KILL, b"{", key=text)).refusal == (401, "INVALID_KEY")

    async def test_invalid_key_for_a_wrong_secret_of_a_known_key(self, api: PublicApi) -> None:
        """Also of a revoked one: who has not its secret learns nothing of it."""
        made = await api.keyring.create("acme")
        other = (await api.keyring.create("acme")).token
        forged = type(other)(key_id=made.key.id, secret=other.secret).text
        assert (await api.kill(key=forged)).refusal == (401, "INVALID_KEY")
        await api.keyring.revoke(made.key.id)
        assert (await api.kill(key=forged)).refusal == (401, "INVALID_KEY")

    async def test_two_keys_are_no_key(self, api: PublicApi) -> None:
        """Which one was meant is nobody's guess."""
        key = (await api.key()).encode()
        head = b"POST " + KILL.encode() + b" HTTP/1.1\r\nHost: n\r\nConnection: close\r\nContent-Length: 0\r\n"
        answer = await api.raw(head + b"X-API-Key: " + key + b"\r\nX-API-Key: " + key + b"\r\n\r\n")
        assert b"INVALID_KEY" in answer

    async def test_key_revoked(self, api: PublicApi) -> None:
        """From the moment of its revocation; before the rate and the body."""
        made = await api.keyring.create("acme")
        assert (await api.kill(key=made.token.text)).status == 200
        await api.keyring.revoke(made.key.id)
        answer = await api.call("POST", KILL, b"{", key=made.token.text)
        assert answer.refusal == (403, "KEY_REVOKED")
        assert "revoked" in answer.document["error"]["message"]

    async def test_an_expired_key_is_as_good_as_revoked(self, api: PublicApi) -> None:
        """With its own reason."""
        key = await api.key(expires_in=timedelta(seconds=60))
        assert (await api.kill(key=key)).status == 200
        api.clock.pass_s(60)
        answer = await api.kill(key=key)
        assert answer.refusal == (403, "KEY_REVOKED")
        assert "expired" in answer.document["error"]["message"]

    async def test_rate_limited_after_a_hundred_in_a_minute(self, api: PublicApi) -> None:
        """Before subscription and body; and let in again as the oldest leaves the window."""
        key = await api.key("lapsed")
        for _ in range(100):
            assert (await api.call("POST", KILL, b"{", key=key)).refusal == (403, "FORBIDDEN")
            api.clock.pass_s(0.1)
        answer = await api.call("POST", KILL, b"{", key=key)
        assert answer.refusal == (429, "RATE_LIMITED")
        assert answer.headers["Retry-After"] == "50"
        assert answer.headers["X-RateLimit-Remaining"] == "0"
        api.clock.pass_s(50)
        assert (await api.call("POST", KILL, b"{", key=key)).refusal == (403, "FORBIDDEN")

    @pytest.mark.parametrize(("owner", "reason"), [("lapsed", "subscription"), ("empty", "linked account")])
    async def test_forbidden_without_the_prerequisites(self, api: PublicApi, owner: str, reason: str) -> None:
        """An active subscription and a linked account; before the body."""
        key = await api.key(owner)
        for answer in (await api.call("POST", KILL, b"{", key=key), await api.call("GET", ACCOUNTS, key=key)):
            assert answer.refusal == (403, "FORBIDDEN")
            assert reason in answer.document["error"]["message"]

    @pytest.mark.parametrize(
        ("scopes", "allowed"),
        [
            ({Scope.KILL}, {"LOCK", "CLOSE_ALL", "FLATTEN"}),
            ({Scope.LOCK}, {"LOCK"}),
            ({Scope.LOCK, Scope.READ}, {"LOCK", "read"}),
            ({Scope.READ}, {"read"}),
        ],
    )
    async def test_forbidden_beyond_the_keys_scopes(
        self, api: PublicApi, scopes: set[Scope], allowed: set[str]
    ) -> None:
        """A key that may close may lock: closing locks."""
        key = await api.key(scopes=scopes)
        answers = {action: await api.kill(key=key, action=action) for action in ("LOCK", "CLOSE_ALL", "FLATTEN")}
        answers["read"] = await api.call("GET", ACCOUNTS, key=key)
        assert {name for name, answer in answers.items() if answer.status == 200} == allowed
        assert {answer.refusal for name, answer in answers.items() if name not in allowed} <= {(403, "FORBIDDEN")}

    async def test_bad_request_before_ownership(self, api: PublicApi) -> None:
        """A body with a fault is not even asked whose account it names."""
        answer = await api.kill(key=await api.key(), account_id=str(STRANGERS_ACCOUNT), action="SELL")
        assert answer.refusal == (400, "BAD_REQUEST")
        assert "action: one of CLOSE_ALL, FLATTEN, LOCK" in answer.document["error"]["message"]

    async def test_not_found_for_another_owners_account_as_for_none(self, api: PublicApi) -> None:
        """To the byte; both attempts are on record, in the engine's hands."""
        key = await api.key()
        foreign = await api.kill(key=key, account_id=str(STRANGERS_ACCOUNT))
        unknown = await api.kill(key=key, account_id=str(uuid4()))
        assert foreign.refusal == unknown.refusal == (404, "NOT_FOUND")
        assert foreign.document == unknown.document
        assert len(api.desk.submitted) == 2

    async def test_a_key_for_some_accounts_does_not_know_the_owners_others(self, api: PublicApi) -> None:
        """The list on the key counts, not only the owner."""
        key = await api.key(accounts=[])
        assert (await api.kill(key=key)).refusal == (403, "FORBIDDEN")


BAD_BODIES: dict[str, bytes] = {
    "nothing": b"",
    "not JSON": b"{",
    "not an object": b"[]",
    "null": b"null",
    "a number": b"7",
    "not UTF-8": b'{"account_id": "\xff"}',
    "UTF-16": '{"account_id": 1}'.encode("utf-16"),
    "a lone surrogate": b'{"account_id": "\\ud800", "action": "LOCK"}',
    "a zero byte": b'{"account_id": "\\u0000", "action": "LOCK"}',
    "too deep": b"[" * 8000,
    "a number too long": b'{"account_id": ' + b"9" * 8000 + b"}",
    "not a number": b'{"account_id": NaN, "action": Infinity}',
    "no account": b'{"action": "LOCK"}',
    "no action": json.dumps({"account_id": str(ACCOUNT)}).encode(),
    "an unknown field": json.dumps({**BODY, "colour": "red"}).encode(),
    "a name": json.dumps({**BODY, "account_id": ACCOUNT_NAME}).encode(),
    "every account": json.dumps({**BODY, "account_id": "*"}).encode(),
    "UNLOCK": json.dumps({**BODY, "action": "UNLOCK"}).encode(),
    "lower case": json.dumps({**BODY, "action": "lock"}).encode(),
    "symbols of a FLATTEN": json.dumps({**BODY, "action": "FLATTEN", "symbols": ["A/B"]}).encode(),
    "a reason that clears a terminal": json.dumps({**BODY, "reason": "\x1b[2J"}).encode(),
    "a reason that writes backwards": json.dumps({**BODY, "reason": "\u202ella"}).encode(),
    "too large": json.dumps({**BODY, "reason": "x" * 17_000}).encode(),
    "a form": b"account_id=1&action=LOCK",
}


@pytest.mark.parametrize("content", BAD_BODIES.values(), ids=BAD_BODIES.keys())
async def test_a_bad_body_is_a_bad_request_without_effect(api: PublicApi, content: bytes) -> None:
    """Never a 500, never a trace, never a command."""
    answer = await api.call("POST", KILL, content, key=await api.key())
    assert answer.refusal == (400, "BAD_REQUEST")
    assert "Traceback" not in json.dumps(answer.document)
    assert api.desk.submitted == []


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "é", ";;;"])
async def test_another_content_type_is_a_bad_request(api: PublicApi, kind: str) -> None:
    """Only JSON is read as JSON."""
    answer = await api.call("POST", KILL, json.dumps(BODY).encode(), key=await api.key(), Content_Type=kind)
    assert (answer.refusal, api.desk.submitted) == ((400, "BAD_REQUEST"), [])


@pytest.mark.parametrize("value", ["today", "", "7", str(COMMAND) + "0"])
async def test_an_idempotency_key_that_is_no_uuid_is_a_bad_request(api: PublicApi, value: str) -> None:
    """It would have been the command's identity."""
    answer = await api.kill(key=await api.key(), idempotency_key=value)
    assert (answer.refusal, api.desk.submitted) == ((400, "BAD_REQUEST"), [])


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "TRACE", "BREW"])
async def test_another_method_is_not_allowed(api: PublicApi, method: str) -> None:
    """And says which are."""
    answer = await api.call(method, KILL, key=await api.key())
    assert (answer.status, answer.headers["Allow"], api.desk.submitted) == (405, "POST", [])


@pytest.mark.parametrize("path", ["/", "/api/v1/b2b/risk/unlock", "/api/v1/b2b/keys", KILL + "/", "/api/v1/b2b/%00"])
async def test_what_is_not_there_is_not_found(api: PublicApi, path: str) -> None:
    """Nor is what only the operator has."""
    assert (await api.call("POST", path, {}, key=await api.key())).refusal == (404, "NOT_FOUND")


HEAD = b"POST /api/v1/b2b/risk/kill HTTP/1.1\r\nHost: node\r\nConnection: close\r\n"
BAD_REQUESTS: dict[str, bytes] = {
    "another protocol": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "no version": b"POST /\r\n\r\n",
    "no host": b"POST / HTTP/1.1\r\n\r\n",
    "a header without a name": HEAD + b": x\r\n\r\n",
    "a header too large": HEAD + b"X: " + b"x" * 70_000 + b"\r\n\r\n",
    "a length that is none": HEAD + b"Content-Length: -1\r\n\r\n",
    "two lengths": HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "a length and chunks": HEAD + b"Content-Length: 5\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "a target that is none": b"GET \xff\xfe HTTP/1.1\r\nHost: node\r\n\r\n",
}


@pytest.mark.parametrize("content", BAD_REQUESTS.values(), ids=BAD_REQUESTS.keys())
async def test_what_is_no_http_is_a_bad_request_and_the_end_of_the_connection(api: PublicApi, content: bytes) -> None:
    """In the contract's shape."""
    answer = await api.raw(content)
    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 501 "))
    assert b'"BAD_REQUEST"' in answer
    assert api.desk.submitted == []


async def test_the_same_idempotency_key_gets_the_stored_answer(api: PublicApi) -> None:
    """Under the same command id."""
    key = await api.key()
    first = await api.kill(key=key, idempotency_key=str(COMMAND))
    second = await api.kill(key=key, idempotency_key=str(COMMAND))
    assert (first.status, second.status, second.headers["Idempotency-Replayed"]) == (200, 200, "true")
    assert first.document == second.document
    assert first.document["command_id"] == str(COMMAND)


async def test_an_unjournaled_command_says_so_and_needs_no_disk_for_its_key(api: PublicApi) -> None:
    """The journal is down, and with it the keys' file: the kill runs."""
    key = await api.key()
    api.store.broken = True
    api.desk.unjournaled = True
    answer = await api.kill(key=key)
    assert (answer.status, answer.headers["X-Journaled"], len(api.desk.submitted)) == (200, "false", 1)


class TestOwnership:
    """A key of one owner never learns whether another owner's account or command exists."""

    async def test_results_and_streams_of_anothers_command_are_as_of_none(self, api: PublicApi) -> None:
        """To the byte."""
        key = await api.key()
        api.desk.results[COMMAND] = event("done", account_id=str(STRANGERS_ACCOUNT))
        for suffix in ("", "/events"):
            foreign = await api.call("GET", f"/api/v1/b2b/risk/commands/{COMMAND}{suffix}", key=key)
            unknown = await api.call("GET", f"/api/v1/b2b/risk/commands/{uuid4()}{suffix}", key=key)
            assert foreign.refusal == unknown.refusal == (404, "NOT_FOUND")
            assert foreign.document == unknown.document

    async def test_the_parent_of_a_command_for_all_accounts_is_the_operators(self, api: PublicApi) -> None:
        """It names every account."""
        api.desk.results[COMMAND] = event("done", account_id="*")
        answer = await api.call("GET", f"/api/v1/b2b/risk/commands/{COMMAND}", key=await api.key())
        assert answer.refusal == (404, "NOT_FOUND")

    async def test_its_own_are_found_whoever_sent_them(self, api: PublicApi) -> None:
        """An account's owner may know what was done to it."""
        api.desk.results[COMMAND] = event("done", verdict="flat", issuer="desk")
        answer = await api.call("GET", f"/api/v1/b2b/risk/commands/{COMMAND}", key=await api.key())
        assert (answer.status, answer.document["verdict"]) == (200, "flat")

    async def test_each_sees_its_own_accounts(self, api: PublicApi) -> None:
        """And no other's."""
        for owner, account in (("acme", ACCOUNT), ("other", STRANGERS_ACCOUNT)):
            listed = await api.call("GET", ACCOUNTS, key=await api.key(owner))
            assert [each["id"] for each in listed.document["accounts"]] == [str(account)]

    @pytest.mark.parametrize("name", [str(STRANGERS_ACCOUNT), "strangers"])
    async def test_anothers_lock_is_as_of_no_account(self, api: PublicApi, name: str) -> None:
        """By id and by name."""
        key = await api.key()
        foreign = await api.call("GET", f"{ACCOUNTS}/{name}/lock", key=key)
        unknown = await api.call("GET", f"{ACCOUNTS}/{uuid4()}/lock", key=key)
        assert foreign.refusal == (404, "NOT_FOUND")
        assert foreign.document == unknown.document
        assert (await api.call("GET", f"{ACCOUNTS}/{ACCOUNT}/lock", key=key)).document["epoch"] == 7

    async def test_a_stream_is_for_the_accounts_owner(self, api: PublicApi) -> None:
        """Over the socket, as it happens."""
        api.desk.results[COMMAND] = event()
        api.desk.histories[COMMAND] = [event(seq=1)]
        url = f"http://127.0.0.1:{api.port}/api/v1/b2b/risk/commands/{COMMAND}/events"
        async with api.session.get(url, headers={"X-API-Key": await api.key()}) as answer:
            assert answer.content_type == "text/event-stream"
            api.desk.live.put_nowait(event("done", seq=2, verdict="flat"))
            api.desk.live.put_nowait(None)
            lines = [line async for line in answer.content if line.startswith(b"data: ")]
        assert [json.loads(line.removeprefix(b"data: "))["state"] for line in lines] == ["accepted", "done"]

    async def test_a_stream_ends_with_its_key(self, api: PublicApi) -> None:
        """A revoked key hears nothing more, whatever happens to the account."""
        made = await api.keyring.create("acme")
        api.desk.results[COMMAND] = event()
        api.desk.histories[COMMAND] = [event(seq=1)]
        url = f"http://127.0.0.1:{api.port}/api/v1/b2b/risk/commands/{COMMAND}/events"
        async with api.session.get(url, headers={"X-API-Key": made.token.text}) as answer:
            await answer.content.readuntil(b"data: ")
            await answer.content.readline()
            await api.keyring.revoke(made.key.id)
            api.desk.live.put_nowait(event("done", seq=2, verdict="flat"))
            api.desk.live.put_nowait(None)
            assert [line async for line in answer.content if line.startswith(b"data: ")] == []

    async def test_a_last_event_of_thousands_of_digits_is_nothing_sensible(self, api: PublicApi) -> None:
        """The stream begins at its beginning."""
        api.desk.results[COMMAND] = event()
        api.desk.histories[COMMAND] = [event(seq=1)]
        url = f"http://127.0.0.1:{api.port}/api/v1/b2b/risk/commands/{COMMAND}/events"
        headers = {"X-API-Key": await api.key(), "Last-Event-ID": "9" * 5000}
        async with api.session.get(url, headers=headers) as answer:
            assert answer.status == 200
            assert await answer.content.readuntil(b"data: ")

    @pytest.mark.parametrize("more", [rb'"\ud800": 1', rb'"symbols": ["\ud800"]', rb'"reason": "\ud800"'])
    async def test_half_a_surrogate_pair_is_a_bad_request(self, api: PublicApi, more: bytes) -> None:
        """JSON can hold it, UTF-8 cannot: neither an answer nor the journal may be asked to."""
        body = b'{"account_id": "%s", "action": "CLOSE_ALL", %s}' % (str(ACCOUNT).encode(), more)
        answer = await api.call("POST", KILL, body, key=await api.key())
        assert answer.refusal == (400, "BAD_REQUEST")
        assert api.desk.submitted == []


class TestRates:
    """A hundred a minute for acting, as many for looking, and strangers by address."""

    async def test_headers_tell_what_is_left(self, api: PublicApi) -> None:
        """On successes and on refusals."""
        key = await api.key()
        for answer, left in ((await api.kill(key=key), "99"), (await api.call("POST", KILL, b"{", key=key), "98")):
            names = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
            assert [answer.headers[name] for name in names] == ["100", left, "60"]

    async def test_polling_never_spends_what_a_kill_needs(self, api: PublicApi) -> None:
        """Nor the other way round; nor another key's."""
        key = await api.key()
        for _ in range(100):
            assert (await api.call("GET", ACCOUNTS, key=key)).status == 200
        assert (await api.call("GET", ACCOUNTS, key=key)).refusal == (429, "RATE_LIMITED")
        assert (await api.kill(key=key)).status == 200
        assert (await api.call("GET", ACCOUNTS, key=await api.key())).status == 200

    async def test_streams_of_a_key_are_few(self, api: PublicApi) -> None:
        """Each holds a connection; one that ends makes room."""
        key = await api.key()
        api.desk.results[COMMAND] = event()
        api.desk.histories[COMMAND] = [event(seq=1)]
        url = f"http://127.0.0.1:{api.port}/api/v1/b2b/risk/commands/{COMMAND}/events"
        async with AsyncExitStack() as stack:
            for _ in range(STREAMS_MAX):
                answer = await stack.enter_async_context(api.session.get(url, headers={"X-API-Key": key}))
                await answer.content.readuntil(b"data: ")
            refused = await api.call("GET", f"/api/v1/b2b/risk/commands/{COMMAND}/events", key=key)
            assert (refused.refusal, refused.headers["Retry-After"]) == ((429, "RATE_LIMITED"), "1")
            api.desk.live.put_nowait(None)
            await until(lambda: api.desk.following < STREAMS_MAX)
            await stack.enter_async_context(api.session.get(url, headers={"X-API-Key": key}, raise_for_status=True))

    async def test_junk_is_limited_by_address_and_a_valid_key_is_not(self, api: PublicApi) -> None:
        """From the very same address."""
        key = await api.key()
        answers = [(await api.kill(key="ad_b2b_junk")).refusal for _ in range(61)]
        assert answers == [(401, "INVALID_KEY")] * 60 + [(429, "RATE_LIMITED")]
        assert (await api.kill()).refusal == (429, "RATE_LIMITED")
        assert (await api.kill(key=key)).status == 200
        api.clock.pass_s(60)
        assert (await api.kill()).refusal == (401, "UNAUTHORIZED")

    async def test_a_lock_gets_through_a_flood_of_junk_at_once(self, api: PublicApi) -> None:
        """Fifty connections that send as fast as they are answered."""
        key, flooding = await api.key(), asyncio.Event()
        sent = 0

        async def flood() -> None:
            nonlocal sent
            while True:
                await api.kill(key="ad_b2b_junk")
                sent += 1
                if sent > 100:
                    flooding.set()

        async with asyncio.TaskGroup() as tasks:
            junk = [tasks.create_task(flood(), name=f"flood-{number}") for number in range(50)]
            await flooding.wait()
            before = sent
            assert (await api.kill(key=key)).status == 200
            # Whoever was before it in the queue, and no second round of them.
            assert sent - before <= 3 * len(junk)
            for task in junk:
                task.cancel()


async def test_a_key_that_cannot_be_looked_up_is_not_called_wrong(api: PublicApi) -> None:
    """The node was started without its journal: what it cannot know it does not deny; what is no key is none."""
    key = await api.key()
    api.keyring._keys.clear()
    api.keyring.begin_unread()
    assert (await api.kill(key=key)).refusal == (503, "NOT_READY")
    assert (await api.kill(key="ad_b2b_your_key_here")).refusal == (401, "INVALID_KEY")
    await api.keyring.load()
    assert (await api.kill(key=key)).status == 200


async def test_a_copied_key_kills_while_the_keys_cannot_be_read(api: PublicApi) -> None:
    """One that the copy knows as revoked does not."""
    key, ended = await api.key(), await api.key()
    await api.keyring.revoke(ended.split("_")[2])
    copied = api.keyring.keys()
    api.keyring._keys.clear()
    api.keyring.begin_unread()
    api.keyring.adopt_copied(copied)
    assert (await api.kill(key=key)).status == 200
    assert (await api.kill(key=ended)).refusal == (403, "KEY_REVOKED")
