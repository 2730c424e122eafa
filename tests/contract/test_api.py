"""The HTTP contract: routes, bodies, codes, over a desk that counts."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from node.api.app import create_app
from node.domain.command import Action, Door, RejectCode
from node.domain.guard_mode import GuardMode
from node.engine.ports import CommandDesk
from node.errors import JournalUnavailable, NotAvailable, NotConfirmed
from tests.support.asgi_client import AsgiClient
from tests.support.counting_desk import ACCOUNT, ACCOUNT_NAME, COMMAND, CountingDesk, event
from tests.support.keyring import make_keyring

KILL = "/api/v1/b2b/risk/kill"
UNLOCK = "/api/v1/b2b/risk/unlock"
ABORT = f"/api/v1/b2b/risk/commands/{COMMAND}/abort"
SEED_FIELDS = {"success", "command_id", "action", "account_id", "estimated_execution", "latency_ms"}


@pytest.fixture
def desk() -> CountingDesk:
    """What the doors ask."""
    return CountingDesk()


@pytest.fixture
def operator(desk: CountingDesk) -> AsgiClient:
    """Somebody at the operator's socket."""
    engine: CommandDesk = desk
    return AsgiClient(create_app(engine, operator=True, keyring=make_keyring()), peer=None)


def body(**fields: Any) -> dict[str, Any]:
    """A kill of the one account."""
    return {"account_id": str(ACCOUNT), "action": "CLOSE_ALL", **fields}


async def test_a_kill_answers_with_the_documented_fields(operator: AsgiClient, desk: CountingDesk) -> None:
    """Exactly those, and the event document beside them."""
    answer = await operator.post(KILL, body(), idempotency_key=str(COMMAND))
    document = answer.document
    assert (answer.status, set(document)) == (200, SEED_FIELDS | {"result"})
    assert document["result"]["state"] == "accepted"
    assert {name: document[name] for name in SEED_FIELDS} == {
        "success": True,
        "command_id": str(COMMAND),
        "action": "CLOSE_ALL",
        "account_id": str(ACCOUNT),
        "estimated_execution": "481ms",
        "latency_ms": 1.235,
    }
    assert "x-journaled" not in answer.headers


async def test_a_kill_becomes_the_operators_request(operator: AsgiClient, desk: CountingDesk) -> None:
    """Every field arrives, symbols sorted and each once."""
    await operator.post(
        KILL,
        body(symbols=["B/C", "A/C", "B/C"], latch=False, dry_run=True, reason="fire"),
        idempotency_key=str(COMMAND),
    )
    (request,) = desk.submitted
    assert (request.command_id, request.account_id, request.action) == (COMMAND, ACCOUNT, Action.CLOSE_ALL)
    assert (request.issuer, request.door) == ("operator", Door.OPERATOR)
    assert (request.symbols, request.latch, request.dry_run, request.reason) == (("A/C", "B/C"), False, True, "fire")


async def test_without_a_key_every_kill_is_a_new_command(operator: AsgiClient, desk: CountingDesk) -> None:
    """The sender did not say that it is the same one."""
    await operator.post(KILL, body())
    await operator.post(KILL, body())
    assert len({request.command_id for request in desk.submitted}) == 2


async def test_the_same_key_gets_the_stored_answer(operator: AsgiClient, desk: CountingDesk) -> None:
    """And is told that it is a stored one."""
    first = await operator.post(KILL, body(), idempotency_key=str(COMMAND))
    second = await operator.post(KILL, body(), idempotency_key=str(COMMAND))
    assert first.document == second.document
    assert (first.headers.get("idempotency-replayed"), second.headers["idempotency-replayed"]) == (None, "true")


async def test_the_stored_answer_of_a_refusal_is_a_refusal(operator: AsgiClient, desk: CountingDesk) -> None:
    """A repetition must not look like success."""
    desk.results[COMMAND] = event("rejected", errors=[{"code": "STALE_EPOCH", "message": "the lock has changed"}])
    answer = await operator.post(KILL, body(), idempotency_key=str(COMMAND))
    assert (answer.status, answer.code) == (409, "STALE_EPOCH")


