"""The simulated venues that are put through the failures. Whatever only one venue says stands here, not in a test."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from node.sim.binance import limits as binance_limits
from node.sim.hyperliquid import limits as hyperliquid_limits
from node.sim.hyperliquid import venue_state as hyperliquid_state
from node.sim.simulator import Simulator
from node.venues.profiles import binance_calls, hyperliquid_calls, hyperliquid_refusals
from node.venues.profiles.binance import BinanceProfile
from node.venues.profiles.hyperliquid import HyperliquidProfile

#: Replaces an attribute of an object for the length of a test.
Patch = Callable[[object, str, object], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """The contract that most tests of one kind of market are about; every book holds it."""

    product: str
    #: In the simulators' words.
    market: str

    def __str__(self) -> str:
        return self.product


LINEAR: Final = Contract(product="linear", market="linear:BTC/USDT")
INVERSE: Final = Contract(product="inverse", market="inverse:BTC/USD")


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueUnderTest:
    """One simulated venue, and what the tests must know of it that they cannot ask it."""

    name: str
    #: Slices of the accounts here; those of borrowed money by themselves.
    slices: tuple[str, ...]
    margin_slices: tuple[str, ...]
    contracts: tuple[Contract, ...]
    #: The parameter that carries an order's client id.
    client_id: str
    #: The parameter that says how much of a debt is paid back.
    repaid_amount: str
    #: Coin of a linear contract that a read of all may forget, as a slice's name.
    hidden_slice: str
    #: Makes the minute by which budgets are counted that short, at the venue and in the profile.
    shorten_minute: Callable[[Patch, float], None]
    #: The same for every test, where a look at everything takes most of what a venue allows.
    usual_minute_s: float | None = None
    #: What everything is sold into.
    base_currency: str = "USDT"
    #: A market that the tests name, as this venue's simulator does; a coin likewise.
    market: Callable[[str], str] = str
    coin: Callable[[str], str] = str
    #: What coins are sold for on spot, as the tests name it.
    quotes: tuple[str, ...] = ("USDT", "BTC", "USDC")
    #: Coins that sell for the base currency, and amounts of them.
    coins: Mapping[str, str] = field(
        default_factory=lambda: {"BTC": "0.5", "ETH": "3", "SOL": "12", "XRP": "900", "LINK": "40"}
    )
    #: A coin without a market against the base currency, and the one that it goes over.
    bridged: tuple[str, str] = ("WAN", "BTC")
    #: How an order is refused, as a fault says it, whose market the account may not trade in.
    not_permitted: Mapping[str, object] = field(
        default_factory=lambda: {"code": -2010, "msg": "This symbol is not permitted for this account."}
    )
    #: Whether the venue's answer to too much load says for certain that nothing was done.
    overload_is_certain: bool = True
    #: What one read of shows spot and nothing else.
    spot_list: str = "orders"
    #: Whether positions can be closed before it is known which markets there are.
    closes_without_markets: bool = True
    #: A market of another dex, and that dex as a slice's name. Then what makes a dex that is not there yet; what that
    #: returns deploys it.
    dex_market: str = ""
    hidden_dex: str = ""
    late_dex: Callable[[Patch], Callable[[Simulator], None]] | None = None
    #: Failures that cannot occur there, and why.
    impossible: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name


def _binance_minute(patch: Patch, seconds: float) -> None:
    patch(binance_limits, "MINUTE_MS", int(seconds * 1000))
    budgets = {
        name: replace(budget, interval_s=budget.interval_s * seconds / 60)
        for name, budget in binance_calls.BUDGETS.items()
    }
    patch(BinanceProfile, "budgets", budgets)


def _hyperliquid_minute(patch: Patch, seconds: float) -> None:
    patch(hyperliquid_limits, "MINUTE_MS", int(seconds * 1000))
    patch(hyperliquid_limits, "THROTTLED_EVERY_MS", int(seconds * 1000 / 6))
    patch(hyperliquid_refusals, "LIMITED_S", seconds / 6)
    budgets = {
        name: replace(budget, interval_s=budget.interval_s * seconds / 60)
        for name, budget in hyperliquid_calls.BUDGETS.items()
    }
    patch(HyperliquidProfile, "budgets", budgets)


def _hyperliquid_market(name: str) -> str:
    """As scenarios are adapted there: the venue's own dex for what is in USDT, a builder's for what is in USDC."""
    product, _, pair = name.partition(":")
    base, _, quote = pair.partition("/")
    if product == "linear" and quote == "USDC" and base in ("BTC", "ETH", "SOL"):
        return f"linear:HYNA-{base}/USDE"
    return f"{product}:{_hyperliquid_coin(base) if product == 'spot' else base}/{'USDC' if quote == 'USDT' else quote}"


def _hyperliquid_coin(name: str) -> str:
    return {"USDT": "USDC", "DOGE": "PURR", "USDT0": "USDT"}.get(name, name)


def _hyperliquid_late_dex(patch: Patch) -> Callable[[Simulator], None]:
    patch(hyperliquid_state, "UNDEPLOYED", frozenset({"hyna"}))

    def deploy(sim: Simulator) -> None:
        sim.handler.front_end.state.undeployed.clear()  # type: ignore[attr-defined]

    return deploy


VENUES: Final[Mapping[str, VenueUnderTest]] = {
    venue.name: venue
    for venue in (
        VenueUnderTest(
            name="binance",
            slices=("spot", "linear", "inverse"),
            margin_slices=("margin",),
            contracts=(LINEAR, INVERSE),
            client_id="newClientOrderId",
            repaid_amount="amount",
            hidden_slice="linear:USDC",
            shorten_minute=_binance_minute,
            impossible={
                "hidden_page": (
                    "openOrders, openAlgoOrders, positionRisk and account answer with everything: their pages name no "
                    "limit, cursor or page (developers.binance.com)"
                ),
                "hidden_dex": "there is one matching engine a product, and no builder-deployed markets",
            },
        ),
        VenueUnderTest(
            name="hyperliquid",
            slices=("spot", "linear"),
            margin_slices=(),
            contracts=(LINEAR,),
            client_id="cloid",
            repaid_amount="amount",
            hidden_slice="linear:USDE",
            shorten_minute=_hyperliquid_minute,
            usual_minute_s=3.0,
            base_currency="USDC",
            market=_hyperliquid_market,
            coin=_hyperliquid_coin,
            quotes=("USDT",),
            coins={"BTC": "0.5", "ETH": "3", "SOL": "12", "HYPE": "20", "PURR": "900"},
            bridged=("WAN", "USDT0"),
            not_permitted={"reason": "position_limit"},
            closes_without_markets=False,
            overload_is_certain=False,
            spot_list="balances",
            dex_market="linear:XYZ-GOLD/USDC",
            hidden_dex="linear:xyz",
            late_dex=_hyperliquid_late_dex,
            impossible={
                "hedge_sides": "one-way positions only: clearinghouseState knows no other type (info endpoint)",
                "hidden_page": (
                    "lists of orders and positions are answered whole: only answers to a time range have pages "
                    "(info endpoint, Pagination)"
                ),
                "expiring": "there are perpetual contracts and spot, and nothing that expires (asset ids)",
                "rights_removed": (
                    "an API wallet may do everything but move money: it has no rights that could be taken one by one "
                    "(nonces and API wallets)"
                ),
                "limited_product": "one budget for all that comes from an address (rate limits and user limits)",
                "market_band": "there are no market orders: every order names its price (exchange endpoint)",
                "spot_maximum": "no order on spot is too large: the documentation names no largest size or value",
                "borrowed": (
                    "only accounts with portfolio margin borrow, and those are refused when the account is armed "
                    "(account abstraction modes)"
                ),
                "conversion": "there is no convert service: the exchange endpoint knows no such action",
            },
        ),
    )
}
