"""``POST /info``: everything that can be read. Nobody signs for it; an account is named by its address.

Sources: "Info endpoint", "Perpetuals" and "Spot" of the documentation; recorded answers of hyperliquid-python-sdk's
tests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from node.sim.accounts import Account
from node.sim.faults import Intent
from node.sim.hyperliquid import market_data
from node.sim.hyperliquid.account_views import ABSTRACTION, clearinghouse_state, spot_state
from node.sim.hyperliquid.errors import HyperliquidError, unreadable
from node.sim.hyperliquid.markets import DEXS, dex_of
from node.sim.hyperliquid.order_views import front_end_order, is_cloid, open_order, rejected_order, status
from node.sim.hyperliquid.venue_state import VenueState
from node.sim.hyperliquid.wallets import agent_address, find_agent, master_address
from node.sim.market import Product
from node.sim.orders import Order

HISTORY_MAX = 2000
FILLS_MAX = 2000
AGENT_VALID_MS: Final = 90 * 86_400_000

Document = Mapping[str, Any]


@dataclass(slots=True)
class Read:
    """One read."""

    state: VenueState
    document: Document

    @property
    def dex(self) -> str:
        """Whose contracts are asked for. Without a word: the venue's own."""
        name = self.document.get("dex") or ""
        if not isinstance(name, str):
            raise unreadable()
        if name not in {each.name for each in DEXS}:
            raise HyperliquidError("null", status=500)
        return name

    def time(self, name: str, default: int) -> int:
        """A moment, in milliseconds."""
        value = self.document.get(name, default)
        if not isinstance(value, int):
            raise unreadable()
        return value

    @property
    def address(self) -> str:
        """Whom the read is about."""
        user = self.document.get("user")
        if not isinstance(user, str) or not user.startswith("0x") or len(user) != 42:
            raise unreadable("missing field `user`")
        return user.lower()

    @property
    def account(self) -> Account | None:
        """The account of that address; none if nothing was ever there."""
        return self.state.account(self.address)

    def hidden(self, product: Product) -> tuple[str, ...]:
        """What this read leaves out."""
        return self.state.setup.provocations.hidden_from(product)


Handler = Callable[[Read], object]


@dataclass(frozen=True, slots=True)
class InfoType:
    """One type of read, and what a client wants with it."""

    handler: Handler
    intent: Intent
    product: Product | None = None
    also: frozenset[Intent] = frozenset()  # positions and their wallet are one document


def _own_orders(read: Read) -> list[Order]:
    """The open orders that a list shows: the dex's, and those on spot with the venue's own. Newest first."""
    account, dex = read.account, read.dex
    if account is None:
        return []
    contracts, spot = read.hidden(Product.LINEAR), read.hidden(Product.SPOT) if not dex else ()
    return [
        order
        for order in reversed(account.open_orders.values())
        if dex_of(order.terms.market) == dex
        and not read.state.hidden(order.terms.market, contracts if order.terms.market.is_contract else spot)
    ]


def _open_orders(read: Read) -> list[dict[str, Any]]:
    account = read.account
    return [] if account is None else [open_order(account, order) for order in _own_orders(read)]


def _front_end_open_orders(read: Read) -> list[dict[str, Any]]:
    account = read.account
    if account is None:
        return []
    families = read.state.children
    return [
        front_end_order(account, order, [account.orders[number] for number in families.get(order.order_id, ())])
        for order in _own_orders(read)
    ]


def _clearinghouse_state(read: Read) -> dict[str, Any]:
    return clearinghouse_state(read.state, read.account, read.dex, read.hidden(Product.LINEAR))


def _spot_clearinghouse_state(read: Read) -> dict[str, Any]:
    return spot_state(read.account, hidden="spot" in read.hidden(Product.SPOT))


def _order_status(read: Read) -> dict[str, Any]:
    wanted, account = read.document.get("oid"), read.account
    if isinstance(wanted, str) and not is_cloid(wanted):
        raise unreadable("invalid type: string, expected u64 or cloid")
    for entry in history(read.state, account):
        order = entry["order"]
        if wanted is not None and (order["oid"] == wanted or order["cloid"] == str(wanted).lower()):
            return {"status": "order", "order": entry}
    return {"status": "unknownOid"}


def history(state: VenueState, account: Account | None) -> list[dict[str, Any]]:
    """Every order with the state that it is in now, newest first."""
    if account is None:
        return []
    taken = [
        {
            "order": front_end_order(account, order),
            "status": status(account, order),
            "statusTimestamp": order.updated_ms,
        }
        for order in account.orders.values()
    ]
    refused = [
        {"order": rejected_order(each), "status": each.status, "statusTimestamp": each.at_ms}
        for each in state.rejected[account.name]
    ]
    return sorted(taken + refused, key=lambda entry: (entry["statusTimestamp"], entry["order"]["oid"]), reverse=True)


