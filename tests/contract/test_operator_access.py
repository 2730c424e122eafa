"""The operator at the HTTP listener: who gets in, for how long, and whose pages may speak for the person there."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from http.cookies import SimpleCookie
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import SecretStr

from node.api.app import create_app
from node.api.console_pages import console_files
from node.api.operator_access import TOKEN_LENGTH_MIN, OperatorAccess
from node.api.origins import Origins
from node.api.sessions import FAILURES_MAX, SESSIONS_MAX, SessionTerms
from node.clock import SystemClock
from node.domain.command import Action, Door
from node.errors import ConfigError
from node.secrets import Secrets
from node.settings import Settings, parse
from node.wiring.doors import operator_access
from tests.support.asgi_client import Answer, AsgiClient
from tests.support.counting_desk import ACCOUNT, ACCOUNT_NAME, COMMAND, CountingDesk, event
from tests.support.journal import SteadyClock
from tests.support.waiting import until

TOKEN = "0123456789abcdef0123456789abcdef"
SESSION = "/api/v1/operator/session"
STATUS = "/api/v1/node/status"
KILL = "/api/v1/b2b/risk/kill"
HERE = {"host": "127.0.0.1:8787", "origin": "http://127.0.0.1:8787"}
LOCK = {"account_id": str(ACCOUNT), "action": "LOCK"}
IDLE_S, LIFE_S = 100.0, 1000.0


class BootClock(SteadyClock):
    """Moves when it is told to."""

    seconds = 0.0

    def boottime_ns(self) -> int:
        """Since boot."""
        return int(self.seconds * 1e9)

    def monotonic_ns(self) -> int:
        """The same here."""
        return int(self.seconds * 1e9)


class Site:
    """A listener that is open to the operator."""

    def __init__(self, *, origins: tuple[str, ...] = (), scheme: str = "http") -> None:
        self.clock = BootClock()
        self.desk = CountingDesk()
        terms = SessionTerms(idle_s=IDLE_S, life_s=LIFE_S)
        access = OperatorAccess(SecretStr(TOKEN), terms, self.clock, Origins(origins))
        self.app = create_app(self.desk, operator=False, access=access)
        self.scheme = scheme
        self.client = self.from_peer("127.0.0.1")

    def from_peer(self, peer: str) -> AsgiClient:
        """Somebody at another address."""
        return AsgiClient(self.app, peer=peer, scheme=self.scheme)

    async def sign_in(self, **headers: str) -> Browser:
        """A browser that has shown the token."""
        answer = await self.client.post(SESSION, {"token": TOKEN}, **(HERE | headers))
        assert answer.status == 200, answer.body
        cookie = SimpleCookie(answer.headers["set-cookie"])
        ((name, morsel),) = cookie.items()
        return Browser(self, f"{name}={morsel.value}", answer.document["csrf_token"], answer)


class Browser:
    """One that holds a session."""

    def __init__(self, site: Site, cookie: str, csrf: str, signed_in: Answer) -> None:
        self.site, self.cookie, self.csrf, self.signed_in = site, cookie, csrf, signed_in

    async def get(self, path: str, **headers: str) -> Answer:
        """As a page's own script asks."""
        return await self.site.client.get(path, **({"host": HERE["host"], "cookie": self.cookie} | headers))

    async def sign_out(self) -> Answer:
        """As the page's button does."""
        headers = HERE | {"cookie": self.cookie, "x_csrf_token": self.csrf}
        return await self.site.client.call("DELETE", SESSION, headers=headers)

    async def post(self, path: str, body: object, *, without: str = "", **headers: str) -> Answer:
        """As a page's own script changes something."""
        usual = HERE | {"cookie": self.cookie, "x_csrf_token": self.csrf, "sec_fetch_site": "same-origin"} | headers
        return await self.site.client.post(
            path, body, **{name: value for name, value in usual.items() if name not in without.split()}
        )


@pytest.fixture
def site() -> Site:
    """On loopback, without TLS."""
    return Site()


