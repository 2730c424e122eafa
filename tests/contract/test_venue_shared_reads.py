"""One request for what several slices ask at the same moment; never one that had left before."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from node.domain.permission import Effect
from node.venues.call import Call
from node.venues.lane import background
from node.venues.outcomes import Attempt
from node.venues.shared_reads import SharedReads
from node.venues.wire import Wire

ALL = Call(endpoint="positions", effect=Effect.READ, params={"limit": "100"})
OTHER = Call(endpoint="positions", effect=Effect.READ, params={"limit": "50"})


@dataclass(slots=True)
class Line:
    """Requests wait at the gate until they may leave, and at the venue until it answers."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    answer: asyncio.Event = field(default_factory=asyncio.Event)
    sent: list[Call] = field(default_factory=list)
    cancelled: int = 0

    async def send(self, call: Call, record: Wire) -> Attempt:
        """As the client does."""
        try:
            await self.gate.wait()
            record.left = True
            self.sent.append(call)
            await self.answer.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return Attempt(wire=record, answer=len(self.sent), error=None)


async def turns() -> None:
    """Whatever can go on goes on."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_what_has_not_left_yet_serves_all_who_ask_for_it() -> None:
    """Something else is asked by itself."""
    line = Line()
    reads = SharedReads(line.send)
    asked = [asyncio.ensure_future(reads.attempt(call)) for call in (ALL, OTHER, ALL, ALL)]
    await turns()
    line.gate.set()
    line.answer.set()
    answers = await asyncio.gather(*asked)
    assert line.sent == [ALL, OTHER]
    assert answers[0] is answers[2] is answers[3]
    assert answers[1] is not answers[0]


async def test_what_is_to_bear_out_an_answer_is_another_answer() -> None:
    """Some venues show positions and the wallet in one document: it is asked for twice."""
    line = Line()
    line.gate.set()
    line.answer.set()
    reads = SharedReads(line.send)
    positions, wallet = await asyncio.gather(reads.attempt(ALL, "positions"), reads.attempt(ALL, "balances"))
    assert line.sent == [ALL, ALL]
    assert positions is not wallet


async def test_what_has_left_serves_nobody_else() -> None:
    """What happened in between would be missing from its answer."""
    line = Line()
    line.gate.set()
    reads = SharedReads(line.send)
    first = asyncio.ensure_future(reads.attempt(ALL))
    await turns()
    second = asyncio.ensure_future(reads.attempt(ALL))
    await turns()
    assert line.sent == [ALL, ALL]
    line.answer.set()
    assert (await first) is not (await second)


async def test_an_emergency_does_not_wait_with_the_background() -> None:
    """It has a request of its own."""
    line = Line()
    reads = SharedReads(line.send)
    with background():
        patient = asyncio.ensure_future(reads.attempt(ALL))
    urgent = asyncio.ensure_future(reads.attempt(ALL))
    await turns()
    line.gate.set()
    line.answer.set()
    await asyncio.gather(patient, urgent)
    assert line.sent == [ALL, ALL]


async def test_who_gives_up_takes_nothing_from_the_others() -> None:
    """The request goes when nobody waits for it any more."""
    line = Line()
    reads = SharedReads(line.send)
    first, second = (asyncio.ensure_future(reads.attempt(ALL)) for _ in range(2))
    await turns()
    first.cancel()
    await turns()
    assert (first.cancelled(), line.cancelled) == (True, 0)
    line.gate.set()
    line.answer.set()
    assert (await second).answer == 1
    third = asyncio.ensure_future(reads.attempt(ALL))
    line.gate.clear()
    await turns()
    third.cancel()
    await turns()
    assert line.cancelled == 1


async def test_nobody_joins_a_request_that_was_just_given_up() -> None:
    """It would be cancelled with it, and believe that it was meant."""
    line = Line()
    reads = SharedReads(line.send)

    async def asks_again() -> Attempt:
        try:
            return await reads.attempt(ALL)
        except asyncio.CancelledError:
            return await reads.attempt(ALL)

    asked = asyncio.ensure_future(asks_again())
    await turns()
    asked.cancel()
    await turns()
    line.gate.set()
    line.answer.set()
    assert (await asked).answer == 1
