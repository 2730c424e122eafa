"""One life after another: what a node is asked for while it waits for its death, and what must hold after it."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

import aiohttp

from node.domain.command import Action
from tests.support.crashing.points import POINTS, is_order
from tests.support.crashing.stage import PATIENCE_S, Life, Stage
from tests.support.crashing.witness import Sent

#: A random death comes within the time in which most lives have seen their commands through.
RANDOM_WITHIN_S: Final = 0.6
#: Rounds of commands in which every point must have been visited often enough.
ROUNDS_MAX: Final = 40
#: Points at which something has left, although nobody has heard of it yet.
SENT: Final = ("puback.after", "event.after_publish", "lock_topic.after_publish", "order.after_send")
_LOOK_EVERY_S: Final = 0.005
#: How a node that is not ready yet, or has a command under way, says that it will not unlock now.
_LATER: Final = ("BUSY", "NOT_READY")


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """What a life is to die of: a point and its visit, or chance."""

    point: str | None = None
    at: int = 1

    def __str__(self) -> str:
        return f"{self.point}:{self.at}" if self.point else "random"


def schedule(kills: int, chance: random.Random) -> list[Death]:
    """Each point at each of its visits as often as the others, and as many random ones as all points have lives in
    three; shuffled.
    """
    named = [Death(point=point, at=at) for point, visits in POINTS.items() for at in visits]
    at_points = max(len(named), kills * 2 // 3) if kills >= len(named) else kills
    deaths = [named[number % len(named)] for number in range(at_points)]
    deaths += [Death()] * (kills - len(deaths))
    chance.shuffle(deaths)
    return deaths


@dataclass(slots=True)
class Lives:
    """Lets a node live and die on one stage, again and again."""

    stage: Stage
    chance: random.Random
    kills: Counter[str] = field(default_factory=Counter)
    #: Processor seconds of the children.
    cpu_s: float = 0.0
    rounds: int = 0
    replays: int = 0
    #: Whether all but locks goes over the operator's socket in this life: it is to die of an answer.
    _at_the_door: bool = False
    #: The exchange's last request that was looked at.
    _heard: int = 0
    #: Of these, orders.
    _orders: int = 0

    async def die(self, death: Death) -> None:
        """One life, with traffic, to the death that was asked for; then the verdict."""
        self._at_the_door = (death.point or "").startswith("answer.")
        before = await self._arrived(death.point)
        life = await self.stage.born(death.point, death.at)
        traffic = asyncio.create_task(self._traffic(life), name="traffic")
        try:
            if death.point is None:
                await asyncio.wait({life.death}, timeout=self.chance.uniform(0, RANDOM_WITHIN_S))
                life.kill()
            await asyncio.wait({life.death, traffic}, timeout=PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            life.kill()
            told = await life.death
            traffic.cancel()
            (failure,) = await asyncio.gather(traffic, return_exceptions=True)
        if failure is not None and not isinstance(failure, asyncio.CancelledError):
            raise AssertionError(f"{death}: {failure!r}\n{self.stage.log()}") from failure
        wanted = (-9, str(death) if death.point else None)
        assert (told["status"], told["died_at"]) == wanted, f"{death}: {told}\n{self._open()}\n{self.stage.log()}"
        self.kills[str(death)] += 1
        self.cpu_s += told["cpu_s"]
        if death.point in SENT:
            async with asyncio.timeout(PATIENCE_S):  # what had left when the node died comes to its receiver
                while await self._arrived(death.point) < before + death.at:  # noqa: ASYNC110 - another process
                    await asyncio.sleep(_LOOK_EVERY_S)
        self.judge()

    async def _arrived(self, point: str | None) -> int:
        """How often what a point is about has come to its receiver, in all lives."""
        witness = self.stage.witness
        match point:
            case "puback.after":
                return witness.acknowledgements
            case "event.after_publish":
                return witness.taken["evt"]
            case "lock_topic.after_publish":
                return witness.taken["lock"]
            case "order.after_send":
                heard = await self.stage.requests(self._heard)
                self._heard = max([self._heard, *(each["number"] for each in heard)])
                self._orders += sum(1 for each in heard if is_order(each["method"], each["path"]))
                return self._orders
            case _:
                return 0

    async def live_on(self) -> None:
        """A life without a death: everything that was ever confirmed must come to its end."""
        life = await self.stage.born()
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._settled(life)
                await self.stage.state()
        except TimeoutError:
            raise AssertionError(f"unfinished: {self._open()}\n{self.stage.log()}") from None
        finally:
            life.kill()
            await life.death
        self.judge()

    def judge(self) -> None:
        """The node is dead."""
        self.stage.lock_file()
        path = self.stage.folder / "state" / "journal.sqlite3"
        if (path.exists() and path.stat().st_size) or self.stage.witness.locks:
            self.stage.witness.judge_journal(path)
        breaches = self.stage.witness.breaches
        assert not breaches, "\n".join([*breaches, self.stage.log()])

    async def _traffic(self, life: Life) -> None:
        for _ in range(ROUNDS_MAX):
            await self._settled(life)
            await self._unlock(life)
            await self._open_positions()
            await self._replay(life)
            await self._close(life)
            self.rounds += 1

    async def _settled(self, life: Life) -> None:
        """Until all that was ever sent has ended; what got no answer is asked again, with the same id."""
        await self._until(life, lambda: self.stage.lock_file() is not None)
        for sent in self._open():
            if not sent.confirmed and not sent.queued:
                await self._hand_over(life, sent)
        await self._until(life, lambda: not self.stage.witness.open)

    def _over_socket(self) -> bool:
        return self._at_the_door or self.chance.random() < 0.3

    def _open(self) -> list[Sent]:
        return list(self.stage.witness.open.values())

    async def _unlock(self, life: Life) -> None:
        while True:
            epoch, locked = self._lock()
            if not locked:
                return
            sent = await self._send(life, Action.UNLOCK, over_socket=self._over_socket(), epoch=epoch)
            await self._until(life, lambda: not self.stage.witness.open)
            if not sent.done:
                assert sent.ending is not None
                codes = {error["code"] for error in sent.ending["errors"]}
                assert codes <= {*_LATER, "STALE_EPOCH"}, sent.ending
                await asyncio.sleep(_LOOK_EVERY_S)

    async def _open_positions(self) -> None:
        """The engine trades, for it may."""
        side = self.chance.choice(("BUY", "SELL"))
        held = (await self.stage.state())["positions"]
        if not held:
            order = {"symbol": "BTCUSDT", "side": side, "type": "MARKET", "quantity": "0.010"}
            await self.stage.trade("fapi.binance.com", "/fapi/v1/order", **order)
        if self.chance.random() < 0.2:
            order = {"symbol": "ETHUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.1"}
            await self.stage.trade("api.binance.com", "/api/v3/order", **order)

    async def _replay(self, life: Life) -> None:
        """What was carried out before is sent again, as a broker or a sender may: nothing happens."""
        done = [sent for sent in self.stage.witness.sent.values() if sent.done and sent.envelope is not None]
        if not done:
            return
        before = self._lock()
        sent = self.chance.choice(done)
        assert sent.envelope is not None
        heard = self.stage.witness.acknowledgements
        self.stage.deliver(sent.envelope)
        await self._until(life, lambda: self.stage.witness.acknowledgements > heard)
        positions = (await self.stage.state())["positions"]
        assert (self._lock(), bool(positions)) == (before, True), f"{sent.action} had its effect again"
        self.replays += 1

    async def _close(self, life: Life) -> None:
        """A kill, alone or with a lock right before it, over the broker or the socket."""
        action = self.chance.choice((Action.CLOSE_ALL, Action.CLOSE_ALL, Action.FLATTEN))
        if self.chance.random() < 0.5:
            await self._send(life, Action.LOCK)
        sent = await self._send(life, action, over_socket=self._over_socket())
        await self._until(life, lambda: not self.stage.witness.open)
        assert sent.done, sent.ending
        held = await self.stage.state()
        assert held["positions"] == [], held["positions"]
        assert self._lock()[1]

    async def _send(self, life: Life, action: Action, *, over_socket: bool = False, epoch: int | None = None) -> Sent:
        command_id = UUID(int=self.chance.getrandbits(128), version=4)
        envelope = None if over_socket else self.stage.sign(command_id, action, epoch)
        sent = self.stage.witness.send(Sent(command_id=command_id, action=action.value, envelope=envelope, epoch=epoch))
        await self._hand_over(life, sent)
        return sent

    async def _hand_over(self, life: Life, sent: Sent) -> None:
        envelope = sent.envelope
        if envelope is None:
            await self._ask(life, sent)
        else:
            await self._until(life, lambda: self.stage.deliver(envelope))
            sent.queued = True

    async def _ask(self, life: Life, sent: Sent) -> None:
        try:
            await self.stage.ask(sent)
        except (aiohttp.ClientError, OSError):
            # The node is dying, or not yet listening: unanswered, it is asked again in the next life.
            await self._until(life, (self.stage.folder / "run" / "operator.sock").exists)
            await asyncio.sleep(_LOOK_EVERY_S)
            if not life.over:
                await self._ask(life, sent)

    def _lock(self) -> tuple[int, bool]:
        shown = self.stage.lock_file()
        assert shown is not None
        return shown

    async def _until(self, life: Life, true: Callable[[], object]) -> None:
        """Wait until it is so; for ever once the node is dead, since then it is somebody else's turn."""
        while not true() or life.over:
            if life.over:
                await asyncio.Event().wait()
            await asyncio.sleep(_LOOK_EVERY_S)
