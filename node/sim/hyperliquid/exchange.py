"""``POST /exchange``: signed actions.

What is checked, in this order: that the action can be read, who signed it, that a vault exists, the deadline, the
nonce, the account's budget; only then what the action itself asks for.

Referrers and builder fees serve somebody else than the account. They are carried out as at the venue, and counted: a
test asks whether a client ever sent one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from node.sim.accounts import Account
from node.sim.hyperliquid.canonical import KINDS, canonical
from node.sim.hyperliquid.errors import HyperliquidError, must_deposit, unknown_signer, unreadable
from node.sim.hyperliquid.gateway import Gateway, Status
from node.sim.hyperliquid.markets import max_leverage
from node.sim.hyperliquid.signing import USER_SIGNED, action_hash, agent_digest, recover, user_signed_digest
from node.sim.hyperliquid.venue_state import VenueState
from node.sim.hyperliquid.wallets import find_agent, master_address
from node.sim.keys import ApiKey
from node.sim.market import ZERO
from node.sim.orders import Origin
from node.sim.venue import Effects

#: Traded volume below which nothing may be scheduled, in USDC, and how far ahead it must be.
SCHEDULE_VOLUME: Final = 1_000_000
SCHEDULE_AHEAD_MS: Final = 5000
FEE_RATE: Final = re.compile(r"^(\d+(?:\.\d+)?)%$")
OF_BATCH: Final = {"order": "orders", "cancel": "cancels", "cancelByCloid": "cancels", "batchModify": "modifies"}
CANCELS: Final = frozenset({"cancel", "cancelByCloid", "scheduleCancel", "twapCancel"})
DONE: Final[Mapping[str, Any]] = {"type": "default"}
Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A request and who it is from. *key* is none if the account's owner signed it, or a stranger."""

    document: Document
    signer: str
    key: ApiKey | None = None
    account: Account | None = None

    @property
    def action(self) -> Document:
        """What is asked for."""
        action = self.document["action"]
        return action if isinstance(action, dict) else {}

    @property
    def kind(self) -> str:
        """Its type."""
        return str(self.action.get("type"))

    @property
    def origin(self) -> Origin:
        """On whose account the deed is counted."""
        return self.key.role if self.key is not None else Origin.CLIENT


def identify(state: VenueState, document: Document) -> Signed:
    """Recover the signer and find out whom that is.

    Raises:
        HyperliquidError: the request cannot be read.
    """
    action, nonce, signature = (document.get(name) for name in ("action", "nonce", "signature"))
    if not isinstance(action, dict) or not isinstance(nonce, int) or not isinstance(signature, dict):
        raise unreadable()
    kind = str(action.get("type"))
    if kind not in KINDS and kind not in USER_SIGNED:
        raise unreadable()
    vault, deadline = document.get("vaultAddress"), document.get("expiresAfter")
    try:
        if kind in USER_SIGNED:
            digest = user_signed_digest(kind, action)
        else:
            digest = agent_digest(action_hash(canonical(action), nonce, vault, deadline))
        signer = recover(digest, signature)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise unreadable() from error
    account = state.account(signer)
    if account is not None:
        return Signed(document=document, signer=signer, account=account)
    key = find_agent(state.setup.keys, signer)
    owner = state.account(master_address(key.account)) if key is not None else None
    return Signed(document=document, signer=signer, key=key, account=owner)


