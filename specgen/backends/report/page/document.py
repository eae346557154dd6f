"""The data of the page: params, structures, rows, formulas and words, as plain JSON values.

Every expression is a number of `Nodes`; nothing here is quoted yet, and nothing is markup.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Any

from specgen.analysis.quantities.ledger import Ledger, Quantity
from specgen.analysis.quantities.variables import defaults
from specgen.analysis.table.instances import descend, root
from specgen.analysis.table.rows import Row, pattern
from specgen.backends.report.outline import outline
from specgen.backends.report.page.nodes import Nodes, Pool
from specgen.backends.report.page.signature import ends, lengths_of
from specgen.backends.report.page.structures import structures
from specgen.backends.report.page.tree import TreePlace, tree
from specgen.backends.report.page.words import WORDS
from specgen.backends.report.sections import Line, Section, filed
from specgen.backends.report.words import LANGUAGES
from specgen.expr.evaluate import MAX_EXPONENT, MAX_MAGNITUDE, describe, expression
from specgen.expr.node import Expr, symbols
from specgen.frontend.opened import Opened
from specgen.frontend.values import MAX_SIZE, Override
from specgen.ir.model import Param
from specgen.records import dataclass


@dataclass
class Writing:
    """What the structures share: expressions, rows, places and sections, each once."""

    nodes: Nodes = field(default_factory=Nodes)
    pool: Pool = field(default_factory=Pool)

    # ---- structures

    def structure(self, ledger: Ledger) -> dict[str, Any]:
        """One set of formulas, and the conditions under which it is the table's."""
        rows = [self.pool.number(self.row(row)) for row in ledger.rows]
        reports = ledger.program.reports or [outline(ledger, name) for name in LANGUAGES]
        return {
            "decided": [self.nodes.number(condition) for condition in ledger.decided],
            "requires": list(self.requirements(ledger)),
            "quantities": [
                self.pool.number(self.quantity(quantity, ledger))
                for quantity in ledger.quantities.values()
            ],
            "rows": rows,
            "tree": self.place(tree(ledger), rows),
            "reports": {
                report.language: [report.title, self.sections(ledger, filed(ledger, report), rows)]
                for report in reports
            },
        }

    def requirements(self, ledger: Ledger) -> Iterator[list[Any]]:
        """The requirements of the model and of all its parts that do not depend on an index."""
        seen: set[tuple[Expr, str]] = set()
        for instance in descend(root(ledger.program)):
            for demand in instance.module.requires:
                condition = instance.resolve(demand.condition)
                if symbols(condition) <= ledger.values.keys():
                    key = condition, demand.reason
                    if key not in seen and symbols(condition):
                        seen.add(key)
                        yield [self.nodes.number(condition), demand.reason]

    def quantity(self, quantity: Quantity, ledger: Ledger) -> dict[str, Any]:
        found: dict[str, Any] = {"name": quantity.name}
        if quantity.expr is None:
            return {**found, "absent": quantity.absent}
        found["formula"] = self.nodes.number(quantity.expr)
        if quantity.assumptions:
            found["assumes"] = [self.nodes.number(a) for a in quantity.assumptions]
        if not quantity.closed:
            found["counted_for"] = self.pinned(ledger)
        if quantity.variables:
            found["variables"] = list(quantity.variables)
        return found

    def row(self, row: Row) -> dict[str, Any]:
        found: dict[str, Any] = {
            "name": row.name,
            "kind": row.kind,
            "shape": [self.nodes.number(dim) for dim in row.in_out],
            "times": self.nodes.number(row.multiplicity),
            "total": self.nodes.number(row.formula),
            "dtype": row.dtype,
        }
        if row.description is not None:
            found["text"] = row.description
        if row.shared is not None:
            found["shared"] = [row.shared, row.target]
        if row.format is not None:
            found["format"] = row.format
        if row.assumptions:
            found["assumes"] = [self.nodes.number(a) for a in row.assumptions]
        if row.released:
            found["released"] = [[scheme, pattern(name)] for scheme, name in row.released.items()]
        return found

    def pinned(self, ledger: Ledger) -> list[list[int]]:
        """The params with the values that a count without a closed form was made for."""
        params = ledger.program.model.params
        return [[self.name(p.name), self.nodes.number(expression(p.value))] for p in params]

    def name(self, name: str) -> int:
        return self.pool.number(name)

    # ---- picture and sections

    def place(self, place: TreePlace, rows: list[int]) -> int:
        found: dict[str, Any] = {
            "name": place.name,
            "module": place.module,
            "times": self.nodes.number(place.multiplicity),
            "items": [
                ["place", self.place(item, rows)]
                if isinstance(item, TreePlace)
                else ["row", rows[item]]
                for item in place.items
            ],
            "linked": list(place.linked),
        }
        if place.text is not None:
            found["text"] = place.text
        if place.repeated is not None:
            found["repeated"] = self.nodes.number(place.repeated)
        if not place.used:
            found["unused"] = True
        return self.pool.number(found)

    def sections(
        self, ledger: Ledger, found: tuple[Any, tuple[Row, ...]], rows: list[int]
    ) -> list[int]:
        """The sections of a report, the rows that none names in a last one without heading."""
        known = {id(row): number for row, number in zip(ledger.rows, rows, strict=True)}
        sections, rest = found
        numbers = [self.section(section, known) for section in sections]
        if rest:
            lines = [
                ["rows", row.description or row.path, [[known[id(row)], False]]] for row in rest
            ]
            numbers.append(self.pool.number({"lines": lines, "inner": []}))
        return numbers

    def section(self, section: Section, known: Mapping[int, int]) -> int:
        return self.pool.number(
            {
                "heading": section.heading,
                "lines": [self.line(line, known) for line in section.lines],
                "inner": [self.section(inner, known) for inner in section.inner],
            }
        )

    def line(self, line: Line, known: Mapping[int, int]) -> list[Any]:
        label = line.label
        if line.output is not None:
            return ["output", label, [self.nodes.number(dim) for dim in line.output]]
        if line.value is not None:
            return ["value", label, self.nodes.number(line.value)]
        if not line.rows:
            return ["absent", label or line.path]
        return ["rows", label, [[known[id(c.row)], c.again] for c in line.rows]]


