"""How often an account may look, and how long until the budget bears one more look."""

from __future__ import annotations

import pytest

from node.domain.snapshot import MarketKind
from node.venues.ccxt_venue import CcxtVenue
from node.venues.options import VenueOptions
from node.venues.pool import Pools
from node.venues.profiles.binance.profile import BinanceProfile
from tests.support.venue import CREDENTIALS, answer, cancel_symbol, recorded_venue

ALL = ("spot", "linear", "inverse", "margin")


@pytest.mark.parametrize(
    ("name", "seconds"),
    [
        ("linear", 90 / 2400 * 60 / 0.1),  # 40 + 40 + 5 + 5
        ("inverse", 86 / 2400 * 60 / 0.1),  # 40 + 40 + 1 + 5
        ("spot", 100 / 6000 * 60 / 0.1),  # 80 + 20
        ("margin", 20 / 12000 * 60 / 0.1),  # 10 + 10
    ],
)
async def test_a_look_costs_what_its_requests_weigh(name: str, seconds: float) -> None:
    """Of half of the background's fifth of a minute's weight: the rest is for other polls."""
    async with recorded_venue(slices=ALL) as (venue, _):
        assert venue.look_interval_s(name) == pytest.approx(seconds)


async def test_accounts_on_one_address_share_its_budget_until_they_are_closed() -> None:
    """Closing twice gives nothing back twice."""
    pools, options = Pools(), VenueOptions(exchange="binance", credentials=CREDENTIALS)
    venues = [CcxtVenue(options, BinanceProfile(), pools) for _ in range(3)]
    alone = 100 / 6000 * 60 / 0.1
    assert venues[0].look_interval_s("spot") == pytest.approx(3 * alone)
    await venues[1].close()
    await venues[1].close()
    assert venues[0].look_interval_s("spot") == pytest.approx(2 * alone)
    for venue in venues:
        await venue.close()
    await pools.close()


async def test_reading_until_the_budget_is_spent_asks_for_a_respite() -> None:
    """Half of 2400 weight a minute are 13 whole looks at a futures venue and some; the 14th would be on credit."""
    async with recorded_venue() as (venue, fetch):
        fetch.empty()
        for _ in range(13):
            assert venue.respite_s("linear") == 0
            await venue.read_slice("linear")
        assert 2.5 < venue.respite_s("linear") < 3.1  # 60 missing, 20 a second
        assert [venue.borrow_s("linear") for _ in range(6)] == [0.0] * 6  # 600 are lent
        assert venue.borrow_s("linear") > 2  # 30 missing, 10 a second
        assert venue.respite_s("spot") == 0


async def test_a_ban_is_a_respite() -> None:
    """On the host that said so."""
    async with recorded_venue() as (venue, fetch):
        fetch.default = answer({"code": -1003, "msg": "x"}, 418, Retry_After="60")
        await venue.execute(cancel_symbol())
        assert 59 < venue.respite_s("linear") <= 60
        assert 59 < venue.borrow_s("linear") <= 60
        assert venue.respite_s("inverse") == 0


async def test_margin_trades_on_the_spot_markets() -> None:
    """One book, two wallets."""
    async with recorded_venue(slices=("spot", "margin")) as (venue, _):
        assert venue.slices_of("BTC/USDT") == ("spot", "margin")
        assert venue.rules("margin") == venue.rules("spot")
        assert [venue.kind(name) for name in venue.slices] == [MarketKind.SPOT, MarketKind.MARGIN]
        assert venue.derivative_slices == ()


async def test_only_spot_is_converted_and_no_test_environment_converts() -> None:
    """The service takes the spot wallet's assets."""
    async with recorded_venue(slices=ALL) as (venue, _):
        assert [name for name in ALL if venue.converts(name)] == ["spot"]
    async with recorded_venue(sandbox=True) as (venue, _):
        assert not venue.converts("spot")
