"""The arguments of the commands that measure: ``latency`` and ``bench``. What they need is imported when they run."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

from node.commands.operator_client import config_path
from node.commands.output import ExitStatus, Output, Trouble
from node.domain.command import Action

Options = argparse.Namespace
P = TypeVar("P", bound=argparse.ArgumentParser)

_COMMANDS_MAX: Final = 1_000_000
_COMMANDS: Final = 10_000

_RUNS_MAX: Final = 1000
_RUNS: Final = 10
_WAIT_MAX_S: Final = 3600
_WAIT_S: Final = 300
_ROUND_TRIP_MS: Final = 50
_ROUND_TRIP_MAX_MS: Final = 5000

_LATENCY: Final = """\
Shows how long commands took on each account, from receipt to proof and stage
by stage, as the journal has it: count, p50, p90, p99, the longest, and how
all of them are spread. It reads the journal itself and changes nothing: the
daemon may run or not, and is not asked.

stages (milliseconds):
  transport    from the sender's clock to receipt; as good as the clocks agree
  verify       duration: signature, rights, whether it was seen before
  journal      duration: until the command is on disk
  lock         duration: until the account is locked
  snapshot     from receipt until the first plan could be made
  first_order  from receipt until the first close or sale left for the
               exchange (of a drill: the probe of the right to trade)
  last_order   from receipt until the last of them was answered
  proof        from receipt until everything was read again and proven
               (of a drill: read)
  total        from receipt until the result was ready

Percentiles are by nearest rank: always a duration that was measured. Of too
few commands they are the longest one: p50 wants 2 of them, p90 wants 10, p99
wants 100. Where there are fewer, the figure has a star (in JSON its name is in
"unsupported"). Counted is what ended as done; how many did not is said beside
it. Drills are counted apart from real commands.
"""
_LATENCY_EPILOG: Final = """\
examples:
  sovereign-node latency --config /etc/sovereign-node/node.toml
  sovereign-node latency --account binance-main --action CLOSE_ALL --since 30d
  sovereign-node latency --state /var/lib/sovereign-node --json |
    jq '.groups[] | {account, action, drill, p90: .stages.proof.p90_ms}'

--config FILE and --json may be given anywhere. Exit status: 0 (also where
there is nothing to show), 1 where the journal cannot be read.
"""


_BENCH: Final = """\
Drills each account again and again, and shows how long it took: what a kill
would meet on this line, with these keys, now. A drill reads everything as a
proof does, plans the close, and asks the exchange to cancel an order that does
not exist. Nothing is placed or cancelled: run without a daemon, the accounts
are even given no right to.

  first_byte       from receipt until the first request that may trade left
  round_trip       from then until it was answered
  read             from receipt until every part of the account was read
  predicted_close  what a real command would take to its proof: one round trip
                   and one proof, reckoned from these and not measured

Where a daemon answers at the configuration's socket, it is asked to drill: on
its own warm connections, within its own request budgets, each run a command in
its journal, dropped the moment a real command comes. first_byte then includes
the disk. The bench does not go to the exchange beside a running daemon: it
would spend the requests that a kill needs, and some exchanges take one nonce
a key at a time. Where none answers, the drills run in this process; if a
daemon starts meanwhile, the bench ends. It never holds the state directory:
a daemon can always start.

Request budgets: before each run the bench waits until half of each budget
bears it, and says how long it waited; that time is in no figure.
"""
_BENCH_EPILOG: Final = """\
examples:
  sovereign-node bench --simulator
  sovereign-node bench --config /etc/sovereign-node/node.toml --runs 20
  sovereign-node bench --account binance-main --action FLATTEN --json

