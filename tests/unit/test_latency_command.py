"""``sovereign-node latency``: what it prints, for people and for machines, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from io import BytesIO, TextIOWrapper
from pathlib import Path
from uuid import UUID

import pytest

from node.cli import main
from node.commands.chart import Paper, milliseconds
from node.commands.latency import groups, since_of, text
from node.domain.command import Action, CommandState
from node.domain.lock import AccountLock
from node.domain.result import Document
from node.journal.latencies import Taken
from node.journal.store import SqliteJournal
from tests.support.engine import ACCOUNT, OTHER
from tests.support.journal import NODE_ID, SteadyClock, admission, make_command, reached

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def taken(
    proof_ms: float | None,
    *,
    account_id: UUID = ACCOUNT,
    action: Action = Action.CLOSE_ALL,
    drill: bool = False,
    state: CommandState = CommandState.DONE,
) -> Taken:
    """One command."""
    stages = {"journal": 2.0} if proof_ms is None else {"journal": 2.0, "proof": proof_ms}
    return Taken(account_id=account_id, action=action, drill=drill, state=state, stages_ms=stages)


@pytest.fixture
async def state(tmp_path: Path) -> AsyncIterator[Path]:
    """A state directory in use: 100 CLOSE_ALLs of 1 to 100 ms on one account, a LOCK on another, a failure."""
    async with SqliteJournal(tmp_path / "journal.sqlite3", node_id=NODE_ID, clock=SteadyClock()) as journal:
        commands = [make_command(ACCOUNT) for _ in range(101)] + [make_command(OTHER, Action.LOCK)]
        await journal.admit([admission(command) for command in commands])
        for number, command in enumerate(commands):

            def document(_lock: AccountLock | None, proof_ms: float = number + 1.0) -> Document:
                return {"latency_ms": {"journal": 1.5, "proof": proof_ms if proof_ms <= 101 else None}}

            await journal.record([reached(command, CommandState.FAILED if number == 100 else CommandState.DONE,
                                          document=document)])  # fmt: skip
        yield tmp_path


def configured(tmp_path: Path, state_dir: Path) -> Path:
    """A configuration that tells no more than where and who."""
    path = tmp_path / "node.toml"
    path.write_text(
        f'[node]\nstate_dir = "{state_dir}"\n'
        f'[[accounts]]\nid = "{ACCOUNT}"\nname = "binance-main"\n[[accounts]]\nid = "{OTHER}"\nname = "other"\n'
    )
    return path


class TestDocument:
    def test_has_every_figure_of_every_stage(self, state: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Beside the daemon, from its journal."""
        assert main(["latency", "--config", str(configured(state, state)), "--json"]) == 0
        document = json.loads(capsys.readouterr().out)
        close, lock = document["groups"]
        assert (close["account"], close["action"], close["drill"]) == ("binance-main", "CLOSE_ALL", False)
        assert (close["commands"], close["others"]) == (100, {"failed": 1})
        proof = close["stages"]["proof"]
        assert (proof["count"], proof["p50_ms"], proof["p90_ms"], proof["p99_ms"], proof["max_ms"]) == (
            100, 50, 90, 99, 100,
        )  # fmt: skip
        assert proof["unsupported"] == []
        assert sum(proof["histogram"]["counts"]) == 100
        assert len(proof["histogram"]["edges_ms"]) == len(proof["histogram"]["counts"]) + 1
        assert (lock["account"], lock["action"], [*lock["stages"]]) == ("other", "LOCK", ["journal"])
        assert lock["stages"]["journal"]["unsupported"] == ["p50", "p90", "p99"]
        assert document["method"].startswith("nearest rank")

    def test_is_of_what_was_asked_for(self, state: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Accounts by name or id, actions, age, number."""
        config = str(configured(state, state))

        def told(*words: str) -> tuple[list[str], bool]:
            assert main(["latency", "--config", config, *words, "--json"]) == 0
            document = json.loads(capsys.readouterr().out)
            return [group["account"] for group in document["groups"]], document["limited"]

        assert told("--account", "other") == (["other"], False)
        assert told("--account", str(ACCOUNT)) == (["binance-main"], False)
        assert told("--action", "LOCK") == (["other"], False)
        assert told("--action", "FLATTEN") == ([], False)
        assert told("--since", "2030-01-01") == ([], False)
        assert told("--limit", "1") == (["other"], True)

    def test_needs_no_configuration(self, state: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """The directory alone: accounts by their ids."""
        assert main(["latency", "--state", str(state), "--account", str(OTHER), "--json"]) == 0
        [lock] = json.loads(capsys.readouterr().out)["groups"]
        assert (lock["account"], lock["account_id"]) == (None, str(OTHER))


class TestTrouble:
    @pytest.mark.parametrize(
        ("words", "code"),
        [
            (["--account", "nobody"], "NOT_FOUND"),
            (["--since", "yesterday"], "USAGE"),
            (["--state", "/nowhere"], "USAGE"),
            (["--limit", "0"], "USAGE"),
            (["--action", "CLOSE"], "USAGE"),
        ],
    )
    def test_of_the_command_line(
        self, words: list[str], code: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Exit status 1, a code, nothing read."""
        status = main(["latency", "--config", str(configured(tmp_path, tmp_path)), *words, "--json"])
        assert (status, json.loads(capsys.readouterr().out)["error"]["code"]) == (1, code)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("[gateway]\n", "a gateway measures nothing"),
            ("[node]\n", "state_dir"),
            ("accounts = 1", "state_dir"),
            ("=", "not TOML"),
        ],
    )
    def test_of_a_configuration(
        self, content: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """That does not tell where the journal is."""
        path = tmp_path / "node.toml"
        path.write_text(content)
        assert main(["latency", "--config", str(path)]) == 1
        assert message in capsys.readouterr().err

    def test_where_there_is_no_journal(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """It says so, and makes none."""
        assert main(["latency", "--state", str(tmp_path), "--json"]) == 1
        assert json.loads(capsys.readouterr().out)["error"]["code"] == "JOURNAL_UNREADABLE"
        assert list(tmp_path.iterdir()) == []


class TestText:
    def test_marks_what_too_few_samples_cannot_support(self) -> None:
        """Nine: enough for a median. The reader is told how many it wants."""
        shown = text(groups([taken(float(number)) for number in range(1, 10)], {ACCOUNT: "main"}), Paper(columns=100))
        [proof] = [line for line in shown.splitlines() if line.startswith("  proof")]
        assert proof.split()[:6] == ["proof", "9", "5.0", "9.0*", "9.0*", "9.0"]
        assert "* too few samples (p90 wants 10, p99 wants 100)" in shown

    def test_marks_nothing_where_there_are_enough(self) -> None:
        """A hundred support all of them."""
        shown = text(groups([taken(float(number)) for number in range(1, 101)], {}), Paper(columns=100))
        assert "*" not in shown

    def test_counts_apart_what_is_not_the_same(self) -> None:
        """Drills from real commands, one action from another, and what did not end as done in no figure."""
        commands = [
            taken(1.0),
            taken(2.0, drill=True),
            taken(3.0, action=Action.FLATTEN),
            taken(9000.0, state=CommandState.FAILED),
            taken(None, state=CommandState.INCOMPLETE),
        ]
        shown = text(groups(commands, {ACCOUNT: "main"}), Paper())
        heads = [line for line in shown.splitlines() if line.startswith("main")]
        assert heads == [
            "main  CLOSE_ALL  (1 done, not counted: 1 failed, 1 incomplete)",
            "main  FLATTEN  (1 done)",
            "main  CLOSE_ALL drill  (1 done)",
        ]
        assert "9000" not in shown

    @pytest.mark.parametrize("columns", [20, 40, 57, 70, 80, 132, 400])
    @pytest.mark.parametrize("blocks", [True, False])
    def test_fits_into_any_terminal(self, columns: int, blocks: bool) -> None:
        """No line is wider, and no figure is lost."""
        commands = [taken(12.5 * number) for number in range(1, 30)]
        shown = text(groups(commands, {ACCOUNT: "main"}), Paper(columns=columns, blocks=blocks))
        assert max(map(len, shown.splitlines())) <= columns
        words = shown.split()
        assert {"187.5", "337.5", "362.5*", "362.5"} <= set(words)
        assert shown.isascii() is not blocks

    def test_says_when_there_is_nothing(self) -> None:
        """Not an empty page."""
        assert "no command" in text([], Paper(), ["only the newest 5"])

    def test_one_axis_makes_charts_comparable(self) -> None:
        """What took ten times as long is further to the right, by one power of ten."""
        slow, fast = taken(100.0, account_id=OTHER), taken(10.0)
        shown = text(groups([slow, fast], {ACCOUNT: "a", OTHER: "b"}), Paper(columns=100))
        first, second = [line.rstrip() for line in shown.splitlines() if line.startswith("  proof")]
        assert len(second) > len(first)
        assert first[-1] == second[-1] == "█"


class TestPaper:
    def test_has_no_colours_where_it_is_no_terminal(self) -> None:
        """A file, a pipe."""
        assert not Paper.of(TextIOWrapper(BytesIO(), encoding="utf-8")).colours

    @pytest.mark.parametrize(
        ("variables", "coloured"),
        [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
    )
    def test_is_coloured_on_a_terminal_unless_somebody_minds(
        self, variables: dict[str, str], coloured: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """no-color.org: set, and not empty."""
        monkeypatch.delenv("NO_COLOR", raising=False)
        monkeypatch.setenv("TERM", "xterm")
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        stream = TextIOWrapper(BytesIO(), encoding="utf-8")
        monkeypatch.setattr(stream, "isatty", lambda: True)
        paper = Paper.of(stream)
        assert paper.colours is coloured
        assert ("\x1b" in paper.bold("x")) is coloured

    def test_has_block_characters_only_where_they_can_be_written(self) -> None:
        """An old locale gets letters."""
        assert Paper.of(TextIOWrapper(BytesIO(), encoding="utf-8")).blocks
        assert not Paper.of(TextIOWrapper(BytesIO(), encoding="ascii")).blocks

    def test_is_as_wide_as_it_is_told_to_be(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """COLUMNS, but never too narrow for a word; nonsense is not taken for a width."""
        stream = TextIOWrapper(BytesIO(), encoding="utf-8")
        for told, columns in (("132", 132), ("3", 20), ("wide", 80), ("0", 80)):
            monkeypatch.setenv("COLUMNS", told)
            assert Paper.of(stream).columns == columns

    def test_shows_a_single_sample_among_thousands(self) -> None:
        """Small is not nothing."""
        assert Paper().sparkline([5000, 1, 0]) == "█▁ "
        assert Paper(blocks=False).sparkline([5000, 1, 0]) == "@. "
        assert Paper().sparkline([0, 0]) == "  "

    def test_bars_are_filled_by_their_part(self) -> None:
        """Never beyond their cells."""
        assert [Paper(blocks=False).bar(part, 4) for part in (0, 0.5, 1, 7)] == ["....", "##..", "####", "####"]


@pytest.mark.parametrize(
    ("value_ms", "shown"), [(0.0, "0.00"), (0.514, "0.51"), (4.21, "4.2"), (203.52, "203.5"), (12_345.6, "12346")]
)
def test_durations_have_no_more_digits_than_mean_something(value_ms: float, shown: str) -> None:
    """Few characters."""
    assert milliseconds(value_ms) == shown


@pytest.mark.parametrize(
    ("words", "at"),
    [
        ("90m", NOW - timedelta(minutes=90)),
        ("24h", NOW - timedelta(hours=24)),
        ("7d", NOW - timedelta(days=7)),
        ("2w", NOW - timedelta(weeks=2)),
        ("2026-11-01", datetime(2026, 11, 1, tzinfo=UTC)),
        ("2026-11-01T10:00:00+02:00", datetime(2026, 11, 1, 8, tzinfo=UTC)),
    ],
)
def test_since_is_an_age_or_an_instant(words: str, at: datetime) -> None:
    """UTC where no zone is named."""
    assert since_of(words, NOW) == at


def test_help_says_what_the_figures_mean(capsys: pytest.CaptureFixture[str]) -> None:
    """Enough to live without a manual, in eighty columns."""
    with pytest.raises(SystemExit):
        main(["latency", "--help"])
    shown = capsys.readouterr().out
    for word in ("first_order", "proof", "nearest rank", "--since", "examples:", "Exit status"):
        assert word in shown
    assert max(map(len, shown.splitlines())) <= 80