def _historical_orders(read: Read) -> list[dict[str, Any]]:
    return history(read.state, read.account)[:HISTORY_MAX]


def _twap_history(read: Read) -> list[dict[str, Any]]:
    account = read.account
    return [] if account is None else read.state.twaps.history(account, master_address(account.name))


def _user_fills(read: Read) -> list[dict[str, Any]]:
    account = read.account
    fills = [] if account is None else read.state.fills[account.name]
    since, until = read.time("startTime", 0), read.time("endTime", read.state.now_ms)
    return [fill for fill in reversed(fills) if since <= fill["time"] <= until][:FILLS_MAX]


def _user_rate_limit(read: Read) -> dict[str, Any]:
    account = read.account
    if account is None:
        return {"cumVlm": "0.0", "nRequestsUsed": 0, "nRequestsCap": 10000, "nRequestsSurplus": 0}
    budget = read.state.budgets[account.name]
    return {
        "cumVlm": f"{budget.traded:f}",
        "nRequestsUsed": budget.used,
        "nRequestsCap": budget.cap,
        "nRequestsSurplus": 0,
    }


def _user_role(read: Read) -> dict[str, Any]:
    if read.account is not None:
        return {"role": "user"}
    agent = find_agent(read.state.setup.keys, read.address)
    if agent is not None:
        return {"role": "agent", "data": {"user": master_address(agent.account)}}
    return {"role": "missing"}


def _extra_agents(read: Read) -> list[dict[str, Any]]:
    account = read.account
    keys = read.state.setup.keys.by_public.values() if account is not None else ()
    return [
        {"name": str(key.role), "address": agent_address(key), "validUntil": read.state.now_ms + AGENT_VALID_MS}
        for key in keys
        if account is not None and key.account == account.name and not key.revoked
    ]


def _exchange_status(read: Read) -> dict[str, Any]:
    return {"specialStatuses": None, "time": read.state.now_ms}


def _max_builder_fee(read: Read) -> int:
    account, builder = read.account, str(read.document.get("builder", "")).lower()
    return 0 if account is None else read.state.builders.get((account.name, builder), 0)


TYPES: Final[Mapping[str, InfoType]] = {
    "meta": InfoType(lambda r: market_data.meta(r.state, r.dex), Intent.MARKETS, Product.LINEAR),
    "metaAndAssetCtxs": InfoType(
        lambda r: market_data.meta_and_contexts(r.state, r.dex), Intent.MARKETS, Product.LINEAR
    ),
    "perpDexs": InfoType(lambda r: market_data.dexs(r.state), Intent.MARKETS, Product.LINEAR),
    "spotMeta": InfoType(lambda r: market_data.spot_meta(r.state), Intent.MARKETS, Product.SPOT),
    "spotMetaAndAssetCtxs": InfoType(
        lambda r: market_data.spot_meta_and_contexts(r.state), Intent.MARKETS, Product.SPOT
    ),
    "allMids": InfoType(lambda r: market_data.all_mids(r.state, r.dex), Intent.QUOTES),
    "l2Book": InfoType(lambda r: market_data.book(r.state, r.document.get("coin")), Intent.QUOTES),
    "exchangeStatus": InfoType(_exchange_status, Intent.TIME),
    "clearinghouseState": InfoType(
        _clearinghouse_state, Intent.POSITIONS, Product.LINEAR, also=frozenset({Intent.BALANCES})
    ),
    "spotClearinghouseState": InfoType(_spot_clearinghouse_state, Intent.BALANCES, Product.SPOT),
    "openOrders": InfoType(_open_orders, Intent.ORDERS),
    "frontendOpenOrders": InfoType(_front_end_open_orders, Intent.ORDERS),
    "orderStatus": InfoType(_order_status, Intent.ORDER),
    "twapHistory": InfoType(_twap_history, Intent.TRIGGERS),
    "historicalOrders": InfoType(_historical_orders, Intent.OTHER),
    "userFills": InfoType(_user_fills, Intent.OTHER),
    "userFillsByTime": InfoType(_user_fills, Intent.OTHER),
    "userRateLimit": InfoType(_user_rate_limit, Intent.OTHER),
    "userRole": InfoType(_user_role, Intent.RIGHTS),
    "extraAgents": InfoType(_extra_agents, Intent.RIGHTS),
    "userAbstraction": InfoType(lambda _: ABSTRACTION, Intent.RIGHTS),
    "maxBuilderFee": InfoType(_max_builder_fee, Intent.OTHER),
}


def answer(state: VenueState, document: Document) -> object:
    """What a read answers with.

    Raises:
        HyperliquidError: it cannot be read.
    """
    found = TYPES.get(str(document.get("type")))
    if found is None:
        raise unreadable()
    return found.handler(Read(state, document))