@pytest.mark.parametrize("name", [ACCOUNT_NAME, str(ACCOUNT)])
async def test_the_operator_may_name_an_account(operator: AsgiClient, desk: CountingDesk, name: str) -> None:
    """By name or id."""
    assert (await operator.post(KILL, body(account_id=name))).status == 200
    assert desk.submitted[0].account_id == ACCOUNT


async def test_a_star_is_every_account(operator: AsgiClient, desk: CountingDesk) -> None:
    """The estimate is the slowest account's."""
    answer = await operator.post(KILL, body(account_id="*"))
    assert desk.submitted[0].account_id is None
    assert (answer.document["account_id"], answer.document["estimated_execution"]) == ("*", "481ms")


async def test_a_lock_has_happened_by_the_time_of_the_answer(operator: AsgiClient) -> None:
    """Its estimate is what it took."""
    answer = await operator.post(KILL, body(action="LOCK"))
    assert answer.document["estimated_execution"] == "2ms"


async def test_an_unknown_name_is_not_found_and_an_unknown_id_is_recorded(
    operator: AsgiClient, desk: CountingDesk
) -> None:
    """Only the engine can write down that somebody tried."""
    answer = await operator.post(KILL, body(account_id="nobody"))
    assert (answer.status, answer.code, desk.submitted) == (404, "NOT_FOUND", [])
    desk.reject(RejectCode.UNKNOWN_ACCOUNT)
    answer = await operator.post(KILL, body(account_id=str(uuid4())))
    assert (answer.status, answer.code, len(desk.submitted)) == (404, "NOT_FOUND", 1)


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (b"{", "JSON"),
        (b"[]", ""),
        (b"", ""),
        ({}, "action"),
        ({"action": "LOCK"}, "account_id"),
        (body(action="SELL"), "action"),
        (body(action="UNLOCK"), "action"),
        (body(account_id=7), "account_id"),
        (body(colour="red"), "colour"),
        (body(symbols=[]), "symbols"),
        (body(symbols=["A/B"] * 201), "symbols"),
        (body(symbols=["A/B"], action="FLATTEN"), "symbols"),
        (body(latch=True, action="LOCK"), "latch"),
        (body(dry_run="yes"), "dry_run"),
        (body(latch=1), "latch"),
        (body(reason="x" * 257), "reason"),
    ],
)
async def test_a_bad_body_is_a_bad_request(
    operator: AsgiClient, desk: CountingDesk, content: object, place: str
) -> None:
    """In the contract's shape, with the place, and nothing is asked of the engine."""
    answer = await operator.post(KILL, content)
    assert (answer.status, answer.code) == (400, "BAD_REQUEST")
    assert place in answer.document["error"]["message"]
    assert answer.document["success"] is False
    assert desk.submitted == []


async def test_a_bad_idempotency_key_is_a_bad_request(operator: AsgiClient, desk: CountingDesk) -> None:
    """It would have been the command's identity."""
    answer = await operator.post(KILL, body(), idempotency_key="today")
    assert (answer.status, answer.code, desk.submitted) == (400, "BAD_REQUEST", [])


@pytest.mark.parametrize("honest", [True, False])
async def test_a_body_beyond_the_limit_is_refused(operator: AsgiClient, desk: CountingDesk, *, honest: bool) -> None:
    """Whatever it claims its length to be."""
    content = b'{"reason": "' + b"x" * 17_000 + b'"}'
    headers = {} if honest else {"content-length": "10"}
    answer = await operator.call("POST", KILL, content, headers=headers)
    assert (answer.status, answer.code, desk.submitted) == (400, "BAD_REQUEST", [])


@pytest.mark.parametrize(
    ("reject", "status", "code"),
    [
        (RejectCode.UNKNOWN_ACCOUNT, 404, "NOT_FOUND"),
        (RejectCode.FORBIDDEN, 403, "FORBIDDEN"),
        (RejectCode.CONFLICT, 409, "CONFLICT"),
        (RejectCode.STALE_EPOCH, 409, "STALE_EPOCH"),
        (RejectCode.BUSY, 409, "BUSY"),
        (RejectCode.NOT_READY, 503, "NOT_READY"),
        (RejectCode.MALFORMED, 400, "BAD_REQUEST"),
        (RejectCode.EXPIRED, 400, "BAD_REQUEST"),
        (RejectCode.REPLAYED, 400, "BAD_REQUEST"),
    ],
)
async def test_the_engines_refusals_have_a_status(
    operator: AsgiClient, desk: CountingDesk, reject: RejectCode, status: int, code: str
) -> None:
    """With the reason and the document that tells it."""
    desk.reject(reject, "because of this")
    answer = await operator.post(KILL, body())
    assert (answer.status, answer.code) == (status, code)
    assert answer.document["error"]["message"] == "because of this"
    assert answer.document["result"]["state"] == "rejected"