class TestPrograms:
    async def test_the_token_opens_what_is_the_operators(self, site: Site) -> None:
        """As a bearer token; the command is the operator's, by HTTP."""
        bearer = {"authorization": f"Bearer {TOKEN}"}
        assert (await site.client.get(STATUS, **bearer)).status == 200
        assert (await site.client.post(KILL, LOCK, **bearer)).status == 200
        (request,) = site.desk.submitted
        assert (request.issuer, request.door, request.action) == ("operator", Door.HTTP, Action.LOCK)
        assert (await site.client.get(SESSION, **bearer)).document["by"] == "token"

    @pytest.mark.parametrize(("account", "meant"), [("*", None), (ACCOUNT_NAME, ACCOUNT), (str(ACCOUNT), ACCOUNT)])
    async def test_may_name_accounts_as_the_operator_does_elsewhere(
        self, site: Site, account: str, meant: UUID | None
    ) -> None:
        """By name, by id, or all of them."""
        body = {"account_id": account, "action": "CLOSE_ALL"}
        assert (await site.client.post(KILL, body, authorization=f"Bearer {TOKEN}")).status == 200
        assert [request.account_id for request in site.desk.submitted] == [meant]

    @pytest.mark.parametrize("header", ["Bearer wrong", "Bearer ", "Basic Og==", TOKEN, f"Bearer {TOKEN} {TOKEN}"])
    async def test_anything_else_does_not(self, site: Site, header: str) -> None:
        """And nothing is asked of the engine."""
        for answer in (
            await site.client.get(STATUS, authorization=header),
            await site.client.post(KILL, LOCK, authorization=header),
        ):
            assert (answer.status, answer.code) == (401, "UNAUTHORIZED")
        assert site.desk.submitted == []

    async def test_without_anything_nothing_is_told(self, site: Site) -> None:
        """Nor done."""
        for path in (STATUS, SESSION, "/api/v1/node/commands", "/api/v1/node/latencies", "/api/v1/b2b/accounts"):
            answer = await site.client.get(path, host=HERE["host"])
            assert (answer.status, answer.code) == (401, "UNAUTHORIZED"), path
        assert (await site.client.post(KILL, LOCK, **HERE)).status == 401
        assert site.desk.submitted == []

    async def test_guessing_is_slowed_for_who_guesses_and_for_nobody_else(self, site: Site) -> None:
        """The right token is not even looked at meanwhile; another address is not kept out."""
        for _ in range(FAILURES_MAX):
            assert (await site.client.get(STATUS, authorization="Bearer wrong")).status == 401
        refused = await site.client.post(SESSION, {"token": TOKEN}, **HERE)
        assert (refused.status, refused.code) == (429, "RATE_LIMITED")
        assert 0 < int(refused.headers["retry-after"]) <= 60
        elsewhere = site.from_peer("192.0.2.7")
        assert (await elsewhere.get(STATUS, authorization=f"Bearer {TOKEN}")).status == 200
        site.clock.seconds += 61
        assert (await site.client.get(STATUS, authorization=f"Bearer {TOKEN}")).status == 200

    async def test_one_household_of_ipv6_is_one_guesser(self, site: Site) -> None:
        """It has 2 to the 64 addresses."""
        for number in range(FAILURES_MAX):
            await site.from_peer(f"2001:db8::{number + 1:x}").get(STATUS, authorization="Bearer wrong")
        assert (await site.from_peer("2001:db8::ffff").get(STATUS, authorization=f"Bearer {TOKEN}")).status == 429
        assert (await site.from_peer("2001:db8:0:1::1").get(STATUS, authorization=f"Bearer {TOKEN}")).status == 200


