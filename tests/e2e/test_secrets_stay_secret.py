"""Canaries: a running node's secrets are looked for in everything that it writes, shows, answers or leaves behind."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.support.mosquitto import PASSWORDS
from tests.support.processes import ACCOUNT, ROOT, Site, site

#: What a signed request carries, wherever it is quoted.
SIGNATURE = re.compile(rb"signature(=|%3D|\\?\": ?\\?\")[0-9A-Za-z%+/_-]{16,}", re.IGNORECASE)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Site]:
    """Everything up and armed."""
    with site(tmp_path) as made:
        made.start_simulator()
        made.start_daemon()
        yield made


def canaries(node: Site) -> dict[str, bytes]:
    """Every secret in every form in which it could be written."""
    secrets = {**node.venue["accounts"][0]["credentials"], "mqtt_password": PASSWORDS["node-1"]}
    key_file = (node.folder / "desk.key").read_text()
    secrets["issuer_key"] = max(re.findall(r"[A-Za-z0-9+/=_-]{40,}", key_file), key=len)
    forms = {}
    for name, value in secrets.items():
        raw = value.encode()
        forms[name] = raw
        forms[f"{name}, percent-encoded"] = quote(value, safe="").encode()
        forms[f"{name}, base64"] = base64.b64encode(raw).rstrip(b"=")[:-1]
        forms[f"{name}, hex"] = raw.hex().encode()
        forms[f"{name}, as bytes are printed"] = repr(value)[1:-1].encode()
    return forms


def found(node: Site, texts: dict[str, bytes]) -> list[str]:
    """Where a canary sings: place, and which; never its value."""
    singing = [
        f"{place}: {name}" for place, text in texts.items() for name, form in canaries(node).items() if form in text
    ]
    return singing + [f"{place}: a signature" for place, text in texts.items() if SIGNATURE.search(text)]


def answer(url: str, method: str = "GET") -> bytes:
    """Body and headers of any answer, refusals too."""
    request = urllib.request.Request(url, method=method, data=b"{}" if method == "POST" else None)
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return bytes(response.read()) + bytes(response.headers)
    except urllib.error.HTTPError as refused:
        return refused.read() + bytes(refused.headers)


def left_behind(node: Site) -> dict[str, bytes]:
    """Every file that the daemon has written: journal, its log of writes, market cache, lock files, its log."""
    folders = [node.folder / "state", node.folder / "run"]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file() and "sim-ca" not in path.parts]
    texts = {str(path.relative_to(node.folder)): path.read_bytes() for path in files}
    assert any(name.endswith("journal.sqlite3") for name in texts)
    return {**texts, "log": (node.folder / "node.log").read_bytes()}


def answered(node: Site) -> dict[str, bytes]:
    """Every door, with good requests and bad ones."""
    http, metrics = (f"http://127.0.0.1:{node.ports[name]}" for name in ("http", "metrics"))
    paths = ("/livez", "/readyz", "/healthz", "/openapi.json", f"/api/v1/locks/{ACCOUNT}", "/nothing")
    texts = {path: answer(f"{http}{path}") for path in paths}
    texts["a bad kill"] = answer(f"{http}/api/v1/b2b/risk/kill", "POST")
    texts["role"] = answer(f"{http}/healthz/accounts/{ACCOUNT}/armed")
    texts["metrics"] = answer(f"{metrics}/metrics")
    return texts


def said(node: Site, *arguments: str) -> dict[str, bytes]:
    """What a command of the command line prints, on both streams."""
    status, document, error = node.call(*arguments)
    return {" ".join(arguments[:2]): f"{status} {json.dumps(document)} {error}".encode()}


def provoke(node: Site, **do: object) -> None:
    """The next requests of every kind, answered so."""
    node.faults(rules=[{"match": {"intent": ["positions", "orders", "balances", "place"]}, "times": 6, "do": do}])


def test_no_secret_is_in_anything_that_the_node_writes_shows_or_answers(running: Site) -> None:
    """While all is well, while the exchange misbehaves and quotes the key in its refusals, and after the end."""
    credentials = running.venue["accounts"][0]["credentials"]
    quoted = f"no: {credentials['apiKey']} {credentials['secret']} ?timestamp=1&signature={'ab' * 32}"
    texts: dict[str, bytes] = {}
    key = str(running.folder / "desk.key")
    texts |= said(running, "doctor")
    provoke(running, deed="refuse", code=-1100, msg=quoted, status=400)
    texts |= said(running, "drill", "binance-main")
    provoke(running, deed="refuse", code=-2015, msg=quoted, status=401)
    texts |= said(running, "send", "CLOSE_ALL", ACCOUNT, "--via", "mqtt", "--key", key, "--wait")
    provoke(running, deed="status_after_execution", status=503)
    texts |= said(running, "send", "FLATTEN", ACCOUNT, "--wait")
    provoke(running, deed="html_200")
    texts |= said(running, "send", "LOCK", ACCOUNT, "--wait")
    provoke(running, deed="lose_after_execution")
    texts |= said(running, "send", "CLOSE_ALL", ACCOUNT, "--wait", "--reason", "again")
    for arguments in (("status",), ("check",), ("ping", "--ready"), ("run",), ("doctor", "binance-main")):
        texts |= said(running, *arguments)
    texts |= answered(running)
    assert running.daemon is not None
    process = Path(f"/proc/{running.daemon.pid}")
    texts["command line"] = (process / "cmdline").read_bytes()
    texts["environment"] = (process / "environ").read_bytes()
    running.daemon.terminate()
    running.daemon.wait(30)
    texts |= left_behind(running)
    assert b"no: ***" in b"".join(texts.values()), "the exchange's own words have reached nobody: nothing was tested"
    assert found(running, texts) == []


def test_no_secret_is_told_where_it_is_wrong(tmp_path: Path) -> None:
    """A key that the exchange refuses, a password that the broker refuses: both are named, neither is shown."""
    with site(tmp_path) as made:
        made.start_simulator()
        made.venue["accounts"][0]["credentials"] = {
            "apiKey": "canary-of-a-wrong-key",
            "secret": "canary-of-a-wrong-one",
        }
        (tmp_path / "credentials" / "binance_key").write_text("canary-of-a-wrong-key")
        (tmp_path / "credentials" / "binance_secret").write_text("canary-of-a-wrong-one")
        (tmp_path / "credentials" / "mqtt_password").write_text("canary-of-a-wrong-password")
        made.start_daemon(ready=False)
        made.until_answering()
        texts = answered(made) | said(made, "status") | said(made, "doctor") | said(made, "check") | left_behind(made)
        assert b"VENUE_DENIED" in b"".join(texts.values())
        assert found(made, texts) == []
        assert [place for place, text in texts.items() if b"canary-of" in text] == []


CRASH = """
import asyncio, os, sys, threading
from pathlib import Path
import node.app, node.cli
from node.secrets import KNOWN_SECRETS

