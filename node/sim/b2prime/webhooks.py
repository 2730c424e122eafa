"""Keys for TradingView alerts, and the alerts themselves.

Documented beyond the shapes: five requests a second a user, 429 with three headers, keys of one year shown once, and
the same answer again for the same ``deduplicationId`` within five minutes. Which errors there are besides is not.
"""

from __future__ import annotations

import hmac
import secrets
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from node.sim.b2prime.calls import Call, Created, amount, optional_amount, word
from node.sim.b2prime.errors import B2primeError, bad_request, forbidden, not_found, of_reason
from node.sim.b2prime.ids import IdKind, ulid
from node.sim.b2prime.markets import type_of
from node.sim.b2prime.numbers import instant, moment_of
from node.sim.b2prime.order_entry import COMMENT_MAX, SIDES, enter, read_terms
from node.sim.b2prime.venue_state import VenueState, order_id
from node.sim.market import Market
from node.sim.refusals import Reason

PER_SECOND: Final = 5
REMEMBERED_MS: Final = 5 * 60 * 1000
NAME_MAX: Final = 100
ALERT_COMMENT_MAX: Final = 256
KINDS: Final = {
    "market": ("Market", False),
    "limit": ("Limit", False),
    "stop": ("Market", True),
    "stop_limit": ("Limit", True),
}
IN_FORCE: Final = {"gtc": "Gtc", "ioc": "Ioc", "fok": "Fok", "day": "Day"}


@dataclass(slots=True, kw_only=True)
class WebhookKey:
    """One key, with its secret."""

    identifier: str
    secret: str
    name: str
    created_ms: int
    expires_ms: int
    revoked: bool = False

    def status(self, now_ms: int) -> str:
        """``Active``, ``Revoked`` or ``Expired``."""
        if self.revoked:
            return "Revoked"
        return "Expired" if now_ms >= self.expires_ms else "Active"


