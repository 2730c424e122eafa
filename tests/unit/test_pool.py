"""Shared connections, shared markets, and their copy on disk."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from node.domain.snapshot import MarketKind, MarketRules
from node.errors import ConfigError, VenueUnavailable
from node.venues.markets import MarketShelf
from node.venues.options import VenueOptions
from node.venues.pool import Pools, RedirectingResolver, open_socket, parse_address, trust
from tests.support.venue import rules

OPTIONS = VenueOptions(exchange="binance", credentials={"apiKey": "canary-key", "secret": "canary-secret"})
RULE = rules(
    "BTC/USD:BTC",
    "BTCUSD_PERP",
    MarketKind.INVERSE,
    contract_size=Decimal(100),
    quantity_step=Decimal("0.001"),
    trading=False,
)


class CountingLoader:
    """A venue that lists one market, or cannot be reached."""

    def __init__(self, listed: MarketRules = RULE, failures: int = 0) -> None:
        self.calls = 0
        self._listed = listed
        self._failures = failures

    async def __call__(self, kind: MarketKind) -> tuple[MarketRules, ...]:
        """What the venue lists."""
        self.calls += 1
        if self.calls <= self._failures:
            raise VenueUnavailable
        return (replace(self._listed, kind=kind),)


async def test_accounts_that_reach_a_venue_the_same_way_share_everything() -> None:
    """Session, lane, markets."""
    pools = Pools()
    assert pools.pool(OPTIONS) is pools.pool(replace(OPTIONS, slices=("spot",)))
    assert pools.lane(OPTIONS, {}) is pools.lane(replace(OPTIONS, credentials={}), {})
    assert pools.markets(OPTIONS) is pools.markets(replace(OPTIONS, local_address="127.0.0.1"))
    await pools.close()


async def test_what_differs_in_its_way_is_not_shared() -> None:
    """Connections by destination, source and trust; budgets by address; markets by destination."""
    pools = Pools()
    elsewhere, from_here = replace(OPTIONS, connect_to="127.0.0.1:1"), replace(OPTIONS, local_address="127.0.0.1")
    assert len({id(pools.pool(each)) for each in (OPTIONS, elsewhere, from_here)}) == 3
    assert len({id(pools.lane(each, {})) for each in (OPTIONS, elsewhere, from_here)}) == 3
    assert pools.markets(OPTIONS) is not pools.markets(elsewhere)
    assert pools.markets(OPTIONS) is not pools.markets(replace(OPTIONS, sandbox=True))
    await pools.close()


async def test_every_host_is_redirected_under_its_own_name() -> None:
    """So that TLS still checks it."""
    resolver = RedirectingResolver("127.0.0.1", 9443)
    (found,) = await resolver.resolve("fapi.binance.com", 443, socket.AF_INET)
    assert (found["hostname"], found["host"], found["port"]) == ("fapi.binance.com", "127.0.0.1", 9443)
    await resolver.close()


@pytest.mark.parametrize(
    ("given", "expected"),
    [("127.0.0.1:9443", ("127.0.0.1", 9443)), ("[::1]:443", ("::1", 443)), ("venue.lan:1", ("venue.lan", 1))],
)
def test_an_address_is_host_and_port(given: str, expected: tuple[str, int]) -> None:
    """IPv6 in brackets."""
    assert parse_address(given) == expected


@pytest.mark.parametrize("given", ["venue", "venue:", ":443", "venue:no", "venue:0", "venue:70000"])
def test_anything_else_is_a_configuration_error(given: str) -> None:
    """Named as such."""
    with pytest.raises(ConfigError, match="connect_to"):
        parse_address(given)


def test_sockets_send_at_once_and_notice_a_dead_peer() -> None:
    """TCP_NODELAY and keep-alive probes."""
    with open_socket((socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 0))) as opened:
        assert opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert opened.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert not opened.getblocking()


def test_the_extra_authority_is_trusted_only_where_it_is_named(tmp_path: Path) -> None:
    """And certificates are always verified."""
    wrong = tmp_path / "ca.pem"
    wrong.write_text("no certificate")
    for file in (wrong, tmp_path / "missing.pem"):
        with pytest.raises(ConfigError, match="ca_file"):
            trust(file)
    assert trust(None).verify_mode is ssl.CERT_REQUIRED
    assert trust(None).check_hostname
    assert trust(None) is trust(None)


def test_credentials_are_not_shown() -> None:
    """Options end in logs sooner or later."""
    assert "canary" not in repr(OPTIONS)


def only_file(directory: Path) -> Path:
    """What was written, and nothing beside it."""
    (file,) = directory.iterdir()
    return file


def edit(file: Path, change: Callable[[str], str]) -> None:
    """Spoil a file; the change must be one."""
    before = file.read_text()
    assert change(before) != before
    file.write_text(change(before))


async def kept(shelf: MarketShelf, kinds: list[MarketKind], loader: CountingLoader) -> None:
    """Stocked from the venue; what goes to disk is there."""
    await shelf.stock(kinds, loader)
    await shelf.close()


class TestMarketShelf:
    """Loaded once, kept on disk."""

    async def test_accounts_that_ask_together_load_once(self) -> None:
        """One request a kind."""
        shelf, load = MarketShelf(name="binance"), CountingLoader()
        await asyncio.gather(*(shelf.stock([MarketKind.INVERSE], load) for _ in range(5)))
        assert load.calls == 1
        assert shelf.books[MarketKind.INVERSE].by_id["BTCUSD_PERP"] == RULE

    async def test_a_start_without_the_venue_uses_the_copy_on_disk(self, tmp_path: Path) -> None:
        """Every number as it was."""
        await kept(MarketShelf(name="binance", directory=tmp_path), [MarketKind.INVERSE], CountingLoader())
        later = MarketShelf(name="binance", directory=tmp_path)
        await later.stock([MarketKind.INVERSE], CountingLoader(failures=9))
        assert later.books[MarketKind.INVERSE].by_symbol == {"BTC/USD:BTC": RULE}
        await later.close()

    async def test_the_copy_is_refreshed_while_it_is_in_use(self, tmp_path: Path) -> None:
        """A start from disk asks the venue at once, without waiting."""
        await kept(MarketShelf(name="binance", directory=tmp_path), [MarketKind.INVERSE], CountingLoader())
        later = MarketShelf(name="binance", directory=tmp_path)
        news = replace(RULE, trading=True)
        await later.stock([MarketKind.INVERSE], CountingLoader(news))
        assert later.books[MarketKind.INVERSE].by_symbol["BTC/USD:BTC"] == RULE
        await asyncio.gather(*later._loading.values())
        assert later.books[MarketKind.INVERSE].by_symbol["BTC/USD:BTC"] == news

    async def test_one_missing_kind_does_not_lose_the_others(self) -> None:
        """The caller is told, and what could be had is there."""
        shelf = MarketShelf(name="binance")

        async def load(kind: MarketKind) -> tuple[MarketRules, ...]:
            if kind is MarketKind.SPOT:
                raise VenueUnavailable
            return (RULE,)

        with pytest.raises(VenueUnavailable):
            await shelf.stock([MarketKind.SPOT, MarketKind.INVERSE], load)
        assert set(shelf.books) == {MarketKind.INVERSE}

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda text: text.replace('"ccxt":"', '"ccxt":"0.'),
            lambda text: text.replace("markets/1", "markets/0"),
            lambda text: text[: len(text) // 2],
            lambda text: text.replace('"100"', '"many"'),
            lambda text: text.replace('"market_id"', '"id"'),
            lambda text: "[]",
        ],
    )
    async def test_a_copy_of_another_version_or_a_broken_one_is_ignored(
        self, tmp_path: Path, spoil: Callable[[str], str]
    ) -> None:
        """Then the venue is asked."""
        await kept(MarketShelf(name="binance", directory=tmp_path), [MarketKind.INVERSE], CountingLoader())
        edit(only_file(tmp_path), spoil)
        later, load = MarketShelf(name="binance", directory=tmp_path), CountingLoader(failures=1)
        with pytest.raises(VenueUnavailable):
            await later.stock([MarketKind.INVERSE], load)
        assert load.calls == 1

    async def test_a_simulators_markets_never_pass_for_the_venues(self, tmp_path: Path) -> None:
        """They have files of their own."""
        shelf = MarketShelf(name="binance", address="127.0.0.1:9443", directory=tmp_path)
        await shelf.stock([MarketKind.INVERSE], CountingLoader())
        real = MarketShelf(name="binance", directory=tmp_path)
        with pytest.raises(VenueUnavailable):
            await real.stock([MarketKind.INVERSE], CountingLoader(failures=1))

    async def test_the_file_names_what_it_holds(self, tmp_path: Path) -> None:
        """Schema, ccxt version, venue, kind; and leaves nothing half-written beside it."""
        await kept(MarketShelf(name="binance", directory=tmp_path / "deep"), [MarketKind.SPOT], CountingLoader())
        file = only_file(tmp_path / "deep")
        document = json.loads(file.read_text())
        assert file.name == "binance-spot.json"
        assert (document["schema"], document["venue"], document["kind"]) == (
            "sovereign-node/markets/1",
            "binance",
            "spot",
        )

    async def test_a_full_disk_costs_the_copy_and_nothing_else(self, tmp_path: Path) -> None:
        """Markets are there all the same."""
        (tmp_path / "file").write_text("")
        shelf = MarketShelf(name="binance", directory=tmp_path / "file")
        await shelf.stock([MarketKind.SPOT], CountingLoader())
        assert MarketKind.SPOT in shelf.books
