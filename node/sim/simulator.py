"""One simulated venue: its world, its faults, its journal. What the control port and tests in the same process use."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from node.sim.accounts import Account
from node.sim.admission import HouseRules
from node.sim.conversions import ConversionDesk
from node.sim.fault_plan import FaultPlan
from node.sim.faults import FaultDocument, LatencyRule
from node.sim.keys import ApiKey, KeyRing
from node.sim.market import Listing, Market
from node.sim.message_wire import MessageWire
from node.sim.orders import Origin
from node.sim.provocations import Provocations
from node.sim.request_journal import RequestJournal
from node.sim.scenarios import SCENARIOS, AccountSeed
from node.sim.state_document import state_document
from node.sim.streams import StreamSwitch
from node.sim.venue import VenueFrontEnd, VenueSetup
from node.sim.wire import WireHandler
from node.sim.world import SimClock, TriggerWords, build_world, select_markets


def _as_it_is(seed: AccountSeed) -> AccountSeed:
    return seed


def _key_pair(key: ApiKey) -> dict[str, str]:
    return key.credentials


def _no_options(_account: str) -> dict[str, str]:
    return {}


def _no_switches(_front_end: VenueFrontEnd, switches: Mapping[str, Any]) -> Callable[[], None]:
    if switches:
        raise LookupError(f"this venue has no switches of its own: {', '.join(switches)}")
    return lambda: None


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueKind:
    """A venue that can be simulated."""

    name: str
    hosts: tuple[str, ...]  # names its certificate covers
    listings: Callable[[], list[Listing]]
    trigger_words: TriggerWords
    front_end: Callable[[VenueSetup], VenueFrontEnd]
    #: What an account of a scenario becomes where the venue lists other things than the scenario names.
    adapt: Callable[[AccountSeed], AccountSeed] = _as_it_is
    #: A key under ccxt's names, where it is not a pair of words.
    credentials: Callable[[ApiKey], dict[str, str]] = _key_pair
    rules: Callable[[], HouseRules] = HouseRules  # as they are without faults
    passphrases: bool = False  # its keys have one
    #: What a client must be told of an account besides the key.
    options: Callable[[str], dict[str, str]] = _no_options
    #: Checks switches of this venue's own, and gives back what sets them. Raises LookupError or ValueError.
    switch: Callable[[VenueFrontEnd, Mapping[str, Any]], Callable[[], None]] = _no_switches


def _call_later(delay_s: float, action: Callable[[], None]) -> None:
    asyncio.get_running_loop().call_later(delay_s, action)


class Simulator:
    """A running venue.

    Attributes:
        port, control_port, ca_path: Where it is reached; set by the server.
    """

    def __init__(
        self, kind: VenueKind, *, scenario: str = "demo", seed: int | None = None, enforce_limits: bool = True
    ) -> None:
        self.kind = kind
        self.keys = KeyRing(seed, passphrases=kind.passphrases)
        self.clock = SimClock()
        self.faults = FaultPlan()
        self.journal = RequestJournal()
        self.streams = StreamSwitch()
        self.port = 0
        self.control_port = 0
        self.ca_path = Path()
        self._limits_default = enforce_limits
        self._build(scenario)
        self.handler = WireHandler(self.setup_front_end(), self.faults, self.journal, self.streams)

    def _build(self, scenario: str) -> None:
        accounts = tuple(self.kind.adapt(account) for account in SCENARIOS[scenario])
        self.scenario = scenario
        self.core = build_world(self.kind.listings(), accounts, self.clock, self.kind.trigger_words)
        self.core.rules = self.kind.rules()
        for account in accounts:
            self.keys.issue(account.name)
        self.provocations = Provocations(self.core, _call_later)

    def setup_front_end(self) -> VenueFrontEnd:
        """A front-end on the present world."""
        self.setup = VenueSetup(
            core=self.core,
            keys=self.keys,
            clock=self.clock,
            provocations=self.provocations,
            streams=self.streams,
            messages=MessageWire(self.faults, self.journal),
            conversions=ConversionDesk(self.core),
            enforce_limits=self._limits_default,
        )
        return self.kind.front_end(self.setup)

    @property
    def account(self) -> Account:
        """The scenario's first account."""
        return next(iter(self.core.accounts.values()))

    def credentials(self, account: str | None = None, role: Origin = Origin.CLIENT) -> dict[str, str]:
        """A key under ccxt's names.

        Raises:
            LookupError: the account has no such key.
        """
        return self.kind.credentials(self._key(account or self.account.name, role))

    def reset(self, scenario: str | None = None) -> None:
        """Start the scenario again, or another one: same keys, no faults, an empty journal.

        Raises:
            LookupError: there is no such scenario.
        """
        if scenario is not None and scenario not in SCENARIOS:
            raise LookupError(f"no scenario {scenario}; there are {', '.join(SCENARIOS)}")
        self.clear_faults()
        self.streams.cut_all()
        self.journal.clear()
        self._build(scenario or self.scenario)
        self.handler.front_end = self.setup_front_end()

    def clear_faults(self) -> None:
        """Behave again; whoever was kept waiting is let go. Prices and the state of markets stay as they are."""
        self.faults.clear()
        self.provocations.clear()
        self.streams.clear()
        self.keys.restore()
        self.core.rules = self.kind.rules()
        self.clock.offset_ms = 0
        self.handler.front_end.forgive()
        self.handler.released.set()
        self.handler.released = asyncio.Event()

    def apply(self, document: FaultDocument) -> None:
        """Set faults.

        Raises:
            LookupError: a symbol, an account or a switch does not exist; nothing was changed.
            ValueError: a switch has no such position; nothing was changed.
        """
        statuses = [(m, s) for name, s in document.market_status.items() for m in select_markets(self.core, name)]
        prices = [(m, p) for name, p in document.prices.items() for m in select_markets(self.core, name)]
        revoked = [self._key(name) for name in document.revoke_key]
        rights = [(self._key(name), change) for name, change in document.key_rights.items()]
        for rule in document.rules:
            if rule.match.market is not None:
                self._markets(rule.match.market)
        switch = self.kind.switch(self.handler.front_end, document.venue)
        if document.clear:
            self.clear_faults()
        switch()
        self.provocations.add(document.engine_reopens, document.late_trigger, document.hidden_slice)
        self._apply_wire(document)
        for fault in document.streams:
            self.streams.apply(fault)
            if fault.expire:
                self.handler.front_end.expire_streams(fault.product, fault.account)
        for key in revoked:
            key.revoked = True
        for key, change in rights:
            key.rights = replace(key.rights, **change.model_dump(exclude_none=True))
        for market, status in statuses:
            self.core.set_status(market, status)
        for market, mark in prices:
            self.core.set_mark(market, mark)

    def _key(self, account: str, role: Origin = Origin.CLIENT) -> ApiKey:
        key = self.keys.find(account, role)
        if key is None:
            raise LookupError(f"no {role} key for account {account}")
        return key

    def _markets(self, selector: str) -> list[Market]:
        return select_markets(self.core, selector)

    def _apply_wire(self, document: FaultDocument) -> None:
        self.faults.add(document.rules, self._markets)
        if isinstance(document.latency_ms, list):
            self.faults.latency = list(document.latency_ms)
        elif document.latency_ms is not None:
            self.faults.latency = [LatencyRule(ms=document.latency_ms)]
        if document.clock_offset_ms is not None:
            self.clock.offset_ms = document.clock_offset_ms
        if document.enforce_limits is not None:
            self.setup.enforce_limits = document.enforce_limits
        for rule in ("reduce_only_conflict_refused", "reduce_only_expires", "auto_borrow", "conversion_ratio"):
            if getattr(document, rule) is not None:
                setattr(self.core.rules, rule, getattr(document, rule))

    def set_faults(self, **faults: object) -> None:
        """Set faults from keyword arguments, in the form of the control port's JSON."""
        self.apply(FaultDocument.model_validate(faults))

    def state(self) -> dict[str, Any]:
        """The whole state, as JSON."""
        return {
            "venue": self.kind.name,
            "scenario": self.scenario,
            **state_document(self.core),
            "streams": self.streams.open_document(),
            "faults": {
                **self.faults.document(),
                **self.provocations.document(),
                "streams": self.streams.document(),
                "clock_offset_ms": self.clock.offset_ms,
                "enforce_limits": self.setup.enforce_limits,
                "revoked_keys": sorted(key.name for key in self.keys.by_public.values() if key.revoked),
            },
        }

    def ready_document(self) -> dict[str, Any]:
        """What is printed when the simulator serves."""
        return {
            "ready": True,
            "venue": self.kind.name,
            "port": self.port,
            "control": self.control_port,
            "ca": str(self.ca_path),
            "accounts": [
                {
                    "name": name,
                    "credentials": self.credentials(name),
                    "engine_credentials": self.credentials(name, Origin.ENGINE),
                    **({"options": options} if (options := self.kind.options(name)) else {}),
                }
                for name in self.core.accounts
            ],
        }
