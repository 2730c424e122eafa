"""One closing of the book, by the node or by one of its peers, read off the venue's request journal."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from node.domain.command import Action
from node.engine.view import WARM_MAX_NS
from node.transport.issuer_key import IssuerKey
from node.transport.topics import AccountTarget
from tests.bench import configuration, daemon
from tests.bench.desk import Desk
from tests.bench.figures import ms
from tests.bench.processes import BenchError, Process, line_of, processor_s, python, until
from tests.bench.relay import Relay
from tests.bench.venue import POSITIONS, Document, Venue

#: The node's, and how each peer is started.
NODE: Final = "node"
PEERS: Final = {
    "a": ("tests.bench.script", "sequential"),
    "b": ("tests.bench.script", "gather"),
    "c": ("tests.bench.script", "warm"),
    "d": ("tests.bench.floor",),
    "e": ("tests.bench.floor", "proof"),
    "f": ("tests.bench.floor", "look"),
}
#: The node without a warm view.
STALE: Final = "stale"
READS: Final = ("positions", "orders", "triggers", "balances")
#: An older view begins no round (``node.engine.view``).
STALE_AFTER_S: Final = WARM_MAX_NS / 1e9
#: Patience, no statement.
ARMED_WITHIN_S: Final = 300.0
#: A node has as many connections for one account, at least: five for its orders, ten for a look at everything, one to
#: spare a host.
SOCKETS: Final = 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """Milliseconds from the word: a command at the node's socket, or a line on a script's standard input."""

    variant: str
    round_trip_ms: float
    #: The first order is at the venue's socket.
    first_byte_ms: float
    #: The last answer to an order has left the venue's socket, the whole injected round trip behind it.
    acknowledged_ms: float
    #: Inside the venue: from the first order's arrival to the last one's answer.
    close_phase_ms: float
    #: The last read that verifies has left the venue's socket; None: nobody looks.
    verified_ms: float | None
    #: Whoever commanded knows it.
    told_ms: float
    #: The command's publish, where there was one.
    published_ms: float | None = None
    #: The node's own word, from its receipt.
    latency_ms: dict[str, float | None] | None = None
    #: Processor time of the venue's process, from the word to the ending, which is after the proof.
    venue_processor_ms: float = 0.0
    #: The same of the node's or the peer's busiest process.
    processor_ms: float = 0.0
    requests: int = 0

    @property
    def proven_ms(self) -> float:
        """The later of the node's own word and the venue's."""
        assert self.latency_ms is not None
        assert self.verified_ms is not None
        return max(self.latency_ms["proof"] or 0.0, self.verified_ms)


def assess(
    variant: str, round_trip_ms: float, requests: Sequence[Document], trigger_ns: int, told_ns: int, *, orders: int
) -> Closing:
    """Read a run off the journal.

    Raises:
        BenchError: the clocks disagree, or other orders than the book's were placed.
    """
    half_ns = int(round_trip_ms * 5e5)
    mine = [
        each for each in requests if each["received_ns"] >= trigger_ns and (each["answered_ns"] or told_ns) < told_ns
    ]
    closes = [each for each in mine if each["order_ids"] and each["method"] != "DELETE"]
    placed = sum(len(each["order_ids"]) for each in closes)
    if placed != orders or any(each["status"] != 200 for each in closes):
        raise BenchError(f"({variant}) {placed} orders between trigger and ending, {orders} were expected")
    last_ns = max(each["answered_ns"] for each in closes)
    sent_ns = [each["sent_ns"] or each["answered_ns"] + half_ns for each in closes]
    reads = [each["sent_ns"] for each in mine if each["method"] == "GET" and each["arrived_ns"] > last_ns]
    verified = [at_ns for at_ns in reads if at_ns is not None and at_ns <= told_ns]
    acknowledged_ms = ms(max(sent_ns) - trigger_ns)
    if acknowledged_ms < round_trip_ms:
        raise BenchError(f"({variant}) acknowledged in {acknowledged_ms} ms: no round trip was injected")
    return Closing(
        variant=variant,
        round_trip_ms=round_trip_ms,
        first_byte_ms=ms(min(each["received_ns"] for each in closes) - trigger_ns),
        acknowledged_ms=acknowledged_ms,
        close_phase_ms=ms(last_ns - min(each["arrived_ns"] for each in closes)),
        verified_ms=ms(max(verified) - trigger_ns) if verified else None,
        told_ms=ms(told_ns - trigger_ns),
        requests=len(mine),
    )


async def by_peer(variant: str, round_trip_ms: float, venue: Venue, work: Path, *, processes: int = 1) -> Closing:
    """One run of a peer, in processes of its own that share the accounts.

    Raises:
        BenchError: it left something open.
    """
    log = work / "peer.log"
    async with AsyncExitStack() as stack:
        running = []
        for number in range(processes):
            process = await stack.enter_async_context(python("-m", *PEERS[variant], log=log, stdin=True))
            accounts = venue.accounts[number::processes]
            _tell(process, json.dumps({"port": venue.port, "ca": str(venue.ca), "accounts": accounts}))
            running.append(process)
        for process in running:
            await line_of(process, log)
        used = Used(venue.process, running)
        for process in running:
            _tell(process, "go")
        endings = [json.loads(await line_of(process, log)) for process in running]
        used.stop()
    if left := sum(ended["left"] for ended in endings):
        raise BenchError(f"({variant}) {left} positions are left, by its own word")
    trigger_ns, told_ns = (
        pick(ended[name] for ended in endings) for pick, name in ((min, "trigger_ns"), (max, "told_ns"))
    )
    orders = POSITIONS * len(venue.accounts)
    found = assess(variant, round_trip_ms, await venue.requests(), trigger_ns, told_ns, orders=orders)
    return replace(found, venue_processor_ms=used.venue_ms, processor_ms=used.busiest_ms)


async def by_node(
    round_trip_ms: float,
    venue: Venue,
    work: Path,
    desk: Desk,
    between: Relay,
    key: IssuerKey,
    variant: str = NODE,
    *,
    processes: int = 1,
    own_addresses: bool = False,
    refrain_s: float = 0,
    trace: Path | None = None,
) -> Closing:
    """One run of a daemon, freshly started, that has never closed anything; ``stale``: it sees nothing any more.
    Several *processes* share the accounts. *refrain_s*: how long it is left alone before the command. *trace*: where
    the only one writes down what its event loop did.

    Raises:
        BenchError: it did not end in proof.
    """
    count = len(venue.accounts)
    async with AsyncExitStack() as stack:
        own = Path(stack.enter_context(TemporaryDirectory(prefix="node-", dir=work)))
        nodes = []
        for number, name in enumerate(configuration.NODES[:processes]):
            accounts = range(count * number // processes, count * (number + 1) // processes)
            starting = daemon.running(
                own / name,
                venue,
                key,
                between.port,
                node=name,
                accounts=accounts,
                own_addresses=own_addresses,
                program="node" if trace is None else "tests.bench.path.traced",
                environment=None if trace is None else {"BENCH_TRACE": str(trace)},
            )
            nodes.append(await stack.enter_async_context(starting))
        for node in nodes:
            await node.until_warm(venue, sockets=SOCKETS, within_s=ARMED_WITHIN_S)
        await asyncio.sleep(refrain_s)
        if variant == STALE:
            await blindfold(nodes[0], venue, round_trip_ms)
        used = Used(venue.process, [node.process for node in nodes])
        target: AccountTarget = configuration.ACCOUNT_ID if count == 1 else "*"
        sent = await desk.command(Action.CLOSE_ALL, account=target, nodes=processes, between=between)
        used.stop()
        requests = await venue.requests()
    for ending in sent.endings:
        if ending["state"] != "done" or ending["verdict"] != "flat":
            raise BenchError(f"the node ended as {ending['state']}, {ending['verdict']}: {ending['errors']}")
    assert sent.received_ns is not None
    found = assess(variant, round_trip_ms, requests, sent.received_ns, sent.told_ns, orders=POSITIONS * count)
    return replace(
        found,
        latency_ms=sent.endings[0]["latency_ms"],
        published_ms=ms(sent.handed_over_ns - sent.received_ns),
        venue_processor_ms=used.venue_ms,
        processor_ms=used.busiest_ms,
    )


class Used:
    """Processor time from now on until ``stop``, of the venue and of the busiest of some processes."""

    def __init__(self, venue: Process, others: Sequence[Process]) -> None:
        self._processes = (venue, *others)
        self._before_s = [processor_s(process) for process in self._processes]
        self.venue_ms = self.busiest_ms = 0.0

    def stop(self) -> None:
        """Take it."""
        used_ms = [
            (processor_s(process) - before_s) * 1e3
            for process, before_s in zip(self._processes, self._before_s, strict=True)
        ]
        self.venue_ms, self.busiest_ms = used_ms[0], max(used_ms[1:])


def _tell(process: Process, line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{line}\n".encode())


async def blindfold(node: daemon.Daemon, venue: Venue, round_trip_ms: float) -> None:
    """Take the warm view away: the venue ends all streams and refuses every read as overloaded until the view is too
    old to begin with, and then answers again. Connections stay open: clock requests are answered all along.

    Raises:
        BenchError: the node went on seeing.
    """
    refused = {"match": {"intent": list(READS)}, "times": None, "do": {"refuse": {"reason": "overloaded"}}}
    await venue.faults(streams={"refused": True, "cut": True}, rules=[refused])

    async def too_old() -> bool:
        return min(await node.ages_s(), default=0.0) > STALE_AFTER_S

    await until(too_old, "the node's view is too old", node.log)
    await venue.faults(clear=True, latency_ms=round_trip_ms)
