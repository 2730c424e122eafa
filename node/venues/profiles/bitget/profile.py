"""Bitget: spot, USDT-M, USDC-M and COIN-M futures, of a classic account or of a unified one (UTA).

Which of the two an account is, the venue tells: the second API refuses unified accounts (40085), the third refuses
classic ones (40084). Not covered: margin wallets of a classic account (named where the key opens them), copy trading,
Earn, the funding account of a unified one, and Convert (which takes back every number of its own offer).
Public data are the second API's for both: https://www.bitget.com/api-doc/spot/market and .../contract/market.
"""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal
from typing import Any, Final

from node.domain.flatten import Quote
from node.domain.key_facts import KeyFacts
from node.domain.permission import Effect
from node.domain.snapshot import Balance, MarketKind, MarketRules, OpenOrder, Position
from node.domain.steps import CancelOrders, SpotOrder, Step
from node.errors import VenueAnswerUnknown
from node.venues.call import Answer, Call, Ccxt, Judgement, Reply, Request
from node.venues.lane import Charge
from node.venues.layout import Layout, Slice, SliceReads
from node.venues.markets import MarketBook
from node.venues.profiles.bitget import classic, judgements, streams, unified, words
from node.venues.profiles.bitget.effects import effect_of
from node.venues.profiles.bitget.refusals import CLOCK, DENIED, LIMITED, UNKNOWN
from node.venues.profiles.plain import PlainProfile, time_ms
from node.venues.stream import Stream
from node.venues.strict import Row, decimal, positive, row, text

_CONTRACTS: Final = "publicMixGetV2MixMarketContracts"
_SYMBOLS: Final = "publicSpotGetV2SpotPublicSymbols"
_TICKERS: Final = "publicSpotGetV2SpotMarketTickers"
_TIME: Final = "publicCommonGetV2PublicTime"
#: Public requests a second and address.
_PUBLIC: Final = dict.fromkeys((_CONTRACTS, _SYMBOLS, _TICKERS, _TIME), 20)
_BUDGETS: Final = {
    words.ADDRESS: words.ADDRESS_BUDGET,
    **words.budgets({**_PUBLIC, **classic.RATES, **unified.RATES}),
}
#: Up to so many quotes are asked for one by one, more as the list of all.
_QUOTES_BY_NAME: Final = 3
#: States of a market in which positions in it can be closed ("limit_open": no more can be opened).
_OPEN: Final = ("normal", "online", "limit_open")
#: An order is signed for 30 seconds unless it says less; where the venue takes that, it is said.
_RECEIVE_WINDOW_MS: Final = 5000
#: Rights of a classic key: what may trade, what may withdraw, and all that there are (each read "r" or write "w").
_TRADES: Final = frozenset({"coow", "cpow", "stow", "trade"})
_WITHDRAWS: Final = frozenset({"wwow", "withdraw"})
_AREAS: Final = ("coo", "cpo", "sto", "smo", "tto", "wto", "wwo", "p2p", "tax")
_RIGHTS: Final = {f"{area}{right}" for area in _AREAS for right in "rw"} | _TRADES | _WITHDRAWS | {"readonly"}
_MARGIN_RIGHTS: Final = frozenset({"smor", "smow"})


