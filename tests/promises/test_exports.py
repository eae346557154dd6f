"""Every formula, in every notation, is read back and gives the same numbers at 100 points."""

from __future__ import annotations

import ast
import json
import keyword
import math
import random
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from specgen.analysis.quantities.ledger import Quantity
from specgen.analysis.quantities.terms import evaluated
from specgen.analysis.quantities.variables import VARIABLES
from specgen.diagnostics.diagnostic import Diagnostics
from specgen.diagnostics.source import Source
from specgen.documents.formula import (
    JAVASCRIPT_WORDS,
    write_javascript,
    write_json,
    write_latex,
    write_python,
    write_text,
)
from specgen.expr.evaluate import Value, evaluate
from specgen.expr.node import Sym
from specgen.frontend.selection import Selection
from specgen.language.parser import parse_expression
from specgen.questions.session import Session
from tests.analysis.released import SPECS
from tests.promises import latex
from tests.promises.configurations import Structure, structure, structures

pytestmark = pytest.mark.slow

POINTS = 100

#: What shipped tables' totals do not have: roundings, extremes, choices, powers, reserved words.
AWKWARD = """\
language 1
model awkward {
  params {
    class    : size  = 6
    new      : size  = 4
    n_layers : size  = 9
    every    : size  = 3
    B2       : count = 3
    wide     : flag  = true
    form     : "a_1" | "b" = "a_1"
    sizes    : counts = [1, 2, 4]
  }
  let {
    half   = class / 2
    factor = (2 when wide else 1) + (3 when form == "a_1" else 4) + (5 when not wide and form != "b" else 6)
    listed = length(sizes) + (1 when contains(sizes, new) else 9) + (1 when contains([3, 6], class) else 2)
  }
  require { class % 2 == 0 "even" }
  dtypes { arrays = f32 }
  parts { layers[layer] : block × n_layers }
  tensors {
    a : [half × new, ceil(new ** 2 / 3)]
    b : [max(class, new) - min(class, new) + 1]
    c : [(7 when B2 > 2 and class < 9 else 5)]
    e : [factor, listed]
    d : [floor(class * new / 5) + 1, (1 when class == new or class > 4 × new else new)]
  }
  module block {
    params { layer : count }
    tensors {
      wide   : [class, new]    when layer % every == 0
      narrow : [class]         when layer % every != 0
    }
  }
}
"""

Point = dict[str, Value]


def points(found: Structure, seed: str) -> list[Point]:
    """Random configurations of a structure, and values for what else formulas speak of."""
    draw = random.Random(seed)
    chosen = []
    for sizes in found.drawn(draw, POINTS):
        values: dict[str, Value] = dict(sizes)
        for param in found.program.model.params:
            if param.kind in ("flag", "choice"):  # where nothing was decided by it
                other = {param.name: draw.choice(param.choices or (True, False))}
                values |= other if found.holds({**values, **other}) else {}
        variables = {name: draw.randint(1, 40) for name in VARIABLES}
        chosen.append({**found.environment(values), **variables})
    return chosen


@pytest.fixture(scope="module", params=["deepseek_v3", "gemma2", "gpt_oss", "awkward"])
def table(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Structure, Selection, list[Point]]:
    if request.param == "awkward":
        path = tmp_path_factory.mktemp("specs") / "awkward.dsv3"
        path.write_text(AWKWARD, encoding="utf-8")
        selection = Selection(path)
        found = structure(selection.program())
    else:
        (found,) = structures(request.param, 1)
        selection = Selection(SPECS / f"{request.param}.dsv3", found.program.variant)
    return found, selection, points(found, request.param)


Table = tuple[Structure, Selection, list[Point]]


def formulas(found: Structure) -> dict[str, Quantity]:
    named = {n: q for n, q in found.found.quantities.items() if q.expr is not None}
    assert len(named) in (8, 23), list(named)
    return named


def params(found: Structure, point: Point) -> Point:
    """The point without lets: what exports to other languages may speak of."""
    return {n: v for n, v in point.items() if n in found.program.values or n in VARIABLES}


def hold(table: Table, read: Callable[[Quantity], Callable[[Point], Value]]) -> None:
    """That what is read of each formula has its values at all points."""
    found, _, chosen = table
    for name, quantity in formulas(found).items():
        formula = read(quantity)
        for point in chosen:
            assert formula(point) == evaluated(quantity, point), name


