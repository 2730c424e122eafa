"""Binance: what wallets hold and owe, and what they say about lists that are read beside them. Pure and strict.

Field names: https://developers.binance.com/docs/binance-spot-api-docs (account), .../margin_trading/account,
.../derivatives/usds-margined-futures and .../coin-margined-futures (account information).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from decimal import Decimal

from node.domain.snapshot import Balance, MarketKind, OpenOrder, Position
from node.errors import VenueAnswerUnknown
from node.venues.call import Answer, Ccxt
from node.venues.layout import Slice
from node.venues.markets import MarketBook
from node.venues.strict import Row, decimal, row, rows, text


def balances(part: Slice, exchange: Ccxt, answer: Answer) -> tuple[Balance, ...]:
    """``GET /api/v3/account``, ``/sapi/v1/margin/account``, ``/fapi/v3/account`` or ``/dapi/v1/account``."""
    name, read = {
        MarketKind.SPOT: ("balances", _spot),
        MarketKind.MARGIN: ("userAssets", _margin),
    }.get(part.kind, ("assets", _collateral))
    found = [read(part, exchange, entry) for entry in rows(row(answer, "account").get(name), name)]
    return tuple(b for b in found if (b.total != 0 or b.debt != 0) and part.holds_coin(b.asset))


def _spot(part: Slice, exchange: Ccxt, entry: Row) -> Balance:
    return Balance(
        slice=part.name, asset=_coin(exchange, entry), free=decimal(entry, "free"), locked=decimal(entry, "locked")
    )


def _margin(part: Slice, exchange: Ccxt, entry: Row) -> Balance:
    return Balance(
        slice=part.name,
        asset=_coin(exchange, entry),
        free=decimal(entry, "free"),
        locked=decimal(entry, "locked"),
        debt=decimal(entry, "borrowed") + decimal(entry, "interest"),
    )


def _collateral(part: Slice, exchange: Ccxt, entry: Row) -> Balance:
    """A negative balance is a debt."""
    total, available = decimal(entry, "walletBalance"), decimal(entry, "availableBalance")
    asset = _coin(exchange, entry)
    if total < 0:
        return Balance(slice=part.name, asset=asset, free=Decimal(0), debt=-total)
    # What is available includes unrealised profit, and in multi-assets mode the other coins' worth.
    free = min(max(available, Decimal(0)), total)
    return Balance(slice=part.name, asset=asset, free=free, locked=total - free)


def _coin(exchange: Ccxt, entry: Row) -> str:
    return str(exchange.safe_currency_code(text(entry, "asset")))


def corroborate(
    part: Slice,
    book: MarketBook,
    answer: Answer,
    positions: Collection[Position],
    orders: Collection[OpenOrder] | None,
) -> None:
    """Hold a futures wallet against the lists that were read with it.

    Not so the wallets of spot and margin: ``locked`` is also what withdrawals, convert orders and other products hold,
    so that without an order it proves nothing; it is reported as a balance that cannot be sold.

    Raises:
        VenueAnswerUnknown: margin is in use, or a position is in the account, that no list has shown. Passes by itself
            where it was only a matter of moments.
    """
    if part.market_kind is MarketKind.SPOT:
        return
    account = row(answer, "account")
    _match_positions(part, book, account, positions)
    _match_margin(part, book, account, "positionInitialMargin", "position", [each.market_id for each in positions])
    if orders is not None:
        _match_margin(part, book, account, "openOrderInitialMargin", "order", [each.market_id for each in orders])


def takes_nothing(part: Slice, answer: Answer) -> bool:
    """Whether a wallet shows, in one answer, neither positions nor orders that could open one.

    An order that rests takes margin as soon as there is no position that it could be closing, and on spot and margin
    locks what it would spend. The reverse is not so (withdrawals lock, too): then nothing is said.

    Raises:
        VenueAnswerUnknown: a figure is missing.
    """
    account = row(answer, "account")
    if part.market_kind is MarketKind.SPOT:
        name = "userAssets" if part.kind is MarketKind.MARGIN else "balances"
        return all(decimal(entry, "locked") == 0 for entry in rows(account.get(name), name))
    held = rows(account.get("positions", []), "account positions")
    margins = [
        decimal(entry, name)
        for entry in rows(account.get("assets"), "assets")
        for name in ("positionInitialMargin", "openOrderInitialMargin")
    ]
    # In multi-assets mode the totals say what the coins' own figures leave to be shared.
    totals = ("totalPositionInitialMargin", "totalOpenOrderInitialMargin")
    margins += [decimal(account, name) for name in totals if name in account]
    return not any(margins) and all(decimal(entry, "positionAmt") == 0 for entry in held)


def _match_positions(part: Slice, book: MarketBook, account: Row, positions: Collection[Position]) -> None:
    """The account's own list of positions, isolated ones among them, leg by leg."""
    listed = {(each.market_id, each.side.value.upper() if each.hedged else "BOTH") for each in positions}
    for entry in rows(account.get("positions", []), "account positions"):
        market_id, leg = text(entry, "symbol"), text(entry, "positionSide")
        rules = book.by_id.get(market_id)
        mine = part.settle is None or (rules is not None and part.holds(rules.settle))
        if mine and decimal(entry, "positionAmt") != 0 and (market_id, leg) not in listed:
            raise VenueAnswerUnknown(f"the account shows a position in {market_id} ({leg}) that was not listed")


def _match_margin(
    part: Slice, book: MarketBook, account: Row, name: str, what: str, market_ids: Collection[str]
) -> None:
    """Reduce-only orders take no margin, so that the reverse proves nothing."""
    used = {text(each, "asset"): decimal(each, name) for each in rows(account.get("assets"), "assets")}
    explained = _settle_coins(book, market_ids)
    # In multi-assets mode margin is shared: what is in one coin, listed or another slice's, may use another's. What
    # is hidden beside it is then told by the account's own list alone.
    if explained is None or ((market_ids or part.settle is not None) and _shares_margin(account)):
        return
    for asset, margin in used.items():
        if margin > 0 and asset not in explained and part.settle in (None, asset):
            raise VenueAnswerUnknown(f"{margin} {asset} are in use as margin, and no {what} was listed for them")
    total = f"total{name[0].upper()}{name[1:]}"
    if part.settle is None and not market_ids and total in account and decimal(account, total) > 0:
        raise VenueAnswerUnknown(f"{account[total]} are in use as margin, and no {what} was listed for them")


def _settle_coins(book: MarketBook, market_ids: Iterable[str]) -> set[str] | None:
    """Coins that listed positions or orders are margined in; None: one is in a market that is not known."""
    known = [book.by_id.get(market_id) for market_id in market_ids]
    return None if None in known else {rules.settle for rules in known if rules is not None}


def _shares_margin(account: Row) -> bool:
    """Whether the account is in multi-assets mode: its totals are then not those of USDT alone."""
    if "totalPositionInitialMargin" not in account:
        return False
    own = [each for each in rows(account.get("assets"), "assets") if each.get("asset") == "USDT"]
    return any(
        decimal(account, f"total{name}") != sum((decimal(each, name[0].lower() + name[1:]) for each in own), Decimal(0))
        for name in ("PositionInitialMargin", "OpenOrderInitialMargin")
    )
