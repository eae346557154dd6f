"""A chain of `else if` costs what its branches cost, however many came before them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from specgen.expr.assumptions import Assumptions
from specgen.expr.node import Expr
from specgen.frontend.load import check_file
from specgen.language.expressions import EXPRESSION_DEPTH
from tests.work import calls

CONDITIONS: dict[str, Callable[[int], str]] = {
    "a number": lambda i: f"k == {i}",
    "less than a number": lambda i: f"k < {i + 1}",
    "one of two numbers": lambda i: f"k == {2 * i} or k == {2 * i + 1}",
    "a remainder": lambda i: f"k % {i + 2} == 0",
    "two params": lambda i: f"k × j == {i}",
    "a list": lambda i: f"contains(list, {i})",
    "a choice": lambda i: f'text == "t{i}"',
    "a flag": lambda i: f"f{i}",
    "an index": lambda i: f"layer == {i}",
}


def table(condition: Callable[[int], str], count: int) -> str:
    chain = " else ".join(f"if {condition(i)} {{ y = x × {i + 2} }}" for i in range(count))
    params = [f"f{i} : flag" for i in range(count)]
    params += ["dim : size", "k : count", "j : count", "list : counts"]
    params.append("text : " + " | ".join(f'"t{i}"' for i in range(count + 1)))
    defaults = {"flag": "false", "size": "4", "count": "1", "counts": "[]"}
    given = [f"{p} = {defaults.get(p.split(' : ')[1], chr(34) + 't0' + chr(34))}" for p in params]
    take = "forward(x: [B, S, dim]) -> [B, S, dim]"
    return (
        f"language 1\nmodule layered {{ params {{ layer : count\n{chr(10).join(params)} }}\n"
        f"tensors {{ a : dim -> dim }} {take} {{ {chain} else {{ y = x }} return y + a(x) }} }}\n"
        f"model m {{ params {{ {chr(10).join(given)} }} parts {{ layers[layer] : layered × 300 }}\n"
        f"{take} {{ return layers(x) }} }}\n"
    )


def work_of_check(kind: str, count: int, folder: Path) -> int:
    file = folder / "t.dsv3"
    file.write_text(table(CONDITIONS[kind], count), encoding="utf-8")
    assert not check_file(file).all  # once before, so that all is imported
    return calls(lambda: check_file(file))


# To count the values of an index takes more: each range of them is looked at under each condition.
@pytest.mark.parametrize("kind", [kind for kind in CONDITIONS if kind != "an index"])
def test_branches_cost_the_same_one_after_the_other(kind: str, tmp_path: Path) -> None:
    few, some, more = (work_of_check(kind, count, tmp_path) for count in (8, 16, 32))
    assert more - some < 2.7 * (some - few), (few, some, more)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["a remainder", "one of two numbers", "a flag", "an index"])
def test_as_many_branches_as_may_be_are_checked(kind: str, tmp_path: Path) -> None:
    assert work_of_check(kind, EXPRESSION_DEPTH - 1, tmp_path) < 20_000_000


@pytest.mark.parametrize("kind", CONDITIONS)
def test_each_condition_is_decided_once(
    kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[Expr] = []
    sides = Assumptions.sides

    def counted(known: Assumptions, condition: Expr) -> tuple[Assumptions | None, ...]:
        asked.append(condition)
        return sides(known, condition)

    monkeypatch.setattr(Assumptions, "sides", counted)
    numbers = []
    for count in (5, 10, 20):
        asked.clear()
        (tmp_path / "t.dsv3").write_text(table(CONDITIONS[kind], count), encoding="utf-8")
        assert not check_file(tmp_path / "t.dsv3").all
        numbers.append(len(asked))
    few, some, more = numbers
    assert more - some == 2 * (some - few)
