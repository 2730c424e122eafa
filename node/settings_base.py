"""What every section of the configuration is made of: its base class, and references to secrets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Strict

from node.settings_fields import CredentialName

Seconds = Annotated[float, Strict(), Field(gt=0, le=86_400, allow_inf_nan=False)]


def _usable_path(value: object) -> object:
    if value == "":
        raise ValueError("an empty path would be the folder in which the program was started")
    if isinstance(value, str) and "\0" in value:
        raise ValueError("there is a NUL in it")
    return value


FilePath = Annotated[Path, BeforeValidator(_usable_path)]


class Section(BaseModel):
    """Frozen; unknown keys are refused; no value is shown in an error: it could be a secret."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class CredentialReference(Section):
    """Where a secret is to be found, by name."""

    credential: CredentialName


def _reference_only(value: object) -> object:
    if isinstance(value, (str, bytes)):
        # To pydantic a ValueError is a fault, a TypeError a defect.
        raise ValueError('a secret does not belong into this file: write { credential = "name" }')  # noqa: TRY004
    return value


Credential = Annotated[CredentialReference, BeforeValidator(_reference_only)]
