"""What does not occur for the values of a variant is decided: elsewhere other formulas hold."""

import pytest

from specgen.analysis.quantities.ledger import Ledger, evaluated, ledger
from specgen.expr.evaluate import evaluate
from specgen.expr.printing import TABLE, to_text
from specgen.huggingface.select import select
from specgen.resources import folder


def counted(**overrides: int) -> Ledger:
    return ledger(select(str(folder("specs") / "deepseek_v3.dsv3"), overrides).program())


@pytest.mark.parametrize(
    ("value", "condition"),
    [(0, "n_dense_layers <= 0"), (61, "n_layers <= n_dense_layers")],
)
def test_layers_of_one_kind_decide_that_there_are_no_others(value: int, condition: str) -> None:
    """Without dense layers the formulas have no term for them: with three, they do not hold."""
    uniform, mixed = counted(n_dense_layers=value), counted()
    assert condition in [to_text(decided, TABLE) for decided in uniform.decided]
    assert evaluated(uniform.quantities["parameters"], mixed.values) != mixed.value("parameters")
    holds = [evaluate(decided, mixed.values) for decided in uniform.decided]
    assert not all(holds)


@pytest.mark.slow
def test_a_ledger_decides_only_what_holds() -> None:
    for found in (counted(), counted(n_dense_layers=0), counted(n_dense_layers=61)):
        assert all(evaluate(decided, found.values) is True for decided in found.decided)


def test_a_mixture_of_kinds_decides_nothing_of_them() -> None:
    assert not any("n_dense_layers" in to_text(c, TABLE) for c in counted().decided)