class TestSessions:
    async def test_a_browser_exchanges_the_token_for_a_cookie(self, site: Site) -> None:
        """Unreadable to pages, never sent by other sites, and the token is in no answer."""
        browser = await site.sign_in()
        cookie = browser.signed_in.headers["set-cookie"]
        assert cookie.startswith("sn_session=")
        for attribute in ("HttpOnly", "SameSite=strict", "Path=/", f"Max-Age={LIFE_S:.0f}"):
            assert attribute in cookie
        assert "Secure" not in cookie
        assert TOKEN not in cookie + browser.signed_in.body.decode()
        assert (await browser.get(STATUS)).status == 200

    async def test_over_tls_the_cookie_is_bound_to_the_host(self) -> None:
        """Browsers enforce what its prefix says."""
        site = Site(origins=("https://node.example",), scheme="https")
        browser = await site.sign_in(host="node.example", origin="https://node.example")
        cookie = browser.signed_in.headers["set-cookie"]
        assert cookie.startswith("__Host-sn_session=")
        assert "Secure" in cookie
        assert (await browser.get(STATUS, host="node.example")).status == 200

    async def test_behind_something_that_speaks_tls_as_well(self) -> None:
        """The configuration says under which name the browser comes."""
        site = Site(origins=("https://node.example",))
        browser = await site.sign_in(host="node.example", origin="https://node.example")
        assert browser.signed_in.headers["set-cookie"].startswith("__Host-")

    async def test_ends_when_nobody_touches_the_page(self, site: Site) -> None:
        """Polling is no sign of life; renewing and acting are."""
        browser = await site.sign_in()
        for _ in range(9):
            site.clock.seconds += IDLE_S / 10
            assert (await browser.get(STATUS)).status == 200
        assert (await browser.post(f"{SESSION}/renew", None)).document["idle_left_s"] == IDLE_S
        site.clock.seconds += IDLE_S * 0.9
        assert (await browser.post(KILL, LOCK)).status == 200
        site.clock.seconds += IDLE_S * 0.9
        assert (await browser.get(STATUS)).status == 200
        site.clock.seconds += IDLE_S * 0.2
        assert (await browser.get(STATUS)).status == 401

    async def test_ends_in_any_case(self, site: Site) -> None:
        """However busy somebody is."""
        browser = await site.sign_in()
        for _ in range(19):
            site.clock.seconds += LIFE_S / 20
            assert (await browser.post(f"{SESSION}/renew", None)).status == 200
        site.clock.seconds += LIFE_S / 20
        assert (await browser.post(f"{SESSION}/renew", None)).status == 401

    async def test_ends_by_signing_out_and_no_other_does(self, site: Site) -> None:
        """The cookie is taken back, and would be worth nothing."""
        first, second = await site.sign_in(), await site.sign_in()
        answer = await first.sign_out()
        assert answer.status == 200
        assert "Max-Age=0" in answer.headers["set-cookie"]
        assert ((await first.get(STATUS)).status, (await second.get(STATUS)).status) == (401, 200)

    async def test_ends_what_it_listens_to(self, site: Site) -> None:
        """A stream that was opened before signing out tells nothing after it."""
        browser = await site.sign_in()
        site.desk.results[COMMAND] = event()
        site.desk.histories[COMMAND] = [event()]
        listening = asyncio.create_task(browser.get(f"/api/v1/b2b/risk/commands/{COMMAND}/events"), name="listening")
        site.desk.live.put_nowait(event("running", seq=2))
        await until(site.desk.live.empty)  # who asks for the second has passed on the first
        await browser.sign_out()
        site.desk.live.put_nowait(event("done", seq=3))
        answer = await listening
        assert b'"state":"accepted"' in answer.body
        assert b'"state":"done"' not in answer.body
        assert site.desk.following == 0

    async def test_there_are_only_so_many(self, site: Site) -> None:
        """The one longest unused gives way."""
        first, second = await site.sign_in(), await site.sign_in()
        await first.post(f"{SESSION}/renew", None)
        for _ in range(SESSIONS_MAX - 1):
            await site.sign_in()
        assert ((await first.get(STATUS)).status, (await second.get(STATUS)).status) == (200, 401)

    async def test_an_invented_cookie_is_none(self, site: Site) -> None:
        """However it looks."""
        for value in ("", "x", "x" * 43, str(uuid4())):
            answer = await site.client.get(STATUS, host=HERE["host"], cookie=f"sn_session={value}")
            assert answer.status == 401

    async def test_half_a_surrogate_pair_is_a_wrong_token(self, site: Site) -> None:
        """JSON can hold it, UTF-8 cannot."""
        answer = await site.client.post(SESSION, {"token": "\ud800" * TOKEN_LENGTH_MIN}, **HERE)
        assert answer.status == 401

    async def test_a_wrong_token_is_told_nothing_but_that(self, site: Site) -> None:
        """It does not come back in the answer either."""
        answer = await site.client.post(SESSION, {"token": "a wrong token"}, **HERE)
        assert (answer.status, answer.code) == (401, "UNAUTHORIZED")
        assert b"a wrong token" not in answer.body
        assert "set-cookie" not in answer.headers

    @pytest.mark.parametrize("body", [b"{", {}, {"token": 7}, {"token": ""}, {"token": TOKEN, "more": 1}])
    async def test_a_malformed_sign_in_is_a_bad_request(self, site: Site, body: object) -> None:
        """And the token of a nearly right one does not come back."""
        answer = await site.client.post(SESSION, body, **HERE)
        assert (answer.status, answer.code) == (400, "BAD_REQUEST")
        assert TOKEN.encode() not in answer.body


