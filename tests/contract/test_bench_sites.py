"""The bench from the command line: at a simulated exchange in its own process, and through a daemon's socket."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from node.api.app import create_app
from node.api.server import ApiServer, UnixListener
from node.cli import main
from node.commands.bench_sites import harmless, simulated, usual_settings
from node.domain.command import Action
from node.domain.permission import Permission
from node.domain.steps import Outcome, Refusal
from node.engine.account import ExecutionTerms
from node.sim.keys import KeyRights
from node.sim.server import serve
from node.sim.simulator import Simulator
from node.venues.options import VenueOptions
from tests.support.engine import ACCOUNT, Engine, engine
from tests.support.fake_venue import FakeVenue, order, position
from tests.support.keyring import make_keyring
from tests.support.mosquitto import free_port
from tests.support.venue_sim import bench, closes

BTC = "BTC/USDT:USDT"


class Site:
    """A configuration for one account, and the command line in a thread beside what runs here."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self._capsys, self._monkeypatch = folder, capsys, monkeypatch

    def configure(
        self, name: str, sim: Simulator | None = None, *, permission: str = "close", port: int | None = None
    ) -> None:
        """The file, and the secrets that it refers to."""
        reached = "" if sim is None else f'connect_to = "127.0.0.1:{port or sim.port}"\nca_file = "{sim.ca_path}"\n'
        credentials = {"apiKey": "public", "secret": "very-private"} if sim is None else sim.credentials()
        for key, value in credentials.items():
            self._monkeypatch.setenv(f"BENCH_{key.upper()}", value)
        references = ", ".join(f'{key} = {{ credential = "bench_{key.lower()}" }}' for key in credentials)
        (self.folder / "node.toml").write_text(
            f'[node]\nid = "n"\ntenant = "t"\nstate_dir = "{self.folder}/state"\nruntime_dir = "{self.folder}/run"\n'
            f'[[owners]]\nid = "me"\n[[accounts]]\nid = "{ACCOUNT}"\nname = "{name}"\nowner = "me"\n'
            f'exchange = "binance"\npermission = "{permission}"\nbase_currency = "USDT"\n{reached}'
            f"credentials = {{ {references} }}\n"
        )

    async def call(self, *words: str) -> tuple[int, dict[str, Any]]:
        """Exit status and document."""
        with capture_logs():  # standard output is the command line's
            status = await asyncio.to_thread(
                main, ["bench", "--config", str(self.folder / "node.toml"), *words, "--json"]
            )
        return status, json.loads(self._capsys.readouterr().out.strip().splitlines()[-1])


