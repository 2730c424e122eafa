"""``check``: everything that can be known to be wrong before anything is started."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from node.clock import SystemClock
from node.commands.exposure import exposures, forgeable_locks, looser_than_needed
from node.commands.output import ExitStatus, Output
from node.domain.command import Action
from node.domain.guard_mode import GuardMode
from node.domain.permission import Permission
from node.errors import ConfigError
from node.key_pair import check_key_pair
from node.secrets import Secrets
from node.settings import Settings, Subscription, parse, read
from node.settings_notify import Happening, NotifySettings

_ANY_ADDRESS: Final = ("0.0.0.0", "::")  # noqa: S104  (to be recognised)


def check(config: Path, output: Output) -> ExitStatus:
    """Print every fault and warning; exit status 1 if there is a fault."""
    warnings: list[str] = []
    try:
        data = read(config)
        if "gateway" in data:
            from node.gateway.check import findings  # with the whole gateway behind it

            faults, warnings = findings(data, config)
        elif "signals" in data and "node" not in data:
            faults, warnings = _of_signals(data, config)
        else:
            settings = parse(data)
            faults = [*_credential_and_venue_faults(settings), *_file_faults(settings)]
            warnings = [*_warnings(settings), *exposures(settings, config), *([] if faults else _unprofiled(settings))]
    except ConfigError as error:
        faults = error.faults
    if not output.as_json:
        for warning in warnings:
            output.note(f"warning: {warning}")
        for fault in faults:
            output.note(fault)
    if not faults or output.as_json:
        output.result({"ok": not faults, "faults": faults, "warnings": warnings}, f"{config}: ok")
    return ExitStatus.TROUBLE if faults else ExitStatus.DONE


def _of_signals(data: dict[str, object], config: Path) -> tuple[list[str], list[str]]:
    from node.signals.check import findings  # with ccxt behind it
    from node.signals.settings import parse_signals

    faults, warnings = findings(data)
    try:
        settings = parse_signals(data)
    except ConfigError:
        return faults, warnings
    looser = looser_than_needed(
        credentials=(reference.credential for _, reference in settings.references),
        key_files={"http.key_file": settings.http.key_file if settings.http else None},
        state_dir=("signals.state_dir", settings.signals.state_dir),
        runtime_dir=("signals.runtime_dir", settings.signals.runtime_dir),
        config=config,
    )
    nodes = {settings.signals.node_runtime_dir: "signals.node_runtime_dir"}
    for index, account in enumerate(settings.accounts):
        if account.node_runtime_dir is not None:
            nodes.setdefault(account.node_runtime_dir, f"accounts[{index}].node_runtime_dir")
    for folder, place in nodes.items():
        looser += forgeable_locks(place, folder)
    return faults, [*warnings, *looser]


def _credential_and_venue_faults(settings: Settings) -> list[str]:
    try:
        secrets = Secrets.resolve(settings)
    except ConfigError as error:
        return error.faults
    # Imported here: a configuration with faults should be refused at once.
    from node.venues import factory
    from node.wiring.accounts import venue_options
    from node.wiring.doors import operator_access
    from node.wiring.notices import webhook_address

    faults: list[str] = []
    try:
        operator_access(settings, secrets, SystemClock())
    except ConfigError as error:
        faults += error.faults
    for index, account in enumerate(settings.accounts):
        revealed = {name: secret.get_secret_value() for name, secret in secrets.of_account(account).items()}
        options = venue_options(account, settings, revealed)
        faults += [f"accounts[{index}].{fault}" for fault in factory.check(options)]
    if settings.notify is not None:
        try:
            webhook_address(settings.notify, secrets)
        except ConfigError as error:
            faults += error.faults
    return faults


def _unprofiled(settings: Settings) -> Iterator[str]:
    """Accounts of exchanges that ccxt knows and nobody has made a profile for."""
    from node.venues import factory

    for index, account in enumerate(settings.accounts):
        if (told := factory.unprofiled(account.exchange)) is not None:
            yield f"accounts[{index}].exchange: {told}"


def _file_faults(settings: Settings) -> Iterator[str]:
    """Certificates that are not there, or are none."""
    for index, account in enumerate(settings.accounts):
        yield from _authority_faults(f"accounts[{index}].ca_file", account.ca_file)
    if settings.mqtt is not None:
        yield from _authority_faults("mqtt.ca_file", settings.mqtt.ca_file)
        yield from _certificate_faults("mqtt.cert_file", settings.mqtt.cert_file, settings.mqtt.key_file)
    if settings.notify is not None:
        yield from _authority_faults("notify.ca_file", settings.notify.ca_file)
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
            check_key_pair(file, key_file)
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
    if settings.notify is not None:
        yield from _notify_warnings(settings.notify, settings)
    yield from _account_warnings(settings)


def _notify_warnings(notify: NotifySettings, settings: Settings) -> Iterator[str]:
    if isinstance(notify.url, str) and notify.url.startswith("https:") and notify.secret is None:
        yield "notify.url: in plain text, and nothing is signed: whoever reads this file can speak for the node"
    if settings.mqtt is None and "events" in notify.model_fields_set and Happening.BROKER_LOST in notify.events:
        yield "notify.events: broker_lost: there is no [mqtt]"


def _account_warnings(settings: Settings) -> Iterator[str]:
    known: dict[tuple[str, ...], int] = {}
    for index, account in enumerate(settings.accounts):
        place = f"accounts[{index}]"
        if account.permission in (Permission.READ, Permission.CANCEL):
            yield f"{place}.permission: {account.permission}: positions cannot be closed"
        if account.connect_to is not None:
            yield f"{place}.connect_to: requests go to {account.connect_to}, and not to {account.exchange} itself"
        names = (account.exchange, *sorted(reference.credential for reference in account.credentials.values()))
        if known.setdefault(names, index) != index:
            yield f"{place}.credentials: the same as accounts[{known[names]}]'s: each will undo the other's work"
    for index, account in enumerate(settings.accounts):
        guard = account.execution_with(settings.execution).guard
        if guard.after_lock is GuardMode.OFF or guard.after_close is GuardMode.OFF:
            yield f"accounts[{index}].execution: a guard is off: nothing undoes what is opened while it is locked"
