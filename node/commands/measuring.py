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


def _describe(parser: argparse.ArgumentParser, description: str, epilog: str) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description, parser.epilog = description, epilog


def _whole_number(largest: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isdecimal() or not 1 <= int(text) <= largest:
            raise argparse.ArgumentTypeError(f"not a number from 1 to {largest}")
        return int(text)

    return parse
