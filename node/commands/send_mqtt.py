"""Sends a signed command through the broker, as anybody far away would."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

from node.commands.output import Document, ExitStatus, Output, Trouble
from node.commands.report import ended, line, paragraph
from node.commands.send import Order, conclude
from node.domain.command import ALL_ACCOUNTS, Action, CommandState
from node.domain.result import VERDICTS_BY_WEIGHT, Verdict
from node.errors import TransportRefused
from node.observe.logging import configure_logging
from node.secrets import find
from node.settings import MqttSettings, Settings
from node.settings_fields import BrokerAddress
from node.transport.issuer_key import IssuerKey, KeyFileError
from node.transport.mqtt import MqttTransport
from node.transport.mqtt_options import MqttOptions, client_tls
from node.transport.sender import LIFETIME, NotConfirmed, Outgoing, Sender
from node.transport.topics import AccountTarget, Topics


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerAccess:
    """The broker as the sender reaches it; None: as the configuration's [mqtt] says."""

    url: str | None = None
    username: str | None = None
    #: The credential's name, not the password.
    password_credential: str | None = None


def send_over_mqtt(
    settings: Settings,
    order: Order,
    output: Output,
    *,
    key_file: Path,
    issuer: str | None,
    access: BrokerAccess,
    wait: bool,
    timeout_s: float,
) -> ExitStatus:
    """Sign, publish, repeat until accepted, and wait for the ending if so asked.

    Raises:
        Trouble: it is not known what became of the command.
        ConfigError: the broker's credential is missing.
    """
    configure_logging(level="WARNING")
    key = _key(key_file, issuer)
    target = _target(settings, order.account)
    topics = Topics(settings.node.tenant)
    response_topic = Sender.new_response_topic(topics, key.issuer)
    transport = MqttTransport(_options(settings.mqtt, access, response_topic))
    sender = Sender(transport, key, topics, response_topic)
    answers = asyncio.run(
        _converse(
            transport,
            sender,
            _outgoing(order, target),
            lifetime=_lifetime(settings, key, timeout_s),
            output=output,
            wait=wait,
            timeout_s=timeout_s,
        )
    )
    document = together(answers.values())
    if document is None and not transport.connections:
        raise Trouble("BROKER", "the broker could not be reached: nothing was sent")
    if document is None:
        raise Trouble("TIMEOUT", "no node answered: it is not known whether the command was taken")
    if len(answers) < order.nodes:
        output.result(document, paragraph(document))
        heard = f"{len(answers)} of {order.nodes} nodes answered: {', '.join(sorted(answers))}"
        raise Trouble("TIMEOUT", f"{heard}: it is not known whether the others took the command")
    if wait and not ended(document) and document.get("state") != "incomplete":
        output.note("sovereign-node: stopped waiting: the command goes on")
    return conclude(output, document, waited=wait)


def _key(key_file: Path, issuer: str | None) -> IssuerKey:
    try:
        key = IssuerKey.load(key_file)
    except (KeyFileError, OSError) as error:
        raise Trouble("KEY", str(error)) from None
    if issuer is not None and issuer != key.issuer:
        raise Trouble("KEY", f"{key_file} is the key of {key.issuer!r}, not of {issuer!r}")
    return key


def _target(settings: Settings, account: str) -> AccountTarget:
    if account == ALL_ACCOUNTS:
        return ALL_ACCOUNTS
    known = settings.account(account)
    if known is not None:
        return known.id
    try:
        return UUID(account)
    except ValueError:
        raise Trouble("NOT_FOUND", f"no account {account!r} in the configuration: give its id") from None


