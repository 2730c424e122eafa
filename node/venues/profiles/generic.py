"""Any venue that ccxt knows and nobody has made a profile for: by what ccxt has in common for all.

It proves less than a profile. What a request can do is not known from the request, so that the gate holds it only
against what we have declared; hidden reads of ccxt's own are possible; triggers are seen only where ccxt says that it
can list them; wallets bear nothing out. Sources: https://docs.ccxt.com (unified API, ``features``), and the class.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Any, Final

from node.domain.flatten import Quote
from node.domain.key_facts import KeyFacts
from node.domain.permission import Effect
from node.domain.snapshot import Balance, MarketKind, MarketRules, OpenOrder, Position, PositionSide, Side
from node.domain.steps import CancelOrders, CancelSymbol, ClosePosition, Outcome, Refusal, SellSpot, SpotOrder, Step
from node.errors import ConfigError, VenueAnswerUnknown
from node.venues.call import Answer, Call, Ccxt, Judgement, Reply, Request
from node.venues.lane import Budget, Charge
from node.venues.layout import Layout, Slice, SliceReads, resolve
from node.venues.markets import MarketBook
from node.venues.options import VenueOptions
from node.venues.profiles.plain import PlainProfile, exposure, listed_rules, time_ms
from node.venues.strict import Row, decimal, row, rows, text

_BUCKET: Final = "requests"
_CHARGES: Final = (Charge(bucket=_BUCKET),)
#: ccxt's words for kinds of market, and for orders that ended without doing anything.
_TYPES: Final = {MarketKind.SPOT: "spot", MarketKind.LINEAR: "swap", MarketKind.INVERSE: "swap"}
_ENDED: Final = ("canceled", "rejected", "expired")
_SIDES: Final = {"buy": Side.BUY, "sell": Side.SELL}
_LEGS: Final = {"long": PositionSide.LONG, "short": PositionSide.SHORT}


def known(exchange: str) -> bool:
    """Whether ccxt has a class of that name."""
    from ccxt import async_support

    return exchange in async_support.exchanges


class GenericProfile(PlainProfile):
    """What ccxt's unified methods can do at one venue."""

    made_for_it = False
    probe_id = "100000000001"

    def __init__(self, options: VenueOptions) -> None:
        """Look at what ccxt says of the venue.

        Raises:
            ConfigError: ccxt does not know it.
        """
        super().__init__(options)
        self.exchange = options.exchange  # type: ignore[misc]  # of the class elsewhere
        self._ccxt = self.plain_class()()
        self.credentials = tuple(name for name, needed in self._ccxt.requiredCredentials.items() if needed)
        self.other_credentials = tuple(self._ccxt.requiredCredentials)
        self.sandboxes = bool(self._ccxt.urls.get("test"))  # type: ignore[misc]
        per_minute = max(1, int(60_000 / max(float(self._ccxt.rateLimit or 1000), 1.0)))
        self.budgets = {_BUCKET: Budget(units=per_minute)}
        derivatives = bool(self._has("swap") or self._has("future")) and self._has("fetchPositions")
        self._kinds = (*(["spot"] if self._has("spot") else []), *(["linear", "inverse"] if derivatives else []))
        self.unverified = tuple(self._unverified(derivatives=derivatives))

    def _has(self, name: str) -> bool:
        return bool(self._ccxt.has.get(name))

    def _unverified(self, *, derivatives: bool) -> list[str]:
        found = []
        if not derivatives and (self._has("swap") or self._has("future")):
            found.append("positions: ccxt cannot list them here")
        found += [f"trigger orders ({kind})" for kind in self._kinds if not self._feature(MarketKind(kind), "trigger")]
        return found

    def _feature(self, kind: MarketKind, name: str) -> Any:  # noqa: ANN401 - ccxt's
        """What ccxt says of its list of open orders."""
        found: Any = (self._ccxt.features or {}).get(_TYPES[kind]) or {}
        if kind is not MarketKind.SPOT:
            found = found.get(kind.value) or {}
        return (found.get("fetchOpenOrders") or {}).get(name)

    def layout(self, configured: Collection[str] | None) -> Layout:
        """What the class says that it has."""
        return resolve(self.exchange, configured, self._kinds)

    def plain_class(self) -> Any:  # noqa: ANN401 - ccxt has no types
        """ccxt's class of that name.

        Raises:
            ConfigError: there is none.
        """
        if not known(self.exchange):
            raise ConfigError([f"exchange: ccxt has no {self.exchange!r}"])
        return super().plain_class()

    def ccxt_class(self, plain: Any) -> Any:  # noqa: ANN401 - ccxt has no types
        """The class with its unified methods under names that take one dictionary, as endpoints do."""
        return type(f"Unified{plain.__name__}", (_Unified, plain), {})

    def ccxt_options(self) -> dict[str, Any]:
        """Nothing of a broker's. Before the first order some classes approve a fee for ccxt's makers, signed with the
        account's key; that request would go as the close, and the gate would stop the close as a second one.
        """
        return {"fetchCurrencies": False, "warnOnFetchOpenOrdersWithoutSymbol": False, "builderFee": False}

    def effect_of(self, request: Request) -> Effect | None:
        """Unknown: what was declared is all that counts."""
        return Effect.READ

    # Markets

    def market_calls(self, kind: MarketKind) -> tuple[Call, ...]:
        """All markets, of whatever kind."""
        return (_read("unified_markets"),)

    def market_rules(self, exchange: Ccxt, kind: MarketKind, answer: Answer) -> tuple[MarketRules, ...]:
        """Those of one kind, as ccxt has parsed them."""
        sweeps = self._has("cancelAllOrders")
        return tuple(
            listed_rules(each, kind, sweeps=sweeps, market_orders=self._has("createMarketOrder"))
            for each in rows(answer, "markets")
            if _is_of(each, kind)
        )

    def quote_calls(self, book: MarketBook, symbols: Collection[str], *, whole: bool = False) -> tuple[Call, ...]:
        """A ticker each."""
        return tuple(_read("unified_ticker", symbol=symbol) for symbol in sorted(symbols) if symbol in book.by_symbol)

    def quotes(self, book: MarketBook, symbols: Collection[str], call: Call, answer: Answer) -> dict[str, Quote]:
        """Best bid and offer, if there are both."""
        found = row(answer, "ticker")
        bid, ask, symbol = found.get("bid"), found.get("ask"), text(found, "symbol")
        if not bid or not ask or symbol not in symbols:
            return {}
        return {symbol: Quote(symbol=symbol, bid=decimal(found, "bid"), ask=decimal(found, "ask"))}

    # Reads

    def reads(self, part: Slice) -> SliceReads:
        """Open orders, those with a trigger where ccxt can list them, positions, and the wallet of the kind."""
        kind = {"type": _TYPES[part.kind], **({"subType": part.kind.value} if part.derivative else {})}
        triggers = (_read("unified_open_orders", **kind, trigger=True),) if self._feature(part.kind, "trigger") else ()
        return SliceReads(
            triggers=triggers,
            orders=(_read("unified_open_orders", **kind),),
            positions=(_read("unified_positions", **kind),) if part.derivative else (),
            balances=(_read("unified_balance", type=_TYPES[part.kind]),),
        )

    def more(self, call: Call, answer: Answer) -> Call | None:
        """There is no common way to a next page: a page that may be full is no list.

        Raises:
            VenueAnswerUnknown: it may be.
        """
        if call.endpoint == "unified_open_orders" and isinstance(call.params, Mapping):
            kind = MarketKind(call.params.get("subType") or "spot")
            limit = self._feature(kind, "limit")
            if limit and len(rows(answer, "open orders")) >= int(limit):
                raise VenueAnswerUnknown(f"{limit} orders fill the page, and there is no common way to the next one")
        return None

    def positions(self, part: Slice, book: MarketBook, answer: Answer) -> tuple[Position, ...]:
        """ccxt's position structure."""
        found = (self._position(part, book, entry) for entry in rows(answer, "positions"))
        return tuple(each for each in found if each is not None)

    def _position(self, part: Slice, book: MarketBook, entry: Row) -> Position | None:
        symbol = text(entry, "symbol")
        contracts = abs(decimal(entry, "contracts"))
        if contracts == 0 or _kind_of(symbol) is not part.kind:
            return None
        side, rules = _LEGS.get(str(entry.get("side"))), book.by_symbol.get(symbol)
        if side is None:
            raise VenueAnswerUnknown(f"a position in {symbol} without a side")
        mark = decimal(entry, "markPrice") if entry.get("markPrice") else None
        return Position(
            slice=part.name,
            symbol=symbol,
            market_id=rules.market_id if rules else symbol,
            side=side,
            contracts=contracts,
            # Where the venue does not say, reduce-only bounds the order in either mode, or is refused.
            hedged=entry.get("hedged") is True,
            isolated=entry.get("marginMode") == "isolated",
            mark_price=mark,
            base_exposure=exposure(part.kind, side, contracts, rules, mark),
        )

    def orders(self, part: Slice, book: MarketBook, answer: Answer, *, trigger: bool) -> tuple[OpenOrder, ...]:
        """ccxt's order structure."""
        found = []
        for entry in rows(answer, "open orders"):
            symbol, side = text(entry, "symbol"), _SIDES.get(str(entry.get("side")))
            if side is None:
                raise VenueAnswerUnknown(f"an order in {symbol} without a side")
            if _kind_of(symbol) is not part.kind:
                continue
            rules, client = book.by_symbol.get(symbol), entry.get("clientOrderId")
            found.append(
                OpenOrder(
                    slice=part.name,
                    symbol=symbol,
                    market_id=rules.market_id if rules else symbol,
                    order_id=text(entry, "id"),
                    client_order_id=client if isinstance(client, str) and client else None,
                    side=side,
                    remaining=decimal(entry, "remaining") if entry.get("remaining") is not None else None,
                    trigger=trigger,
                    reduce_only=entry.get("reduceOnly") is True,
                )
            )
        return tuple(found)

    def balances(self, part: Slice, exchange: Ccxt, answer: Answer) -> tuple[Balance, ...]:
        """ccxt's balance structure: ``total``, ``free`` and, where there is any, ``debt`` by coin."""
        document = row(answer, "balance")
        free, total = row(document.get("free"), "free"), row(document.get("total"), "total")
        debt = document.get("debt") if isinstance(document.get("debt"), dict) else {}
        found = []
        for asset in sorted(total.keys() | free.keys()):
            known_free = decimal(free, asset) if free.get(asset) is not None else None
            known_total = decimal(total, asset) if total.get(asset) is not None else known_free
            if known_total is None:
                raise VenueAnswerUnknown(f"a balance of {asset} without an amount")
            spendable = max(known_total if known_free is None else known_free, Decimal(0))
            owed = abs(decimal(debt, asset)) if debt and debt.get(asset) else max(-known_total, Decimal(0))
            locked = max(known_total - spendable, Decimal(0))
            if spendable or locked or owed:
                found.append(Balance(slice=part.name, asset=asset, free=spendable, locked=locked, debt=owed))
        return tuple(found)

    # Steps

    def obstacle(self, step: Step, part: Slice) -> str | None:
        """Also what ccxt cannot do here."""
        if isinstance(step, CancelSymbol) and not self._has("cancelAllOrders"):
            return f"{self.exchange} cannot cancel all orders of a market at once"
        return super().obstacle(step, part)

    def calls(self, step: Step, kind: MarketKind) -> tuple[Call, ...]:
        """One unified call, or one for each order to cancel."""
        match step:
            case ClosePosition():
                side, amount = step.side.closing_side, step.contracts
                bounds: dict[str, Any] = {"reduceOnly": True, "marginMode": "isolated" if step.isolated else "cross"}
                bounds |= {"hedged": True} if step.hedged else {}
                return (_order(step, side, amount, step.limit_price, bounds),)
            case SellSpot():
                return (_order(step, Side.SELL, step.quantity, step.limit_price, {}),)
            case CancelOrders():
                extra = {"trigger": True} if step.trigger else {}
                return tuple(
                    _cancel("unified_cancel", symbol=step.symbol, id=order_id, params=extra)
                    for order_id in step.order_ids
                )
            case CancelSymbol():
                extra = {"trigger": True} if step.trigger else {}
                return (_cancel("unified_cancel_all", symbol=step.symbol, params=extra),)
            case _:
                return ()

    def accepted(self, step: Step, answer: Answer) -> Judgement:
        """Done only with an order's id; a sweep, with any answer that is not empty."""
        if isinstance(step, CancelSymbol):
            return Judgement(outcome=Outcome.DONE) if isinstance(answer, dict | list) else _NOT_UNDERSTOOD
        if not isinstance(answer, dict) or not answer.get("id"):
            return _NOT_UNDERSTOOD
        if isinstance(step, CancelOrders):
            return Judgement(outcome=Outcome.DONE)
        filled = Decimal(str(answer["filled"])) if isinstance(answer.get("filled"), int | float | str) else None
        if answer.get("status") in _ENDED and not filled:
            text_ = f"the order ended {answer['status']} without a fill"
            return Judgement(outcome=Outcome.REFUSED, refusal=Refusal.UNFILLED, message=text_, filled=filled)
        return Judgement(outcome=Outcome.DONE, filled=filled if answer.get("status") == "closed" else None)

    def refused(self, step: Step, reply: Reply) -> Judgement | None:
        """By ccxt's own exceptions only."""
        return None

    def order_call(self, step: SpotOrder, kind: MarketKind) -> Call:
        """By client id, where the venue can."""
        return _read("unified_order", symbol=step.symbol, params={"clientOrderId": step.client_order_id})

    def exists(self, step: SpotOrder, answer: Answer) -> bool | None:
        """The order itself, or nothing that can be relied on."""
        found = isinstance(answer, dict) and answer.get("clientOrderId") == step.client_order_id
        return True if found and isinstance(answer, dict) and answer.get("id") else None

    # Answers that are no answers

    def reply(self, status: int | None, body: Answer) -> Reply:
        """Any document that came with a status below 500 is the venue's word; ccxt has read it."""
        if isinstance(body, dict) and body and status is not None and not 300 <= status < 400:
            code = next((body[name] for name in ("code", "retCode", "error", "ret_code", "err") if body.get(name)), "?")
            said = next((body[name] for name in ("msg", "message", "retMsg", "error") if body.get(name)), "")
            return Reply(status=status, code=str(code)[:40], message=str(said)[:200])
        return Reply(status=status, code=None, message="")

    def denied(self, reply: Reply) -> bool:
        """By the status that means it everywhere."""
        return reply.status in (401, 403)

    def limited(self, reply: Reply) -> bool:
        """By the statuses that mean it everywhere."""
        return reply.status in (418, 429)

    def clock_is_off(self, reply: Reply) -> bool:
        """Nobody says it in the same words."""
        return False

    def never_existed(self, reply: Reply) -> bool:
        """Nobody says it in the same words."""
        return False

    # Around it

    def key_calls(self) -> tuple[Call, ...]:
        """Nothing that is the same everywhere; but ccxt's own table of markets must be there before an order is."""
        return (_read("unified_prepare"),)

    def key_facts(self, call: Call, answer: Answer) -> KeyFacts:
        """Nothing is told."""
        return KeyFacts()

    def clock_calls(self, layout: Layout) -> tuple[Call, ...]:
        """Where the venue has a clock."""
        return (_read("unified_time"),) if self._has("fetchTime") else ()

    def clock_call_like(self, call: Call) -> Call:
        """Asked only if a venue finds our time wrong, which none says in words that are known here."""
        return _read("unified_time")

    def venue_time_ms(self, answer: Answer) -> float:
        """In milliseconds, as ccxt has it."""
        return time_ms(decimal(row(answer, "time"), "time"))


