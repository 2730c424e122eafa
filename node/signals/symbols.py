"""Which of an exchange's markets an alert's symbol means. Pure, over ccxt's descriptions of markets.

``spot.btc_usdt`` is the spot pair BTC/USDT; ``perp.btc_usdt`` the perpetual contract on it that is settled in USDT;
``cfd.eur_usd`` a CFD, which only B2PRIME has. TradingView's ``{{ticker}}`` has no separator (``BTCUSDT``, with ``.P``
for perpetuals): it is understood where it means one market only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from node.signals.refusal import Code, Refused

Market = Mapping[str, Any]

_CFD_MARK: Final = "-CFD"
_PERPETUAL_MARK: Final = ".p"


class SymbolBook:
    """The markets of one account's exchange, by the names that alerts use."""

    def __init__(self, markets: Iterable[Market], named: Mapping[str, str]) -> None:
        """*named*: the account's own names, which come before every rule."""
        self._named = named
        self._symbols: set[str] = set()
        self._exact: dict[str, set[str]] = {}
        self._joined: dict[str, set[str]] = {}
        for market in markets:
            self._add(market)

    def _add(self, market: Market) -> None:
        kind, base, quote = _kind(market), str(market.get("base")).lower(), str(market.get("quote")).lower()
        symbol = str(market["symbol"])
        self._symbols.add(symbol)
        if kind is None:
            return
        self._exact.setdefault(f"{kind}.{base}_{quote}", set()).add(symbol)
        self._joined.setdefault(f"{kind}.{base}{quote}", set()).add(symbol)

    def find(self, name: str) -> str:
        """ccxt's symbol for an alert's.

        Raises:
            Refused: BAD_SYMBOL, there is no such market, or more than one.
        """
        if name in self._named:
            if self._named[name] not in self._symbols:
                raise Refused(Code.BAD_SYMBOL, f"{name}: the configuration names a market that the exchange has not")
            return self._named[name]
        bare = name.removesuffix(_PERPETUAL_MARK) if name.startswith("perp.") else name
        found = self._exact.get(bare) or self._joined.get(bare) or set()
        if not found:
            raise Refused(Code.BAD_SYMBOL, f"{name}: the account's exchange has no such market")
        if len(found) > 1:
            raise Refused(Code.BAD_SYMBOL, f"{name}: may be any of {', '.join(sorted(found)[:3])}: write base_quote")
        return next(iter(found))


def _kind(market: Market) -> str | None:
    """``spot``, ``cfd``, ``perp``, or none of them: a market that is closed for good, dated, or an option."""
    if market.get("active") is False:
        return None
    if market.get("spot"):
        return "spot"
    if not market.get("swap"):
        return None
    if str(market["symbol"]).endswith(_CFD_MARK):
        return "cfd"
    # A pair may be settled in several coins: the usual one is its quote.
    return "perp" if market.get("settle") in (market.get("quote"), market.get("base")) else None
