"""Slices, permission levels, and what the factory accepts."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from node.domain.permission import Permission
from node.domain.steps import Outcome, Refusal, Step
from node.errors import ConfigError
from node.venues import factory
from node.venues.options import VenueOptions
from node.venues.pool import Pools
from tests.support.venue import CREDENTIALS, cancel_orders, cancel_symbol, close_position, recorded_venue, sell_spot

OPTIONS = VenueOptions(exchange="binance", credentials=CREDENTIALS)


@pytest.mark.parametrize(
    ("configured", "slices", "not_covered", "derivative"),
    [
        (None, ("spot", "linear", "inverse"), (), ("linear", "inverse")),
        (("linear",), ("linear",), ("spot", "inverse"), ("linear",)),
        (("spot", "linear:USDT"), ("spot", "linear:USDT"), ("linear (other than USDT)", "inverse"), ("linear:USDT",)),
        (
            ("linear:USDC", "linear:USDT", "inverse"),
            ("linear:USDC", "linear:USDT", "inverse"),
            ("spot", "linear (other than USDC, USDT)"),
            ("linear:USDC", "linear:USDT", "inverse"),
        ),
    ],
)
async def test_slices_are_what_is_configured_and_the_rest_is_named(
    configured: tuple[str, ...] | None,
    slices: tuple[str, ...],
    not_covered: tuple[str, ...],
    derivative: tuple[str, ...],
) -> None:
    """What is left out is never silent."""
    async with recorded_venue(slices=configured) as (venue, _):
        assert (venue.slices, venue.not_covered, venue.derivative_slices) == (slices, not_covered, derivative)


@pytest.mark.parametrize(
    ("configured", "complaint"),
    [
        (("futures",), "'futures'; it has spot, linear, linear:USDT, linear:USDC, inverse, margin"),
        (("linear:EUR",), "'linear:EUR'"),
        (("linear", "linear:USDT"), "every settle coin"),
        ((), "none is named"),
    ],
)
def test_wrong_slices_are_refused_with_the_right_ones(configured: tuple[str, ...], complaint: str) -> None:
    """Before anything is started."""
    (fault,) = factory.check(replace(OPTIONS, slices=configured))
    assert complaint in fault


async def test_a_symbol_is_found_in_its_slice() -> None:
    """The narrowed slice knows only its own."""
    async with recorded_venue(slices=("spot", "linear:USDT")) as (venue, _):
        assert venue.slices_of("BTC/USDT") == ("spot",)
        assert venue.slices_of("BTC/USDT:USDT") == ("linear:USDT",)
        assert venue.slices_of("BTC/USDC:USDC") == ()
        assert set(venue.rules("linear:USDT")) == {"BTC/USDT:USDT", "ETH/USDT:USDT"}


STEPS: tuple[Step, ...] = (cancel_orders("1"), cancel_symbol(), close_position(), sell_spot())


@pytest.mark.parametrize(
    ("level", "sends"),
    [(Permission.READ, 0), (Permission.CANCEL, 2), (Permission.CLOSE, 4), (Permission.FULL, 4)],
)
async def test_a_step_beyond_the_permission_level_is_refused_and_not_sent(level: Permission, sends: int) -> None:
    """The lowest place that can know, whatever the engine has planned."""
    async with recorded_venue(permission=level) as (venue, fetch):
        results = [await venue.execute(step) for step in STEPS]
        assert len(fetch.sent) == sends
        held_back = [result for result in results if result.refusal is Refusal.PERMISSION]
        assert len(held_back) == len(STEPS) - sends
        assert all(result.outcome is Outcome.REFUSED and result.sent_ns is None for result in held_back)


async def test_a_read_only_account_is_not_probed() -> None:
    """A probe is a cancel."""
    async with recorded_venue(permission=Permission.READ) as (venue, fetch):
        assert (await venue.probe()).refusal is Refusal.PERMISSION
        assert fetch.sent == []


async def test_a_step_for_a_foreign_slice_is_refused_and_not_sent() -> None:
    """Configuration decides what this node touches."""
    async with recorded_venue(slices=("spot",)) as (venue, fetch):
        result = await venue.execute(close_position())
        assert (result.outcome, result.refusal, fetch.sent) == (Outcome.REFUSED, Refusal.OTHER, [])


def test_an_exchange_without_a_profile_is_refused_with_those_that_have_one() -> None:
    """By name."""
    (fault,) = [each for each in factory.check(replace(OPTIONS, exchange="mtgox")) if "mtgox" in each]
    assert "binance" in fault
    with pytest.raises(ConfigError):
        factory.build(replace(OPTIONS, exchange="mtgox"), Pools())


def test_missing_credentials_are_named() -> None:
    """In ccxt's words, without values."""
    assert factory.check(replace(OPTIONS, credentials={"apiKey": "k"})) == ["credentials: secret is missing"]


@pytest.mark.parametrize(
    ("exchange", "needed", "extra", "takes"),
    [
        (
            "hyperliquid",
            {"walletAddress": "0x" + "1" * 40, "privateKey": "0x" + "2" * 64},
            "vaultAddress",
            "privateKey",
        ),
        ("binance", CREDENTIALS, "verbose", "apiKey, secret"),
        ("phemex", CREDENTIALS, "hostname", "apiKey, secret"),
    ],
)
def test_a_credential_that_nobody_reads_is_refused(
    exchange: str, needed: dict[str, str], extra: str, takes: str
) -> None:
    """It may say whose account is meant (and another one would be proven flat), or set ccxt to print every request."""
    assert factory.check(replace(OPTIONS, exchange=exchange, credentials=needed)) == []
    (fault,) = factory.check(replace(OPTIONS, exchange=exchange, credentials={**needed, extra: "0x1"}))
    assert fault.startswith(f"credentials: {exchange} takes no {extra!r}; it takes ")
    assert takes in fault


@pytest.mark.parametrize(
    "wrong",
    [{"credentials": {"apiKey": "k"}}, {"options": {"recvWindow": 60_000}}, {"options": {"account": "portfolio"}}],
)
def test_what_check_refuses_is_not_started_either(wrong: dict[str, Any]) -> None:
    """Nobody has to have called it: a request that is valid for a minute could still arrive after a proof."""
    options = replace(OPTIONS, **wrong)
    with pytest.raises(ConfigError) as refused:
        factory.build(options, Pools())
    assert refused.value.faults == factory.check(options) != []


async def test_the_factory_builds_what_the_engine_expects() -> None:
    """Not armed, and without a request."""
    pools = Pools()
    venue = factory.build(OPTIONS, pools)
    assert venue.slices == ("spot", "linear", "inverse")
    assert venue.round_trip_ms() is None
    assert venue.clock_offset_ms() is None
    await venue.close()
    await pools.close()


def test_checking_options_imports_neither_ccxt_nor_aiohttp() -> None:
    """They take half a second, which a command line has not."""
    code = (
        "import sys; from node.venues import factory, options;"
        "factory.check(options.VenueOptions(exchange='binance', credentials={}));"
        "print([name for name in ('ccxt', 'aiohttp') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
