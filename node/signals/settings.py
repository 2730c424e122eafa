"""The configuration file (TOML) of ``sovereign-node signals``: whose alerts are taken, and where their orders go."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, Field, Strict, ValidationError, model_validator

from node.errors import ConfigError
from node.settings import UNIX_PATH_LENGTH_MAX, HttpSettings, MetricsSettings, faults_of, read
from node.settings_accounts import ExchangeAccount
from node.settings_base import Credential, CredentialReference, FilePath, Section
from node.settings_fields import Identifier, WebOrigin

#: The table that tells this file from a node's.
TABLE: Final = "signals"

#: A symbol as alerts name it, in lower case.
SignalSymbol = Annotated[str, Field(pattern=r"^(spot|cfd|perp)\.[a-z0-9._-]{1,60}$")]
UnifiedSymbol = Annotated[str, Field(min_length=1, max_length=64)]


class OffStep(StrEnum):
    """What is done with a quantity that is no multiple of the market's step."""

    REFUSE = "refuse"
    DOWN = "down"  # rounded down: never more than the alert says


class SignalsTable(Section):
    """[signals]: where it keeps its things, and where the node shows its locks."""

    #: 0700: keys (hashed) and alerts.
    state_dir: FilePath
    #: operator.sock (0660).
    runtime_dir: FilePath
    #: The node's ``runtime_dir`` on this machine, whose lock files are read. Nothing else of the node's is.
    node_runtime_dir: FilePath
    #: As TradingView reaches it, for the ``webhookUrl`` that lists of keys show.
    public_url: WebOrigin | None = None
    #: From handing a request to its connection to the last byte of the exchange's answer.
    request_timeout_s: Annotated[float, Strict(), Field(ge=0.1, le=30, allow_inf_nan=False)] = 5.0


class KeyOperatorSettings(Section):
    """[operator]: keys may be made, listed and revoked on the [http] listener, too, by whoever has the token."""

    token: Credential


class UserSettings(Section):
    """[[owners]]: whose keys and accounts they are; the id is the ``userId`` in the webhook's address."""

    id: Identifier


class SignalAccount(ExchangeAccount):
    """[[accounts]]: an account that alerts may open positions on, under the id that the node has for it."""

    #: Of the node that locks this account, where several nodes run on this machine.
    node_runtime_dir: FilePath | None = None
    off_step: OffStep = OffStep.REFUSE
    #: Names of alerts to the exchange's markets, in ccxt's words, where the rule does not find the right one.
    symbols: dict[SignalSymbol, UnifiedSymbol] = Field(default_factory=dict)


def _distinct(owners: tuple[UserSettings, ...]) -> tuple[UserSettings, ...]:
    if len({owner.id for owner in owners}) < len(owners):
        raise ValueError("an id is repeated")
    return owners


class SignalsSettings(Section):
    """The whole file."""

    signals: SignalsTable
    http: HttpSettings | None = None
    operator: KeyOperatorSettings | None = None
    metrics: MetricsSettings | None = None
    owners: Annotated[tuple[UserSettings, ...], AfterValidator(_distinct)] = ()
    accounts: tuple[SignalAccount, ...] = ()

    @model_validator(mode="after")
    def _cross_checked(self) -> Self:
        faults = [*_accounts(self), *_places(self)]
        if faults:
            raise ValueError("\n".join(faults))
        return self

    @property
    def references(self) -> list[tuple[str, CredentialReference]]:
        """Every credential reference, with its place."""
        found = [("operator.token", self.operator.token)] if self.operator else []
        return found + [
            (f"accounts[{index}].credentials.{name}", reference)
            for index, account in enumerate(self.accounts)
            for name, reference in account.credentials.items()
        ]

    @property
    def operator_socket(self) -> Path:
        """Where the operator is served."""
        return self.signals.runtime_dir / "operator.sock"

    def account(self, name_or_id: str) -> SignalAccount | None:
        """One account by its name, or by its id in any spelling that ``uuid.UUID`` reads."""
        for account in self.accounts:
            if account.name == name_or_id or str(account.id) == name_or_id.lower():
                return account
        return None


def _accounts(settings: SignalsSettings) -> list[str]:
    faults: list[str] = []
    owners = {owner.id for owner in settings.owners}
    for key in ("id", "name"):
        values = [str(getattr(account, key)) for account in settings.accounts]
        faults += [
            f"accounts[{index}].{key}: the same as accounts[{values.index(value)}].{key}"
            for index, value in enumerate(values)
            if values.index(value) < index
        ]
    ids = {str(account.id) for account in settings.accounts}
    for index, account in enumerate(settings.accounts):
        if account.owner not in owners:
            faults.append(f"accounts[{index}].owner: no such owner: {account.owner}")
        if account.name.lower() in ids:
            faults.append(f"accounts[{index}].name: is the id of an account")
    return faults


def _places(settings: SignalsSettings) -> list[str]:
    faults: list[str] = []
    table = settings.signals
    if settings.operator and not settings.http:
        faults.append("operator: it opens the listener of [http], and there is none")
    if settings.http and settings.metrics and settings.http.listen == settings.metrics.listen:
        faults.append("metrics.listen: the same as http.listen")
    places = {
        "state_dir": table.state_dir,
        "runtime_dir": table.runtime_dir,
        "node_runtime_dir": table.node_runtime_dir,
    }
    seen: dict[Path, str] = {}
    for name, path in places.items():
        if (other := seen.setdefault(path.absolute(), name)) != name:
            faults.append(f"signals.{name}: the same as signals.{other}")
    if len(str(settings.operator_socket).encode()) > UNIX_PATH_LENGTH_MAX:
        faults.append(f"signals.runtime_dir: too long for a socket: at most {UNIX_PATH_LENGTH_MAX} bytes with its name")
    return faults


def load_signals(path: Path | str) -> SignalsSettings:
    """Read and check a configuration file.

    Raises:
        ConfigError: with one line a fault, ``path.to[0].key: reason``; never with a value that could be a secret.
    """
    return parse_signals(read(path))


def parse_signals(data: dict[str, Any]) -> SignalsSettings:
    """Check what a configuration file says.

    Raises:
        ConfigError: with one line a fault, ``path.to[0].key: reason``.
    """
    try:
        return SignalsSettings.model_validate(data)
    except ValidationError as error:
        raise ConfigError(faults_of(error)) from None
