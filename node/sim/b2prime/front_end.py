"""B2PRIME's face: REST below ``/frontoffice/api``, and SignalR hubs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from node.sim.admission import HouseRules
from node.sim.b2prime import hub
from node.sim.b2prime.calls import Call, Created, Endpoint, NeedsAccount
from node.sim.b2prime.errors import B2primeError, bad_request, forbidden, of_reason, refused, unauthorized
from node.sim.b2prime.ids import account_id
from node.sim.b2prime.markets import listings, trigger_words
from node.sim.b2prime.requests import B2primeRequest, read_request
from node.sim.b2prime.routes import endpoints
from node.sim.b2prime.seeds import adapt
from node.sim.b2prime.streams import B2primeStreams
from node.sim.b2prime.switches import Switches, Trading, checked
from node.sim.b2prime.venue_state import VenueState
from node.sim.b2prime.webhooks import Webhooks
from node.sim.keys import ApiKey
from node.sim.market import Product
from node.sim.refusals import Reason
from node.sim.simulator import VenueKind
from node.sim.streams import Connection, StreamSession
from node.sim.venue import Effects, VenueFrontEnd, VenueSetup, WireAnswer, WireRequest

#: The broker names the host; there is no public one.
HOST = "trading.b2prime.example"


class B2primeFrontEnd:
    """Answers requests against one world; the wire around it delays, loses and records them."""

    def __init__(self, setup: VenueSetup) -> None:
        self.setup = setup
        self.state = VenueState(setup)
        self.webhooks = Webhooks(self.state)
        self.streams = B2primeStreams(self.state)
        self._endpoints = endpoints(self.webhooks)
        self._banned_until_ms = 0

    def parse(self, method: str, host: str, target: str, headers: Mapping[str, str], body: bytes) -> WireRequest:
        """Read a request."""
        return read_request(self.state, self._endpoints, method, host, target, headers, body)

    def answer(self, request: WireRequest, effects: Effects) -> WireAnswer:
        """Carry out a request."""
        if not isinstance(request, B2primeRequest):
            raise TypeError(request)
        self.state.expire_orders()
        order_ids: list[int] = []
        try:
            self._check_rate()
            answer = _ok(self._carry_out(request, effects, order_ids))
        except B2primeError as error:
            answer = self._refused(error)
        answer.order_ids = order_ids
        if "/webhook/alerts/" in request.path and (answer.status != 429 or self.state.switches.rate_limit_headers):
            answer.headers |= self.webhooks.budget()
        return answer

    def stream_products(self, request: WireRequest) -> frozenset[Product] | None:
        """A hub's, if the token is good and the connection was negotiated where it must be."""
        if not isinstance(request, B2primeRequest) or not hub.is_hub(request.path) or request.key is None:
            return None
        if self.state.switches.negotiate == "required" and "id" not in request.params:
            return None
        return hub.PRODUCTS

    def stream_account(self, _: WireRequest) -> str | None:
        """The address says nothing; subscriptions do."""
        return None

    def open_stream(self, request: WireRequest, connection: Connection) -> StreamSession:
        """Attach a connection."""
        if not isinstance(request, B2primeRequest):
            raise TypeError(request)
        return hub.HubSession(self, self.streams, request, connection)

    def expire_streams(self, _product: Product | None, account: str | None) -> None:
        """The server closes connections, and lets clients come again."""
        self.streams.close_all(account)

    def refusal(self, code: int | str, message: str, status: int) -> WireAnswer:
        """Any error."""
        return self._refused(B2primeError(status or 400, str(code), message))

    def refusal_for(self, _request: WireRequest, reason: Reason, status: int) -> WireAnswer:
        """What such a request is answered when that is the trouble."""
        error = of_reason(reason, self.state.switches)
        return self._refused(B2primeError(status or error.status, error.code, error.message))

    def rate_limited(self, _request: WireRequest, retry_after_s: float) -> WireAnswer:
        """429, with the headers or without them, as is switched."""
        answer = self._refused(B2primeError(429, "too_many_requests", "Too many requests."))
        if self.state.switches.rate_limit_headers:
            resets = int(self.state.now_ms / 1000 + retry_after_s + 1)
            answer.headers |= {
                "X-RateLimit-Limit": "5",
                "X-RateLimit-Remaining": "0",
                "X-RateLimit-Reset": str(resets),
            }
        return answer

    def ban(self, retry_after_s: float) -> WireAnswer:
        """429 for everything until then: no other word for it is known."""
        self._banned_until_ms = self.state.now_ms + int(retry_after_s * 1000)
        return self._refused(B2primeError(429, "banned", "Too many requests."))

    def forgive(self) -> None:
        """No ban, and every switch as it was."""
        self._banned_until_ms = 0
        self.state.arrivals.clear()
        for market_id in self.state.switches.market_status:
            self.state.set_status(market_id, Trading.OPEN)
        for name, value in Switches():
            setattr(self.state.switches, name, value)

    def switch(self, changes: Mapping[str, Any]) -> None:
        """Set switches that were checked."""
        for name, value in changes.items():
            setattr(self.state.switches, name, value)
        for market_id, status in changes.get("market_status", {}).items():
            self.state.set_status(market_id, status)

    def _carry_out(self, request: B2primeRequest, effects: Effects, order_ids: list[int]) -> object:
        if hub.is_hub(request.path):
            return self._negotiate(request)
        if request.endpoint is None:
            raise B2primeError(404, "route", "There is no such endpoint.")
        return request.endpoint.handler(self._call(request, request.endpoint, effects, order_ids))

    def _call(self, request: B2primeRequest, endpoint: Endpoint, effects: Effects, order_ids: list[int]) -> Call:
        if not endpoint.public:
            if request.key is None:
                raise unauthorized()
            if not (request.key.rights.spot or request.key.rights.futures):
                raise forbidden("The operation 'trading-ui' is required.")
        if request.document is None:
            raise bad_request("The body is not a JSON object.")
        first = next(iter(self.state.core.accounts.values()))
        account = request.account or first
        named = request.headers.get("accountId")
        if endpoint.account is NeedsAccount.YES and not named:
            raise bad_request("The header 'accountId' is required.")
        if endpoint.account is not NeedsAccount.NO and named and request.account is None:
            raise B2primeError(
                self.state.switches.foreign_account_status, "foreign_account", "The account is not available."
            )
        return Call(
            state=self.state,
            account=account,
            key=request.key,
            path=request.parts,
            query=request.params,
            body=request.document,
            host=request.host,
            effects=effects,
            order_ids=order_ids,
        )

    def _check_rate(self) -> None:
        now_ms, most = self.state.now_ms, self.state.switches.rest_requests_per_s
        arrivals = self.state.arrivals
        while arrivals and arrivals[0] <= now_ms - 1000:
            arrivals.popleft()
        if now_ms < self._banned_until_ms or (most is not None and len(arrivals) >= most):
            raise B2primeError(429, "too_many_requests", "Too many requests.")
        arrivals.append(now_ms)

    def _negotiate(self, request: B2primeRequest) -> object:
        if request.key is None:
            raise unauthorized()
        if request.method != "POST" or self.state.switches.negotiate == "absent":
            raise B2primeError(404, "route", "No Connection with that ID")
        return hub.negotiated()

    def _refused(self, error: B2primeError) -> WireAnswer:
        return refused(error, self.state.switches)