@pytest.fixture
def site(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Site:
    """Empty."""
    monkeypatch.setattr("node.observe.logging.configure_logging", lambda: None)  # tests have their own
    return Site(tmp_path, capsys, monkeypatch)


@asynccontextmanager
async def daemon(site: Site, *venues: FakeVenue) -> AsyncIterator[Engine]:
    """The real engine behind the socket that the configuration names."""
    (site.folder / "run").mkdir()
    async with engine(*venues, execution=ExecutionTerms(deadline_s=2.0)) as node:
        app = create_app(node.desk, operator=True, keyring=make_keyring())
        server = ApiServer([UnixListener(app=app, path=site.folder / "run" / "operator.sock")], stop_deadline_s=1)
        async with asyncio.TaskGroup() as tasks:
            await server.start(tasks)
            await node.armed()
            try:
                yield node
            finally:
                await server.stop()


class TestInThisProcess:
    async def test_measures_at_the_exchange_and_touches_nothing(self, site: Site) -> None:
        """Over TLS, with the injected round trip in the figures; neither order nor position is any other afterwards."""
        async with serve() as sim:
            site.configure("main", sim)
            sim.set_faults(latency_ms=20)
            before = sim.state()["accounts"]
            status, document = await site.call("--runs", "3")
            after = sim.state()["accounts"]
        [account] = document["accounts"]
        assert (status, document["through"], account["passed"], account["failed"]) == (0, "own process", 3, 0)
        figures = account["figures"]
        assert {name: found["count"] for name, found in figures.items()} == dict.fromkeys(figures, 3)
        assert set(figures) == {"first_byte", "round_trip", "read", "predicted_close"}
        assert figures["round_trip"]["p50_ms"] >= 20
        assert figures["read"]["p50_ms"] >= 60  # triggers, then orders, then positions
        assert figures["predicted_close"]["p50_ms"] > figures["round_trip"]["p50_ms"]
        assert account["planned"]["closes"] > 0
        assert after == before
        assert [each.path for each in sim.journal.entries(method="POST")] == []
        assert not (site.folder / "state" / "journal.sqlite3").exists()
        assert not (site.folder / "state" / "lock").exists()

    async def test_a_key_that_may_not_trade_fails_every_run(self, site: Site) -> None:
        """Exit status 5, with the exchange's reason."""
        async with serve() as sim:
            site.configure("main", sim)
            for key in sim.keys.by_public.values():
                key.rights = KeyRights(spot=False, futures=False)
            status, document = await site.call("--runs", "2")
        assert (status, document["accounts"][0]["passed"]) == (5, 0)
        assert document["accounts"][0]["errors"]

    async def test_a_permission_that_closes_nothing_is_a_failed_drill(self, site: Site) -> None:
        """As of any drill: the node could not close this account."""
        async with serve() as sim:
            site.configure("main", sim, permission="read")
            status, document = await site.call("--runs", "1")
        assert (status, document["accounts"][0]["errors"][0]["code"]) == (5, "PERMISSION")

    async def test_an_account_that_cannot_be_armed_is_told(self, site: Site) -> None:
        """Nobody at the other end."""
        async with serve() as sim:
            site.configure("main", sim, port=free_port())
            status, document = await site.call("--runs", "1")
        assert status == 5
        assert document["accounts"][0]["unusable"].startswith("VENUE_")

    async def test_unknown_accounts_are_trouble(self, site: Site) -> None:
        """Exit status 1."""
        site.configure("main")
        status, document = await site.call("--account", "nobody")
        assert (status, document["error"]["code"]) == (1, "NOT_FOUND")

    async def test_no_order_passes_the_gate_of_a_bench(self) -> None:
        """Whoever asked for one."""
        async with bench() as the:
            options = harmless(the.options)
        assert options.permission is Permission.CANCEL
        async with bench(permission=options.permission) as the:
            snapshot = await the.venue.read_slice("linear")
            result = await the.venue.execute(closes(snapshot.positions)[0])
            assert (result.outcome, result.refusal, result.sent_ns) == (Outcome.REFUSED, Refusal.PERMISSION, None)
            assert the.requests("POST") == []

    @pytest.mark.parametrize(
        ("level", "left"),
        [("read", "read"), ("cancel", "cancel"), ("close", "cancel"), ("full", "cancel")],
    )
    def test_an_account_keeps_no_right_that_a_drill_does_not_need(self, level: str, left: str) -> None:
        """And gains none."""
        options = VenueOptions(exchange="binance", credentials={}, permission=Permission(level))
        assert harmless(options).permission is Permission(left)


class TestThroughTheDaemon:
    async def test_drills_are_commands_of_the_daemons(self, site: Site) -> None:
        """On record like any other, and nothing of the exchange's is asked from here."""
        site.configure("account-0")
        async with daemon(site, FakeVenue(positions=[position(BTC, "1.50")], orders=[order(BTC, "entry")])) as node:
            status, document = await site.call("--runs", "2")
            history = await node.journal.history(ACCOUNT, before_seq=None, limit=10)
            assert len(node.venue.positions) == 1
        [account] = document["accounts"]
        assert (status, document["through"], account["passed"]) == (0, "daemon", 2)
        assert [(entry.document["dry_run"], entry.document["reason"]) for entry in history] == [(True, "bench")] * 2
        assert account["figures"]["first_byte"]["count"] == 2
        assert account["planned"] == {"closes": 1, "cancels": 1, "sales": 0}

    async def test_the_daemons_budgets_are_waited_for(self, site: Site) -> None:
        """Exit status 3 where that would be too long; nothing was drilled."""
        site.configure("account-0")
        venue = FakeVenue(positions=[position(BTC, "1.50")])
        async with daemon(site, venue) as node:
            venue.respite = 120.0
            status, document = await site.call("--runs", "1", "--max-wait", "60")
            assert await node.journal.history(ACCOUNT, before_seq=None, limit=10) == []
        assert status == 3
        assert "request budgets" in document["stopped"]

    async def test_a_real_command_ends_the_bench(self, site: Site) -> None:
        """Exit status 3: it stands back, and does not come again."""
        site.configure("account-0")
        venue = FakeVenue(positions=[position(BTC, "1.50")])
        async with daemon(site, venue) as node:
            venue.answering.clear()
            await node.submit(Action.CLOSE_ALL)
            status, document = await site.call("--runs", "5")
            venue.answering.set()
            drills = [entry for entry in await node.journal.history(ACCOUNT, before_seq=None, limit=10)
                      if entry.document["dry_run"]]  # fmt: skip
        assert (status, len(drills)) == (3, 1)
        assert "a real command is live" in document["stopped"]

    async def test_an_account_that_the_daemon_does_not_have_ends_the_bench(self, site: Site) -> None:
        """The file was edited since it started."""
        site.configure("somebody-else")
        text = (site.folder / "node.toml").read_text()
        (site.folder / "node.toml").write_text(text.replace(str(ACCOUNT), "99999999-5f0a-4c52-9a1e-3d0f6f1d2a77"))
        async with daemon(site, FakeVenue()):
            status, document = await site.call("--runs", "1")
        assert status == 3
        assert "does not have this account" in document["stopped"]

    async def test_a_socket_that_takes_calls_and_never_answers_is_trouble(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Exit status 1: beside a daemon that hangs nothing is asked of the exchange."""
        monkeypatch.setattr("node.commands.bench_accounts._ANSWER_WITHIN_S", 0.1)
        site.configure("main")
        (site.folder / "run").mkdir()
        with socket.socket(socket.AF_UNIX) as silent:
            silent.bind(str(site.folder / "run" / "operator.sock"))
            silent.listen()
            status, document = await site.call("--runs", "1")
        assert (status, document["error"]["code"]) == (1, "CONNECTION_LOST")


class TestAtSimulators:
    async def test_needs_neither_configuration_nor_secrets(self, capsys: pytest.CaptureFixture[str]) -> None:
        """The whole of it, with the simulator in a process of its own."""
        with capture_logs():
            words = ["bench", "--simulator", "--runs", "2", "--round-trip-ms", "30"]
            status = await asyncio.to_thread(main, [*words, "--json"])
        document = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
        [account] = document["accounts"]
        assert (status, document["through"], document["injected_round_trip_ms"]) == (0, "simulator", 30)
        assert (account["exchange"], account["passed"]) == ("binance", 2)
        assert account["figures"]["round_trip"]["p50_ms"] >= 30

    def test_accounts_without_a_simulator_are_named(self, tmp_path: Path) -> None:
        """And left out."""
        [account] = usual_settings(tmp_path).accounts
        other = account.model_copy(update={"exchange": "kraken", "name": "mine"})
        assert simulated([account, other]) == ([account], ["mine"])

    @pytest.mark.parametrize(
        "words", [["--round-trip-ms", "5"], ["--runs", "0"], ["--runs", "1001"], ["--action", "LOCK"]]
    )
    def test_wrong_words_are_trouble(self, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        """Before anything is started."""
        assert main(["bench", *words, "--json"]) == 1
        assert json.loads(capsys.readouterr().out)["error"]["code"] == "USAGE"


def test_help_says_what_it_measures_and_what_its_exit_status_means(capsys: pytest.CaptureFixture[str]) -> None:
    """Enough to live without a manual, in eighty columns."""
    with pytest.raises(SystemExit):
        main(["bench", "--help"])
    shown = capsys.readouterr().out
    for word in ("first_byte", "predicted_close", "Request budgets", "examples:", "Exit status: 0", "--simulator"):
        assert word in shown
    assert max(map(len, shown.splitlines())) <= 80
