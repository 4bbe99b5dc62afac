"""The protocol document is what the types say, and a valid AsyncAPI 3 document.

While it was written it was checked against the schema of AsyncAPI 3.0.0 as the AsyncAPI project publishes it
(@asyncapi/specs 6.11.1); here stand those of its rules that a change of ours could break.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from adapters import asyncapi
from adapters.cli import main
from adapters.codec import REQUESTS
from config.settings import Role
from core.messages import answers, events, feed

DOCUMENT = json.loads(asyncapi.text())


def walk(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from walk(each)


def test_the_committed_document_is_current() -> None:
    assert asyncapi.DOCUMENT.read_text(encoding="utf-8") == asyncapi.text(), (
        "run: tictac asyncapi --output docs/asyncapi.json"
    )


def test_it_has_what_asyncapi_3_demands() -> None:
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= DOCUMENT["info"].keys()
    assert all({"host", "protocol"} <= server.keys() for server in DOCUMENT["servers"].values())
    for operation in DOCUMENT["operations"].values():
        assert operation["action"] in {"send", "receive"}
        assert operation["channel"].keys() == {"$ref"}
    for names in (DOCUMENT["components"]["messages"], DOCUMENT["components"]["schemas"]):
        assert all(re.fullmatch(r"[A-Za-z0-9._-]+", name) for name in names)


def test_every_reference_leads_somewhere() -> None:
    references = [value["$ref"] for value in walk(DOCUMENT) if "$ref" in value]
    assert len(references) > 100
    for reference in references:
        place = DOCUMENT
        for part in reference.removeprefix("#/").split("/"):
            assert part in place, reference
            place = place[part]


def test_messages_of_an_operation_are_those_of_its_channel() -> None:
    for operation in DOCUMENT["operations"].values():
        for part in (operation, operation.get("reply", operation)):
            prefix = part["channel"]["$ref"] + "/messages/"
            assert all(message["$ref"].startswith(prefix) for message in part["messages"])


def test_parameters_are_those_of_the_address() -> None:
    for channel in DOCUMENT["channels"].values():
        named = re.findall(r"\{(\w+)\}", channel["address"] or "")
        assert sorted(channel.get("parameters", {})) == sorted(named)


def test_schemas_are_in_asyncapis_dialect() -> None:
    for value in walk(DOCUMENT["components"]["schemas"]):
        assert "prefixItems" not in value
        assert isinstance(value.get("discriminator", ""), str) or "type" in value["discriminator"]


def test_every_request_has_its_answers() -> None:
    for subject, request in REQUESTS.items():
        reply = DOCUMENT["operations"][f"request-{subject}"]["reply"]["messages"]
        answered = [message["$ref"].rpartition("/")[2] for message in reply]
        assert answered == [*(kind.__name__ for kind in request.answers), "Rejected"]


@pytest.mark.parametrize("union", [feed.AnyFeedMessage, answers.Answer, events.Event])
def test_every_message_is_there(union: Any) -> None:
    assert {kind.__name__ for kind in union.__args__} <= DOCUMENT["components"]["schemas"].keys()


def test_what_is_told_without_a_question_is_on_its_channel() -> None:
    told = {name: sorted(channel["messages"]) for name, channel in DOCUMENT["channels"].items()}
    assert told["bets"] == ["Accepted", "CashedOutNotice", "OfferNotice", "Rejected", "SettledNotice"]
    assert told["orders"] == ["OrderNotice", "PositionNotice"]
    assert told["books"] == ["BookDelta", "BookImage"]
    assert told["engine-started"] == ["Started"]
    assert told["desk-referrals"] == ["Referral", "ReferralEnded"]


def test_it_names_no_role_that_does_not_exist() -> None:
    assert "_INBOX_<role>" in DOCUMENT["info"]["description"]
    assert all(role.inbox_prefix == f"_INBOX_{role.value}" for role in Role)


def test_the_command_writes_it(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["asyncapi", "--output", str(tmp_path / "a.json")]) == 0
    assert msgspec.json.decode((tmp_path / "a.json").read_bytes()) == DOCUMENT
    assert main(["asyncapi"]) == 0
    assert msgspec.json.decode(capsys.readouterr().out) == DOCUMENT
