"""Elasticities against differences of the emitted formulas, and steps against re-elaborated tables."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from functools import cache
from pathlib import Path

import pytest

from specgen.analysis.quantities.ledger import ledger
from specgen.documents.formula import write_python
from specgen.expr.node import Apply, Const, Sym
from specgen.frontend.selection import Selection
from specgen.huggingface.select import select
from specgen.questions.compare import complete_variables
from specgen.questions.equations.quotients import read_quotient
from specgen.questions.question import QuestionError
from specgen.questions.sensitivity import Sensitivity, find_elasticity, find_influences
from specgen.questions.session import Session
from tests.cli.running import TINY, specgen_here

V3 = "deepseek_v3@v3_671b"
LLAMA = "llama@llama3_70b"


@cache
def found(spec: str, quantity: str) -> Sensitivity:
    return find_influences(
        Session(select(spec)), quantity, complete_variables({}), Fraction(1, 100)
    )


def test_of_a_polynomial() -> None:
    """5 x**3 + 2 x at 10: (15 x**3 + 2 x) / (5 x**3 + 2 x)."""
    x = Sym("x")
    cube = Apply("*", (Const(5), Apply("**", (x, Const(3)))))
    expr = Apply("+", (cube, Apply("*", (Const(2), x))))
    assert find_elasticity(read_quotient(expr, "x"), Fraction(10)) == Fraction(15_020, 5020)
    assert find_elasticity(read_quotient(Apply("/", (Const(7), x)), "x"), Fraction(3)) == -1
    assert find_elasticity(read_quotient(expr, "x"), Fraction(0)) is None


@pytest.mark.parametrize(
    "quantity",
    [
        "parameters",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("parameters_active", "flops_prefill", "cache_bytes")
        ),
    ],
)
def test_exact_ones_are_derivatives_of_the_emitted_formula(quantity: str) -> None:
    """By central differences of 1e-6, in fractions, of the formula that `formula` prints."""
    spec = select(V3)
    own = ledger(spec.program())
    code = compile(write_python(own, own.quantities[quantity]), "formula", "eval")
    env = {**complete_variables({}), **own.program.values}
    env = {n: Fraction(v) for n, v in env.items() if type(v) is int}
    here = eval(code, {"ceil": math.ceil}, env)
    influences = found(V3, quantity).influences
    assert influences
    for one in influences:
        if one.exact and one.elasticity is not None:
            gap = Fraction(1, 10**6)
            up, down = (
                eval(code, {"ceil": math.ceil}, {**env, one.name: env[one.name] * (1 + d)})
                for d in (gap, -gap)
            )
            assert abs((up - down) / (2 * gap) / here - one.elasticity) < Fraction(1, 10**9)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spec", "quantity"), [(V3, "parameters"), (V3, "stored_bytes"), (LLAMA, "parameters")]
)
def test_steps_are_the_next_tables(spec: str, quantity: str) -> None:
    """At least 1 % away, allowed, none allowed in between; the quantity is that of the table."""
    session = Session(select(spec))
    for one in found(spec, quantity).influences:
        assert one.step is not None
        assert isinstance(one.value, int)
        first = one.value + max(1, math.ceil(one.value / 100))
        assert one.step.to >= first
        for between in range(first, int(one.step.to)):
            assert isinstance(session.build({one.name: between}), str)
        there = session.build({one.name: int(one.step.to)})
        assert not isinstance(there, str)
        assert there.value(quantity) == one.step.quantity


@pytest.mark.slow
def test_sorted_and_complete() -> None:
    for spec, quantity in ((V3, "parameters"), (LLAMA, "parameters")):
        result = found(spec, quantity)
        sizes = [abs(one.elasticity) for one in result.influences if one.elasticity is not None]
        assert sizes == sorted(sizes, reverse=True)
        names = [*(one.name for one in result.influences), *result.without, *result.other]
        assert sorted(names) == sorted(Session(select(spec)).params)


def test_params_that_follow_are_named_and_moved() -> None:
    """With dim moves head_dim: all but the norms are linear or quadratic in dim."""
    by_name = {one.name: one for one in found(LLAMA, "parameters").influences}
    assert by_name["dim"].follow == ("head_dim",)
    # 2 V d + (3 d f + 2 d² + 2 d² / 8 + 2 d) 80 + d
    d, f, v = 8192, 28_672, 128_256
    linear = 2 * v * d + (3 * d * f + 2 * d) * 80 + d
    square = (2 * d * d + 2 * d * d // 8) * 80
    assert by_name["dim"].elasticity == Fraction(linear + 2 * square, linear + square)


def test_a_param_at_zero_has_a_step_and_no_elasticity() -> None:
    """One multi-token-prediction head more: 11,610,068,224 (truth/data/tensors.json.xz)."""
    last = found(V3, "parameters").influences[-1]
    assert (last.name, last.elasticity) == ("n_mtp_layers", None)
    assert last.step is not None
    assert last.step.quantity - 671_026_419_200 == 11_610_068_224


def test_rounding_goes_by_the_step() -> None:
    dim = {one.name: one for one in found(V3, "stored_bytes").influences}["dim"]
    assert not dim.exact
    assert dim.step is not None
    change = Fraction(dim.step.quantity - 673_150_611_808, 673_150_611_808)
    assert dim.elasticity == change / Fraction(int(dim.step.to) - 7168, 7168)


def test_a_quantity_that_is_absent_or_nothing() -> None:
    for quantity, message in (("stored_scales", "stored_scales is 0"), ("nope", "nope")):
        with pytest.raises((QuestionError, KeyError), match=message):
            find_influences(
                Session(select(LLAMA)), quantity, complete_variables({}), Fraction(1, 100)
            )


# ---- the command -----------------------------------------------------------------------


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    (tmp_path / "tiny.dsv3").write_text(TINY)
    return tmp_path


@pytest.mark.parametrize("form", ["text", "md", "csv", "json"])
def test_formats(tiny: Path, form: str) -> None:
    """2 × 32 d + 8 d² n: n has 1024 / 1536."""
    done = specgen_here("sensitivity", "tiny.dsv3", "parameters", "--format", form, cwd=tiny)
    assert (done.status, done.err) == (0, "")
    if form == "json":
        (dim, layers, vocabulary) = json.loads(done.out)["influences"]
        assert (dim["name"], dim["fraction"]) == ("dim", "5/3")
        assert (layers["fraction"], vocabulary["fraction"]) == ("2/3", "1/3")
        assert layers["step"] == {"to": 3, "quantity": 2048, "change": 512}
    else:
        assert "0.666667" in done.out
        assert done.out.index("dim") < done.out.index("n_layers") < done.out.index("vocab_size")


def test_variables_are_influences_too(tiny: Path) -> None:
    done = specgen_here(
        "sensitivity", "tiny.dsv3", "flops_prefill", "-D", "B=3", "--step", "50%",
        "--format", "json", cwd=tiny,
    )  # fmt: skip
    document = json.loads(done.out)
    batch = {one["name"]: one for one in document["influences"]}["B"]
    assert (batch["value"], batch["elasticity"], batch["step"]["to"]) == (3, 1.0, 5)
    assert document["variables"] == {"B": 3, "S": 2048}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("paramters",), "did you mean `parameters`?"),
        (("__import__('os')",), "there is no quantity"),
        (("parameters", "--step", "0%"), "is no step"),
        (("parameters", "--step", "1e400"), "is no step"),
        (("parameters", "--step", "__import__"), "is no step"),
        (("cache_bytes",), "has no value"),
        (("parameters_outside_forward",), "is 0"),
        (("parameters", "-D", "B=0"), "whole number from 1"),
    ],
)
def test_faults(tiny: Path, arguments: tuple[str, ...], message: str) -> None:
    done = specgen_here("sensitivity", "tiny.dsv3", *arguments, cwd=tiny)
    assert done.status == 2
    assert message in done.err


def test_a_real_param(tmp_path: Path) -> None:
    spec = tmp_path / "real.dsv3"
    spec.write_text("""\
language 1
model real {
  params { d : size = 100  ratio : real = 2.5 }
  dtypes { arrays = bf16 }
  tensors { a : [d, ceil(d * ratio)] }
}
""")
    result = find_influences(
        Session(Selection(spec)), "parameters", complete_variables({}), Fraction(1, 10)
    )
    ratio = {one.name: one for one in result.influences}["ratio"]
    assert ratio.step is not None
    assert (ratio.step.to, ratio.step.quantity, ratio.elasticity) == (2.75, 27_500, 1)
