"""``doctor``: whether each account could be closed right now, found out at the venue itself, without the daemon."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from node.clock import SystemClock
from node.commands.exposure import exposures
from node.commands.output import Document, ExitStatus, Output, Trouble
from node.engine.checkup import Checkup, Finding, Severity
from node.secrets import Secrets
from node.settings import AccountSettings, Settings, load


def doctor(config: Path, names: Sequence[str], output: Output) -> ExitStatus:
    """Examine the named accounts, or all, and this machine's care of the secrets; exit status 5 where a person must
    act, 3 where it may pass by itself. A loose file is a warning: it keeps nobody from closing.

    Raises:
        ConfigError: the configuration, a secret or an account's options are wrong: ``check`` says all of it.
    """
    settings = load(config)
    wanted = [found for name in names if (found := settings.account(name)) is not None]
    if len(wanted) != len(names):
        known = ", ".join(account.name for account in settings.accounts) or "none"
        unknown = ", ".join(name for name in names if settings.account(name) is None)
        raise Trouble("NOT_FOUND", f"no account is called {unknown}; there are: {known}")
    secrets = Secrets.resolve(settings)
    examined = asyncio.run(_examine(settings, secrets, wanted or list(settings.accounts)))
    worst = {finding.severity for findings in examined.values() for finding in findings}
    warnings = exposures(settings, config)
    output.result(
        {"warnings": warnings, **_document(examined)},
        "\n".join([*(f"WARNING  {warning}" for warning in warnings), _text(examined)]),
    )
    if Severity.FAULT in worst:
        return ExitStatus.FAILED
    return ExitStatus.INCOMPLETE if Severity.TROUBLE in worst else ExitStatus.DONE


async def _examine(
    settings: Settings, secrets: Secrets, accounts: Sequence[AccountSettings]
) -> dict[str, list[Finding]]:
    """One account after the other: they share request budgets."""
    from node.venues import factory
    from node.venues.pool import Pools
    from node.wiring.accounts import account_terms, revealed_options

    pools, clock = Pools(), SystemClock()
    examined: dict[str, list[Finding]] = {}
    try:
        for account in accounts:
            venue = factory.build(revealed_options(account, settings, secrets), pools, clock=clock)
            try:
                examined[account.name] = await Checkup(terms=account_terms(account, settings), venue=venue).carry_out()
            finally:
                await venue.close()
    finally:
        await pools.close()
    return examined


def _document(examined: dict[str, list[Finding]]) -> Document:
    return {
        "accounts": [
            {"name": name, "findings": [finding.document() for finding in findings]}
            for name, findings in examined.items()
        ]
    }


_MARKS = {
    Severity.OK: "ok",
    Severity.WARNING: "WARNING",
    Severity.TROUBLE: "TROUBLE",
    Severity.FAULT: "FAULT",
}


def _text(examined: dict[str, list[Finding]]) -> str:
    lines: list[str] = []
    for name, findings in examined.items():
        lines.append(name)
        for each in findings:
            place = f"{each.slice}: " if each.slice else ""
            lines.append(f"  {_MARKS[each.severity]:<8} {place}{each.message}")
    return "\n".join(lines)
