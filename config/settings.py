"""Typed settings: default.toml, then a file, then the environment; the first wrong or unknown one is refused by name.

Layers, the later one wins:

1. `config/default.toml`, where every setting stands with its unit and its reason;
2. a TOML file of the same shape: `--config FILE`, or the variable `TICTAC_CONFIG`;
3. variables `TICTAC_<SECTION>_<NAME>`, such as `TICTAC_JOURNAL_REPLICAS=3` (a section's name has no underscore, so this
   is unambiguous); a list is separated by commas;
4. overrides by the program, as `{"journal.replicas": 3}`.

An empty password or URL means: not given. What needs it says so when it is used.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

from core.limits import Limits

DEFAULTS = Path(__file__).parent / "default.toml"
PREFIX = "TICTAC_"
CONFIG_VARIABLE = "TICTAC_CONFIG"

Count = Annotated[int, Meta(ge=1, le=10**9)]
CountOrOff = Annotated[int, Meta(ge=0, le=10**9)]
Bytes = Annotated[int, Meta(ge=1024, le=1 << 50)]
# A journal batch, a request: one NATS message, so never above the 1 MB of config/nats/tictac.conf.
MessageBytes = Annotated[int, Meta(ge=1024, le=1_000_000)]
Milliseconds = Annotated[int, Meta(ge=1, le=10**11)]
Url = Annotated[str, Meta(pattern=r"^(nats|tls|wss?)://\S+$")]
PostgresUrl = Annotated[str, Meta(pattern=r"^(postgres(ql)?://\S*)?$")]
RedisUrl = Annotated[str, Meta(pattern=r"^((rediss?|unix)://\S+)?$")]
Port = Annotated[int, Meta(ge=0, le=65535)]
Chance = Annotated[float, Meta(ge=0, le=1)]
Name = Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{1,64}$")]


class SettingsError(Exception):
    """A wrong setting, named as `section.name`, with where it came from."""


class Role(StrEnum):
    """Who connects to NATS; each has its own user, password and subjects (config/nats/tictac.conf)."""

    ENGINE = "engine"
    GATEWAY = "gateway"
    INGESTOR = "ingestor"
    DESK = "desk"
    AUDITOR = "auditor"
    OPERATOR = "operator"

    @property
    def inbox_prefix(self) -> str:
        """Replies to a role go below this subject; nobody else may listen there."""
        return f"_INBOX_{self.value}"


class _Section(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Shared behaviour of all sections: no default here, default.toml has every value."""


class Nats(_Section, frozen=True):
    urls: Annotated[tuple[Url, ...], Meta(min_length=1, max_length=16)]
    engine_password: str
    gateway_password: str
    ingestor_password: str
    desk_password: str
    auditor_password: str
    operator_password: str
    connect_timeout_ms: Milliseconds
    connect_attempts_max: Count
    reconnect_wait_ms: Milliseconds
    reconnect_attempts_max: Count
    ping_interval_ms: Milliseconds
    pending_bytes_max: Bytes
    payload_min_bytes: Bytes
    drain_timeout_ms: Milliseconds

    def password(self, role: Role) -> str:
        password: str = getattr(self, f"{role.value}_password")
        return password


class Journal(_Section, frozen=True):
    stream: Name
    partition: Name
    batch_events_max: Count
    batch_bytes_max: MessageBytes
    appends_in_flight_max: Annotated[int, Meta(ge=1, le=64)]
    append_timeout_ms: Milliseconds
    append_retry_max_ms: Milliseconds
    retry_wait_ms: Milliseconds
    blocked_max_ms: Milliseconds
    fence_check_ms: Milliseconds
    bytes_max: Bytes
    replicas: Annotated[int, Meta(ge=1, le=5)]


class Gateway(_Section, frozen=True):
    message_bytes_max: MessageBytes
    bets_per_message_max: Annotated[int, Meta(ge=1, le=1000)]
    pending_max: Count
    older_pending_max: Count
    tick_ms: Annotated[int, Meta(ge=1, le=100)]
    slices_ms: Annotated[int, Meta(ge=0, le=100)]
    slices_pause_ms: Annotated[int, Meta(ge=1, le=100)]
    check_every: CountOrOff


