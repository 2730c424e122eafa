"""The stage of every failure: the real engine and the real ccxt class, over TLS, before a simulator that misbehaves."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

import pytest

from node.domain.command import Action, Command, CommandState
from node.domain.flatten import FlattenTerms
from node.domain.guard_mode import GuardModes
from node.domain.permission import Permission
from node.domain.result import Document
from node.engine.account import ExecutionTerms
from node.engine.authority import Issuer
from node.sim.accounts import Account
from node.sim.faults import Intent
from node.sim.market import Market, Product
from node.sim.orders import Leg, Order, OrderKind, OrderTerms, Origin, Side
from node.sim.scenarios import AccountSeed
from node.sim.server import serve
from node.sim.simulator import Simulator
from node.sim.world import select_markets
from node.venues import factory
from node.venues.ccxt_venue import CcxtVenue
from node.venues.lane import background
from node.venues.options import VenueOptions
from node.venues.pool import Pools
from tests.failure.books import ONE_WAY, staged
from tests.failure.log_witness import captured_logs, unforgivable
from tests.failure.venues import VenueUnderTest
from tests.failure.witness import Ambush, Witness
from tests.support.engine import Engine, account_id, engine
from tests.support.market_names import unified
from tests.support.waiting import PATIENCE_S

#: How long nothing must have been asked before the background counts as quiet.
QUIET_S: Final = 0.025
#: How often the stage was set: a failure test that does not use it has not been checked.
stages = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A running node, the venue that it faces, and the witness."""

    under_test: VenueUnderTest
    sim: Simulator
    node: Engine[CcxtVenue]
    witness: Witness
    log: list[dict[str, Any]]
    names: dict[UUID, str]

    # What the venue does

    def misbehave(self, deed: object, *intents: str, times: int | None = 1, **match: object) -> None:
        """The next requests of that intent go wrong; ``times=None`` for good."""
        wanted: dict[str, object] = {"intent": self._intents(*intents)} if intents else {}
        if isinstance(match.get("market"), str):
            match["market"] = self.under_test.market(str(match["market"]))
        self.sim.set_faults(rules=[{"match": wanted | match, "times": times, "do": deed}])

    def _intents(self, *names: str) -> list[str]:
        """As this venue's requests have them."""
        return [self.under_test.intents.get(name, name) for name in names]

    def refuse(self, reason: str, *intents: str, times: int | None = 1, **match: object) -> None:
        """They are refused for that reason, in the venue's own words."""
        self.misbehave({"refuse": {"reason": reason}}, *(intents or ("place",)), times=times, **match)

    def refuse_conversions(self) -> None:
        """The convert service is away, where the node would ask for it."""
        if "conversion" not in self.under_test.impossible:
            self.refuse("overloaded", "convert", times=None)

    def set(self, **faults: object) -> None:
        """Anything else that a simulator can be told."""
        self.sim.set_faults(**named(self.under_test, faults))

    def lists(self, name: str) -> bool:
        """Whether there are markets of that product here."""
        return name.partition(":")[0] in {contract.product for contract in self.under_test.contracts}

    # What is really there

    @property
    def account(self) -> Account:
        """The first account, as the venue keeps it."""
        return self.sim.account

    def market(self, name: str) -> Market:
        """By its neutral name."""
        return select_markets(self.sim.core, self.under_test.market(name))[0]

    def symbol(self, name: str) -> str:
        """As the node says it."""
        return unified(self.market(name))

    def held(self, name: str) -> Decimal:
        """Contracts of both legs of a market together, by the venue's own books."""
        market = self.market(name)
        return sum((abs(each.quantity) for each in self.account.open_positions() if each.market == market), Decimal(0))

    def protection(self, name: str, leg: str | None = None) -> list[Any]:
        """What protects the positions of a market, or of one leg of it, by the venue's own books."""
        found = self.under_test.protection(self.sim, self.account, self.market(name))
        return [each for each in found if leg in (None, getattr(each, "terms", each).leg.value)]

    def fire(self, name: str) -> None:
        """The first of those takes effect."""
        self.under_test.fire(self.sim, self.account, self.protection(name)[0])

    def rests(self, name: str) -> bool:
        """Whether orders of a market that may open something are there."""
        market = self.market(name)
        return any(order.terms.market == market for order in self.account.open_orders.values())

    @property
    def closes(self) -> int:
        """How many requests it takes to close what is there now."""
        return self.under_test.closes(self.sim, self.account)

    def triggers(self, name: str) -> list[Order]:
        """Conditional orders of a market that wait."""
        market = self.market(name)
        return [
            order
            for order in self.account.open_orders.values()
            if order.terms.market == market and order.waits_for_trigger
        ]

    def empty(self, account: Account | None = None) -> bool:
        """Whether no position and no order is left."""
        account = account or self.account
        seen = [each for each in account.open_orders.values() if self.witness.shows(each)]
        return not any(account.open_positions()) and not seen

    def balance(self, asset: str, wallet: Product = Product.SPOT) -> Decimal:
        """What is held of a coin."""
        return self.account.balance(wallet, self.under_test.coin(asset)).total

    def resize(self, name: str, quantity: str) -> None:
        """Somebody else changes a position, unseen: signed contracts, zero closes it."""
        market = self.market(name)
        held = [each for each in self.account.open_positions() if each.market == market]
        held[0].quantity = Decimal(quantity)
        self.witness.note(self.account)

    def just_before(
        self,
        intent: str,
        action: Callable[[], object],
        *,
        market: str | None = None,
        product: str | None = None,
        after: int = 0,
    ) -> None:
        """Do something in the moment before the venue looks at such a request."""
        found = self.market(market) if market else None
        self.witness.ambush(
            Ambush(
                intent=Intent(self._intents(intent)[0]),
                product=found.product if found else product,
                symbol=found.symbol if found else None,
                after=after,
                action=action,
            )
        )

    def engine_order(self, name: str, quantity: str, *, price_factor: str | None = None) -> Order:
        """The account's own engine places an order: signed contracts; at market, or resting at a part of the mark."""
        market = self.market(name)
        side = Side.BUY if Decimal(quantity) > 0 else Side.SELL
        hedged = self.account.is_hedged(market)
        mark = self.sim.core.listing(market).mark
        terms = OrderTerms(
            market=market,
            side=side,
            kind=OrderKind.LIMIT if price_factor else OrderKind.MARKET,
            client_id=f"engine-{uuid4().hex[:12]}",
            venue_type="LIMIT" if price_factor else "MARKET",
            quantity=abs(Decimal(quantity)),
            price=market.whole_ticks(mark * Decimal(price_factor)) if price_factor else None,
            leg=(Leg.LONG if side is Side.BUY else Leg.SHORT) if hedged else Leg.NET,
            origin=Origin.ENGINE,
        )
        return self.sim.core.place(self.account, terms)

    # What the node was seen doing

    def count(self, *intents: str, product: str | None = None, market: str | None = None, account: str = "") -> int:
        """How many requests of that kind have arrived."""
        symbol, wanted = self.market(market).symbol if market else None, self._intents(*intents)
        return sum(
            seen.serves(*wanted)
            and seen.concerns(product)
            and (symbol is None or symbol in seen.symbols)
            and account in ("", seen.account)
            for seen in self.witness.requests
        )

    async def until(self, true: Callable[[], object], *, within_s: float = PATIENCE_S) -> None:
        """Wait until something at the venue has made it true."""
        await self.witness.until(true, within_s=within_s)

    # What the node is told

    async def command(self, action: Action, number: int = 0, **parameters: Any) -> UUID:
        """Send a command; its id."""
        submission = await self.node.submit(action, account_id(number), **parameters)
        assert submission.rejection is None, submission.rejection
        return UUID(submission.document["command_id"])

    async def ending(self, command_id: UUID, *, within_s: float = PATIENCE_S) -> Document:
        """The document that a command ends with."""
        return await self.node.ending(command_id, within_s=within_s)

    async def reaches(self, command_id: UUID, state: CommandState, *, within_s: float = PATIENCE_S) -> Document:
        """Its first document in that state."""
        return await self.node.until_state(command_id, state, within_s=within_s)

    async def close_all(self, number: int = 0, *, within_s: float = PATIENCE_S, **parameters: Any) -> Document:
        """CLOSE_ALL to its ending."""
        return await self.ending(await self.command(Action.CLOSE_ALL, number, **parameters), within_s=within_s)

    async def flatten(self, number: int = 0, *, within_s: float = PATIENCE_S, **parameters: Any) -> Document:
        """FLATTEN to its ending."""
        return await self.ending(await self.command(Action.FLATTEN, number, **parameters), within_s=within_s)

    async def command_close(self, number: int = 0, **parameters: Any) -> UUID:
        """Send a CLOSE_ALL; its id."""
        return await self.command(Action.CLOSE_ALL, number, **parameters)

    async def incomplete(self, command_id: UUID, so: Callable[[Document], object] = lambda _document: True) -> Document:
        """The document that says that the deadline has passed; the first of them where it is *so*.

        On a busy machine the deadline may pass before everything was looked at. Then it is said again.
        """
        told: Document = {}
        async with asyncio.timeout(PATIENCE_S):
            async for told in self.node.desk.follow(command_id):
                if told["state"] == CommandState.INCOMPLETE.value and so(told):
                    return told
        raise AssertionError(f"ended without having been so: {told}")

    def flat(self, document: Document) -> bool:
        """Whether it says that everything is gone that the command was about."""
        unverified = self.under_test.unverified
        if document["verdict"] != ("flat_with_residue" if unverified else "flat"):
            return False
        if document["unverified"] != list(unverified):
            return False
        positions, balances = ({each["verdict"] for each in document[name]} for name in ("positions", "balances"))
        return positions <= {"flat"} and balances <= {"flat", "held", "collateral"}

    async def closes_flat(self, **parameters: Any) -> Document:
        """CLOSE_ALL must end flat, and the venue be empty."""
        document = await self.close_all(**parameters)
        assert document["state"] == "done"
        assert self.flat(document), document
        assert self.empty(), self.sim.state()["accounts"]
        return document

    async def abort(self, command_id: UUID) -> Document:
        """Give a command up, for a test that is about what never ends."""
        await self.node.desk.abort(command_id, by="test", reason=None)
        return await self.ending(command_id)

    async def all_answered(self) -> None:
        """Wait for requests that the venue is still holding: what arrives late is judged too."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                if all(entry.answered_ns is not None for entry in self.sim.journal.entries()):
                    return
                await asyncio.sleep(QUIET_S)

    async def quiet(self) -> None:
        """Wait until the background has done its first round: it must not eat the faults meant for a command."""
        actors = self.node.dispatcher.actors.values()
        async with asyncio.timeout(PATIENCE_S):
            while True:
                before = len(self.sim.journal.entries())
                await asyncio.sleep(QUIET_S)
                entries = self.sim.journal.entries()
                answered = all(entry.answered_ns is not None for entry in entries)
                if not answered or len(entries) != before:
                    continue
                late = [actor for actor in actors if not actor.healthy]
                if not late:
                    return
                for actor in late:
                    if actor.armed.is_set():  # on a busy machine the first look may have timed out
                        with background():
                            await actor.context.view.sweep()


@asynccontextmanager
async def stage(
    under_test: VenueUnderTest,
    *books: AccountSeed,
    armed: bool = True,
    slices: tuple[str, ...] | None = None,
    faults: dict[str, object] | None = None,
    permission: Permission = Permission.CLOSE,
    deadline_s: float = 5.0,
    settle_s: float = 0.05,
    request_timeout_s: float = 0.25,
    base_currency: str | None = None,
    keep: frozenset[str] = frozenset(),
    min_value: str = "5",
    issuers: tuple[Issuer, ...] = (),
    venue_offset: timedelta | None = None,
    buys: bool = False,
    guard: GuardModes | None = None,
    **options: Any,
) -> AsyncIterator[Stage]:
    """Set the stage: one account a book, all from one address. At the end everything is judged.

    Args:
        armed: Wait until the accounts are armed and their background is quiet.
        faults: In force before the node starts.
        buys: A debt may have to be bought back.
    """
    global stages
    stages += 1
    books = tuple(under_test.book(each) for each in books or (ONE_WAY,))
    base_currency = base_currency or under_test.base_currency
    async with AsyncExitStack() as stack:
        log = stack.enter_context(captured_logs())
        scenario = stack.enter_context(staged(books))
        sim = await stack.enter_async_context(serve(venue=under_test.name, scenario=scenario, ca_dir=_authority()))
        witness = Witness(
            sim,
            under_test.client_id,
            under_test.repaid_amount,
            under_test.banned,
            base_currency,
            keep,
            lists_triggers=under_test.lists_triggers,
        )
        sim.set_faults(**named(under_test, faults or {}))
        pools = Pools()
        stack.push_async_callback(pools.close)
        venues = []
        for book in books:
            values: dict[str, Any] = {
                "exchange": under_test.name,
                "credentials": sim.credentials(book.name),
                "connect_to": f"127.0.0.1:{sim.port}",
                "ca_file": sim.ca_path,
                "permission": permission,
                "slices": slices or under_test.slices,
                "request_timeout_s": request_timeout_s,
                "warm_sockets": 1,
                "options": sim.kind.options(book.name),
            }
            venue = factory.build(VenueOptions(**(values | options)), pools)
            stack.push_async_callback(venue.close)
            venues.append(venue)
        node = await stack.enter_async_context(
            engine(
                *venues,
                execution=ExecutionTerms(deadline_s=deadline_s, settle_s=settle_s, guard=guard or GuardModes()),
                permission=permission,
                flatten=FlattenTerms(base_currency=base_currency, keep=keep, min_value=Decimal(min_value)),
                issuers=issuers,
                venue_offset=venue_offset,
                background=background,
            )
        )
        names = {account_id(number): book.name for number, book in enumerate(books)}
        _listen(node, witness, names)
        the = Stage(under_test=under_test, sim=sim, node=node, witness=witness, log=log, names=names)
        if armed:
            await the.node.armed()
            await the.quiet()
        try:
            yield the
        except BaseException:
            _tell(the)
            raise
        await the.all_answered()
        wrong = witness.verdict(buys=buys) + unforgivable(log) + _unmet(the)
        if wrong:
            _tell(the)
            pytest.fail("\n".join(wrong), pytrace=False)


def named(under_test: VenueUnderTest, faults: Mapping[str, object]) -> dict[str, object]:
    """The markets in faults as this venue's simulator calls them."""
    found = dict(faults)
    for by_market in ("market_status", "prices"):
        values = found.get(by_market)
        if isinstance(values, dict):
            found[by_market] = {under_test.market(name): value for name, value in values.items()}
    if isinstance(statuses := found.pop("market_status", None), dict):
        found |= under_test.statuses(statuses)
    for trap in ("engine_reopens", "late_trigger"):
        values = found.get(trap)
        if isinstance(values, dict):
            found[trap] = {**values, "symbol": under_test.market(values["symbol"])}
    return found


