"""Accounts on the matching core as Hypothesis draws them, and everything that may happen to them meanwhile."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Final, Protocol

from hypothesis import strategies as st

from node.clock import Clock, SystemClock
from node.domain.steps import BalanceStep, Refusal, Step
from node.sim.accounts import Account, PositionSettings
from node.sim.market import Listing, Market, MarketStatus, Product
from node.sim.matching import MatchingCore
from node.sim.orders import Book, Leg, OrderKind, OrderTerms, Origin, Side, TriggerTerms
from node.sim.refusals import RefusalError
from tests.support.core_venue import CoreVenue, Ending, Mishap

MARKS: Final = {"BTC": Decimal(64000), "ETH": Decimal(3200), "BNB": Decimal(580), "WAN": Decimal("0.2")}
RICH: Final = Decimal(10) ** 12

# Contracts


@dataclass(frozen=True, kw_only=True)
class Contract:
    """One market of contracts, and what the account has there. Sizes are in steps."""

    product: Product
    base: str
    step: Decimal
    least: int
    most: int
    limit_most: int
    size: Decimal
    long: int
    short: int
    isolated: bool = False
    stop: bool = False
    target: bool = False
    entry: bool = False
    entry_trigger: bool = False

    def market(self) -> Market:
        """As the core lists it."""
        inverse = self.product is Product.INVERSE
        quote = "USD" if inverse else "USDT"
        return Market(
            product=self.product,
            symbol=f"{self.base}{quote}",
            base=self.base,
            quote=quote,
            settle=self.base if inverse else quote,
            wallet=self.product.value,
            tick=Decimal("0.01"),
            step=self.step,
            min_quantity=self.least * self.step,
            max_quantity=self.limit_most * self.step,
            max_market_quantity=self.most * self.step,
            min_notional=Decimal(0),
            contract_size=self.size,
        )


@dataclass(frozen=True, kw_only=True)
class Portfolio:
    """All contracts of an account, and the venue's habits."""

    contracts: tuple[Contract, ...]
    hedge: bool
    conflict_refused: bool = False
    reductions_expire: bool = True

    def bare(self) -> Portfolio:
        """The same positions without any order."""
        return replace(
            self,
            contracts=tuple(
                replace(each, stop=False, target=False, entry=False, entry_trigger=False) for each in self.contracts
            ),
        )

    def venue(self, clock: Clock | None = None) -> CoreVenue:
        """A core with this account."""
        core = MatchingCore(
            [Listing(market=each.market(), mark=MARKS[each.base]) for each in self.contracts], now_ms=lambda: 1_000
        )
        core.rules.reduce_only_conflict_refused = self.conflict_refused
        core.rules.reduce_only_expires = self.reductions_expire
        account = core.accounts["a"] = Account(name="a")
        if self.hedge:
            account.hedge_mode |= {Product.LINEAR, Product.INVERSE}
        for each in self.contracts:
            market = core.listings[each.product, each.market().symbol].market
            account.balance(market.wallet, market.settle).free = RICH
            account.settings[market.key] = PositionSettings(isolated=each.isolated)
            seed_contract(core, account, market, each)
        return CoreVenue(core, account, clock=clock or SystemClock())


def seed_contract(core: MatchingCore, account: Account, market: Market, what: Contract) -> None:
    """Positions first, then the orders that protect them, then those that would add."""
    if market.product in account.hedge_mode:
        sizes = {Leg.LONG: what.long, Leg.SHORT: -what.short}
    else:
        sizes = {Leg.NET: what.long or -what.short}
    mark = core.listing(market).mark
    for leg, steps in sizes.items():
        held = account.position(market, leg)
        held.quantity, held.entry_price = steps * market.step, mark
        if steps:
            closing = Side.SELL if steps > 0 else Side.BUY
            if what.target:
                rest(core, account, market, closing, abs(steps), leg=leg, reduces=True)
            if what.stop:
                rest(core, account, market, closing, abs(steps), leg=leg, reduces=True, trigger=True)
    leg = Leg.LONG if market.product in account.hedge_mode else Leg.NET
    if what.entry:
        rest(core, account, market, Side.BUY, what.least, leg=leg)
    if what.entry_trigger:
        rest(core, account, market, Side.BUY, what.least, leg=leg, trigger=True)


