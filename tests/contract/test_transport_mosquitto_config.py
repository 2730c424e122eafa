"""config/mosquitto.conf as shipped, from a copy of the project's root."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
from pathlib import Path

from node.transport.mqtt import MqttTransport
from node.transport.mqtt_options import MqttOptions
from tests.support.broker import receive, running
from tests.support.mosquitto import PASSWORDS, Mosquitto, answers, executable, free_port
from tests.support.waiting import until

CONFIG = Path(__file__).parents[2] / "config"


def test_the_documented_command_makes_it_start_as_it_is(tmp_path: Path) -> None:
    """The command in its own comment, then mosquitto, in a clean clone: it serves, and it writes its state."""
    mosquitto = executable("mosquitto")
    shutil.copytree(CONFIG, tmp_path / "config", ignore=shutil.ignore_patterns("passwd", "*.db*"))
    tmp_path.chmod(0o755)
    text = (tmp_path / "config" / "mosquitto.conf").read_text()
    command = re.search(r"^#   (mosquitto_passwd .*\\\n)#     (.*)$", text, re.MULTILINE)
    assert command is not None
    unattended = (command[1] + command[2]).replace("mosquitto_passwd", "mosquitto_passwd -b")
    for user, password in PASSWORDS.items():
        unattended = unattended.replace(f" {user} ", f" {user} {password} ")
    subprocess.run(["sh", "-ec", unattended], cwd=tmp_path, check=True)
    port = free_port()
    changed, count = re.subn(r"^listener 1883 127\.0\.0\.1$", f"listener {port} 127.0.0.1", text, flags=re.MULTILINE)
    assert count == 1
    (tmp_path / "config" / "mosquitto.conf").write_text(changed)
    process = subprocess.Popen(
        [mosquitto, "-c", "config/mosquitto.conf"], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    assert answers(process, port)
    process.terminate()
    _, said = process.communicate(timeout=5)
    assert process.returncode == 0, said
    assert "Error" not in said
    assert (tmp_path / "config" / "broker" / "mosquitto.db").stat().st_size > 0
    assert (tmp_path / "config" / "passwd").stat().st_mode & 0o077 == 0


async def test_what_was_saved_survives_a_kill(tmp_path: Path) -> None:
    """Saved every two seconds; a PUBACK alone promises nothing, which is why senders repeat."""
    command = "sn/v1/acme/cmd/_all"
    mosquitto = Mosquitto(tmp_path)
    mosquitto.start()

    def client(user: str, *subscriptions: str) -> MqttTransport:
        return MqttTransport(
            MqttOptions(
                host="127.0.0.1",
                port=mosquitto.port,
                client_id=user,
                username=user,
                password=PASSWORDS[user],
                subscriptions=subscriptions,
            )
        )

    async with running(client("node-1", command)):
        pass
    desk = client("desk")
    async with running(desk):
        await desk.publish(command, b"kept")
    saved = tmp_path / "state" / "mosquitto.db"
    await until(lambda: saved.exists() and b"kept" in saved.read_bytes())
    mosquitto.stop(signal.SIGKILL)
    mosquitto.start()
    node = client("node-1", command)
    async with running(node):
        assert (await receive(node))[0].payload == b"kept"
    mosquitto.stop()
