"""Recordings of real markets, fetched on demand out of the source distributions of three open-source packages.

They are those packages' test data: fetched by whoever wants them, never shipped with tictac. The content of each
distribution and each file is pinned, so what is played next year is what was tested today. The index is the one that
pip is configured for.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from feeds import sdist

if TYPE_CHECKING:
    from config.settings import Settings

_TIMEOUT_S = 300
_FILE_BYTES_MAX = 32 << 20


class FetchError(Exception):
    """A recording that cannot be had; the message says why."""


class Distribution(Struct, frozen=True):
    """A source distribution on the package index."""

    project: str
    filename: str
    sha256: str
    license: str


class Recording(Struct, frozen=True):
    """One file of a distribution."""

    name: str
    about: str
    distribution: Distribution
    path: str
    """Within the distribution's folder."""
    sha256: str


_FLUMINE = Distribution(
    "flumine", "flumine-3.3.2.tar.gz", "9fc64f726c70ab0cd79d22123070ee62e0b4a3d74b01b5c3067d4b3758cfb540", "MIT"
)
_PARSER = Distribution(
    "betfair_parser",
    "betfair_parser-0.20.0.tar.gz",
    "bac5a97679a5c143a1410af93e0dffc090d714b4ae675a5db82ae3b30fa0a639",
    "BSD-2-Clause",
)
_LIGHTWEIGHT = Distribution(
    "betfairlightweight",
    "betfairlightweight-2.24.0.tar.gz",
    "ce4238d25628db34380cc45598c0b5091efe4e29084875803d9489d4879d00df",
    "MIT",
)
_ALL = (
    Recording(
        "BASIC-1.132153978",
        "a horse race, last traded prices only; 480 lines",
        _FLUMINE,
        "tests/resources/BASIC-1.132153978",
        "88a4485a4d33c704b0e189b7cf4e75dbaef39de315dc4194c24ef8f600d72f7d",
    ),
    Recording(
        "1.197931750",
        "a greyhound race, to win; the last 5 minutes, 166 lines",
        _FLUMINE,
        "tests/resources/1.197931750",
        "5832bf5f0bb6e3459339a5836213b6373a19215f1d8df2b61d1e9fb26b911f14",
    ),
    Recording(
        "1.197931751",
        "the same greyhounds, to be placed; two winners",
        _FLUMINE,
        "tests/resources/1.197931751",
        "54691954fc863b958899c1b3442666421e2b63ca6558d90adb3ef699bf35f898",
    ),
    Recording(
        "PRO-1.170258213",
        "a horse race of 17, full depth, one day; 22 367 lines",
        _FLUMINE,
        "tests/resources/PRO-1.170258213",
        "46580b5dd1a68cd60b96b6b61dad8a783c2c2e6f37650d08565aaae311874c48",
    ),
    Recording(
        "SELF-1.181223994",
        "a horse race of 10, to win, with in-play; 44 687 lines",
        _FLUMINE,
        "tests/resources/SELF-1.181223994",
        "246ba7026bcf7f3f13f2623818d8cf97e3d574f8b3590a860899531d0b7ba76e",
    ),
    Recording(
        "SELF-1.181223995",
        "the same race, to be placed; three winners, 21 922 lines",
        _FLUMINE,
        "tests/resources/SELF-1.181223995",
        "93126c3a9e45e43730a35d3b4cf9b25e3e5b727791b24dab5934c7184b66f7f3",
    ),
    Recording(
        "1.200806927",
        "a cricket match, six days and mostly in-play; 18 529 lines",
        _FLUMINE,
        "tests/resources/1.200806927",
        "be96a0d491b6c5f7cdf1383c6001272dcf2f90a3d97d3c97f0193fbd6dc23dd5",
    ),
    Recording(
        "1.127236622.bz2",
        "a horse race of 13, full depth, four days; 16 096 lines",
        _PARSER,
        "tests/resources/data/1.127236622.bz2",
        "2ba538a438ac72632dfeffc4e4b4324c68f2ee1584d01c7228b4408b0615fbec",
    ),
    Recording(
        "1.185781277.bz2",
        "a horse race, the best few prices as well, removed runners; 7 600 lines",
        _PARSER,
        "tests/resources/data/1.185781277.bz2",
        "df1372165d2e1d8f0da09264b5e125798b0e2467a0557b24023f995291e08212",
    ),
    Recording(
        "1.205822330.bz2",
        "horses to be placed, three winners, removed runners; 5 654 lines",
        _PARSER,
        "tests/resources/data/1.205822330.bz2",
        "494b5ea605c121aee32e4723e23391e0f8888fe03146fe0ef4b427e053e1406c",
    ),
    Recording(
        "1.242971311.bz2",
        "200 football markets in one stream, not to their end; first line 608 kB",
        _PARSER,
        "tests/resources/data/1.242971311.bz2",
        "d613cea26194e9441c257bea2a516de708d54d6233cb979470c3b8fee383a6fc",
    ),
    Recording(
        "27312315.bz2",
        "one event of 7 markets over seven months; 50 854 lines, 104 MB",
        _PARSER,
        "tests/resources/data/27312315.bz2",
        "b1008f59cd0872e56cb9554da651cfebf95ea7eea68d595ce49fbf63d164a1d3",
    ),
    Recording(
        "BASIC-1.132153978-processed.json",
        "not a recording: 480 books that another library made of BASIC-1.132153978",
        _LIGHTWEIGHT,
        "tests/resources/historicaldata/BASIC-1.132153978-processed.json",
        "dc4a6e49935848f8109fb47a49883390a5b5a9539654f1c4878e67c14fcdcff5",
    ),
)
RECORDINGS: Mapping[str, Recording] = {recording.name: recording for recording in _ALL}
DEFAULT = (
    "BASIC-1.132153978",
    "1.197931750",
    "1.197931751",
    "PRO-1.170258213",
    "SELF-1.181223994",
    "SELF-1.181223995",
    "1.200806927",
)
"""One download of 3.3 MB: races to win and to place, removed runners, in-play; all of them to their end."""


