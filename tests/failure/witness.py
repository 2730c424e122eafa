"""What really happened, by the simulator's own knowledge; and what the node may then have said.

The node is judged by what it did (counters, protective orders, client order ids) and by what it claimed: whenever it
says flat, the simulator must have been so while the node was looking.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from node.domain.command import Action, Command
from node.domain.result import Document
from node.sim.accounts import Account
from node.sim.faults import Intent
from node.sim.market import Market, Product
from node.sim.matching import MatchingCore
from node.sim.orders import Leg, Order, OrderTerms, Origin
from node.sim.refusals import Reason, RefusalError
from node.sim.simulator import Simulator
from node.sim.venue import VenueFrontEnd, WireAnswer, WireRequest
from tests.support.market_names import unified
from tests.support.waiting import PATIENCE_S

#: Of the venue's refusals, those by which a close is refused because protective orders stand for the position.
IN_THE_WAY: Final = frozenset({Reason.REDUCE_ONLY_REJECTED, Reason.REDUCE_ONLY_CONFLICT})
#: Reads end in milliseconds, documents are dated in milliseconds, and reading takes a moment.
READING_S: Final = 0.5
#: What is true without anything happening at the venue is seen after this time.
_LOOK_EVERY_S: Final = 0.05
FLAT: Final = frozenset({"flat", "flat_with_residue"})
#: What a balance that is left over may be called.
NAMED: Final = frozenset({"dust", "unsellable", "refused", "market_closed", "held", "collateral"})

#: Slice's product, settle coin, unified symbol, leg; orders have no leg.
Thing = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One request of the node's."""

    intent: Intent
    #: What it answers besides.
    also: frozenset[Intent]
    product: Product | None
    #: Of a list that shows several.
    products: frozenset[Product]
    account: str | None
    symbols: frozenset[str]
    params: Mapping[str, str]
    at_ns: int

    def serves(self, *intents: str) -> bool:
        """Whether it is for one of them; none: whatever it is for."""
        return not intents or self.intent in intents or not self.also.isdisjoint(intents)

    def concerns(self, product: str | None) -> bool:
        """Whether it is about that product; none: whatever it is about."""
        return product in (None, self.product) or product in self.products


@dataclass(frozen=True, slots=True)
class Truth:
    """What one account held from a moment on."""

    at_s: float
    positions: frozenset[Thing]
    orders: frozenset[Thing]


@dataclass(slots=True, kw_only=True)
class Ambush:
    """Something that happens just before the venue looks at a request, once."""

    intent: Intent
    product: str | None
    #: Venue's own symbol.
    symbol: str | None
    #: How many such requests pass before.
    after: int
    action: Callable[[], object]

    def meets(self, seen: Seen) -> bool:
        """Whether this is the request."""
        if not seen.serves(self.intent) or not seen.concerns(self.product):
            return False
        if self.symbol is not None and self.symbol not in seen.symbols:
            return False
        self.after -= 1
        return self.after < 0


