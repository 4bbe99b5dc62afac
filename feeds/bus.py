"""The way from an ingestor to the engine and back: a small port, the real one (NATS), and its twin in memory.

A feed is never buffered for an engine that cannot be reached: prices that come late are wrong prices. What cannot be
sent now is dropped and said to be, and the session tells everything anew when the way is open again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, Self

import structlog
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError, OutboundBufferLimitError
from nats.errors import TimeoutError as NatsTimeoutError

from config.settings import Role

if TYPE_CHECKING:
    from nats.aio.msg import Msg

    from config.settings import Nats

Handler = Callable[[bytes], None]
_FLUSH_TIMEOUT_S = 10
_ABSENT_S = 0.5
"""An engine that is not there is not asked again at once."""
_log = structlog.get_logger("feeds.bus")


class Bus(Protocol):
    """What a session needs."""

    async def publish(self, subject: str, payload: bytes) -> bool:
        """Send, or drop where the other side cannot be reached: False."""
        ...

    async def flush(self) -> bool:
        """Wait until the other side has taken what was sent; False: it did not, or cannot be reached."""
        ...

    async def listen(self, subject: str, handler: Handler) -> None:
        """Call the handler with each message from now on."""
        ...

    def on_return(self, call: Callable[[], None]) -> None:
        """Call this each time the way is open again after it was not."""
        ...


class NatsBus:
    """Over NATS, as the ingestor role; or as a gateway, who asks and is answered."""

    def __init__(self) -> None:
        """Use `connect`."""
        self._client: Client
        self._connected = False
        self._last: Exception | None = None
        self._returns: list[Callable[[], None]] = []

    @classmethod
    async def connect(cls, settings: Nats, name: str = "ingestor", role: Role = Role.INGESTOR) -> Self:
        """Raises ConnectionError: no server within the attempts that the settings give, or a wrong password."""
        bus, client, password = cls(), Client(), settings.password(role)
        try:
            await client.connect(
                list(settings.urls),
                name=name,
                user=role.value if password else None,
                password=password or None,
                inbox_prefix=role.inbox_prefix,
                allow_reconnect=False,  # a refusal ends it at once; a server that is not there yet is tried again
                max_reconnect_attempts=settings.connect_attempts_max,
                connect_timeout=settings.connect_timeout_ms / 1000,  # type: ignore[arg-type]
                reconnect_time_wait=settings.reconnect_wait_ms / 1000,  # type: ignore[arg-type]
                pending_size=settings.pending_bytes_max,
                reconnected_cb=bus._returned,
                error_cb=bus._failed,
            )
        except (NatsError, OSError, TimeoutError) as error:
            reason = str(bus._last or error) or repr(error)  # before closing, which complains of the closed socket
            await client.close()
            if "authorization" in reason.lower():
                reason += f": nats.{role.value}_password is {'wrong' if password else 'not set'}"
            raise ConnectionError(reason) from error
        client.options["allow_reconnect"] = True
        client.options["max_reconnect_attempts"] = settings.reconnect_attempts_max
        bus._client, bus._connected = client, True
        return bus

    async def close(self) -> None:
        """Send what is on its way, then hang up."""
        await self.flush()
        await self._client.close()

    async def publish(self, subject: str, payload: bytes) -> bool:
        if not self._client.is_connected:
            return self._dropped()
        try:
            await self._client.publish(subject, payload)
        except OutboundBufferLimitError:
            return False
        return True

    async def flush(self) -> bool:
        if not self._client.is_connected:
            return self._dropped()
        try:
            await self._client.flush(_FLUSH_TIMEOUT_S)
        except NatsTimeoutError:
            return False
        return True

    async def listen(self, subject: str, handler: Handler) -> None:
        async def handle(message: Msg) -> None:
            handler(message.data)

        await self._client.subscribe(subject, cb=handle)
        await self.flush()

    async def request(self, subject: str, payload: bytes, timeout_s: float) -> bytes | None:
        """Ask; None: no answer in time, or nobody there."""
        try:
            reply = await self._client.request(subject, payload, timeout=timeout_s)
        except NoRespondersError:
            await asyncio.sleep(_ABSENT_S)
            return None
        except (NatsTimeoutError, OutboundBufferLimitError):
            return None
        return reply.data

    def on_return(self, call: Callable[[], None]) -> None:
        self._returns.append(call)

    def _dropped(self) -> bool:
        """False while the server may come back; it is an error when the client has given up."""
        if self._client.is_closed:
            raise ConnectionError("the connection to NATS is closed for good")
        return False

    async def _failed(self, error: Exception) -> None:
        """What nats-py reports, the same thing once; before the connection stands, `connect` says it."""
        if self._connected and repr(error) != repr(self._last):
            _log.warning("NATS", error=str(error) or repr(error))
        self._last = error

    async def _returned(self) -> None:
        self._last = None
        for call in self._returns:
            call()


class MemoryBus:
    """Within one process: for tests of ingestors, and for looking at what a recording would say."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes]] = []
        self._handlers: dict[str, list[Handler]] = {}
        self._returns: list[Callable[[], None]] = []
        self._away = False

    @property
    def away(self) -> bool:
        """Whether the other side cannot be reached."""
        return self._away

    @away.setter
    def away(self, away: bool) -> None:
        returned, self._away = self._away and not away, away
        if returned:
            for call in self._returns:
                call()

    async def publish(self, subject: str, payload: bytes) -> bool:
        if self._away:
            return False
        self.sent.append((subject, payload))
        for handler in self._handlers.get(subject, ()):
            handler(payload)
        return True

    async def flush(self) -> bool:
        return not self._away

    async def listen(self, subject: str, handler: Handler) -> None:
        self._handlers.setdefault(subject, []).append(handler)

    def on_return(self, call: Callable[[], None]) -> None:
        self._returns.append(call)
