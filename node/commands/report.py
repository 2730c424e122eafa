"""Result documents in words, for people."""

from __future__ import annotations

from node.commands.output import Document, ExitStatus

_ENDINGS = {"done": ExitStatus.DONE, "rejected": ExitStatus.REJECTED, "failed": ExitStatus.FAILED}

#: Verdicts of commands that close: what direction is left belongs to the answer, also if it is none.
_EXPOSED = ("flat", "flat_with_residue", "not_flat", "unknown", "drill_passed", "drill_failed")


def ended(document: Document) -> bool:
    """Whether nothing more will happen."""
    return document.get("state") in _ENDINGS


def exit_status(document: Document, *, waited: bool) -> ExitStatus:
    """The exit status for the newest event: who did not wait is content with an accepted command."""
    otherwise = ExitStatus.INCOMPLETE if waited or document.get("state") == "incomplete" else ExitStatus.DONE
    return _ENDINGS.get(document.get("state", ""), otherwise)


def line(document: Document) -> str:
    """One event as one line."""
    parts = [f"{document.get('state', '?'):<10}"]
    if document.get("verdict"):
        parts.append(document["verdict"])
    if document.get("rounds"):
        parts.append(f"round {document['rounds']}")
    counts = {name: count for name, count in (document.get("orders") or {}).items() if count}
    parts += [f"{count} {name}" for name, count in counts.items()]
    total = (document.get("latency_ms") or {}).get("total")
    if total is not None:
        parts.append(f"{total:g} ms")
    return "  ".join(parts)


def paragraph(document: Document) -> str:
    """One event with everything that a person has to know."""
    lines = [line(document), f"  command  {document.get('command_id')}", f"  account  {document.get('account_id')}"]
    if document.get("unjournaled"):
        lines.append("  NOT JOURNALED: no disk knows of this command")
    lock = document.get("lock")
    if lock:
        lines.append(f"  lock     {'locked' if lock['locked'] else 'unlocked'}, epoch {lock['epoch']}")
    lines += [
        f"  {position['slice']} {position['symbol']} {position['side']}"
        f" {position['before']} -> {_known(position['after'])} {position['verdict']}"
        for position in document.get("positions") or ()
    ]
    lines += [
        f"  {balance.get('slice', '')} {balance['asset']} {balance['before']} -> {_known(balance['after'])}"
        f" {balance['verdict']}"
        for balance in document.get("balances") or ()
        if balance["verdict"] != "flat"
    ]
    lines += [
        f"  would be left: {left['slice']} {left['name']} {left['quantity']} {left['verdict']}"
        for left in document.get("left_over") or ()
    ]
    if document.get("predicted_ms") is not None:
        lines.append(f"  a real command would take about {document['predicted_ms']:.0f} ms")
    lines += _exposure(document)
    for name in ("not_covered", "unverified"):
        if document.get(name):
            lines.append(f"  {name.replace('_', ' ')}: {', '.join(map(str, document[name]))}")
    lines += [
        f"  {error['code']}: {' '.join(filter(None, (error.get('slice'), error.get('symbol'), error['message'])))}"
        for error in document.get("errors") or ()
    ]
    lines += [f"  {child.get('account_id')}  {line(child)}" for child in document.get("children") or ()]
    return "\n".join(lines)


def _exposure(document: Document) -> list[str]:
    """What direction is left, and what is not known of it; nothing where a command closes nothing, or is many."""
    closes = document.get("action") not in ("LOCK", "UNLOCK")
    if not closes or "children" in document or document.get("verdict") not in _EXPOSED:
        return []
    read = {each["slice"] for each in document.get("evidence") or ()}
    unknown = [name for name in document.get("scope") or () if name not in read]
    unknown += [name for name in document.get("net_exposure_unknown") or () if name not in unknown]
    exposed = [f"{item['asset']} {item['value']}" for item in document.get("net_exposure") or ()]
    told = ", ".join(exposed) or ("none seen" if unknown else "none")
    told += f"; NOT PROVEN of {', '.join(unknown)}" if unknown else ""
    return [f"  net exposure {'after it' if document.get('dry_run') else 'left'}: {told}"]


def _known(value: str | None) -> str:
    return "?" if value is None else value
