"""Every op and kind of value of the IR, in every layer: typed, interpreted, model.py, model.onnx.

A table is made of each op's entries, so that what a user can write is what is tried.  What the
IR has decides what there must be a case for, and no list beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

import pytest

pytest.importorskip("torch", reason="torch is not installed")


from specgen.frontend.load import load_program
from specgen.ir import model as ir
from tests.agreement import EVERY, Layers, checked, differences
from tests.operations.entries import ENTRIES, Entry, table

KINDS = Path(__file__).parent / "kinds.dsv3"

#: Of one table: more terms in the length of its result nest too deep.
MANY = 90

#: What onnxruntime has no kernel for, though ONNX has the operator: op, and dtype.
UNRUN = {("erf", "f64")}


def groups(op: str) -> Iterator[Sequence[Entry]]:
    unrun = [dtype for name, dtype in UNRUN if name == op]
    entries = [e for e in ENTRIES[op] if not any(dtype in e.expression for dtype in unrun)]
    for start in range(0, len(entries), MANY):
        yield entries[start : start + MANY]


def found(value: object) -> Iterator[Any]:
    """Every node of a value, a body or a program."""
    yield value
    if isinstance(value, tuple):
        for inner in value:
            yield from found(inner)
    elif hasattr(value, "__dataclass_fields__"):
        for name in value.__dataclass_fields__:
            inner = getattr(value, name)
            yield from found(tuple(inner.values()) if isinstance(inner, dict) else inner)


def test_entries_are_of_the_op_that_they_stand_for(tmp_path: Path) -> None:
    path = tmp_path / "t.dsv3"
    for op, entries in ENTRIES.items():
        for entry in (entries[0], entries[-1]):
            path.write_text(table(op, [entry]))
            program = load_program(path)
            assert op in {node.name for node in found(program) if isinstance(node, ir.Op)}


def test_every_kind_of_value_occurs() -> None:
    program = checked(KINDS)
    kinds = {type(node) for node in found(program)}
    wanted = {*get_args(ir.Value), *get_args(ir.Statement)}
    assert wanted <= kinds | {ir.Branch}, wanted - kinds


def test_one_entry_of_each_op_agrees(tmp_path: Path) -> None:
    path = tmp_path / "all.dsv3"
    path.write_text(table("all", [entries[0] for entries in ENTRIES.values()]))
    layers = Layers(checked(path), tmp_path)
    assert list(differences(layers, 9, EVERY[:1])) == []


@pytest.mark.slow
@pytest.mark.parametrize("op", ENTRIES)
def test_op_agrees_in_every_layer(op: str, tmp_path: Path) -> None:
    for number, entries in enumerate(groups(op)):
        path = tmp_path / f"{number}.dsv3"
        path.write_text(table(op, entries))
        layers = Layers(checked(path), tmp_path / str(number))
        assert list(differences(layers, 9)) == []


@pytest.mark.slow
def test_kinds_agree_in_every_layer(tmp_path: Path) -> None:
    layers = Layers(checked(KINDS), tmp_path)
    assert list(differences(layers, 9)) == []
