"""The number of files that the daemon may have open: sockets are files."""

from __future__ import annotations

import subprocess
import sys

_ASK = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 2048))
from node.app import allow_open_files
allowed = allow_open_files()
print(allowed, resource.getrlimit(resource.RLIMIT_NOFILE))
"""


def test_the_daemon_takes_as_many_as_it_may_have() -> None:
    """A login shell's or systemd's 1024 is for programs without connections."""
    done = subprocess.run([sys.executable, "-c", _ASK], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "2048 (2048, 2048)"
