"""Where a bench takes place when no daemon has the accounts: at the configured exchanges, or at simulators."""

from __future__ import annotations

import gc
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import aiohttp

from node.clock import SystemClock
from node.commands.output import Trouble
from node.demo.parts import PartFailed, first_line, started
from node.domain.permission import Permission
from node.engine.lone_drills import LoneDrills
from node.engine.view import AccountView
from node.errors import VenueError
from node.secrets import Secrets
from node.settings import AccountSettings, Settings, parse
from node.sim.venue_kinds import VENUES
from node.venues import factory
from node.venues.lane import background
from node.venues.options import VenueOptions
from node.venues.pool import Pools
from node.wiring.accounts import account_terms, revealed_options, venue_options

#: The simulated exchange where no configuration says which.
USUAL_VENUE: Final = "binance"


@dataclass(frozen=True, slots=True, kw_only=True)
class Armed:
    """One account, and why it is not usable, if so."""

    settings: AccountSettings
    rehearsal: LoneDrills
    trouble: VenueError | None


def harmless(options: VenueOptions) -> VenueOptions:
    """The same account with no right that a drill does not need: the gate at the last step before the socket then lets
    no order pass, whoever might ask for one.
    """
    level = Permission.READ if options.permission is Permission.READ else Permission.CANCEL
    return replace(options, permission=level)


def simulated(accounts: Sequence[AccountSettings]) -> tuple[list[AccountSettings], list[str]]:
    """Those whose exchange can be simulated, and the names of the others."""
    able = [account for account in accounts if account.exchange in VENUES]
    return able, [account.name for account in accounts if account not in able]


def usual_settings(work: Path) -> Settings:
    """One account at a simulated exchange, for whoever has no configuration yet."""
    names = ("apiKey", "secret")
    return parse(
        {
            "node": {
                "id": "bench",
                "tenant": "bench",
                "state_dir": str(work / "state"),
                "runtime_dir": str(work / "run"),
            },
            "owners": [{"id": "bench"}],
            "accounts": [
                {
                    "id": "6b0c8d1e-5f0a-4c52-9a1e-3d0f6f1d2a77",
                    "name": USUAL_VENUE,
                    "owner": "bench",
                    "exchange": USUAL_VENUE,
                    "permission": Permission.CLOSE.value,
                    "base_currency": "USDT",
                    "credentials": {name: {"credential": f"bench_{name.lower()}"} for name in names},
                }
            ],
        }
    )


@asynccontextmanager
async def configured_site(settings: Settings, accounts: Sequence[AccountSettings]) -> AsyncIterator[list[Armed]]:
    """At the exchanges themselves.

    Raises:
        ConfigError: a secret is missing, or an account's options are wrong: ``check`` says all of it.
    """
    secrets = Secrets.resolve(settings)
    async with _armed(settings, accounts, lambda account: revealed_options(account, settings, secrets)) as armed:
        yield armed


@asynccontextmanager
async def simulated_site(
    settings: Settings, accounts: Sequence[AccountSettings], *, round_trip_ms: int
) -> AsyncIterator[list[Armed]]:
    """At simulators, each account at one of its own in a process of its own, with no secret of the configuration's.

    Raises:
        Trouble: a simulator did not come up.
        ConfigError: an account's options are wrong: ``check`` says all of it.
    """
    async with AsyncExitStack() as stack:
        work = Path(stack.enter_context(TemporaryDirectory(prefix="sovereign-node-bench-")))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        ready: dict[str, dict[str, Any]] = {}
        for account in accounts:
            ready[account.name] = await _simulator(stack, work, http, account.exchange, round_trip_ms)

        def options(account: AccountSettings) -> VenueOptions:
            venue = ready[account.name]
            return replace(
                venue_options(account, settings, venue["accounts"][0]["credentials"]),
                connect_to=f"127.0.0.1:{venue['port']}",
                ca_file=Path(venue["ca"]),
                local_address=None,
                sandbox=False,
                market_cache_dir=work / "markets",
            )

        async with _armed(settings, accounts, options) as armed:
            yield armed


async def _simulator(
    stack: AsyncExitStack, work: Path, http: aiohttp.ClientSession, venue: str, round_trip_ms: int
) -> dict[str, Any]:
    folder = Path(stack.enter_context(TemporaryDirectory(prefix=f"{venue}-", dir=work)))
    process = await started(stack, folder, "simulator", "sim", "serve", "--venue", venue,
                            "--port", "0", "--control", "0", "--ca-dir", str(folder / "ca"))  # fmt: skip
    try:
        ready: dict[str, Any] = json.loads(await first_line(process, f"simulated {venue}"))
        body = {"latency_ms": round_trip_ms}
        async with http.post(f"http://127.0.0.1:{ready['control']}/faults", json=body) as answer:
            answer.raise_for_status()
    except (PartFailed, aiohttp.ClientError, ValueError) as error:
        raise Trouble("SIMULATOR", str(error)) from None
    return ready


@asynccontextmanager
async def _armed(
    settings: Settings, accounts: Sequence[AccountSettings], options: Callable[[AccountSettings], VenueOptions]
) -> AsyncIterator[list[Armed]]:
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        pools = Pools()
        stack.push_async_callback(pools.close)
        armed = []
        for account in accounts:
            venue = factory.build(harmless(options(account)), pools, clock=clock)
            stack.push_async_callback(venue.close)
            view = AccountView(venue, clock, background, number=0)
            terms = account_terms(account, settings)
            rehearsal = LoneDrills(terms=terms, venue=venue, view=view, clock=clock, node_id=settings.node.id)
            trouble: VenueError | None = None
            try:
                await rehearsal.arm()
            except VenueError as error:
                trouble = error
            armed.append(Armed(settings=account, rehearsal=rehearsal, trouble=trouble))
        # As the daemon does once its accounts are armed: no collection of what stays in the middle of a drill.
        gc.collect()
        gc.freeze()
        try:
            yield armed
        finally:
            gc.unfreeze()