def page_document(base: Ledger, table: Opened | None) -> dict[str, Any]:
    """Everything that the page knows.

    Without the opened table it has one structure, and params that follow no others.
    """
    writing = Writing()
    held = [(ledger, writing.structure(ledger)) for ledger in structures(base, table)]
    program = base.program
    settings = table.settings() if table is not None else {}
    own = table.own_values() if table is not None else {}
    return {
        "spec": program.name,
        "title": program.title or program.name,
        "variant": program.variant,
        "overrides": {n: given(v) for n, v in (table.overrides if table else {}).items()},
        "limits": {"size": MAX_SIZE, "exponent": MAX_EXPONENT, "magnitude": str(MAX_MAGNITUDE)},
        "params": [
            {
                **shown(param, [ledger for ledger, _ in held]),
                "set": writing.nodes.number(settings.get(param.name, expression(param.value))),
                **({"own": given(own[param.name])} if param.name in own else {}),
            }
            for param in program.model.params
        ],
        "lets": [
            [let.name, writing.nodes.number(let.expr), let.description or ""]
            for let in program.model.lets
        ],
        "session": program.has_dataflow,
        "ends": ends(base),
        "lengths": lengths_of(base),
        "variables": {n: defaults(program).get(n, 1) for n in variables(base)},
        "structures": [structure for _, structure in held],
        "words": words(base),
        "pool": writing.pool.values,
        "nodes": writing.nodes.written,
    }


def shown(param: Param, held: list[Ledger]) -> dict[str, Any]:
    """A param as its control needs it; a dtype may be any that a structure is counted for."""
    found: dict[str, Any] = {"name": param.name, "kind": param.kind}
    if param.kind == "dtype":
        found["choices"] = list(dict.fromkeys(ledger.values[param.name] for ledger in held))
    elif param.choices:
        found["choices"] = list(param.choices)
    if param.unit is not None:
        found["unit"] = param.unit
    if param.description is not None:
        found["text"] = param.description
    return found


def given(value: Override) -> str:
    if isinstance(value, str):
        return value
    return describe(value if isinstance(value, int | float) else tuple(value))


def variables(ledger: Ledger) -> list[str]:
    """The free variables of all quantities, each once."""
    return list(dict.fromkeys(v for q in ledger.quantities.values() for v in q.variables))


def words(ledger: Ledger) -> dict[str, Any]:
    """The page's own words in each language, with what the report says of quantities."""
    found = {}
    for language, said in LANGUAGES.items():
        quantities = {
            q.name: [
                said.units.get(q.unit, q.unit),
                said.counted(q),
                said.reason(q.absent, ledger.program) if q.absent else None,
            ]
            for q in ledger.quantities.values()
        }
        found[language] = {**WORDS[language], "quantities": quantities}
    return found
