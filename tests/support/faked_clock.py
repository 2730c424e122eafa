"""A wall clock that is wrong and can be set, for one real process (libfaketime); its other clocks are true."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.support.mosquitto import executable

#: How long the library goes by what it has read of the file.
NOTICED_WITHIN_S = 1


@dataclass(frozen=True, slots=True)
class FakedClock:
    """Begins so many seconds off."""

    file: Path

    @property
    def environment(self) -> dict[str, str]:
        """For the process."""
        return {
            "LD_PRELOAD": str(_library()),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_CACHE_DURATION": str(NOTICED_WITHIN_S),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, offset_s: int) -> None:
        """Step it, while the process runs."""
        beside = self.file.with_suffix(".new")
        beside.write_text(f"{offset_s:+d}s\n")
        beside.replace(self.file)


def _library() -> Path:
    """Beside the program, in the folder of the machine's kind."""
    program = Path(executable("faketime"))
    found = [*program.parents[1].glob("lib/*/faketime/libfaketimeMT.so.1")]
    assert found, "faketime without its library"
    return found[0]