def rest(
    core: MatchingCore,
    account: Account,
    market: Market,
    side: Side,
    steps: int,
    *,
    leg: Leg = Leg.NET,
    reduces: bool = False,
    trigger: bool = False,
    origin: Origin = Origin.SEED,
) -> None:
    """An order away from the market, if the venue takes it: a limit, or a stop where *trigger*."""
    mark = core.listing(market).mark
    above = (side is Side.SELL) != trigger
    price = market.whole_ticks(mark * (Decimal("1.04") if above else Decimal("0.96")))
    waits = TriggerTerms(price=price, fires_at_or_above=above) if trigger else None
    terms = OrderTerms(
        market=market,
        side=side,
        kind=OrderKind.MARKET if trigger else OrderKind.LIMIT,
        client_id=f"e{len(account.orders)}",
        venue_type="STOP_MARKET" if trigger else "LIMIT",
        quantity=max(steps, 1) * market.step,
        price=None if trigger else price,
        leg=leg,
        reduce_only=reduces and leg is Leg.NET and market.is_contract,
        trigger=waits,
        book=Book.ALGO if trigger and market.is_contract else Book.ORDERS,
        origin=origin,
    )
    with contextlib.suppress(RefusalError):
        core.place(account, terms)


@st.composite
def contracts(draw: st.DrawFn, product: Product, base: str, *, most_parts: int = 12) -> Contract:
    """Any limits, and a position of up to so many times the market maximum; sometimes below the minimum."""
    least = draw(st.sampled_from([1, 1, 3]))
    most = draw(st.integers(least, 60))
    sizes = st.one_of(st.just(0), st.integers(1, most), st.integers(1, most * most_parts))
    return Contract(
        product=product,
        base=base,
        step=draw(st.sampled_from([Decimal("0.001"), Decimal("0.1"), Decimal(1), Decimal(5)])),
        least=least,
        most=most,
        limit_most=most * draw(st.sampled_from([1, 1, 8])),
        size=draw(st.sampled_from([Decimal(1), Decimal("0.01"), Decimal(100)])),
        long=draw(sizes),
        short=draw(sizes),
        isolated=draw(st.booleans()),
        stop=draw(st.booleans()),
        target=draw(st.booleans()),
        entry=draw(st.booleans()),
        entry_trigger=draw(st.booleans()),
    )


@st.composite
def portfolios(draw: st.DrawFn, *, hedge: bool | None = None, most_parts: int = 12) -> Portfolio:
    """Linear and inverse contracts of a one-way or a hedged account."""
    return Portfolio(
        contracts=(
            draw(contracts(Product.LINEAR, "BTC", most_parts=most_parts)),
            draw(contracts(Product.LINEAR, "ETH", most_parts=most_parts)),
            draw(contracts(Product.INVERSE, "BTC", most_parts=most_parts)),
        ),
        hedge=draw(st.booleans()) if hedge is None else hedge,
        conflict_refused=draw(st.booleans()),
        reductions_expire=draw(st.booleans()),
    )


# What happens meanwhile


class Happening(Protocol):
    """Something that no step of ours does."""

    def happen(self, venue: CoreVenue) -> None:
        """Let it happen."""


@dataclass(frozen=True)
class Nothing:
    def happen(self, venue: CoreVenue) -> None:
        """Nothing."""


@dataclass(frozen=True)
class PriceMoves:
    """By this factor, in every market of a coin; triggers fire, resting orders trade."""

    base: str
    factor: Decimal

    def happen(self, venue: CoreVenue) -> None:
        with venue.behind_our_back():
            for market in venue.markets():
                if market.base == self.base and market.book_of is None:
                    venue.core.set_mark(market, venue.core.listing(market).mark * self.factor)


