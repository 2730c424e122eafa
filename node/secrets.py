"""Secrets: looked up by name, kept as ``SecretStr``, and known to the log so that it can mask them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote, quote_plus

from pydantic import SecretStr

from node.errors import ConfigError
from node.plain_files import read_text
from node.settings import AccountSettings, Settings
from node.settings_base import CredentialReference

#: Shorter values are masked by the name of their key only: masking "1" everywhere would hide the log itself.
_MASKED_LENGTH_MIN: Final = 6

MASK: Final = "***"

_PRIVATE_PART: Final = re.compile(r'"d"\s*:\s*"([\w-]+)"')


class KnownSecrets:
    """The values that must never appear in a log, longest first."""

    def __init__(self) -> None:
        self._values: tuple[str, ...] = ()

    def add(self, value: str) -> None:
        """Mask this value from now on: as it is, percent-encoded, line by line (keys in PEM), and the private part of
        a JWK.
        """
        forms = {value, quote_plus(value), quote(value), repr(value)[1:-1]}
        forms.update(_PRIVATE_PART.findall(value))
        forms.update(line for line in map(str.strip, value.splitlines()) if not line.startswith("-----"))
        usable = {form for form in forms if len(form) >= _MASKED_LENGTH_MIN}
        self._values = tuple(sorted({*self._values, *usable}, key=lambda form: (-len(form), form)))

    def mask(self, text: str) -> str:
        """The text without any known secret."""
        for value in self._values:
            if value in text:
                text = text.replace(value, MASK)
        return text


#: Of this process: whoever reads a secret adds it here.
KNOWN_SECRETS: Final = KnownSecrets()


def find(name: str, environ: Mapping[str, str] | None = None) -> SecretStr:
    """Look a credential up: ``$CREDENTIALS_DIRECTORY/name``, the file ``$NAME_FILE``, then ``$NAME``.

    One trailing newline is not part of it, nor is the byte order mark that some editors write. A dash in the name is an
    underscore in the environment.

    Raises:
        ConfigError: nowhere to be found, unreadable or empty; says where it was looked for, never what was there.
    """
    environ = os.environ if environ is None else environ
    files, variable = places_of(name, environ)
    value: str | None = None
    for path in files:
        try:
            value = read_text(path)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
            raise ConfigError([f"credential {name}: {path} cannot be read: {reason}"]) from None
        break
    else:
        value = environ.get(variable)
    if value is None:
        raise ConfigError([f"credential {name}: not in $CREDENTIALS_DIRECTORY, ${variable}_FILE or ${variable}"])
    value = value.removesuffix("\n").removesuffix("\r")
    if not value:
        raise ConfigError([f"credential {name}: is empty"])
    if "\0" in value:
        raise ConfigError([f"credential {name}: there is a NUL in it: not a file of text"])
    KNOWN_SECRETS.add(value)
    return SecretStr(value)


def places_of(name: str, environ: Mapping[str, str]) -> tuple[list[Path], str]:
    """Where a credential is looked for: the files, in order, that may hold it, then the variable."""
    variable, files = name.upper().replace("-", "_"), []
    if directory := environ.get("CREDENTIALS_DIRECTORY"):
        files.append(Path(directory) / name)
    if file := environ.get(f"{variable}_FILE"):
        files.append(Path(file))
    return files, variable


class Secrets:
    """Every secret that a configuration refers to."""

    def __init__(self, values: Mapping[str, SecretStr]) -> None:
        self._values = dict(values)

    @classmethod
    def resolve(cls, settings: Settings, environ: Mapping[str, str] | None = None) -> Secrets:
        """Look up everything that the configuration refers to.

        Raises:
            ConfigError: with one line for each reference that leads nowhere.
        """
        values: dict[str, SecretStr] = {}
        faults: list[str] = []
        for where, reference in references(settings):
            try:
                values[reference.credential] = find(reference.credential, environ)
            except ConfigError as error:
                faults.extend(f"{where}: {fault}" for fault in error.faults)
        if faults:
            raise ConfigError(faults)
        return cls(values)

    def of(self, reference: CredentialReference) -> SecretStr:
        """The secret behind one reference of the resolved configuration."""
        return self._values[reference.credential]

    def of_account(self, account: AccountSettings) -> dict[str, SecretStr]:
        """An account's credentials by ccxt's names for them."""
        return {name: self.of(reference) for name, reference in account.credentials.items()}


def references(settings: Settings) -> Iterator[tuple[str, CredentialReference]]:
    """Every credential reference of a configuration, with its place."""
    if settings.mqtt and settings.mqtt.password:
        yield "mqtt.password", settings.mqtt.password
    if settings.notify is not None:
        if isinstance(settings.notify.url, CredentialReference):
            yield "notify.url", settings.notify.url
        if settings.notify.secret is not None:
            yield "notify.secret", settings.notify.secret
    if settings.operator:
        yield "operator.token", settings.operator.token
    for index, account in enumerate(settings.accounts):
        for name, reference in account.credentials.items():
            yield f"accounts[{index}].credentials.{name}", reference
