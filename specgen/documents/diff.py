"""What differs between two tables: row by row, adding up exactly to the total difference, and in
every quantity.

Differences are A - B.  Knows rows and quantities, and neither table's dataflow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from specgen.analysis.quantities.functions import FormChange, functions
from specgen.analysis.quantities.ledger import Ledger, ledger
from specgen.analysis.table.rows import Row
from specgen.expr.evaluate import Value, describe, plain
from specgen.expr.node import Expr, Sym, symbols
from specgen.expr.printing import TABLE, to_text
from specgen.ir.model import Program
from specgen.records import dataclass

CONVENTION = "differences are A - B"


@dataclass(frozen=True, slots=True)
class Side:
    """A row of one table: its cases, where conditions on an index give it several shapes."""

    rows: tuple[Row, ...]

    @property
    def path(self) -> str:
        return self.rows[0].path

    @property
    def name(self) -> str:
        return self.rows[0].name

    @property
    def elements(self) -> int:
        return sum(row.elements for row in self.rows)

    @property
    def roles(self) -> frozenset[tuple[str, str]]:
        """What the released checkpoint calls it, in each naming scheme, without indices."""
        return frozenset(
            (scheme, "".join(piece if isinstance(piece, str) else "*" for piece in name))
            for scheme, name in self.rows[0].released.items()
        )


@dataclass(frozen=True, slots=True)
class RowChange:
    """One row that differs; `a` or `b` is None where the row is only in the other table."""

    a: Side | None
    b: Side | None
    reasons: tuple[str, ...]

    @property
    def difference(self) -> int:
        """In parameters, A - B."""
        return (self.a.elements if self.a else 0) - (self.b.elements if self.b else 0)

    @property
    def name(self) -> str:
        """As A calls it, if A has it."""
        side = self.a or self.b
        return side.name if side else ""


@dataclass(frozen=True, slots=True)
class TableDifference:
    """Two tables compared.  `changes` are in table order and sum to the total difference.

    `at` are values for what quantities leave open, such as B sequences of T tokens; `functions`
    the quantities that leave something open and differ.
    """

    a: Ledger
    b: Ledger
    changes: tuple[RowChange, ...]
    same: int
    at: Mapping[str, Value]
    functions: tuple[FormChange, ...]

    @property
    def total(self) -> int:
        return self.a.value("parameters") - self.b.value("parameters")

    @property
    def quantities(self) -> Mapping[str, tuple[int | None, int | None]]:
        """Quantities whose values differ, or that only one table has."""
        found = {}
        for name, quantity in self.a.quantities.items():
            left, right = quantity.value, self.b.quantities[name].value
            if left != right:
                found[name] = (left, right)
        return found


def compare_programs(
    a: Program, b: Program, at: Mapping[str, Value] | None = None
) -> TableDifference:
    """Compares two tables; `at` gives values to what quantities leave open.

    Raises:
        SpecError: one of them cannot be counted.
    """
    left, right = ledger(a), ledger(b)
    pairs = sort_pairs(match_sides(list_sides(left), list_sides(right)))
    changes = tuple(
        RowChange(one, other, reasons)
        for one, other in pairs
        if (reasons := list_reasons(one, other)) or count_elements(one) != count_elements(other)
    )
    given = dict(at or {})
    different = tuple(functions(left, right, given))
    return TableDifference(left, right, changes, len(pairs) - len(changes), given, different)


def count_elements(side: Side | None) -> int:
    return side.elements if side else 0


def list_sides(found: Ledger) -> list[Side]:
    """The rows that count as parameters, cases of one row together."""
    groups: dict[str, list[Row]] = {}
    for row in found.rows:
        if row.counted:
            groups.setdefault(row.path, []).append(row)
    return [Side(tuple(rows)) for rows in groups.values()]


# ---- matching --------------------------------------------------------------------------

Pair = tuple[Side | None, Side | None]


def match_sides(a: list[Side], b: list[Side]) -> list[tuple[int, int, Pair]]:
    """Rows of equal path, else of equal released name, else of equal role, else alone."""
    left = dict(enumerate(a))
    right = dict(enumerate(b))
    found: list[tuple[int, int, Pair]] = []

    def pair(key: Callable[[Side], Iterable[object]]) -> None:
        """Pairs the rows that share a key with exactly one row of the other table."""
        places: dict[object, tuple[list[int], list[int]]] = {}
        for which, rows in enumerate((left, right)):
            for number, side in rows.items():
                for value in key(side):
                    places.setdefault(value, ([], []))[which].append(number)
        for ones, others in places.values():
            for i, j in zip(ones, others, strict=False):
                if len(ones) == len(others) and i in left and j in right:
                    found.append((i, j, (left.pop(i), right.pop(j))))

    pair(lambda side: [side.path])
    pair(lambda side: side.roles)
    pair(lambda side: [(side.path.rpartition(".")[0], sign_side(side))])
    pair(lambda side: [(side.path.partition(".")[0], sign_side(side))])
    found += [(i, -1, (side, None)) for i, side in left.items()]
    found += [(-1, j, (None, side)) for j, side in right.items()]
    return found


def sign_side(side: Side) -> tuple[object, ...]:
    """What a renamed row keeps: its kind, sizes and number."""
    return tuple((row.kind, row.dims, row.instances) for row in side.rows)


def sort_pairs(found: Sequence[tuple[int, int, Pair]]) -> list[Pair]:
    """The pairs in A's order; what only B has stands behind what precedes it in B."""
    after: dict[int, int] = {}
    last = -1
    for i, j, _ in sorted((entry for entry in found if entry[1] >= 0), key=lambda e: e[1]):
        last = i if i >= 0 else last
        after[j] = last
    return [
        pair
        for i, j, pair in sorted(
            found, key=lambda e: (e[0], 0, e[1]) if e[0] >= 0 else (after[e[1]], 1, e[1])
        )
    ]