def _ok(document: object) -> WireAnswer:
    if isinstance(document, Created):
        return WireAnswer(status=201, body=json.dumps(document.document).encode())
    return WireAnswer(status=200, body=json.dumps(document, ensure_ascii=False).encode())


def credentials(key: ApiKey) -> dict[str, str]:
    """The API token, as it is made in the terminal's settings."""
    return {"token": key.public}


def options(account: str) -> dict[str, str]:
    """What a client must be told besides."""
    return {"hostname": HOST, "accountId": account_id(account)}


def switch(front_end: VenueFrontEnd, changes: Mapping[str, Any]) -> Callable[[], None]:
    """Check changes of switches, and give back what makes them."""
    if not isinstance(front_end, B2primeFrontEnd):
        raise TypeError(front_end)
    valid = checked(front_end.state.switches, changes)
    for market_id in {**valid.get("market_status", {}), **valid.get("calendars", {})}:
        if front_end.state.listing(market_id) is None:
            raise LookupError(f"no market {market_id}")
    return lambda: front_end.switch(valid)


B2PRIME = VenueKind(
    name="b2prime",
    hosts=(HOST,),
    listings=listings,
    trigger_words=trigger_words,
    front_end=B2primeFrontEnd,
    adapt=adapt,
    credentials=credentials,
    rules=lambda: HouseRules(reduction_must_fit=True),
    options=options,
    switch=switch,
)
