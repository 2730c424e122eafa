"""Hyperliquid: spot, and perpetuals of the venue and of every builder's dex (HIP-3), of one account.

The account is the address ``walletAddress``; ``privateKey`` is its own key or, better, that of an API wallet ("agent"),
which cannot withdraw. Sub-accounts and vaults are named in ``options.vaultAddress``. There are no market orders: every
order is a limit that must be filled at once. Not covered: portfolio margin, which borrows; vault deposits and staking.

An API wallet of the node's own is wanted: nonces belong to the key, and two programs with one key disturb each other
(https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api/nonces-and-api-wallets).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, Final

from node.domain.flatten import Quote
from node.domain.key_facts import KeyFacts
from node.domain.permission import Effect
from node.domain.snapshot import Balance, MarketKind, MarketRules, OpenOrder, Position
from node.domain.steps import CancelOrders, CancelSymbol, ClosePosition, Refusal, SpotOrder, Step
from node.errors import VenueAnswerUnknown, VenueDenied
from node.venues.call import Answer, Call, Ccxt, Judgement, Reply, Request
from node.venues.layout import Layout, Slice, SliceReads
from node.venues.markets import MarketBook
from node.venues.options import VenueOptions
from node.venues.profiles import hyperliquid_answers as answers
from node.venues.profiles import hyperliquid_calls as calls
from node.venues.profiles import hyperliquid_refusals as refusals
from node.venues.profiles import hyperliquid_streams as streams
from node.venues.profiles.hyperliquid_ccxt import derived
from node.venues.profiles.hyperliquid_effects import effect_of
from node.venues.profiles.plain import PlainProfile, time_ms
from node.venues.stream import Stream
from node.venues.strict import decimal, row, text

_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{40}")
_KEY: Final = re.compile(r"(0x)?[0-9a-fA-F]{64}")
_DEX: Final = re.compile(r"[a-z0-9]+")
#: Kinds of accounts by what ``userAbstraction`` says (.../trading/account-abstraction-modes): whether spot's wallet is
#: the perpetuals' as well.
_ACCOUNTS: Final = {
    "unifiedAccount": "unified",
    "portfolioMargin": "portfolio",
    **dict.fromkeys(("default", "disabled", "dexAbstraction"), "standard"),
}
#: In milliseconds: shorter, and an honest clock's requests would be late.
_WINDOW_MIN_MS: Final = 1000


class HyperliquidProfile(PlainProfile):
    """What is peculiar about Hyperliquid."""

    exchange = "hyperliquid"
    credentials = ("walletAddress", "privateKey")
    usual_slices = ("spot", "linear")
    accounts = ("standard", "unified")
    budgets = calls.BUDGETS
    probe_id = calls.PROBE_ID

    def __init__(self, options: VenueOptions | None = None) -> None:
        super().__init__(options)
        given, keys = (options.options, options.credentials) if options is not None else ({}, {})
        self._vault: str | None = str(given["vaultAddress"]).lower() if given.get("vaultAddress") else None
        self._wallet = keys.get("walletAddress", "").lower()
        self._key = keys.get("privateKey", "")
        #: Whose orders and positions are read.
        self._user = self._vault or self._wallet
        #: The builders' dexs that configuration names; None: all.
        self._dexs: tuple[str, ...] | None = tuple(given["dexs"]) if isinstance(given.get("dexs"), list) else None

    def objections(self, options: VenueOptions) -> list[str]:
        """Addresses and keys that are none, and dexs that cannot be."""
        faults = super().objections(options)
        given = options.options
        for name, form in (("walletAddress", _ADDRESS), ("privateKey", _KEY)):
            if options.credentials.get(name) and not form.fullmatch(options.credentials[name]):
                faults.append(f"credentials: {name} must be hexadecimal, of {40 if form is _ADDRESS else 64} digits")
        if "vaultAddress" in given and not _ADDRESS.fullmatch(str(given["vaultAddress"])):
            faults.append("options.vaultAddress: must be an address, 0x and 40 hexadecimal digits")
        if "subAccountAddress" in given:
            faults.append("options.subAccountAddress: name the sub-account in options.vaultAddress")
        dexs = given.get("dexs", [])
        if not isinstance(dexs, list) or not all(isinstance(dex, str) and _DEX.fullmatch(dex) for dex in dexs):
            faults.append('options.dexs: a list of builders\' dexs like ["xyz"]; leave it out for all')
        window = given.get("recvWindow", _WINDOW_MIN_MS)
        if isinstance(window, int) and window < _WINDOW_MIN_MS:
            faults.append(
                f"options.recvWindow: at least {_WINDOW_MIN_MS} (ms): orders would be late before they arrive"
            )
        return faults

    def layout(self, configured: Collection[str] | None) -> Layout:
        """With the dexs that configuration leaves out."""
        layout = super().layout(configured)
        if self._dexs is None or not any(part.derivative for part in layout.slices):
            return layout
        left_out = f"linear (builders' dexs other than {', '.join(self._dexs)})" if self._dexs else "builders' dexs"
        return replace(layout, not_covered=(*layout.not_covered, left_out))

    def ccxt_class(self, plain: Any) -> Any:  # noqa: ANN401 - ccxt has no types
        """With reads and actions as endpoints."""
        return derived(plain)

    def ccxt_options(self) -> dict[str, Any]:
        """No builder's fee, no referrer; what the account's mode is, is asked by us."""
        return {
            "builderFee": False,
            "approvedBuilderFee": False,
            "refSet": True,
            "enableUnifiedMargin": False,
            "recvWindow": 5000,
        }

    def effect_of(self, request: Request) -> Effect | None:
        """By path and action."""
        return effect_of(request, self._vault)

    # Markets and lists

    def market_calls(self, kind: MarketKind) -> tuple[Call, ...]:
        """Spot's at once; perpetuals dex by dex."""
        return (calls.info("spotMeta"),) if kind is MarketKind.SPOT else calls.market_calls()

    def market_rules(self, exchange: Ccxt, kind: MarketKind, answer: Answer) -> tuple[MarketRules, ...]:
        """Sizes and prices by the decimals of a market's sizes."""
        return answers.market_rules(exchange, kind, answer)

    def reads(self, part: Slice) -> SliceReads:
        """By the dexs that configuration names."""
        return calls.reads(part, self._user, self._dexs or (), all_dexs=self._dexs is None)

    def reads_of(self, part: Slice, book: MarketBook) -> SliceReads:
        """One list a dex, all at once; newer dexs are found by the way."""
        dexs = answers.dexs_of(book) if self._dexs is None else self._dexs
        return calls.reads(part, self._user, dexs, all_dexs=self._dexs is None)

    def more(self, call: Call, answer: Answer) -> Call | None:
        """The next dex."""
        return answers.more(call, answer)

    def positions(self, part: Slice, book: MarketBook, answer: Answer) -> tuple[Position, ...]:
        """Of one dex."""
        return answers.positions(part, book, answer)

    def orders(self, part: Slice, book: MarketBook, answer: Answer, *, trigger: bool) -> tuple[OpenOrder, ...]:
        """Orders and triggers of one dex; TWAP orders."""
        return answers.orders(part, book, answer)

    def balances(self, part: Slice, exchange: Ccxt, answer: Answer) -> tuple[Balance, ...]:
        """Spot's tokens; for standard accounts the perpetuals' dollars too."""
        return answers.balances(part, exchange, answer, unified=self.account != "standard")

    def corroborate(
        self,
        part: Slice,
        book: MarketBook,
        answer: Answer,
        positions: Collection[Position],
        orders: Collection[OpenOrder] | None,
    ) -> None:
        """Positions are read twice, once with the dexs that are newer than our list of markets."""
        answers.corroborate(answer, positions, unified=self.account != "standard")

    # Steps

    def obstacle(self, step: Step, part: Slice) -> str | None:
        """What cannot be said in an action of the venue's."""
        reason = super().obstacle(step, part)
        market = getattr(step, "market_id", None)
        if reason is not None or market is None:
            return reason
        if self._asset(market, part.market_kind) is None:
            return f"the venue's number of {market} is not known: its markets have not been read"
        if isinstance(step, CancelSymbol):
            return "there is no action for all orders of a market"
        if isinstance(step, CancelOrders) and not all(
            order_id.removeprefix(calls.TWAP).isdecimal() for order_id in step.order_ids
        ):
            return "an order has no number"
        if isinstance(step, ClosePosition) and step.hedged:
            return "there is no hedge mode"
        if isinstance(step, ClosePosition) and (step.limit_price is None or step.limit_price <= 0):
            return "there are no market orders, and no price is known"
        return None

    def calls(self, step: Step, kind: MarketKind) -> tuple[Call, ...]:
        """One action, or one for each hundred orders to cancel."""
        return calls.of_step(step, self._asset(getattr(step, "market_id", ""), kind), self._vault)

    def accepted(self, step: Step, answer: Answer) -> Judgement:
        """By the status of each part."""
        return refusals.accepted(step, answer)

    def refused(self, step: Step, reply: Reply) -> Judgement | None:
        """By the venue's words."""
        return refusals.refused(reply)

    def reply(self, status: int | None, body: Answer) -> Reply:
        """``{"status": "err", "response": "..."}``."""
        return refusals.reply(status, body)

    def denied(self, reply: Reply) -> bool:
        """Key, signature or vault."""
        return refusals.refusal_of(reply) is Refusal.DENIED

    def limited(self, reply: Reply) -> bool:
        """429 for the address, words for the account."""
        return reply.status == 429 or refusals.refusal_of(reply) is Refusal.RATE_LIMITED

    def concerns_orders_only(self, reply: Reply) -> bool:
        """What an account has sent too much of are actions of its own."""
        return reply.status != 429

    def retry_after_s(self, headers: Mapping[str, str], reply: Reply) -> float | None:
        """The standard header, or a second; ten where the account has sent too much."""
        if refusals.refusal_of(reply) is Refusal.RATE_LIMITED:
            return refusals.LIMITED_S
        named = super().retry_after_s(headers, reply)
        return refusals.AWAY_S if named is None and reply.status == 429 else named

    def clock_is_off(self, reply: Reply) -> bool:
        """Nonce and expiry."""
        return refusals.clock_is_off(reply)

    def quote_calls(self, book: MarketBook, symbols: Collection[str], *, whole: bool = False) -> tuple[Call, ...]:
        """One order book a market."""
        return calls.quote_calls(sorted(book.by_symbol[each].market_id for each in symbols if each in book.by_symbol))

    def quotes(self, book: MarketBook, symbols: Collection[str], call: Call, answer: Answer) -> dict[str, Quote]:
        """The best of one market."""
        return answers.quotes(book, symbols, answer)

    def order_call(self, step: SpotOrder, kind: MarketKind) -> Call:
        """By cloid."""
        return calls.order_call(step, self._user)

    def exists(self, step: SpotOrder, answer: Answer) -> bool | None:
        """The order itself, or nothing that can be relied on. Refused orders are listed as well: they arrived."""
        return True if refusals.shows(answer, calls.cloid(step.client_order_id)) else None

    def never_existed(self, reply: Reply) -> bool:
        """``{"status": "unknownOid"}``."""
        return reply.code == refusals.UNKNOWN_ORDER and (reply.status or 0) < 500

    # Around it

    def streams(self, layout: Layout, *, sandbox: bool) -> tuple[Stream, ...]:
        """One for the account."""
        return streams.streams(layout, self._user, sandbox=sandbox)

    def clock_calls(self, layout: Layout) -> tuple[Call, ...]:
        """There is one host."""
        return (calls.info("exchangeStatus"),)

    def venue_time_ms(self, answer: Answer) -> float:
        """``{"time": 1764617438643, "specialStatuses": null}``."""
        _, document = answers.told(answer, "exchangeStatus")
        return time_ms(decimal(row(document, "status"), "time"))

    def key_calls(self) -> tuple[Call, ...]:
        """Whose the key is, whose the vault, and what kind of account it opens."""
        roles = (self._signer(), *([self._vault] if self._vault else []))
        return (*(calls.info("userRole", user=each) for each in roles), calls.info("userAbstraction", user=self._user))

    def key_facts(self, call: Call, answer: Answer) -> KeyFacts:
        """An API wallet trades and cannot withdraw.

        Raises:
            VenueDenied: the key is another account's, or the account's address is an API wallet's own, at which the
                venue shows nothing at all: it would look flat for ever.
        """
        asked, document = answers.told(answer, "userRole", "userAbstraction")
        if asked["type"] == "userAbstraction":
            mode = document.strip('"') if isinstance(document, str) else ""  # ccxt leaves a bare string as it was sent
            if mode not in _ACCOUNTS:
                raise VenueAnswerUnknown("the account's mode is none that is known")
            return KeyFacts(account=_ACCOUNTS[mode])
        role = text(row(document, "role"), "role")
        if asked["user"] == self._vault:
            master = row(document["data"], "data").get("master") if role == "subAccount" else None
            if role != "vault" and str(master).lower() != self._wallet:
                raise VenueDenied(f"options.vaultAddress is no vault or sub-account of {self._wallet}, but: {role}")
            return KeyFacts()
        master = text(row(document.get("data"), "data"), "user").lower() if role == "agent" else asked["user"]
        if master != self._wallet:
            whose = f"an API wallet of {master}" if role == "agent" else f"the key of {master}"
            raise VenueDenied(
                f"walletAddress is {self._wallet}, and privateKey is {whose}: nothing could be seen or done"
            )
        return KeyFacts(may_trade=role != "missing", may_withdraw=role != "agent")

    def _asset(self, coin: str, kind: MarketKind) -> int | None:
        """The number by which actions name a market; answers know its coin alone."""
        book = self.books.get(kind)
        rules = book.by_id.get(coin) if book else None
        return rules.number if rules else None

    def _signer(self) -> str:
        """The address that belongs to the key."""
        import ccxt

        key = self._key.removeprefix("0x")
        return str(ccxt.Exchange.eth_get_address_from_private_key(f"0x{key}")).lower()
