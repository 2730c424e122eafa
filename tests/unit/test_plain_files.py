"""Files that people write are read without waiting for anybody."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import pytest

from node.errors import ConfigError
from node.key_pair import load_key_pair
from node.plain_files import BYTES_MAX, must_be_regular, read_text
from node.secrets import find
from node.settings import load
from node.transport.mqtt_options import client_tls
from node.venues.pool import trust


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    """A named pipe that nobody writes to."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


def test_a_file_is_read_and_so_is_what_a_link_leads_to(tmp_path: Path) -> None:
    """Kubernetes mounts secrets as links; an editor's byte order mark is none of the content."""
    (tmp_path / "file").write_bytes(b"\xef\xbb\xbftext\n")
    (tmp_path / "link").symlink_to("file")
    assert read_text(tmp_path / "link") == "text\n"
    must_be_regular(None, tmp_path / "link")


def test_what_is_no_file_is_refused_at_once(pipe: Path, tmp_path: Path) -> None:
    """A pipe, a device that never ends, a folder."""
    for path, said in ((pipe, "not a regular"), (Path("/dev/zero"), "not a regular"), (tmp_path, "directory")):
        with pytest.raises(OSError, match=said):
            read_text(path)
        with pytest.raises(OSError, match=said):
            must_be_regular(path)
    with pytest.raises(FileNotFoundError):
        read_text(tmp_path / "nothing")


def test_what_is_longer_than_any_configuration_is_not_read_to_its_end(tmp_path: Path) -> None:
    """Of the limit's length it is."""
    with (tmp_path / "long").open("wb") as file:
        file.truncate(BYTES_MAX)
    assert len(read_text(tmp_path / "long")) == BYTES_MAX
    os.truncate(tmp_path / "long", BYTES_MAX + 1)
    with pytest.raises(OSError, match="longer than"):
        read_text(tmp_path / "long")


def test_everything_that_reads_one_says_so_and_goes_on(pipe: Path) -> None:
    """Configuration, secret, certificate, key, authority: each with its own complaint, none with a wait."""
    with pytest.raises(ConfigError, match="not a regular file"):
        load(pipe)
    with pytest.raises(ConfigError, match=r"credential x: .* cannot be read: not a regular file"):
        find("x", {"X_FILE": str(pipe)})
    with pytest.raises(OSError, match="not a regular file"):
        load_key_pair(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), pipe, None)
    with pytest.raises(OSError, match="not a regular file"):
        client_tls(ca_file=pipe)
    with pytest.raises(ConfigError, match="not a regular file"):
        trust(pipe)
