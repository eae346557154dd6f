"""Every kind of value and statement is known to whatever goes through a body, whole."""

from __future__ import annotations

import dataclasses
import pkgutil
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest

import specgen
from specgen.analysis.dataflow.stages import Stack, positions
from specgen.analysis.table.instances import root
from specgen.backends.onnx.build import emit
from specgen.backends.pytorch.masks import optional_arguments
from specgen.backends.report.page.flow import flow
from specgen.expr.node import ONE, Expr, Sym
from specgen.frontend.checks.appends import repeated
from specgen.ir import model as ir
from specgen.ir import visit
from specgen.ir.interpret import EvaluatedInstance

VALUES = get_args(ir.Value)
STATEMENTS = get_args(ir.Statement)


def sample(kind: Any) -> Any:
    """One of a kind, each of its fields filled with what is told apart by the field's name."""
    hints = get_type_hints(kind)
    return kind(**{field.name: filled(hints[field.name], field.name) for field in fields(kind)})


def fields(kind: Any) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(kind)


def filled(hint: Any, name: str) -> Any:
    made: list[tuple[Any, Any]] = [
        (ir.Value, ir.Var(name, ())),
        (tuple[ir.Value, ...], (ir.Var(f"{name} 1", ()), ir.Var(f"{name} 2", ()))),
        (tuple[ir.Statement, ...], (ir.Return((ir.Var(name, ()),)),)),
        (tuple[ir.Type, ...], (ir.Type(ir.ACTIVATION, (Sym(f"dim of {name}"),)),)),
        (Expr, Sym(name)),
        (Mapping[str, Expr], {name: Sym(name)}),
        (Mapping[str, object], {name: Sym(name), "several": (Sym(f"{name} 1"), 1)}),
        (tuple[str, ...], (name,)),
        (str, name),
        (bool, True),
    ]
    return next(value for known, value in made if known == hint)


def contents(node: Any, hint: Any) -> list[Any]:
    """What a value or statement has in the fields that are one of a kind, or a tuple of them."""
    hints = get_type_hints(type(node))
    found: list[Any] = []
    for field in fields(type(node)):
        if hints[field.name] == hint:
            found.append(getattr(node, field.name))
        elif hints[field.name] == tuple[hint, ...]:
            found += getattr(node, field.name)
    return found


def symbols_in(held: object) -> set[Sym]:
    """The symbols in the fields of a node, but not in its values and statements."""
    match held:
        case Sym():
            return {held}
        case tuple():
            return set[Sym]().union(*map(symbols_in, held))
        case Mapping():
            return symbols_in(tuple(held.values()))
        case ir.Type():
            return symbols_in(held.shape)
        case _:
            return set()


@pytest.mark.parametrize("kind", VALUES)
def test_children_are_all_fields_that_hold_values(kind: Any) -> None:
    value = sample(kind)
    assert list(visit.children(value)) == contents(value, ir.Value)


@pytest.mark.parametrize("kind", VALUES)
def test_a_value_with_other_children_is_the_same_but_for_them(kind: Any) -> None:
    value = sample(kind)
    others = tuple(ir.Var(f"other {n}", ()) for n in range(len(visit.children(value))))
    changed = visit.with_children(value, others)
    assert visit.children(changed) == others
    assert visit.with_children(changed, visit.children(value)) == value


@pytest.mark.parametrize("kind", STATEMENTS)
def test_values_and_bodies_are_all_fields_of_a_statement_that_hold_some(kind: Any) -> None:
    statement = sample(kind)
    assert list(visit.values(statement)) == contents(statement, ir.Value)
    inside = [one for body in visit.bodies(statement) for one in body]
    assert inside == contents(statement, ir.Statement)
    assert list(visit.statements([statement])) == [statement, *inside]


@pytest.mark.parametrize("kind", [*VALUES, *STATEMENTS])
def test_expressions_are_all_fields_that_hold_one(kind: Any) -> None:
    node = sample(kind)
    body = [node] if kind in STATEMENTS else [ir.Return((node,))]
    held = (getattr(node, field.name) for field in fields(kind))
    assert set(visit.expressions(body)) == set[Sym]().union(*map(symbols_in, held))


@pytest.mark.parametrize("kind", [*VALUES, *STATEMENTS])
def test_rewriting_reaches_every_value_once_operands_first(kind: Any) -> None:
    node = sample(kind)
    body = (node,) if kind in STATEMENTS else (ir.Return((node,)),)
    seen: list[ir.Value] = []

    def noting(value: ir.Value) -> ir.Value:
        seen.append(value)
        return value

    def renaming(value: ir.Value) -> ir.Value:
        return ir.Var(f"new {value.name}", ()) if isinstance(value, ir.Var) else value

    assert visit.rewritten_body(body, noting) == body
    assert seen == list(visit.walk(body, operands_first=True))
    before, after = (
        [value.name for value in visit.walk(some) if isinstance(value, ir.Var)]
        for some in (body, visit.rewritten_body(body, renaming))
    )
    assert after == [f"new {name}" for name in before]


def functions() -> list[ir.Function]:
    program = specgen.load("deepseek_v3", "v2_lite_16b").program
    modules = program.modules.values()
    own = (function for m in modules for function in (*m.forwards, *m.functions))
    return [*own, *program.functions.values()]


