"""Two accounts, a broker, a desk that signs, an operator, an engine that asks and one that does not: and a node."""

from __future__ import annotations

import asyncio
import logging
import shutil
import traceback
from collections.abc import Coroutine, MutableMapping
from contextlib import ExitStack, suppress
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, TypeVar
from unittest.mock import patch
from uuid import UUID, uuid5

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from node.client import EngineLock
from node.client.engine_lock import EngineLocked
from node.domain.command import OPERATOR, Action, CommandState, Door, Request
from node.engine.account import ExecutionTerms
from node.engine.lock_ledger import LEASE
from node.engine.ports import Submission
from node.journal.inspection import Inspection
from node.journal.migrations import packaged_migrations
from node.sim.market import Product
from node.sim.orders import Leg
from node.transport.envelope import sign_command
from node.transport.issuer_key import IssuerKey
from tests.property.worlds import Coins, Contract, EngineTrades, Happening, Pair, Portfolio, Wealth
from tests.support.engine import ACCOUNT, OTHER
from tests.support.guarded import PERPETUAL, NothingAnswers, exchange_of
from tests.support.races.node import ISSUER, TENANT, TOPICS, Run, Surroundings
from tests.support.races.post import Broker
from tests.support.races.process import OneThreadLoop
from tests.support.races.wire import Exchange
from tests.support.races.witness import Sent, Witness
from tests.support.virtual_time import VirtualClock

T = TypeVar("T")

ACCOUNTS: Final = (ACCOUNT, OTHER)
LIFETIME: Final = timedelta(seconds=60)
#: Once all is well again, everything has ended by then.
END_WITHIN_S: Final = 400.0
_ONE: Final = Decimal(1)


def contract(base: str, *, long: int, short: int) -> Contract:
    """With a stop, a target, and two orders that would add."""
    return Contract(
        product=Product.LINEAR,
        base=base,
        step=Decimal("0.001"),
        least=1,
        most=8,
        limit_most=64,
        size=_ONE,
        long=long,
        short=short,
        stop=True,
        target=True,
        entry=True,
        entry_trigger=True,
    )


def wealth(*, hedge: bool) -> Wealth:
    """Two contracts, and coins on spot that FLATTEN sells."""
    pair = Pair(
        product=Product.SPOT, base="BTC", quote="USDT", step=Decimal("0.00001"), least=1, most=10**9,
        notional=Decimal(5),
    )  # fmt: skip
    coins = (
        Coins(wallet=Product.SPOT, asset="USDT", free=Decimal(1000), owed=Decimal(0)),
        Coins(wallet=Product.SPOT, asset="BTC", free=Decimal("0.02"), owed=Decimal(0)),
    )
    contracts = (contract("BTC", long=12, short=5), contract("ETH", long=0, short=3))
    return Wealth(
        portfolio=Portfolio(contracts=contracts, hedge=hedge),
        pairs=(pair,),
        coins=coins,
        auto_borrow=False,
        converting=False,
    )


