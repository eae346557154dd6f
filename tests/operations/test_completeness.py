"""Each op of the IR in every layer at once: what one layer lacks fails here, by the op's name.

The ops are the registry's, which `verify` holds every program to; there is no list beside it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest

from specgen.backends.onnx import ops as onnx_ops
from specgen.backends.onnx.build import build
from specgen.backends.onnx.levels import LEVELS
from specgen.backends.onnx.lowering import OnnxCall
from specgen.backends.onnx.nodes import Edge
from specgen.backends.onnx.options import Options
from specgen.backends.pytorch import emit
from specgen.backends.pytorch import ops as torch_ops
from specgen.backends.pytorch.layout import Atom
from specgen.expr.node import FUNCTIONS, Operator
from specgen.frontend.load import load_program
from specgen.ir import interpret
from specgen.ir import numpy as numpy_ops
from specgen.ir.model import Op, Program
from specgen.ir.verify import InternalFault
from specgen.ir.visit import walk
from specgen.ops.record import OpRecord
from specgen.ops.registry import FILES, OPERATORS, OPS, complete, fault
from tests.operations.entries import ENTRIES, table
from tests.references import REPOSITORY

#: What knows ops, each with a table of functions in files of the same names.
LAYERS: Mapping[str, ModuleType] = {"numpy": numpy_ops, "PyTorch": torch_ops, "ONNX": onnx_ops}


def tried(op: str, folder: Path) -> Program:
    """A table that uses the op."""
    path = folder / f"{op}.dsv3"
    path.write_text(table(op, ENTRIES[op][:1]))
    return load_program(path)


def uses(program: Program, op: str) -> list[Op]:
    bodies = (f.body for f in (*program.model.forwards, *program.functions.values()))
    found = (value for body in bodies for value in walk(body) if isinstance(value, Op))
    return [value for value in found if value.name == op]


@pytest.mark.parametrize("op", OPS)
def test_op_is_in_every_layer(op: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = OPS[op]
    assert record.name == op
    assert record.meaning
    for layer in LAYERS.values():
        takes_the_attributes(layer.FUNCTIONS[op], record)

    assert op in ENTRIES, "a case in tests/operations/entries.py"
    program = tried(op, tmp_path)
    assert uses(program, op), "typing gives another op"
    assert not any(map(fault, uses(program, op)))

    assert evaluated(program), "numpy"

    language = (REPOSITORY / "docs" / "language.md").read_text(encoding="utf-8")
    written = record.written.replace("|", "\\|")
    assert f"\n| `{written}` | " in language, "docs/generate.py"

    for level in LEVELS:
        lowered(op, program, level, monkeypatch)
    with monkeypatch.context() as patched:
        patched.setitem(torch_ops.FUNCTIONS, op, lambda *_, **__: Atom("written_here"))
        text = emit(program)["model.py"]
        assert b"written_here" in text, "model.py is written by another function"


def takes_the_attributes(function: Callable[..., Any], record: OpRecord[Any]) -> None:
    """That a function takes the attributes of the record by name, each annotated with its type."""
    parameters = inspect.signature(function).parameters.values()
    names = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    hints = get_type_hints(function)
    assert {name: hints[name] for name in names} == {a.name: a.kind for a in record.attributes}


def evaluated(program: Program) -> bool:
    """Whether the interpreter gives numbers, as many as the table says."""
    tokens = np.array([[1, 2, 3, 4, 5], [5, 4, 3, 2, 1]])
    given = {"tokens": tokens, "mask": np.ones((2, 5), np.bool_)}
    instance = interpret.EvaluatedInstance(
        program, program.model, program.values, np.random.default_rng(0)
    )
    forward = program.model.forward
    assert forward is not None
    axes = {"B": 2, "S": 5, "T": 5}
    (found,) = instance.call(forward, [given[arg.name] for arg in forward.args], axes)
    body = interpret.NumpyInterpreter(instance, instance.environment(axes), axes)
    assert np.shape(found) == tuple(map(body.size, forward.results[0].shape))
    return bool(np.isfinite(found).all())


def lowered(op: str, program: Program, level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """That the op's own function gives values of the dtypes of the op's types."""
    calls: list[OnnxCall] = []
    function = onnx_ops.FUNCTIONS[op]

    def noted(call: OnnxCall, **attributes: Any) -> Any:
        calls.append(call)
        results = function(call, **attributes)
        edges = results if isinstance(results, tuple) else (results,)
        assert all(isinstance(edge, Edge) for edge in edges)
        assert [edge.dtype for edge in edges] == list(call.dtypes)
        return results

    with monkeypatch.context() as patched:
        patched.setitem(onnx_ops.FUNCTIONS, op, noted)
        assert build(program, Options(ops=level))
    assert calls, f"no node at level {level}"


@pytest.mark.parametrize("layer", LAYERS)
def test_layer_has_the_ops_in_files_of_the_same_names(layer: str) -> None:
    for file in FILES:
        stem = file.__name__.rpartition(".")[2]
        home = getattr(LAYERS[layer], stem)
        assert home.__name__.endswith(f".{stem}")
        assert set(home.FUNCTIONS) == {record.name for record in records(file)}, stem


def records(file: ModuleType) -> list[OpRecord[Any]]:
    one = getattr(file, "CONSTANT", None)
    return [*file.CALLED, *getattr(file, "OPERATORS", {}).values(), *([one] if one else [])]


def test_every_record_is_registered() -> None:
    assert {record.name for file in FILES for record in records(file)} == OPS.keys()
    assert set(ENTRIES) == OPS.keys()


def test_every_operator_of_an_expression_is_an_op() -> None:
    """Those of compile-time numbers stand for ops where an operand is a tensor."""
    assert OPERATORS.keys() == {*get_args(Operator)} - FUNCTIONS.keys() - {"cond", "list"}


@pytest.mark.parametrize("layer", LAYERS)
def test_layer_that_lacks_an_op_is_a_fault_of_specgen(layer: str) -> None:
    """At import, and not at a user's."""
    whole = LAYERS[layer].FUNCTIONS
    assert complete(layer, whole) == whole
    for op in OPS:
        lacking = {name: function for name, function in whole.items() if name != op}
        with pytest.raises(InternalFault, match=rf"{layer} .* {op}$"):
            complete(layer, lacking)
    with pytest.raises(InternalFault, match="cube"):
        complete(layer, whole, {"cube": whole["neg"]})
    with pytest.raises(InternalFault, match="neg"):
        complete(layer, whole, {"neg": whole["neg"]})