def _options(mqtt: MqttSettings | None, access: BrokerAccess, response_topic: str) -> MqttOptions:
    if access.url is not None:
        try:
            url = BrokerAddress.parse(access.url)
        except ValueError as error:
            raise Trouble("USAGE", f"--mqtt-url: {error}") from None
    elif mqtt is not None:
        url = mqtt.url
    else:
        raise Trouble("CONFIG", "the configuration has no [mqtt]: give --mqtt-url")
    credential = access.password_credential
    if credential is None and access.username is None and mqtt is not None and mqtt.password is not None:
        credential = mqtt.password.credential
    files = (None, None, None) if mqtt is None else (mqtt.ca_file, mqtt.cert_file, mqtt.key_file)
    try:
        tls = client_tls(ca_file=files[0], cert_file=files[1], key_file=files[2]) if url.tls else None
    except OSError as error:
        raise Trouble("CONFIG", f"mqtt: a certificate cannot be used: {error}") from None
    return MqttOptions(
        host=url.host,
        port=url.port,
        client_id=f"sn-send-{uuid4()}",
        subscriptions=(response_topic,),
        tls=tls,
        username=access.username or (mqtt.username if mqtt is not None else None),
        password=None if credential is None else find(credential).get_secret_value(),
        session_expiry_s=0,
    )


def _lifetime(settings: Settings, key: IssuerKey, timeout_s: float) -> timedelta:
    """Valid for as long as we repeat it, within what the issuer is allowed."""
    default_s = LIFETIME.total_seconds()
    allowed_s = min((known.max_lifetime_s for known in settings.issuers if known.id == key.issuer), default=default_s)
    return timedelta(seconds=min(allowed_s, max(timeout_s, 1.0)))


def _outgoing(order: Order, target: AccountTarget) -> Outgoing:
    return Outgoing(
        account=target,
        action=Action(order.action),
        command_id=order.command_id,
        symbols=order.symbols,
        latch=order.latch,
        dry_run=order.dry_run,
        reason=order.reason,
        epoch=order.epoch,
        nodes=order.nodes,
    )


async def _converse(
    transport: MqttTransport,
    sender: Sender,
    outgoing: Outgoing,
    *,
    lifetime: timedelta,
    output: Output,
    wait: bool,
    timeout_s: float,
) -> dict[str, Document]:
    """By node the newest event at the end of the conversation or of the time for it."""
    #: By node.
    newest: dict[str, Document] = {}

    async def hold() -> None:
        await transport.wait_connected()
        async with aclosing(sender.send(outgoing, lifetime=lifetime)) as events:
            async for document in events:
                newest[str(document.get("node_id"))] = document
                output.progress(line(document))
                heard_of_all = len(newest) >= outgoing.nodes
                if heard_of_all and (not wait or document.get("state") == "incomplete"):
                    return

    tasks = {
        asyncio.create_task(transport.run(), name="send-mqtt"),
        asyncio.create_task(sender.receive(), name="send-answers"),
        asyncio.create_task(hold(), name="send-conversation"),
    }
    try:
        await asyncio.wait(tasks, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task.done():
                task.result()
    except NotConfirmed:
        pass
    except TransportRefused as error:
        raise Trouble("BROKER", str(error)) from None
    except ValueError as error:
        raise Trouble("BAD_REQUEST", str(error)) from None
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return newest


def together(documents: Iterable[Document]) -> Document | None:
    """What several nodes have answered to one command: the worst of it, with all children; None: nobody has.

    What has not ended is worse than any ending: it may still become anything.
    """

    def badness(document: Document) -> tuple[bool, bool, int]:
        verdict = document.get("verdict")
        weight = VERDICTS_BY_WEIGHT.index(Verdict(verdict)) if verdict else len(VERDICTS_BY_WEIGHT)
        return not ended(document), document["state"] != CommandState.DONE, weight

    by_badness = sorted(documents, key=badness)
    if len(by_badness) <= 1:
        return by_badness[0] if by_badness else None
    children = [child for document in by_badness for child in document.get("children", ())]
    nodes = sorted(str(document.get("node_id")) for document in by_badness)
    return {**by_badness[-1], "children": children, "nodes": nodes}
