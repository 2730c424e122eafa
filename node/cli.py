"""The command line. Parses, dispatches, and turns outcomes into exit statuses; everything else is in node.commands.

Modules are imported where they are used: a kill must not wait for an exchange library to load.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Final, NoReturn
from uuid import UUID, uuid4

from node.commands.journal_arguments import add_arguments as add_journal_arguments
from node.commands.operator_client import (
    CONFIG_VARIABLE,
    DEFAULT_CONFIG,
    OperatorClient,
    config_path,
    operator_socket,
)
from node.commands.output import ExitStatus, Output, Trouble
from node.domain.account_state import AccountState
from node.domain.command import ALL_ACCOUNTS, Action
from node.domain.guard_mode import GuardMode
from node.errors import ConfigError, SovereignError

Options = argparse.Namespace
Handler = Callable[[Options, Output], int]

_WAIT_S: Final = 60.0
_NODES_MAX: Final = 10_000
_WAIT_MAX_S: Final = 86_400.0
_EPILOG: Final = (
    "--config FILE and --json may be given anywhere. Exit status: 0 done (or accepted, without --wait), 3 incomplete, "
    "4 rejected, 5 failed, 1 when the command line itself is in trouble."
)


class _Parser(argparse.ArgumentParser):
    """Reports a wrong command line like every other trouble."""

    def error(self, message: str) -> NoReturn:
        raise Trouble("USAGE", f"{message}\n{self.format_usage().rstrip()}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    output = Output(as_json="--json" in words)
    try:
        common, rest = _common_parser().parse_known_args(words)
        options = _parser(words).parse_args(rest, namespace=common)
        handler: Handler = options.handler
        return handler(options, output)
    except Trouble as trouble:
        output.trouble(trouble.code, trouble.message)
    except ConfigError as error:
        output.trouble(error.code, *error.faults)
    except SovereignError as error:
        output.trouble(error.code, str(error))
    except KeyboardInterrupt:
        return ExitStatus.INTERRUPTED
    except BrokenPipeError:
        # Whoever read us has left: nothing more can be said, not even by the interpreter's last flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return ExitStatus.TROUBLE


def _common_parser() -> argparse.ArgumentParser:
    """What is accepted before and after every command."""
    parser = _Parser(add_help=False, allow_abbrev=False)
    parser.add_argument(
        "--config",
        metavar="FILE",
        help=f"the configuration (${CONFIG_VARIABLE}, else {DEFAULT_CONFIG})",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document, for machines")
    return parser


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    from node import __version__

    parser = _Parser(
        prog="sovereign-node",
        description="Closes, flattens and locks exchange accounts, and proves that they are flat.",
        epilog=_EPILOG,
        parents=[_common_parser()],
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"sovereign-node {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add(commands, "run", "carry out commands until SIGTERM", _run)
    _add_demo(commands)
    _add(commands, "gateway", "serve the risk API for nodes behind a broker until SIGTERM", _gateway)
    _add_signals(commands)
    _add(commands, "check", "say everything that is wrong with a configuration", _check)
    doctor = _add(commands, "doctor", "ask each venue whether its account could be closed right now", _doctor)
    doctor.add_argument("accounts", nargs="*", metavar="ACCOUNT", help="ids or names; none means all")
    _add_send(commands)
    _add_status(commands)
    _add_operator_commands(commands)
    _add_measuring(commands)
    _add_keys(commands)
    _add_journal(commands)
    _add_issuer(commands)
    _add_sim(commands, words)
    return parser


_Commands = argparse._SubParsersAction  # argparse gives the type no public name


def _add(commands: _Commands[_Parser], name: str, summary: str, handler: Handler) -> _Parser:
    parser = commands.add_parser(
        name, help=summary, description=summary[0].upper() + summary[1:] + ".", epilog=_EPILOG, allow_abbrev=False
    )
    parser.set_defaults(handler=handler)
    return parser


def _add_socket(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--socket", type=Path, metavar="FILE", help="the daemon's socket, without any configuration")


def _add_send(commands: _Commands[_Parser]) -> None:
    parser = _add(commands, "send", "send a command to an account", _send)
    parser.add_argument("action", choices=[action.value for action in Action], metavar="ACTION", help="%(choices)s")
    parser.add_argument("account", metavar="ACCOUNT", help="id or name, or * for all")
    parser.add_argument("--symbols", type=_symbols, default=(), metavar="A,B", help="CLOSE_ALL: these only")
    parser.add_argument("--latch", action=argparse.BooleanOptionalAction, help="stay locked, or not, after the proof")
    parser.add_argument("--dry-run", action="store_true", help="a drill: nothing is placed or cancelled")
    parser.add_argument("--reason", help="recorded with the command")
    parser.add_argument("--epoch", type=int, help="UNLOCK: of the lock to release")
    parser.add_argument("--wait", action="store_true", help="until it has ended or is incomplete")
    parser.add_argument("--timeout", type=_seconds, default=_WAIT_S, metavar="S", help="stop waiting (%(default)g)")
    parser.add_argument("--id", type=_uuid, metavar="UUID", help="the command's identity: the same id acts once")
    parser.add_argument("--via", choices=["socket", "mqtt"], default="socket", help="the way there (%(default)s)")
    parser.add_argument(
        "--direct",
        action="store_true",
        help="break-glass: carry it out in this process, from the daemon's state directory. The daemon must be dead",
    )
    _add_socket(parser)
    mqtt = parser.add_argument_group("with --via mqtt")
    mqtt.add_argument("--key", type=Path, metavar="FILE", help="the issuer's private key")
    mqtt.add_argument("--issuer", metavar="ID", help="must be the key's (default: is the key's)")
    mqtt.add_argument("--mqtt-url", metavar="URL", help="instead of the configuration's [mqtt]")
    mqtt.add_argument("--mqtt-username", metavar="NAME")
    mqtt.add_argument("--mqtt-password-credential", metavar="NAME", help="where to look the password up")
    mqtt.add_argument("--nodes", type=_count, default=1, metavar="N", help="how many must answer a command to *")


def _add_status(commands: _Commands[_Parser]) -> None:
    summary = "show whether the daemon is ready, and every account with its lock"
    _add_socket(_add(commands, "status", summary, _status))
    ping = _add(commands, "ping", "ask whether the daemon is alive: exit status 0 if it is, 1 if not", _ping)
    more = ping.add_mutually_exclusive_group()
    more.add_argument("--ready", action="store_true", help="whether it can do its work, too")
    more.add_argument(
        "--role", choices=[state.value for state in AccountState], help="whether an account is %(choices)s"
    )
    ping.add_argument("--account", metavar="ACCOUNT", help="with --role: id or name")
    _add_socket(ping)
    parser = _add(commands, "watch", "show what happens: on the node, to an account's lock, to a command", _watch)
    parser.add_argument("subject", nargs="?", metavar="ACCOUNT|COMMAND_ID", help="leave it out for the whole node")
    _add_socket(parser)


def _add_operator_commands(commands: _Commands[_Parser]) -> None:
    unlock = _add(commands, "unlock", "allow an account new risk again", _unlock)
    unlock.add_argument("account", metavar="ACCOUNT", help="id or name")
    unlock.add_argument("--epoch", type=int, required=True, help="of the lock to release, as status shows it")
    unlock.add_argument("--force", action="store_true", help="although slices are unread; needs --reason")
    drill = _add(commands, "drill", "carry out CLOSE_ALL in full, except that nothing is placed or cancelled", _drill)
    drill.add_argument("account", metavar="ACCOUNT", help="id or name, or * for all")
    guard = _add(commands, "guard", "set what is done about new exposure on a locked account", _guard)
    guard.add_argument("account", metavar="ACCOUNT", help="id or name")
    guard.add_argument(
        "mode",
        choices=[*(mode.value for mode in GuardMode), "configured"],
        metavar="MODE",
        help="off, cancel (orders that add exposure), revert (also close what exceeds the baseline), or configured",
    )
    _add_socket(guard)
    abort = _add(commands, "abort", "end a live command as failed; the lock stays", _abort)
    abort.add_argument("command_id", type=_uuid, metavar="COMMAND_ID")
    for parser in (unlock, drill, abort):
        parser.add_argument("--reason", help="recorded with the command")
        parser.add_argument("--timeout", type=_seconds, default=_WAIT_S, metavar="S", help="stop waiting (%(default)g)")
        _add_socket(parser)


def _add_measuring(commands: _Commands[_Parser]) -> None:
    from node.commands import measuring

    measuring.add_latency(lambda name, summary: _add(commands, name, summary, measuring.latency))
    measuring.add_bench(lambda name, summary: _add(commands, name, summary, measuring.bench))


def _add_keys(commands: _Commands[_Parser]) -> None:
    from node.commands.keys import add_arguments

    keys = _add(commands, "keys", "manage the keys of the risk API", _keys)
    operations = keys.add_subparsers(metavar="COMMAND", required=True, dest="operation")

    def add(name: str, summary: str) -> _Parser:
        parser = _add(operations, name, summary, _keys)
        _add_socket(parser)
        return parser

    add_arguments(add, _symbols)


def _add_signals(commands: _Commands[_Parser]) -> None:
    from node.commands.signal_keys import add_arguments

    signals = _add(commands, "signals", "take trading alerts behind the lock until SIGTERM", _signals)
    kinds = signals.add_subparsers(metavar="COMMAND")
    keys = _add(kinds, "keys", "manage the keys that alerts carry", _signal_keys)
    operations = keys.add_subparsers(metavar="COMMAND", required=True, dest="operation")

    def add(name: str, summary: str) -> _Parser:
        parser = _add(operations, name, summary, _signal_keys)
        _add_socket(parser)
        return parser

    add_arguments(add)


def _add_journal(commands: _Commands[_Parser]) -> None:
    journal = _add(commands, "journal", "look after the record: verify, backup, export, restore", _journal)
    operations = journal.add_subparsers(metavar="COMMAND", required=True, dest="operation")

    def add(name: str, summary: str) -> _Parser:
        return _add(operations, name, summary, _journal)

    add_journal_arguments(add)


def _add_issuer(commands: _Commands[_Parser]) -> None:
    issuer = _add(commands, "issuer", "manage those who may sign commands", _issuer_new)
    actions = issuer.add_subparsers(metavar="COMMAND", required=True)
    new = _add(actions, "new", "make a key pair", _issuer_new)
    new.add_argument("id", metavar="ID", help="the issuer's name")
    new.add_argument("--out", type=Path, required=True, metavar="FILE", help="a new file for the private key")


def _add_demo(commands: _Commands[_Parser]) -> None:
    parser = _add(commands, "demo", "broker, simulated exchange and daemon on loopback: a kill from end to end", _demo)
    parser.description = (
        "Plays the whole product on this machine alone, in some ten seconds: LOCK, CLOSE_ALL, FLATTEN and UNLOCK as "
        "signed MQTT commands. Exit status 0 only if the simulated exchange bears out every verdict."
    )
    parser.add_argument(
        "--round-trip-ms", type=int, default=50, metavar="MS", help="injected at the exchange (%(default)s)"
    )


def _add_sim(commands: _Commands[_Parser], words: Sequence[str]) -> None:
    """The simulators describe their own arguments; they are loaded only if they may be meant."""
    if "sim" not in words:
        _add(commands, "sim", "run a simulated venue", _sim)
        return
    import_module("node.sim.command").add_arguments(commands)
    commands.choices["sim"].set_defaults(handler=_sim)


def _run(options: Options, _output: Output) -> int:
    from node.app import run
    from node.observe.logging import configure_logging, log_uncaught
    from node.secrets import Secrets
    from node.settings import load

    config = config_path(options.config)
    settings = load(config)
    configure_logging()
    log_uncaught()
    return run(settings, Secrets.resolve(settings), config=config)


def _gateway(options: Options, _output: Output) -> int:
    from node.gateway.app import GatewaySecrets, run
    from node.gateway.settings import load_gateway
    from node.observe.logging import configure_logging

    settings = load_gateway(config_path(options.config))
    configure_logging()
    return run(settings, GatewaySecrets.resolve(settings))


def _signals(options: Options, _output: Output) -> int:
    from node.observe.logging import configure_logging, log_uncaught
    from node.signals.app import SignalSecrets, run
    from node.signals.settings import load_signals

    settings = load_signals(config_path(options.config))
    configure_logging()
    log_uncaught()
    return run(settings, SignalSecrets.resolve(settings))


def _signal_keys(options: Options, output: Output) -> int:
    from node.commands.signal_keys import run

    return run(_client(options), options, output)


def _demo(options: Options, output: Output) -> int:
    from node.demo.command import run

    return run(options.round_trip_ms, as_json=output.as_json)


def _sim(options: Options, _output: Output) -> int:
    status: int = options.run(options)
    return status


def _check(options: Options, output: Output) -> int:
    from node.commands.check import check

    return check(config_path(options.config), output)


def _doctor(options: Options, output: Output) -> int:
    from node.commands.doctor import doctor
    from node.observe.logging import configure_logging

    configure_logging()
    return doctor(config_path(options.config), options.accounts, output)


def _send(options: Options, output: Output) -> int:
    from node.commands.send import Order, send

    if (options.epoch is None) is (options.action == Action.UNLOCK):
        raise Trouble("USAGE", "--epoch goes with UNLOCK, and UNLOCK with --epoch")
    if options.action == Action.UNLOCK and (options.dry_run or options.symbols or options.latch is not None):
        raise Trouble("USAGE", "UNLOCK takes --epoch and --reason: it has no drill, no symbols and no latch")
    order = Order(
        command_id=options.id or uuid4(),
        action=options.action,
        account=options.account,
        symbols=options.symbols,
        latch=options.latch,
        dry_run=options.dry_run,
        reason=options.reason,
        epoch=options.epoch,
        nodes=options.nodes,
    )
    if options.nodes > 1 and (options.account != ALL_ACCOUNTS or options.via != "mqtt"):
        raise Trouble("USAGE", "--nodes goes with * and --via mqtt")
    if options.direct:
        return _send_direct(options, output, order)
    if options.via == "mqtt":
        return _send_over_mqtt(options, output, order)
    return send(_client(options), order, output, wait=options.wait, timeout_s=options.timeout)


def _send_direct(options: Options, output: Output, order: object) -> int:
    from node.commands.direct import direct
    from node.commands.send import Order
    from node.observe.logging import configure_logging, log_uncaught

    assert isinstance(order, Order)  # noqa: S101  (as below)
    if options.via != "socket" or options.socket is not None:
        raise Trouble("USAGE", "--direct is a way of its own: it goes with neither --via nor --socket")
    if order.action == Action.UNLOCK:
        raise Trouble("USAGE", "--direct does not unlock: that adds risk, and wants a node that runs")
    configure_logging()
    log_uncaught()
    return direct(config_path(options.config), order, output, timeout_s=options.timeout)


def _send_over_mqtt(options: Options, output: Output, order: object) -> int:
    from node.commands.send import Order
    from node.commands.send_mqtt import BrokerAccess, send_over_mqtt
    from node.settings import load

    assert isinstance(order, Order)  # noqa: S101  (its type is imported only where it is used)
    if options.key is None:
        raise Trouble("USAGE", "--via mqtt needs --key FILE")
    access = BrokerAccess(
        url=options.mqtt_url,
        username=options.mqtt_username,
        password_credential=options.mqtt_password_credential,
    )
    return send_over_mqtt(
        load(config_path(options.config)),
        order,
        output,
        key_file=options.key,
        issuer=options.issuer,
        access=access,
        wait=options.wait,
        timeout_s=options.timeout,
    )


def _unlock(options: Options, output: Output) -> int:
    from node.commands.send import Order, send

    order = Order(
        command_id=uuid4(),
        action=Action.UNLOCK.value,
        account=options.account,
        reason=options.reason,
        epoch=options.epoch,
        force=options.force,
    )
    return send(_client(options), order, output, wait=True, timeout_s=options.timeout)


def _drill(options: Options, output: Output) -> int:
    from node.commands.send import Order, send

    order = Order(
        command_id=uuid4(),
        action=Action.CLOSE_ALL.value,
        account=options.account,
        dry_run=True,
        reason=options.reason,
    )
    return send(_client(options), order, output, wait=True, timeout_s=options.timeout)


def _guard(options: Options, output: Output) -> int:
    from node.commands.query import set_guard

    return set_guard(_client(options), options.account, options.mode, output)


def _abort(options: Options, output: Output) -> int:
    from node.commands.send import abort

    return abort(_client(options), options.command_id, output, reason=options.reason, timeout_s=options.timeout)


def _keys(options: Options, output: Output) -> int:
    from node.commands.keys import run

    return run(_client(options), options, output)


def _journal(options: Options, output: Output) -> int:
    from node.commands.journal import run
    from node.settings import load

    return run(load(config_path(options.config)), options, output)


def _status(options: Options, output: Output) -> int:
    from node.commands.query import status

    return status(_client(options), output)


def _ping(options: Options, output: Output) -> int:
    from node.commands.query import ping, ping_role

    if (options.role is None) is not (options.account is None):
        raise Trouble("USAGE", "--role goes with --account, and --account with --role")
    if options.role is not None:
        return ping_role(_client(options), options.account, options.role, output)
    return ping(_client(options), output, ready=options.ready)


def _watch(options: Options, output: Output) -> int:
    from node.commands.query import watch

    return watch(_client(options), options.subject, output)


def _issuer_new(options: Options, output: Output) -> int:
    from node.commands.issuer import new

    return new(options.id, options.out, output)


def _client(options: Options) -> OperatorClient:
    return OperatorClient(options.socket or operator_socket(config_path(options.config)))


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"not a UUID: {text}") from None


def _symbols(text: str) -> tuple[str, ...]:
    """At least one: an empty list must never come to mean all."""
    symbols = tuple(symbol.strip() for symbol in text.split(","))
    if not all(symbols):
        raise argparse.ArgumentTypeError("a symbol is empty")
    return symbols


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= _WAIT_MAX_S:
        raise argparse.ArgumentTypeError(f"not a number of seconds up to {_WAIT_MAX_S:g}")
    return seconds


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= _NODES_MAX:
        raise argparse.ArgumentTypeError(f"not a number from 1 to {_NODES_MAX}")
    return int(text)
