"""A real mosquitto with the shipped configuration, on a free port and a directory of its own."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

PASSWORDS = {"node-1": "node-secret", "node-2": "node-2-secret", "desk": "desk-secret", "gateway": "gateway-secret"}

_CONFIG = Path(__file__).parents[2] / "config"
_DEADLINE_S = 30.0


def executable(name: str) -> str:
    """The program's path; without it, the test is skipped."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


class Mosquitto:
    """Starts, stops and kills one mosquitto; its state stays in the directory."""

    def __init__(self, directory: Path, *, nodes: tuple[str, ...] = ("node-1",)) -> None:
        """*nodes* beyond the shipped one get its block of the access list, in their own names."""
        self._program = executable("mosquitto")
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self._nodes = nodes
        self._write_configuration()

    @property
    def pid(self) -> int:
        """The running process."""
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        """What it said so far."""
        return (self._directory / "log").read_text()

    def start(self) -> None:
        """Start, and return when the port answers."""
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen([self._program, "-c", str(self._directory / "mosquitto.conf")], stderr=log)
        if not answers(self._process, self.port):
            pytest.fail(f"mosquitto did not start:\n{self.log}")

    def listen(self, *arguments: str) -> subprocess.Popen[str]:
        """``mosquitto_sub`` as the desk; its standard output is piped."""
        program = [executable("mosquitto_sub"), "-V", "5", "-p", str(self.port), "-u", "desk", "-P", PASSWORDS["desk"]]
        return subprocess.Popen([*program, *arguments], stdout=subprocess.PIPE, text=True)

    def discard_session(self, client_id: str, user: str) -> None:
        """Have the session of a client that is gone, and what waits in it, forgotten."""
        program = [executable("mosquitto_sub"), "-V", "5", "-p", str(self.port), "-u", user, "-P", self._password(user)]
        subprocess.run(
            [*program, "-i", client_id, "-t", "nothing", "-E"], check=True, capture_output=True, timeout=_DEADLINE_S
        )

    def retained(self, topic: str) -> dict[str, Any]:
        """The document that is kept under a topic."""
        with self.listen("-t", topic, "-C", "1", "-W", "5") as listener:
            return dict(json.loads(listener.communicate()[0]))

    def stop(self, with_signal: signal.Signals = signal.SIGTERM) -> None:
        """Stop it and wait for its end."""
        if self._process is None:
            return
        self._process.send_signal(with_signal)
        self._process.wait(_DEADLINE_S)
        self._process = None

    def forget(self) -> None:
        """While it does not run: lose its sessions and messages."""
        for file in (self._directory / "state").iterdir():
            file.unlink()

    @staticmethod
    def _password(user: str) -> str:
        return PASSWORDS.get(user, f"{user}-secret")

    def _access_list(self) -> Path:
        """The shipped one, with a block for every further node; *node-2* has one in any case."""
        shipped = (_CONFIG / "mosquitto.acl").read_text()
        others = dict.fromkeys((*self._nodes[1:], "node-2"))
        path = self._directory / "mosquitto.acl"
        path.write_text("\n".join([shipped, *(_of_another_node(shipped, node) for node in others)]))
        return path

    def _write_configuration(self) -> None:
        """The shipped files, with only the places changed."""
        directory = self._directory
        (directory / "state").mkdir()
        passwords = directory / "passwd"
        passwords.touch(mode=0o600)
        for user in {**PASSWORDS, **dict.fromkeys(self._nodes)}:
            command = [executable("mosquitto_passwd"), "-b", str(passwords), user, self._password(user)]
            subprocess.run(command, check=True, capture_output=True)
        places = {
            r"^listener .*$": f"listener {self.port} 127.0.0.1",
            r"^password_file .*$": f"password_file {passwords}",
            r"^acl_file .*$": f"acl_file {self._access_list()}",
            r"^persistence_location .*$": f"persistence_location {directory}/state/",
        }
        text = (_CONFIG / "mosquitto.conf").read_text()
        for pattern, line in places.items():
            text, count = re.subn(pattern, line, text, flags=re.MULTILINE)
            assert count == 1, pattern
        if os.geteuid() == 0:  # the directory is ours alone
            text += "\nuser root\n"
        (directory / "mosquitto.conf").write_text(text)


def _of_another_node(access_list: str, node: str) -> str:
    """The shipped node's block, for another."""
    block = re.search(r"^user node-1\n(?:(?!user ).*\n)*", access_list, flags=re.MULTILINE)
    assert block is not None
    return block[0].replace("node-1", node)


def answers(process: subprocess.Popen[Any], port: int) -> bool:
    """Whether a process that was just started accepts connections in time."""
    deadline = time.monotonic() + _DEADLINE_S
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return True
        time.sleep(0.005)
    return False


#: Below the range from which the kernel serves connections: those of other tests would take a free port before it is
#: listened on.
_FIRST_PORT, _PORTS = 12_000, 20_000
#: The last port given, for all test processes of this user.
_LAST_GIVEN = Path(tempfile.gettempdir()) / f"sovereign-node-tests-{os.getuid()}.port"


def free_port() -> int:
    """A TCP port on loopback that nobody has now, and that no other caller is given, in whichever process."""
    with _LAST_GIVEN.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        last = int(file.read() or 0)
        for offset in range(1, _PORTS):
            port = _FIRST_PORT + (last + offset) % _PORTS
            if _is_free(port):
                file.truncate(0)
                file.write(str(port - _FIRST_PORT))
                return port
    raise AssertionError("no port is free")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return True
    return False
