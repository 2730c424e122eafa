"""An account on a simulator: real TLS, real host names, only the address redirected."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import uuid4

from node.domain.plan import Scope, plan_slice
from node.domain.snapshot import Position, SliceSnapshot
from node.domain.steps import ClosePosition, OrderIds, Step
from node.sim.server import serve
from node.sim.simulator import Simulator
from node.venues import factory
from node.venues.ccxt_venue import CcxtVenue
from node.venues.options import VenueOptions
from node.venues.pool import Pool, Pools


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """An armed account and the venue's side of it."""

    venue: CcxtVenue
    sim: Simulator
    options: VenueOptions
    pools: Pools

    @property
    def pool(self) -> Pool:
        """The account's connections."""
        return self.pools.pool(self.options)

    def requests(self, method: str, path_prefix: str = "") -> list[Any]:
        """What arrived."""
        return self.sim.journal.entries(method=method, path_prefix=path_prefix)

    def misbehave(self, deed: object, *, method: str = "POST", path: str = "/fapi", times: int | None = 1) -> None:
        """The venue's next matching answers go wrong."""
        match = {"method": method, "path_prefix": path}
        self.sim.set_faults(rules=[{"match": match, "times": times, "do": deed}])


@asynccontextmanager
async def bench(
    scenario: str = "demo", *, venue: str = "binance", armed: bool = True, **changes: Any
) -> AsyncIterator[Bench]:
    """A simulator and one account on it, armed."""
    async with serve(venue=venue, scenario=scenario) as sim:
        values: dict[str, Any] = {
            "exchange": venue,
            "credentials": sim.credentials(),
            "connect_to": f"127.0.0.1:{sim.port}",
            "ca_file": sim.ca_path,
            "warm_sockets": 1,
        }
        own = {**sim.kind.options(sim.account.name), **changes.pop("options", {})}
        options = VenueOptions(**(values | changes), options=own)
        pools = Pools()
        account = factory.build(options, pools)
        try:
            if armed:
                await account.arm()
            yield Bench(venue=account, sim=sim, options=options, pools=pools)
        finally:
            await account.close()
            await pools.close()


def order_ids() -> OrderIds:
    """Of a command of its own."""
    return OrderIds(command_id=uuid4(), account_id=uuid4(), attempt=1, round=1)


def plan(venue: CcxtVenue, snapshot: SliceSnapshot) -> tuple[Step, ...]:
    """What would close the slice."""
    return plan_slice(
        snapshot,
        Scope(),
        venue.rules(snapshot.slice),
        ids=order_ids(),
        memory={},
        max_slippage=Decimal("0.05"),
        fresh=True,
    ).steps


def closes(positions: Iterable[Position]) -> list[ClosePosition]:
    """One market order a position."""
    ids = order_ids()
    return [
        ClosePosition(
            slice=each.slice,
            symbol=each.symbol,
            market_id=each.market_id,
            side=each.side,
            hedged=each.hedged,
            isolated=each.isolated,
            contracts=each.contracts,
            limit_price=None,
            client_order_id=ids.client_order_id(each.slice, each.symbol, each.side.value, 0),
        )
        for each in positions
    ]
