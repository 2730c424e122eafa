"""The configuration file (TOML): one frozen model a component, checked as a whole before anything starts.

Paths in the file are relative to the working directory of the process, not to the file. Secrets are never in it:
``{ credential = "name" }`` names what ``node.secrets`` looks up.
"""

from __future__ import annotations

import tomllib
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from uuid import UUID

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    Strict,
    ValidationError,
    model_validator,
)

from node.domain.command import ALL_ACCOUNTS, OPERATOR, THE_NODE, Action
from node.domain.guard_mode import GuardMode, GuardModes
from node.errors import ConfigError
from node.plain_files import read_text
from node.settings_accounts import ExchangeAccount, StrictBool
from node.settings_base import Credential, CredentialReference, FilePath, Seconds, Section
from node.settings_fields import (
    BrokerUrl,
    Endpoint,
    Identifier,
    PublicKey,
    WebOrigin,
    decimal_from_text,
    distinct_origins,
    distinct_slices,
    reason_of,
)
from node.settings_keeping import BackupSettings, RetentionSettings
from node.settings_notify import NotifySettings

#: Sections that belong to other processes, each with a configuration of its own.
FOREIGN_SECTIONS: Final = ("signals",)

#: Kinds of faults that are not worth a line beside one that says what is wrong inside.
_CONSEQUENCES: Final = ("too_short", "string_type")

#: What the kernel takes for the address of a Unix socket, less the terminating zero.
UNIX_PATH_LENGTH_MAX: Final = 107

SecondsOrNone = Annotated[float, Strict(), Field(ge=0, le=86_400, allow_inf_nan=False)]
Fraction = Annotated[Decimal, BeforeValidator(decimal_from_text), Field(gt=0, le=Decimal("0.20"), allow_inf_nan=False)]
Amount = Annotated[Decimal, BeforeValidator(decimal_from_text), Field(ge=0, allow_inf_nan=False)]
Currency = Annotated[str, Field(pattern=r"^[A-Z0-9]{1,20}$")]
SliceName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")]


class Subscription(StrEnum):
    """What an owner has bought; ``none`` may not use the risk API."""

    HYDRA_CORE = "hydra_core"
    SENTINEL_PRO = "sentinel_pro"
    NONE = "none"


class LockOnClose(StrEnum):
    """What CLOSE_ALL and FLATTEN leave behind when the command does not say."""

    LATCH = "latch"  # locked until UNLOCK
    HOLD = "hold"  # unlocked again after the second proof


class NodeSettings(Section):
    """[node]: who this daemon is, and where it keeps its things."""

    id: Identifier
    tenant: Identifier
    state_dir: FilePath
    runtime_dir: FilePath


class MqttSettings(Section):
    """[mqtt]: the broker; without this section HTTP and the operator socket still serve."""

    url: BrokerUrl
    username: Annotated[str, Field(min_length=1)] | None = None
    password: Credential | None = None
    ca_file: FilePath | None = None
    cert_file: FilePath | None = None
    key_file: FilePath | None = None
    #: Other nodes of the tenant serve other accounts on this broker: what is theirs is left to them, unanswered.
    shared: StrictBool = False

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.password is not None and self.username is None:
            raise ValueError("a password needs a username")
        if (self.cert_file is None) is not (self.key_file is None):
            raise ValueError("cert_file and key_file go together")
        if not self.url.tls and (self.ca_file or self.cert_file):
            raise ValueError("certificates need an mqtts:// url")
        return self


class HttpSettings(Section):
    """[http]: the public listener. Off loopback only with TLS."""

    listen: Endpoint
    cert_file: FilePath | None = None
    key_file: FilePath | None = None

    @model_validator(mode="after")
    def _protected(self) -> Self:
        if (self.cert_file is None) is not (self.key_file is None):
            raise ValueError("cert_file and key_file go together")
        if not self.listen.loopback and self.cert_file is None:
            raise ValueError(f"{self.listen} is not a loopback address: cert_file and key_file are needed")
        return self


class OperatorSettings(Section):
    """[operator]: the operator's routes and the console on the [http] listener, for whoever has the token."""

    token: Credential
    #: Under which browsers reach the listener, beside loopback and the address that it listens on.
    origins: Annotated[tuple[WebOrigin, ...], AfterValidator(distinct_origins)] = ()
    #: A browser's session ends when nobody has touched the page for so long...
    idle_s: Annotated[float, Strict(), Field(ge=60, le=86_400, allow_inf_nan=False)] = 900.0
    #: ...and in any case after this.
    session_s: Annotated[float, Strict(), Field(ge=60, le=86_400, allow_inf_nan=False)] = 14_400.0


class MetricsSettings(Section):
    """[metrics]: the Prometheus listener. Loopback only in this version."""

    listen: Endpoint

    @model_validator(mode="after")
    def _local(self) -> Self:
        if not self.listen.loopback:
            raise ValueError(f"{self.listen} is not a loopback address: metrics are served on loopback only")
        return self


class OwnerSettings(Section):
    """[[owners]]: whose accounts they are."""

    id: Identifier
    subscription: Subscription = Subscription.HYDRA_CORE


