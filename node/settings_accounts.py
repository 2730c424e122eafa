"""What every process that speaks to exchanges must know of an account: whose it is, and how it is reached."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field, Strict

from node.domain.permission import Permission
from node.settings_base import Credential, FilePath, Section
from node.settings_fields import Endpoint, Identifier, account_uuid, ip_text, without_secrets

StrictBool = Annotated[bool, Strict()]
AccountId = Annotated[UUID, BeforeValidator(account_uuid)]


class ExchangeAccount(Section):
    """One set of exchange credentials."""

    id: AccountId
    name: Annotated[Identifier, Field(max_length=64)]
    owner: Identifier
    #: A ccxt id, or ``b2prime``.
    exchange: Annotated[str, Field(pattern=r"^[a-z0-9]{2,32}$")]
    permission: Permission
    credentials: Annotated[
        dict[Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,63}$")], Credential], Field(min_length=1)
    ]
    connect_to: Endpoint | None = None
    ca_file: FilePath | None = None
    local_address: Annotated[str, AfterValidator(ip_text)] | None = None
    sandbox: StrictBool = False
    #: Handed to the ccxt class as they are.
    options: Annotated[dict[str, Any], AfterValidator(without_secrets)] = Field(default_factory=dict)
