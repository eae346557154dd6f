"""The IR as data is the IR: what is written and read again is equal, and compiles to the same bytes."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest

from specgen.backends.onnx import emit as emit_onnx
from specgen.backends.pytorch import emit as emit_pytorch
from specgen.frontend.load import load_program
from specgen.ir import model as ir
from specgen.ir.document import UnreadableProgram, classes, read_document, write_document
from tests.cli.running import specgen_here

ROOT = Path(__file__).resolve().parents[2]
SPECS = sorted((ROOT / "specs").glob("*.dsv3"))


def again(program: ir.Program) -> Any:
    return read_document(json.loads(json.dumps(write_document(program))))


def every_record(value: object) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        yield value
        for field in fields(value):
            if field.init:
                yield from every_record(getattr(value, field.name))
    elif isinstance(value, tuple):
        for item in value:
            yield from every_record(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from every_record(item)


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_what_is_read_is_what_was_written(path: Path) -> None:
    program = load_program(path)
    found = again(program)
    assert found == program
    assert found.hash == program.hash
    # Equality passes over descriptions and kinds of names: all fields are there nevertheless.
    pairs = zip(every_record(found), every_record(program), strict=True)
    assert all(repr(one) == repr(other) for one, other in pairs)


def test_it_compiles_to_the_same_bytes() -> None:
    program = load_program(ROOT / "specs" / "deepseek_v3.dsv3", "v2_lite_16b")
    found = again(program)
    assert emit_pytorch(found) == emit_pytorch(program)
    assert emit_onnx(found)["model.onnx"] == emit_onnx(program)["model.onnx"]


def test_every_kind_of_record_can_be_written() -> None:
    seen = {type(one).__name__ for path in SPECS for one in every_record(load_program(path))}
    values = {kind.__name__ for kind in ir.Value.__args__ + ir.Statement.__args__}  # type: ignore[attr-defined]
    assert values | {"Module", "Tensor", "Cache", "Param", "Packing"} <= classes().keys()
    assert seen <= classes().keys()


@pytest.mark.parametrize(
    "data",
    [
        {"is": "Program"},
        {"is": "Sym", "name": "dim", "colour": "red"},
        {"is": "mapping"},
        {"is": "real", "value": "1"},
        {"is": "list"},
        {"name": "dim"},
    ],
)
def test_what_is_no_program_is_refused(data: object) -> None:
    with pytest.raises(UnreadableProgram):
        read_document(data)


def test_the_command_prints_both(tmp_path: Path) -> None:
    done = specgen_here("ir", "llama@llama3_8b", "--format", "json", cwd=tmp_path)
    assert done.status == 0
    program = load_program(ROOT / "specs" / "llama.dsv3", "llama3_8b")
    assert read_document(json.loads(done.out)) == program
    text = specgen_here("ir", "llama@llama3_8b", cwd=tmp_path)
    assert "%wq(" in text.out