def carry_out(state: VenueState, signed: Signed, effects: Effects, order_ids: list[int]) -> dict[str, Any]:
    """Do what was asked; the answer's ``response``.

    Raises:
        HyperliquidError: the whole request is refused.
    """
    account, kind, now_ms = signed.account, signed.kind, state.now_ms
    if account is None:
        raise unknown_signer(signed.signer)
    _count_what_serves_others(signed, account)
    vault, deadline = signed.document.get("vaultAddress"), signed.document.get("expiresAfter")
    if vault is not None:
        raise HyperliquidError(f"Vault not registered: 0x{str(vault).lower().removeprefix('0x')}")
    if isinstance(deadline, int) and now_ms > deadline:
        raise HyperliquidError("Action already expired")
    state.nonces.take(signed.signer, int(signed.document["nonce"]), now_ms)
    entries = signed.action.get(OF_BATCH.get(kind, ""))
    count = len(entries) if isinstance(entries, list) else 1
    if state.setup.enforce_limits and count <= 200:  # beyond that the action is refused whole, and costs nothing
        state.budgets[account.name].spend(max(1, count), now_ms, cancels=kind in CANCELS)
    if kind in USER_SIGNED:
        return _owners_deed(state, signed, account)
    gateway = Gateway(state=state, account=account, origin=signed.origin, effects=effects, order_ids=order_ids)
    if kind == "order":
        _check_builder(state, signed.action, account)
        return _statuses("order", gateway.place(signed.action))
    if kind == "cancel":
        return _statuses("cancel", gateway.cancel(signed.action))
    if kind == "cancelByCloid":
        return _statuses("cancel", gateway.cancel_by_cloid(signed.action))
    if kind in ("modify", "batchModify"):
        modifies = [signed.action] if kind == "modify" else signed.action["modifies"]
        return _statuses("order", gateway.modify(modifies))
    if kind in ("twapOrder", "twapCancel"):
        deed = state.twaps.place if kind == "twapOrder" else state.twaps.cancel
        return {"type": kind, "data": {"status": deed(account, signed.action, signed.origin)}}
    if kind == "scheduleCancel":
        return _schedule(state, signed.action, account)
    if kind == "updateLeverage":
        return _leverage(state, signed.action, account)
    if kind == "reserveRequestWeight" and signed.key is not None:
        raise must_deposit(signed.signer)
    return dict(DONE)


def _statuses(kind: str, statuses: list[Status]) -> dict[str, Any]:
    return {"type": kind, "data": {"statuses": statuses}}


def _count_what_serves_others(signed: Signed, account: Account) -> None:
    if signed.kind in ("setReferrer", "approveBuilderFee") or signed.action.get("builder") is not None:
        counters = account.counters_of(signed.origin)
        if counters is not None:
            counters.forbidden += 1


def _check_builder(state: VenueState, action: Document, account: Account) -> None:
    builder = action.get("builder")
    if builder is None:
        return
    if not isinstance(builder.get("f"), int):
        raise unreadable()
    if state.builders.get((account.name, str(builder["b"]).lower()), -1) < builder["f"]:
        raise HyperliquidError("Builder fee has not been approved.")


def _owners_deed(state: VenueState, signed: Signed, account: Account) -> dict[str, Any]:
    """What only the account's own key may do; an agent signs it in its own name, which owns nothing."""
    if signed.key is not None:
        raise must_deposit(signed.signer)
    if signed.kind != "approveBuilderFee":
        raise HyperliquidError("Insufficient balance for withdrawal")  # money does not leave a simulator
    rate = FEE_RATE.match(str(signed.action["maxFeeRate"]))
    if rate is None:
        raise unreadable()
    tenths = int(float(rate.group(1)) * 1000)
    state.builders[account.name, str(signed.action["builder"]).lower()] = tenths
    return dict(DONE)


def _schedule(state: VenueState, action: Document, account: Account) -> dict[str, Any]:
    traded, due_ms = state.budgets[account.name].traded, action.get("time")
    if due_ms is not None and not isinstance(due_ms, int):
        raise unreadable()
    if due_ms is None:
        state.schedules.pop(account.name, None)
        return dict(DONE)
    if traded < SCHEDULE_VOLUME:
        raise HyperliquidError(
            f"Cannot set scheduled cancel time until enough volume traded. Required: ${SCHEDULE_VOLUME}. "
            f"Traded: ${traded:.2f}."
        )
    if due_ms < state.now_ms + SCHEDULE_AHEAD_MS:
        raise HyperliquidError("Scheduled cancel time too early, must be at least 5 seconds from now.")  # assumed
    state.schedules[account.name] = due_ms
    return dict(DONE)


def _leverage(state: VenueState, action: Document, account: Account) -> dict[str, Any]:
    market, leverage = state.market(action.get("asset")), action.get("leverage")
    if market is None or not market.is_contract or not isinstance(leverage, int):
        raise HyperliquidError("Invalid perp")
    if not 1 <= leverage <= max_leverage(market):
        raise HyperliquidError("Invalid leverage value")
    settings, isolated = account.position_settings(market), not action.get("isCross")
    if ":" in market.symbol and not isolated:
        raise HyperliquidError("Cross margin is not allowed for this asset.")
    if account.quantity(market) != ZERO and settings.isolated != isolated:
        raise HyperliquidError("Cannot switch leverage type with open position.")
    account.settings[market.key] = replace(settings, leverage=leverage, isolated=isolated)
    return dict(DONE)
