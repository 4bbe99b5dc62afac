from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec
import pytest

from config.settings import DEFAULTS, Role, Settings, SettingsError, load
from core.limits import Limits

if TYPE_CHECKING:
    from pathlib import Path


def test_the_defaults_are_complete_and_valid() -> None:
    settings = load(environ={})
    assert settings.journal.stream == "JOURNAL"
    assert settings.limits == Limits()


def test_every_setting_stands_once_with_a_reason_beside_it() -> None:
    lines = DEFAULTS.read_text(encoding="utf-8").splitlines()
    named = [line for line in lines if line and not line.lstrip().startswith(("#", "["))]
    assert [line for line in named if not re.match(r"\w+ = .+?  +# \S", line)] == []
    sections = msgspec.structs.fields(Settings)
    assert len(named) == sum(len(msgspec.structs.fields(section.type)) for section in sections)


def test_the_later_layer_wins(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text("[journal]\nreplicas = 3\nbatch_events_max = 10\n[http]\nport = 1\n", encoding="utf-8")
    environ = {"TICTAC_CONFIG": str(file), "TICTAC_JOURNAL_BATCH_EVENTS_MAX": "20", "TICTAC_HTTP_PORT": "2"}
    settings = load(environ=environ, overrides={"http.port": 3})
    assert (settings.journal.replicas, settings.journal.batch_events_max, settings.http.port) == (3, 20, 3)


def test_a_file_named_by_the_caller_wins_over_the_variable(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text("[http]\nport = 1\n", encoding="utf-8")
    assert load(file, environ={"TICTAC_CONFIG": "absent.toml"}).http.port == 1


def test_variables_take_the_type_of_their_setting() -> None:
    environ = {
        "TICTAC_NATS_URLS": "nats://a:1, nats://b:2",
        "TICTAC_PROJECTOR_EMBEDDED": "false",
        "TICTAC_NATS_GATEWAY_PASSWORD": "123",
    }
    settings = load(environ=environ)
    assert settings.nats.urls == ("nats://a:1", "nats://b:2")
    assert settings.projector.embedded is False
    assert settings.nats.password(Role.GATEWAY) == "123"


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("TICTAC_JOURNAL_BATCH_EVENTS_MAX", "0", "journal.batch_events_max: Expected `int` >= 1, got 0 (from TICTAC_"),
        ("TICTAC_JOURNAL_REPLICAS", "9", "journal.replicas: Expected `int` <= 5, got 9 (from TICTAC_"),
        (
            "TICTAC_JOURNAL_REPLICA",
            "1",
            "journal.replica: there is no such setting; is it journal.replicas? (from TICTAC_",
        ),
        ("TICTAC_PROJECTOR_EMBEDDED", "maybe", "projector.embedded: Expected `bool`"),
        ("TICTAC_LIMITS_STAKE_MAX_M", "1e400", "limits.stake_max_m: Number out of range"),
        ("TICTAC_LIMITS_LEGS_MAX", "nan", "limits.legs_max: Expected `int`"),
        ("TICTAC_LOG_LEVEL", "loud", "log.level: Invalid enum value 'loud'"),
        ("TICTAC_NATS_URLS", "", "nats.urls: "),
        ("TICTAC_NATS_URLS", "nats://a, nats://b:99999", "nats.urls: Port out of range 0-65535 (from TICTAC_"),
        ("TICTAC_POSTGRES_URL", "localhost:5432/tictac", "postgres.url: Expected `str` matching regex"),
        ("TICTAC_REDIS_URL", "localhost:6379", "redis.url: Expected `str` matching regex"),
        ("TICTAC_", "1", ".: there is no such setting"),
    ],
)
def test_a_wrong_variable_is_refused_by_name(variable: str, value: str, said: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        load(environ={variable: value})
    assert str(refusal.value).startswith(said)
    assert variable in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[journal]\nreplicas = 0\n", "journal.replicas: Expected `int` >= 1, got 0 (from "),
        ('[journal]\nreplicas = "3"\n', "journal.replicas: Expected `int`, got `str`"),
        ("[journal]\nreplicas = true\n", "journal.replicas: Expected `int`, got `bool`"),
        ("[nats]\nurls = [1]\n", "nats.urls: Expected `str`, got `int`"),
        ("[journall]\nreplicas = 1\n", "journall.replicas: there is no such setting; is it journal.replicas?"),
        ("replicas = 1\n", "replicas: stands outside of any [section]"),
    ],
)
def test_a_wrong_line_of_a_file_is_refused_by_name(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "own.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError) as refusal:
        load(file, environ={})
    assert str(refusal.value).startswith(said)
    assert str(file) in str(refusal.value)


@pytest.mark.parametrize("content", [None, b"[journal\n", b"\xff\xfe"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "own.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsError, match=re.escape(str(file))):
        load(file, environ={})


def test_a_wrong_password_setting_is_not_repeated() -> None:
    with pytest.raises(SettingsError) as refusal:
        load(environ={}, overrides={"nats.engine_password": ["hush"]})
    assert "hush" not in str(refusal.value)
