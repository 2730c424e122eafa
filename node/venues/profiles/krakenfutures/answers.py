"""Kraken Futures: from answers to positions, orders, balances and market rules. Pure and strict.

https://docs.kraken.com/api/docs/futures-api/trading/get-open-positions, .../get-open-orders, .../get-accounts and
.../get-instruments. Every answer carries ``result``; only with ``success`` is an empty list an empty list.
"""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal
from typing import Final

from node.domain.snapshot import Balance, MarketKind, MarketRules, OpenOrder, Position, PositionSide, Side
from node.errors import VenueAnswerUnknown
from node.venues.call import Answer, Ccxt
from node.venues.layout import Slice
from node.venues.markets import MarketBook
from node.venues.profiles.plain import exposure
from node.venues.strict import Row, decimal, flag, positive, row, rows, text

_SIDES: Final = {"buy": Side.BUY, "sell": Side.SELL}
_LEGS: Final = {"long": PositionSide.LONG, "short": PositionSide.SHORT}
#: How names of contracts begin that are margined and settled in the base.
_INVERSE: Final = ("pi", "fi")
#: Orders that rest in the book, or would; all others wait for a trigger.
_IN_THE_BOOK: Final = ("lmt", "limit", "post", "ioc", "mkt", "market", "fok")
#: "Notional size exceeds the order max volume of 20,000,000 USD": inverse contracts are of one USD each.
_INVERSE_MAX: Final = Decimal(20_000_000)
_QUOTE: Final = "USD"


def success(answer: Answer, what: str) -> Row:
    """An answer that says that it is one.

    Raises:
        VenueAnswerUnknown: it does not.
    """
    document = row(answer, what)
    if document.get("result") != "success":
        raise VenueAnswerUnknown(f"{what}: result is not success")
    return document


def positions(part: Slice, book: MarketBook, answer: Answer) -> tuple[Position, ...]:
    """``GET openpositions``: contracts of both kinds, matured ones among them."""
    listed = rows(success(answer, "positions").get("openPositions"), "openPositions")
    found = (_position(part, book, entry) for entry in listed)
    return tuple(each for each in found if each is not None)


def _position(part: Slice, book: MarketBook, entry: Row) -> Position | None:
    name, size = text(entry, "symbol"), decimal(entry, "size")
    side = _LEGS.get(text(entry, "side"))
    if side is None or size < 0:
        raise VenueAnswerUnknown(f"a position in {name} without a side or a size")
    rules = _rules_of(book, name)
    if size == 0 or not _belongs(part, name, rules):
        return None
    return Position(
        slice=part.name,
        # An unlisted market is no reason to overlook what is held there.
        symbol=rules.symbol if rules else name,
        market_id=rules.market_id if rules else name,
        side=side,
        contracts=size,
        # "Max leverage selected for isolated position"; a cross position has none.
        isolated=entry.get("maxFixedLeverage") is not None,
        # The list has no mark price: what an inverse position is worth in its base is not known.
        base_exposure=exposure(part.kind, side, size, rules, None),
    )


def orders(part: Slice, book: MarketBook, answer: Answer) -> tuple[OpenOrder, ...]:
    """``GET openorders``: whatever rests, or waits for a trigger."""
    listed = rows(success(answer, "orders").get("openOrders"), "openOrders")
    found = (_order(part, book, entry) for entry in listed)
    return tuple(each for each in found if each is not None)


def _order(part: Slice, book: MarketBook, entry: Row) -> OpenOrder | None:
    name, side = text(entry, "symbol"), _SIDES.get(text(entry, "side"))
    if side is None:
        raise VenueAnswerUnknown(f"an order in {name} without a side")
    rules, client = _rules_of(book, name), entry.get("cliOrdId")
    if not _belongs(part, name, rules):
        return None
    return OpenOrder(
        slice=part.name,
        symbol=rules.symbol if rules else name,
        market_id=rules.market_id if rules else name,
        order_id=text(entry, "order_id"),
        client_order_id=client if isinstance(client, str) and client else None,
        side=side,
        # The one number that need not be there.
        remaining=None if entry.get("unfilledSize") is None else decimal(entry, "unfilledSize"),
        trigger=text(entry, "orderType") not in _IN_THE_BOOK,
        reduce_only=flag(entry, "reduceOnly"),
    )


def balances(part: Slice, exchange: Ccxt, answer: Answer) -> tuple[Balance, ...]:
    """``GET accounts``. Linear: the multi-collateral and the holding wallet. Inverse: the wallets of one coin each."""
    accounts = _accounts(answer)
    found: dict[str, tuple[Decimal, Decimal]] = {}
    if part.kind is MarketKind.LINEAR:
        for name, coin in row(_wallet(accounts, "flex").get("currencies", {}), "currencies").items():
            entry = row(coin, name)
            _add(found, exchange, name, decimal(entry, "quantity"), decimal(entry, "available"))
        for name, total in _coins(_wallet(accounts, "cash")).items():
            _add(found, exchange, name, total, total)
    else:
        for wallet in _margin_wallets(accounts):
            available = decimal(row(wallet.get("auxiliary"), "auxiliary"), "af")
            for name, total in _coins(wallet).items():
                own = name.upper() == text(wallet, "currency").upper()
                _add(found, exchange, name, total, available if own else total)
    return tuple(_balance(part, asset, total, free) for asset, (total, free) in sorted(found.items()) if total)


def _balance(part: Slice, asset: str, total: Decimal, free: Decimal) -> Balance:
    """A negative quantity is a debt."""
    if total < 0:
        return Balance(slice=part.name, asset=asset, free=Decimal(0), debt=-total)
    return Balance(slice=part.name, asset=asset, free=min(free, total), locked=max(total - free, Decimal(0)))


