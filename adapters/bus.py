"""Connecting to NATS in a role: its user, its password, its inbox, and bounds for everything that waits.

Two bounds are apart: at the start a server is waited for by a few seconds, and wrong credentials end it at once, with
one line that says whose; later on, a server that is away is waited for as long as `nats.reconnect_attempts_max` allows.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import nats.errors
import structlog
from nats.aio.client import Client

from config.settings import Role, Settings

log = structlog.get_logger(__name__)
_REFUSED = ("authorization violation", "authentication")
"""How the server's word begins when it does not let a user in."""


class BusError(Exception):
    """NATS cannot be used; the text names the role and the server."""


async def connect(settings: Settings, role: Role, *, name: str = "") -> Client:
    """A connection of the role. `name` is what the server's monitoring shows. Raises BusError."""
    bounds, password = settings.nats, settings.nats.password(role)
    said = _Said(role)
    client = _Connection()
    client.said = said
    try:
        await client.connect(
            list(bounds.urls),
            name=name or f"tictac-{role.value}",
            user=role.value if password else None,
            password=password or None,
            inbox_prefix=role.inbox_prefix,
            allow_reconnect=False,  # a refusal ends it at once; a server that is not there yet is tried again
            max_reconnect_attempts=bounds.connect_attempts_max,
            connect_timeout=bounds.connect_timeout_ms / 1000,  # type: ignore[arg-type]
            reconnect_time_wait=bounds.reconnect_wait_ms / 1000,  # type: ignore[arg-type]
            ping_interval=bounds.ping_interval_ms / 1000,  # type: ignore[arg-type]
            drain_timeout=bounds.drain_timeout_ms / 1000,  # type: ignore[arg-type]
            pending_size=bounds.pending_bytes_max,
            error_cb=said.error,
            disconnected_cb=said.gone,
            reconnected_cb=said.back,
            closed_cb=said.closed,
        )
    except (nats.errors.Error, OSError, TimeoutError) as error:
        await client.close()
        raise BusError(_explain(settings, role, said.last or error)) from error
    client.options["allow_reconnect"] = True
    client.options["max_reconnect_attempts"] = bounds.reconnect_attempts_max
    said.connected = True
    return client


async def close(client: Client) -> None:
    """Send what is underway, within `nats.drain_timeout_ms`, and go."""
    if isinstance(client, _Connection):
        client.said.connected = False  # that it ends is nothing to report: a log at night is read for what went wrong
    # Its search for a server that is away may overhear the cancellation, and would go on to its last attempt.
    client.options["max_reconnect_attempts"] = 1
    try:
        if client.is_connected and not client.is_draining:
            await client.drain()
    except (nats.errors.Error, OSError, TimeoutError) as error:
        log.warning("left without a good-bye", error=repr(error))
    if not client.is_closed:
        await client.close()


class _Said:
    """What nats-py reports, in the log: the same thing once, however often it is tried again."""

    def __init__(self, role: Role) -> None:
        self.connected = False
        self.last: Exception | None = None
        self._log = log.bind(role=role.value)
        self.gone = self._report("connection lost")
        self.back = self._report("connected again")
        self.closed = self._report("connection closed")

    async def error(self, error: Exception) -> None:
        if self.connected and repr(error) != repr(self.last):
            self._log.warning("NATS", error=str(error) or repr(error))
        self.last = error

    def _report(self, what: str) -> Callable[[], Awaitable[None]]:
        async def report() -> None:
            self.last = None
            if self.connected:
                self._log.info(what)

        return report


class _Connection(Client):
    said: _Said


def _explain(settings: Settings, role: Role, error: Exception) -> str:
    where = ", ".join(map(_without_password, settings.nats.urls))
    reason = str(error) or repr(error)
    if any(word in reason.lower() for word in _REFUSED):
        hint = "wrong" if settings.nats.password(role) else "not set"
        return f"NATS at {where} does not let role {role.value} in: nats.{role.value}_password is {hint}"
    return f"no NATS at {where} for role {role.value}: {reason}"


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