@dataclass(frozen=True)
class EngineTrades:
    """An engine opens, enlarges, closes or turns a position round. *steps* of zero means: turn round what is there."""

    number: int
    steps: int
    leg: Leg

    def happen(self, venue: CoreVenue) -> None:
        market = _contract(venue, self.number)
        leg = _leg(venue, market, self.leg)
        change = self.steps * market.step or -2 * venue.account.quantity(market, leg)
        quantity = min(abs(change), market.max_market_quantity)
        if quantity:
            _trade(venue, market, Side.BUY if change > 0 else Side.SELL, quantity, leg)


@dataclass(frozen=True)
class EngineRests:
    """An engine leaves an order, or a stop, that would add or that protects."""

    number: int
    side: Side
    steps: int
    leg: Leg
    reduces: bool
    trigger: bool

    def happen(self, venue: CoreVenue) -> None:
        market = _contract(venue, self.number)
        leg = _leg(venue, market, self.leg)
        rest(
            venue.core, venue.account, market, self.side, abs(self.steps), leg=leg, reduces=self.reduces,
            trigger=self.trigger, origin=Origin.ENGINE,
        )  # fmt: skip


@dataclass(frozen=True)
class TriggerFires:
    """The one of that number, whatever the price."""

    number: int

    def happen(self, venue: CoreVenue) -> None:
        waiting = [order for order in venue.account.open_orders.values() if order.waits_for_trigger]
        if waiting:
            with venue.behind_our_back(), contextlib.suppress(RefusalError):
                venue.core.fire(venue.account, waiting[self.number % len(waiting)])


@dataclass(frozen=True)
class EngineCancels:
    """The order of that number is gone."""

    number: int

    def happen(self, venue: CoreVenue) -> None:
        resting = list(venue.account.open_orders.values())
        if resting:
            venue.core.cancel(venue.account, resting[self.number % len(resting)], by=Origin.ENGINE)


@dataclass(frozen=True)
class MarketStops:
    """For a while no orders are taken there."""

    number: int
    open_again: bool

    def happen(self, venue: CoreVenue) -> None:
        markets = venue.markets()
        status = MarketStatus.TRADING if self.open_again else MarketStatus.BREAK
        venue.core.set_status(markets[self.number % len(markets)], status)


def _trade(venue: CoreVenue, market: Market, side: Side, quantity: Decimal, leg: Leg = Leg.NET) -> None:
    """An order of the engine's at market; whether the venue takes it is its affair."""
    terms = OrderTerms(
        market=market,
        side=side,
        kind=OrderKind.MARKET,
        client_id=f"e{len(venue.account.orders)}",
        venue_type="MARKET",
        quantity=quantity,
        leg=leg,
        origin=Origin.ENGINE,
    )
    with contextlib.suppress(RefusalError):
        venue.core.place(venue.account, terms)


def _contract(venue: CoreVenue, number: int) -> Market:
    markets = venue.markets(Product.LINEAR, Product.INVERSE)
    return markets[number % len(markets)]


def _leg(venue: CoreVenue, market: Market, leg: Leg) -> Leg:
    return leg if market.product in venue.account.hedge_mode else Leg.NET


_numbers = st.integers(0, 7)
_legs = st.sampled_from([Leg.LONG, Leg.SHORT])
_factors = st.sampled_from([Decimal(each) for each in ("0.7", "0.93", "0.97", "0.999", "1.001", "1.03", "1.08", "1.4")])

