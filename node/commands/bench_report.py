"""What a bench has measured, as a document and in words."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from node.commands import figures
from node.commands.chart import Paper
from node.commands.figures import Table
from node.commands.output import Document, ExitStatus
from node.domain.command import CommandState
from node.domain.distribution import Distribution

#: How a drill's ending tells each of them.
MEANINGS: Final = {
    "first_byte": "from receipt until the first request that may trade left for the exchange",
    "round_trip": "from then until it was answered: one request there and back on a warm connection",
    "read": "from receipt until every part of the account was read, in the order of a proof",
    "predicted_close": "what a real command would take to its proof, reckoned from these and not measured",
}


@dataclass(slots=True, kw_only=True)
class Tally:
    """One account, as far as it was drilled."""

    account_id: UUID
    name: str
    exchange: str
    endings: list[Document] = field(default_factory=list)
    #: Runs that had to wait for the request budgets, and for how long in all.
    waits: int = 0
    waited_s: float = 0.0
    #: Why it could not be drilled at all.
    unusable: str | None = None

    @property
    def passed(self) -> list[Document]:
        """Drills that showed that the account could be closed."""
        return [ending for ending in self.endings if ending["state"] == CommandState.DONE]

    @property
    def failed(self) -> int:
        """The others."""
        return len(self.endings) - len(self.passed)

    def distributions(self) -> dict[str, Distribution]:
        """Of the drills that passed, by the names of MEANINGS."""
        measured: dict[str, list[float]] = {name: [] for name in MEANINGS}
        for ending in self.passed:
            latency: Mapping[str, float | None] = ending["latency_ms"]
            first_byte_ms, answered_ms = latency.get("first_order"), latency.get("last_order")
            values = {
                "first_byte": first_byte_ms,
                "round_trip": None if first_byte_ms is None or answered_ms is None else answered_ms - first_byte_ms,
                "read": latency.get("snapshot"),
                "predicted_close": ending.get("predicted_ms"),
            }
            for name, value in values.items():
                if value is not None:
                    measured[name].append(value)
        found = {name: Distribution.of(values) for name, values in measured.items()}
        return {name: distribution for name, distribution in found.items() if distribution is not None}

    def errors(self) -> list[Document]:
        """What went wrong, each thing once, the most frequent first."""
        found = [error for ending in self.endings for error in ending.get("errors") or ()]
        counted = Counter((str(error.get("code")), _said(error)) for error in found)
        return [{"code": code, "message": said, "count": count} for (code, said), count in counted.most_common()]

    def document(self) -> Document:
        """For machines."""
        passed = self.passed
        return {
            "account_id": str(self.account_id),
            "account": self.name,
            "exchange": self.exchange,
            "passed": len(passed),
            "failed": self.failed,
            "unusable": self.unusable,
            "waits": self.waits,
            "waited_s": round(self.waited_s, 3),
            "planned": passed[-1].get("planned") if passed else None,
            "figures": {name: figures.document(found) for name, found in self.distributions().items()},
            "errors": self.errors(),
        }


@dataclass(slots=True, kw_only=True)
class Report:
    """The whole bench."""

    action: str
    runs: int
    #: "daemon", "own process" or "simulator".
    through: str
    #: In words, for people: where it was measured.
    told: str
    #: Injected at the simulators; None elsewhere.
    injected_round_trip_ms: int | None
    tallies: Sequence[Tally]
    #: Why it ended before its time.
    stopped: str | None = None
    interrupted: bool = False

    @property
    def status(self) -> ExitStatus:
        """The worst of what happened."""
        if self.interrupted:
            return ExitStatus.INTERRUPTED
        if any(tally.failed or tally.unusable for tally in self.tallies):
            return ExitStatus.FAILED
        return ExitStatus.INCOMPLETE if self.stopped else ExitStatus.DONE

    def document(self) -> Document:
        """For machines."""
        return {
            "action": self.action,
            "runs": self.runs,
            "through": self.through,
            "injected_round_trip_ms": self.injected_round_trip_ms,
            "stopped": "interrupted" if self.interrupted else self.stopped,
            "method": figures.METHOD,
            "meanings": MEANINGS,
            "accounts": [tally.document() for tally in self.tallies],
        }

    def text(self, paper: Paper) -> str:
        """For people."""
        found = [tally.distributions() for tally in self.tallies]
        table = Table.of(found, paper)
        told = f"{self.told}. Drills of {self.action}: nothing was placed or cancelled."
        blocks = [textwrap.fill(told, paper.columns)]
        for tally, distributions in zip(self.tallies, found, strict=True):
            blocks.append("\n".join([*table.title(_title(tally)), *table.rows(distributions), *_notes(tally, paper)]))
        blocks.append("\n".join(table.legend(*(f"{name}: {meaning}." for name, meaning in MEANINGS.items()))))
        if self.interrupted or self.stopped:
            why = textwrap.wrap(f"STOPPED EARLY: {self.stopped or 'interrupted'}", paper.columns)
            blocks.append("\n".join(map(paper.warning, why)))
        return "\n\n".join(blocks)


def _said(error: Mapping[str, str]) -> str:
    return " ".join(filter(None, (error.get("slice"), error.get("symbol"), error.get("message"))))


def _title(tally: Tally) -> str:
    failed = f", {tally.failed} FAILED" if tally.failed else ""
    told = f"NOT DRILLED: {tally.unusable}" if tally.unusable else f"{len(tally.passed)} passed{failed}"
    return f"{tally.name}  {tally.exchange}  ({told})"


def _notes(tally: Tally, paper: Paper) -> Iterator[str]:
    lines, errors = list[str](), [f"{each['count']} x {each['code']}: {each['message']}" for each in tally.errors()]
    if tally.passed and (planned := tally.passed[-1].get("planned")):
        counts = ", ".join(f"{count} {what}" for what, count in planned.items())
        lines.append(f"a real command would begin with {counts}")
    if tally.waits:
        runs = "1 run" if tally.waits == 1 else f"{tally.waits} runs"
        lines.append(f"{runs} waited for the request budgets, {tally.waited_s:.1f} s in all: in no figure")
    for line in lines:
        yield from textwrap.wrap(line, paper.columns, initial_indent="  ", subsequent_indent="    ")
    for error in errors:
        wrapped = textwrap.wrap(error, paper.columns, initial_indent="  ", subsequent_indent="    ")
        yield from map(paper.warning, wrapped)
