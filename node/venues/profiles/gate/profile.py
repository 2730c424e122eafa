"""Gate (gate.com): spot, perpetual contracts settled in USDT and USD1 (linear) and in BTC (inverse), of one account.

Two kinds of account: ``classic``, where spot and every settle coin have wallets of their own, and ``unified``, where
one wallet serves all. Not covered: isolated margin, delivery futures, options, positions that are split
(``dual_plus``); a key that opens the first three has them named. Sources:
https://www.gate.com/docs/developers/apiv4/en and Gate's own client github.com/gate/gateapi-python; what requests look
like, ccxt 4.5.90.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Final

from node.domain.flatten import Quote
from node.domain.key_facts import KeyFacts
from node.domain.permission import Effect
from node.domain.snapshot import Balance, MarketKind, MarketRules, OpenOrder, Position
from node.domain.steps import SpotOrder, Step
from node.errors import VenueAnswerUnknown
from node.venues.call import Answer, Call, Ccxt, Judgement, Reply, Request
from node.venues.layout import Layout, Slice, SliceReads
from node.venues.markets import MarketBook
from node.venues.options import VenueOptions
from node.venues.profiles.gate import answers, calls, judgements, streams
from node.venues.profiles.gate.effects import effect_of
from node.venues.profiles.plain import PlainProfile, time_ms
from node.venues.stream import Stream
from node.venues.strict import Row, decimal, flag, row, rows, text

#: The account's modes, by ``GET /unified/unified_mode``: all but one share a wallet.
_MODES: Final = {
    "classic": calls.CLASSIC,
    "single_currency": calls.UNIFIED,
    "multi_currency": calls.UNIFIED,
    "portfolio": calls.UNIFIED,
}
#: The same of a key, by ``GET /account/detail``.
_KEY_MODES: Final = {"1": calls.CLASSIC, "2": calls.UNIFIED}
#: Rights of a key that open a part of Gate without a slice.
_BEYOND: Final = {"delivery": "delivery futures", "options": "options", "margin": "isolated margin"}
#: A request is not executed after this long, in milliseconds.
_VALID_MS: Final = 5000
#: Until the venue's clock is known a request cannot say when it is too late. ccxt takes it for zero.
_UNMEASURED: Final = "0"
#: Longer than any pause that Gate asks for.
_LONGEST_S: Final = 60.0


class GateProfile(PlainProfile):
    """What is peculiar about Gate."""

    exchange = "gate"
    settle_coins = calls.SETTLES[MarketKind.LINEAR]
    accounts = (calls.CLASSIC, calls.UNIFIED)
    budgets = calls.BUDGETS
    probe_id = "1"

    def __init__(self, options: VenueOptions | None = None) -> None:
        super().__init__(options)
        self._sandbox = options is not None and options.sandbox
        self._key = options.credentials.get("apiKey", "") if options is not None else ""
        self.unverified = ("trailing and chasing orders",) if self._sandbox else ()

    @property
    def _account(self) -> str:
        return self.account or calls.CLASSIC

    def objections(self, options: VenueOptions) -> list[str]:
        """ccxt knows no unified accounts in the test environment."""
        faults = super().objections(options)
        if options.sandbox and self._account == calls.UNIFIED:
            faults.append("options.account: the test environment is covered for 'classic' accounts only")
        return faults

    def layout(self, configured: Collection[str] | None) -> Layout:
        """All of them; the test environment knows contracts settled in USDT only."""
        return super().layout(("spot", "linear:USDT") if configured is None and self._sandbox else configured)

    def ccxt_class(self, plain: Any) -> Any:  # noqa: ANN401 - ccxt has no types
        """The class, whose requests say when it is too late for them."""
        return type(f"Bounded{plain.__name__}", (_Bounded, plain), {})

    def ccxt_options(self) -> dict[str, Any]:
        """The account's mode is asked for by us alone."""
        return {
            "unifiedAccount": self._account == calls.UNIFIED,
            "timeDifference": _UNMEASURED,
            "recvWindow": _VALID_MS,
        }

    def build(self, options: VenueOptions, session: object) -> Ccxt:
        """Without the header that names ccxt as a broker."""
        exchange = super().build(options, session)
        exchange.headers = {name: value for name, value in exchange.headers.items() if name != "X-Gate-Channel-Id"}
        return exchange

    def effect_of(self, request: Request) -> Effect | None:
        """By method, path and body."""
        return effect_of(request)

    # Lists

    def market_calls(self, kind: MarketKind) -> tuple[Call, ...]:
        """Currency pairs, or the contracts of each settle coin."""
        return calls.market_calls(kind, self._settles(kind, None))

    def _settles(self, kind: MarketKind, only: str | None) -> tuple[str, ...]:
        coins = ("USDT",) if self._sandbox and kind is MarketKind.LINEAR else calls.SETTLES.get(kind, ())
        return tuple(coin for coin in coins if only in (None, coin))

    def market_rules(self, exchange: Ccxt, kind: MarketKind, answer: Answer) -> tuple[MarketRules, ...]:
        """Limits as they are."""
        return answers.market_rules(exchange, kind, answer)

    def reads(self, part: Slice) -> SliceReads:
        """Orders, price orders and wallet; of contracts positions and orders that trail or chase, too."""
        settles = self._settles(part.kind, part.settle)
        return calls.reads(part, settles, account=self._account, sandbox=self._sandbox)

    def more(self, call: Call, answer: Answer) -> Call | None:
        """By offset or by page."""
        return calls.more(call, answer)

    def nothing(self, call: Call, reply: Reply) -> Answer | None:
        """Without a futures wallet there are no orders and no positions; and of a key not all can be told."""
        if reply.code == judgements.NEVER_OPENED and call.endpoint.startswith("privateFuturesGetSettle"):
            return _never_opened(call)
        optional = ("privateAccountGetMainKeys",) if self._sandbox else _OPTIONAL
        # A sub-account's key may not see these, or lack the right: what is not told stays unknown.
        return {} if call.endpoint in optional and reply.code == "FORBIDDEN" else None

    def positions(self, part: Slice, book: MarketBook, answer: Answer) -> tuple[Position, ...]:
        """Legs with a size."""
        return answers.positions(part, book, answer)

    def orders(self, part: Slice, book: MarketBook, answer: Answer, *, trigger: bool) -> tuple[OpenOrder, ...]:
        """Open orders of one book."""
        return answers.orders(part, book, answer, trigger=trigger)

    def balances(self, part: Slice, exchange: Ccxt, answer: Answer) -> tuple[Balance, ...]:
        """Coins of the slice's wallet; of a unified one in the spot slice."""
        return answers.balances(part, exchange, answer, account=self._account)

    def corroborate(
        self,
        part: Slice,
        book: MarketBook,
        answer: Answer,
        positions: Collection[Position],
        orders: Collection[OpenOrder] | None,
    ) -> None:
        """Margin in use must be explained by what is listed."""
        answers.corroborate(part, answer, positions, orders)

    # Steps

    def calls(self, step: Step, kind: MarketKind) -> tuple[Call, ...]:
        """One request, or one for each twenty (or each) of many orders, or one for each book."""
        return calls.of_step(step, kind, self._account)

    def accepted(self, step: Step, answer: Answer) -> Judgement:
        """Done only with the venue's own id, or its list of what was cancelled."""
        return judgements.accepted(step, answer)

    def refused(self, step: Step, reply: Reply) -> Judgement | None:
        """By the label."""
        return judgements.refused(step, reply)

    def reply(self, status: int | None, body: Answer) -> Reply:
        """``{"label": "...", "message": "..."}``."""
        return judgements.reply(status, body)

    def denied(self, reply: Reply) -> bool:
        """Key, signature, rights or address."""
        return reply.code in judgements.DENIED

    def limited(self, reply: Reply) -> bool:
        """429, and its labels."""
        return reply.status == 429 or reply.code in judgements.LIMITED

    def clock_is_off(self, reply: Reply) -> bool:
        """More than a minute, or later than the request allows."""
        return reply.code in judgements.CLOCK

    def retry_after_s(self, headers: Mapping[str, str], reply: Reply) -> float | None:
        """Until the time that the venue names, by its own clock (both are headers of the answer)."""
        named = super().retry_after_s(headers, reply)
        reset, date = headers.get("x-gate-ratelimit-reset-timestamp", ""), headers.get("date", "")
        if named is not None or reply.status != 429 or not (reset.isascii() and reset.isdecimal()):
            return named
        try:
            wait_s = float(reset[:12]) - parsedate_to_datetime(date).timestamp()
        except (TypeError, ValueError):
            return None
        return wait_s if 0 < wait_s <= _LONGEST_S else None

    def used(self, call: Call, headers: Mapping[str, str]) -> tuple[str, int] | None:
        """Every answer says what is left of its endpoint's budget; of public ones, which the address shares."""
        left, most = (headers.get(f"x-gate-ratelimit-{name}", "") for name in ("requests-remain", "limit"))
        for charge in call.charges:
            units = self.budgets[charge.bucket].units
            if not charge.per_key and most == str(units) and left.isascii() and left.isdecimal():
                return charge.bucket, max(0, units - int(left[:9]))
        return None

    # Around it

    def quote_calls(self, book: MarketBook, symbols: Collection[str], *, whole: bool = False) -> tuple[Call, ...]:
        """A ticker each, or all of them."""
        ids = sorted({book.by_symbol[symbol].market_id for symbol in symbols if symbol in book.by_symbol})
        return calls.quote_calls(None if whole else ids) if ids else ()

    def quotes(self, book: MarketBook, symbols: Collection[str], call: Call, answer: Answer) -> dict[str, Quote]:
        """Best bids and offers."""
        named = call.params.get("currency_pair") if isinstance(call.params, Mapping) else None
        return answers.quotes(book, symbols, answer, by_name=named)

    def order_call(self, step: SpotOrder, kind: MarketKind) -> Call:
        """The market's newest orders that are over."""
        return calls.order_call(step, self._account)

    def exists(self, step: SpotOrder, answer: Answer) -> bool | None:
        """Whether the order is among them; where the page is full and it is not, that is not known."""
        try:
            listed = rows(answer, "orders")
        except VenueAnswerUnknown:
            return None
        if any(entry.get("text") == calls.TEXT_PREFIX + step.client_order_id for entry in listed):
            return True
        # One row of another shape and the list is some other list.
        known = all(isinstance(entry.get("text"), str) for entry in listed)
        return False if known and len(listed) < calls.PAGE else None

    def never_existed(self, reply: Reply) -> bool:
        """A refused list says nothing of an order."""
        return False

    def streams(self, layout: Layout, *, sandbox: bool) -> tuple[Stream, ...]:
        """Private channels."""
        return streams.streams(layout, sandbox=sandbox)

    def clock_calls(self, layout: Layout) -> tuple[Call, ...]:
        """GET /spot/time."""
        return (calls.clock_call(),)

    def venue_time_ms(self, answer: Answer) -> float:
        """``{"server_time": 1731447921098}``."""
        return time_ms(decimal(row(answer, "time"), "server_time"))

    def key_calls(self) -> tuple[Call, ...]:
        """The account's mode; the key's addresses and rights where it may see them."""
        return calls.key_calls(sandbox=self._sandbox)

    def key_facts(self, call: Call, answer: Answer) -> KeyFacts:
        """Mode, addresses and rights."""
        if call.endpoint == "privateUnifiedGetUnifiedMode":
            mode = text(row(answer, "mode"), "mode")
            if mode not in _MODES:
                raise VenueAnswerUnknown(f"mode is {mode[:20]}")
            return KeyFacts(account=_MODES[mode])
        if call.endpoint == "privateAccountGetDetail":
            return self._of_detail(row(answer, "account detail"))
        return self._of_rights(answer)

    def _of_detail(self, detail: Row) -> KeyFacts:
        addresses = detail.get("ip_whitelist")
        account = None
        if self._sandbox:
            account = _KEY_MODES.get(text(row(detail.get("key"), "key"), "mode"))
        return KeyFacts(bound_to_addresses=bool(addresses) if isinstance(addresses, list) else None, account=account)

    def _of_rights(self, answer: Answer) -> KeyFacts:
        """Of one key; where all keys are listed, with the end of each hidden, of the one that ours begins like."""
        listed = [answer] if isinstance(answer, dict) else rows(answer, "keys")
        mine = listed
        if len(listed) > 1:
            mine = [each for each in listed if self._is_mine(each.get("key"))]
        if len(mine) != 1 or "perms" not in mine[0]:
            return KeyFacts()
        may = {text(each, "name") for each in rows(mine[0]["perms"], "rights") if not flag(each, "read_only")}
        return KeyFacts(
            may_trade=bool(may & {"spot", "futures"}),
            may_withdraw="wallet" in may,
            opens=tuple(name for right, name in _BEYOND.items() if right in may),
        )

    def _is_mine(self, shown: object) -> bool:
        start = shown.rstrip("*") if isinstance(shown, str) else ""
        return len(start) >= 6 and self._key.startswith(start)


class _Bounded:
    """A mix-in for ccxt's class: ``x-gate-exptime``, by the venue's clock, with everything that acts."""

    options: dict[str, Any]

    def sign(self, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - ccxt has no types
        signed = super().sign(*arguments, **named)  # type: ignore[misc]
        measured = isinstance(self.options["timeDifference"], int)
        if signed["method"] != "GET" and measured:
            until_ms = int(self.nonce()) + int(self.options["recvWindow"])  # type: ignore[attr-defined]
            signed["headers"]["x-gate-exptime"] = str(until_ms)
        return signed


_OPTIONAL: Final = ("privateAccountGetDetail", "privateAccountGetMainKeys")


def _never_opened(call: Call) -> Answer:
    """What an account without a futures wallet would show, had it an empty one."""
    if call.endpoint.endswith("Accounts"):
        settle = call.params["settle"] if isinstance(call.params, Mapping) else ""
        return {"currency": str(settle).upper(), "total": "0", "available": "0"}
    return {"code": 0, "data": {"orders": []}} if "Autoorder" in call.endpoint else []