class BitgetProfile(PlainProfile):
    """What is peculiar about Bitget."""

    exchange = "bitget"
    credentials = ("apiKey", "secret", "password")
    settle_coins = words.SETTLE_COINS
    accounts = (words.CLASSIC, words.UNIFIED)
    probe_id = words.PROBE_ID
    budgets = _BUDGETS

    @property
    def _unified(self) -> bool:
        return self.account == words.UNIFIED

    def ccxt_options(self) -> dict[str, Any]:
        """The kind of account, so that ccxt does not ask; no broker's code."""
        return {"uta": self._unified, "broker": None}

    def ccxt_class(self, plain: Any) -> Any:  # noqa: ANN401 - ccxt has no types
        """Without the header for a broker's code; orders on spot with a window in which they are valid."""

        class Bitget(plain):  # type: ignore[misc]
            def sign(
                self,
                path: str,
                api: Any = "public",  # noqa: ANN401
                method: str = "GET",
                params: Any = None,  # noqa: ANN401
            ) -> dict[str, Any]:
                given = {} if params is None else params
                if path == "v2/spot/trade/place-order":
                    window = {"requestTime": str(int(self.nonce())), "receiveWindow": str(_RECEIVE_WINDOW_MS)}
                    given = {**given, **window}
                signed: dict[str, Any] = super().sign(path, api, method, given)
                headers = signed.get("headers") or {}
                signed["headers"] = {name: value for name, value in headers.items() if name != "X-CHANNEL-API-CODE"}
                return signed

        return Bitget

    def to_sandbox(self, exchange: Ccxt) -> None:
        """Demo trading: the same host, and a header; its keys are its own."""
        exchange.enable_demo_trading(True)

    def effect_of(self, request: Request) -> Effect | None:
        """By method, path and body."""
        return effect_of(request)

    # Markets and prices

    def market_calls(self, kind: MarketKind) -> tuple[Call, ...]:
        """All symbols of spot, or all contracts of each product type."""
        if kind is MarketKind.SPOT:
            return (_public(_SYMBOLS),)
        kinds = words.products(Slice(name=kind.value, kind=kind))
        return tuple(_public(_CONTRACTS, productType=each) for each in kinds)

    def market_rules(self, exchange: Ccxt, kind: MarketKind, answer: Answer) -> tuple[MarketRules, ...]:
        """``GET /api/v2/spot/public/symbols`` and ``GET /api/v2/mix/market/contracts``."""
        read = _spot_rules if kind is MarketKind.SPOT else _contract_rules
        return tuple(read(exchange, kind, entry) for entry in words.rows_of(answer, "markets"))

    def quote_calls(self, book: MarketBook, symbols: Collection[str], *, whole: bool = False) -> tuple[Call, ...]:
        """A market by its name, or the list of all."""
        ids = sorted({book.by_symbol[symbol].market_id for symbol in symbols if symbol in book.by_symbol})
        if whole or len(ids) > _QUOTES_BY_NAME:
            return (_public(_TICKERS),)
        return tuple(_public(_TICKERS, symbol=market_id) for market_id in ids)

    def quotes(self, book: MarketBook, symbols: Collection[str], call: Call, answer: Answer) -> dict[str, Quote]:
        """``GET /api/v2/spot/market/tickers``: best bids and offers."""
        found: dict[str, Quote] = {}
        told: set[str] = set()
        for entry in words.rows_of(answer, "quotes"):
            market_id = text(entry, "symbol")
            told.add(market_id)
            rules, bid, ask = book.by_id.get(market_id), positive(entry, "bidPr"), positive(entry, "askPr")
            if rules is not None and rules.symbol in symbols and bid is not None and ask is not None:
                found[rules.symbol] = Quote(symbol=rules.symbol, bid=bid, ask=ask)
        named = dict(call.params).get("symbol")
        if named is not None and named not in told:
            raise VenueAnswerUnknown(f"no quote of {named}")
        return found

    # Reads

    def reads(self, part: Slice) -> SliceReads:
        """By the kind of account."""
        return unified.reads(part) if self._unified else classic.reads(part)

    def more(self, call: Call, answer: Answer) -> Call | None:
        """Lists of orders have pages."""
        return unified.more(call, answer) if self._unified else classic.more(call, answer)

    def positions(self, part: Slice, book: MarketBook, answer: Answer) -> tuple[Position, ...]:
        """Legs with a size."""
        read = unified.positions if self._unified else classic.positions
        return read(part, book, answer)

    def orders(self, part: Slice, book: MarketBook, answer: Answer, *, trigger: bool) -> tuple[OpenOrder, ...]:
        """Resting orders of one book."""
        read = unified.orders if self._unified else classic.orders
        return read(part, book, answer, trigger=trigger)

    def balances(self, part: Slice, exchange: Ccxt, answer: Answer) -> tuple[Balance, ...]:
        """Coins of the slice's wallet; of the unified one on spot alone."""
        read = unified.balances if self._unified else classic.balances
        return read(part, exchange, answer)

    def corroborate(
        self,
        part: Slice,
        book: MarketBook,
        answer: Answer,
        positions: Collection[Position],
        orders: Collection[OpenOrder] | None,
    ) -> None:
        """Margin in use of a classic wallet must be explained by what is listed."""
        if not self._unified:
            classic.corroborate(part, answer, positions, orders)

    # Steps

    def obstacle(self, step: Step, part: Slice) -> str | None:
        """What is plainly nothing, and sweeps of a book that cannot be swept."""
        return super().obstacle(step, part) or (unified.obstacle(step) if self._unified else None)

    def calls(self, step: Step, kind: MarketKind) -> tuple[Call, ...]:
        """One request, or one for each portion of many orders to cancel, and each plan type."""
        return unified.of_step(step, kind) if self._unified else classic.of_step(step, kind)

    def accepted(self, step: Step, answer: Answer) -> Judgement:
        """Done with the venue's own id."""
        return judgements.accepted(step, answer, unified=self._unified)

    def refused(self, step: Step, reply: Reply) -> Judgement | None:
        """By the code."""
        return judgements.refused(step, reply)

    def order_call(self, step: SpotOrder, kind: MarketKind) -> Call:
        """By clientOid."""
        return unified.order_call(step) if self._unified else classic.order_call(step)

    def exists(self, step: SpotOrder, answer: Answer) -> bool | None:
        """The order itself; or, of a classic account, an empty list."""
        return unified.exists(step, answer) if self._unified else classic.exists(step, answer)

    def never_existed(self, reply: Reply) -> bool:
        """Order does not exist, in its many numbers."""
        return reply.code in UNKNOWN and (reply.status or 0) < 500

    def probe_call(self, step: CancelOrders, kind: MarketKind) -> Call:
        """By a client id."""
        return unified.probe_call() if self._unified else classic.probe_call(step, kind)

    # Answers that are no answers

    def reply(self, status: int | None, body: Answer) -> Reply:
        """``{"code": "40768", "msg": "...", "data": null}``."""
        return judgements.reply(status, body)

    def denied(self, reply: Reply) -> bool:
        """Key, signature, rights, address, or an account of the other kind."""
        return reply.code in DENIED

    def limited(self, reply: Reply) -> bool:
        """429, as status or code."""
        return reply.status == 429 or reply.code in LIMITED

    def clock_is_off(self, reply: Reply) -> bool:
        """Older than 30 seconds, or none."""
        return reply.code in CLOCK

    # Around it

    def streams(self, layout: Layout, *, sandbox: bool) -> tuple[Stream, ...]:
        """Orders, trigger orders, positions and wallets."""
        return streams.streams(layout, unified=self._unified, sandbox=sandbox)

    def clock_calls(self, layout: Layout) -> tuple[Call, ...]:
        """There is one host."""
        return (_public(_TIME),)

    def venue_time_ms(self, answer: Answer) -> float:
        """``{"data": {"serverTime": "1700111073740"}}``."""
        return time_ms(decimal(row(words.data_of(answer, "time"), "time"), "serverTime"))

    def key_calls(self) -> tuple[Call, ...]:
        """Each kind's own: an account of the other kind is refused there."""
        endpoints = (unified.SETTINGS, unified.KEY) if self._unified else (classic.KEY,)
        return tuple(words.asked(endpoint, Effect.READ) for endpoint in endpoints)

    def key_facts(self, call: Call, answer: Answer) -> KeyFacts:
        """Rights and addresses; the unified account's mode."""
        told = row(words.data_of(answer, "key"), "key")
        if call.endpoint == unified.SETTINGS:
            return _settings(told)
        bound = bool(told["ips"]) if isinstance(told.get("ips"), str) else None
        if call.endpoint == unified.KEY:
            rights = _texts(told, "permissions")
            writes = text(told, "permType").lower().replace("_", "-") == "read-and-write"
            return KeyFacts(
                may_trade=writes and "uta_trade" in rights,
                may_withdraw="withdraw" in rights,
                bound_to_addresses=bound,
            )
        rights = _texts(told, "authorities")
        withdraws = bool(rights & _WITHDRAWS)
        return KeyFacts(
            may_trade=bool(rights & _TRADES),
            may_withdraw=withdraws if withdraws or rights <= _RIGHTS else None,
            bound_to_addresses=bound,
            account=words.CLASSIC,
            opens=("margin",) if rights & _MARGIN_RIGHTS else (),
        )


