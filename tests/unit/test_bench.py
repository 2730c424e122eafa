"""The bench: its order, its waiting, when it stands back, and what it says in the end."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from io import BytesIO, StringIO, TextIOWrapper
from uuid import UUID

import pytest

from node.clock import SystemClock
from node.commands.bench import Bench, Wish
from node.commands.bench_accounts import OwnAccount, StandBack
from node.commands.bench_report import MEANINGS, Report, Tally
from node.commands.chart import Paper
from node.commands.output import Document, ExitStatus, Output, Trouble
from node.commands.progress import ProgressBar
from node.domain.command import Action
from node.domain.flatten import FlattenTerms
from node.domain.permission import Permission
from node.engine.account import AccountTerms, ExecutionTerms
from node.engine.lone_drills import LoneDrills
from node.engine.view import AccountView
from tests.support.fake_venue import FakeVenue, position

BTC = "BTC/USDT:USDT"
FIRST, SECOND = UUID(int=1), UUID(int=2)


def ending(*, passed: bool = True, first_ms: float = 2.0, **changes: object) -> Document:
    """Of a drill whose probe was answered after 50 ms and whose reads took 160."""
    document: Document = {
        "state": "done" if passed else "failed",
        "latency_ms": {"first_order": first_ms, "last_order": first_ms + 50, "snapshot": 160.0},
        "predicted_ms": 210.0,
        "planned": {"closes": 3, "cancels": 2, "sales": 0},
        "errors": [] if passed else [{"code": "DENIED", "message": "the key may not trade"}],
    }
    return {**document, **changes}


@dataclass
class Account:
    """One that answers as it is told, and remembers when it was asked."""

    account_id: UUID
    asked: list[str]
    name: str = "main"
    exchange: str = "binance"
    #: Seconds to wait, one for each look; then none.
    respites: list[float] = field(default_factory=list)
    drills: list[Callable[[], Document]] = field(default_factory=list)

    async def respite_s(self) -> float:
        """As told."""
        return self.respites.pop(0) if self.respites else 0.0

    async def drill(self, action: Action) -> Document:
        """As told."""
        self.asked.append(f"{self.name} {action}")
        return self.drills.pop(0)() if self.drills else ending()


@dataclass
class Site:
    """Two accounts and a bench before them."""

    asked: list[str] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.accounts = [Account(FIRST, self.asked, "main"), Account(SECOND, self.asked, "other")]
        self.tallies = [Tally(account_id=each.account_id, name=each.name, exchange="binance") for each in self.accounts]

    async def bench(self, *, runs: int = 2, max_wait_s: float = 300, action: Action = Action.CLOSE_ALL) -> Bench:
        """Carried out."""

        async def sleep(wait_s: float) -> None:
            self.slept.append(wait_s)

        bench = Bench(
            wish=Wish(action=action, runs=runs, accounts=(), max_wait_s=max_wait_s),
            progress=ProgressBar(StringIO(), Paper(), runs * 2, shown=False),
            tallies=self.tallies,
            sleep=sleep,
        )
        await bench.carry_out(self.accounts)
        return bench

    def report(self, bench: Bench) -> Report:
        """As it would be printed."""
        return Report(
            action="CLOSE_ALL",
            runs=bench.wish.runs,
            through="own process",
            told="Here",
            injected_round_trip_ms=None,
            tallies=self.tallies,
            stopped=bench.stopped,
        )


class TestOrder:
    async def test_is_round_by_round(self) -> None:
        """A line that becomes slow does so for all of them."""
        site = Site()
        await site.bench(action=Action.FLATTEN)
        assert site.asked == ["main FLATTEN", "other FLATTEN"] * 2

    async def test_waits_for_the_budgets_before_each_run_and_says_so(self) -> None:
        """As long as they want, looking again: somebody else may have spent them meanwhile."""
        site = Site()
        site.accounts[0].respites = [2.5, 1.5, 0.5, 0.0, 0.25]
        report = site.report(await site.bench())
        assert site.slept == [1, 1, 0.5, 0.25]
        assert (site.tallies[0].waits, site.tallies[0].waited_s) == (2, 2.75)
        assert "2 runs waited for the request budgets, 2.8 s in all: in no figure" in report.text(Paper(columns=100))
        assert len(site.asked) == 4

    async def test_ends_where_the_wait_would_be_too_long(self) -> None:
        """With what it has; a pause that grows is not waited for without end either."""
        site = Site()
        site.accounts[1].respites = [301.0]
        bench = await site.bench()
        assert site.asked == ["main CLOSE_ALL"]
        assert bench.stopped is not None
        assert "--max-wait" in bench.stopped
        again = Site()
        again.accounts[0].respites = [1.0] * 50
        assert (await again.bench(max_wait_s=5)).stopped is not None
        assert sum(again.slept) == 5


class TestEnd:
    async def test_is_done_when_every_drill_passed(self) -> None:
        """Exit status 0."""
        site = Site()
        report = site.report(await site.bench())
        assert (report.status, report.document()["stopped"]) == (ExitStatus.DONE, None)

    async def test_stands_back_for_what_is_more_important(self) -> None:
        """Exit status 3; what was measured stands."""

        def preempted() -> Document:
            raise StandBack("main: a real command is live")

        site = Site()
        site.accounts[0].drills = [ending, preempted]
        report = site.report(await site.bench(runs=5))
        assert site.asked == ["main CLOSE_ALL", "other CLOSE_ALL", "main CLOSE_ALL"]
        assert (report.status, report.document()["stopped"]) == (ExitStatus.INCOMPLETE, "main: a real command is live")
        assert [account["passed"] for account in report.document()["accounts"]] == [1, 1]
        assert "STOPPED EARLY: main: a real command is live" in report.text(Paper())

    async def test_failed_drills_are_in_no_figure_and_are_told(self) -> None:
        """Exit status 5; each reason once with its number."""
        site = Site()
        site.accounts[0].drills = [lambda: ending(passed=False, first_ms=9999.0), ending, lambda: ending(passed=False)]
        report = site.report(await site.bench(runs=3))
        account = report.document()["accounts"][0]
        assert (report.status, account["passed"], account["failed"]) == (ExitStatus.FAILED, 1, 2)
        assert account["errors"] == [{"code": "DENIED", "message": "the key may not trade", "count": 2}]
        assert account["figures"]["first_byte"]["max_ms"] == 2
        shown = report.text(Paper(columns=100))
        assert "main  binance  (1 passed, 2 FAILED)" in shown
        assert "2 x DENIED: the key may not trade" in shown

    async def test_an_account_that_could_not_be_armed_is_a_failure(self) -> None:
        """Also where the others pass."""
        site = Site()
        bench = await site.bench()
        site.tallies[1].unusable = "DENIED: the key is not valid"
        report = site.report(bench)
        assert report.status is ExitStatus.FAILED
        assert "NOT DRILLED: DENIED: the key is not valid" in report.text(Paper(columns=100))

    async def test_an_interruption_keeps_what_was_measured(self) -> None:
        """Exit status 130, and the figures."""
        site = Site()
        report = site.report(await site.bench(runs=1))
        report.interrupted = True
        assert report.status is ExitStatus.INTERRUPTED
        assert report.document()["stopped"] == "interrupted"
        assert report.document()["accounts"][0]["figures"]["round_trip"]["count"] == 1


class TestOwnAccount:
    @staticmethod
    def _rehearsal(venue: FakeVenue) -> LoneDrills:
        terms = AccountTerms(
            account_id=FIRST,
            name="main",
            owner="me",
            exchange="fake",
            permission=Permission.CLOSE,
            execution=ExecutionTerms(deadline_s=0.1),
            flatten=FlattenTerms(base_currency="USDT"),
        )
        clock = SystemClock()
        view = AccountView(venue, clock, nullcontext, number=0)
        return LoneDrills(terms=terms, venue=venue, view=view, clock=clock, node_id="n")

    async def test_stands_back_when_a_daemon_has_come(self) -> None:
        """Also when it is there and does not answer."""

        def hangs() -> bool:
            raise Trouble("CONNECTION_LOST", "it does not answer")

        for taken in (lambda: True, hangs):
            account = OwnAccount(rehearsal=self._rehearsal(FakeVenue()), taken=taken)
            with pytest.raises(StandBack, match="a daemon has started"):
                await account.respite_s()
        assert await OwnAccount(rehearsal=self._rehearsal(FakeVenue()), taken=lambda: False).respite_s() == 0

    async def test_is_drilled_as_a_daemon_would(self) -> None:
        """The same document, and the account as it was."""
        venue = FakeVenue(positions=[position(BTC, "1.50")])
        rehearsal = self._rehearsal(venue)
        await rehearsal.arm()
        document = await OwnAccount(rehearsal=rehearsal, taken=lambda: False).drill(Action.CLOSE_ALL)
        assert (document["state"], document["verdict"], document["dry_run"]) == ("done", "drill_passed", True)
        assert document["planned"]["closes"] == 1
        assert document["latency_ms"]["proof"] is not None
        assert "lock" not in document
        assert len(venue.positions) == 1

    async def test_a_drill_that_hangs_ends_at_the_deadline(self) -> None:
        """As a failure with its reason."""
        venue = FakeVenue(positions=[position(BTC, "1.50")])
        rehearsal = self._rehearsal(venue)
        await rehearsal.arm()
        venue.reading.clear()
        document = await rehearsal.drill(Action.CLOSE_ALL)
        assert (document["state"], document["verdict"]) == ("failed", "drill_failed")
        assert [error["code"] for error in document["errors"]] == ["TIMEOUT"]


class TestFigures:
    async def test_are_made_from_the_stages_of_each_drill(self) -> None:
        """A round trip is from the first byte to its answer."""
        site = Site()
        site.accounts[0].drills = [ending, lambda: ending(first_ms=4.0)]
        report = site.report(await site.bench())
        figures = report.document()["accounts"][0]["figures"]
        assert {name: (found["count"], found["max_ms"]) for name, found in figures.items()} == {
            "first_byte": (2, 4.0),
            "round_trip": (2, 50.0),
            "read": (2, 160.0),
            "predicted_close": (2, 210.0),
        }
        assert figures["first_byte"]["unsupported"] == ["p90", "p99"]
        assert [*figures] == [*MEANINGS]

    async def test_leave_out_what_was_not_measured(self) -> None:
        """No zeros for nothing."""
        site = Site()
        latency_ms = {"first_order": None, "last_order": None, "snapshot": 5.0}
        site.accounts[0].drills = [lambda: ending(latency_ms=latency_ms, predicted_ms=None)]
        report = site.report(await site.bench(runs=1))
        assert [*report.document()["accounts"][0]["figures"]] == ["read"]

    @pytest.mark.parametrize("columns", [20, 50, 80, 140])
    async def test_fit_into_any_terminal(self, columns: int) -> None:
        """Every line, whatever happened."""
        site = Site()
        site.accounts[0].drills = [ending, lambda: ending(passed=False)]
        site.accounts[1].respites = [1.0, 0.0, 9000.0]
        report = site.report(await site.bench())
        shown = report.text(Paper(columns=columns))
        assert "STOPPED EARLY" in " ".join(shown.split())
        assert max(map(len, shown.splitlines())) <= columns


class TestProgress:
    def test_is_one_line_that_is_written_over(self) -> None:
        """With a bar, the numbers and the account; nothing of it stays."""
        stream = StringIO()
        bar = ProgressBar(stream, Paper(columns=60, blocks=False), 4, shown=True)
        bar.advance()
        bar.show("main")
        shown = stream.getvalue()
        assert shown.startswith("\r###")
        assert "1/4  main" in shown
        assert "\n" not in shown
        bar.clear()
        lines = stream.getvalue().split("\r")
        assert max(map(len, lines)) <= 59
        assert lines[-2:] == [" " * 59, ""]

    @pytest.mark.parametrize(
        ("as_json", "terminal", "shown"), [(False, True, True), (True, True, False), (False, False, False)]
    )
    def test_is_for_people_at_terminals(
        self, as_json: bool, terminal: bool, shown: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Not for machines, and not in a file."""
        stream = TextIOWrapper(BytesIO(), encoding="utf-8")
        monkeypatch.setattr(stream, "isatty", lambda: terminal)
        bar = ProgressBar.of(Output(as_json=as_json, stderr=stream), 3)
        bar.show("main")
        bar.clear()
        stream.flush()
        assert bar.shown is shown
        assert bool(stream.buffer.tell()) is shown
