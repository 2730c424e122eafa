"""Debian's Prometheus and its promtool, and what they must agree with the metric list about."""

from __future__ import annotations

import json
import re
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import yaml

from node.observe.metric_list import BY_NAME, LABELS, PREFIX, SERIES
from tests.support.mosquitto import executable, free_port

RULES: Final = Path(__file__).parents[2] / "config" / "prometheus" / "sovereign-node.rules.yml"
RULE_TESTS: Final = RULES.with_name("sovereign-node.rules.test.yml")
EXAMPLE: Final = RULES.with_name("prometheus.yml")

#: What the client library shows of the process itself, as far as somebody asks for it, and Prometheus of a target.
OF_OTHERS: Final = frozenset(
    {"up", "process_start_time_seconds", "process_resident_memory_bytes", "process_open_fds", "process_max_fds"}
)
#: Labels that Prometheus gives, and the histogram's own.
OTHER_LABELS: Final = frozenset({"job", "instance", "le", "alertname", "alertstate", "severity"})

_OURS: Final = re.compile(rf"\b{PREFIX}[a-z0-9_:]*")
_GROUPING: Final = re.compile(r"\b(?:by|on|without|group_left|group_right|ignoring)\s*\(([^)]*)\)")

Document = dict[str, Any]


def groups(path: Path = RULES) -> list[Document]:
    """The groups of a rule file."""
    return list(yaml.safe_load(path.read_text())["groups"])


def rules(path: Path = RULES) -> list[Document]:
    """Every rule of a rule file."""
    return [rule for group in groups(path) for rule in group["rules"]]


def recorded() -> frozenset[str]:
    """The names that the shipped rules record under."""
    return frozenset(rule["record"] for rule in rules() if "record" in rule)


def faults_of(expression: str) -> list[str]:
    """What an expression asks for that the node does not show: names, labels of a metric, labels at all."""
    faults = []
    known = SERIES | recorded() | OF_OTHERS
    names = {*_OURS.findall(expression)}
    faults += [f"no such metric: {name}" for name in sorted(names - known)]
    if (
        not names
        and not any(re.search(rf"\b{name}\b", expression) for name in OF_OTHERS)
        and "vector(" not in expression
    ):
        faults.append("asks for no metric at all")
    for name, selector in re.findall(rf"({PREFIX}_[a-z0-9_]+)\{{([^}}]*)\}}", expression):
        spec = next((spec for spec in BY_NAME.values() if name in spec.series), None)
        if spec is not None:
            allowed = {*spec.labels, "job", "instance", *({"le"} if name.endswith("_bucket") else ())}
            faults += [f"{name} has no label {label}" for label in _labels(selector) if label not in allowed]
    for group in _GROUPING.findall(expression):
        wanted = {label.strip() for label in group.split(",") if label.strip()}
        faults += [f"no such label: {label}" for label in sorted(wanted - LABELS - OTHER_LABELS)]
    return faults


def _labels(selector: str) -> list[str]:
    return re.findall(r"([a-zA-Z_]\w*)\s*(?:=~|!~|!=|=)", re.sub(r'"[^"]*"', '""', selector))


def promtool(*arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run promtool; its exit status tells."""
    command = [executable("promtool"), *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60, check=False)


def hurried(path: Path, *, times: Mapping[str, str]) -> Document:
    """The shipped rules with other waiting times: ``times`` is for alerts by their names, every other is left out."""
    content = yaml.safe_load(path.read_text())
    for group in content["groups"]:
        group["interval"] = "200ms"
        group["rules"] = [
            {**rule, **({"for": times[rule["alert"]]} if "alert" in rule else {})}
            for rule in group["rules"]
            if "record" in rule or rule["alert"] in times
        ]
    content["groups"] = [group for group in content["groups"] if group["rules"]]
    return dict(content)


class Prometheus:
    """A running server."""

    def __init__(self, port: int, log: Path, process: subprocess.Popen[bytes]) -> None:
        self._base = f"http://127.0.0.1:{port}"
        self._log = log
        self._process = process

    def get(self, path: str, **query: str) -> Any:
        """``data`` of an answer of its API; None while it does not answer."""
        try:
            with urllib.request.urlopen(f"{self._base}{path}?{urllib.parse.urlencode(query)}", timeout=5) as answer:
                return json.load(answer)["data"]
        except OSError:
            return None

    def value(self, expression: str) -> float | None:
        """The first sample of an instant query; None if there is none."""
        data = self.get("/api/v1/query", query=expression)
        result = data["result"] if data else []
        return float(result[0]["value"][1]) if result else None

    def alerts(self) -> dict[str, Document]:
        """What fires now, by name."""
        data = self.get("/api/v1/alerts")
        found = data["alerts"] if data else []
        return {each["labels"]["alertname"]: each for each in found if each["state"] == "firing"}

    def until(self, true: Callable[[], object], *, within_s: float = 30.0) -> None:
        """Look again and again until it is so. A server that has ended is not waited for."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline and self._process.poll() is None:
            if true():
                return
            time.sleep(0.05)
        raise AssertionError(f"not so; firing: {sorted(self.alerts())}\n{self._log.read_text()[-2000:]}")


@contextmanager
def prometheus(folder: Path, *, target_port: int, rules: Document) -> Iterator[Prometheus]:
    """A server of its own that scrapes one node twice a second; ended with the block."""
    folder.mkdir()
    content = yaml.safe_load(EXAMPLE.read_text())
    content["global"] = {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "200ms"}
    content["rule_files"] = ["rules.yml"]
    content["scrape_configs"][0]["static_configs"] = [{"targets": [f"127.0.0.1:{target_port}"]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(content))
    (folder / "rules.yml").write_text(yaml.safe_dump(rules))
    port, log = free_port(), folder / "log"
    command = [
        executable("prometheus"),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with log.open("wb") as errors:
        process = subprocess.Popen(command, stdout=errors, stderr=errors, cwd=folder)
    try:
        yield Prometheus(port, log, process)
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)