def _public(endpoint: str, **params: str) -> Call:
    charges = (Charge(bucket=words.ADDRESS), Charge(bucket=endpoint))
    return Call(endpoint=endpoint, effect=Effect.READ, params=params, charges=charges)


def _settings(told: Row) -> KeyFacts:
    """``GET /api/v3/account/settings``: a hybrid account has kept classic parts; one that is upgrading is neither."""
    mode = text(told, "accountMode").lower()
    return KeyFacts(
        account=words.UNIFIED if mode in ("unified", "hybrid") else mode,
        hedged=words.word(told, "holdMode", words.HEDGED) if told.get("holdMode") else None,
        opens=("classic parts of a hybrid account",) if mode == "hybrid" else (),
    )


def _texts(told: Row, name: str) -> frozenset[str]:
    value = told.get(name)
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise VenueAnswerUnknown(f"{name} is no list of words")
    return frozenset(each.lower() for each in value)


def _spot_rules(exchange: Ccxt, kind: MarketKind, entry: Row) -> MarketRules:
    base, quote = (str(exchange.safe_currency_code(text(entry, name))) for name in ("baseCoin", "quoteCoin"))
    largest = positive(entry, "maxTradeAmount")
    return MarketRules(
        symbol=f"{base}/{quote}",
        market_id=text(entry, "symbol"),
        kind=kind,
        base=base,
        quote=quote,
        settle=quote,
        quantity_step=_places(entry, "quantityPrecision"),
        quantity_min=positive(entry, "minTradeAmount"),
        market_quantity_max=largest,
        limit_quantity_max=largest,
        notional_min=positive(entry, "minTradeUSDT"),
        price_tick=_places(entry, "pricePrecision"),
        trading=text(entry, "status") in _OPEN,
        # Stops of one kind rest under another tpslType, which no sweep is documented to reach.
        sweeps=False,
    )