async def test_an_unjournaled_command_says_so_aloud(operator: AsgiClient, desk: CountingDesk) -> None:
    """It is carried out, and nothing on disk knows of it."""
    desk.unjournaled = True
    answer = await operator.post(KILL, body())
    assert (answer.status, answer.headers["x-journaled"]) == (200, "false")


async def test_unlock_names_the_epoch(operator: AsgiClient, desk: CountingDesk) -> None:
    """Every field arrives."""
    content = {"account_id": ACCOUNT_NAME, "epoch": 7, "reason": "all clear", "force": True}
    answer = await operator.post(UNLOCK, content, idempotency_key=str(COMMAND))
    (request,) = desk.submitted
    assert (answer.status, answer.document["action"]) == (200, "UNLOCK")
    assert (request.action, request.account_id, request.command_id) == (Action.UNLOCK, ACCOUNT, COMMAND)
    assert (request.epoch, request.reason, request.force) == (7, "all clear", True)


@pytest.mark.parametrize(
    "content",
    [
        {"account_id": str(ACCOUNT)},
        {"account_id": str(ACCOUNT), "epoch": "7"},
        {"account_id": str(ACCOUNT), "epoch": -1},
        {"account_id": str(ACCOUNT), "epoch": 7, "force": True},
        {"account_id": "*", "epoch": 7},
    ],
)
async def test_an_unlock_that_is_not_exact_is_refused(
    operator: AsgiClient, desk: CountingDesk, content: dict[str, object]
) -> None:
    """No epoch, no reason to force, or no single account."""
    answer = await operator.post(UNLOCK, content)
    assert (answer.status, answer.code, desk.submitted) == (400, "BAD_REQUEST", [])


async def test_abort_ends_a_live_command(operator: AsgiClient, desk: CountingDesk) -> None:
    """With the operator's name and reason; the body may be left out."""
    desk.live_commands.add(COMMAND)
    answer = await operator.post(ABORT, {"reason": "wrong account"})
    assert (answer.status, answer.document["result"]["state"]) == (200, "failed")
    assert (await operator.post(ABORT)).status == 200
    assert desk.aborted == [(COMMAND, "operator", "wrong account"), (COMMAND, "operator", None)]


async def test_the_guards_mode_is_the_operators_to_set(operator: AsgiClient, desk: CountingDesk) -> None:
    """By name or id; ``configured`` takes the word back."""
    for account, mode in ((ACCOUNT_NAME, "revert"), (str(ACCOUNT), "configured")):
        answer = await operator.post(f"/api/v1/b2b/accounts/{account}/guard", {"mode": mode})
        assert (answer.status, answer.document["account_id"]) == (200, str(ACCOUNT))
    assert desk.guard_modes == [(ACCOUNT, GuardMode.REVERT), (ACCOUNT, None)]
    assert (await operator.post("/api/v1/b2b/accounts/nobody/guard", {"mode": "off"})).status == 404
    assert (await operator.post(f"/api/v1/b2b/accounts/{ACCOUNT}/guard", {"mode": "mild"})).status == 400


async def test_abort_of_what_has_ended_or_never_was(operator: AsgiClient, desk: CountingDesk) -> None:
    """An ending is final: CONFLICT. An unknown command: NOT_FOUND."""
    assert (await operator.post(ABORT)).code == "NOT_FOUND"
    desk.results[COMMAND] = event("done", verdict="flat")
    answer = await operator.post(ABORT)
    assert (answer.status, answer.code) == (409, "CONFLICT")


async def test_a_commands_result_is_its_document(operator: AsgiClient, desk: CountingDesk) -> None:
    """As it is, with nothing around it."""
    desk.results[COMMAND] = event("done", verdict="flat", unjournaled=True)
    answer = await operator.get(f"/api/v1/b2b/risk/commands/{COMMAND}")
    assert (answer.document, answer.headers["x-journaled"]) == (desk.results[COMMAND], "false")
    assert (await operator.get(f"/api/v1/b2b/risk/commands/{uuid4()}")).code == "NOT_FOUND"
    assert (await operator.get("/api/v1/b2b/risk/commands/last")).code == "BAD_REQUEST"


