"""Serves a simulated venue on loopback: TLS for its clients, plain HTTP for its control port."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from aiohttp import web

from node.sim.control import ControlPort
from node.sim.simulator import Simulator
from node.sim.tls import serve_tls
from node.sim.venue_kinds import VENUES

LOOPBACK = "127.0.0.1"
KEEPALIVE_S = 3600.0
SHUTDOWN_S = 0.1


@asynccontextmanager
async def serve(
    *,
    venue: str = "binance",
    port: int = 0,
    control_port: int = 0,
    ca_dir: Path | None = None,
    scenario: str = "demo",
    seed: int | None = None,
    enforce_limits: bool = True,
) -> AsyncIterator[Simulator]:
    """Run a simulator until the context ends. Port 0 picks a free one; without *ca_dir* the CA goes to a temporary one.

    Raises:
        LookupError: there is no such venue or scenario.
        OSError: a port is taken, or the directory cannot be written.
    """
    kind = VENUES[venue]()
    simulator = Simulator(kind, scenario=scenario, seed=seed, enforce_limits=enforce_limits)
    async with AsyncExitStack() as stack:
        if ca_dir is None:
            ca_dir = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sim-ca-")))
        context, simulator.ca_path = serve_tls(kind.hosts, ca_dir)
        server = web.Server(simulator.handler, keepalive_timeout=KEEPALIVE_S, access_log=None)
        venue_runner = web.ServerRunner(server, shutdown_timeout=SHUTDOWN_S)
        control_runner = web.AppRunner(
            ControlPort(simulator).application(), access_log=None, shutdown_timeout=SHUTDOWN_S
        )
        for runner in (control_runner, venue_runner):
            stack.push_async_callback(runner.cleanup)
            await runner.setup()
        stack.callback(simulator.streams.cut_all)
        stack.callback(simulator.clear_faults)
        await web.TCPSite(venue_runner, LOOPBACK, port, ssl_context=context).start()
        await web.TCPSite(control_runner, LOOPBACK, control_port).start()
        simulator.port = _port_of(venue_runner)
        simulator.control_port = _port_of(control_runner)
        yield simulator


def _port_of(runner: web.BaseRunner) -> int:
    return int(runner.addresses[0][1])