class _Unified:
    """ccxt's unified methods as endpoints: each takes one dictionary, and answers with ccxt's structures."""

    async def unified_prepare(self: Any, _params: dict[str, Any]) -> dict[str, Any]:
        """ccxt's own table of markets, which its unified methods would load in the middle of an emergency."""
        await self.load_markets()
        return {"prepared": True}

    async def unified_markets(self: Any, _params: dict[str, Any]) -> list[Any]:
        """All markets, anew."""
        return list((await self.load_markets(True)).values())

    async def unified_time(self: Any, _params: dict[str, Any]) -> dict[str, Any]:
        """The venue's clock."""
        return {"time": await self.fetch_time()}

    async def unified_ticker(self: Any, params: dict[str, Any]) -> Any:  # noqa: ANN401
        """One market's best prices."""
        return await self.fetch_ticker(params["symbol"])

    async def unified_open_orders(self: Any, params: dict[str, Any]) -> Any:  # noqa: ANN401
        """Every market's."""
        return await self.fetch_open_orders(None, None, None, params)

    async def unified_positions(self: Any, params: dict[str, Any]) -> Any:  # noqa: ANN401
        """Every market's."""
        return await self.fetch_positions(None, params)

    async def unified_balance(self: Any, params: dict[str, Any]) -> Any:  # noqa: ANN401
        """One wallet."""
        return await self.fetch_balance(params)

    async def unified_order(self: Any, params: dict[str, Any]) -> Any:  # noqa: ANN401
        """One order, by client id."""
        return await self.fetch_order(None, params["symbol"], params["params"])

    async def unified_place(self: Any, params: dict[str, Any]) -> Any:  # noqa: ANN401
        """One order. ccxt rounds the amount down to the market's step."""
        amount, price = float(params["amount"]), float(params["price"]) if params["price"] else None
        return await self.create_order(
            params["symbol"], params["type"], params["side"], amount, price, dict(params["params"])
        )

    async def unified_cancel(self: Any, params: dict[str, Any]) -> Any:  # noqa: ANN401
        """One order."""
        found = await self.cancel_order(params["id"], params["symbol"], dict(params["params"]))
        return {"id": params["id"]} if isinstance(found, dict) else found

    async def unified_cancel_all(self: Any, params: dict[str, Any]) -> Any:  # noqa: ANN401
        """All of one market."""
        return await self.cancel_all_orders(params["symbol"], dict(params["params"]))


