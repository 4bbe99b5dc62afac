"""A starting engine asks the one that runs to write nothing more.

Safety is the fence's alone (journal/writer.py). But an engine under load appends a thousand times a second, and
whoever wants to append behind it would always come a message too late; so it is asked to leave first, once the
newcomer has rebuilt the state. One that hangs does not answer, and does not append either.
"""

from __future__ import annotations

import structlog
from nats.aio.client import Client
from nats.errors import NoRespondersError
from nats.errors import TimeoutError as NatsTimeoutError

from config.settings import Journal, Role

log = structlog.get_logger(__name__)
ANSWER_WITHIN_S = 2.0
"""It answers as soon as what it has under way is stored: some milliseconds. Or it hangs."""


def subject(settings: Journal) -> str:
    """Below the engine's inbox, where only engines may speak and listen."""
    return f"{Role.ENGINE.inbox_prefix}.takeover.{settings.partition}"


async def ask(client: Client, settings: Journal) -> None:
    """Ask, and wait until the other has stopped writing; returns at once where there is none."""
    try:
        await client.request(subject(settings), b"", timeout=ANSWER_WITHIN_S)
    except NoRespondersError:
        return
    except NatsTimeoutError:
        log.warning("a running engine does not answer: the fence will have to do")
    else:
        log.info("a running engine has been asked to stop, and has")