def _listen(node: Engine[CcxtVenue], witness: Witness, names: dict[UUID, str]) -> None:
    usual = node.scribe.on_event

    def on_event(command: Command, document: Document) -> None:
        if command.account_id is not None:
            witness.heard(command, document, names[command.account_id])
        usual(command, document)

    node.scribe.on_event = on_event


def _unmet(the: Stage) -> list[str]:
    """Faults that no request has met: the test would have shown nothing."""
    return [f"never met: {rule}" for rule in the.sim.faults.document()["rules"] if not rule["applied"]]


def _tell(the: Stage) -> None:
    """For whoever has to find out why: what was logged, and what arrived."""
    for event in the.log:
        sys.stdout.write(f"{event}\n")
    for entry in the.sim.journal.entries()[-150:]:
        fault = f" {entry.fault}" if entry.fault else ""
        params = {name: value for name, value in entry.params.items() if name not in ("timestamp", "recvWindow")}
        sys.stdout.write(f"{entry.method} {entry.path} {params} -> {entry.status} {entry.code}{fault}\n")


@cache
def _authority() -> Path:
    """One certificate authority for the run."""
    return Path(tempfile.mkdtemp(prefix="failure-ca-"))


def not_flat(document: Document) -> bool:
    """For :meth:`Stage.incomplete`: everything was read, and something is open."""
    return bool(document["verdict"] == "not_flat")


def intents(*names: str) -> list[str]:
    """Checked names of intents, for parametrizing."""
    return [Intent(name).value for name in names]