class IssuerSettings(Section):
    """[[issuers]]: who may sign which commands for which accounts."""

    id: Identifier
    public_key: PublicKey
    actions: Annotated[tuple[Action, ...], Field(min_length=1)]
    #: Ids or names of accounts, or ``*`` for all.
    accounts: Annotated[tuple[str, ...], Field(min_length=1)]
    #: How long a CLOSE_ALL, FLATTEN or UNLOCK of this issuer may be valid.
    max_lifetime_s: Seconds = 60.0


class FlattenSettings(Section):
    """[accounts.flatten]: what FLATTEN leaves alone."""

    keep: tuple[Currency, ...] = ()
    #: In base currency: what is worth less is dust.
    min_value: Amount = Decimal(5)


class ExecutionSettings(Section):
    """[execution]: how commands are carried out."""

    deadline_s: Seconds = 10.0
    lock_on_close: LockOnClose = LockOnClose.LATCH
    settle_s: SecondsOrNone = 3.0
    guard_after_lock: GuardMode = GuardMode.CANCEL
    guard_after_close: GuardMode = GuardMode.REVERT
    max_slippage: Fraction = Decimal("0.05")
    resume_within_s: SecondsOrNone = 900.0
    #: Whether every proof reads triggers, orders and positions one after the other, whatever was seen before.
    causal_proof: bool = False

    @property
    def guard(self) -> GuardModes:
        """Both modes of the guard."""
        return GuardModes(after_lock=self.guard_after_lock, after_close=self.guard_after_close)


class ExecutionOverrides(Section):
    """[accounts.execution]: the keys of [execution] that differ for one account."""

    deadline_s: Seconds | None = None
    lock_on_close: LockOnClose | None = None
    settle_s: SecondsOrNone | None = None
    guard_after_lock: GuardMode | None = None
    guard_after_close: GuardMode | None = None
    max_slippage: Fraction | None = None
    resume_within_s: SecondsOrNone | None = None
    causal_proof: bool | None = None


class DrillSettings(Section):
    """[drill]: rehearsals that nobody has to think of; without the section there are none."""

    #: From one drill of an account to its next, also across restarts.
    every_s: Annotated[float, Strict(), Field(ge=60, le=31 * 86_400, allow_inf_nan=False)]
    action: Literal[Action.CLOSE_ALL, Action.FLATTEN] = Action.CLOSE_ALL
    #: Ids or names of accounts, or ``*`` for all.
    accounts: Annotated[tuple[str, ...], Field(min_length=1)] = (ALL_ACCOUNTS,)


class AccountSettings(ExchangeAccount):
    """[[accounts]]: one set of exchange credentials."""

    base_currency: Currency
    #: None: all that the venue's profile knows.
    slices: Annotated[tuple[SliceName, ...], AfterValidator(distinct_slices)] | None = None
    #: What is done about a key that may withdraw: a loud warning, or the account is degraded until it may not.
    withdrawal_right: Literal["warn", "refuse"] = "warn"
    flatten: FlattenSettings = FlattenSettings()
    execution: ExecutionOverrides = ExecutionOverrides()

    def execution_with(self, defaults: ExecutionSettings) -> ExecutionSettings:
        """[execution] with this account's own values over it."""
        return defaults.model_copy(update=self.execution.model_dump(exclude_none=True))


class Settings(Section):
    """The whole file."""

    node: NodeSettings
    mqtt: MqttSettings | None = None
    http: HttpSettings | None = None
    operator: OperatorSettings | None = None
    metrics: MetricsSettings | None = None
    owners: tuple[OwnerSettings, ...] = ()
    issuers: tuple[IssuerSettings, ...] = ()
    accounts: tuple[AccountSettings, ...] = ()
    execution: ExecutionSettings = ExecutionSettings()
    drill: DrillSettings | None = None
    notify: NotifySettings | None = None
    backup: BackupSettings | None = None
    retention: RetentionSettings | None = None

    @model_validator(mode="after")
    def _cross_checked(self) -> Self:
        faults = [*_repeated(self), *_dangling(self), *_places(self)]
        if faults:
            raise ValueError("\n".join(faults))
        return self

    @property
    def operator_socket(self) -> Path:
        """Where the daemon serves the operator."""
        return self.node.runtime_dir / "operator.sock"

    @property
    def locks_dir(self) -> Path:
        """Where the lock documents are mirrored: ``{account_id}.json``."""
        return self.node.runtime_dir / "locks"

    def account(self, name_or_id: str) -> AccountSettings | None:
        """One account by its name, or by its id in any spelling that ``uuid.UUID`` reads."""
        for account in self.accounts:
            if account.name == name_or_id or str(account.id) == name_or_id.lower():
                return account
        return None

    def accounts_of(self, section: IssuerSettings | DrillSettings) -> tuple[UUID, ...]:
        """The accounts that an issuer may command, or that are drilled, in the file's order."""
        if ALL_ACCOUNTS in section.accounts:
            return tuple(account.id for account in self.accounts)
        named = {found.id for name in section.accounts if (found := self.account(name)) is not None}
        return tuple(account.id for account in self.accounts if account.id in named)


