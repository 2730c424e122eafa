"""What an OKX account is set to, beyond the core: its account level, and whether it borrows by itself.

Levels: ``1`` spot, ``2`` futures ("single-currency"), ``3`` multi-currency, ``4`` portfolio margin. An account of the
scenario is at level 2, one with debts at level 3 with auto-borrow; requests change it (``account/set-account-level``,
``account/set-auto-loan``). The position mode is the core's.
"""

from __future__ import annotations

from dataclasses import dataclass

from node.sim.accounts import Account
from node.sim.market import Product
from node.sim.matching import MatchingCore
from node.sim.okx.errors import OkxError, refusal, unsupported
from node.sim.refusals import Reason

FIRST_UID = 77_982_378_738_415_879


@dataclass(slots=True)
class AccountMode:
    """One account's settings."""

    uid: str
    level: str = "2"
    auto_loan: bool = False

    @property
    def single(self) -> bool:
        """Whether spot is paid from what is there, and from nothing else."""
        return self.level in ("1", "2")


class AccountModes:
    """All accounts' settings, made on first use."""

    def __init__(self, core: MatchingCore) -> None:
        self._core = core
        self._modes: dict[str, AccountMode] = {}

    def of(self, account: Account) -> AccountMode:
        """The account's settings."""
        if account.name not in self._modes:
            uid = str(FIRST_UID + list(self._core.accounts).index(account.name))
            owes = any(held.owed for wallet in account.wallets.values() for held in wallet.values())
            self._modes[account.name] = AccountMode(uid=uid, level="3" if owes else "2", auto_loan=owes)
        return self._modes[account.name]

    def set_level(self, account: Account, level: str) -> None:
        """Switch the account level.

        Raises:
            OkxError: 51000, or 59132 or 59134 while orders or contracts are open.
        """
        if level not in ("1", "2", "3", "4"):
            raise OkxError("51000", "Parameter acctLv error")
        if account.open_orders:
            raise OkxError("59132", "Unable to switch. Please close or cancel all open orders.")
        if any(account.open_positions()):
            raise OkxError("59134", "Unable to switch. Refer to the pre-check endpoint and close any positions.")
        self.of(account).level = level

    def set_auto_loan(self, account: Account, *, on: bool) -> None:
        """Borrow what an order lacks, or do not.

        Raises:
            OkxError: 51010, only multi-currency and portfolio margin borrow by themselves.
        """
        if self.of(account).single:
            raise unsupported()
        self.of(account).auto_loan = on

    def set_hedged(self, account: Account, *, hedge: bool) -> None:
        """Set the position mode of all contracts at once; it is no error if it is so already.

        Raises:
            OkxError: 51041 at portfolio margin, 59000 while orders or positions are open.
        """
        if hedge and self.of(account).level == "4":
            raise OkxError("51041", "Portfolio margin account only supports the Buy/Sell mode.")
        if hedge == hedged(account):
            return
        if account.open_orders or any(account.open_positions()):
            raise refusal(Reason.POSITIONS_EXIST)
        for product in (Product.LINEAR, Product.INVERSE):
            self._core.set_hedge_mode(account, product, hedge=hedge)


def hedged(account: Account) -> bool:
    """Whether the account has two positions a contract (``long_short_mode``)."""
    return Product.LINEAR in account.hedge_mode