price_moves = st.builds(PriceMoves, base=st.sampled_from(["BTC", "ETH", "BNB", "WAN"]), factor=_factors)
market_stops = st.builds(MarketStops, number=_numbers, open_again=st.booleans())
engine_deeds: st.SearchStrategy[Happening] = st.one_of(
    st.builds(EngineTrades, number=_numbers, steps=st.integers(-90, 90), leg=_legs),
    st.builds(EngineTrades, number=_numbers, steps=st.just(0), leg=_legs),
    st.builds(
        EngineRests, number=_numbers, side=st.sampled_from(list(Side)), steps=st.integers(1, 40), leg=_legs,
        reduces=st.booleans(), trigger=st.booleans(),
    ),
    st.builds(TriggerFires, number=_numbers),
    st.builds(EngineCancels, number=_numbers),
)  # fmt: skip
anything: st.SearchStrategy[Happening] = st.one_of(
    st.just(Nothing()), st.just(Nothing()), price_moves, engine_deeds, market_stops
)
quiet_market: st.SearchStrategy[Happening] = st.one_of(st.just(Nothing()), price_moves)

#: Said of a step, it passes. DENIED and PERMISSION are not among them: said for long, they are for a person to mend.
PASSING: Final = tuple(
    each for each in Refusal if each not in (Refusal.DENIED, Refusal.PERMISSION, Refusal.UNKNOWN_ORDER)
)
refusals: st.SearchStrategy[Ending] = st.sampled_from(PASSING)
lost: st.SearchStrategy[Ending] = st.sampled_from(
    [Mishap.LOST_BEFORE, Mishap.LOST_AFTER, Mishap.HALF, Mishap.HALF_LOST]
)
lies: st.SearchStrategy[Ending] = st.sampled_from([Mishap.LIE, Mishap.FIRES])
late: st.SearchStrategy[Ending] = st.sampled_from([Mishap.LATE, Mishap.SLOW])
well: st.SearchStrategy[Ending] = st.none()


@dataclass
class Interference:
    """Lets a script happen to a venue, one line at each moment and at each step, until it is at its end."""

    venue: CoreVenue
    happenings: deque[Happening]
    endings: deque[Ending]
    unreadable: deque[bool] = field(default_factory=deque)
    #: How the steps of FLATTEN end; the other steps have the other endings.
    settlings: deque[Ending] = field(default_factory=deque)
    #: Legs of which the venue said that they are too small, and how often in this script.
    called_small: dict[str, int] = field(default_factory=dict)
    #: Whether anybody but us trades in this script.
    foreign: bool = False
    #: When something last happened.
    last_ns: int = 0

    @classmethod
    def of(
        cls,
        venue: CoreVenue,
        happenings: Sequence[Happening] = (),
        endings: Sequence[Ending] = (),
        unreadable: Sequence[bool] = (),
    ) -> Interference:
        """Attach a script to a venue."""
        made = cls(venue, deque(happenings), deque(endings), deque(unreadable))
        venue.moment, venue.ending, venue.unreadable = made.moment, made.ending, made.read_fails
        return made

    def begin(
        self,
        happenings: Sequence[Happening],
        endings: Sequence[Ending],
        unreadable: Sequence[bool],
        settlings: Sequence[Ending] = (),
    ) -> None:
        """From now on this happens."""
        self.foreign = not all(isinstance(each, Nothing | PriceMoves | CoinsArrive) for each in happenings)
        self.happenings.extend(happenings)
        self.endings.extend(endings)
        self.unreadable.extend(unreadable)
        self.settlings.extend(settlings)

    @property
    def over(self) -> bool:
        """Whether nothing more will happen."""
        return not (self.happenings or self.endings or self.unreadable or self.settlings)

    def moment(self) -> None:
        """One thing happens."""
        if self.happenings:
            self.last_ns = self.venue.clock.monotonic_ns()
            self.happenings.popleft().happen(self.venue)
            if not self.happenings:
                self.venue.reopen_markets()

    def ending(self, step: Step) -> Ending:
        """How a step ends."""
        script = self.settlings if isinstance(step, BalanceStep) else self.endings
        if not script:
            return None
        self.last_ns = self.venue.clock.monotonic_ns()
        ending = script.popleft()
        if ending is Refusal.TOO_SMALL:
            self.called_small[step.symbol] = self.called_small.get(step.symbol, 0) + 1
        return ending

    def read_fails(self) -> bool:
        """Whether a read comes to nothing."""
        if not self.unreadable:
            return False
        self.last_ns = self.venue.clock.monotonic_ns()
        return self.unreadable.popleft()

    def stop(self) -> None:
        """Nothing more happens."""
        self.happenings.clear()
        self.endings.clear()
        self.settlings.clear()
        self.unreadable.clear()
        self.venue.reopen_markets()