def _repeated(settings: Settings) -> list[str]:
    faults: list[str] = []
    columns: dict[str, list[str]] = {
        "owners.id": [owner.id for owner in settings.owners],
        "issuers.id": [issuer.id for issuer in settings.issuers],
        "issuers.public_key": [issuer.public_key.hex() for issuer in settings.issuers],
        "accounts.id": [str(account.id) for account in settings.accounts],
        "accounts.name": [account.name for account in settings.accounts],
    }
    for column, values in columns.items():
        table, key = column.split(".")
        for index, value in enumerate(values):
            first = values.index(value)
            if first < index:
                faults.append(f"{table}[{index}].{key}: the same as {table}[{first}].{key}")
    return faults


def _dangling(settings: Settings) -> list[str]:
    faults: list[str] = []
    owners = {owner.id for owner in settings.owners}
    ids = {str(account.id) for account in settings.accounts}
    for index, account in enumerate(settings.accounts):
        if account.owner not in owners:
            faults.append(f"accounts[{index}].owner: no such owner: {account.owner}")
        if account.name.lower() in ids:
            faults.append(f"accounts[{index}].name: is the id of an account")
    for index, issuer in enumerate(settings.issuers):
        if issuer.id in (OPERATOR, THE_NODE):
            faults.append(f"issuers[{index}].id: {issuer.id!r} is a name of the node's own")
        faults += _unknown_accounts(settings, f"issuers[{index}]", issuer.accounts)
    if settings.drill is not None:
        faults += _unknown_accounts(settings, "drill", settings.drill.accounts)
    return faults


def _unknown_accounts(settings: Settings, place: str, names: tuple[str, ...]) -> list[str]:
    return [
        f"{place}.accounts[{position}]: no such account: {name}"
        for position, name in enumerate(names)
        if name != ALL_ACCOUNTS and settings.account(name) is None
    ]


def _places(settings: Settings) -> list[str]:
    faults: list[str] = []
    if settings.operator and not settings.http:
        faults.append("operator: it opens the listener of [http], and there is none")
    if settings.http and settings.metrics and settings.http.listen == settings.metrics.listen:
        faults.append("metrics.listen: the same as http.listen")
    if settings.node.runtime_dir.absolute() == settings.node.state_dir.absolute():
        faults.append("node.runtime_dir: is the state_dir: the one is for everybody, the other is private")
    if len(str(settings.operator_socket).encode()) > UNIX_PATH_LENGTH_MAX:
        faults.append(f"node.runtime_dir: too long for a socket: at most {UNIX_PATH_LENGTH_MAX} bytes with its name")
    return faults


def load(path: Path | str) -> Settings:
    """Read and check a configuration file.

    Raises:
        ConfigError: with one line a fault, ``path.to[0].key: reason``; never with a value that could be a secret.
    """
    return parse(read(path))


def read(path: Path | str) -> dict[str, Any]:
    """What a configuration file says, unchecked.

    Raises:
        ConfigError: it cannot be read, or is not TOML.
    """
    try:
        # Editors on other systems begin a file with a byte order mark.
        return tomllib.loads(read_text(Path(path)))
    except FileNotFoundError:
        raise ConfigError([f"{path}: no such file"]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path}: cannot be read: {error}"]) from None
    except RecursionError:
        raise ConfigError([f"{path}: not TOML: nested too deeply"]) from None
    except ValueError as error:  # also what the parser itself does not expect: a number of thousands of digits
        raise ConfigError([f"{path}: not TOML: {error}"]) from None


def parse(data: dict[str, Any]) -> Settings:
    """Check what a configuration file says.

    Raises:
        ConfigError: with one line a fault, ``path.to[0].key: reason``.
    """
    foreign = [
        f"{name}: `sovereign-node {name}` has a file of its own for this" for name in FOREIGN_SECTIONS if name in data
    ]
    known = {name: value for name, value in data.items() if name not in FOREIGN_SECTIONS}
    try:
        settings = Settings.model_validate(known)
    except ValidationError as error:
        raise ConfigError([*foreign, *faults_of(error)]) from None
    if foreign:
        raise ConfigError(foreign)
    return settings


def faults_of(error: ValidationError) -> list[str]:
    """One line a fault: where, and why; without the values."""
    lines: list[str] = []
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    places = [_where(fault["loc"]) for fault in faults]
    for where, fault in zip(places, faults, strict=True):
        if fault["type"] in _CONSEQUENCES and any(_tells_more(place, where) for place in places):
            continue
        if fault["type"] == "model_type" and places.count(where) > 1:
            continue  # it is none of the other kind either
        reasons = reason_of(fault["type"], fault["msg"]).split("\n")
        # A check across sections names its places itself.
        lines += [f"{where}: {reason}" if where else reason for reason in reasons]
    return lines


def _tells_more(place: str, where: str) -> bool:
    return place.startswith((f"{where}.", f"{where}["))


def _where(location: tuple[int | str, ...]) -> str:
    text = ""
    for part in location:
        if isinstance(part, str) and (part == CredentialReference.__name__ or "[" in part):
            continue  # pydantic's name for one of several kinds of value
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
