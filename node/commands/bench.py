"""``bench``: drills, again and again, and how long they took."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from node.commands.bench_accounts import BenchAccount, DaemonsAccount, OwnAccount, StandBack, daemon_answers
from node.commands.bench_report import Report, Tally
from node.commands.chart import Paper
from node.commands.operator_client import OperatorClient
from node.commands.output import ExitStatus, Output, Trouble
from node.commands.progress import ProgressBar
from node.domain.command import Action
from node.settings import AccountSettings, load

if TYPE_CHECKING:
    from node.commands.bench_sites import Armed

#: How often a waiting bench says how long it still waits.
_TELL_EVERY_S: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What was asked for."""

    action: Action
    runs: int
    #: Ids or names; empty means all.
    accounts: Sequence[str]
    #: The longest wait for a request budget before one run.
    max_wait_s: float


@dataclass(slots=True, kw_only=True)
class Bench:
    """One account after the other, round by round: accounts may share request budgets, and the line changes."""

    wish: Wish
    progress: ProgressBar
    tallies: list[Tally]
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    stopped: str | None = field(default=None, init=False)

    async def carry_out(self, accounts: Sequence[BenchAccount]) -> None:
        """Until all runs are done, or something more important comes: ``stopped`` says what."""
        tallies = {tally.account_id: tally for tally in self.tallies}
        try:
            for _ in range(self.wish.runs):
                for account in accounts:
                    tally = tallies[account.account_id]
                    await self._wait(account, tally)
                    self.progress.show(account.name)
                    tally.endings.append(await account.drill(self.wish.action))
                    self.progress.advance()
        except StandBack as reason:
            self.stopped = str(reason)
        finally:
            self.progress.clear()

    async def _wait(self, account: BenchAccount, tally: Tally) -> None:
        waited_s = 0.0
        while (wait_s := await account.respite_s()) > 0:
            if waited_s + wait_s > self.wish.max_wait_s:
                raise StandBack(
                    f"{account.name}: the request budgets bear the next drill only in {wait_s:.0f} s (--max-wait)"
                )
            tally.waits += waited_s == 0
            self.progress.show(f"{account.name} waits {wait_s:.0f} s for the request budgets")
            part_s = min(wait_s, _TELL_EVERY_S)
            await self.sleep(part_s)
            waited_s += part_s
            tally.waited_s += part_s


Site = AbstractAsyncContextManager[list[BenchAccount]]


def bench(config: Path, wish: Wish, output: Output) -> ExitStatus:
    """At the configured exchanges: through the daemon if one answers, else in this process.

    Raises:
        Trouble: an account is not known, or a daemon is there and cannot be asked.
        ConfigError: the configuration, a secret or an account's options are wrong: ``check`` says all of it.
    """
    settings = load(config)
    accounts = _wanted(settings.accounts, wish.accounts)
    client = OperatorClient(settings.operator_socket)
    if daemon_answers(client):
        report = _report(wish, accounts, "daemon", f"Through the daemon at {settings.operator_socket}")
        return _carry_out(report, wish, output, _behind_daemon(client, accounts))
    from node.commands.bench_sites import configured_site

    told = f"In this process: no daemon answers at {settings.operator_socket}"
    report = _report(wish, accounts, "own process", told)
    site = configured_site(settings, accounts)
    return _carry_out(report, wish, output, _in_this_process(site, report, lambda: daemon_answers(client)))


def bench_simulated(config: Path | None, wish: Wish, round_trip_ms: int, output: Output) -> ExitStatus:
    """At simulators, with the accounts of a configuration or with one of our own. Nothing leaves this machine.

    Raises:
        Trouble: an account is not known, none can be simulated, or a simulator did not come up.
        ConfigError: the configuration or an account's options are wrong: ``check`` says all of it.
    """
    from node.commands.bench_sites import simulated, simulated_site, usual_settings

    with TemporaryDirectory(prefix="sovereign-node-bench-") as work:
        settings = usual_settings(Path(work)) if config is None else load(config)
        able, others = simulated(_wanted(settings.accounts, wish.accounts))
        if others:
            output.note(f"no simulator for the exchange of: {', '.join(others)}")
        if not able:
            raise Trouble("NO_SIMULATOR", "there is no simulator for any of these accounts")
        report = _report(wish, able, "simulator", f"At simulators, round trip {round_trip_ms} ms", round_trip_ms)
        site = simulated_site(settings, able, round_trip_ms=round_trip_ms)
        return _carry_out(report, wish, output, _in_this_process(site, report, lambda: False))


def _wanted(accounts: Sequence[AccountSettings], names: Sequence[str]) -> list[AccountSettings]:
    wanted = [account for account in accounts if not names or account.name in names or str(account.id) in names]
    known = {account.name for account in wanted} | {str(account.id) for account in wanted}
    if unknown := [name for name in names if name not in known]:
        there = ", ".join(account.name for account in accounts) or "none"
        raise Trouble("NOT_FOUND", f"no account is called {', '.join(unknown)}; there are: {there}")
    if not wanted:
        raise Trouble("NOT_FOUND", "the configuration has no accounts")
    return wanted


def _report(
    wish: Wish, accounts: Sequence[AccountSettings], through: str, told: str, injected_ms: int | None = None
) -> Report:
    tallies = [Tally(account_id=each.id, name=each.name, exchange=each.exchange) for each in accounts]
    return Report(
        action=wish.action.value,
        runs=wish.runs,
        through=through,
        told=told,
        injected_round_trip_ms=injected_ms,
        tallies=tallies,
    )


@asynccontextmanager
async def _behind_daemon(
    client: OperatorClient, accounts: Sequence[AccountSettings]
) -> AsyncIterator[list[BenchAccount]]:
    yield [
        DaemonsAccount(account_id=each.id, name=each.name, exchange=each.exchange, client=client) for each in accounts
    ]


@asynccontextmanager
async def _in_this_process(
    site: AbstractAsyncContextManager[list[Armed]], report: Report, taken: Callable[[], bool]
) -> AsyncIterator[list[BenchAccount]]:
    """What could not be armed is not drilled: it would be a failure a run, and say nothing new."""
    async with site as armed:
        usable: list[BenchAccount] = []
        for each, tally in zip(armed, report.tallies, strict=True):
            if each.trouble is None:
                usable.append(OwnAccount(rehearsal=each.rehearsal, taken=taken))
            else:
                tally.unusable = f"{each.trouble.code}: {each.trouble}"
        yield usable


def _carry_out(report: Report, wish: Wish, output: Output, site: Site) -> ExitStatus:
    """Run, print what was measured (also after Ctrl-C), and tell by the exit status how it ended."""
    run = Bench(
        wish=wish, progress=ProgressBar.of(output, wish.runs * len(report.tallies)), tallies=list(report.tallies)
    )

    async def within() -> None:
        run.progress.show("connects and arms")
        async with site as accounts:
            run.progress.total = wish.runs * len(accounts)
            await run.carry_out(accounts)

    try:
        asyncio.run(within())
    except KeyboardInterrupt:
        report.interrupted = True
    finally:
        run.progress.clear()
    report.stopped = run.stopped
    output.result(report.document(), report.text(Paper.of(output.stdout)))
    return report.status