# Wallets


@dataclass(frozen=True, kw_only=True)
class Coins:
    """What one wallet holds and owes of one asset, and what of it is locked by an order to sell."""

    wallet: Product
    asset: str
    free: Decimal
    owed: Decimal
    offered: bool = False


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A spot market's limits. *most* is in steps."""

    product: Product
    base: str
    quote: str
    step: Decimal
    least: int
    most: int
    notional: Decimal

    def market(self) -> Market:
        """As the core lists it."""
        return Market(
            product=self.product,
            symbol=f"{self.base}{self.quote}",
            base=self.base,
            quote=self.quote,
            settle=self.quote,
            wallet=self.product.value,
            tick=Decimal("0.00000001") if self.quote == "BTC" else Decimal("0.01"),
            step=self.step,
            min_quantity=self.least * self.step,
            max_quantity=self.most * self.step,
            max_market_quantity=self.most * self.step,
            min_notional=self.notional,
            band_up=Decimal(5),
            band_down=Decimal("0.2"),
            fee_rate=Decimal("0.001"),
            book_of=Product.SPOT if self.product is Product.MARGIN else None,
        )


@dataclass(frozen=True, kw_only=True)
class Wealth:
    """A spot and a cross margin wallet beside some contracts."""

    portfolio: Portfolio
    pairs: tuple[Pair, ...]
    coins: tuple[Coins, ...]
    #: Orders for more than there is are filled with borrowed money, and what comes in repays.
    auto_borrow: bool
    converting: bool
    unpriced: frozenset[str] = frozenset()

    def venue(self, clock: Clock | None = None) -> CoreVenue:
        """A core with all of it."""
        contracts = self.portfolio.venue(clock)
        core, account = contracts.core, contracts.account
        core.rules.auto_borrow = self.auto_borrow
        for pair in self.pairs:
            market = pair.market()
            mark = MARKS[pair.base] / MARKS.get(pair.quote, Decimal(1))
            core.listings[market.key] = Listing(market=market, mark=mark)
        for coins in self.coins:
            held = account.balance(coins.wallet.value, coins.asset)
            held.free, held.borrowed, held.interest = coins.free, coins.owed * 3 / 4, coins.owed / 4
        for coins in self.coins:
            for pair in self.pairs:
                if coins.offered and (pair.product, pair.base) == (coins.wallet, coins.asset):
                    market = core.listings[pair.product, pair.market().symbol].market
                    steps = int(min(coins.free, market.max_quantity) / 3 / market.step)
                    if steps:
                        rest(core, account, market, Side.SELL, steps)
        return CoreVenue(
            core, account, clock=clock or SystemClock(), converting=self.converting, unpriced=self.unpriced
        )


#: Worth in base currency: nothing, dust, about the least that an order may be, much.
_worth = st.sampled_from([Decimal(each) for each in ("0", "0", "0.03", "3", "4.9", "5.2", "60", "9000", "250000")])


@st.composite
def pairs_of(draw: st.DrawFn, product: Product, base: str, quote: str) -> Pair:
    """Any limits; what is worth much takes several orders."""
    fine = st.sampled_from([Decimal("0.00001"), Decimal("0.001"), Decimal(1)])
    step = Decimal(1) if base == "WAN" else draw(fine)
    least = draw(st.sampled_from([1, 1, 20]))
    most = int(draw(st.sampled_from([Decimal(10) ** 9, Decimal(70000)])) / MARKS[base] / step)
    return Pair(
        product=product,
        base=base,
        quote=quote,
        step=step,
        least=least,
        most=max(most, 2 * least),
        notional=Decimal("0.0001") if quote == "BTC" else draw(st.sampled_from([Decimal(0), Decimal(5)])),
    )