@dataclass(slots=True)
class Webhooks:
    """The user's keys and what was answered lately."""

    state: VenueState
    keys: list[WebhookKey] = field(default_factory=list)
    _answers: dict[str, tuple[int, dict[str, Any] | B2primeError]] = field(default_factory=dict)
    _arrivals: deque[int] = field(default_factory=deque)

    def create(self, call: Call) -> Created:
        """Make a key; its secret is shown this once."""
        name = call.body.get("name")
        if not isinstance(name, str) or not 1 <= len(name) <= NAME_MAX:
            raise bad_request(f"The field 'name' must have 1 to {NAME_MAX} characters.")
        now_ms = call.state.now_ms
        midnight = moment_of(now_ms).replace(hour=0, minute=0, second=0, microsecond=0)
        key = WebhookKey(
            identifier=ulid(IdKind.WEBHOOK_KEY, len(self.keys) + 1, now_ms),
            secret=f"wh_key_{secrets.token_hex(20)}",
            name=name,
            created_ms=now_ms,
            expires_ms=(midnight + timedelta(days=365) - moment_of(0)) // timedelta(milliseconds=1),
        )
        self.keys.append(key)
        shown = self._shown(key)
        return Created(document={"id": key.identifier, "apiKey": key.secret, "userId": call.state.user_id, **shown})

    def listed(self, call: Call) -> dict[str, Any]:
        """All keys, without their secrets."""
        url = f"https://{call.host}/frontoffice/api/v3/webhook/alerts/{call.state.user_id}"
        return {"webhookUrl": url, "apiKeys": [self._shown(key) for key in self.keys]}

    def revoke(self, call: Call) -> dict[str, Any]:
        """End a key."""
        key = next((each for each in self.keys if each.identifier == call.path[0]), None)
        if key is None:
            raise not_found("API key")
        if key.revoked:
            return {"success": False, "message": "API key is revoked already"}
        key.revoked = True
        return {"success": True, "message": "API key revoked successfully"}

    def alert(self, call: Call) -> dict[str, Any]:
        """Place the order of an alert, once."""
        state, body = call.state, call.body
        self._spend(call)
        if call.path[0] != state.user_id:
            raise not_found("user")
        self._check_key(body.get("apiKey"))
        known = body.get("deduplicationId")
        if known is not None and not isinstance(known, str):
            raise bad_request("The field 'deduplicationId' must be a UUID.")
        earlier = self._answers.get(known or "")
        if earlier is not None and state.now_ms - earlier[0] < REMEMBERED_MS:
            if isinstance(earlier[1], B2primeError):
                raise earlier[1]
            return earlier[1]
        answer: dict[str, Any] | B2primeError
        try:
            answer = self._place(call)
        except B2primeError as error:
            answer = error
        if known:
            self._answers[known] = (state.now_ms, answer)
        if isinstance(answer, B2primeError):
            raise answer
        return answer

    def _place(self, call: Call) -> dict[str, Any]:
        state, body = call.state, call.body
        account = state.account(str(body.get("accountId", "")))
        if account is None:
            raise forbidden("The account does not belong to the user.")
        call.account = account
        symbol = body.get("symbol")
        if not isinstance(symbol, str):
            raise bad_request("The field 'symbol' is required.")
        listing = state.listing(symbol.lower())
        if listing is None:
            raise of_reason(Reason.UNKNOWN_SYMBOL, state.switches)
        terms = read_terms(state, account, self._as_order(call, listing.market), listing, stop=self._waits(body))
        order = enter(call, terms)
        return {
            "success": True,
            "orderId": order_id(order),
            "orderStatus": "WaitingForActivation" if order.waits_for_trigger else "Working",
            "message": "Order placed successfully",
            "timestamp": instant(state.now_ms),
        }

    def _waits(self, body: Mapping[str, Any]) -> bool:
        return KINDS[word(body, "orderType", KINDS, "market")][1]

    def _as_order(self, call: Call, market: Market) -> dict[str, Any]:
        """The alert as an order of the trading calls; its quantity is in base units."""
        body = call.body
        kind, waits = KINDS[word(body, "orderType", KINDS, "market")]
        comment = body.get("comment")
        if comment is not None and (not isinstance(comment, str) or len(comment) > ALERT_COMMENT_MAX):
            raise bad_request(f"The field 'comment' must have {ALERT_COMMENT_MAX} characters at most.")
        quantity = amount(body, "quantity") / market.contract_size
        order: dict[str, Any] = {
            "side": word(body, "side", SIDES),
            "orderType": kind,
            "timeInForce": IN_FORCE[word(body, "timeInForce", IN_FORCE, "gtc")],
            "requestedLotAmount" if market.is_contract else "requestedAmount": quantity,
            "comment": comment[:COMMENT_MAX] if comment is not None else None,
        }
        if kind == "Limit":
            order["requestedPrice"] = amount(body, "price")
        if waits:
            order["activationPrice"] = amount(body, "stopPrice")
        if type_of(market) != "Spot":
            order["leverage"] = body.get("leverage", 1)
            for name in ("takeProfit", "stopLoss"):
                price = optional_amount(body, name)
                order[name] = None if price is None else {"price": price}
        return order

    def _check_key(self, secret: object) -> None:
        if not isinstance(secret, str):
            raise bad_request("The field 'apiKey' is required.")
        found = [each for each in self.keys if hmac.compare_digest(each.secret.encode(), secret.encode())]
        if not found or found[0].status(self.state.now_ms) != "Active":
            raise B2primeError(401, "webhook_key", "The API key is not valid.")

    def _shown(self, key: WebhookKey) -> dict[str, Any]:
        return {
            "id": key.identifier,
            "name": key.name,
            "status": key.status(self.state.now_ms),
            "createdAt": instant(key.created_ms, 0),
            "expiresAt": instant(key.expires_ms, 0),
        }

    def _spend(self, call: Call) -> None:
        now_ms = call.state.now_ms
        while self._arrivals and self._arrivals[0] <= now_ms - 1000:
            self._arrivals.popleft()
        if call.state.setup.enforce_limits and len(self._arrivals) >= PER_SECOND:
            raise B2primeError(429, "too_many_requests", "Too many requests.")
        self._arrivals.append(now_ms)

    def budget(self) -> dict[str, str]:
        """The three headers."""
        first = self._arrivals[0] if self._arrivals else self.state.now_ms
        return {
            "X-RateLimit-Limit": str(PER_SECOND),
            "X-RateLimit-Remaining": str(max(0, PER_SECOND - len(self._arrivals))),
            "X-RateLimit-Reset": str((first + 1999) // 1000),
        }
