"""A body whose rows depend on an index is right when it is right for each value of the index.

The truth is a walk of the same body for one value after the other, with nothing symbolic in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from specgen.diagnostics.diagnostic import SpecError
from specgen.frontend.load import check_file, load_program

N_LAYERS = 5
#: Beyond these nothing that is drawn here tells one layer from another that is among them.
LAYERS = range(24)

CONDITIONS = {
    "layer % 2 == 0": lambda n: n % 2 == 0,
    "layer % 2 != 0": lambda n: n % 2 != 0,
    "layer % 3 == 1": lambda n: n % 3 == 1,
    "layer == 1": lambda n: n == 1,
    "layer != 1": lambda n: n != 1,
    "layer < 2": lambda n: n < 2,
    "layer >= 2": lambda n: n >= 2,
    "contains([0, 3], layer)": lambda n: n in (0, 3),
    "layer % 2 == 0 and layer < 3": lambda n: n % 2 == 0 and n < 3,
}
OPPOSITE = {
    "layer % 2 == 0": "layer % 2 != 0",
    "layer == 1": "layer != 1",
    "layer < 2": "layer >= 2",
}


def holds(condition: str, layer: int) -> bool:
    if condition.startswith("not ("):
        return not holds(condition[5:-1], layer)
    return CONDITIONS[condition](layer)


@dataclass(frozen=True)
class Row:
    """One row of a name: a map, or a part with one, from a width to another."""

    into: int
    out: int
    condition: str | None


@dataclass(frozen=True)
class Use:
    name: str


@dataclass(frozen=True)
class Fork:
    condition: str
    then: tuple[Use | Fork, ...]
    otherwise: tuple[Use | Fork, ...]


Body = Sequence[Use | Fork]


@dataclass(frozen=True)
class Table:
    rows: dict[str, tuple[Row, ...]]
    part: bool
    body: tuple[Use | Fork, ...]

    def text(self) -> str:
        rows, modules = [], []
        for name, alternatives in self.rows.items():
            for number, row in enumerate(alternatives):
                when = f"    when {row.condition}" if row.condition else ""
                if self.part:
                    kind = f"{name}_{number}"
                    rows.append(f"{name} : {kind}{when}")
                    modules.append(
                        f"  module {kind} {{ tensors {{ w : {row.into} -> {row.out} }}  forward"
                        f"(x: [B, S, {row.into}]) -> [B, S, {row.out}] {{ return w(x) }} }}\n"
                    )
                else:
                    rows.append(f"{name} : {row.into} -> {row.out}{when}")
        lines: list[str] = []
        last = written(self.body, "x", lines, "      ", [0])
        section = "parts" if self.part else "tensors"
        return (
            "language 1\n"
            'model by_index "rows by the index of a layer" {\n'
            f"  params {{ vocab_size : size = 7  n_layers : size = {N_LAYERS} }}\n"
            "  dtypes { maps = f32  arrays = f32  activations = f32  caches = f32 }\n"
            "  parts { layers[layer] : block × n_layers }\n"
            "  tensors { embed : [vocab_size, 4]  head : 4 -> vocab_size }\n"
            "  forward(tokens: i64 [B, S]) -> [B, S, vocab_size] {\n"
            "    return head(layers(take(embed, tokens)))\n"
            "  }\n"
            "  module block {\n"
            "    params { layer : count }\n"
            f"    {section} {{\n      " + "\n      ".join(rows) + "\n    }\n"
            "    forward(x: [B, S, 4]) -> [B, S, 4] {\n"
            + "\n".join(lines)
            + f"\n      return x + sum({last}, over = -1, keep = true)\n"
            "    }\n  }\n" + "".join(modules) + "}\n"
        )

    def fits(self, layer: int) -> bool:
        return self.width(self.body, 4, layer) is not None

    def width(self, body: Body, width: int, layer: int) -> int | None:
        found: int | None = width
        for step in body:
            if found is None:
                return None
            if isinstance(step, Fork):
                side = step.then if holds(step.condition, layer) else step.otherwise
                found = self.width(side, found, layer)
                continue
            here = [r for r in self.rows[step.name] if not r.condition or holds(r.condition, layer)]
            found = here[0].out if here and here[0].into == found else None
        return found


def written(body: Body, source: str, lines: list[str], indent: str, count: list[int]) -> str:
    """The statements of a body that begins with a value; the name of what it ends with."""
    for step in body:
        count[0] += 1
        name = f"y{count[0]}"
        if isinstance(step, Use):
            lines.append(f"{indent}{name} = {step.name}({source})")
        else:
            lines.append(f"{indent}if {step.condition} {{")
            for position, side in enumerate((step.then, step.otherwise)):
                if position:
                    lines.append(f"{indent}}} else {{")
                last = written(side, source, lines, indent + "  ", count)
                lines.append(f"{indent}  {name} = 1 * {last}")
            lines.append(f"{indent}}}")
        source = name
    return source


WIDTHS = st.sampled_from([4, 4, 4, 6])


@st.composite
def alternatives(draw: st.DrawFn) -> tuple[Row, ...]:
    match draw(st.integers(0, 3)):
        case 0:
            return (Row(draw(WIDTHS), draw(WIDTHS), None),)
        case 1:
            return (Row(draw(WIDTHS), draw(WIDTHS), draw(st.sampled_from(sorted(CONDITIONS)))),)
        case _:
            condition = draw(st.sampled_from(sorted(CONDITIONS)))
            other = OPPOSITE.get(condition, f"not ({condition})")
            pair = [Row(draw(WIDTHS), draw(WIDTHS), c) for c in (condition, other)]
            return tuple(draw(st.permutations(pair)))


def bodies(names: Sequence[str], depth: int) -> st.SearchStrategy[tuple[Use | Fork, ...]]:
    use = st.sampled_from(names).map(Use)
    if depth == 0:
        return st.lists(use, min_size=1, max_size=2).map(tuple)
    inner = bodies(names, depth - 1)
    fork = st.builds(Fork, st.sampled_from(sorted(CONDITIONS)), inner, inner)
    return st.lists(st.one_of(use, fork), min_size=1, max_size=3).map(tuple)


@st.composite
def tables(draw: st.DrawFn) -> Table:
    body = draw(bodies(["u", "v"], 2))
    named = [name for name in ("u", "v") if name in repr(body)]
    return Table({name: draw(alternatives()) for name in named}, draw(st.booleans()), body)


def fitting() -> st.SearchStrategy[Table]:
    """Tables that are right in every layer; one that is not gets rows that fit everywhere.

    Repaired and not filtered: most bodies of several rows do not fit.
    """

    def repaired(table: Table) -> Table:
        if all(table.fits(layer) for layer in (*LAYERS, *range(N_LAYERS))):
            return table
        rows = {
            name: tuple(replace(row, into=4, out=4) for row in alternatives)
            if len(alternatives) > 1
            else (Row(4, 4, None),)
            for name, alternatives in table.rows.items()
        }
        return replace(table, rows=rows)

    return tables().map(repaired)


def loads(path: Path) -> bool:
    try:
        load_program(path)
    except SpecError as error:
        return {fault.code for fault in error.diagnostics} == {"E0512"}
    return True


def hold(table: Table, folder: Path) -> None:
    path = folder / "t.dsv3"
    path.write_text(table.text(), encoding="utf-8")
    # A row that is in no layer read is another fault, and no fault of the body.
    errors = [fault for fault in check_file(path).errors if fault.code != "E0512"]
    if all(table.fits(layer) for layer in LAYERS):
        assert not errors, f"{table.text()}\n{[e.message for e in errors]}"
        assert loads(path), table.text()
    elif not all(table.fits(layer) for layer in range(N_LAYERS)):
        assert errors, table.text()
        assert not loads(path)


QUIET = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@settings(QUIET, max_examples=20)
@given(table=tables())
def test_right_for_each_value_is_right(tmp_path: Path, table: Table) -> None:
    hold(table, tmp_path)


@pytest.mark.slow
@settings(QUIET, max_examples=600)
@given(table=tables())
def test_right_for_each_value_is_right_more(tmp_path: Path, table: Table) -> None:
    hold(table, tmp_path)
