"""What a front-end owes the simulator: parse a request, answer it, and know its venue's words for trouble."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Protocol

from node.sim.conversions import ConversionDesk
from node.sim.fault_plan import Traits
from node.sim.keys import ApiKey, KeyRing
from node.sim.market import Product
from node.sim.matching import MatchingCore
from node.sim.provocations import Provocations
from node.sim.refusals import Reason
from node.sim.streams import Connection, StreamSession, StreamSwitch
from node.sim.world import SimClock

if TYPE_CHECKING:
    from node.sim.message_wire import MessageWire


@dataclass(frozen=True, slots=True, kw_only=True)
class WireRequest:
    """One HTTP request as it came, with what every front-end can say about it."""

    method: str
    host: str  # without the port
    path: str
    query: str  # raw
    body: str
    headers: Mapping[str, str]
    params: Mapping[str, str]  # query and body together, decoded, without the signature
    signature: str
    key: ApiKey | None
    traits: Traits
    address: str = ""  # where it came from; requests are counted by it


@dataclass(slots=True, kw_only=True)
class WireAnswer:
    """One HTTP answer."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    code: int | str | None = None  # the venue's error code, for the request journal
    order_ids: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """What a fault does to the matching of this request."""

    fill_fraction: Decimal | None = None
    refuse_market_orders: bool = False


NO_EFFECTS = Effects()


@dataclass(slots=True, kw_only=True)
class VenueSetup:
    """What a front-end is built from; it lives until the next reset."""

    core: MatchingCore
    keys: KeyRing
    clock: SimClock
    provocations: Provocations
    conversions: ConversionDesk
    streams: StreamSwitch
    messages: MessageWire
    enforce_limits: bool = True


class VenueFrontEnd(Protocol):
    """A venue's HTTP face. Synchronous: requests take effect one after another, in the order of arrival."""

    setup: VenueSetup

    def parse(self, method: str, host: str, target: str, headers: Mapping[str, str], body: bytes) -> WireRequest:
        """Read a request. *target* is the raw path with its query."""

    def answer(self, request: WireRequest, effects: Effects) -> WireAnswer:
        """Carry out a request."""

    def stream_products(self, request: WireRequest) -> frozenset[Product] | None:
        """What a stream at this address may carry; none if there is no stream."""

    def stream_account(self, request: WireRequest) -> str | None:
        """Whose stream the address names; none if it names nobody."""

    def open_stream(self, request: WireRequest, connection: Connection) -> StreamSession:
        """Attach a connection that was accepted."""

    def expire_streams(self, product: Product | None, account: str | None) -> None:
        """End what streams are opened with, with the venue's notice; none means all."""

    def refusal(self, code: int | str, message: str, status: int) -> WireAnswer:
        """An error in the venue's shape; *status* 0 is the usual one of that code."""

    def refusal_for(self, request: WireRequest, reason: Reason, status: int) -> WireAnswer:
        """What the venue answers to such a request when that is the trouble; *status* 0 is the usual one."""

    def rate_limited(self, request: WireRequest, retry_after_s: float) -> WireAnswer:
        """Too many requests."""

    def ban(self, retry_after_s: float) -> WireAnswer:
        """Ban the address for so long, beginning with this request."""

    def forgive(self) -> None:
        """Forget bans and what was counted."""