class World:
    """Everything; synchronous from outside, each call lets a little virtual time pass."""

    def __init__(self, home: Path, *, hedge: bool, execution: ExecutionTerms) -> None:
        self._open = ExitStack()
        self._runner = self._open.enter_context(asyncio.Runner(loop_factory=OneThreadLoop))
        loop = self._runner.get_loop()
        assert isinstance(loop, OneThreadLoop)
        self.clock = clock = VirtualClock(loop)
        self._open.enter_context(patch("secrets.randbelow", side_effect=lambda most: most // 2))
        self._open.enter_context(patch("node.client.engine_lock._boottime_ns", clock.boottime_ns))
        self._listen()
        state, runtime = home / "state", home / "run"
        for folder in (state, runtime):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(mode=0o700)
        first, second = wealth(hedge=hedge), wealth(hedge=not hedge)
        self.exchanges = {
            account: Exchange(venue=each.venue(clock)) for account, each in zip(ACCOUNTS, (first, second), strict=True)
        }
        self.witness = Witness(exchanges=self.exchanges, settle_ns=int(execution.settle_s * 1e9))
        self.broker = Broker(clock=clock, told=self.witness.told, answers_to=TOPICS.response(ISSUER))
        self._around = Surroundings(
            state=state,
            runtime=runtime,
            clock=clock,
            broker=self.broker,
            exchanges=self.exchanges,
            key=IssuerKey(issuer=ISSUER, private_key=Ed25519PrivateKey.from_private_bytes(bytes(32))),
            execution=execution,
            locked=self.witness.locked,
        )
        self._locks = {account: EngineLock(runtime, account) for account in ACCOUNTS}
        self._guarded, self._left = exchange_of("binanceusdm", self._locks[ACCOUNT])
        self._died_at = clock.now()
        self._number = 0
        self._answers: set[asyncio.Task[Submission]] = set()
        self.node: Run | None = None
        self.start()

    def close(self) -> None:
        """Nothing is left of it."""
        if self.node is not None:
            self.kill(arrives=False)
        self._open.close()

    def _listen(self) -> None:
        """Of what the node logs, to faults of its own; the rest would be ten thousand virtual seconds of reading."""

        def heard(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
            if event["event"].endswith("_crashed") or "exc_info" in event:
                self.witness.complaints.append(f"{event}: {traceback.format_exc()}")
            raise structlog.DropEvent

        before = structlog.get_config()
        self._open.callback(lambda: structlog.configure(**before))
        structlog.configure(processors=[heard], wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """On the world's loop."""
        return self._runner.run(work)

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.run(asyncio.sleep(seconds))

    # The node

    def start(self) -> None:
        """A new run, on what the last one has left."""
        self.node = Run(self._around)
        self.run(self.node.start())

    def kill(self, *, arrives: bool) -> None:
        """At this instant."""
        assert self.node is not None
        dead, self.node = self.node, None
        self._died_at = self.clock.now()
        self.run(dead.kill(arrives=arrives))
        self._answers.clear()

    # Those who command

    def send(
        self, action: Action, account: UUID | None, *, epoch: int | None = None, latch: bool | None = None
    ) -> None:
        """A signed command over the broker."""
        command_id = self._new_id()
        topic, now = TOPICS.command(account or "*"), self.clock.now()
        envelope = sign_command(
            self._around.key,
            tenant=TENANT,
            command_id=command_id,
            account=account or "*",
            action=action,
            issued_at=now,
            expires_at=now + LIFETIME,
            latch=latch,
            reason=str(command_id),
            epoch=epoch,
        )
        sent = Sent(command_id=command_id, action=action, account=account, epoch=epoch, topic=topic, envelope=envelope)
        self.witness.send(sent)
        self.broker.publish(topic, envelope)

    def send_again(self, number: int) -> None:
        """Any command that was sent before, in the same bytes."""
        before = [sent for sent in self.witness.sent.values() if sent.envelope]
        if before:
            sent = before[number % len(before)]
            self.broker.publish(sent.topic, sent.envelope)

    def order(self, action: Action, account: UUID | None, *, epoch: int | None = None) -> None:
        """A command over the operator's socket; nobody waits for its answer."""
        if self.node is None:
            return
        command_id = self._new_id()
        self.witness.send(Sent(command_id=command_id, action=action, account=account, epoch=epoch))
        request = Request(
            command_id=command_id,
            account_id=account,
            action=action,
            issuer=OPERATOR,
            door=Door.OPERATOR,
            reason=str(command_id),
            epoch=epoch,
        )
        desk, answers = self.node.desk, self._answers

        async def ask() -> None:
            task = asyncio.create_task(desk.submit(request), name="operator")
            answers.add(task)
            task.add_done_callback(self._answered)

        self.run(ask())

    def _answered(self, task: asyncio.Task[Submission]) -> None:
        if not task.cancelled():
            self.witness.told("answer", task.result().document)

    def _new_id(self) -> UUID:
        self._number += 1
        return uuid5(UUID(int=0), str(self._number))

    # Those who trade

    def engine_asks(self, account: UUID, number: int, steps: int, leg: Leg) -> None:
        """An engine that trades through a guarded exchange, or asks the lock itself.

        Raises:
            AssertionError: it was allowed to add risk to an account whose lock was in force.
        """
        if account == ACCOUNT:
            before = len(self._left.requests)
            with suppress(NothingAnswers, EngineLocked):
                self._guarded.create_order(PERPETUAL, "market", "buy" if steps > 0 else "sell", 0.001)
            allowed = len(self._left.requests) > before
        else:
            allowed = not self._locks[account].locked
        assert not (allowed and self.witness.locks[account].locked), f"{account}: an order under lock"
        dead_for = self.clock.now() - self._died_at if self.node is None else timedelta(0)
        assert not (allowed and dead_for > LEASE), f"{account}: an order {dead_for} after the node's death"
        if allowed:
            self.engine_acts(account, EngineTrades(number, steps, leg))

    def engine_acts(self, account: UUID, deed: Happening) -> None:
        """An engine that does not ask, and markets."""
        deed.happen(self.exchanges[account].venue)

    # The end

    def heal(self) -> None:
        """Everybody behaves, the node runs, and all that was sent comes to its end.

        Raises:
            AssertionError: something has not.
        """
        for exchange in self.exchanges.values():
            exchange.heal()
        if not self.broker.up:
            self.broker.come_back()
        if self.broker.holding:
            self.broker.let_go([])
        if self.node is None:
            self.start()
        assert self.node is not None
        journal = self.node.journal
        for _ in range(int(END_WITHIN_S / 5)):
            self.wait(5.0)
            if not self.broker.queue and not self.run(journal.unfinished()) and not self.run(journal.pending(1)):
                break
        else:
            raise AssertionError(f"no end: {self.broker.queue} {self.run(journal.unfinished())}")
        self.wait(1.0)

    def judge_end(self) -> None:
        """What was acknowledged is on record and has ended, and the file keeps its own rules.

        Raises:
            AssertionError: something is not so.
        """
        assert self.node is not None
        self.witness.judge_end()
        for sent in self.witness.sent.values():
            if sent.envelope not in self.broker.acknowledged:
                continue
            found = [self.run(self.node.journal.find(each)) for each in self.witness.ids_of(sent)]
            assert found[0] is not None, f"{sent} was acknowledged, and is not on record"
            if found[0].state is CommandState.REJECTED:
                found = found[:1]
            assert all(each is not None and each.state.ended for each in found), f"{sent} has not ended: {found}"
            told = [self.witness.ending_told(each) for each in self.witness.ids_of(sent)[: len(found)]]
            assert all(told), f"the ending of {sent} was told to nobody"
        self.kill(arrives=True)
        inspection = Inspection(self._around.journal, newest=packaged_migrations()[-1].version)
        try:
            assert inspection.faults() == []
        finally:
            inspection.close()

    def judge(self) -> None:
        """After each step of the world.

        Raises:
            AssertionError: something is not as it must be.
        """
        self.witness.judge()
        if self.node is not None:
            assert [part for part in self.node.parts if part.done()] == [], "a part of the node has ended by itself"