def _add(
    found: dict[str, tuple[Decimal, Decimal]], exchange: Ccxt, name: str, total: Decimal, available: Decimal
) -> None:
    """Of several wallets' one coin. What is available includes unrealised profit."""
    asset = str(exchange.safe_currency_code(name))
    free = min(max(available, Decimal(0)), max(total, Decimal(0)))
    before = found.get(asset, (Decimal(0), Decimal(0)))
    found[asset] = (before[0] + total, before[1] + free)


def corroborate(
    part: Slice, answer: Answer, listed: Collection[Position], resting: Collection[OpenOrder] | None
) -> None:
    """Hold the wallets against the lists that were read with them.

    Wallets of one coin name the contracts that are held in them; either kind says how much margin is in use.

    Raises:
        VenueAnswerUnknown: a contract is held, or margin is in use, that no list has shown. Passes by itself where it
            was only a matter of moments.
    """
    accounts = _accounts(answer)
    names = {each.market_id.upper() for each in listed}
    for wallet in _margin_wallets(accounts):
        for name, held in _balances(wallet).items():
            if "_" in name and held and kind_of(name) is part.kind and name.upper() not in names:
                raise VenueAnswerUnknown(f"a wallet shows a position in {name} that was not listed")
    if listed:
        return
    used = [
        decimal(row(wallet.get("marginRequirements"), "margin"), "im")
        for wallet in _margin_wallets(accounts)
        if part.kind is MarketKind.INVERSE
    ]
    flex = _wallet(accounts, "flex")
    if part.kind is MarketKind.LINEAR and flex:
        if decimal(flex, "initialMargin") > 0:
            raise VenueAnswerUnknown("margin is in use, and no position was listed for it")
        used.append(decimal(flex, "initialMarginWithOrders"))
    if resting is not None and not resting and any(margin > 0 for margin in used):
        raise VenueAnswerUnknown("margin is in use, and neither position nor order was listed for it")


def _accounts(answer: Answer) -> Row:
    accounts = row(success(answer, "accounts").get("accounts"), "accounts")
    if not {"cash", "flex"} & accounts.keys():
        raise VenueAnswerUnknown("accounts: neither a holding nor a multi-collateral wallet")
    return accounts


def _wallet(accounts: Row, name: str) -> Row:
    """Empty where the account has none."""
    return row(accounts.get(name, {}), name)


def _margin_wallets(accounts: Row) -> list[Row]:
    wallets = [row(wallet, name) for name, wallet in accounts.items() if name not in ("cash", "flex")]
    if any(text(wallet, "type") != "marginAccount" for wallet in wallets):
        raise VenueAnswerUnknown("accounts: a wallet of a kind that is not known")
    return wallets


def _balances(wallet: Row) -> dict[str, Decimal]:
    found = row(wallet.get("balances", {}), "balances")
    return {name: decimal(found, name) for name in found}


def _coins(wallet: Row) -> dict[str, Decimal]:
    """Without the contracts, which are listed beside them."""
    return {name: held for name, held in _balances(wallet).items() if "_" not in name}


def market_rules(exchange: Ccxt, kind: MarketKind, answer: Answer) -> tuple[MarketRules, ...]:
    """``GET instruments``: contracts of one kind, under ccxt's names; indices and options are none.

    ccxt's kinds: ``futures_inverse`` is inverse, all other contracts are linear and settled in USD, whatever coin a
    multi-collateral account chooses for its profit.
    """
    listed = rows(success(answer, "instruments").get("instruments"), "instruments")
    types = ((entry, text(entry, "type")) for entry in listed)
    wanted = kind is MarketKind.INVERSE
    return tuple(
        _rules(exchange, kind, entry)
        for entry, type_ in types
        if " index" not in type_ and type_ != "options" and (type_ == "futures_inverse") is wanted
    )


def _rules(exchange: Ccxt, kind: MarketKind, entry: Row) -> MarketRules:
    name = text(entry, "symbol")
    pair = name.partition("_")[2].partition("_")[0]
    base = str(exchange.safe_currency_code(pair[:-3]))
    settle = base if kind is MarketKind.INVERSE else _QUOTE
    expiry = entry.get("lastTradingTime")
    dated = f"-{exchange.yymmdd(exchange.parse8601(expiry))}" if isinstance(expiry, str) else ""
    step = Decimal(1).scaleb(-int(decimal(entry, "contractValueTradePrecision")))
    size = positive(entry, "contractSize") or Decimal(1)
    largest = _INVERSE_MAX / size if kind is MarketKind.INVERSE else None
    return MarketRules(
        symbol=f"{base}/{_QUOTE}:{settle}{dated}",
        market_id=name,
        kind=kind,
        base=base,
        quote=_QUOTE,
        settle=settle,
        contract_size=size,
        quantity_step=step,
        quantity_min=step,
        market_quantity_max=largest,
        limit_quantity_max=largest,
        price_tick=positive(entry, "tickSize"),
        trading=flag(entry, "tradeable") and not (flag(entry, "postOnly") if "postOnly" in entry else False),
    )


def _rules_of(book: MarketBook, name: str) -> MarketRules | None:
    """Some lists name contracts in lower case."""
    return book.by_id.get(name) or book.by_id.get(name.upper())


def _belongs(part: Slice, name: str, rules: MarketRules | None) -> bool:
    return rules is not None or kind_of(name) is part.kind


def kind_of(name: str) -> MarketKind:
    """Of a contract that is not in the list of markets, by its name; what cannot be told is taken for linear."""
    return MarketKind.INVERSE if name.lower().partition("_")[0] in _INVERSE else MarketKind.LINEAR
