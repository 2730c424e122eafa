"""``sovereign-node demo``: plays it, shows it, and judges it."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from datetime import datetime
from typing import Any, Final
from uuid import uuid4

from node.demo import witness
from node.demo.parts import PartFailed
from node.demo.stage import ACCOUNT_ID, Stage, raised
from node.domain.command import Action
from node.domain.latency import STAGES
from node.observe.logging import configure_logging
from node.transport.sender import NotConfirmed, Outgoing

SCRIPT: Final = (Action.LOCK, Action.CLOSE_ALL, Action.FLATTEN, Action.UNLOCK)

Document = dict[str, Any]


def run(round_trip_ms: int, *, as_json: bool) -> int:
    """Play the demo; exit status 0 if the venue agrees with every verdict."""
    configure_logging(level="ERROR")
    try:
        report = asyncio.run(_play(round_trip_ms, show=not as_json))
    except (PartFailed, NotConfirmed) as error:
        sys.stderr.write(f"demo: {error}\n")
        return 1
    sys.stdout.write(json.dumps(report, indent=1) + "\n" if as_json else _table(report))
    return 0 if report["agreed"] else 1


async def _play(round_trip_ms: int, *, show: bool) -> Document:
    began = time.monotonic()
    _say(show, f"Starting broker, exchange (round trip {round_trip_ms} ms) and daemon on loopback ...")
    async with raised(round_trip_ms=round_trip_ms) as stage:
        before = await stage.venue.state()
        _say(show, _inventory(before))
        acts = []
        epoch = None
        for action in SCRIPT:
            act = await _act(stage, action, epoch, show=show)
            acts.append(act)
            epoch = act["result"]["lock"]["epoch"] if "lock" in act["result"] else epoch
        after = await stage.venue.state()
    return {
        "schema": "sovereign-node/demo/1",
        "agreed": not any(act["disagreements"] for act in acts),
        "seconds": round(time.monotonic() - began, 1),
        "round_trip_ms": round_trip_ms,
        "commands": acts,
        "left_at_the_venue": [{"what": what, "amount": amount} for what, amount in witness.remains(after)],
        "venue_counters": after["counters"],
    }


async def _act(stage: Stage, action: Action, epoch: int | None, *, show: bool) -> Document:
    """Send one command, show its events, ask the venue what it thinks of the ending."""
    outgoing = Outgoing(
        account=ACCOUNT_ID,
        action=action,
        command_id=uuid4(),
        reason="demo",
        epoch=epoch if action is Action.UNLOCK else None,
    )
    result: Document = {}
    async for result in stage.sender.send(outgoing):
        _say(show, _progress(result))
    lock_file = json.loads(stage.lock_file.read_text())
    return {"result": result, "disagreements": witness.disagreements(result, await stage.venue.state(), lock_file)}


def _say(show: bool, text: str) -> None:
    if show:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def _inventory(venue: Document) -> str:
    spot = [asset for asset in venue["balances"].get("spot", {}) if asset != "USDT"]
    return (
        f"The account holds {len(venue['positions'])} positions, {len(venue['orders'])} resting orders, "
        f"{len(venue['algo_orders'])} trigger orders, and spot {', '.join(spot)}."
    )


def _progress(event: Document) -> str:
    orders = event["orders"]
    at = datetime.fromisoformat(event["at"]).strftime("%H:%M:%S.%f")[:-3]
    counts = ", ".join(f"{count} {name}" for name, count in orders.items() if count)
    verdict = event["verdict"] if event["state"] in ("done", "failed", "rejected") else ""
    parts = (f"{event['latency_ms']['total']:9.1f} ms", event["state"], verdict, counts)
    return f"  {at}  {event['action']:<9} " + "  ".join(part for part in parts if part)


def _table(report: Document) -> str:
    rows = [["command", "verdict", "rounds", *STAGES]]
    for act in report["commands"]:
        result = act["result"]
        stages = [result["latency_ms"].get(stage) for stage in STAGES]
        cells = ["-" if value is None else f"{value:.1f}" for value in stages]
        rows.append([result["action"], str(result["verdict"]), str(result["rounds"]), *cells])
    lines = ["", "Milliseconds; transport, verify, journal and lock are durations, the others count from receipt.", ""]
    lines += [*_aligned(rows), "", "What the exchange says is left:", *_aligned(_left(report))]
    counters = report["venue_counters"]
    flips, additions, buys = (counters[name] for name in witness.SAFETY_COUNTERS)
    lines += ["", f"Positions that changed sign: {flips}; orders that added exposure: {additions}; purchases: {buys}."]
    lines += [f"DISAGREES: {problem}" for act in report["commands"] for problem in act["disagreements"]]
    agrees = "agrees with every verdict" if report["agreed"] else "does not agree"
    return "\n".join([*lines, f"The exchange {agrees}. {report['seconds']} s in all.", ""])


def _left(report: Document) -> list[list[str]]:
    """What the venue still has, beside what the node called it."""
    flattened = next(act["result"] for act in report["commands"] if act["result"]["action"] == Action.FLATTEN)
    called = {f"{each['asset']} in {each['slice']}": each["verdict"] for each in flattened["balances"]}
    return [[f"  {left['what']}", left["amount"], called.get(left["what"], "")] for left in report["left_at_the_venue"]]


def _aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))] if rows else []
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
