"""Fetching: only what was pinned gets onto the disk, and every failure is one line."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from adapters.cli import main
from config.settings import load
from feeds import recordings, sdist
from feeds.recordings import DEFAULT, RECORDINGS, Distribution, FetchError, Recording, fetch

if TYPE_CHECKING:
    from collections.abc import Mapping

CONTENT = b'{"op":"mcm"}\n'


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Index:
    """A package index of one distribution, as a folder that pip is pointed to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.filename = "tictacsample-1.0.tar.gz"

    def put(self, files: Mapping[str, bytes | None]) -> Distribution:
        """None: a symbolic link to /etc/passwd."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as tar:
            for path, content in files.items():
                member = tarfile.TarInfo(f"tictacsample-1.0/{path}")
                if content is None:
                    member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
                member.size = len(content or b"")
                tar.addfile(member, io.BytesIO(content or b""))
        (self.folder / self.filename).write_bytes(packed.getvalue())
        return Distribution("tictacsample", self.filename, sha256(packed.getvalue()), "MIT")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
    (folder := tmp_path / "index").mkdir()
    for name, value in {"PIP_FIND_LINKS": str(folder), "PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": "/dev/null"}.items():
        monkeypatch.setenv(name, value)
    return Index(folder)


def catalogue(monkeypatch: pytest.MonkeyPatch, *known: Recording) -> None:
    monkeypatch.setattr(recordings, "RECORDINGS", {recording.name: recording for recording in known})


def test_recordings_are_fetched_once(index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    distribution = index.put({"data/a": CONTENT, "data/b": CONTENT * 2, "setup.py": b"raise SystemExit('was run')"})
    catalogue(
        monkeypatch,
        Recording("a", "", distribution, "data/a", sha256(CONTENT)),
        Recording("b.bz2", "", distribution, "data/b", sha256(CONTENT * 2)),
    )
    folder = tmp_path / "kept"
    assert fetch(["a"], folder) == {"a": folder / "a"}
    assert (folder / "a").read_bytes() == CONTENT
    assert sorted(path.name for path in folder.iterdir()) == ["a", "b.bz2"], "and nothing else, of one download"
    (index.folder / index.filename).unlink()
    assert fetch(["a", "b"], folder) == {"a": folder / "a", "b.bz2": folder / "b.bz2"}


def test_a_recording_that_was_damaged_is_fetched_again(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue(monkeypatch, Recording("a", "", index.put({"a": CONTENT}), "a", sha256(CONTENT)))
    (tmp_path / "a").write_bytes(b"half of it")
    fetch(["a"], tmp_path)
    assert (tmp_path / "a").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("files", "path", "content", "reason"),
    [
        ({"a": CONTENT}, "a", b"other", "a is not what was pinned: sha256 "),
        ({"a": CONTENT}, "b", CONTENT, "tictacsample-1.0.tar.gz has no b"),
        ({"a": None}, "a", CONTENT, "a in tictacsample-1.0.tar.gz is no file"),
    ],
)
def test_what_is_not_as_pinned_never_gets_there(
    index: Index,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    files: Mapping[str, bytes | None],
    path: str,
    content: bytes,
    reason: str,
) -> None:
    catalogue(monkeypatch, Recording("a", "", index.put(files), path, sha256(content)))
    with pytest.raises(FetchError, match=reason):
        fetch(["a"], tmp_path / "kept")
    assert list((tmp_path / "kept").iterdir()) == []


def test_a_distribution_that_is_not_as_pinned_is_not_opened(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pinned = index.put({"a": CONTENT})
    index.put({"a": CONTENT, "more": b""})
    catalogue(monkeypatch, Recording("a", "", pinned, "a", sha256(CONTENT)))
    with pytest.raises(FetchError, match=r"tictacsample-1\.0\.tar\.gz is not what was pinned"):
        fetch(["a"], tmp_path / "kept")


def test_without_an_index_the_command_says_so(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not list(index.folder.iterdir())
    monkeypatch.setenv("TICTAC_INGEST_RECORDINGS", str(tmp_path / "kept"))
    assert main(["recordings"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == (
        "tictac recordings: the package index does not have flumine-3.3.2.tar.gz, or cannot be reached\n"
    )


def test_an_unknown_name_is_answered_with_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recordings", "1.1"]) == 1
    assert "there is no recording 1.1; there are: BASIC-1.132153978, " in capsys.readouterr().err


def test_the_list_names_each_with_its_licence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recordings", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(RECORDINGS)
    assert all(line.endswith(("(flumine, MIT)", "MIT)", "BSD-2-Clause)")) for line in lines)


def test_the_documented_way_is_taken_where_pip_is_built_differently(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a package that needs no build tools from an index: its build is run, so its content is checked before."""
    project = b'[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    backend = (
        b"from pathlib import Path\n"
        b"def prepare_metadata_for_build_wheel(folder, config_settings=None):\n"
        b"    (found := Path(folder, 'tictacsample-1.0.dist-info')).mkdir()\n"
        b"    (found / 'METADATA').write_text('Metadata-Version: 2.1\\nName: tictacsample\\nVersion: 1.0\\n')\n"
        b"    return found.name\n"
        b"def build_wheel(*_): raise NotImplementedError\n"
    )
    files = {"a": CONTENT, "pyproject.toml": project, "backend.py": backend}
    catalogue(monkeypatch, Recording("a", "", index.put(files), "a", sha256(CONTENT)))
    other = tmp_path / "sdist.py"
    other.write_text("import sys; sys.exit(3)")
    monkeypatch.setattr(sdist, "__file__", str(other))
    assert fetch(["a"], tmp_path / "kept")["a"].read_bytes() == CONTENT


def test_the_default_set_is_one_download() -> None:
    assert {RECORDINGS[name].distribution.project for name in DEFAULT} == {"flumine"}
    assert msgspec.structs.asdict(load(environ={}).ingest)["recordings"] == ".tictac/recordings"