--config FILE and --json may be given anywhere. Exit status: 0 every drill
passed, 5 a drill failed or an account could not be armed, 3 ended early (a
real command came, a daemon started or went away, a wait was too long), 1 the
command line's own trouble, 130 interrupted. What was measured until then is
printed all the same, except with 1.
"""


def add_latency(add: Callable[[str, str], P]) -> None:
    """Register ``latency``."""
    parser = add("latency", "show how long commands took, by account, action and stage")
    _describe(parser, _LATENCY, _LATENCY_EPILOG)
    parser.add_argument("--state", type=Path, metavar="DIR", help="the state directory, instead of a configuration")
    parser.add_argument(
        "--account", action="append", default=[], metavar="ACCOUNT", help="id or name; may be given several times"
    )
    parser.add_argument(
        "--action",
        action="append",
        default=[],
        choices=[action.value for action in Action],
        metavar="ACTION",
        help="%(choices)s; may be given several times",
    )
    parser.add_argument(
        "--since",
        metavar="WHEN",
        help="received since: 90m, 24h, 7d, 2w ago, or a date or instant (UTC)",
    )
    parser.add_argument(
        "--limit",
        type=_whole_number(_COMMANDS_MAX),
        default=_COMMANDS,
        metavar="N",
        help="look at the newest N commands at most (%(default)s)",
    )


def latency(options: Options, output: Output) -> ExitStatus:
    """Carry ``latency`` out."""
    from node.commands.latency import Source, latency, since_of

    if options.state is not None and options.config is not None:
        raise Trouble("USAGE", "--state or --config, not both")
    now = datetime.now(UTC)
    try:
        since = None if options.since is None else since_of(options.since, now)
    except (ValueError, OverflowError):
        raise Trouble("USAGE", f"--since: neither 90m, 24h, 7d, 2w nor a date or instant: {options.since}") from None
    source = Source.of_config(config_path(options.config)) if options.state is None else Source.of_state(options.state)
    actions = [Action(action) for action in options.action]
    return latency(source, options.account, actions, since, options.limit, output)


def add_bench(add: Callable[[str, str], P]) -> None:
    """Register ``bench``."""
    parser = add("bench", "drill accounts again and again, and show how long it took")
    _describe(parser, _BENCH, _BENCH_EPILOG)
    parser.add_argument(
        "--runs", type=_whole_number(_RUNS_MAX), default=_RUNS, metavar="N", help="drills of each account (%(default)s)"
    )
    parser.add_argument(
        "--account", action="append", default=[], metavar="ACCOUNT", help="id or name; may be given several times"
    )
    parser.add_argument(
        "--action",
        choices=[action.value for action in Action if action.closes],
        default=Action.CLOSE_ALL.value,
        metavar="ACTION",
        help="%(choices)s (%(default)s)",
    )
    parser.add_argument(
        "--max-wait",
        type=_whole_number(_WAIT_MAX_S),
        default=_WAIT_S,
        metavar="S",
        help="end where the request budgets would bear the next run only later than that (%(default)s)",
    )
    parser.add_argument(
        "--simulator",
        action="store_true",
        help="at simulated exchanges on this machine; without --config one account of our own",
    )
    parser.add_argument(
        "--round-trip-ms", type=_round_trip, metavar="MS", help=f"with --simulator: injected there ({_ROUND_TRIP_MS})"
    )


def bench(options: Options, output: Output) -> ExitStatus:
    """Carry ``bench`` out."""
    from node.app import allow_open_files
    from node.commands.bench import Wish, bench, bench_simulated
    from node.observe.logging import configure_logging

    if options.round_trip_ms is not None and not options.simulator:
        raise Trouble("USAGE", "--round-trip-ms goes with --simulator")
    configure_logging()
    allow_open_files()
    wish = Wish(
        action=Action(options.action), runs=options.runs, accounts=options.account, max_wait_s=float(options.max_wait)
    )
    if options.simulator:
        round_trip_ms = _ROUND_TRIP_MS if options.round_trip_ms is None else options.round_trip_ms
        config = None if options.config is None else Path(options.config)
        return bench_simulated(config, wish, round_trip_ms, output)
    return bench(config_path(options.config), wish, output)


def _describe(parser: argparse.ArgumentParser, description: str, epilog: str) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description, parser.epilog = description, epilog


def _whole_number(largest: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isdecimal() or not 1 <= int(text) <= largest:
            raise argparse.ArgumentTypeError(f"not a number from 1 to {largest}")
        return int(text)

    return parse


def _round_trip(text: str) -> int:
    if not text.isdecimal() or int(text) > _ROUND_TRIP_MAX_MS:
        raise argparse.ArgumentTypeError(f"not a number from 0 to {_ROUND_TRIP_MAX_MS}")
    return int(text)
