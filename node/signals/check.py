"""What can be known to be wrong with the configuration of signals before anything is started."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

from node.client import EngineLock
from node.domain.permission import Permission
from node.errors import ConfigError
from node.signals.app import SignalSecrets, venue_options
from node.signals.profile import SignalProfile
from node.signals.settings import SignalsSettings, parse_signals


def findings(data: dict[str, object]) -> tuple[list[str], list[str]]:
    """Faults and warnings of a configuration file."""
    try:
        settings = parse_signals(data)
    except ConfigError as error:
        return error.faults, []
    faults = list(_file_faults(settings))
    try:
        secrets = SignalSecrets.resolve(settings)
    except ConfigError as error:
        faults += error.faults
    else:
        faults += _venue_faults(settings, secrets)
    return faults, list(_warnings(settings))


def _venue_faults(settings: SignalsSettings, secrets: SignalSecrets) -> Iterator[str]:
    for index, account in enumerate(settings.accounts):
        options = venue_options(account, settings, secrets)
        try:
            found = SignalProfile(options).objections(options)
        except ConfigError as error:
            found = error.faults
        yield from (f"accounts[{index}].{fault}" for fault in found)


def _file_faults(settings: SignalsSettings) -> Iterator[str]:
    places: list[tuple[str, Path | None]] = [
        (f"accounts[{index}].ca_file", account.ca_file) for index, account in enumerate(settings.accounts)
    ]
    for place, path in places:
        if path is not None:
            try:
                ssl.create_default_context(cafile=path)
            except OSError as error:
                yield f"{place}: {path}: {error.strerror or error}"
    if settings.http is not None and settings.http.cert_file is not None:
        try:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(settings.http.cert_file, settings.http.key_file)
        except OSError as error:
            yield f"http.cert_file: {settings.http.cert_file} with {settings.http.key_file}: {error.strerror or error}"


def _warnings(settings: SignalsSettings) -> Iterator[str]:
    if settings.http is None:
        yield "http: there is no such section: only whoever may open the operator's socket can send alerts"
    if not settings.accounts:
        yield "accounts: there are none: every alert is refused"
    for index, account in enumerate(settings.accounts):
        if account.permission is not Permission.FULL:
            yield f"accounts[{index}].permission: {account.permission.value}: its alerts are refused"
        node = account.node_runtime_dir or settings.signals.node_runtime_dir
        if EngineLock(node, str(account.id)).state().epoch is None:
            yield (
                f"accounts[{index}].id: no node on this machine vouches for its lock in {node}: its alerts are refused"
                " until one does"
            )
