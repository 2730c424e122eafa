"""Balances that move without an order: loans, repayments, conversions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal

from node.sim.accounts import Account
from node.sim.market import Product
from node.sim.orders import Origin
from node.sim.refusals import Reason, RefusalError

#: An account's wallet, the assets whose balances moved, and by how much where no order moved them.
BalancesChanged = Callable[[Account, str, Mapping[str, Decimal | None]], None]


class Treasury:
    """Lends, takes back and exchanges. *by* says on whose account a deed is counted."""

    def __init__(self, balances_changed: list[BalancesChanged]) -> None:
        self._balances_changed = balances_changed

    def borrow(self, account: Account, wallet: str, asset: str, amount: Decimal, *, by: Origin = Origin.CLIENT) -> None:
        """Lend an account *amount*, without limit."""
        account.balance(wallet, asset).borrow(amount)
        counters = account.counters_of(by)
        if counters is not None:
            counters.borrows += 1
        self._tell(account, wallet, {asset: amount})

    def repay(self, account: Account, wallet: str, asset: str, amount: Decimal, *, by: Origin = Origin.CLIENT) -> None:
        """Pay back *amount* of a debt, interest first.

        Raises:
            RefusalError: it is more than is owed, or than is free.
        """
        balance = account.balance(wallet, asset)
        if amount > balance.owed:
            raise RefusalError(Reason.REPAYS_TOO_MUCH)
        if amount > balance.free:
            raise RefusalError(Reason.INSUFFICIENT_BALANCE)
        balance.repay(amount)
        counters = account.counters_of(by)
        if counters is not None:
            counters.repayments += 1
        self._tell(account, wallet, {asset: -amount})

    def convert(
        self, account: Account, source: str, gives: Decimal, target: str, takes: Decimal, *, by: Origin = Origin.CLIENT
    ) -> None:
        """Exchange balances of the spot wallet off the book.

        Raises:
            RefusalError: there is not so much.
        """
        balance = account.balance(Product.SPOT, source)
        if gives > balance.free:
            raise RefusalError(Reason.INSUFFICIENT_BALANCE)
        balance.free -= gives
        account.balance(Product.SPOT, target).free += takes
        counters = account.counters_of(by)
        if counters is not None:
            counters.conversions += 1
        self._tell(account, Product.SPOT, {source: -gives, target: takes})

    def _tell(self, account: Account, wallet: str, deltas: Mapping[str, Decimal | None]) -> None:
        for listener in self._balances_changed:
            listener(account, wallet, deltas)
