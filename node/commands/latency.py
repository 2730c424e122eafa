"""``latency``: how long commands took, stage by stage, as the journal has it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

from node.commands import figures
from node.commands.chart import Paper
from node.commands.figures import Table
from node.commands.output import Document, ExitStatus, Output, Trouble
from node.domain.command import Action, CommandState
from node.domain.distribution import Distribution
from node.domain.latency import STAGES
from node.domain.result import instant_text
from node.journal.latencies import Taken, Wanted, read_latencies
from node.plain_files import read_text

_LEGEND: Final = (
    "Milliseconds. transport, verify, journal and lock are durations; the others count from receipt. transport is as "
    "good as the two clocks agree. Percentiles by nearest rank, of commands that ended as done."
)
_UNITS_S: Final = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}


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
            document = tomllib.loads(read_text(config, encoding="utf-8"))
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
        """Which account and what, and how many."""
        otherwise = ", ".join(f"{count} {state}" for state, count in sorted(self.others.items()))
        told = f"({self.commands} done{', not counted: ' if otherwise else ''}{otherwise})"
        return f"{self.name or self.account_id}  {self.action}{' drill' if self.drill else ''}  {told}"

    def document(self) -> Document:
        """For machines."""
        return {
            "account_id": str(self.account_id),
            "account": self.name,
            "action": self.action.value,
            "drill": self.drill,
            "commands": self.commands,
            "others": self.others,
            "stages": {stage: figures.document(distribution) for stage, distribution in self.stages.items()},
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
        "method": figures.METHOD,
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


def text(found: Sequence[Group], paper: Paper, notes: Sequence[str] = ()) -> str:
    """For people."""
    if not found:
        return "\n".join(["no command that was asked for is in this journal", *notes])
    table = Table.of([group.stages for group in found], paper)
    blocks = ["\n".join([*table.title(group.title), *table.rows(group.stages)]) for group in found]
    return "\n\n".join([*blocks, "\n".join(table.legend(_LEGEND, *notes))])


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