@st.composite
def wealth(draw: st.DrawFn, *, auto_borrow: bool | None = None, owing: bool = True, offers: bool = True) -> Wealth:
    """Balances and debts of any size, in both wallets; debts on spot only where the account is a unified one."""
    borrows = draw(st.booleans()) if auto_borrow is None else auto_borrow
    pairs = [
        draw(pairs_of(product, base, quote))
        for product, base, quote in (
            (Product.SPOT, "BTC", "USDT"),
            (Product.SPOT, "ETH", "USDT"),
            (Product.SPOT, "BNB", "USDT"),
            (Product.SPOT, "WAN", "BTC"),
        )
    ]
    pairs += [replace(pair, product=Product.MARGIN) for pair in pairs[:2]]
    coins = []
    for wallet, assets in (
        (Product.SPOT, ("USDT", "BTC", "ETH", "BNB", "WAN", "XAIR")),
        (Product.MARGIN, ("USDT", "BTC", "ETH")),
    ):
        for asset in assets:
            price = MARKS.get(asset, Decimal(1))
            may_owe = owing and asset not in ("WAN", "XAIR") and (wallet is Product.MARGIN or borrows)
            coins.append(
                Coins(
                    wallet=wallet,
                    asset=asset,
                    free=_amount(draw(_worth) / price),
                    owed=_amount(draw(_worth) / price) if may_owe else Decimal(0),
                    offered=offers and draw(st.booleans()),
                )
            )
    return Wealth(
        portfolio=draw(small_portfolios()),
        pairs=tuple(pairs),
        coins=tuple(coins),
        auto_borrow=borrows,
        converting=draw(st.booleans()),
        unpriced=draw(st.frozensets(st.sampled_from(["ETH/USDT", "WAN/BTC"]), max_size=1)),
    )


def _amount(value: Decimal) -> Decimal:
    return value.quantize(Decimal("0.00000001"))


@st.composite
def small_portfolios(draw: st.DrawFn) -> Portfolio:
    """One contract."""
    contract = draw(contracts(Product.LINEAR, "BTC", most_parts=3))
    return Portfolio(contracts=(contract,), hedge=draw(st.booleans()))


@dataclass(frozen=True)
class EngineTakes:
    """An engine sells a part of a coin, or leaves an order to sell it that locks it."""

    number: int
    part: Decimal
    rests: bool

    def happen(self, venue: CoreVenue) -> None:
        pairs = venue.markets(Product.SPOT, Product.MARGIN)
        market = pairs[self.number % len(pairs)]
        free = venue.account.balance(market.wallet, market.base).free
        steps = int(min(free * self.part, market.max_quantity) / market.step)
        if self.rests and steps:
            rest(venue.core, venue.account, market, Side.SELL, steps, origin=Origin.ENGINE)
        elif steps:
            _trade(venue, market, Side.SELL, steps * market.step)


@dataclass(frozen=True)
class CoinsArrive:
    """A deposit, a rebate, an airdrop."""

    wallet: Product
    asset: str
    amount: Decimal

    def happen(self, venue: CoreVenue) -> None:
        venue.account.balance(self.wallet.value, self.asset).free += self.amount


takings: st.SearchStrategy[Happening] = st.builds(
    EngineTakes,
    number=_numbers,
    part=st.sampled_from([Decimal("0.2"), Decimal("0.6"), Decimal(1)]),
    rests=st.booleans(),
)
arrivals: st.SearchStrategy[Happening] = st.builds(
    CoinsArrive,
    wallet=st.sampled_from([Product.SPOT, Product.MARGIN]),
    asset=st.sampled_from(["USDT", "BTC", "ETH"]),
    amount=st.sampled_from([Decimal("0.00000003"), Decimal("0.02"), Decimal(40)]),
)