class Postgres(_Section, frozen=True):
    url: PostgresUrl
    pool_max: Annotated[int, Meta(ge=1, le=100)]
    connect_timeout_ms: Milliseconds
    statement_timeout_ms: Milliseconds


class Projector(_Section, frozen=True):
    embedded: bool
    slice_events_max: Annotated[int, Meta(ge=1, le=1_000_000)]
    batches_max: Count
    poll_ms: Milliseconds
    synchronous_commit: bool
    retry_max_ms: Milliseconds


class Snapshot(_Section, frozen=True):
    bucket: Name
    every_events: Count
    chunk_bytes: MessageBytes
    timeout_ms: Milliseconds
    keep: Annotated[int, Meta(ge=1, le=100)]
    journal_safety_ms: Milliseconds


class Publisher(_Section, frozen=True):
    odds_interval_ms: Milliseconds
    markets_per_turn_max: Count
    books_interval_ms: Milliseconds
    books_per_turn_max: Count
    book_depth_max: Annotated[int, Meta(ge=1, le=1000)]
    near_far_interval_ms: Milliseconds


class Redis(_Section, frozen=True):
    url: RedisUrl
    interval_ms: Milliseconds
    image_ttl_ms: Milliseconds
    pipeline_max: Count
    markets_max: Count


class Http(_Section, frozen=True):
    host: str
    port: Port


class Feed(_Section, frozen=True):
    stream: Name
    age_max_ms: Milliseconds
    bytes_max: Bytes
    replicas: Annotated[int, Meta(ge=1, le=5)]
    message_bytes_max: MessageBytes
    pending_max: Count
    ahead_max_ms: Milliseconds


class Ingest(_Section, frozen=True):
    heartbeat_ms: Annotated[int, Meta(ge=1, le=10_000)]
    flush_every: Count
    markets_max: Count
    refresh_ms: Milliseconds
    ended_sources_max: Count
    line_bytes_max: Bytes
    recordings: str


class Simulator(_Section, frozen=True):
    fixtures_at_once: Annotated[int, Meta(ge=1, le=10_000)]
    lead_s: Annotated[int, Meta(ge=60, le=10**7)]
    spread_s: Annotated[int, Meta(ge=0, le=10**7)]
    tick_s: Annotated[int, Meta(ge=1, le=600)]
    tick_min_ms: Milliseconds
    refresh_ms: Milliseconds
    behind_max_ms: Milliseconds
    kept_ms: Milliseconds
    kept_max: Count
    overround: Annotated[float, Meta(ge=0, le=0.5)]
    overround_race: Annotated[float, Meta(ge=0, le=0.5)]
    race_share: Chance
    in_running_chance: Chance
    non_runner_chance: Chance
    dead_heat_chance: Chance
    delay_max_ms: Annotated[int, Meta(ge=0, le=15_000)]
    by_score_chance: Chance
    provisional_chance: Chance
    outright_share: Chance
    overturned_goal_chance: Chance
    group_suspension_chance: Chance
    correction_chance: Chance
    cancel_chance: Chance
    abandon_chance: Chance


class Demo(_Section, frozen=True):
    folder: str
    customers: Annotated[int, Meta(ge=1, le=10_000)]
    bets_per_s: Annotated[float, Meta(gt=0, le=10_000)]
    once_bets_per_s: Annotated[float, Meta(gt=0, le=100_000)]
    once_seconds_min: Annotated[int, Meta(ge=5, le=3600)]
    speed: Annotated[float, Meta(ge=0.1, le=10_000)]
    lead_s: Annotated[int, Meta(ge=0, le=10**6)]
    liability_selection_max_m: Count
    liability_market_max_m: Count
    liability_fixture_max_m: Count
    liability_book_max_m: Count
    payout_max_m: Count
    stake_max_m: Count
    referral_ms: Milliseconds
    offer_ms: Milliseconds
    velocity_bets_max: Count
    stop_ms: Milliseconds


class Log(_Section, frozen=True):
    level: Literal["debug", "info", "warning", "error"]
    format: Literal["auto", "json", "console"]


class Settings(_Section, frozen=True):
    nats: Nats
    journal: Journal
    gateway: Gateway
    limits: Limits
    postgres: Postgres
    projector: Projector
    snapshot: Snapshot
    publisher: Publisher
    redis: Redis
    http: Http
    feed: Feed
    ingest: Ingest
    simulator: Simulator
    demo: Demo
    log: Log


