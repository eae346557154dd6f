"""A class name means one class, wherever one reads it."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "specgen"


@pytest.mark.parametrize("room", ["questions", "expr", "documents", "cli", "api.py", "notebook.py"])
def test_class_names_of_a_room_are_its_own(room: str) -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(path.relative_to(ROOT).as_posix())
    own = {name: found for name, found in places.items() if any(p.startswith(room) for p in found)}
    assert own
    assert {name: found for name, found in own.items() if len(found) > 1} == {}
