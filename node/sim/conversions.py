"""Conversion of one asset into another, at a price that the venue quotes for some seconds."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal

from node.sim.accounts import Account
from node.sim.catalogue import COINS, OFF_THE_BOOK, STABLE, price_of
from node.sim.market import Product
from node.sim.matching import MatchingCore
from node.sim.orders import Origin
from node.sim.refusals import Reason, RefusalError
from node.sim.settlement import SMALLEST_AMOUNT

NOT_CONVERTIBLE = frozenset({"WAN", "USD"})
LEAST_USD, MOST_USD = Decimal("0.1"), Decimal(1_000_000)
FIRST_QUOTE, FIRST_CONVERSION = 12_415_572_564, 933_256_278_426_274_426


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversionQuote:
    """What the venue would give, until *expires_ms*."""

    quote_id: str
    account: str
    source: str
    target: str
    gives: Decimal  # of source
    takes: Decimal  # of target
    ratio: Decimal  # target units for one of source
    expires_ms: int
    covered: bool  # whether the account had so much when it asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """A quote that was accepted."""

    order_id: int
    quote: ConversionQuote
    created_ms: int


class ConversionDesk:
    """Quotes and conversions of one world. Money is taken from spot wallets, and given there."""

    def __init__(self, core: MatchingCore) -> None:
        self._core = core
        self._quotes: dict[str, ConversionQuote] = {}
        self._conversions: dict[int, Conversion] = {}
        self._quote_ids = itertools.count(FIRST_QUOTE)
        self._order_ids = itertools.count(FIRST_CONVERSION)

    def assets(self) -> Iterator[str]:
        """What can be converted, into anything else of it."""
        return (name for name in (*STABLE, *COINS, *OFF_THE_BOOK) if name not in NOT_CONVERTIBLE)

    def bounds(self, asset: str) -> tuple[Decimal, Decimal]:
        """The least and the most of *asset* that is converted at once.

        Raises:
            RefusalError: it is not convertible.
        """
        price = self._price(asset)
        return _whole(LEAST_USD / price), _whole(MOST_USD / price)

    def quote(
        self,
        account: Account,
        source: str,
        target: str,
        *,
        gives: Decimal | None = None,
        takes: Decimal | None = None,
        valid_ms: int,
        wallet: str = Product.SPOT,
    ) -> ConversionQuote:
        """Quote a price for one of *gives* and *takes*. Asked of another wallet than spot, nothing is covered.

        Raises:
            RefusalError: the pair is not converted, or not in this size.
        """
        if source == target:
            raise RefusalError(Reason.NOT_CONVERTIBLE)
        least, most = self.bounds(source)
        ratio = self._price(source) / self._price(target) * self._core.rules.conversion_ratio
        gives = gives if gives is not None else _whole((takes or Decimal(0)) / ratio)
        if gives < least:
            raise RefusalError(Reason.CONVERSION_TOO_SMALL)
        if gives > most:
            raise RefusalError(Reason.CONVERSION_TOO_LARGE)
        held = account.wallets.get(Product.SPOT, {}).get(source) if wallet == Product.SPOT else None
        quote = ConversionQuote(
            quote_id=str(next(self._quote_ids)),
            account=account.name,
            source=source,
            target=target,
            gives=gives,
            takes=takes if takes is not None else _whole(gives * ratio),
            ratio=ratio,
            expires_ms=self._core.now_ms() + valid_ms,
            covered=held is not None and held.free >= gives,
        )
        if quote.covered:
            self._quotes[quote.quote_id] = quote
        return quote

    def accept(self, account: Account, quote_id: str, *, by: Origin) -> Conversion:
        """Convert as quoted.

        Raises:
            RefusalError: there is no such quote, it has expired, or the money is gone.
        """
        quote = self._quotes.get(quote_id)
        if quote is None or quote.account != account.name:
            raise RefusalError(Reason.QUOTE_UNKNOWN)
        if self._core.now_ms() > quote.expires_ms:
            raise RefusalError(Reason.QUOTE_EXPIRED)
        self._core.treasury.convert(account, quote.source, quote.gives, quote.target, quote.takes, by=by)
        del self._quotes[quote_id]
        conversion = Conversion(order_id=next(self._order_ids), quote=quote, created_ms=self._core.now_ms())
        self._conversions[conversion.order_id] = conversion
        return conversion

    def find(self, account: Account, *, order_id: int | None, quote_id: str) -> Conversion | None:
        """A conversion of the account, by its own id or by that of its quote."""
        for conversion in self._conversions.values():
            named = conversion.order_id == order_id or (order_id is None and conversion.quote.quote_id == quote_id)
            if named and conversion.quote.account == account.name:
                return conversion
        return None

    def _price(self, asset: str) -> Decimal:
        if asset not in set(self.assets()):
            raise RefusalError(Reason.NOT_CONVERTIBLE)
        for listing in self._core.listings.values():
            market = listing.market
            if market.product is Product.SPOT and (market.base, market.quote) == (asset, "USDT"):
                return listing.mark
        return price_of(asset)


def _whole(number: Decimal) -> Decimal:
    return number.quantize(SMALLEST_AMOUNT, ROUND_DOWN)