FOREIGN: Mapping[str, Mapping[str, str]] = {
    "another site": {"origin": "https://evil.example", "sec_fetch_site": "cross-site"},
    "another site, in an old browser": {"origin": "https://evil.example", "sec_fetch_site": ""},
    "a sandboxed frame": {"origin": "null"},
    "another port of this machine": {"origin": "http://127.0.0.1:5000", "sec_fetch_site": "same-site"},
    "another name of this machine": {"origin": "http://localhost:8787", "sec_fetch_site": "cross-site"},
    "the same name without TLS": {"origin": "https://127.0.0.1:8787"},
    "a name that was turned to us": {"host": "evil.example:8787", "origin": "http://evil.example:8787"},
    "a name that looks like ours": {"host": "127.0.0.1.evil.example", "origin": "http://127.0.0.1.evil.example"},
    "a host that is no name": {"host": "evil.example/@127.0.0.1", "origin": "http://evil.example/@127.0.0.1"},
}


class TestForeignPages:
    @pytest.mark.parametrize("headers", FOREIGN.values(), ids=FOREIGN.keys())
    async def test_cannot_act_although_the_browser_would_send_the_cookie(
        self, site: Site, headers: Mapping[str, str]
    ) -> None:
        """Not even if they knew what our own page shows beside it."""
        browser = await site.sign_in()
        without = "sec_fetch_site" if headers.get("sec_fetch_site") == "" else ""
        answer = await browser.post(KILL, LOCK, without=without, **headers)
        assert (answer.status, answer.code) == (403, "FORBIDDEN")
        assert site.desk.submitted == []

    @pytest.mark.parametrize("headers", FOREIGN.values(), ids=FOREIGN.keys())
    async def test_cannot_sign_anybody_in(self, site: Site, headers: Mapping[str, str]) -> None:
        """Nor out of curiosity try tokens."""
        sent = HERE | {name: value for name, value in headers.items() if value}
        assert (await site.client.post(SESSION, {"token": TOKEN}, **sent)).status == 403

    async def test_cannot_read_under_a_name_that_was_turned_to_us(self, site: Site) -> None:
        """DNS rebinding: to the browser, the site and we are one."""
        browser = await site.sign_in()
        assert (await browser.get(STATUS, host="evil.example:8787")).status == 403

    @pytest.mark.parametrize("site_of_sender", ["cross-site", "same-site"])
    async def test_cannot_read_by_naming_us_as_a_picture_or_a_script(self, site: Site, site_of_sender: str) -> None:
        """Such requests say no origin; a server on another port of this machine is even of the same site."""
        browser = await site.sign_in()
        for path in (STATUS, SESSION, f"/api/v1/b2b/risk/commands/{COMMAND}"):
            answer = await browser.get(path, sec_fetch_site=site_of_sender)
            assert (answer.status, answer.code) == (403, "FORBIDDEN"), path

    @pytest.mark.parametrize("shown", ["", "x", "0" * 64])
    async def test_and_our_own_must_show_what_only_it_can_know(self, site: Site, shown: str) -> None:
        """Beside the cookie."""
        browser = await site.sign_in()
        other = await site.sign_in()
        for token in (shown, other.csrf):
            answer = await browser.post(KILL, LOCK, x_csrf_token=token)
            assert (answer.status, answer.code) == (403, "FORBIDDEN")
        assert site.desk.submitted == []

    async def test_a_sender_that_does_not_say_where_it_comes_from_is_none_of_ours(self, site: Site) -> None:
        """Every browser says it with what changes something."""
        browser = await site.sign_in()
        assert (await browser.post(KILL, LOCK, without="origin sec_fetch_site")).status == 403

    async def test_a_tunnel_on_another_port_is_this_machine(self, site: Site) -> None:
        """``ssh -L 9000:127.0.0.1:8787``: the browser calls it localhost:9000."""
        there = {"host": "localhost:9000", "origin": "http://localhost:9000"}
        browser = await site.sign_in(**there)
        assert (await browser.post(KILL, LOCK, **there)).status == 200