def fetch(names: Iterable[str], folder: Path) -> dict[str, Path]:
    """The recordings' files, fetched where they are not there yet. Blocks; raises FetchError."""
    wanted = [_named(name) for name in names]
    folder.mkdir(parents=True, exist_ok=True)
    for distribution in dict.fromkeys(recording.distribution for recording in wanted if not _there(recording, folder)):
        _unpack(distribution, folder)
    return {recording.name: folder / recording.name for recording in wanted}


def _named(name: str) -> Recording:
    recording = RECORDINGS.get(name) or RECORDINGS.get(f"{name}.bz2")
    if recording is None:
        raise FetchError(f"there is no recording {name}; there are: {', '.join(RECORDINGS)}")
    return recording


def _there(recording: Recording, folder: Path) -> bool:
    path = folder / recording.name
    return path.is_file() and _sha256(path) == recording.sha256


def _unpack(distribution: Distribution, folder: Path) -> None:
    """Take all that we know out of a distribution; by name and by content, so that nothing else gets onto the disk."""
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        archive = Path(temporary) / distribution.filename
        _download(distribution, archive)
        with tarfile.open(archive) as tar:
            for recording in RECORDINGS.values():
                if recording.distribution == distribution:
                    _extract(tar, recording, folder, Path(temporary))


def _extract(tar: tarfile.TarFile, recording: Recording, folder: Path, temporary: Path) -> None:
    top = recording.distribution.filename.removesuffix(".tar.gz")
    try:
        member = tar.getmember(f"{top}/{recording.path}")
    except KeyError as error:
        raise FetchError(f"{recording.distribution.filename} has no {recording.path}") from error
    file = tar.extractfile(member) if member.isreg() and member.size <= _FILE_BYTES_MAX else None
    if file is None:
        raise FetchError(f"{recording.path} in {recording.distribution.filename} is no file, or too large")
    part = temporary / recording.name
    part.write_bytes(file.read())
    _check(part, recording.sha256)
    part.replace(folder / recording.name)


def _download(distribution: Distribution, target: Path) -> None:
    program = [sys.executable, "-I", sdist.__file__, distribution.project, distribution.filename, str(target)]
    ended = _run(program, distribution)
    if ended.returncode == sdist.NOT_THIS_PIP:
        ended = _run(_pip_download(distribution, target), distribution)
    if ended.returncode == sdist.NOT_THERE:
        raise FetchError(f"the package index does not have {distribution.filename}, or cannot be reached")
    if ended.returncode or not target.is_file():
        words = ended.stderr.strip().splitlines()
        raise FetchError(f"cannot fetch {distribution.filename}: {words[-1] if words else 'pip failed without a word'}")
    _check(target, distribution.sha256)


def _pip_download(distribution: Distribution, target: Path) -> list[str]:
    """The documented way. It runs the package's build, so the content is checked before that."""
    version = distribution.filename.removesuffix(".tar.gz").removeprefix(f"{distribution.project}-")
    pinned = target.with_name("pinned.txt")
    pinned.write_text(f"{distribution.project}=={version} --hash=sha256:{distribution.sha256}\n")
    words = ["--quiet", "--no-deps", "--no-binary", ":all:", "--require-hashes", "--dest", str(target.parent)]
    return [sys.executable, "-m", "pip", "download", *words, "--requirement", str(pinned)]


def _run(program: list[str], distribution: Distribution) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(  # noqa: S603  (our own program, with names of ours)
            program, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise FetchError(f"{distribution.filename} did not come within {_TIMEOUT_S} s") from error


def _check(path: Path, sha256: str) -> None:
    found = _sha256(path)
    if found != sha256:
        raise FetchError(f"{path.name} is not what was pinned: sha256 {found}, expected {sha256}")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """`tictac recordings`."""
    command = commands.add_parser("recordings", help="fetch recordings of real markets", description=__doc__)
    command.add_argument("names", nargs="*", metavar="NAME", help=f"default: {' '.join(DEFAULT)}")
    command.add_argument("--list", action="store_true", help="say which there are, and fetch nothing")
    command.add_argument("--all", action="store_true", help="fetch all of them")
    command.set_defaults(run=run)


def run(args: argparse.Namespace, settings: Settings) -> int:
    """One line a recording; exit status 1 and the reason when one cannot be had."""
    folder = Path(settings.ingest.recordings)
    if args.list:
        for recording in RECORDINGS.values():
            here = "here" if _there(recording, folder) else "-"
            origin = f"{recording.distribution.project}, {recording.distribution.license}"
            sys.stdout.write(f"{recording.name:33} {here:5} {recording.about} ({origin})\n")
        return 0
    try:
        for name, path in fetch(RECORDINGS if args.all else args.names or DEFAULT, folder).items():
            sys.stdout.write(f"{path}  ({RECORDINGS[name].distribution.license})\n")
    except (FetchError, OSError) as error:
        sys.stderr.write(f"tictac recordings: {error}\n")
        return 1
    return 0