URL = "GET https://fapi.binance.com/fapi/v3/account?timestamp=1&recvWindow=5000&signature=" + "cd" * 32
KNOWN_SECRETS.add("canary-in-a-crash")

async def failing(*_arguments):
    def thread():
        raise RuntimeError("in a thread " + URL)
    worker = threading.Thread(target=thread)
    worker.start()
    worker.join()
    asyncio.get_running_loop().create_task(task(), name="lost")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(task(), name="found")

async def task():
    try:
        raise OSError("canary-in-a-crash")
    except OSError as error:
        raise RuntimeError("in a task " + URL) from error

node.app._serve = failing
sys.exit(node.cli.main(["run", "--config", sys.argv[1]]))
"""


def test_no_secret_is_in_what_nobody_catches(tmp_path: Path) -> None:
    """A fault of our own in a task, in a lost task and in a thread: each is in the log, and scrubbed."""
    config = tmp_path / "node.toml"
    config.write_text(
        f'[node]\nid = "n"\ntenant = "t"\nstate_dir = "{tmp_path}/state"\nruntime_dir = "{tmp_path}/run"\n'
    )
    done = subprocess.run(
        [sys.executable, "-c", CRASH, str(config)], capture_output=True, text=True, cwd=ROOT, check=False, timeout=60
    )
    assert done.returncode == 1
    lines = [json.loads(line) for line in done.stderr.splitlines()]  # nothing but the log
    for told in ("in a thread", "in a task"):
        assert any(told in str(line.get("exception")) for line in lines), done.stderr
    assert SIGNATURE.search(done.stderr.encode()) is None
    assert "cdcdcd" not in done.stderr
    assert "canary-in-a-crash" not in done.stderr
    assert "GET https://fapi.binance.com/fapi/v3/account?***" in done.stderr