class TestSocket:
    """Whoever may open it is the operator; a browser gets there by a tunnel, and so would every page in it."""

    def operator(self, desk: CountingDesk) -> AsgiClient:
        """At the socket."""
        return AsgiClient(create_app(desk, operator=True), peer=None)

    @pytest.mark.parametrize("host", ["node", "localhost", "operator", "127.0.0.1:9000", "[::1]:9000", ""])
    async def test_programs_call_it_what_they_like(self, host: str) -> None:
        """They need nothing else."""
        desk = CountingDesk()
        assert (await self.operator(desk).post(KILL, LOCK, host=host)).status == 200

    async def test_the_console_needs_nothing_there(self) -> None:
        """Through a tunnel, under a name of the browser's own machine."""
        client = self.operator(CountingDesk())
        here = {"host": "localhost:9000", "origin": "http://localhost:9000", "sec_fetch_site": "same-origin"}
        assert (await client.get("/console/", **here)).status == 200
        assert (await client.get(SESSION, **here)).document["by"] == "socket"
        assert (await client.post(KILL, LOCK, **here)).status == 200

    @pytest.mark.parametrize(
        "headers",
        [
            {"host": "localhost:9000", "origin": "https://evil.example"},
            {"host": "localhost:9000", "origin": "null"},
            {"host": "localhost:9000", "origin": "http://localhost:5000"},
            {"host": "localhost:9000", "sec_fetch_site": "cross-site"},
            {"host": "evil.example:9000", "origin": "http://evil.example:9000"},
            {"host": "evil.example:9000"},
            {"host": "node", "origin": "http://node"},
        ],
    )
    async def test_foreign_pages_do_not_pass(self, headers: Mapping[str, str]) -> None:
        """Neither to act nor to look."""
        desk = CountingDesk()
        for path in (KILL, "/api/v1/b2b/risk/unlock", f"/api/v1/b2b/risk/commands/{COMMAND}/abort"):
            answer = await self.operator(desk).post(path, LOCK, **headers)
            assert (answer.status, answer.code) == (403, "FORBIDDEN")
        assert (await self.operator(desk).get(STATUS, **headers)).status == 403
        assert (desk.submitted, desk.aborted) == ([], [])


class TestPages:
    async def test_lead_from_the_root_to_the_console(self, site: Site) -> None:
        """People type a host name."""
        for path in ("/", "/console"):
            answer = await site.client.get(path)
            assert (answer.status, answer.headers["location"]) == (307, "/console/")

    async def test_are_served_to_anybody_for_they_hold_no_data(self, site: Site) -> None:
        """With the strictest policy, never cached, never framed."""
        for name in ("", *console_files()):
            answer = await site.client.get(f"/console/{name}")
            assert answer.status == 200, name
            policy = answer.headers["content-security-policy"]
            assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
            assert "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy
            assert answer.headers["x-frame-options"] == "DENY"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert answer.headers["cache-control"] == "no-store"
            assert TOKEN.encode() not in answer.body

    @pytest.mark.parametrize("name", ["nothing.js", "..%2Fapp.py", "../app.py", "index", "__init__.py"])
    async def test_nothing_else_is_served(self, site: Site, name: str) -> None:
        """Only what lies there by that very name."""
        assert (await site.client.get(f"/console/{name}")).status == 404

    async def test_there_are_none_where_the_operator_has_no_token(self) -> None:
        """Off unless configured: neither pages nor the operator's routes."""
        client = AsgiClient(create_app(CountingDesk(), operator=False))
        for path in ("/", "/console/", SESSION, STATUS, "/api/v1/node/commands"):
            assert (await client.get(path)).status == 404, path


