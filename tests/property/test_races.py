"""Everything that may race does: deliveries twice and out of order, deaths and restarts, exchanges that lose, refuse,
lie and fall silent, torn streams, locks and unlocks that are late, engines that ask and one that does not.

The real journal on a real file, the real lock files, inbox, dispatcher, actors, guards and outbox; virtual time.
What a proof in one round trip cannot see is left out, see ``Exchange.was_flat_within``.
``SOVEREIGN_NODE_RACES=N`` plays N times as many games.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar
from uuid import UUID

import pytest
from hypothesis import seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from node.domain.command import Action
from node.engine.account import ExecutionTerms
from node.sim.orders import Leg, Side
from tests.property.worlds import (
    EngineRests,
    Happening,
    Nothing,
    TriggerFires,
    engine_deeds,
    late,
    lies,
    lost,
    market_stops,
    price_moves,
    refusals,
    well,
)
from tests.support.core_venue import Ending
from tests.support.races.wire import ReadFault
from tests.support.races.world import ACCOUNTS, World

#: Each with a seed of its own, so that a failure is the same one on every machine.
PARTS = 8 * int(os.environ.get("SOVEREIGN_NODE_RACES", "1"))
EXAMPLES = 25

accounts = st.sampled_from(ACCOUNTS)
targets = st.sampled_from([*ACCOUNTS, None])
closes = st.sampled_from([Action.CLOSE_ALL, Action.FLATTEN])
#: From within a commit to beyond a settling time.
pauses = st.one_of(
    st.integers(0, 30).map(lambda number: number * 0.0003), st.sampled_from([0.0, 0.0011, 0.011, 0.05, 0.4, 2.0, 7.0])
)
#: Of an UNLOCK, against the epoch in force: right, old, or not there yet.
errors = st.sampled_from([0, 0, 0, 0, -1, -2, 1, 2])
endings_of_steps = st.lists(st.one_of(well, refusals, lost, late, lies), max_size=6)
read_faults = st.lists(st.sampled_from(list(ReadFault)), max_size=6)
deeds: st.SearchStrategy[Happening] = st.one_of(engine_deeds, price_moves, market_stops)
legs = st.sampled_from([Leg.LONG, Leg.SHORT])


@st.composite
def ambushes(draw: st.DrawFn) -> list[Happening]:
    """While it is being read: an engine leaves a stop that opens a position, and it fires some lists later."""
    trap = EngineRests(
        number=draw(st.integers(0, 2)),
        side=Side.BUY,
        steps=draw(st.integers(1, 5)),
        leg=Leg.LONG,
        reduces=False,
        trigger=True,
    )
    idle = st.integers(0, 9)
    before, between = draw(idle), draw(idle)
    return [*[Nothing()] * before, trap, *[Nothing()] * between, TriggerFires(number=0)]


meanwhile: st.SearchStrategy[list[Happening]] = st.one_of(
    st.builds(list[Happening]),
    ambushes(),
    st.lists(ambushes(), min_size=2, max_size=5).map(lambda traps: [deed for trap in traps for deed in trap]),
)


class Races(RuleBasedStateMachine):
    """One node, two accounts."""

    home: ClassVar[Path]

    def __init__(self) -> None:
        super().__init__()
        self.world: World | None = None

    @property
    def now(self) -> World:
        """The world as it is."""
        assert self.world is not None
        return self.world

    @initialize(hedge=st.booleans(), latches=st.booleans())
    def begin(self, hedge: bool, latches: bool) -> None:
        """Accounts with positions, stops and entries; a node that has just been installed."""
        execution = ExecutionTerms(latch_by_default=latches)
        self.world = World(self.home, hedge=hedge, execution=execution)

    # Commands

    @rule(account=targets, pause=pauses)
    def lock(self, account: UUID | None, pause: float) -> None:
        """Signed, over the broker."""
        self.now.send(Action.LOCK, account)
        self.now.wait(pause)

    @rule(
        account=targets,
        action=closes,
        latch=st.sampled_from([None, True, False]),
        happenings=meanwhile,
        pause=pauses,
    )
    def close(
        self, account: UUID | None, action: Action, latch: bool | None, happenings: list[Happening], pause: float
    ) -> None:
        """Signed, over the broker; and not in peace."""
        for exchange in self.now.exchanges.values():
            exchange.meanwhile.extend(happenings)
        self.now.send(action, account, latch=latch)
        self.now.wait(pause)

    @rule(account=accounts, error=errors, pause=pauses, by_hand=st.booleans())
    def unlock(self, account: UUID, error: int, pause: float, by_hand: bool) -> None:
        """Naming an epoch that is the lock's own, or was, or may yet be."""
        epoch = max(self.now.witness.locks[account].epoch + error, 0)
        if by_hand:
            self.now.order(Action.UNLOCK, account, epoch=epoch)
        else:
            self.now.send(Action.UNLOCK, account, epoch=epoch)
        self.now.wait(pause)

    @rule(account=targets, action=st.sampled_from([Action.LOCK, Action.CLOSE_ALL]), pause=pauses)
    def by_hand(self, account: UUID | None, action: Action, pause: float) -> None:
        """By the operator."""
        self.now.order(action, account)
        self.now.wait(pause)

    # The broker

    @rule(number=st.integers(0, 40), pause=pauses)
    def duplicate(self, number: int, pause: float) -> None:
        """Something that was delivered before, however long ago."""
        self.now.send_again(number)
        self.now.wait(pause)

    @rule()
    def hold_back(self) -> None:
        """What comes from now on waits."""
        self.now.broker.holding = True

    @precondition(lambda self: self.now.broker.holding)
    @rule(order=st.lists(st.integers(0, 9), max_size=6), pause=pauses)
    def reorder(self, order: list[int], pause: float) -> None:
        """And arrives in another order."""
        self.now.broker.let_go(order)
        self.now.wait(pause)

    @precondition(lambda self: self.now.broker.up)
    @rule(pause=pauses)
    def broker_away(self, pause: float) -> None:
        """Nothing is told to anybody, and nothing heard."""
        self.now.broker.go_away()
        self.now.wait(pause)

    @precondition(lambda self: not self.now.broker.up)
    @rule(pause=pauses)
    def broker_back(self, pause: float) -> None:
        """What was not acknowledged comes again."""
        self.now.broker.come_back()
        self.now.wait(pause)

    # Deaths

    @precondition(lambda self: self.now.node is not None)
    @rule(arrives=st.booleans(), pause=pauses)
    def crash(self, arrives: bool, pause: float) -> None:
        """At this instant, and nobody starts it yet."""
        self.now.kill(arrives=arrives)
        self.now.wait(pause)

    @precondition(lambda self: self.now.node is None)
    @rule(pause=pauses)
    def restart(self, pause: float) -> None:
        """At last."""
        self.now.start()
        self.now.wait(pause)

    @precondition(lambda self: self.now.node is not None)
    @rule(arrives=st.booleans(), pause=pauses)
    def crash_and_restart(self, arrives: bool, pause: float) -> None:
        """As a service manager does it."""
        self.now.kill(arrives=arrives)
        self.now.start()
        self.now.wait(pause)

    # Exchanges and those who trade there

    @rule(account=accounts, endings=endings_of_steps, reads=read_faults)
    def venue_fault(self, account: UUID, endings: list[Ending], reads: list[ReadFault]) -> None:
        """So end its next orders and reads."""
        exchange = self.now.exchanges[account]
        exchange.endings.extend(endings)
        exchange.reads.extend(reads)

    @rule(account=accounts, happenings=meanwhile, pause=pauses)
    def ambush(self, account: UUID, happenings: list[Happening], pause: float) -> None:
        """Between one list that is read and the next."""
        self.now.exchanges[account].meanwhile.extend(happenings)
        self.now.wait(pause)

    @rule(account=accounts, up=st.booleans())
    def streams(self, account: UUID, up: bool) -> None:
        """Torn down, or there again."""
        self.now.exchanges[account].stream(up=up)

    @rule(account=accounts, number=st.integers(0, 7), steps=st.integers(1, 20), leg=legs)
    def engine_asks(self, account: UUID, number: int, steps: int, leg: Leg) -> None:
        """And re-opens where it may."""
        self.now.engine_asks(account, number, steps, leg)

    @rule(account=accounts, deed=deeds, pause=pauses)
    def engine_acts(self, account: UUID, deed: Happening, pause: float) -> None:
        """Without asking; or the market does."""
        self.now.engine_acts(account, deed)
        self.now.wait(pause)

    @rule(pause=st.sampled_from([0.5, 3.0, 12.0, 40.0]))
    def time_passes(self, pause: float) -> None:
        """Leases run out, patience too."""
        self.now.wait(pause)

    @invariant()
    def as_it_must_be(self) -> None:
        """After each of them."""
        if self.world is not None:
            self.world.judge()

    def teardown(self) -> None:
        """All is well again: everything that was acknowledged ends."""
        if self.world is None:
            return
        try:
            self.world.heal()
            self.world.judge_end()
        finally:
            self.world.close()


@pytest.fixture
def home() -> Iterator[Path]:
    """In memory, where there is such a place: nobody pulls a plug here."""
    memory = Path("/dev/shm")  # noqa: S108
    with tempfile.TemporaryDirectory(prefix="races-", dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


@pytest.mark.parametrize("part", range(PARTS))
def test_nothing_is_lost_and_nothing_happens_twice(home: Path, part: int) -> None:
    """However it all falls together."""

    @seed(part)
    class Part(Races):
        pass

    Part.home = home
    run_state_machine_as_test(Part, settings=settings(max_examples=EXAMPLES, stateful_step_count=30, database=None))