def test_both_orders_have_the_same_values_before_and_behind_their_operands() -> None:
    for function in functions():
        outer_first = [id(value) for value in visit.walk(function.body)]
        operands_first = [id(value) for value in visit.walk(function.body, operands_first=True)]
        assert Counter(outer_first) == Counter(operands_first)
        for value in visit.walk(function.body):
            for inner in visit.children(value):
                assert outer_first.index(id(value)) < outer_first.index(id(inner))
                assert operands_first.index(id(value)) > operands_first.index(id(inner))


def test_a_rule_that_changes_nothing_gives_the_same_function() -> None:
    assert functions()
    for function in functions():
        assert visit.rewritten(function, lambda value: value) == function


# ---- interpreters ----------------------------------------------------------------------

#: The method of an interpreter for each kind.
METHODS = {
    kind: {"return": "ret"}.get(name, name)
    for kind in (*VALUES, *STATEMENTS)
    for name in [re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind.__name__).lower()]
}


def interpreters() -> list[type[visit.Interpreter[Any]]]:
    """Those in specgen, but for what `visit` itself makes for others."""
    for module in pkgutil.walk_packages(specgen.__path__, "specgen."):
        # What is taken into model.py interprets nothing, and needs torch.
        if not (module.name.endswith("__main__") or ".pytorch.runtime." in module.name):
            import_module(module.name)
    return [kind for kind in below(visit.Interpreter) if kind.__module__ != visit.__name__]


def below(kind: type[visit.Interpreter[Any]]) -> Iterator[type[visit.Interpreter[Any]]]:
    for one in kind.__subclasses__():
        if one.__module__.startswith("specgen."):
            yield one
            yield from below(one)


def test_every_kind_reaches_the_method_of_its_name() -> None:
    seen: list[tuple[str, object]] = []
    noting = {
        name: lambda self, node, name=name: seen.append((name, node)) for name in METHODS.values()
    }
    kind = type("Recording", (visit.Interpreter,), noting)
    for node in map(sample, VALUES):
        kind().value(node)
    for node in map(sample, STATEMENTS):
        kind().run([node])
    assert [(name, type(node)) for name, node in seen] == [
        (name, kind) for kind, name in METHODS.items()
    ]


def test_every_interpreter_handles_every_kind() -> None:
    found = interpreters()
    assert found
    for kind in found:
        missing = {name for name in METHODS.values() if not hasattr(kind, name)}
        assert not missing | kind.__abstractmethods__, kind


def test_a_choice_is_a_branch_whose_sides_return() -> None:
    class Taking(visit.Deciding[str]):
        """Takes the side that the condition names."""

        def holds(self, condition: Expr) -> bool:
            return condition == Sym("yes")

        def var(self, value: ir.Var) -> str:
            return value.name

        def ret(self, statement: ir.Return) -> str:
            return self.value(*statement.values)

    Taking.__abstractmethods__ = frozenset()
    for name, side in (("yes", "then"), ("no", "otherwise")):
        choice = ir.Choose(Sym(name), ir.Var("then", ()), ir.Var("otherwise", ()), ())
        assert Taking().value(choice) == side


# ---- depth -----------------------------------------------------------------------------

#: Modules in modules, and in the innermost an expression of as many levels as a table may have.
INSIDE, LEVELS = 20, 195

DEEP = """language 1
model deep {{
  params {{ dim : size = 4  vocab : size = 5 }}
  dtypes {{ maps = f32  arrays = f32  activations = f32 }}
  parts {{ inner : m0 }}
  tensors {{ embed : [vocab, dim] }}
  forward(tokens: i64 [B, S]) -> [B, S, dim] {{ return inner(take(embed, tokens)) }}
  {modules}
  module m{inside} {{
    tensors {{ up : dim -> dim }}
    forward(x: [..., dim]) -> [..., dim] {{ return up(x){terms} }}
  }}
}}
"""
AROUND = """module m{n} {{
    parts {{ inner : m{inner} }}
    forward(x: [..., dim]) -> [..., dim] {{ return silu(inner(x)) }}
  }}
"""


def test_every_domain_takes_expressions_as_deep_as_a_table_may_have(tmp_path: Path) -> None:
    path = tmp_path / "deep.dsv3"
    modules = "  ".join(AROUND.format(n=n, inner=n + 1) for n in range(INSIDE))
    terms = " + x" * LEVELS
    path.write_text(DEEP.format(modules=modules, inside=INSIDE, terms=terms), "utf-8")
    found = specgen.load(path)
    assert found.quantities["parameters"] == 5 * 4 + 4 * 4
    assert found.ledger.quantities["activation_peak_bytes"].expr is not None
    below = Stack(("inner",) * (INSIDE + 1) + ("nowhere",), "i", ONE)
    assert positions(root(found.program), below).read[(*below.path[:-1], "up")] == {"first"}
    assert list(repeated(found.program)) == []
    assert optional_arguments(found.program) == frozenset()
    assert set(flow(found.program.modules[f"m{INSIDE}"]).order) == {"up"}
    assert emit(found.program)["model.onnx"]
    numbers = np.random.default_rng(0)
    instance = EvaluatedInstance(found.program, found.program.model, found.params, numbers)
    forward = found.program.model.forward
    assert forward is not None
    (result,) = instance.call(forward, [np.zeros((1, 2), np.int64)], {})
    assert result.shape == (1, 2, 4)
