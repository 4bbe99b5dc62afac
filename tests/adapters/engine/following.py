"""Readers of what the engine publishes: they do what the docstrings of publisher, books and trading tell readers to do.

They subscribe, ask for the image, apply what comes after it, and ask again wherever something may be missing: at a gap,
and when their own connection was lost.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import NoRespondersError
from nats.errors import TimeoutError as NatsTimeoutError

from adapters import subjects
from core.messages.answers import BookImage, Orders

Message = dict[str, Any]
Books = dict[str, tuple[dict[int, int], dict[int, int], int, int]]
"""Selection -> backs, lays (price -> stake), near, far."""
_LOOK_S = 0.02
_ASK_S = 1.0


class Reader:
    """Does what the docstring of books.py tells readers to do."""

    def __init__(self) -> None:
        self.head: Message = {}
        self.books: Books = {}

    def hear(self, message: Message) -> bool:
        """Whether the message could be used."""
        if message["type"] == "book":
            self.books = {
                name: (dict(backs), dict(lays), near, far) for name, backs, lays, near, far in message["books"]
            }
            self.head = dict(message)
            return True
        if message["version"] <= self.head["version"]:
            return True
        if message["base"] != self.head["version"]:
            return False
        for name, *sides, near, far in message["books"]:
            for held, changed in zip(self.books[name][:2], sides, strict=True):
                held |= dict(changed)
                for price in [price for price, stake_m in held.items() if not stake_m]:
                    del held[price]
            self.books[name] = (*self.books[name][:2], near, far)
        self.head |= {name: message[name] for name in ("version", "market_version", "status", "in_play")}
        return True


class Follower:
    """One subject, over a connection that may break and an engine that may be started again."""

    RESUMES_AT_START = False
    """Whether an engine that was started does not say by itself all that its reader needs."""

    def __init__(self, client: Client, subject: str, question: str, place: Message) -> None:
        """`question` asks for the image that the subject's messages build on."""
        self.client = client
        self.heard: list[Message] = []
        """Since the image was last asked for."""
        self.gaps = 0
        """How often something may have been missed."""
        self._subject = subject
        self._question = question, msgspec.json.encode(place)
        self._behind = False
        self._connection = 0

    async def follow(self) -> None:
        """From now on."""
        self._connection = self.client.stats["reconnects"]
        await self.client.subscribe(self._subject, cb=self._hear)
        await self.client.subscribe(subjects.STARTED, cb=self._hear_of_start)
        await self.client.flush()
        await self.resume()

    async def keep(self) -> None:
        """Ask for the image wherever something may be missing; until cancelled."""
        while True:
            await self.catch_up()
            await asyncio.sleep(_LOOK_S)

    async def catch_up(self) -> None:
        """The same, once."""
        connection = self.client.stats["reconnects"]
        if self._behind or connection != self._connection:
            self.gaps += 1
            self._behind, self._connection = False, connection
            await self.resume()

    async def resume(self) -> None:
        """Take the image, and what has come since it was asked for."""
        self.heard = []
        image = await self._ask()
        self.begin(image)
        kept, self.heard = self.heard, []
        for message in kept:
            self.hear(message)

    def begin(self, image: Message) -> None:
        """Take an image that was asked for."""
        raise NotImplementedError

    def hear(self, message: Message) -> bool:
        """Take a message; False: something is missing before it."""
        raise NotImplementedError

    async def _hear(self, received: Msg) -> None:
        message = msgspec.json.decode(received.data)
        self.heard.append(message)
        if not self.hear(message):
            self._behind = True

    async def _hear_of_start(self, _: Msg) -> None:
        self._behind = self._behind or self.RESUMES_AT_START

    async def _ask(self) -> Message:
        """Until it is answered: an engine that is just being started again answers nobody."""
        while True:
            with suppress(NatsTimeoutError, NoRespondersError, ConnectionError):
                reply = await self.client.request(*self._question, timeout=_ASK_S)
                answer: Message = msgspec.json.decode(reply.data)
                if answer.get("reason") != "BUSY":
                    return answer
            await asyncio.sleep(_LOOK_S)


class BookFollower(Follower):
    """The order books of a market."""

    def __init__(self, client: Client, fixture: str, market: str) -> None:
        place = {"fixture": fixture, "market": market}
        super().__init__(client, subjects.book(fixture, market), "order.book", place)
        self.reader = Reader()

    def begin(self, image: Message) -> None:
        msgspec.convert(image, BookImage)
        if not self.reader.head or image["version"] >= self.reader.head["version"]:
            assert self.reader.hear(image)

    def hear(self, message: Message) -> bool:
        """A delta before the first image waits for it; an image that is older than the one he holds tells nothing."""
        head = self.reader.head
        if not head:
            return message["type"] != "book" or self.reader.hear(message)
        return message["version"] <= head["version"] or self.reader.hear(message)


class OrderFollower(Follower):
    """A customer's orders in a market, and his position in it."""

    RESUMES_AT_START = True

    def __init__(self, client: Client, customer: str, fixture: str, market: str) -> None:
        place = {"fixture": fixture, "market": market, "customer": customer}
        super().__init__(client, subjects.orders(customer), "order.list", place)
        self.sequence = 0
        """Of the last message that was taken; 0: none."""
        self.orders: dict[str, Message] = {}
        """What was last said of each order that was ever told of: fields as in OrderNotice."""
        self.position: Message = {}

    def begin(self, image: Message) -> None:
        msgspec.convert(image, Orders)
        if image["sequence"] < self.sequence:
            return
        self.sequence = image["sequence"]
        # Nothing is left of an order that an image does not have.
        self.orders = {name: each | {"status": "done", "resting_m": 0} for name, each in self.orders.items()}
        self.orders |= {each["id"]: each for each in image["orders"]}
        self.position = {name: image[name] for name in ("net_m", "commission_m")}

    def hear(self, message: Message) -> bool:
        if not self.sequence or message["sequence"] <= self.sequence:
            return True
        if message["sequence"] != self.sequence + 1:
            return False
        self.sequence += 1
        if message["type"] == "order_notice":
            self.orders[message["id"]] = message
        elif message["type"] == "position_notice":
            self.position = {name: message[name] for name in ("net_m", "commission_m")}
        return True
