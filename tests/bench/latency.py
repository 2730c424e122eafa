"""What commands take on the demo's account, told by ``sovereign-node latency``: ``python -m tests.bench.latency``.

Broker, simulated exchange and the real daemon on loopback, as in the demo. Round by round a drill and a real CLOSE_ALL,
then a drill and a real FLATTEN; the account is filled and unlocked before each. Figures are the daemon's own, from its
journal.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from node.cli import main as command_line
from node.commands.operator_client import OperatorClient
from node.demo.stage import ACCOUNT_ID, Stage, raised
from node.domain.command import Action
from node.observe.logging import configure_logging
from node.transport.sender import Outgoing

ROUNDS: Final = 20
LOOK_EVERY_S: Final = 0.1


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--round-trip-ms", type=int, default=50)
    options = parser.parse_args()
    configure_logging(level="ERROR")
    return asyncio.run(_measure(options.rounds, options.round_trip_ms))


async def _measure(rounds: int, round_trip_ms: int) -> int:
    async with raised(round_trip_ms=round_trip_ms) as stage:
        work = stage.lock_file.parents[2]
        client = OperatorClient(work / "run" / "operator.sock")
        # The first of its kind runs code for the first time: it does not count.
        since = datetime.now(UTC)
        for number in range(rounds + 1):
            if number == 1:
                since = datetime.now(UTC)
            for action in (Action.CLOSE_ALL, Action.FLATTEN):
                await _filled(stage, client, round_trip_ms)
                await _carried_out(stage, action, dry_run=True)
                await _filled(stage, client, round_trip_ms)
                await _carried_out(stage, action)
            sys.stderr.write(f"\r{number}/{rounds}")
        sys.stderr.write("\n")
        told = ["latency", "--config", str(work / "node.toml"), "--since", since.isoformat()]
        actions = ["--action", "CLOSE_ALL", "--action", "FLATTEN"]
        return await asyncio.to_thread(command_line, [*told, *actions])


async def _filled(stage: Stage, client: OperatorClient, round_trip_ms: int) -> None:
    """The account as at the beginning, seen by the daemon, unlocked, and with request budgets to spare."""
    account = await _account(client)
    if account["lock"]["locked"]:
        await _carried_out(stage, Action.UNLOCK, epoch=account["lock"]["epoch"])
        async with stage.venue.http.post(f"http://127.0.0.1:{stage.venue.control}/reset") as answer:
            answer.raise_for_status()
        await stage.venue.delay(round_trip_ms)  # it forgets its faults as well
    while True:
        account = await _account(client)
        held = [position for each in account["slices"] for position in each.get("positions") or ()]
        if held and account["drill_respite_s"] == 0 and not account["unread"]:
            return
        await asyncio.sleep(max(account["drill_respite_s"], LOOK_EVERY_S))


async def _account(client: OperatorClient) -> dict[str, Any]:
    answer = await asyncio.to_thread(client.call, "GET", "/api/v1/node/status")
    (account,) = answer.or_trouble()["accounts"]
    return dict(account)


async def _carried_out(stage: Stage, action: Action, *, dry_run: bool = False, epoch: int | None = None) -> None:
    outgoing = Outgoing(
        account=ACCOUNT_ID, action=action, command_id=uuid4(), dry_run=dry_run, reason="bench", epoch=epoch
    )
    async for result in stage.sender.send(outgoing):
        newest = result
    if newest["state"] != "done":
        raise SystemExit(f"{action} ended as {newest['state']}: {newest['errors']}")


if __name__ == "__main__":
    os.chdir(Path(__file__).parents[2])
    raise SystemExit(main())