@pytest.mark.parametrize("path", ["/api/v1/b2b/accounts/{}/lock", "/api/v1/locks/{}"])
async def test_locks_are_found_by_id_and_by_name(operator: AsgiClient, path: str) -> None:
    """An account nobody knows has no lock: NOT_FOUND, which a reader takes for locked."""
    assert (await operator.get(path.format(ACCOUNT))).document["epoch"] == 7
    assert (await operator.get(path.format(ACCOUNT_NAME))).document["locked"] is False
    assert (await operator.get(path.format(uuid4()))).code == "NOT_FOUND"


async def test_accounts_and_status_are_the_desks(operator: AsgiClient, desk: CountingDesk) -> None:
    """Nothing is added and nothing left out."""
    assert (await operator.get("/api/v1/b2b/accounts")).document == {"accounts": desk.accounts()}
    assert (await operator.get("/api/v1/node/status")).document == desk.status()


@pytest.mark.parametrize("path", ["/readyz", "/healthz"])
async def test_readiness_has_a_status_and_reasons(operator: AsgiClient, desk: CountingDesk, path: str) -> None:
    """200 or 503; HEAD gives the status only."""
    answer = await operator.get(path)
    assert (answer.status, answer.document["ready"], answer.document["reasons"]) == (200, True, [])
    desk.ready = False
    answer = await operator.get(path)
    assert (answer.status, answer.document["reasons"]) == (503, ["journal: disk full"])
    assert (await operator.call("HEAD", path, headers={})).status == 503


async def test_liveness_is_not_readiness(desk: CountingDesk) -> None:
    """A node that cannot work is still alive; one whose loop hangs is not, and a restart helps."""
    against: list[str] = []
    client = AsgiClient(create_app(desk, operator=False, liveness=lambda: against))
    desk.ready = False
    assert (await client.get("/livez")).status == 200
    against.append("event loop has not turned for 6.0 s")
    answer = await client.get("/livez")
    assert (answer.status, answer.document) == (503, {"live": False, "reasons": against})


@pytest.mark.parametrize("state", ["armed", "locked", "degraded"])
async def test_an_accounts_role_is_told_by_the_status_alone(desk: CountingDesk, state: str) -> None:
    """Of the three exactly one is 200, by id and by name; HEAD gives the status only."""
    client = AsgiClient(create_app(desk, operator=False))
    desk.state = state
    for account in (str(ACCOUNT), "binance-main"):
        of_account = f"/healthz/accounts/{account}"
        told = [(await client.get(f"{of_account}/{role}")).status for role in ("armed", "locked", "degraded")]
        assert told == [200 if role == state else 503 for role in ("armed", "locked", "degraded")]
    assert (await client.call("HEAD", f"{of_account}/{state}", headers={})).status == 200
    other = await client.get(f"{of_account}/{'locked' if state == 'armed' else 'armed'}")
    assert other.document == {
        "account_id": str(ACCOUNT),
        "state": state,
        "locked": False,
        "reasons": [f"the account is {state}"],
    }


async def test_a_role_that_does_not_exist_is_no_role(desk: CountingDesk) -> None:
    """Nor an account that does not; and only this machine may ask."""
    client = AsgiClient(create_app(desk, operator=False))
    assert (await client.get(f"/healthz/accounts/{ACCOUNT}/fine")).status == 400
    assert (await client.get("/healthz/accounts/nobody/armed")).status == 404
    stranger = AsgiClient(create_app(desk, operator=False), peer="203.0.113.7")
    assert (await stranger.get(f"/healthz/accounts/{ACCOUNT}/armed")).status == 401


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", KILL),
        ("POST", UNLOCK),
        ("POST", ABORT),
        ("GET", "/api/v1/b2b/accounts"),
        ("GET", f"/api/v1/b2b/risk/commands/{COMMAND}"),
        ("GET", "/api/v1/node/status"),
        ("GET", "/docs"),
        ("GET", "/metrics"),
    ],
)
async def test_the_public_listener_serves_health_and_locks_only(desk: CountingDesk, method: str, path: str) -> None:
    """Without somebody to recognise callers, nothing else is there."""
    desk.live_commands.add(COMMAND)
    client = AsgiClient(create_app(desk, operator=False))
    answer = await client.call(method, path, b"{}" if method == "POST" else b"", headers={})
    assert (answer.status, answer.code) == (404, "NOT_FOUND")
    assert (desk.submitted, desk.aborted) == ([], [])
    assert (await client.get(f"/api/v1/locks/{ACCOUNT}")).status == 200


