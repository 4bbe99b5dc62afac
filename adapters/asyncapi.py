"""The protocol as an AsyncAPI 3 document, written from the types themselves, so that it cannot say anything else.

`tictac asyncapi` writes docs/asyncapi.json; a test holds the committed file current.
"""

from __future__ import annotations

import argparse
import inspect
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, get_args

import msgspec
from msgspec import Struct

from adapters import subjects
from adapters.codec import REQUESTS, Request
from adapters.engine import notices
from config.settings import Settings
from core.messages import answers, events, feed

DOCUMENT: Final = Path(__file__).parent.parent / "docs" / "asyncapi.json"
_SCHEMAS = "#/components/schemas/"
Json = dict[str, Any]

_DESCRIPTION: Final = """\
tictac over NATS. Requests (`receive` operations with a reply) are NATS request/reply: JSON or msgpack, told apart by
the first byte, answered in kind; in msgpack a message has the same fields. The reply subject must be an inbox of the
asker's role (`_INBOX_<role>.>`). Every answer is stored before it is sent; whoever got none asks again with the same
id and gets the first answer. Prices are decimal odds x 10 000, money (`_m`) is in minor units, times (`_ms`) are
milliseconds since 1970-01-01 UTC. In subjects, every character of an id outside of `A-Z a-z 0-9 _ : = | + -` is
replaced by `_`. A malformed request is answered MALFORMED with the field in `detail`; BUSY means that nothing was
decided: ask again."""

_FLOWS: Final[tuple[tuple[str, str, str, str, tuple[type[Struct], ...]], ...]] = (
    (
        "feed",
        "feed.{provider}.{producer}",
        "receive",
        "What ingestors publish; no reply. JSON or msgpack.",
        get_args(feed.AnyFeedMessage),
    ),
    (
        "feed-control",
        "feed-control.{provider}.{producer}",
        "send",
        "What the engine asks of an ingestor. JSON.",
        (feed.RecoverRequest,),
    ),
    (
        "odds",
        "odds.{fixture}.{market}",
        "send",
        "Each market's offer: images, and deltas that name the version they build on. JSON.",
        (answers.OddsImage, answers.OddsDelta),
    ),
    (
        "books",
        "odds.{fixture}.{market}.book",
        "send",
        "Each exchange market's order books: images, and deltas that name the version they build on. JSON.",
        (answers.BookImage, answers.BookDelta),
    ),
    (
        "bets",
        "bets.{customer}",
        "send",
        "What becomes of a customer's bets: of a pending one the answer that its id gets from now on. JSON.",
        notices.OF_CUSTOMERS,
    ),
    (
        "orders",
        "orders.{customer}",
        "send",
        "What becomes of a customer's orders without a request of his, numbered; order.list is the image. JSON.",
        notices.OF_ORDERS,
    ),
    (
        "engine-started",
        subjects.STARTED,
        "send",
        "An engine has begun: notices of the one before may be missing, so their readers ask anew. JSON.",
        (answers.Started,),
    ),
    (
        "desk-referrals",
        subjects.REFERRALS,
        "send",
        "Bets that wait for a trader, each again every few seconds, and how that ended. JSON.",
        notices.OF_THE_DESK,
    ),
    (
        "desk-balances",
        subjects.BALANCES,
        "send",
        "Customers whose cash a resettlement has taken below zero, or further below. JSON.",
        notices.OF_BALANCES,
    ),
    (
        "journal",
        "journal.{partition}",
        "send",
        "The truth: JetStream stream JOURNAL. msgpack only; each event is an array whose first element is its tag.",
        (events.Batch,),
    ),
)
"""Channel, address, the engine's action, what it is, messages: all that is not request and reply."""
_ANSWERS: Final = tuple(dict.fromkeys(kind for request in REQUESTS.values() for kind in request.answered))
_ARRAYS: Final = (
    *((request.message,) for request in REQUESTS.values() if request.many),
    tuple(dict.fromkeys(kind for request in REQUESTS.values() if request.many for kind in request.answered)),
)
"""What may come as an array, and what is answered as one."""