@dataclass(slots=True)
class Witness:
    """Stands beside one simulator from its start, and judges at the end."""

    sim: Simulator
    client_id: str
    repaid_amount: str
    #: Status and code of the answers to a banned address.
    banned: tuple[int, str | None]
    base_currency: str = "USDT"
    keep: frozenset[str] = frozenset()
    #: Whether the venue shows conditional orders that wait.
    lists_triggers: bool = True
    requests: list[Seen] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    #: Set at everything that happens at the venue.
    happened: asyncio.Event = field(default_factory=asyncio.Event)
    _history: dict[str, list[Truth]] = field(default_factory=dict)
    #: Closes that the venue would not take for the orders that protect the position.
    _refused: set[tuple[str, Market]] = field(default_factory=set)
    _cancelled_by: Origin | None = None
    _ambushes: list[Ambush] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._watch_core(self.sim.core)
        self._watch_wire()
        for account in self.core.accounts.values():
            self._note(account)

    @property
    def core(self) -> MatchingCore:
        """The venue's heart."""
        return self.sim.core

    async def until(self, true: Callable[[], object], *, within_s: float = PATIENCE_S) -> None:
        """Wait until it is true: look at everything that happens at the venue, and now and then without."""
        async with asyncio.timeout(within_s):
            while not true():
                self.happened.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.happened.wait(), _LOOK_EVERY_S)

    def ambush(self, ambush: Ambush) -> None:
        """Lie in wait."""
        self._ambushes.append(ambush)

    def note(self, account: Account) -> None:
        """An account was changed without an order."""
        self._note(account)

    # What is seen

    def _watch_core(self, core: MatchingCore) -> None:
        place, cancel, fire, set_mark = core.place, core.cancel, core.fire, core.set_mark
        before_cancel = core.before_cancel

        def placing(account: Account, terms: OrderTerms, **effects: Any) -> Order:
            try:
                return place(account, terms, **effects)
            except RefusalError as refusal:
                if refusal.reason in IN_THE_WAY:
                    self._refused.add((account.name, terms.market))
                raise
            finally:
                self._note(account)

        def cancelling(account: Account, order: Order, **options: Any) -> Order:
            self._cancelled_by = options.get("by", Origin.CLIENT)
            try:
                return cancel(account, order, **options)
            finally:
                self._note(account)

        def before(account: Account, order: Order) -> None:
            self._judge_cancel(account, order)
            if before_cancel is not None:
                before_cancel(account, order)

        def firing(account: Account, order: Order) -> None:
            fire(account, order)
            self._note(account)

        def marking(market: Market, mark: Decimal) -> None:
            set_mark(market, mark)
            for account in core.accounts.values():
                self._note(account)

        core.place = placing  # type: ignore[method-assign]
        core.cancel = cancelling  # type: ignore[method-assign]
        core.fire = firing  # type: ignore[method-assign]
        core.set_mark = marking  # type: ignore[method-assign]
        core.before_cancel = before

    def _watch_wire(self) -> None:
        front_end, messages = self.sim.handler.front_end, self.sim.setup.messages
        parse, refusal_for, handle = front_end.parse, front_end.refusal_for, messages.handle

        def seeing(parsed: WireRequest) -> None:
            traits = parsed.traits
            seen = Seen(
                intent=traits.intent,
                also=traits.also,
                product=traits.product,
                products=traits.products,
                account=traits.account,
                symbols=traits.symbols,
                params=parsed.params,
                at_ns=time.monotonic_ns(),
            )
            self.requests.append(seen)
            for ambush in [each for each in self._ambushes if each.meets(seen)]:
                self._ambushes.remove(ambush)
                ambush.action()
            self.happened.set()

        def parsing(*request: Any) -> WireRequest:
            parsed = parse(*request)
            seeing(parsed)
            return parsed

        def handling(front_end: VenueFrontEnd, request: WireRequest, *rest: Any, **more: Any) -> None:
            seeing(request)
            handle(front_end, request, *rest, **more)

        def refusing(request: WireRequest, reason: Reason, status: int) -> WireAnswer:
            traits = request.traits
            if reason in IN_THE_WAY and traits.account is not None and traits.product is not None:
                markets = (self.core.listings[traits.product, symbol].market for symbol in traits.symbols)
                self._refused |= {(traits.account, market) for market in markets}
            return refusal_for(request, reason, status)

        front_end.parse = parsing  # type: ignore[method-assign, assignment]
        messages.handle = handling  # type: ignore[method-assign]
        front_end.refusal_for = refusing  # type: ignore[method-assign]

    def _note(self, account: Account) -> None:
        positions = frozenset(_thing(each.market, each.leg) for each in account.open_positions())
        orders = frozenset(_thing(each.terms.market) for each in account.open_orders.values() if self.shows(each))
        self._history.setdefault(account.name, []).append(Truth(time.time(), positions, orders))
        self.happened.set()

    def shows(self, order: Order) -> bool:
        """Whether the venue has a list that an order is in."""
        return self.lists_triggers or not order.waits_for_trigger

    def _judge_cancel(self, account: Account, order: Order) -> None:
        terms = order.terms
        if self._cancelled_by is not Origin.CLIENT or not terms.market.is_contract or not terms.only_reduces:
            return
        if account.quantity(terms.market, terms.leg) * terms.signed >= 0:
            return
        if self._was_gone(account, terms):
            return  # the node has seen it gone; it was opened again while the cancel was on its way
        if (account.name, terms.market) not in self._refused:
            name = f"{terms.market.slice_name} {terms.market.symbol} {terms.leg}"
            self.faults.append(f"{account.name}: the protection of {name} was cancelled before its position was gone")

    def _was_gone(self, account: Account, terms: OrderTerms) -> bool:
        """Whether there was no such position at any moment that a read of just now may have shown."""
        thing, history = _thing(terms.market, terms.leg), self._history[account.name]
        ended_s = [following.at_s for following in history[1:]]
        recent = [truth for truth, end_s in zip(history, ended_s, strict=False) if end_s > time.time() - READING_S]
        return any(thing not in truth.positions for truth in recent)

    # What the node says

    def heard(self, command: Command, document: Document, account: str) -> None:
        """Hold a document against the truth at the time."""
        verdict, state = document["verdict"], document["state"]
        if command.dry_run or not command.action.closes or verdict not in FLAT:
            return
        if state != "done":
            self.faults.append(f"{account}: {verdict} was said with {state}")
        left = self._left(command, document, account)
        if left:
            self.faults.append(f"{account}: {verdict} was said, and there was still {sorted(left)}")
        if command.action is Action.FLATTEN:
            self.faults += self._unnamed_balances(document, account)

    def _left(self, command: Command, document: Document, account: str) -> set[Thing]:
        """What was there all the time while the node read its proof, and is not named in it."""
        reads = [datetime.fromisoformat(each["read_at"]).timestamp() for each in document["evidence"]]
        since_s = min(reads, default=time.time()) - READING_S
        history = self._history[account]
        before = [truth for truth in history if truth.at_s <= since_s][-1:]
        window = before + [truth for truth in history if truth.at_s > since_s]
        named = {
            (each["slice"].split(":")[0], each["symbol"]) for each in document["positions"] if each["after"] != "0"
        }
        slices = [tuple(name.split(":")) for name in document["scope"]]

        def of(truth: Truth, part: tuple[str, ...]) -> set[Thing]:
            positions = {thing for thing in truth.positions if (thing[0], thing[2]) not in named}
            return {
                thing
                for thing in positions | truth.orders
                if part == thing[: len(part)] and (not command.symbols or thing[2] in command.symbols)
            }

        states = {part: [of(truth, part) for truth in window] for part in slices}
        return {thing for found in states.values() if all(found) for thing in found[-1]}

    def _unnamed_balances(self, document: Document, account: str) -> list[str]:
        told = {
            (each["slice"], each["asset"]): each
            for each in document["balances"]
            if each["verdict"] in NAMED or each["after"] == "0"
        }
        wallets = self.core.accounts[account].wallets
        faults = []
        for wallet in {name.split(":")[0] for name in document["scope"]} & {Product.SPOT, Product.MARGIN}:
            for asset, held in wallets.get(wallet, {}).items():
                exempt = asset == self.base_currency or (document["verdict"] == "flat" and asset in self.keep)
                amounts = (held.total, held.owed)
                if not any(amounts) or (exempt and not held.owed):
                    continue
                report = told.get((wallet, asset))
                said = None if report is None else (Decimal(report["after"]), Decimal(report.get("debt", "0")))
                if document["verdict"] == "flat" or said != amounts:
                    faults.append(
                        f"{account}: {document['verdict']} with {asset} {amounts} in {wallet}; said: {report}"
                    )
        return faults

    # The end

    def verdict(self, *, buys: bool = False) -> list[str]:
        """Everything that went wrong, for the common check."""
        faults = list(self.faults)
        deeds = ("sign_flips", "exposure_increases", "borrows", "oversold", "forbidden", *(() if buys else ("buys",)))
        for account in self.core.accounts.values():
            counts = {name: getattr(account.counters, name) for name in deeds}
            faults += [f"{account.name}: {name} is {count}" for name, count in counts.items() if count]
        ids = Counter(
            (seen.account, seen.params[self.client_id])
            for seen in self.requests
            if seen.intent is Intent.PLACE and self.client_id in seen.params
        )
        faults += [f"{account}: client order id {name} came {n} times" for (account, name), n in ids.items() if n > 1]
        repaid = [seen.params for seen in self.requests if seen.intent is Intent.REPAY]
        faults += [f"{p} is asked to be repaid" for p in repaid if Decimal(p.get(self.repaid_amount, "0")) <= 0]
        banned = [
            entry
            for entry in self.sim.journal.entries()
            if entry.fault is None and entry.status == self.banned[0] and self.banned[1] in (None, entry.code)
        ]
        if banned and not self.banned_by_fault:
            faults.append(f"the address was banned: {len(banned)} requests")
        return faults

    @property
    def banned_by_fault(self) -> bool:
        """Whether a fault of the test's own has banned the address."""
        return any(entry.fault == "ban_418" for entry in self.sim.journal.entries())


def _thing(market: Market, leg: Leg | None = None) -> Thing:
    return (market.product.value, market.settle, unified(market), "" if leg is None else leg.value)
