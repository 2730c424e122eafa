"""The simulated venues that are put through the failures. Whatever only one venue says stands here, not in a test."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from node.sim.accounts import Account
from node.sim.b2prime.front_end import B2primeFrontEnd
from node.sim.b2prime.markets import asset_id
from node.sim.b2prime.venue_state import VenueState
from node.sim.binance import limits as binance_limits
from node.sim.bybit import limits as bybit_limits
from node.sim.bybit.account import wallet_view
from node.sim.hyperliquid import limits as hyperliquid_limits
from node.sim.hyperliquid import venue_state as hyperliquid_state
from node.sim.hyperliquid.account_views import spot_state
from node.sim.market import ZERO, Market, Product
from node.sim.matching import MatchingCore
from node.sim.okx import limits as okx_limits
from node.sim.orders import Origin
from node.sim.scenarios import AccountSeed, MarketName, TriggerAction, TriggerSeed
from node.sim.simulator import Simulator
from node.venues.b2prime import charges as b2prime_charges
from node.venues.b2prime.profile import B2primeProfile
from node.venues.profiles.binance import calls as binance_calls
from node.venues.profiles.binance.profile import BinanceProfile
from node.venues.profiles.bybit import calls as bybit_calls
from node.venues.profiles.bybit.profile import BybitProfile
from node.venues.profiles.hyperliquid import calls as hyperliquid_calls
from node.venues.profiles.hyperliquid import refusals as hyperliquid_refusals
from node.venues.profiles.hyperliquid.profile import HyperliquidProfile
from node.venues.profiles.okx import calls as okx_calls
from node.venues.profiles.okx.profile import OkxProfile

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


def _as_it_is(book: AccountSeed) -> AccountSeed:
    return book


def _status(statuses: Mapping[str, object]) -> Mapping[str, object]:
    return {"market_status": dict(statuses)}


def _stops(_sim: Simulator, account: Account, market: Market) -> list[Any]:
    """Conditional orders that can only make a position smaller."""
    return [
        order
        for order in account.open_orders.values()
        if order.terms.market == market and order.waits_for_trigger and order.terms.only_reduces
    ]


def _fire(sim: Simulator, account: Account, stop: Any) -> None:
    sim.core.fire(account, stop)


def _legs(_sim: Simulator, account: Account) -> int:
    return len(list(account.open_positions()))


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
    #: The answer to a read of a wallet, as it is now.
    wallet_answer: Callable[[MatchingCore, Account, Product], object]
    #: Refusals as faults say them: those that no reason of the simulators' names, where the failure can occur.
    words: Mapping[str, Mapping[str, object]]
    #: A good answer to a read of a list that has nothing in it.
    nothing: object
    #: A coin, two amounts of it that are below the least order (worth one to five dollars), and an amount that is more
    #: than two orders may be of.
    little: tuple[str, str, str] = ("BTC", "0.00002", "0.00007")
    much: tuple[str, str] = ("ADA", "700000")
    #: Intents of requests that are made with others' there: a list of conditional orders that is none of its own.
    intents: Mapping[str, str] = field(default_factory=dict)
    #: What its answers say, by status or code, when there were too many requests.
    too_many: frozenset[int] = frozenset({429})
    #: Status and code of the answers to a banned address.
    banned: tuple[int, str | None] = (418, None)
    #: Whether the answer to an order says what became of it, or only that it arrived.
    tells_fills: bool = True
    #: Contracts that no order can be of, where orders have no least value: what is left when a lot grows.
    rest_of_a_lot: str | None = None
    #: Whether every product has a position mode of its own.
    modes_by_product: bool = True
    #: The wallet that owes, and whether what is owed and not held is bought.
    owing: Product = Product.MARGIN
    buys_debts: bool = True
    #: A book as it can be there.
    book: Callable[[AccountSeed], AccountSeed] = _as_it_is
    #: How many orders a page of a list shows; None: all.
    orders_page: int | None = None
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
    #: What the venue cannot show, in every document's words: a flat account is then flat with that reserve.
    unverified: tuple[str, ...] = ()
    #: Whether conditional orders can be listed, and cancelled. Those that wait are not counted where they cannot.
    lists_triggers: bool = True
    #: Whether a look is a subscription of its own: it is refused without saying why, and silent where streams are.
    looks_are_streams: bool = False
    #: Faults that give markets a status, by the venue's own names for them.
    statuses: Callable[[Mapping[str, object]], Mapping[str, object]] = _status
    #: What protects the positions of a market, and what makes one of those take effect.
    protection: Callable[[Simulator, Account, Market], list[Any]] = _stops
    fire: Callable[[Simulator, Account, Any], None] = _fire
    #: How many requests it takes to close everything, where nothing goes wrong.
    closes: Callable[[Simulator, Account], int] = _legs
    #: Failures that cannot occur there, and why.
    impossible: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name


def _binance_wallet(_core: MatchingCore, account: Account, product: Product) -> object:
    held = account.wallets[product].items()
    if product is Product.SPOT:
        rows = [{"asset": name, "free": str(each.free), "locked": str(each.locked)} for name, each in held]
        return {"balances": rows, "canTrade": True}
    return {
        "userAssets": [
            {
                "asset": name,
                "free": str(each.free),
                "locked": str(each.locked),
                "borrowed": str(each.borrowed),
                "interest": str(each.interest),
                "netAsset": "0",
            }
            for name, each in held
        ]
    }


def _binance_minute(patch: Patch, seconds: float) -> None:
    patch(binance_limits, "MINUTE_MS", int(seconds * 1000))
    budgets = {
        name: replace(budget, interval_s=budget.interval_s * seconds / 60)
        for name, budget in binance_calls.BUDGETS.items()
    }
    patch(BinanceProfile, "budgets", budgets)


def _okx_wallet(_core: MatchingCore, account: Account, product: Product) -> object:
    details = [
        {"ccy": name, "cashBal": str(each.total), "availBal": str(each.free), "liab": "", "stgyEq": "0"}
        for name, each in account.wallets[product].items()
    ]
    return {"code": "0", "data": [{"details": details, "totalEq": "0"}], "msg": ""}


def _okx_minute(patch: Patch, seconds: float) -> None:
    patch(okx_limits, "SECOND_S", seconds / 60)
    budgets = {
        name: replace(budget, interval_s=budget.interval_s * seconds / 60) for name, budget in okx_calls.BUDGETS.items()
    }
    patch(OkxProfile, "budgets", budgets)


def _bybit_wallet(core: MatchingCore, account: Account, _product: Product) -> object:
    return {"retCode": 0, "retMsg": "OK", "result": {"list": [wallet_view(core, account, [])]}, "retExtInfo": {}}


def _bybit_minute(patch: Patch, seconds: float) -> None:
    patch(bybit_limits, "SECOND_MS", int(seconds / 60 * 1000))
    patch(bybit_limits, "ADDRESS_WINDOW_MS", int(seconds / 60 * 5000))
    budgets = {
        name: replace(budget, interval_s=budget.interval_s * seconds / 60)
        for name, budget in bybit_calls.BUDGETS.items()
    }
    patch(BybitProfile, "budgets", budgets)


def _bybit_book(book: AccountSeed) -> AccountSeed:
    """Hedge mode is one of USDT perpetuals only; elsewhere the second leg would be taken from the first.

    Interest is owed when it has been charged (docs/v5/account/wallet-balance: it is no part of borrowAmount before).
    """

    def stands(market: MarketName, closes: bool) -> bool:
        return not book.hedge or market.quote == "USDT" or not closes

    return replace(
        book,
        positions=tuple(each for each in book.positions if stands(each.market, each.quantity < 0)),
        triggers=tuple(each for each in book.triggers if stands(each.market, _closes_short(each))),
        debts=tuple(replace(each, borrowed=each.borrowed + each.interest, interest=ZERO) for each in book.debts),
    )


def _closes_short(seed: TriggerSeed) -> bool:
    return seed.action is not TriggerAction.ENTRY and (seed.quantity or seed.sign) > 0


def _hyperliquid_wallet(_core: MatchingCore, account: Account, _product: Product) -> object:
    return spot_state(account)


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


def _b2prime_wallet(_core: MatchingCore, account: Account, product: Product) -> object:
    return [
        {"assetId": asset_id(name), "available": str(each.free), "total": str(each.total), "locked": str(each.locked)}
        for name, each in account.wallets[product].items()
    ]


def _b2prime_minute(patch: Patch, seconds: float) -> None:
    budgets = {
        name: replace(budget, interval_s=budget.interval_s * seconds / 60)
        for name, budget in b2prime_charges.BUDGETS.items()
    }
    patch(B2primeProfile, "budgets", budgets)


def _b2prime_statuses(statuses: Mapping[str, object]) -> Mapping[str, object]:
    """A market is closed by its calendar; nothing else is told of its status."""
    names = {name: b2prime_market_id(name) for name in statuses}
    never = {"timeZoneId": "UTC", "tradingSessions": [], "sessionOverrides": [_TODAY, _TOMORROW]}
    closed = {names[name]: never for name, status in statuses.items() if status in ("BREAK", "SETTLING")}
    others = {name: "TRADING" if names[name] in closed else status for name, status in statuses.items()}
    return {"market_status": others, "venue": {"calendars": closed}}


def b2prime_market_id(name: str) -> str:
    """``perp.btc_usdt`` of ``linear:BTC/USDT``."""
    product, _, pair = name.partition(":")
    return f"{'perp' if product == 'linear' else product}.{pair.replace('/', '_').lower()}"


def _b2prime_state(sim: Simulator) -> VenueState:
    front_end = sim.handler.front_end
    assert isinstance(front_end, B2primeFrontEnd)
    return front_end.state


def _b2prime_protection(sim: Simulator, account: Account, market: Market) -> list[Any]:
    """A stop loss is a part of its position."""
    held = _b2prime_state(sim).tickets.of(account)
    return [each for each in held if each.market == market and each.stop_loss is not None]


def _b2prime_fire(sim: Simulator, account: Account, ticket: Any) -> None:
    _b2prime_state(sim).close(account, ticket, abs(ticket.lots), Origin.TRIGGER, reason="StopLoss", source="System")


def _b2prime_closes(sim: Simulator, account: Account) -> int:
    return len(_b2prime_state(sim).tickets.of(account))


#: Holidays.
_TODAY, _TOMORROW = (
    {"date": f"{datetime.now(UTC) + timedelta(days=days):%Y-%m-%d}", "timeIntervals": None} for days in (0, 1)
)


_USED: Final = {"accountValue": "1000.0", "totalNtlPos": "9000.0", "totalRawUsd": "1000.0", "totalMarginUsed": "1000.0"}
#: An empty list beside margin that is used: what is empty altogether is an account that holds nothing.
_NO_POSITIONS: Final = {
    "assetPositions": [],
    "marginSummary": _USED,
    "crossMarginSummary": _USED,
    "crossMaintenanceMarginUsed": "500.0",
    "withdrawable": "0.0",
    "time": 0,
}

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
            wallet_answer=_binance_wallet,
            words={
                "not_permitted": {"code": -2010, "msg": "This symbol is not permitted for this account."},
                "never_heard": {"code": -3067, "msg": "whatever"},
                "too_small": {"code": -1013, "msg": "Filter failure: NOTIONAL"},
            },
            too_many=frozenset({418, 429}),
            nothing=[],
            impossible={
                "hidden_page": (
                    "openOrders, openAlgoOrders, positionRisk and account answer with everything: their pages name no "
                    "limit, cursor or page (developers.binance.com)"
                ),
                "hidden_dex": "there is one matching engine a product, and no builder-deployed markets",
                "unnamed_rate_limit": "every 429 has a Retry-After (developers.binance.com, limits)",
            },
        ),
        VenueUnderTest(
            name="okx",
            slices=("spot", "linear", "inverse"),
            margin_slices=(),
            contracts=(LINEAR, INVERSE),
            client_id="clOrdId",
            repaid_amount="amt",
            hidden_slice="linear:USDC",
            shorten_minute=_okx_minute,
            words={
                "not_permitted": {"code": "51155", "msg": "You can't trade this pair for compliance reasons."},
                "too_small": {"code": "51020", "msg": "Your order should meet or exceed the minimum order amount."},
                "never_heard": {"code": "59999", "msg": "whatever"},
            },
            wallet_answer=_okx_wallet,
            nothing={"code": "0", "data": [], "msg": ""},
            little=("TRX", "9", "9.5"),
            much=("BTC", "700"),
            banned=(429, "1015"),
            tells_fills=False,
            rest_of_a_lot="0.004",
            modes_by_product=False,
            orders_page=100,
            usual_minute_s=3.0,
            impossible={
                "hidden_dex": "there is one matching engine, and no builder-deployed markets",
                "conversion": "the profile uses no convert service: OKX's is of the funding account as well",
                "rate_limit": "429 with 50011 has no Retry-After (API v5, rate limits): unnamed_rate_limit",
                "rights_of_one_product": "a key may trade, or may not: all products (API v5, permissions)",
                "borrowed": (
                    "not simulated: what is bought makes up for a debt by itself in multi-currency mode, which the "
                    "tests of debts (repaid by request) do not know yet"
                ),
            },
        ),
        VenueUnderTest(
            name="bybit",
            slices=("spot", "linear", "inverse"),
            margin_slices=(),
            contracts=(LINEAR, INVERSE),
            client_id="orderLinkId",
            repaid_amount="amount",
            hidden_slice="linear:USDC",
            shorten_minute=_bybit_minute,
            usual_minute_s=6.0,
            wallet_answer=_bybit_wallet,
            intents={"triggers": "orders"},
            words={
                "not_permitted": {"code": 170358, "msg": "The current site does not support ETP"},
                "never_heard": {"code": 34022099, "msg": "whatever"},
                "too_small": {"code": 170140, "msg": "Order value exceeded lower limit."},
            },
            too_many=frozenset({403, 429, 10006}),
            banned=(403, None),
            nothing={"retCode": 0, "retMsg": "OK", "result": {"list": []}, "retExtInfo": {}},
            tells_fills=False,
            owing=Product.SPOT,
            buys_debts=False,
            book=_bybit_book,
            orders_page=50,
            impossible={
                "hidden_dex": "there is one matching engine a category, and no builder-deployed markets",
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
            wallet_answer=_hyperliquid_wallet,
            words={"not_permitted": {"reason": "position_limit"}},
            nothing=_NO_POSITIONS,
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
                "rate_limit": "429 says null, and has no Retry-After (rate limits and user limits): unnamed_rate_limit",
                "rights_of_one_product": "an API wallet has no rights, not even of a product (nonces and API wallets)",
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
        VenueUnderTest(
            name="b2prime",
            slices=("spot", "linear"),
            margin_slices=(),
            contracts=(LINEAR,),
            client_id="comment",
            repaid_amount="amount",
            hidden_slice="linear:USDT",
            shorten_minute=_b2prime_minute,
            usual_minute_s=3.0,
            wallet_answer=_b2prime_wallet,
            words={
                "not_permitted": {"code": "forbidden", "status": 400},
                "never_heard": {"code": "whatever", "status": 418},
                "too_small": {"code": "validation", "status": 400},
            },
            banned=(429, "banned"),
            nothing={"item": []},
            intents={"triggers": "orders", "order": "orders"},
            quotes=("USDT",),
            tells_fills=False,
            overload_is_certain=False,
            spot_list="balances",
            unverified=B2primeProfile.unverified,
            lists_triggers=False,
            looks_are_streams=True,
            rest_of_a_lot="0.0004",
            statuses=_b2prime_statuses,
            protection=_b2prime_protection,
            fire=_b2prime_fire,
            closes=_b2prime_closes,
            impossible={
                "limited_product": "there is one budget, if any: limits are documented for alerts alone (rest-api)",
                "reopens_at_release": (
                    "no hold is lifted by itself: every close names stop orders that nobody lists, and keeps the lock"
                ),
                "rights_removed": (
                    "a token has the operation 'trading-ui' or it has not, and then it opens nothing: key_revoked"
                ),
                "ban": "nothing is documented that would ban an address (rest-api/settings names 429 for alerts alone)",
                "rights_of_one_product": "a token has the operation 'trading-ui', of all products (rest-api/settings)",
                "market_band": "a close names no price: there is nothing to follow a refusal at market (rest-api)",
                "hidden_dex": "there is one matching engine, and no builder-deployed markets",
                "conversion": "there is no convert service (rest-api/trading)",
                "borrowed": "a wallet cannot owe: contracts are margined, and nothing is lent (rest-api/settings)",
                "hidden_page": "a subscription's first message is the whole list: it has no pages (websocket-api)",
                "expiring": "there are spot, CFDs and perpetual contracts, and nothing that expires (Get markets)",
            },
        ),
    )
}