def test_text_is_read_by_the_parser_of_tables(table: Table) -> None:
    found, selection, _ = table
    session = Session(selection)

    def parsed(text: str) -> Any:
        faults = Diagnostics()
        node = parse_expression(Source("formula", text), None, faults)
        faults.raise_errors()
        scope = replace(session.scope, diagnostics=faults, existence={})
        return scope.child(Sym(name, "axis") for name in VARIABLES).resolve(node)

    def read(quantity: Quantity) -> Callable[[Point], Value]:
        head, *sections = write_text(found.found, quantity).split("\n\n")
        expr = parsed(head.partition(" = ")[2].partition("\n")[0])
        lets = {}
        for section in sections:
            title, *lines = section.splitlines()
            if title == "where":
                lets = {
                    n: parsed(t) for n, _, t in (line.strip().partition(" = ") for line in lines)
                }

        def value(point: Point) -> Value:
            env = params(found, point)
            for name, definition in lets.items():
                env[name] = evaluate(definition, env)
            return evaluate(expr, env)

        return value

    hold(table, read)


def arithmetic(text: str) -> Callable[[Point], Value]:
    """Python code, after a look that it is arithmetic and nothing else; exact in fractions."""
    allowed = (
        ast.Expression, ast.BinOp, ast.UnaryOp, ast.Constant, ast.Name, ast.Load, ast.Call,
        ast.operator, ast.unaryop, ast.IfExp, ast.Compare, ast.cmpop, ast.BoolOp, ast.boolop,
        ast.List,
    )  # fmt: skip
    tree = ast.parse(text.strip(), mode="eval")
    for node in ast.walk(tree):
        assert isinstance(node, allowed), ast.dump(node)
    code = compile(tree, "formula", "eval")
    functions = {
        "ceil": math.ceil, "floor": math.floor, "min": min, "max": max, "len": len,
        "length": len, "contains": lambda members, element: element in members,
    }  # fmt: skip

    def value(point: Point) -> Value:
        exact = {
            f"{n}_" if keyword.iskeyword(n) else n: Fraction(v) if type(v) is int else v
            for n, v in point.items()
        }
        return eval(code, {"__builtins__": {}}, {**functions, **exact})

    return value


def test_python_is_python(table: Table) -> None:
    found = table[0]

    def read(quantity: Quantity) -> Callable[[Point], Value]:
        lines = write_python(found.found, quantity).splitlines()
        formula = arithmetic("\n".join(line for line in lines if not line.startswith("#")))
        return lambda point: formula(params(found, point))

    hold(table, read)


def test_json_has_the_formula_in_params(table: Table) -> None:
    found = table[0]
    reserved = re.compile(rf"\b({'|'.join(n for n in keyword.kwlist if n in 'class lambda')})\b")

    def read(quantity: Quantity) -> Callable[[Point], Value]:
        document = json.loads(write_json(found.found, quantity))
        formula = arithmetic(reserved.sub(r"\1_", document["formula"]))
        return lambda point: formula(params(found, point))

    hold(table, read)


def test_latex_is_read_back(table: Table) -> None:
    pytest.importorskip("sympy", reason="sympy is not installed")
    found = table[0]

    def read(quantity: Quantity) -> Callable[[Point], Value]:
        expr = latex.read(write_latex(found.found, quantity))
        return lambda point: evaluate(expr, params(found, point))

    hold(table, read)


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_javascript_is_javascript(table: Table, tmp_path: Path) -> None:
    """All formulas at all points in one run of node; no value here is beyond 2^53."""
    found, _, chosen = table
    named = formulas(found)

    def renamed(point: Mapping[str, Value]) -> dict[str, Value]:
        return {f"{n}_" if n in JAVASCRIPT_WORDS else n: v for n, v in point.items()}

    given = [renamed(params(found, point)) for point in chosen]
    codes = {name: write_javascript(found.found, quantity) for name, quantity in named.items()}
    script = tmp_path / "formulas.js"
    script.write_text(
        f"const points = {json.dumps(given)};\nconst codes = {json.dumps(codes)};\n"
        "const results = {};\n"
        "for (const [name, code] of Object.entries(codes)) {\n"
        "  const f = new Function(...Object.keys(points[0]), `return (\\n${code});`);\n"
        "  results[name] = points.map(point => f(...Object.values(point)));\n"
        "}\n"
        "console.log(JSON.stringify(results));\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        ["node", str(script)], capture_output=True, text=True, check=True, timeout=60
    )
    results = json.loads(done.stdout)
    for name, quantity in named.items():
        assert results[name] == [evaluated(quantity, point) for point in chosen], name
