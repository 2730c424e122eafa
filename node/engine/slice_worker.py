"""Brings one slice to the goal, round by round, and proves it. Slices never wait for each other."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine, Iterable, Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

import structlog

from node.clock import Clock
from node.domain.assess import SliceState
from node.domain.flatten import Holding
from node.domain.plan import Chain, LegMemory, Plan, guards_residue, is_residue, learn, plan_chains
from node.domain.round import beyond, clear, emptied, size, targets, without_cancelled
from node.domain.snapshot import OpenOrder, PositionKey, SliceSnapshot
from node.domain.steps import ClosePosition, OrderIds, Step, StepResult
from node.engine.account import AccountTerms
from node.engine.known_orders import KnownOrders
from node.engine.setbacks import Setbacks
from node.engine.slice_goal import Pursuer, SliceGoal
from node.engine.venue_port import Venue
from node.engine.view import AccountView
from node.errors import VenueAnswerUnknown, VenueDenied, VenueError, VenueLimited

#: How long a round waits for an answer before it looks again; the request itself goes on until its own time-out.
PATIENCE_S: Final = 2.0
#: The whole read that a proof goes back to is no older than this.
CHAIN_MAX_AGE_NS: Final = 5_000_000_000
#: How long positions wait for the proof to show them.
SOON_S: Final = 0.02
#: How often the event loop goes round until the last of many closes, which waits for company, is on the wire.
TURNS_TO_THE_WIRE: Final = 6
#: While nothing moves, everything is read every so many rounds; positions alone in between.
FULL_LOOK_EVERY: Final = 5

log = structlog.get_logger(__name__)


class SliceWorker:
    """Rounds over one slice: read, plan, execute, read again; at the end the proof."""

    spot = False

    def __init__(
        self, name: str, *, venue: Venue, view: AccountView, account: AccountTerms, clock: Clock, pursuit: Pursuer
    ) -> None:
        self.name = name
        self._venue = venue
        self._view = view
        self._account = account
        self._clock = clock
        self._pursuit = pursuit
        self._wake = asyncio.Event()
        #: Ends a pause early as well.
        self._hurry = asyncio.Event()
        self._stopping = False
        self._reprove = False
        #: The first attempt at a proof after a round is under way.
        self._proving = False
        self._rounds = 0
        #: Contracts and orders when the round began: less of them is progress.
        self._size_at_start = (Decimal(0), 0)
        self._memory: dict[PositionKey, LegMemory] = {}
        #: What the next plan is made from; None: read first.
        self._working: SliceSnapshot | None = None
        self._proof: SliceSnapshot | None = None
        self._seen: SliceSnapshot | None = None
        self._proof_goal: SliceGoal | None = None
        self._holdings: tuple[Holding, ...] = ()
        self._last_step_ended_ns = 0
        self._in_flight: set[asyncio.Task[None]] = set()
        #: How many closes leave at the same moment as the one that is about to.
        self._closes_leaving = 1
        #: What has ended and is not learnt from yet; also from stragglers of earlier rounds.
        self._ended: list[StepResult] = []
        #: Whether the orders are known as of the last whole read; otherwise only positions can be acted upon.
        self._whole = True
        self._orders = KnownOrders()
        #: When the newest whole read began, if it has shown no trigger, nor left out one that was known.
        self._no_triggers_ns: int | None = None
        #: The orders that the last round has left; None before it.
        self._known_orders: tuple[OpenOrder, ...] | None = None
        self._before_positions: dict[PositionKey, Decimal] = {}
        self._before_balances: dict[str, Decimal] = {}
        self._setbacks = Setbacks(name, clock)

    def state(self) -> SliceState:
        """For the assessment."""
        return SliceState(
            slice=self.name,
            spot=self.spot,
            proof=None if self._in_flight else self._proof,
            seen=self._seen,
            holdings=self._holdings,
            last_step_ended_ns=self._last_step_ended_ns,
            memory=dict(self._memory),
            refused_assets=self._refused_assets(),
            denied=self._setbacks.given_up,
            before_positions=dict(self._before_positions),
            before_balances=dict(self._before_balances),
            trouble=self._setbacks.trouble,
        )

    def cleared(self, *, since_ns: int = 0) -> bool:
        """Whether a proof that ended no earlier than that shows neither orders nor positions that can be closed."""
        proof = self.state().proof
        if proof is None or proof.ended_ns < since_ns:
            return False
        if not all(guards_residue(order, proof.positions, self._memory) for order in proof.orders or ()):
            return False
        return all(is_residue(position, self._memory) for position in proof.positions)

    def wake(self, *, hurry: bool = False) -> None:
        """Something has changed elsewhere; with ``hurry`` so much that a pause ends, too."""
        self._wake.set()
        if hurry:
            self._hurry.set()

    def recheck(self) -> None:
        """The proof is no longer good enough: read again."""
        self._proof = None
        self._reprove = True
        self._wake.set()

    def surprised(self, snapshot: SliceSnapshot) -> None:
        """Somebody has read this slice: if there is something again where nothing was, go back to work."""
        goal, proof = self._pursuit.goal(self.name), self._proof
        if goal is None or proof is None or snapshot.started_ns <= proof.ended_ns:
            return
        if clear(proof, goal.scope) and not clear(snapshot, goal.scope):
            self.recheck()

    def stop(self) -> None:
        """End after the round under way."""
        self._stopping = True
        self.wake(hurry=True)

    async def run(self) -> None:
        """Pursue until stopped. Returns when nothing is in flight any more: reads are given up, steps never."""
        try:
            if (last := self._view.last(self.name)) is not None:
                self._orders.saw(last.snapshot.orders or (), started_ns=last.snapshot.started_ns)
            await self._pursuit.orders_first(self.name)
            await self._pursue()
        except asyncio.CancelledError:
            if not self._stopping:
                for task in self._in_flight:
                    task.cancel()  # the process ends: the next one plans anew from what the venue shows
                raise
        if self._in_flight:
            await asyncio.wait(self._in_flight)

    async def _pursue(self) -> None:
        while not self._stopping:
            goal = self._pursuit.goal(self.name)
            if goal is None or (self._proof is not None and self._satisfied(goal) and not self._reprove):
                await self._wake.wait()
                self._wake.clear()
                continue
            try:
                again, self._proving, self._reprove = self._reprove, False, False
                if again:
                    await self._consider(goal, await self._quiet_proof())
                else:
                    await self._round(goal)
            except VenueError as error:
                await self._troubled(error)
            except Exception:
                # The supervisor: a fault of ours in one slice must not stop the others.
                log.exception("slice_crashed", slice=self.name)
                self._working = None
                self._setbacks.idle_rounds += 1
                await self._pause()

    def _satisfied(self, goal: SliceGoal) -> bool:
        """Whether the proof still answers the goal."""
        held = self._proof_goal
        return held is not None and held.scope == goal.scope and held.flatten == goal.flatten

    async def _round(self, goal: SliceGoal) -> None:
        self._rounds += 1
        self._size_at_start = (Decimal(0), 0)
        self._pursuit.round_begun(self.name, self._rounds)
        snapshot, self._working = self._working, None
        warm = self._view.warm(self.name) if self._rounds == 1 else None
        if snapshot is None and warm is not None:
            snapshot = await self._begin_warm(goal, warm)
        else:
            snapshot = snapshot or await self._read_all()
            self._first_sight(goal, snapshot)
            await self._carry_out((await self._plan(goal, snapshot)).chains)
        results, self._ended = self._ended, []
        await self._look_again(goal, snapshot, results)

    async def _begin_warm(self, goal: SliceGoal, warm: SliceSnapshot) -> SliceSnapshot:
        """Start from the warm view, with a fresh read beside it that adds what the view did not show."""
        begun: set[object] = set()

        def leaving() -> Iterator[Chain]:
            chains = self._chains(goal, warm, fresh=False)
            for number, chain in enumerate(chains):
                begun.update(each for stage in chain for step in stage for each in targets(step))
                yield chain
                if number == 0:
                    # One is on its way. Not when all are: a command that ends meanwhile is told with what was there.
                    self._first_sight(goal, warm)

        async def add_what_is_new() -> SliceSnapshot:
            await self._pursuit.orders_first(self.name)
            fresh = await self._read_all()
            self._first_sight(goal, fresh)
            full = await self._plan(goal, fresh)
            await self._carry_out(tuple(beyond(full.chains, fresh.orders or (), begun)))
            return fresh

        # What closes leaves first, each while the next is planned; the read follows it onto the wire.
        closes = sum(goal.scope.covers(position.symbol) for position in warm.positions)
        closing = await self._launch(leaving(), closes=closes)
        if not closing:
            self._first_sight(goal, warm)
            # If the fresh read shows more, proofs that were begun meanwhile are read again.
            self._pursuit.idle(self.name)
        if self._venue.respite_s(self.name) > 0 and (closing or self._view.read_lately(self.name)):
            # Where few requests are left the proof needs them: it sees as much, one round trip later. Some more where
            # nothing is closed, so that no positions are read: what was opened since an old view would wait for it.
            await self._wait_for(closing)
            return warm
        beside = _beside(add_what_is_new(), f"fresh-read:{self.name}")
        try:
            await self._wait_for(closing)
            return await beside
        finally:
            beside.cancel()

    async def _plan(self, goal: SliceGoal, snapshot: SliceSnapshot) -> Plan:
        return Plan(chains=tuple(self._chains(goal, snapshot, fresh=self._whole)))

    def _chains(self, goal: SliceGoal, snapshot: SliceSnapshot, *, fresh: bool) -> Iterator[Chain]:
        return plan_chains(
            snapshot,
            goal.scope,
            self._venue.rules(self.name),
            ids=self._ids(goal),
            memory=self._memory,
            max_slippage=self._account.execution.max_slippage,
            fresh=fresh,
        )

    async def _look_again(self, goal: SliceGoal, before: SliceSnapshot, results: list[StepResult]) -> None:
        """Read what the round has left, and decide between another round and the proof."""
        known = without_cancelled(before, results)
        self._known_orders = known.orders
        nothing_known = not any(
            goal.scope.covers(order.symbol) and not guards_residue(order, before.positions, self._memory)
            for order in known.orders or ()
        )
        # Where nothing moves, the proof waits for the positions: it would be read in vain.
        hopeful = nothing_known and self._setbacks.idle_rounds == 0
        proof = _beside(self._quiet_proof(chained=True), f"proof:{self.name}") if hopeful else None
        try:
            if results or not nothing_known:
                seen = await self._seen_after(goal, results, known, proof)
                self._memory = learn(self._memory, results, seen, self._venue.rules(self.name))
                if not nothing_known or self._still_closable(goal, seen):
                    self._working = seen
                    if any(clear(seen, part) for part in goal.parts if part != goal.scope):
                        await self._show_a_part(await self._read_proof())
                    await self._after_round(goal, seen, results)
                    return
            self._proving = True
            await self._consider(goal, await (proof or self._quiet_proof()))
        finally:
            if proof is not None:
                proof.cancel()

    async def _seen_after(
        self,
        goal: SliceGoal,
        results: list[StepResult],
        known: SliceSnapshot,
        proof: asyncio.Task[SliceSnapshot] | None,
    ) -> SliceSnapshot:
        """The positions that a round has left: from the proof if that shows them just as soon, one request less.

        Not where some are known to be left: a proof that shows them is longer, and the next orders would wait for it.
        """
        at_once = self._venue.proves_at_once(self.name) and self._no_triggers_since() is not None
        enough = at_once and emptied(known, goal.scope, results)
        if proof is not None and enough and await self._pursuit.quiet(self.name, within_s=SOON_S):
            self._proving = True
            return self._orders.completed(await proof)
        return await self._read_positions(known)

    def _still_closable(self, goal: SliceGoal, seen: SliceSnapshot) -> bool:
        return any(
            goal.scope.covers(position.symbol) and not is_residue(position, self._memory) for position in seen.positions
        )

    async def _show_a_part(self, proof: SliceSnapshot) -> None:
        """One of several commands may have nothing left here: it must not wait for the others."""
        self._proof, self._proof_goal = proof, None
        await self._pursuit.judged()

    async def _consider(self, goal: SliceGoal, proof: SliceSnapshot) -> None:
        """Take a causal read as the proof, if there is nothing to do in it."""
        completed = self._orders.completed(proof)
        plan = await self._plan(goal, completed)
        if plan.steps:
            self._working = completed
            self._setbacks.idle_rounds += 1
            if self._setbacks.denied:
                self._tell_what_is_left(proof)
            elif len(goal.parts) > 1:
                await self._show_a_part(proof)
            if self._setbacks.idle_rounds > 1:
                await self._pause()  # the venue says done, and shows the contrary
            return
        if self._in_flight:
            await asyncio.wait(self._in_flight)
            return  # their end came after the proof began: read again
        self._proof, self._proof_goal = proof, goal
        self._setbacks.proven()
        self._pursuit.changed()

    async def _after_round(self, goal: SliceGoal, seen: SliceSnapshot, results: list[StepResult]) -> None:
        """Go on at once after progress; otherwise wait, now and then look at everything, and say why."""
        self._setbacks.refused(results)
        if size(seen, goal.scope) < self._size_at_start:
            self._setbacks.idle_rounds = 0
            return
        self._setbacks.idle_rounds += 1
        if self._setbacks.idle_rounds % FULL_LOOK_EVERY == 0 or not self._whole:
            self._working = None
        if self._setbacks.denied:
            self._tell_what_is_left(await self._read_proof())
        self._pursuit.changed()
        await self._pause()

    def _tell_what_is_left(self, proof: SliceSnapshot) -> None:
        """Nothing more can be done here, but it can be said what there is."""
        self._proof, self._proof_goal = proof, None
        self._setbacks.given_up = True
        self._pursuit.changed()

    async def _troubled(self, error: VenueError) -> None:
        """A read failed."""
        log.warning("slice_trouble", slice=self.name, code=error.code, error=str(error))
        self._setbacks.read_failed(error)
        self._view.note_failure(self.name, error)
        self._working = None
        if self._proving and isinstance(error, VenueLimited):
            # A proof shows what there is to do as well as a look would, and costs no more. Not twice in a row: where
            # lists of orders cannot be read, a look still finds positions.
            self._reprove = True
        self._pursuit.changed()
        await self._pause()

    async def _pause(self) -> None:
        wait_s = self._setbacks.pause_s(self._venue.respite_s(self.name), lambda: self._venue.borrow_s(self.name))
        self._hurry.clear()
        try:
            async with asyncio.timeout(wait_s):
                await self._hurry.wait()
        except TimeoutError:
            pass

    async def _carry_out(self, chains: Collection[Chain]) -> None:
        """Let all chains leave together; stop waiting for stragglers after a while, but never forget them."""
        closes = sum(isinstance(step, ClosePosition) for chain in chains for step in chain[0])
        await self._wait_for(await self._launch(chains, closes=closes))

    async def _launch(self, chains: Iterable[Chain], *, closes: int) -> set[asyncio.Task[None]]:
        """Put every chain on its way, in order; about so many *closes* leave at the same moment."""
        launched: set[asyncio.Task[None]] = set()
        # The first leaves by itself, while what it would share its request with is still being put together.
        self._closes_leaving = 1
        for number, chain in enumerate(chains):
            if not launched:
                self._proof = None
                self._pursuit.busy(self.name)
            task = asyncio.create_task(self._chain(chain), name=f"chain:{self.name}:{number}")
            launched.add(task)
            self._in_flight.add(task)
            task.add_done_callback(self._in_flight.discard)
            # One turn of the loop each: else the first order's bytes wait until the last one is signed.
            await asyncio.sleep(0)
            self._closes_leaving = closes
        if launched:
            for _ in range(TURNS_TO_THE_WIRE):
                await asyncio.sleep(0)
        self._pursuit.launched(self.name)
        return launched

    async def _wait_for(self, chains: set[asyncio.Task[None]]) -> None:
        if chains:
            await asyncio.wait(chains, timeout=PATIENCE_S)

    async def _chain(self, chain: Chain) -> None:
        for stage in chain:
            if len(stage) == 1:
                await self._step(stage[0])  # no task of its own: its bytes wait for every turn of the loop
                continue
            await asyncio.gather(*(self._step(step) for step in stage))

    async def _step(self, step: Step) -> StepResult:
        result = await self._venue.execute(step, among=self._closes_leaving)
        self._last_step_ended_ns = max(self._last_step_ended_ns, self._clock.monotonic_ns())
        self._orders.ended(result)
        self._ended.append(result)
        self._pursuit.account_for(result)
        return result

    async def _read_all(self) -> SliceSnapshot:
        """Everything; where only positions can be read, those, with the orders last known: they can be closed."""
        try:
            snapshot = self._noted(await self._venue.read_slice(self.name))
        except VenueDenied:
            raise
        except VenueError as error:
            if self.spot:
                raise
            self._setbacks.tell(error)
            seen, last = self._noted(await self._venue.read_positions(self.name)), self._view.last(self.name)
            self._view.note_failure(self.name, error)
            self._whole = False
            orders = self._known_orders if self._known_orders is not None else last and last.snapshot.orders
            return replace(seen, orders=orders or (), balances=None)
        self._whole = True
        completed = self._orders.completed(snapshot)
        triggers = any(order.trigger for order in completed.orders or ())
        self._no_triggers_ns = None if triggers else snapshot.started_ns
        return completed

    async def _read_proof(self, *, chained: bool = False) -> SliceSnapshot:
        since_ns = self._no_triggers_since() if chained else None
        proof = self._noted(await self._venue.read_proof(self.name, no_triggers_since_ns=since_ns))
        self._whole = True
        return proof

    async def _quiet_proof(self, *, chained: bool = False) -> SliceSnapshot:
        """A proof that no other slice's steps are likely to overtake; *chained* to the round's whole read if it may."""
        await self._pursuit.quiet(self.name)
        return await self._read_proof(chained=chained)

    def _no_triggers_since(self) -> int | None:
        """What a proof may go back to; if requests are to spare, since a read of all at once that shows something is
        one more.
        """
        since_ns = self._no_triggers_ns
        if self._account.execution.causal_proof:
            return None
        if since_ns is None or self._clock.monotonic_ns() - since_ns > CHAIN_MAX_AGE_NS:
            return None
        return since_ns if self._venue.respite_s(self.name) == 0 else None

    async def _read_positions(self, known: SliceSnapshot) -> SliceSnapshot:
        """Positions as they are now, with the orders that are still known."""
        # Protection goes with its position, and only on the word of more than one list.
        certain = any(order.protective for order in known.orders or ())
        seen = self._noted(await self._venue.read_positions(self.name, certain=certain))
        if certain and seen.positions_doubtful:
            self._setbacks.tell(VenueAnswerUnknown("the wallet shows more than the list of positions"))
        return replace(seen, orders=known.orders, balances=known.balances)

    def _noted(self, snapshot: SliceSnapshot) -> SliceSnapshot:
        self._seen = snapshot
        self._view.note(snapshot)
        return snapshot

    def _first_sight(self, goal: SliceGoal, snapshot: SliceSnapshot) -> None:
        self._pursuit.snapshot_taken(self.name, snapshot.ended_ns)
        self._size_at_start = max(self._size_at_start, size(snapshot, goal.scope))
        for position in snapshot.positions:
            self._before_positions.setdefault(position.key, position.contracts)
        if snapshot.balances is not None and not self._before_balances:
            self._before_balances = {balance.asset: balance.total for balance in snapshot.balances}

    def _ids(self, goal: SliceGoal) -> OrderIds:
        return replace(goal.ids, round=self._rounds)

    def _refused_assets(self) -> frozenset[str]:
        return frozenset()


def _beside(work: Coroutine[Any, Any, SliceSnapshot], name: str) -> asyncio.Task[SliceSnapshot]:
    """A read whose failure may go unseen, because somebody else's failure came first."""
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
    return task