def _contract_rules(exchange: Ccxt, kind: MarketKind, entry: Row) -> MarketRules:
    """In base coins, coin-margined ones too. Named as ccxt names them, which has no function for one market."""
    base_id, quote_id = text(entry, "baseCoin"), text(entry, "quoteCoin")
    margin = entry.get("supportMarginCoins")
    coins = [each for each in margin if isinstance(each, str)] if isinstance(margin, list) else []
    settle_id = base_id if base_id in coins else quote_id if quote_id in coins or not coins else coins[0]
    base, quote, settle = (str(exchange.safe_currency_code(each)) for each in (base_id, quote_id, settle_id))
    return MarketRules(
        symbol=f"{base}/{quote}:{settle}{_expiry(exchange, entry)}",
        market_id=text(entry, "symbol"),
        kind=kind,
        base=base,
        quote=quote,
        settle=settle,
        quantity_step=positive(entry, "sizeMultiplier") or _places(entry, "volumePlace"),
        quantity_min=positive(entry, "minTradeNum"),
        market_quantity_max=positive(entry, "maxMarketOrderQty") or positive(entry, "maxOrderQty"),
        limit_quantity_max=positive(entry, "maxOrderQty"),
        notional_min=positive(entry, "minTradeUSDT"),
        price_tick=(positive(entry, "priceEndStep") or Decimal(1)) * _places(entry, "pricePlace"),
        trading=text(entry, "symbolStatus") in _OPEN,
    )


def _expiry(exchange: Ccxt, entry: Row) -> str:
    """``-250328`` of a delivery contract."""
    if entry.get("symbolType") != "delivery":
        return ""
    return f"-{exchange.yymmdd(int(decimal(entry, 'deliveryTime')))}"


def _places(entry: Row, name: str) -> Decimal:
    """The last of so many decimal places."""
    places = decimal(entry, name)
    if places != int(places) or not 0 <= places <= 30:
        raise VenueAnswerUnknown(f"{name} is no number of places")
    return Decimal(1).scaleb(-int(places))
