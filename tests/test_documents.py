"""README, ARCHITECTURE and docs/ speak of things that exist, and docs/rejections.md of every reason."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from core.messages.rejections import Rejection
from tests.core.test_rejections import CASES, TRACELESS, Case

ROOT = Path(__file__).parent.parent
MAPPED = ("core", "adapters", "adapters/engine", "adapters/journal", "adapters/postgres")
"""Of which ARCHITECTURE.md names every module; the folders of core/ have lists of their own."""
DOCUMENTS = ("README.md", "ARCHITECTURE.md", "CHANGELOG.md", "docs/rejections.md")
TEXTS = {name: (ROOT / name).read_text(encoding="utf-8") for name in DOCUMENTS}
FOLDERS = "adapters|bench|config|core|docs|feeds|tests"
NAMED = sorted(
    {named for text in TEXTS.values() for named in re.findall(rf"`((?:{FOLDERS})/[\w./]*(?:::[\w.]+)?)[^`]*`", text)}
)
LINKS = [(name, link) for name, text in TEXTS.items() for link in re.findall(r"\]\((?!https?:)([^)#]+)", text)]


def names_in(path: Path) -> set[str]:
    """What a module defines at its top, and `Class.member`."""
    found: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        for name in _defined(node):
            found.add(name)
            if isinstance(node, ast.ClassDef):
                found |= {f"{name}.{member}" for each in node.body for member in _defined(each)}
    return found


def _defined(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


@pytest.mark.parametrize("named", NAMED)
def test_what_a_document_names_exists(named: str) -> None:
    path, _, name = named.partition("::")
    assert (ROOT / path).exists()
    assert not name or name in names_in(ROOT / path)


@pytest.mark.parametrize(("document", "link"), LINKS)
def test_a_link_leads_somewhere(document: str, link: str) -> None:
    assert ((ROOT / document).parent / link).exists()


def test_the_map_shows_every_module_of_the_core_and_the_adapters() -> None:
    modules = [module for folder in MAPPED for module in (ROOT / folder).glob("*.py")]
    shown = [str(module.relative_to(ROOT)) for module in modules if module.name != "__init__.py"]
    assert len(shown) > 30
    assert [path for path in shown if f"`{path}`" not in TEXTS["ARCHITECTURE.md"]] == []


def test_members_named_without_their_file_exist() -> None:
    members = {name for path in ROOT.glob("adapters/**/*.py") for name in names_in(path)}
    named = re.findall(r"`([A-Z]\w+\.\w+)`", TEXTS["ARCHITECTURE.md"])
    assert len(named) > 2
    assert [name for name in named if name not in members] == []


def test_settings_that_are_named_exist() -> None:
    sections: dict[str, str] = {}
    defaults = (ROOT / "config" / "default.toml").read_text(encoding="utf-8")
    for part in re.split(r"^\[", defaults, flags=re.MULTILINE)[1:]:
        section, _, lines = part.partition("]")
        sections[section] = lines
    named = {name for text in TEXTS.values() for name in re.findall(rf"`((?:{'|'.join(sections)})\.[a-z_]+)`", text)}
    assert len(named) > 10
    assert [name for name in named if f"\n{name.partition('.')[2]} " not in sections[name.partition(".")[0]]] == []


def test_the_architecture_can_be_read_in_one_go() -> None:
    assert len(TEXTS["ARCHITECTURE.md"].splitlines()) <= 300


ROWS = [line.strip("|\n").split("|") for line in TEXTS["docs/rejections.md"].splitlines() if re.match(r"\| \d", line)]


def test_every_reason_stands_in_the_order_of_the_enum() -> None:
    assert [(int(row[0]), row[1].strip(" `")) for row in ROWS] == [(each.value, each.name) for each in Rejection]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.reason.name)
def test_a_reasons_fields_are_those_of_the_answer(case: Case) -> None:
    row = ROWS[list(Rejection).index(case.reason)]
    assert set(re.findall(r"`(detail|leg|limit|price|stake_m)`", row[3])) == case.answer.keys() - {"id"}
    assert ("*no trace*" in row[2]) == (case.reason in TRACELESS)
    assert row[4].strip(), "what to do"
