"""The faults in force, and which of them a request meets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from node.sim.faults import Action, FaultRule, Intent, LatencyRule
from node.sim.market import Market, MarketKey, Product


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What rules can see of a request."""

    method: str
    host: str
    path: str
    intent: Intent = Intent.OTHER
    product: Product | None = None  # None: of several, of the account as a whole, or unknown
    products: frozenset[Product] = frozenset()  # of a list that shows several
    account: str | None = None
    symbols: frozenset[str] = frozenset()
    sides: frozenset[str] = frozenset()
    also: frozenset[Intent] = frozenset()  # what one request answers besides, where other venues have two


@dataclass(slots=True)
class _ActiveRule:
    rule: FaultRule
    markets: frozenset[MarketKey] | None
    seen: int = 0
    applied: int = 0

    @property
    def spent(self) -> bool:
        return self.rule.times is not None and self.applied >= self.rule.times

    def applies_to(self, traits: Traits) -> bool:
        match = self.rule.match
        intents = match.intent if isinstance(match.intent, list) else [match.intent]
        return (
            (match.intent is None or traits.intent in intents or not traits.also.isdisjoint(intents))
            and (match.product in (None, traits.product) or match.product in traits.products)
            and (self.markets is None or any((traits.product, symbol) in self.markets for symbol in traits.symbols))
            and match.method in (None, traits.method)
            and traits.host.startswith(match.host or "")
            and traits.path.startswith(match.path_prefix)
            and (match.symbol is None or match.symbol in traits.symbols)
            and (match.side is None or match.side.lower() in traits.sides)
            and match.account in (None, traits.account)
        )


@dataclass(slots=True)
class FaultPlan:
    """The faults in force."""

    latency: list[LatencyRule] = field(default_factory=list)
    _rules: list[_ActiveRule] = field(default_factory=list)

    def add(self, rules: list[FaultRule], markets_of: Callable[[str], list[Market]]) -> None:
        """Put further rules in force, after those that are. *markets_of* resolves a market's selector.

        Raises:
            LookupError: a rule's market is not listed; no rule was added.
        """
        active = []
        for rule in rules:
            selector = rule.match.market
            markets = None if selector is None else frozenset(market.key for market in markets_of(selector))
            active.append(_ActiveRule(rule, markets))
        self._rules += active

    def clear(self) -> None:
        """Behave again."""
        self.latency.clear()
        self._rules.clear()

    def take(self, traits: Traits) -> Action | None:
        """The action for this request, counting it; the first rule that applies wins."""
        chosen: Action | None = None
        for active in self._rules:
            if active.spent or not active.applies_to(traits):
                continue
            active.seen += 1
            if chosen is None and active.seen >= active.rule.match.nth:
                active.applied += 1
                chosen = active.rule.do
        if chosen is not None:
            self._rules = [active for active in self._rules if not active.spent]
        return chosen

    def round_trip_s(self, traits: Traits) -> float:
        """Injected round trip of this request, in seconds."""
        if not self.latency:
            return 0.0
        fitting = (
            rule.ms
            for rule in self.latency
            if traits.host.startswith(rule.host or "") and traits.path.startswith(rule.path_prefix)
        )
        return max(fitting, default=0.0) / 1000

    def document(self) -> Mapping[str, Any]:
        """The faults in force, as JSON."""
        return {
            "latency_ms": [rule.model_dump(mode="json") for rule in self.latency],
            "rules": [
                {**active.rule.model_dump(mode="json"), "seen": active.seen, "applied": active.applied}
                for active in self._rules
            ],
        }