@pytest.mark.parametrize(("peer", "status"), [("127.0.0.1", 200), ("::1", 200), (None, 200), ("203.0.113.7", 401)])
async def test_locks_need_no_key_on_this_machine_only(desk: CountingDesk, peer: str | None, status: int) -> None:
    """Whoever comes from elsewhere is not an engine of ours."""
    client = AsgiClient(create_app(desk, operator=False), peer=peer)
    answer = await client.get(f"/api/v1/locks/{ACCOUNT}", x_forwarded_for="127.0.0.1")
    assert answer.status == status


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example:8787"},
        {"host": "localhost:8787", "origin": "https://evil.example"},
        {"host": "localhost:8787", "sec_fetch_site": "cross-site"},
    ],
)
async def test_locks_are_not_for_pages_of_other_sites(desk: CountingDesk, headers: dict[str, str]) -> None:
    """A browser on this machine carries them here: by a name turned to us, or across sites."""
    client = AsgiClient(create_app(desk, operator=False))
    answer = await client.get(f"/api/v1/locks/{ACCOUNT}", **headers)
    assert (answer.status, answer.code) == (403, "FORBIDDEN")
    assert (await client.get(f"/api/v1/locks/{ACCOUNT}", host="localhost:8787")).status == 200


async def test_no_answer_may_be_cached(operator: AsgiClient) -> None:
    """Least of all a lock or a refusal."""
    for path in ("/livez", f"/api/v1/locks/{ACCOUNT}", "/nothing"):
        assert (await operator.get(path)).headers["cache-control"] == "no-store"


async def test_a_broken_journal_is_not_ready(operator: AsgiClient, desk: CountingDesk) -> None:
    """A read that the journal cannot answer: 503, in the contract's shape."""
    desk.fails = JournalUnavailable()
    answer = await operator.get(f"/api/v1/b2b/risk/commands/{COMMAND}")
    assert (answer.status, answer.code) == (503, "NOT_READY")


async def test_a_command_that_no_node_confirmed_is_a_timeout_with_its_id_and_no_result(
    operator: AsgiClient, desk: CountingDesk
) -> None:
    """Nothing in the answer could be read as the command's state."""
    desk.fails = NotConfirmed(command_id=COMMAND, account_id=ACCOUNT)
    for answer in (
        await operator.post(KILL, body(), idempotency_key=str(COMMAND)),
        await operator.get(f"/api/v1/b2b/risk/commands/{COMMAND}"),
    ):
        assert (answer.status, answer.code) == (504, "TIMEOUT")
        assert answer.document["success"] is False
        assert answer.document["command_id"] == str(COMMAND)
        assert "result" not in answer.document


async def test_what_this_door_cannot_do_has_a_code_of_its_own(operator: AsgiClient, desk: CountingDesk) -> None:
    """501 NOT_AVAILABLE, with the reason."""
    desk.fails = NotAvailable("do it there")
    answer = await operator.get(f"/api/v1/b2b/risk/commands/{COMMAND}")
    assert (answer.status, answer.code) == (501, "NOT_AVAILABLE")
    assert answer.document["error"]["message"] == "do it there"


async def test_the_interface_describes_itself(operator: AsgiClient) -> None:
    """Every refusal of a route with an example, in the contract's shape; and never the framework's own 422."""
    document = (await operator.get("/openapi.json")).document
    assert document["openapi"].startswith("3.1")
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert "422" not in operation["responses"], (path, method)
            for status, answer in operation["responses"].items():
                (content,) = answer["content"].values()
                examples = [each["value"] for each in content.get("examples", {}).values()]
                assert examples or content["example"], (path, method, status)
                if status >= "400" and not path.endswith("z"):
                    assert all(example["success"] is False for example in examples), (path, method, status)
