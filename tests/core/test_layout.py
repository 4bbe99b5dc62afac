"""core/ reads from top to bottom (STYLE 2): the lists in its packages are whole, and imports only go up."""

from __future__ import annotations

import ast
import re
from pathlib import Path

CORE = Path(__file__).parents[2] / "core"
FOLDERS = sorted(init.parent for init in CORE.glob("*/__init__.py"))
LISTED = re.compile(r"^    ([a-z]+(?:/[a-z]*)?) +(?:to ([a-z/]+)[:,])?", re.MULTILINE)


def listed(folder: Path) -> list[tuple[str, str]]:
    """(first, last): what a package's docstring lists, in its order; last is empty where it is one entry."""
    docstring = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8")), clean=False) or ""
    return LISTED.findall(docstring)


def of_folder(folder: Path) -> list[str]:
    """A folder's modules in reading order, as `folder/module`."""
    return [f"{folder.name}/{name}" for name, _ in listed(folder)]


def reading_order() -> list[str]:
    """All modules of core/."""
    order: list[str] = []
    for first, last in listed(CORE):
        name, _, member = first.partition("/")
        if not (CORE / name).is_dir():
            order.append(name)
            continue
        inside = of_folder(CORE / name)
        if member:
            start = inside.index(first)
            order += inside[start : inside.index(last or first) + 1]
        else:
            order += [each for each in inside if each not in order]
    return order


def modules(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*.py") if path.name != "__init__.py"]


def imported(path: Path) -> set[str]:
    """The modules of core/ that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "core":
            inside = "/".join(node.module.split(".")[1:])
            for alias in node.names:
                whole = f"{inside}/{alias.name}" if inside else alias.name
                found.add(whole if (CORE / f"{whole}.py").exists() else inside)
    return found


def test_the_lists_name_each_module_once() -> None:
    names = [
        str(path.relative_to(CORE).with_suffix(""))
        for path in [path for folder in (CORE, *FOLDERS) for path in modules(folder)]
    ]
    assert sorted(reading_order()) == sorted(names)


def test_a_file_imports_only_files_above_it() -> None:
    order = reading_order()
    below = [
        f"{name} imports {other}"
        for place, name in enumerate(order)
        for other in sorted(imported(CORE / f"{name}.py"))
        if other not in order[:place]
    ]
    assert below == []