class TestLookingBack:
    async def test_history_is_told_page_by_page(self, site: Site) -> None:
        """Newest first; a full page says where the next begins."""
        bearer = {"authorization": f"Bearer {TOKEN}"}
        for _ in range(3):
            command = uuid4()
            site.desk.results[command] = event("done", command_id=str(command))
        ids = [str(command) for command in site.desk.results]
        first = (await site.client.get("/api/v1/node/commands?limit=2", **bearer)).document
        assert [each["result"]["command_id"] for each in first["commands"]] == [ids[2], ids[1]]
        assert (first["commands"][0]["door"], first["commands"][0]["received_at"]) == (
            "operator",
            "2026-11-20T10:00:00.000Z",
        )
        path = f"/api/v1/node/commands?limit=2&account=binance-main&before={first['next_before']}"
        second = (await site.client.get(path, **bearer)).document
        assert [each["result"]["command_id"] for each in second["commands"]] == [ids[0]]
        assert second["next_before"] is None
        assert site.desk.looked_back == [(None, None, 2), (ACCOUNT, 2, 2)]

    async def test_latencies_are_those_of_proofs(self, site: Site) -> None:
        """With what a plot needs, and nothing of the books."""
        site.desk.results[COMMAND] = event("done", verdict="flat", latency_ms={"proof": 107.3}, positions=[1])
        answer = await site.client.get("/api/v1/node/latencies", authorization=f"Bearer {TOKEN}")
        (execution,) = answer.document["executions"]
        assert execution["latency_ms"] == {"proof": 107.3}
        assert set(execution) == {"command_id", "account_id", "action", "verdict", "at", "latency_ms"}

    @pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=x", "before=0", "account=" + "x" * 65])
    async def test_a_bad_question_is_a_bad_request(self, site: Site, query: str) -> None:
        """In the contract's shape."""
        answer = await site.client.get(f"/api/v1/node/commands?{query}", authorization=f"Bearer {TOKEN}")
        assert (answer.status, answer.code) == (400, "BAD_REQUEST")

    async def test_of_an_unknown_account_there_is_none(self, site: Site) -> None:
        """By name or id."""
        answer = await site.client.get("/api/v1/node/latencies?account=nobody", authorization=f"Bearer {TOKEN}")
        assert (answer.status, answer.code) == (404, "NOT_FOUND")


class TestConfiguration:
    """From the file to the door."""

    def settings(self, **http: Any) -> Settings:
        """The least that opens the listener to the operator."""
        return parse(
            {
                "node": {"id": "n", "tenant": "t", "state_dir": "state", "runtime_dir": "run"},
                "http": {"listen": "127.0.0.1:8787", **http},
                "operator": {"token": {"credential": "operator_token"}, "idle_s": 60.0, "session_s": 120.0},
            }
        )

    def test_a_token_that_could_be_guessed_is_refused(self) -> None:
        """By what it is, never with what it was."""
        settings = self.settings()
        secrets = Secrets.resolve(settings, {"OPERATOR_TOKEN": "x" * (TOKEN_LENGTH_MIN - 1)})
        with pytest.raises(ConfigError) as caught:
            operator_access(settings, secrets, SystemClock())
        (fault,) = caught.value.faults
        assert fault.startswith(f"operator.token: shorter than {TOKEN_LENGTH_MIN} characters")
        assert "xxx" not in fault

    async def test_the_address_that_is_listened_on_is_a_name_of_ours(self) -> None:
        """With the scheme that it is served by; so are the sessions' terms."""
        settings = self.settings(listen="192.0.2.1:8787", cert_file="c.pem", key_file="k.pem")
        access = operator_access(settings, Secrets.resolve(settings, {"OPERATOR_TOKEN": TOKEN}), SystemClock())
        assert access is not None
        assert access.sessions.terms == SessionTerms(idle_s=60, life_s=120)
        client = AsgiClient(create_app(CountingDesk(), operator=False, access=access), scheme="https")
        for origin, status in (("https://192.0.2.1:8787", 200), ("http://192.0.2.1:8787", 403)):
            answer = await client.post(SESSION, {"token": TOKEN}, host="192.0.2.1:8787", origin=origin)
            assert answer.status == status

    def test_without_the_section_there_is_no_door(self) -> None:
        """Nor where there is no listener."""
        settings = parse({"node": {"id": "n", "tenant": "t", "state_dir": "state", "runtime_dir": "run"}})
        assert operator_access(settings, Secrets.resolve(settings, {}), SystemClock()) is None
