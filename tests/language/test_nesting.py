"""What nests as deep as the language allows is answered by every command, and what is deeper is refused
by every command alike: as it is written (E0113), or written out in params (E0320)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import specgen
from specgen.language.expressions import EXPRESSION_DEPTH
from specgen.language.lexemes import BRACKET_DEPTH
from tests.cli.running import specgen_here
from tests.fuzz.hostile import functions


def table(body: str = "", size: str = "dim", forward: str = "return w(x)", beside: str = "") -> str:
    return (
        "language 1\nmodel m {\n  params { dim : size = 8 }\n"
        f"  {body}\n  tensors {{ w : dim -> {size} }}\n"
        f"  forward(x: [B, S, dim]) -> [B, S, {size}] {{ {forward} }}\n}}\n{beside}\n"
    )


def let(value: str, size: str = "x") -> str:
    return table(f"let {{ x = {value} }}", size)


def in_layers(count: int, row: str) -> str:
    """Modules that have one part each, the next one."""
    take = "forward(x: [B, S, dim]) -> [B, S, dim]"
    inner = "\n".join(
        f"module m{i} {{ params {{ dim : size }} parts {{ {row.format(at=i, next=i + 1)} }} "
        f"{take} {{ return a(x) }} }}"
        for i in range(count)
    )
    last = f"module m{count} {{ params {{ dim : size }} tensors {{ w : dim -> dim }} {take} {{ return w(x) }} }}"
    return table("parts { a : m0 }", forward="return a(w(x))", beside=f"{inner}\n{last}")


#: What nests in operators.
KINDS: Mapping[str, Callable[[int], str]] = {
    "sums": lambda n: let("dim" + " + 1" * n),
    "sums of a size": lambda n: table(size="dim" + " + 1" * n),
    "differences": lambda n: let("1000" + " - 1" * n),
    "products": lambda n: let("dim" + " × 1" * n),
    "powers": lambda n: let("dim ** " + " ** ".join(["1"] * n)),
    "signs": lambda n: let("- " * (n - 1) + "dim", "abs(x)"),
    "nots": lambda n: let("not " * n + "true", "(dim when x else 2)"),
    "ors": lambda n: let("dim > 1" + " or dim > 2" * (n - 1), "(dim when x else 2)"),
    "a condition of a row": lambda n: table(
        f"tensors {{ w.bias : [dim] when dim{' + 1' * (n - 1)} > 3 }}"
    ),
    "a requirement": lambda n: table(f'require {{ dim{" + 1" * (n - 1)} > 0 "more" }}'),
    "cases": lambda n: let("".join(f"{i} when dim == {i + 9} else " for i in range(1, n)) + "dim"),
    "a sum of values": lambda n: table(forward=f"y = x{' + x' * n} return w(y)"),
}

#: What nests in brackets, or in modules.
SHALLOW: Mapping[str, Callable[[int], str]] = {
    "parentheses": lambda n: let("(" * (n - 1) + "dim" + " + 1)" * (n - 1)),
    "functions": lambda n: let("max(1, " * (n - 1) + "dim" + ")" * (n - 1)),
    "calls": lambda n: table(forward="return " + "w(" * (n - 2) + "x" + ")" * (n - 2)),
    "modules": lambda n: in_layers(n // 2 - 2, "a : m{next}"),
    "repeats": lambda n: in_layers(n // 2 - 2, "a[i{at}] : m{next} × 1"),
}

COMMANDS = (
    ["check", "t.dsv3"],
    ["params", "t.dsv3"],
    ["params", "t.dsv3", "--expand"],
    ["formula", "t.dsv3", "parameters"],
    ["ir", "t.dsv3", "--format", "json"],
    ["build", "t.dsv3", "-o", "out", "--force"],
    ["whatif", "t.dsv3", "-D", "dim=6"],
    ["whatif", "t.dsv3", "--sweep", "dim=4:20:2"],
    ["solve", "t.dsv3", "parameters == 64", "--for", "dim"],
    ["sensitivity", "t.dsv3", "parameters"],
    ["diff", "t.dsv3", "t.dsv3"],
)


def check(place: Path, text: str) -> bool:
    """Whether all commands answer; none does where one refuses."""
    (place / "t.dsv3").write_text(text, encoding="utf-8")
    done = {" ".join(words): specgen_here(*words, cwd=place) for words in COMMANDS}
    told = {words: one.err for words, one in done.items() if one.status}
    assert {one.status for one in done.values()} in ({0}, {1}), told
    codes = [{code for code in ("E0113", "E0320") if code in err} for err in told.values()]
    assert all(len(code) == 1 and code == codes[0] for code in codes), told
    return not told


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=1, suppress_health_check=list(HealthCheck), deadline=None)
@given(depth=st.integers(EXPRESSION_DEPTH - 10, EXPRESSION_DEPTH + 1))
@example(depth=EXPRESSION_DEPTH - 1)
@example(depth=EXPRESSION_DEPTH + 2)
def test_every_command_answers_what_nests_deep(
    tmp_path_factory: pytest.TempPathFactory, kind: str, depth: int
) -> None:
    answered = check(tmp_path_factory.mktemp("deep"), KINDS[kind](depth))
    if abs(depth - EXPRESSION_DEPTH) > 1:  # names and numbers count as levels, or do not
        assert answered == (depth < EXPRESSION_DEPTH)


@pytest.mark.slow
@pytest.mark.parametrize("kind", SHALLOW)
def test_every_command_answers_what_nests_in_brackets(kind: str, tmp_path: Path) -> None:
    assert check(tmp_path, SHALLOW[kind](BRACKET_DEPTH - 2))


@pytest.mark.slow
@pytest.mark.parametrize("length", [250, 900, 1500])
def test_every_command_agrees_on_functions_that_call_one_another(
    length: int, tmp_path: Path
) -> None:
    """Counting takes six frames where a check takes one: what was checked is counted all the same."""
    (tmp_path / "t.dsv3").write_text(functions("f{j}(x)", length), encoding="utf-8")
    without_params = ("check", "params", "formula", "ir", "build", "diff")
    asked = [words for words in COMMANDS if words[0] in without_params]
    done = [specgen_here(*words, cwd=tmp_path) for words in asked]
    assert {one.status for one in done} in ({0}, {1}), [one.err for one in done]
    assert all("E0119" in one.err for one in done if one.status)
    assert any(one.status for one in done) == (length > 1000)


def test_python_builds_what_nests_deep(tmp_path: Path) -> None:
    (tmp_path / "t.dsv3").write_text(KINDS["a sum of values"](EXPRESSION_DEPTH - 1))
    built = specgen.load(tmp_path / "t.dsv3").build(tmp_path / "out", targets=["pytorch"])
    compile((built / "model.py").read_text(), "model.py", "exec")
