"""Routes whose caller is recognised first: before its body is read, and before anything in it is looked at."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from fastapi.routing import APIRoute

from node.api.principal import Authenticator, Need, Principal


def recognised(authenticate: Authenticator) -> type[APIRoute]:
    """A class of routes (``APIRouter(route_class=…)``) that *authenticate* stands before.

    A dependency would come too late: the framework reads and parses the body before it asks any.
    """

    class Route(APIRoute):
        """Asks who it is, then carries on."""

        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            """As the framework's, behind the question."""
            answer = super().get_route_handler()
            need = Need.READ if "GET" in (self.methods or ()) else Need.COMMAND

            async def handle(request: Request) -> Response:
                request.state.principal = await authenticate(request, need)
                return await answer(request)

            return handle

    return Route


async def _principal(request: Request) -> Principal:  # not async, the framework would ask it in another thread
    principal: Principal = request.state.principal
    return principal


#: The caller of a recognised route.
Caller = Annotated[Principal, Depends(_principal)]
