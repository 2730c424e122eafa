"""What must hold of every sale, whatever the wallet."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from node.domain.flatten import FlattenTerms, Past, Quote, SpotMarket, plan_flatten, spot_pairs
from node.domain.plan import SLIPPAGE_MAX
from node.domain.snapshot import Balance, MarketRules
from node.domain.steps import OrderIds, SellSpot
from tests.support.fake_venue import SPOT, rules

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
            limit_quantity_max=draw(limits),
            notional_min=draw(limits),
            trading=draw(st.booleans()),
        )
        for symbol in symbols
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
