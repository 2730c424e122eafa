"""What must hold of every sale, purchase, repayment and conversion, whatever the wallet."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal, localcontext
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from node.domain.assess import Aim, SliceState, assess
from node.domain.command import Action
from node.domain.flatten import (
    AMOUNT_STEP,
    FEE_MARGIN,
    NO_PAST,
    FlattenTerms,
    Past,
    Quote,
    SpotMarket,
    plan_flatten,
    spot_pairs,
)
from node.domain.plan import SLIPPAGE_MAX, Scope
from node.domain.result import Residue
from node.domain.snapshot import Balance, MarketRules, OpenOrder, SliceSnapshot
from node.domain.steps import BuyToRepay, ConvertAsset, OrderIds, RepayDebt, SellSpot
from tests.support.fake_venue import SPOT, order, rules

IDS = OrderIds(command_id=UUID(int=1), account_id=UUID(int=2), attempt=0, round=1)
TERMS = FlattenTerms(base_currency="USDT", keep=frozenset({"BNB"}))
ASSETS = ("ETH", "SOL", "WAN", "BNB", "USDT", "XYZ")
amounts = st.decimals(min_value=0, max_value=10**12, places=18)
steps = st.sampled_from([None, Decimal("0.00000001"), Decimal("0.001"), Decimal("0.3"), Decimal(5)])
limits = st.one_of(st.none(), st.decimals("0.0001", "100000", places=4))


@st.composite
def listings(draw: st.DrawFn) -> dict[str, MarketRules]:
    """Some of the markets that lead to base currency, with limits of any kind."""
    symbols = draw(st.sets(st.sampled_from(["ETH/USDT", "SOL/USDT", "WAN/BTC", "WAN/ETH", "BTC/USDT", "BNB/USDT"])))
    return {
        symbol: rules(
            symbol,
            quantity_step=draw(steps),
            quantity_min=draw(limits),
            market_quantity_max=draw(limits),
            limit_quantity_max=draw(limits),
            notional_min=draw(limits),
            trading=draw(st.booleans()),
        )
        for symbol in sorted(symbols)
    }


@given(
    st.lists(
        st.builds(Balance, slice=st.just(SPOT), asset=st.sampled_from(ASSETS), free=amounts, locked=amounts),
        unique_by=lambda balance: balance.asset,
    ),
    listings(),
    st.dictionaries(st.sampled_from(["ETH/USDT", "SOL/USDT", "WAN/BTC", "BTC/USDT"]), st.decimals(0, 10**5, places=6)),
    st.dictionaries(st.sampled_from(ASSETS), st.integers(0, 6)),
)
def test_never_more_than_is_free_in_whole_steps_at_a_bounded_price_and_once_an_asset(
    balances: list[Balance], markets: dict[str, MarketRules], bids: dict[str, Decimal], levels: dict[str, int]
) -> None:
    """And never what is kept, what is base currency already, or what the venue would refuse."""
    quotes = {symbol: Quote(symbol=symbol, bid=bid, ask=bid) for symbol, bid in bids.items()}
    free = {balance.asset: balance.free for balance in balances}
    market = SpotMarket(pairs=spot_pairs(markets.values()), quotes=quotes)
    holdings = plan_flatten(balances, (), TERMS, market, ids=IDS, past=Past(levels=levels))
    sales = [holding.step for holding in holdings if isinstance(holding.step, SellSpot)]
    assert len(sales) == sum(holding.step is not None for holding in holdings)
    assert len({sale.asset for sale in sales}) == len(sales)
    assert len({sale.client_order_id for sale in sales}) == len(sales)
    for sale in sales:
        listed = markets[sale.symbol]
        assert sale.asset not in ("USDT", "BNB")
        assert listed.base == sale.asset
        assert listed.trading
        assert Decimal(0) < sale.quantity <= free[sale.asset]
        assert listed.quantity_step is None or sale.quantity % listed.quantity_step == 0
        assert listed.limit_quantity_max is None or sale.quantity <= listed.limit_quantity_max
        assert listed.market_quantity_max is None or sale.quantity <= listed.market_quantity_max
        assert listed.quantity_min is None or sale.quantity >= listed.quantity_min
        assert sale.limit_price >= bids[sale.symbol] * (1 - SLIPPAGE_MAX)
        assert listed.notional_min is None or sale.quantity * sale.limit_price >= listed.notional_min


@given(
    st.lists(
        st.builds(Balance, slice=st.just(SPOT), asset=st.sampled_from(ASSETS), free=amounts, locked=amounts),
        unique_by=lambda balance: balance.asset,
    ),
    listings(),
)
def test_every_balance_that_should_go_is_judged_once(balances: list[Balance], markets: dict[str, MarketRules]) -> None:
    """Otherwise an account could look finished with a balance that nobody looked at."""
    market = SpotMarket(pairs=spot_pairs(markets.values()), quotes={})
    judged = [holding.balance.asset for holding in plan_flatten(balances, (), TERMS, market, ids=IDS)]
    wanted = [each.asset for each in balances if each.asset not in ("USDT", "BNB") and each.total]
    assert judged == wanted


# With debts, and a convert service

DEBTORS = ("ETH", "SOL", "WAN", "BNB", "USDT", "XYZ")
#: Tokens with 18 decimals come in billions.
long_amounts = st.integers(10**28, 10**30).map(lambda units: Decimal(f"{units}E-18"))
nothing = st.just(Decimal(0))
debts = st.one_of(nothing, nothing, st.decimals(0, 10**6, places=8), amounts, long_amounts)
wallets = st.lists(
    st.builds(
        Balance,
        slice=st.just(SPOT),
        asset=st.sampled_from(DEBTORS),
        free=st.one_of(nothing, st.decimals(0, 10**6, places=8), amounts, long_amounts),
        locked=st.one_of(nothing, st.decimals(0, 10, places=8)),
        debt=debts,
    ),
    unique_by=lambda balance: balance.asset,
)
quoted = st.dictionaries(
    st.sampled_from(["ETH/USDT", "SOL/USDT", "WAN/BTC", "WAN/ETH", "BTC/USDT", "BNB/USDT"]),
    st.tuples(st.decimals(0, 10**5, places=6), st.decimals(0, 100, places=6)),
).map(lambda found: {name: Quote(symbol=name, bid=bid, ask=bid + spread) for name, (bid, spread) in found.items()})
some_pasts = st.builds(
    Past,
    levels=st.dictionaries(st.sampled_from(DEBTORS), st.integers(0, 4)),
    refused=st.frozensets(st.sampled_from(DEBTORS), max_size=2),
    converted=st.frozensets(st.sampled_from(DEBTORS), max_size=2),
    unrepayable=st.frozensets(st.sampled_from(DEBTORS), max_size=2),
)
pasts = st.one_of(st.just(NO_PAST), st.just(NO_PAST), some_pasts)
restings: st.SearchStrategy[list[OpenOrder]] = st.just([]) | st.lists(
    st.sampled_from(["ETH/USDT", "SOL/USDT", "WAN/BTC"]).map(lambda symbol: order(symbol, symbol)), max_size=1
)


#: Half of the time a market as usual, so that most things can be done.
USUAL = {
    symbol: rules(symbol, market_quantity_max=None, limit_quantity_max=None)
    for symbol in ("ETH/USDT", "SOL/USDT", "WAN/BTC", "BTC/USDT", "BNB/USDT")
}
usual_prices = {symbol: Quote(symbol=symbol, bid=Decimal(99), ask=Decimal(100)) for symbol in USUAL}
any_markets = st.one_of(st.just(USUAL), listings())
any_quotes = st.one_of(st.just(usual_prices), quoted)


@settings(max_examples=300)
@given(wallets, restings, any_markets, any_quotes, st.booleans(), pasts)
def test_nothing_leaves_but_what_is_spare_and_nothing_comes_but_what_is_owed(
    balances: list[Balance],
    resting: list[OpenOrder],
    markets: dict[str, MarketRules],
    quotes: dict[str, Quote],
    converts: bool,
    past: Past,
) -> None:
    """At most one step an asset; each within what was read, to the last digit."""
    market = SpotMarket(pairs=spot_pairs(markets.values()), quotes=quotes, converts=converts)
    holdings = plan_flatten(balances, resting, TERMS, market, ids=IDS, past=past)
    found = {balance.asset: balance for balance in balances}
    steps = [holding.step for holding in holdings if holding.step is not None]
    values = {holding.balance.asset: holding.value for holding in holdings}
    in_orders = {coin for each in resting for coin in each.symbol.split("/")}
    assert len({step.asset for step in steps}) == len(steps)
    spent = Decimal(0)
    with localcontext(prec=80):
        for step in steps:
            held = found[step.asset]
            match step:
                case SellSpot() | ConvertAsset():
                    assert step.asset not in ("USDT", "BNB")
                    assert step.asset not in past.refused
                    assert step.asset not in in_orders
                    assert 0 < step.quantity <= held.free - held.debt
                    assert values[step.asset] is not None
                case BuyToRepay():
                    assert held.debt > 0
                    assert step.asset not in past.refused
                    lot = markets[step.symbol].quantity_step or Decimal(0)
                    assert 0 < step.quantity <= held.debt * (1 + FEE_MARGIN) + lot
                    assert min(held.free, held.debt) < AMOUNT_STEP
                    spent += step.quantity * step.limit_price
                case RepayDebt():
                    assert 0 < step.amount <= min(held.free, held.debt)
                    assert step.asset not in past.unrepayable
            if isinstance(step, ConvertAsset):
                assert step.asset not in past.converted
                assert (held.locked, step.into) == (Decimal(0), "USDT")
                worth = values[step.asset]
                assert worth is not None
                assert step.least_received >= worth / held.total * step.quantity * (1 - TERMS.max_slippage) * (
                    1 - Decimal("1e-20")
                )
        base = found.get("USDT")
        assert spent <= (base.free if base else 0)
    leaving = [step for step in steps if isinstance(step, SellSpot | ConvertAsset)]
    assert not leaving or len(leaving) == len(steps), "debts wait until nothing is left to be sold"


@given(long_amounts, st.one_of(long_amounts, amounts, st.just(Decimal("1E-18"))), st.booleans())
def test_what_is_spare_is_known_to_the_last_digit(free: Decimal, debt: Decimal, converts: bool) -> None:
    """Where the venue knows no step, a sale rounded up by arithmetic alone would sell what is owed."""
    pair = rules("ETH/USDT", quantity_step=None, market_quantity_max=None, limit_quantity_max=None)
    quotes = {"ETH/USDT": Quote(symbol="ETH/USDT", bid=Decimal(1), ask=Decimal(1))}
    market = SpotMarket(pairs=spot_pairs([pair]), quotes=quotes, converts=converts)
    held = Balance(slice=SPOT, asset="ETH", free=free, debt=debt)
    for holding in plan_flatten([held], (), TERMS, market, ids=IDS):
        with localcontext(prec=80):
            if isinstance(holding.step, SellSpot | ConvertAsset):
                assert holding.step.quantity <= free - debt


@given(st.decimals("0.00000001", 10**6, places=8), st.decimals("0.01", 10**5, places=2), steps)
def test_a_purchase_never_costs_more_than_there_is(money: Decimal, ask: Decimal, step: Decimal | None) -> None:
    """Not by the last digit of a division either: what lacks would be borrowed."""
    pair = rules(
        "ETH/USDT", quantity_step=step, quantity_min=None, notional_min=None, market_quantity_max=None,
        limit_quantity_max=None,
    )  # fmt: skip
    market = SpotMarket(pairs=spot_pairs([pair]), quotes={"ETH/USDT": Quote(symbol="ETH/USDT", bid=ask, ask=ask)})
    owing = Balance(slice=SPOT, asset="ETH", free=Decimal(0), debt=Decimal(10**12))
    base = Balance(slice=SPOT, asset="USDT", free=money)
    for holding in plan_flatten([owing, base], (), TERMS, market, ids=IDS):
        if isinstance(holding.step, BuyToRepay):
            with localcontext(prec=80):
                assert holding.step.quantity * holding.step.limit_price <= money


@given(st.integers(1, 10**6).map(Decimal), st.booleans(), st.sampled_from([None, "0", "60000"]), st.booleans())
def test_nothing_is_sold_towards_a_price_that_nobody_knows(
    free: Decimal, first: bool, second: str | None, converts: bool
) -> None:
    """Both hops need a bid: halfway to base currency is no way out."""
    market = SpotMarket(
        pairs=spot_pairs([rules("WAN/BTC", notional_min=None), rules("BTC/USDT")]),
        quotes={
            **({"WAN/BTC": Quote(symbol="WAN/BTC", bid=Decimal(1), ask=Decimal(1))} if first else {}),
            **({"BTC/USDT": Quote(symbol="BTC/USDT", bid=Decimal(second), ask=Decimal(second))} if second else {}),
        },
        converts=converts,
    )
    held = Balance(slice=SPOT, asset="WAN", free=free)
    (holding,) = plan_flatten([held], (), TERMS, market, ids=IDS)
    known = first and second == "60000"
    assert (holding.value is not None) is known
    assert (holding.step is not None) is known


@settings(max_examples=200)
@given(wallets, any_markets, any_quotes, st.booleans())
def test_dust_has_a_price_and_nothing_that_could_still_be_done_is_called_finished(
    balances: list[Balance], markets: dict[str, MarketRules], quotes: dict[str, Quote], converts: bool
) -> None:
    """From the plan to the report: what cannot be priced may be worth anything."""
    market = SpotMarket(pairs=spot_pairs(markets.values()), quotes=quotes, converts=converts)
    holdings = plan_flatten(balances, (), TERMS, market, ids=IDS)
    proof = SliceSnapshot(
        slice=SPOT,
        positions=(),
        orders=(),
        balances=tuple(balances),
        started_ns=1,
        ended_ns=2,
        read_at=datetime(2026, 11, 20, tzinfo=UTC),
        causal=True,
    )
    state = SliceState(slice=SPOT, spot=True, proof=proof, holdings=tuple(holdings))
    judged = assess(Aim(action=Action.FLATTEN, scope=Scope(), terms=TERMS), [state])
    assert judged.complete is not any(holding.step for holding in holdings)
    values = {holding.balance.asset: holding for holding in holdings}
    for report in judged.balances:
        if report.verdict is Residue.DUST:
            held, owed = values[report.asset].value, values[report.asset].debt_value
            assert not report.after or held is not None
            assert not report.debt or owed is not None
            priced = {symbol for symbol, quote in quotes.items() if quote.bid > 0} & markets.keys()
            assert report.asset == "USDT" or any(symbol.startswith(f"{report.asset}/") for symbol in priced)
