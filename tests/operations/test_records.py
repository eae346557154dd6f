"""The records of ops: their attributes are typed, and a program with others is a fault of specgen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from specgen.expr.node import Const, Expr
from specgen.frontend.load import load_program
from specgen.ir import model as ir
from specgen.ir.verify import InternalFault, verify
from specgen.ops import registry
from specgen.ops.record import Groups, fits
from tests.references import REPOSITORY

X = ir.Var("x", (ir.Type("f32", ()),))


@pytest.mark.parametrize(
    ("name", "attrs", "fault"),
    [
        ("softmax", {"axis": -1}, None),
        ("softmax", {"axis": Const(-1)}, "axis"),
        ("softmax", {"axis": True}, "axis"),
        ("softmax", {}, "attributes"),
        ("softmax", {"axis": -1, "keep": True}, "attributes"),
        ("clamp", {"low": None, "high": Const(1)}, None),
        ("clamp", {"low": 0, "high": Const(1)}, "low"),
        ("split", {"sizes": (Const(1), Const(2)), "axis": -1}, None),
        ("split", {"sizes": (Const(1), 2), "axis": -1}, "sizes"),
        ("split", {"sizes": [Const(1), Const(2)], "axis": -1}, "sizes"),
        ("neg", {"axis": -1}, "attributes"),
        ("cube", {}, "no op"),
    ],
)
def test_an_op_has_the_attributes_of_its_record(
    name: str, attrs: Mapping[str, object], fault: str | None
) -> None:
    found = registry.fault(ir.Op(name, (X,), attrs, X.types))
    assert (found is None) == (fault is None)
    assert fault is None or fault in str(found)


def test_types_of_attributes_are_told_apart() -> None:
    groups = (("b",), (), ("h", "d"))
    assert fits(groups, Groups)
    assert not fits((("b", 1),), Groups)
    assert not fits("bs", Groups)
    assert fits({"h": Const(2)}, Mapping[str, Expr])
    assert not fits({"h": 2}, Mapping[str, Expr])


def test_a_program_with_another_op_is_a_fault_of_specgen() -> None:
    program = load_program(REPOSITORY / "specs" / "llama.dsv3")
    function = program.functions["causal"]
    for op in (ir.Op("cube", (), {}, X.types), ir.Op("softmax", (), {"axis": "x"}, X.types)):
        broken = replace(function, body=(ir.Return((op,)),))
        functions = {**program.functions, "causal": broken}
        with pytest.raises(InternalFault, match=op.name):
            verify(replace(program, functions=functions), registry.fault)
