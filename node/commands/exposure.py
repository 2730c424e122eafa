"""Who else on this machine could read the secrets, or change what the node is told: modes, owners, environment."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from node.secrets import places_of, references
from node.settings import Settings

_GROUP_AND_OTHERS: Final = 0o077
_OTHERS: Final = 0o007
_WRITE: Final = 0o022
#: With it the group's bits are the list's mask: systemd gives one user the right to read that way.
_ACCESS_LIST: Final = "system.posix_acl_access"


def exposures(settings: Settings, config: Path | None = None, environ: Mapping[str, str] | None = None) -> list[str]:
    """A line for each file that is looser than it need be; never a value. What does not exist is somebody else's word.

    *config* is looked at for writers only: it holds no secret, but says who may unlock.
    """
    return looser_than_needed(
        credentials=(reference.credential for _, reference in references(settings)),
        key_files={
            "mqtt.key_file": settings.mqtt.key_file if settings.mqtt else None,
            "http.key_file": settings.http.key_file if settings.http else None,
        },
        state_dir=("node.state_dir", settings.node.state_dir),
        runtime_dir=("node.runtime_dir", settings.node.runtime_dir),
        config=config,
        environ=environ,
    )


def looser_than_needed(
    *,
    credentials: Iterable[str],
    key_files: Mapping[str, Path | None],
    state_dir: tuple[str, Path],
    runtime_dir: tuple[str, Path],
    config: Path | None,
    environ: Mapping[str, str] | None = None,
) -> list[str]:
    """The same of any program's credentials, keys and state; places are keys of its configuration."""
    environ = os.environ if environ is None else environ
    found = list(_of_credentials(credentials, environ))
    for place, key_file in key_files.items():
        if key_file:
            found += _of_secret_file(place, key_file)
    if config is not None:
        found += _of_public_file("configuration", config)
    place, folder = state_dir
    if folder.is_dir() and _mode(folder) & _GROUP_AND_OTHERS:
        found.append(f"{place}: {folder} is open to others: chmod 700")
    return [*found, *forgeable_locks(*runtime_dir)]


def forgeable_locks(place: str, runtime_dir: Path) -> Iterator[str]:
    """Folders of a node's lock files that somebody else could write to."""
    for folder in (runtime_dir, runtime_dir / "locks"):
        if folder.is_dir() and _mode(folder) & _WRITE:
            yield f"{place}: {folder} can be changed by others, who could show locks of their own: chmod go-w"


def _of_credentials(names: Iterable[str], environ: Mapping[str, str]) -> Iterator[str]:
    for name in sorted(set(names)):
        files, variable = places_of(name, environ)
        file = next((file for file in files if file.is_file()), None)
        if file is not None:
            yield from _of_secret_file(f"credential {name}", file)
        elif variable in environ:
            yield (
                f"credential {name}: comes from the environment, which programs inherit and crash reports keep: "
                f"a file is better (${variable}_FILE)"
            )


def _of_secret_file(place: str, file: Path) -> Iterator[str]:
    try:
        mode, owner = _mode(file), file.stat().st_uid
    except OSError:
        return
    loose = mode & (_OTHERS if _has_access_list(file) else _GROUP_AND_OTHERS)
    if loose:
        yield f"{place}: {file} can be read by others: chmod 600"
    if owner not in (0, os.geteuid()):
        yield f"{place}: {file} belongs to another user (uid {owner}), who can read and replace it"
    yield from _of_folder(place, file)


def _of_public_file(place: str, file: Path) -> Iterator[str]:
    try:
        mode, owner = _mode(file), file.stat().st_uid
    except OSError:
        return
    if mode & _WRITE:
        yield f"{place}: {file} can be changed by others: chmod go-w"
    if owner not in (0, os.geteuid()):
        yield f"{place}: {file} belongs to another user (uid {owner}), who can change it"
    yield from _of_folder(place, file)


def _of_folder(place: str, file: Path) -> Iterator[str]:
    folder = file.resolve().parent
    mode = _mode(folder)
    if mode & _WRITE and not mode & stat.S_ISVTX:
        yield f"{place}: {folder} can be changed by others, and so {file.name} replaced: chmod go-w"


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _has_access_list(file: Path) -> bool:
    try:
        return bool(os.getxattr(file, _ACCESS_LIST))
    except OSError:
        return False
