"""``sovereign-node sim``: simulators on their own.

Scenarios: ``demo`` (futures of both kinds, spot, triggers), ``hedge`` (hedge mode, isolated margin), ``basis`` (spot
hedged by shorts), ``margin`` (cross margin with debts), ``residue`` (spot balances that no single order sells),
``empty`` and ``desk`` (several accounts at once).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from pathlib import Path

from node.sim.scenarios import SCENARIOS
from node.sim.venue_kinds import VENUES


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register ``sim serve``. The parsed options go to :func:`run`."""
    sim = subparsers.add_parser("sim", help="run a simulated venue")
    commands = sim.add_subparsers(dest="sim_command", required=True)
    parser = commands.add_parser("serve", help="serve a venue on loopback until interrupted")
    parser.add_argument("--venue", choices=sorted(VENUES), default="binance")
    parser.add_argument("--port", type=int, default=9443, help="TLS port of the venue; 0 picks a free one")
    parser.add_argument("--control", type=int, default=9444, help="plain HTTP control port; 0 picks a free one")
    parser.add_argument("--ca-dir", type=Path, required=True, help="where ca.pem is written")
    parser.add_argument("--scenario", choices=sorted(SCENARIOS), default="demo", help="what the accounts hold")
    parser.add_argument("--seed", type=int, default=None, help="make the same API keys at every start")
    parser.add_argument("--no-limits", action="store_true", help="count request weights, but refuse nothing for them")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT. Exit status 0, or 1 if it could not start."""
    try:
        asyncio.run(_serve(options))
    except OSError as error:
        sys.stderr.write(f"the simulator could not start: {error}\n")
        return 1
    return 0


async def _serve(options: argparse.Namespace) -> None:
    from node.sim.server import serve

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with serve(
        venue=options.venue,
        port=options.port,
        control_port=options.control,
        ca_dir=options.ca_dir,
        scenario=options.scenario,
        seed=options.seed,
        enforce_limits=not options.no_limits,
    ) as simulator:
        sys.stdout.write(json.dumps(simulator.ready_document()) + "\n")
        sys.stdout.flush()
        await stop.wait()