_NOT_UNDERSTOOD: Final = Judgement(
    outcome=Outcome.AMBIGUOUS, message="the venue's answer shows no order id", strange=True
)


def _read(endpoint: str, **params: Any) -> Call:  # noqa: ANN401
    return Call(endpoint=endpoint, effect=Effect.READ, params=params, charges=_CHARGES)


def _cancel(endpoint: str, **params: Any) -> Call:  # noqa: ANN401
    return Call(endpoint=endpoint, effect=Effect.CANCEL, params=params, charges=_CHARGES)


def _order(
    step: ClosePosition | SellSpot, side: Side, amount: Decimal, price: Decimal | None, bounds: Mapping[str, Any]
) -> Call:
    params = {"clientOrderId": step.client_order_id, **bounds, **({"timeInForce": "IOC"} if price else {})}
    values = {
        "symbol": step.symbol,
        "type": "limit" if price else "market",
        "side": side.value,
        "amount": str(amount),
        "price": str(price) if price else None,
        "params": params,
    }
    return Call(endpoint="unified_place", effect=Effect.CLOSE, params=values, charges=_CHARGES)


def _kind_of(symbol: str) -> MarketKind:
    """By ccxt's naming of symbols: BASE/QUOTE, BASE/QUOTE:SETTLE and what follows."""
    pair, _, settle = symbol.partition(":")
    if not settle:
        return MarketKind.SPOT
    return MarketKind.INVERSE if settle.partition("-")[0] == pair.partition("/")[0] else MarketKind.LINEAR


def _is_of(market: Row, kind: MarketKind) -> bool:
    if kind is MarketKind.SPOT:
        return market.get("spot") is True
    contract = market.get("swap") is True or market.get("future") is True
    return contract and market.get(kind.value) is True
