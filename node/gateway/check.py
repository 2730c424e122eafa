"""What can be known to be wrong with a gateway's configuration before anything is started."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

from node.commands.exposure import looser_than_needed
from node.errors import ConfigError
from node.gateway.app import GatewaySecrets
from node.gateway.settings import GatewaySettings, parse_gateway
from node.key_pair import check_key_pair
from node.settings import Subscription


def findings(data: dict[str, object], config: Path) -> tuple[list[str], list[str]]:
    """Faults and warnings of a gateway's configuration file."""
    try:
        settings = parse_gateway(data)
    except ConfigError as error:
        return error.faults, []
    faults = list(_file_faults(settings))
    try:
        GatewaySecrets.resolve(settings)
    except ConfigError as error:
        faults += error.faults
    return faults, [*_warnings(settings), *_exposures(settings, config)]


def _exposures(settings: GatewaySettings, config: Path) -> list[str]:
    references = (settings.gateway.issuer_key, settings.mqtt.password)
    return looser_than_needed(
        credentials=(reference.credential for reference in references if reference is not None),
        key_files={
            "mqtt.key_file": settings.mqtt.key_file,
            "http.key_file": settings.http.key_file if settings.http else None,
        },
        state_dir=("gateway.state_dir", settings.gateway.state_dir),
        runtime_dir=("gateway.runtime_dir", settings.gateway.runtime_dir),
        config=config,
    )


def _file_faults(settings: GatewaySettings) -> Iterator[str]:
    if settings.mqtt.ca_file is not None:
        try:
            ssl.create_default_context(cafile=settings.mqtt.ca_file)
        except OSError as error:
            yield f"mqtt.ca_file: {settings.mqtt.ca_file}: {error.strerror or error}"
    pairs: list[tuple[str, Path | None, Path | None]] = [("mqtt", settings.mqtt.cert_file, settings.mqtt.key_file)]
    if settings.http is not None:
        pairs.append(("http", settings.http.cert_file, settings.http.key_file))
    for place, cert_file, key_file in pairs:
        if cert_file is not None:
            try:
                check_key_pair(cert_file, key_file)
            except OSError as error:
                yield f"{place}.cert_file: {cert_file} with {key_file}: {error.strerror or error}"


def _warnings(settings: GatewaySettings) -> Iterator[str]:
    if not settings.accounts:
        yield "accounts: there are none: nobody can command anything"
    if settings.http is None:
        yield "http: there is no such section: only the operator's socket is served"
    for index, owner in enumerate(settings.owners):
        if owner.subscription is Subscription.NONE:
            yield f"owners[{index}].subscription: none: commands over HTTP are refused"
    if settings.gateway.lifetime_s > 60:
        yield "gateway.lifetime_s: more than 60: nodes refuse it unless the issuer's max_lifetime_s allows it"
