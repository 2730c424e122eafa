"""``latency``: how long commands took, stage by stage, as the journal has it."""

from __future__ import annotations

import re
import textwrap
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

from node.commands.chart import Paper, milliseconds
from node.commands.output import Document, ExitStatus, Output, Trouble
from node.domain.command import Action, CommandState
from node.domain.distribution import PERCENTILES, Distribution, samples_needed, scale
from node.domain.latency import STAGES
from node.domain.result import instant_text
from node.journal.latencies import Taken, Wanted, read_latencies

METHOD: Final = "nearest rank: a percentile is a duration that was measured, never one in between"
#: Bins of a histogram in the document.
BINS: Final = 40

_UNITS_S: Final = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_HEADS: Final = (*(f"p{percent}" for percent in PERCENTILES), "max")
_STAGE_WIDTH, _COUNT_WIDTH, _FIGURE_WIDTH = max(map(len, STAGES)), 5, 9
_TABLE_WIDTH: Final = 2 + _STAGE_WIDTH + 1 + _COUNT_WIDTH + len(_HEADS) * _FIGURE_WIDTH
_CHART_WIDTH_MIN: Final = 12
_CHART_WIDTH_MAX: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A journal, and the names of the accounts where a configuration tells them."""

    journal: Path
    names: Mapping[UUID, str] = field(default_factory=dict)

    @classmethod
    def of_state(cls, state_dir: Path) -> Source:
        """A state directory without any configuration."""
        return cls(journal=state_dir / "journal.sqlite3")

    @classmethod
    def of_config(cls, config: Path) -> Source:
        """Read from ``node.state_dir`` and the accounts alone: a fault elsewhere does not stand in the way of looking.

        Raises:
            Trouble: the file does not tell.
        """
        try:
            document = tomllib.loads(config.read_text(encoding="utf-8"))
        except OSError as error:
            raise Trouble("CONFIG", f"{config}: {error.strerror}: name it with --config, or the --state") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise Trouble("CONFIG", f"{config}: not TOML: {error}: name the state directory with --state") from None
        if "gateway" in document:
            raise Trouble("CONFIG", f"{config}: a gateway measures nothing: ask its nodes")
        state_dir = _member(document.get("node"), "state_dir")
        if not isinstance(state_dir, str):
            raise Trouble("CONFIG", f"{config}: node.state_dir: is missing")
        return cls(journal=Path(state_dir) / "journal.sqlite3", names=dict(_names(document.get("accounts"))))

    def account(self, name_or_id: str) -> UUID:
        """Resolve an account; an id need not be configured any more.

        Raises:
            Trouble: it is neither.
        """
        for account_id, name in self.names.items():
            if name_or_id in (name, str(account_id)):
                return account_id
        try:
            return UUID(name_or_id)
        except ValueError:
            known = ", ".join(self.names.values()) or "none: give its id"
            raise Trouble("NOT_FOUND", f"no account is called {name_or_id}; there are: {known}") from None


@dataclass(slots=True, kw_only=True)
class Group:
    """Commands of one kind on one account."""

    account_id: UUID
    name: str | None
    action: Action
    drill: bool
    stages: dict[str, Distribution]
    commands: int
    #: What did not end as done, by state: its durations are in no figure.
    others: dict[str, int]

    @property
    def title(self) -> str:
        """Which account and what."""
        return f"{self.name or self.account_id}  {self.action}{' drill' if self.drill else ''}"

    def document(self) -> Document:
        """For machines."""
        return {
            "account_id": str(self.account_id),
            "account": self.name,
            "action": self.action.value,
            "drill": self.drill,
            "commands": self.commands,
            "others": self.others,
            "stages": {stage: _figures(distribution) for stage, distribution in self.stages.items()},
        }


def latency(
    source: Source, accounts: Sequence[str], actions: Sequence[Action], since: datetime | None, limit: int, out: Output
) -> ExitStatus:
    """Print the distribution of each stage of each kind of command, account by account.

    Raises:
        Trouble: an account is not known.
        JournalUnreadable: the journal is not there, or not for this user.
    """
    wanted = Wanted(accounts=[source.account(each) for each in accounts], actions=actions, since=since, limit=limit)
    taken = read_latencies(source.journal, wanted)
    found = groups(taken, source.names)
    document = {
        "journal": str(source.journal),
        "since": since and instant_text(since),
        "commands": len(taken),
        #: There may be older ones.
        "limited": len(taken) == limit,
        "method": METHOD,
        "groups": [group.document() for group in found],
    }
    notes = [f"only the newest {limit} commands were looked at (--limit)"] if len(taken) == limit else []
    out.result(document, text(found, Paper.of(out.stdout), notes))
    return ExitStatus.DONE


def groups(taken: Iterable[Taken], names: Mapping[UUID, str]) -> list[Group]:
    """Sorted into kinds: accounts by name, real commands before drills."""
    sorted_in: dict[tuple[UUID, Action, bool], list[Taken]] = {}
    for each in taken:
        sorted_in.setdefault((each.account_id, each.action, each.drill), []).append(each)
    order = list(Action)
    kinds = sorted(sorted_in, key=lambda kind: (names.get(kind[0], "~"), str(kind[0]), kind[2], order.index(kind[1])))
    return [_group(kind, sorted_in[kind], names.get(kind[0])) for kind in kinds]


def _group(kind: tuple[UUID, Action, bool], taken: Sequence[Taken], name: str | None) -> Group:
    done = [each for each in taken if each.state is CommandState.DONE]
    measured = {stage: Distribution.of(_durations(done, stage)) for stage in STAGES}
    others: dict[str, int] = {}
    for each in taken:
        if each.state is not CommandState.DONE:
            others[each.state.value] = others.get(each.state.value, 0) + 1
    return Group(
        account_id=kind[0],
        name=name,
        action=kind[1],
        drill=kind[2],
        stages={stage: found for stage, found in measured.items() if found is not None},
        commands=len(done),
        others=others,
    )


def _durations(taken: Iterable[Taken], stage: str) -> Iterator[float]:
    return (each.stages_ms[stage] for each in taken if stage in each.stages_ms)


def _figures(distribution: Distribution) -> Document:
    edges_ms = scale([distribution], BINS)
    return {
        "count": distribution.count,
        **{f"p{percent}_ms": distribution.percentile_ms(percent) for percent in PERCENTILES},
        "max_ms": distribution.max_ms,
        #: Too few samples: these are the largest one, whatever that was.
        "unsupported": [f"p{percent}" for percent in PERCENTILES if not distribution.supports(percent)],
        "histogram": {
            "edges_ms": [round(edge_ms, 4) for edge_ms in edges_ms],
            "counts": distribution.histogram(edges_ms),
        },
    }


def text(found: Sequence[Group], paper: Paper, notes: Sequence[str] = ()) -> str:
    """For people."""
    if not found:
        return "\n".join(["no command that was asked for is in this journal", *notes])
    everything = [distribution for group in found for distribution in group.stages.values()]
    axis = _Axis.of(everything, paper)
    blocks = ["\n".join(_block(group, axis, paper)) for group in found]
    legend = [*_legend(everything, axis), *notes]
    wrapped = [line for each in legend for line in textwrap.wrap(each, paper.columns, subsequent_indent="  ")]
    return "\n\n".join([*blocks, "\n".join(map(paper.dim, wrapped))])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Axis:
    """The one axis of all charts, so that they can be compared."""

    edges_ms: Sequence[float]
    #: Whether the chart fits beside the figures.
    beside: bool

    @classmethod
    def of(cls, everything: Iterable[Distribution], paper: Paper) -> _Axis:
        room = paper.columns - _TABLE_WIDTH - 1
        beside = room >= _CHART_WIDTH_MIN
        width = room if beside else paper.columns - 4
        return cls(edges_ms=scale(everything, min(width, _CHART_WIDTH_MAX)), beside=beside)

    @property
    def width(self) -> int:
        return len(self.edges_ms) - 1

    @property
    def ends(self) -> tuple[str, str]:
        low_ms, high_ms = self.edges_ms[0], self.edges_ms[-1]
        return f"{low_ms:.3g} ms", f"{high_ms:.0f} ms" if high_ms < 1000 else f"{high_ms / 1000:.0f} s"


def _block(group: Group, axis: _Axis, paper: Paper) -> Iterator[str]:
    ended_otherwise = ", ".join(f"{count} {state}" for state, count in sorted(group.others.items()))
    told = f"  ({group.commands} done{', not counted: ' if ended_otherwise else ''}{ended_otherwise})"
    first, *rest = textwrap.wrap(group.title + told, paper.columns, subsequent_indent="  ") or [""]
    yield paper.bold(first)
    yield from map(paper.bold, rest)
    if not group.stages:
        return
    if axis.beside:
        low, high = axis.ends
        columns = "".join(f"{head:>{_FIGURE_WIDTH - 1}} " for head in _HEADS)
        between = " " * max(1, axis.width - len(low) - len(high))
        yield paper.dim(f"  {'ms':<{_STAGE_WIDTH}} {'n':>{_COUNT_WIDTH}}{columns} {low}{between}{high}")
        for stage, distribution in group.stages.items():
            figures = "".join(_figure(word, paper) for word in _words(distribution))
            chart = paper.sparkline(distribution.histogram(axis.edges_ms))
            yield f"  {stage:<{_STAGE_WIDTH}} {distribution.count:>{_COUNT_WIDTH}}{figures} {chart}".rstrip()
        return
    for stage, distribution in group.stages.items():
        figures = "  ".join(f"{head} {word}" for head, word in zip(_HEADS, _words(distribution), strict=True))
        line = f"{stage}  n {distribution.count}  {figures}"
        yield from textwrap.wrap(line, paper.columns, initial_indent="  ", subsequent_indent="    ")
        yield f"  |{paper.sparkline(distribution.histogram(axis.edges_ms))}|"


def _words(distribution: Distribution) -> Iterator[str]:
    for percent in PERCENTILES:
        mark = "" if distribution.supports(percent) else "*"
        yield f"{milliseconds(distribution.percentile_ms(percent))}{mark}"
    yield milliseconds(distribution.max_ms)


def _figure(word: str, paper: Paper) -> str:
    # The star stands outside the column, so that the digits stay below each other.
    return paper.warning(f"{word:>{_FIGURE_WIDTH}}") if word.endswith("*") else f"{word:>{_FIGURE_WIDTH - 1}} "


def _legend(everything: Sequence[Distribution], axis: _Axis) -> Iterator[str]:
    yield (
        "Milliseconds. transport, verify, journal and lock are durations; the others count from receipt. transport is "
        "as good as the two clocks agree. Percentiles by nearest rank, of commands that ended as done."
    )
    lacking = [percent for percent in PERCENTILES if not all(each.supports(percent) for each in everything)]
    if lacking:
        needed = ", ".join(f"p{percent} wants {samples_needed(percent)}" for percent in lacking)
        yield f"* too few samples ({needed}): this is the largest one, whatever it was."
    low, high = axis.ends
    yield f"Charts: how many took how long, on one logarithmic axis from {low} to {high}, each by its own highest."


def since_of(text_: str, now: datetime) -> datetime:
    """``90m``, ``24h``, ``7d``, ``2w`` before now, or an instant or date (UTC where it names no zone).

    Raises:
        ValueError: it is neither.
    """
    if found := re.fullmatch(r"(\d{1,6})([mhdw])", text_):
        return now - timedelta(seconds=int(found[1]) * _UNITS_S[found[2]])
    at = datetime.fromisoformat(text_)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _names(accounts: object) -> Iterator[tuple[UUID, str]]:
    for account in accounts if isinstance(accounts, list) else ():
        account_id, name = _member(account, "id"), _member(account, "name")
        if isinstance(account_id, str) and isinstance(name, str):
            try:
                yield UUID(account_id), name
            except ValueError:
                continue


def _member(table: object, name: str) -> object:
    return table.get(name) if isinstance(table, dict) else None
