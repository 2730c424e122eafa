"""The control port: plain HTTP on loopback, for tests, benchmarks and people who rehearse."""

from __future__ import annotations

import json

from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError

from node.sim.faults import FaultDocument
from node.sim.simulator import Simulator


class ResetDocument(BaseModel):
    """Body of ``POST /reset``; it may be left out."""

    model_config = ConfigDict(extra="forbid")

    scenario: str | None = None


class ControlPort:
    """Routes ``GET /state``, ``GET /requests``, ``POST /faults`` and ``POST /reset``."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    def application(self) -> web.Application:
        """The application to serve."""
        application = web.Application()
        application.add_routes(
            [
                web.get("/state", self._state),
                web.get("/requests", self._requests),
                web.post("/faults", self._faults),
                web.post("/reset", self._reset),
            ]
        )
        return application

    async def _state(self, _: web.Request) -> web.Response:
        return web.json_response(self._simulator.state())

    async def _requests(self, request: web.Request) -> web.Response:
        query = request.query
        try:
            after = int(query.get("after", "0"))
        except ValueError:
            return _bad("after must be a number")
        entries = self._simulator.journal.entries(
            method=query.get("method"), path_prefix=query.get("path_prefix", ""), after=after, key=query.get("key")
        )
        return web.json_response({"requests": [entry.document() for entry in entries]})

    async def _faults(self, request: web.Request) -> web.Response:
        try:
            self._simulator.apply(FaultDocument.model_validate_json(await request.read()))
        except (ValueError, LookupError) as error:  # what pydantic raises is a ValueError, too
            return _bad(str(error))
        return web.json_response(self._simulator.state()["faults"])

    async def _reset(self, request: web.Request) -> web.Response:
        body = await request.read()
        try:
            self._simulator.reset(ResetDocument.model_validate_json(body or b"{}").scenario)
        except (ValidationError, LookupError) as error:
            return _bad(str(error))
        return web.json_response(self._simulator.ready_document())


def _bad(message: str) -> web.Response:
    return web.Response(status=400, text=json.dumps({"error": message}), content_type="application/json")
