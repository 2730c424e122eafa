"""The embedded broker with clients that others wrote: mosquitto's."""

from __future__ import annotations

import asyncio

from node.sim.broker import Broker
from tests.support.broker import within
from tests.support.mosquitto import executable
from tests.support.waiting import until


async def run(*command: str) -> str:
    """What a program printed; its failure is the test's."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, errors = await within(process.communicate())
    assert process.returncode == 0, errors.decode()
    return str(output.decode())


async def test_mosquitto_pub_and_sub_understand_it() -> None:
    """QoS 1, user name, properties, wildcard, retained, from one foreign client to another."""
    publish, subscribe = executable("mosquitto_pub"), executable("mosquitto_sub")
    async with Broker(credentials={"desk": "secret"}) as broker:
        common = ["-V", "5", "-p", str(broker.port), "-u", "desk", "-P", "secret", "-q", "1"]
        subscriber = asyncio.create_task(
            run(subscribe, *common, "-i", "watcher", "-t", "a/#", "-C", "3", "-F", "%t %q %r %C %D %R %p"),
            name="subscriber",
        )
        await until(lambda: broker.connected("watcher") and bool(broker.session("watcher").subscriptions))
        properties = ["-D", "publish", "content-type", "text", "-D", "publish", "correlation-data", "c1"]
        await run(publish, *common, "-t", "a/b", "-m", "one", *properties, "-D", "publish", "response-topic", "r")
        await run(publish, *common, "-t", "a/c", "-m", "two", "-r")
        await run(publish, *common, "-t", "a", "-m", "x" * 70_000)
        lines = (await subscriber).splitlines()
        assert lines[0] == "a/b 1 0 text c1 r one"
        assert lines[1].split() == ["a/c", "1", "0", "two"]
        assert lines[2].split()[-1] == "x" * 70_000
        assert (await run(subscribe, *common, "-t", "a/+", "-C", "1", "-F", "%r %p")).strip() == "1 two"


async def test_mosquitto_sub_comes_back_to_its_session() -> None:
    """Subscribed once, away, and back: what was sent meanwhile is there, in order."""
    publish, subscribe = executable("mosquitto_pub"), executable("mosquitto_sub")
    async with Broker() as broker:
        common = ["-V", "5", "-p", str(broker.port), "-q", "1"]
        session = ["-i", "watcher", "-c", "-x", "60", "-t", "a"]
        await run(subscribe, *common, *session, "-E")
        for text in ("one", "two", "three"):
            await run(publish, *common, "-t", "a", "-m", text)
        assert (await run(subscribe, *common, *session, "-C", "3")).split() == ["one", "two", "three"]


async def test_mosquittos_will_is_sent_when_it_is_killed() -> None:
    """No goodbye, so the will."""
    subscribe = executable("mosquitto_sub")
    async with Broker() as broker:
        common = ["-V", "5", "-p", str(broker.port), "-q", "1"]
        watcher = asyncio.create_task(run(subscribe, *common, "-i", "watcher", "-t", "will", "-C", "1"), name="watcher")
        await until(lambda: broker.connected("watcher") and bool(broker.session("watcher").subscriptions))
        doomed = await asyncio.create_subprocess_exec(
            subscribe, *common, "-i", "doomed", "-t", "x", "--will-topic", "will", "--will-payload", "gone"
        )
        await until(lambda: broker.connected("doomed"))
        doomed.kill()
        await doomed.wait()
        assert (await watcher).strip() == "gone"
