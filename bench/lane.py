"""What does one small message and its reply cost the process, nats-py's way and the lane's (adapters/engine/lane.py)?

    bytes of 200 messages ──> nats-py's parser ──> queue and task of the subscription ──> publish  │ in turns, the
    the same bytes        ──> the lane's parser ──> handler                ──> one write of all    │ same process

In the number: everything from bytes read to bytes ready to be written, in processor time. Not in it: the socket, the
server, decoding and deciding.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import uvloop
from nats.aio.client import Client
from nats.aio.msg import Msg

from adapters.engine.lane import Lane
from bench import common

MESSAGES = 200
"""As many as one read from the socket brings under load."""
PAYLOAD = b'{"id":"b-00000001","expires_ms":1900000000000,"customer":"c-123","stake_m":1000,"legs":[{"fixture":"f-1"}]}'
REPLY = b'{"type":"accepted","id":"b-00000001","ts_ms":1900000000000,"stake_m":1000,"payout_m":2150}'
FRAME = b"MSG bet.place 1 _INBOX_gateway.abcdefghijklmnopqrstuv.%d %d\r\n%b\r\n"
BYTES = b"".join(FRAME % (number, len(PAYLOAD), PAYLOAD) for number in range(MESSAGES))


class Unconnected(Client):
    """A client whose socket is a list: what it would write stays there."""

    def __init__(self) -> None:
        """As if connected, with the flusher always about to run."""
        super().__init__()
        self._status = Client.CONNECTED
        self._max_payload = 1 << 20
        self._max_pending_size = 1 << 30
        self._skip_subject_validation = True
        self._flush_queue = asyncio.Queue(2)
        self._flush_queue.put_nowait(asyncio.get_running_loop().create_future())
        self.msg_class = Msg

    def written(self) -> int:
        """How many messages were written since the last call."""
        count = b"".join(self._pending).count(b"PUB ")
        self._pending.clear()
        return count

    async def _send_subscribe(self, sub: object) -> None:
        """There is no server."""

    async def read(self) -> None:
        """As the read loop does it."""
        await self._ps.parse(BYTES)


async def by_nats_py() -> tuple[Unconnected, Callable[[], Awaitable[None]]]:
    client = Unconnected()

    async def answer(message: Msg) -> None:
        await client.publish(message.reply, REPLY)

    subscription = await client.subscribe("bet.>", cb=answer)

    async def turn() -> None:
        await client.read()
        while subscription.pending_msgs:  # noqa: ASYNC110  # its task is what is measured
            await asyncio.sleep(0)

    return client, turn


async def by_lane() -> tuple[Unconnected, Callable[[], Awaitable[None]]]:
    client = Unconnected()
    answers: list[tuple[str, bytes]] = []

    def fail(error: BaseException) -> None:
        raise error

    lane = Lane(client, fail, 1 << 30)
    await lane.subscribe("bet.>", lambda _, reply, __: answers.append((reply, REPLY)))

    async def turn() -> None:
        await client.read()
        lane.publish(answers)
        answers.clear()
        await asyncio.sleep(0)

    return client, turn


async def measure(turns: int, passes: int) -> dict[str, object]:
    """Microseconds a message, the ways in turns."""
    ways = {"nats_py_us": await by_nats_py(), "lane_us": await by_lane()}
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(passes):
        for name, (client, turn) in ways.items():
            began = time.process_time()
            for _ in range(turns):
                await turn()
            taken[name].append((time.process_time() - began) / (turns * MESSAGES) * 1e6)
            assert client.written() == turns * MESSAGES, "not every message was answered"
    return {name: common.spread(values) for name, values in taken.items()}


def main() -> None:
    """See the module."""
    options = common.arguments(__doc__)
    facts = common.header("nats-py", "uvloop")
    figures = uvloop.run(measure(10 if options.small else 200, options.passes))
    common.finish({**facts, **figures}, as_json=options.json)


if __name__ == "__main__":
    main()
