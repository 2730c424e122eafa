"""SIGHUP: the configuration is read again; what can take effect does, and the rest is named.

Who may sign commands and the certificates of the HTTP listener change under way. Everything else is built into
connections and accounts that a kill may need at this moment: it waits for a restart, and ``status`` says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import structlog

from node.concurrency import answered_within
from node.errors import ConfigError
from node.settings import Settings, load

#: The only section that takes effect while the node runs.
RELOADED_SECTION: Final = "issuers"

#: For a small file and a few certificates.
READ_WITHIN_S: Final = 5.0

log = structlog.get_logger(__name__)


@dataclass(slots=True, kw_only=True)
class Reload:
    """Knows what is in force and what the file says."""

    #: None: the settings came from no file.
    config: Path | None
    #: In force.
    settings: Settings
    #: Put these settings' issuers into force.
    adopt_issuers: Callable[[Settings], None]
    #: Read the HTTP listener's certificate again.
    reload_certificates: Callable[[], None]
    #: See that certificates can be read and used, changing nothing; off the event loop.
    try_certificates: Callable[[], None] = lambda: None
    #: A disk that hangs must not hold up the next signal.
    within_s: float = READ_WITHIN_S
    #: Settings that differ in the file and wait for a restart.
    pending: tuple[str, ...] = field(default=())

    async def carry_out(self) -> None:
        """Never raises: a file that is wrong changes nothing, and is complained about in the log."""
        config = self.config
        if config is None:
            log.warning("configuration_not_reloaded", faults=["there is no file"])
            return
        try:
            wanted = await answered_within(self.within_s, lambda: self._read(config), name="reload")
            self.reload_certificates()
        except TimeoutError:
            fault = f"{config} or a certificate: not read within {self.within_s:g} s"
            log.error("configuration_not_reloaded", faults=[fault])  # noqa: TRY400  (a disk has no traceback)
            return
        except ConfigError as error:
            log.error("configuration_not_reloaded", faults=error.faults)  # noqa: TRY400 - a person wrote it: no traceback
            return
        except Exception:
            # The supervisor: nothing that may be in a file is a reason to end the node.
            log.exception("configuration_not_reloaded")
            return
        took_effect = tuple(changes(self.settings.issuers, wanted.issuers, RELOADED_SECTION))
        self.settings = self.settings.model_copy(update={RELOADED_SECTION: wanted.issuers})
        self.adopt_issuers(self.settings)
        self.pending = tuple(changes(self.settings, wanted))
        log.info("configuration_reloaded", took_effect=took_effect, waits_for_restart=self.pending)

    def _read(self, config: Path) -> Settings:
        """In a thread: everything that waits for a disk."""
        wanted = load(config)
        self.try_certificates()
        return wanted


def changes(old: object, new: object, place: str = "") -> Iterator[str]:
    """The places at which two configurations differ, without the values: ``accounts[binance-main].slices``."""
    yield from _changes(_plain(old), _plain(new), place)


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    dump = getattr(value, "model_dump", None)
    return value if dump is None else dump()


def _changes(old: object, new: object, place: str) -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys((*old, *new)):
            yield from _changes(old.get(key), new.get(key), f"{place}.{key}" if place else str(key))
    elif (former := _by_name(old)) is not None and (latter := _by_name(new)) is not None:
        for name in dict.fromkeys((*former, *latter)):
            yield from _changes(former.get(name), latter.get(name), f"{place}[{name}]")
    elif old != new:
        yield place


def _by_name(value: object) -> dict[str, Any] | None:
    """An array of tables with ids: these are told apart by it, not by their order. None: it is something else."""
    if not isinstance(value, (list, tuple)) or not all(isinstance(item, dict) and "id" in item for item in value):
        return None
    return {str(table.get("name", table["id"])): table for table in value}