# ---- reasons ---------------------------------------------------------------------------


def list_reasons(a: Side | None, b: Side | None) -> tuple[str, ...]:
    """Why two rows differ, in words; none where only their names do."""
    if a is None or b is None:
        side = a or b
        where = "A" if a is not None else "B"
        return (f"only in {where}: {state_rows(side.rows)}",) if side else ()
    found: list[str] = []
    for one, other in zip_longest(a.rows, b.rows):
        if one is None or other is None:
            extra = one or other
            found.append(f"only in {'A' if other is None else 'B'}: {state_rows([extra])}")
            continue
        found += list_shape_reasons(one, other)
        if one.instances != other.instances:
            a_count, b_count = (
                (one.multiplicity, one.instances),
                (other.multiplicity, other.instances),
            )
            found.append(f"instances: {compare_forms(a_count, b_count, one.values, other.values)}")
        if one.dtype != other.dtype:
            found.append(f"dtype: {one.dtype} in A, {other.dtype} in B")
    if found and a.path != b.path:
        found.append(f"called {b.name} in B")
    return tuple(found)


def list_shape_reasons(a: Row, b: Row) -> list[str]:
    """Each dim that differs, in the order of the table."""
    if len(a.dims) != len(b.dims) or a.kind != b.kind:
        return [f"shape: {state_rows([a])} in A, {state_rows([b])} in B"]
    if a.dims == b.dims:
        return []
    names = ("in", "out") if a.kind == "map" else tuple(f"dim {i}" for i in range(len(a.dims)))
    pairs = zip(a.in_out, a.in_out_dims, strict=True), zip(b.in_out, b.in_out_dims, strict=True)
    return [
        f"{name}: {compare_forms(one, other, a.values, b.values)}"
        for name, one, other in zip(names, *pairs, strict=True)
        if one[1] != other[1]
    ]


def compare_forms(
    a: tuple[Expr, int],
    b: tuple[Expr, int],
    values: Mapping[str, Value],
    others: Mapping[str, Value],
) -> str:
    """Two sizes, and the names that make the difference where both are written alike."""
    text = f"{write_count(a[1], a[0])} in A, {write_count(b[1], b[0])} in B"
    if a[0] != b[0] or isinstance(a[0], Sym):
        return text
    names = sorted(n for n in symbols(a[0]) if values.get(n) != others.get(n))
    why = [f"{n} is {describe(values.get(n))} in A, {describe(others.get(n))} in B" for n in names]
    return "; ".join([text, *why])


def write_count(value: int, expr: Expr) -> str:
    """A size in numbers and in the table's names."""
    text = to_text(expr, TABLE)
    return text if text == str(value) else f"{value} ({text})"


def state_rows(rows: Iterable[Row]) -> str:
    """Shapes and instances of rows that stand alone."""
    return "; ".join(
        f"[{', '.join(to_text(dim, TABLE) for dim in row.in_out)}]"
        f" = {' × '.join(map(str, row.in_out_dims))},"
        f" instances {write_count(row.instances, row.multiplicity)}"
        for row in rows
    )


# ---- as data ---------------------------------------------------------------------------


def describe_difference(found: TableDifference) -> dict[str, Any]:
    """The comparison as plain data."""
    return {
        "a": {"spec": found.a.program.name, "variant": found.a.program.variant},
        "b": {"spec": found.b.program.name, "variant": found.b.program.variant},
        "convention": CONVENTION,
        "parameters": {
            "a": found.a.value("parameters"),
            "b": found.b.value("parameters"),
            "difference": found.total,
        },
        "rows": [describe_change(change) for change in found.changes],
        "rows_without_difference": found.same,
        "quantities": {
            name: {"a": a, "b": b, "difference": None if a is None or b is None else a - b}
            for name, (a, b) in found.quantities.items()
        },
        "at": {name: plain(value) for name, value in found.at.items()},
        "functions": {change.name: describe_form(change) for change in found.functions},
        "absent": {
            name: {"a": one.absent, "b": found.b.quantities[name].absent}
            for name, one in found.a.quantities.items()
            if one.absent is not None or found.b.quantities[name].absent is not None
        },
    }


def describe_form(change: FormChange) -> dict[str, Any]:
    """Both formulas in the variables alone, and their values for those that are given."""
    return {
        "variables": sorted({*change.a.variables, *change.b.variables}),
        "a": None if change.a.expr is None else to_text(change.a.expr),
        "b": None if change.b.expr is None else to_text(change.b.expr),
        "value": {"a": change.a.value, "b": change.b.value, "difference": change.difference},
    }


def describe_change(change: RowChange) -> dict[str, Any]:
    return {
        "name": change.name,
        "difference": change.difference,
        "reasons": list(change.reasons),
        "a": describe_side(change.a),
        "b": describe_side(change.b),
    }


def describe_side(side: Side | None) -> list[dict[str, Any]] | None:
    if side is None:
        return None
    return [
        {
            "name": row.name,
            "kind": row.kind,
            "in_out": list(row.in_out_dims),
            "in_out_expr": [to_text(dim) for dim in row.in_out],
            "multiplicity": row.instances,
            "multiplicity_expr": to_text(row.multiplicity),
            "dtype": row.dtype,
            "elements": row.elements,
        }
        for row in side.rows
    ]
