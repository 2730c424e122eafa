"""``check``: everything that can be known to be wrong before anything is started."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from node.clock import SystemClock
from node.commands.output import ExitStatus, Output
from node.domain.command import Action
from node.domain.guard_mode import GuardMode
from node.domain.permission import Permission
from node.errors import ConfigError
from node.secrets import Secrets, references
from node.settings import Settings, Subscription, load

_OTHERS: Final = 0o077
_ANY_ADDRESS: Final = ("0.0.0.0", "::")  # noqa: S104  (to be recognised)


def check(config: Path, output: Output) -> ExitStatus:
    """Print every fault and warning; exit status 1 if there is a fault."""
    warnings: list[str] = []
    try:
        settings = load(config)
    except ConfigError as error:
        faults = error.faults
    else:
        faults = [*_credential_and_venue_faults(settings), *_file_faults(settings)]
        warnings = list(_warnings(settings))
    if not output.as_json:
        for warning in warnings:
            output.note(f"warning: {warning}")
        for fault in faults:
            output.note(fault)
    if not faults or output.as_json:
        output.result({"ok": not faults, "faults": faults, "warnings": warnings}, f"{config}: ok")
    return ExitStatus.TROUBLE if faults else ExitStatus.DONE


def _credential_and_venue_faults(settings: Settings) -> list[str]:
    try:
        secrets = Secrets.resolve(settings)
    except ConfigError as error:
        return error.faults
    # Imported here: a configuration with faults should be refused at once.
    from node.venues import factory
    from node.wiring import operator_access, venue_options

    faults: list[str] = []
    try:
        operator_access(settings, secrets, SystemClock())
    except ConfigError as error:
        faults += error.faults
    for index, account in enumerate(settings.accounts):
        revealed = {name: secret.get_secret_value() for name, secret in secrets.of_account(account).items()}
        options = venue_options(account, settings, revealed)
        faults += [f"accounts[{index}].{fault}" for fault in factory.check(options)]
    return faults


def _file_faults(settings: Settings) -> Iterator[str]:
    """Certificates that are not there, or are none."""
    for index, account in enumerate(settings.accounts):
        yield from _authority_faults(f"accounts[{index}].ca_file", account.ca_file)
    if settings.mqtt is not None:
        yield from _authority_faults("mqtt.ca_file", settings.mqtt.ca_file)
        yield from _certificate_faults("mqtt.cert_file", settings.mqtt.cert_file, settings.mqtt.key_file)
    if settings.http is not None:
        yield from _certificate_faults("http.cert_file", settings.http.cert_file, settings.http.key_file)


def _authority_faults(place: str, file: Path | None) -> Iterator[str]:
    if file is not None:
        try:
            ssl.create_default_context(cafile=file)
        except OSError as error:
            yield f"{place}: {file}: {error.strerror or error}"


def _certificate_faults(place: str, file: Path | None, key_file: Path | None) -> Iterator[str]:
    if file is not None:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(file, key_file)
        except OSError as error:
            yield f"{place}: {file} with {key_file}: {error.strerror or error}"


def _warnings(settings: Settings) -> Iterator[str]:
    """What is allowed and may not be what was meant."""
    if not settings.accounts:
        yield "accounts: there are none: nothing is protected"
    if settings.mqtt is None and settings.issuers:
        yield "issuers: without [mqtt] nobody can send a signed command"
    if settings.operator and settings.http and not settings.operator.origins:
        host = settings.http.listen.host
        if host in _ANY_ADDRESS:
            yield f"operator.origins: browsers cannot reach {host} by that name: name the one that they use"
    for index, owner in enumerate(settings.owners):
        if owner.subscription is Subscription.NONE:
            yield f"owners[{index}].subscription: none: commands over HTTP are refused"
        elif not any(account.owner == owner.id for account in settings.accounts):
            yield f"owners[{index}].id: {owner.id} has no account: commands over HTTP are refused"
    for index, issuer in enumerate(settings.issuers):
        if Action.UNLOCK in issuer.actions:
            yield f"issuers[{index}].actions: {issuer.id} may unlock from afar"
    yield from _account_warnings(settings)
    yield from _exposed_credentials(settings)


def _account_warnings(settings: Settings) -> Iterator[str]:
    known: dict[tuple[str, ...], int] = {}
    for index, account in enumerate(settings.accounts):
        place = f"accounts[{index}]"
        if account.permission in (Permission.READ, Permission.CANCEL):
            yield f"{place}.permission: {account.permission}: positions cannot be closed"
        names = (account.exchange, *sorted(reference.credential for reference in account.credentials.values()))
        if known.setdefault(names, index) != index:
            yield f"{place}.credentials: the same as accounts[{known[names]}]'s: each will undo the other's work"
    for index, account in enumerate(settings.accounts):
        guard = account.execution_with(settings.execution).guard
        if guard.after_lock is GuardMode.OFF or guard.after_close is GuardMode.OFF:
            yield f"accounts[{index}].execution: a guard is off: nothing undoes what is opened while it is locked"


def _exposed_credentials(settings: Settings) -> Iterator[str]:
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    if directory is None:
        return
    for name in sorted({reference.credential for _, reference in references(settings)}):
        file = Path(directory) / name
        if file.is_file() and file.stat().st_mode & _OTHERS:
            yield f"credential {name}: {file} can be read by others: chmod 600"