def document() -> Json:
    """The whole document, in an order that does not change by itself."""
    asked: list[type[Struct]] = [request.message for request in REQUESTS.values()]
    told: list[type[Struct]] = [kind for *_, messages in _FLOWS for kind in messages]
    kinds: list[type[Struct]] = list(dict.fromkeys([*asked, *_ANSWERS, *told]))
    _, schemas = msgspec.json.schema_components(kinds, ref_template=_SCHEMAS + "{name}")
    channels: Json = {subject: _channel(subject, (request.message,)) for subject, request in REQUESTS.items()}
    channels["inbox"] = _channel(None, _ANSWERS)
    operations: Json = {f"request-{subject}": _request(subject, request) for subject, request in REQUESTS.items()}
    for name, address, action, description, messages in _FLOWS:
        channels[name] = _channel(address, messages) | {"description": description}
        operations[f"{action}-{name}"] = _operation(action, name, messages)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "tictac",
            "version": version("tictac"),
            "description": _DESCRIPTION,
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "servers": {"nats": {"host": "127.0.0.1:4222", "protocol": "nats"}},
        "channels": channels,
        "operations": operations,
        "components": {
            "messages": {kind.__name__: _message(kind) for kind in kinds},
            "schemas": {name: _draft_7(schema) for name, schema in _by_own_name(schemas, kinds).items()},
        },
    }


def text() -> str:
    """The document as it is committed."""
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


def _channel(address: str | None, messages: tuple[type[Struct], ...]) -> Json:
    channel: Json = {
        "address": address,
        "messages": {kind.__name__: {"$ref": f"#/components/messages/{kind.__name__}"} for kind in messages},
    }
    names = [part[1:-1] for part in (address or "").split(".") if part.startswith("{")]
    if names:
        channel["parameters"] = {name: {"description": f"The {name}'s id."} for name in names}
    return channel


def _operation(action: str, channel: str, messages: tuple[type[Struct], ...]) -> Json:
    return {"action": action, "channel": {"$ref": f"#/channels/{channel}"}, "messages": _of_channel(channel, messages)}


def _request(subject: str, request: Request) -> Json:
    return _operation("receive", subject, (request.message,)) | {
        "summary": _first_line(request.message),
        "reply": {
            "address": {"location": "$message.header#/reply", "description": "The NATS message's reply subject."},
            "channel": {"$ref": "#/channels/inbox"},
            "messages": _of_channel("inbox", request.answered),
        },
    }


def _of_channel(channel: str, messages: tuple[type[Struct], ...]) -> list[Json]:
    return [{"$ref": f"#/channels/{channel}/messages/{kind.__name__}"} for kind in messages]


def _message(kind: type[Struct]) -> Json:
    message: Json = {"name": kind.__name__, "summary": _first_line(kind), "payload": _payload(kind)}
    if kind is events.Batch:
        message["contentType"] = "application/msgpack"
    return message


def _payload(kind: type[Struct]) -> Json:
    """Where an array is taken as well, an array of answers is given back."""
    one: Json = {"$ref": f"{_SCHEMAS}{kind.__name__}"}
    for together in _ARRAYS:
        if kind in together:
            items = {"anyOf": [{"$ref": f"{_SCHEMAS}{each.__name__}"} for each in together]}
            return {"anyOf": [one, {"type": "array", "items": items}]}
    return one


def _first_line(kind: type[Struct]) -> str:
    return (inspect.getdoc(kind) or kind.__name__).partition("\n")[0]


def _by_own_name(schemas: Json, kinds: list[type[Struct]]) -> Json:
    """A message keeps its name where a part of another has the same; msgspec calls both by their modules."""
    encoded = json.dumps(schemas)
    for kind in kinds:
        for before in ('"', f'"{_SCHEMAS}'):
            encoded = encoded.replace(f'{before}{kind.__module__}.{kind.__name__}"', f'{before}{kind.__name__}"')
    named: Json = json.loads(encoded)
    return named


def _draft_7(schema: Any) -> Any:
    """msgspec writes JSON Schema 2020-12; AsyncAPI's own dialect is draft 7 with a plain discriminator."""
    if isinstance(schema, list):
        return [_draft_7(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    converted = {name: _draft_7(value) for name, value in schema.items()}
    if "prefixItems" in converted:
        converted["additionalItems"] = converted.pop("items", True)
        converted["items"] = converted.pop("prefixItems")
    if isinstance(converted.get("discriminator"), dict):
        converted["discriminator"] = converted["discriminator"]["propertyName"]
    return converted


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `tictac asyncapi`."""
    parser = commands.add_parser("asyncapi", help="write the protocol as an AsyncAPI 3 document")
    parser.add_argument("--output", type=Path, default=None, help="a file; by default the terminal")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace, _: Settings) -> int:
    if arguments.output is None:
        print(text(), end="")  # noqa: T201  # that is what it is for
    else:
        arguments.output.write_text(text(), encoding="utf-8")
    return 0