def load(
    path: Path | None = None,
    environ: Mapping[str, str] = os.environ,
    overrides: Mapping[str, object] = {},
) -> Settings:
    """Read every layer and check the whole. Raises SettingsError: the setting, what is expected, its source."""
    return _read(path, environ, overrides).settings()


def sources(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """`section.name` -> the file or variable that has the last word on it, for every setting that is given."""
    return _read(path, environ, {}).sources


def _read(path: Path | None, environ: Mapping[str, str], overrides: Mapping[str, object]) -> _Layers:
    layers = _Layers()
    layers.add_file(DEFAULTS)
    if path is None and environ.get(CONFIG_VARIABLE):
        path = Path(environ[CONFIG_VARIABLE])
    if path is not None:
        layers.add_file(path)
    for variable in sorted(environ):
        if variable.startswith(PREFIX) and variable != CONFIG_VARIABLE:
            layers.add_variable(variable, environ[variable])
    for dotted, value in overrides.items():
        layers.add(dotted, value, "the program")
    return layers


class _Layers:
    """The values so far, and for each where it came from, so that a fault can be named with its source."""

    def __init__(self) -> None:
        self._values: dict[str, dict[str, object]] = {}
        self.sources: dict[str, str] = {}

    def add_file(self, path: Path) -> Self:
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise SettingsError(f"{path}: {error}") from error
        for section, values in content.items():
            if not isinstance(values, dict):
                raise SettingsError(f"{section}: stands outside of any [section] (from {path})")
            for name, value in values.items():
                self.add(f"{section}.{name}", value, str(path))
        return self

    def add_variable(self, variable: str, text: str) -> Self:
        section, _, name = variable.removeprefix(PREFIX).lower().partition("_")
        dotted = f"{section}.{name}"
        kind = _type_of(dotted, variable)
        given: object = tuple(part.strip() for part in text.split(",")) if isinstance(self._get(dotted), list) else text
        try:
            return self.add(dotted, msgspec.convert(given, kind, strict=False), variable)
        except msgspec.ValidationError as error:
            raise SettingsError(f"{dotted}: {error}{_got(text)} (from {variable})") from error

    def add(self, dotted: str, value: object, source: str) -> Self:
        _type_of(dotted, source)
        section, _, name = dotted.partition(".")
        self._values.setdefault(section, {})[name] = value
        self.sources[dotted] = source
        return self

    def settings(self) -> Settings:
        try:
            settings = msgspec.convert(self._values, Settings)
        except msgspec.ValidationError as error:
            match = re.fullmatch(r"(.*?) - at `\$\.([a-z_.]+)(\[.*)?`", str(error))
            reason, dotted = (match[1], match[2]) if match else (str(error), "settings")
            got = _got(self._get(dotted))
            raise SettingsError(f"{dotted}: {reason}{got} (from {self.sources.get(dotted, DEFAULTS)})") from error
        for url in settings.nats.urls:
            try:
                urlsplit(url).port  # noqa: B018  # looks whether it is one
            except ValueError as error:
                raise SettingsError(f"nats.urls: {error} (from {self.sources.get('nats.urls', DEFAULTS)})") from error
        return settings

    def _get(self, dotted: str) -> object:
        section, _, name = dotted.partition(".")
        return self._values.get(section, {}).get(name)


def _fields() -> dict[str, Any]:
    """`section.name` -> its type, for every setting that exists."""
    return {
        f"{section.name}.{field.name}": field.type
        for section in msgspec.structs.fields(Settings)
        for field in msgspec.structs.fields(section.type)
    }


_FIELDS = _fields()


def _type_of(dotted: str, source: str) -> Any:
    if dotted not in _FIELDS:
        raise SettingsError(f"{dotted}: there is no such setting{_nearest(dotted)} (from {source})")
    return _FIELDS[dotted]


def _got(value: object) -> str:
    """The value, where it is a number; a text may be a password and is not repeated."""
    return f", got {value}" if re.fullmatch(r"-?\d{1,20}", str(value)) else ""


def _nearest(dotted: str) -> str:
    close = get_close_matches(dotted, _FIELDS, n=1)
    return f"; is it {close[0]}?" if close else ""
