"""A gateway's configuration file (TOML): what it calls itself, how it reaches the broker, whose accounts it knows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final, Self
from uuid import UUID

from pydantic import Field, Strict, ValidationError, model_validator

from node.errors import ConfigError
from node.settings import (
    UNIX_PATH_LENGTH_MAX,
    HttpSettings,
    MetricsSettings,
    MqttSettings,
    OwnerSettings,
    faults_of,
    read,
)
from node.settings_accounts import AccountId
from node.settings_base import Credential, FilePath, Section
from node.settings_fields import Identifier

#: The table that tells a gateway's file from a node's.
TABLE: Final = "gateway"


class GatewayTable(Section):
    """[gateway]: who it is, and how long it waits."""

    id: Identifier
    tenant: Identifier
    state_dir: FilePath
    runtime_dir: FilePath
    #: The private key of the issuer that the nodes know, as ``issuer new`` writes it.
    issuer_key: Credential
    #: A request is answered with TIMEOUT if no node has confirmed its command by then.
    confirm_within_s: Annotated[float, Strict(), Field(gt=0, le=30, allow_inf_nan=False)] = 5.0
    #: How long a CLOSE_ALL, FLATTEN or UNLOCK may be on its way; not more than the nodes allow the issuer.
    lifetime_s: Annotated[float, Strict(), Field(ge=1, le=86_400, allow_inf_nan=False)] = 60.0
    #: The same for LOCK, which is as good late as early.
    lock_lifetime_s: Annotated[float, Strict(), Field(ge=1, le=86_400, allow_inf_nan=False)] = 600.0


class GatewayAccount(Section):
    """[[accounts]]: an account at one of the nodes. What it may do is the node's business."""

    id: AccountId
    name: Annotated[Identifier, Field(max_length=64)]
    owner: Identifier


class GatewaySettings(Section):
    """The whole file."""

    gateway: GatewayTable
    mqtt: MqttSettings
    http: HttpSettings | None = None
    metrics: MetricsSettings | None = None
    owners: tuple[OwnerSettings, ...] = ()
    accounts: tuple[GatewayAccount, ...] = ()

    @model_validator(mode="after")
    def _cross_checked(self) -> Self:
        faults = [*_repeated(self), *_dangling(self), *_places(self)]
        if faults:
            raise ValueError("\n".join(faults))
        return self

    @property
    def operator_socket(self) -> Path:
        """Where the gateway serves its operator."""
        return self.gateway.runtime_dir / "operator.sock"

    def account(self, name_or_id: str) -> GatewayAccount | None:
        """One account by its name, or by its id in any spelling that ``uuid.UUID`` reads."""
        for account in self.accounts:
            if account.name == name_or_id or str(account.id) == name_or_id.lower():
                return account
        return None

    @property
    def account_ids(self) -> tuple[UUID, ...]:
        """In the file's order."""
        return tuple(account.id for account in self.accounts)


def load_gateway(path: Path | str) -> GatewaySettings:
    """Read and check a gateway's configuration file.

    Raises:
        ConfigError: with one line a fault, ``path.to[0].key: reason``; never with a value that could be a secret.
    """
    return parse_gateway(read(path))


def parse_gateway(data: dict[str, Any]) -> GatewaySettings:
    """Check what a gateway's configuration file says.

    Raises:
        ConfigError: with one line a fault, ``path.to[0].key: reason``.
    """
    try:
        return GatewaySettings.model_validate(data)
    except ValidationError as error:
        raise ConfigError(faults_of(error)) from None


def _repeated(settings: GatewaySettings) -> list[str]:
    faults: list[str] = []
    columns = {
        "owners.id": [owner.id for owner in settings.owners],
        "accounts.id": [str(account.id) for account in settings.accounts],
        "accounts.name": [account.name for account in settings.accounts],
    }
    for column, values in columns.items():
        table, key = column.split(".")
        faults += [
            f"{table}[{index}].{key}: the same as {table}[{values.index(value)}].{key}"
            for index, value in enumerate(values)
            if values.index(value) < index
        ]
    return faults


def _dangling(settings: GatewaySettings) -> list[str]:
    owners = {owner.id for owner in settings.owners}
    ids = {str(account.id) for account in settings.accounts}
    faults = [
        f"accounts[{index}].owner: no such owner: {account.owner}"
        for index, account in enumerate(settings.accounts)
        if account.owner not in owners
    ]
    return faults + [
        f"accounts[{index}].name: is the id of an account"
        for index, account in enumerate(settings.accounts)
        if account.name.lower() in ids
    ]


def _places(settings: GatewaySettings) -> list[str]:
    faults: list[str] = []
    table = settings.gateway
    if settings.http and settings.metrics and settings.http.listen == settings.metrics.listen:
        faults.append("metrics.listen: the same as http.listen")
    if table.runtime_dir.absolute() == table.state_dir.absolute():
        faults.append("gateway.runtime_dir: is the state_dir: the one is for its operator, the other is private")
    if len(str(settings.operator_socket).encode()) > UNIX_PATH_LENGTH_MAX:
        faults.append(f"gateway.runtime_dir: too long for a socket: at most {UNIX_PATH_LENGTH_MAX} bytes with its name")
    return faults
