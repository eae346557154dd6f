"""The module tree as the page draws it: places in the order in which the forward comes by them.

Parts that repeat stay one place with how often it is there.  Knows rows and instances; how they
look is `picture.js`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from specgen.analysis.quantities.ledger import Ledger
from specgen.analysis.table.cases import Folder, Site
from specgen.analysis.table.instances import Instance, root
from specgen.analysis.table.rows import Row, TableEntry, entries
from specgen.backends.report.page.flow import Flow, flow
from specgen.expr.evaluate import EvaluationError, Value, evaluate
from specgen.expr.node import ZERO, Expr, total
from specgen.records import dataclass

#: The rows of each instance, as numbers in the ledger.
Placed = Mapping[Instance, list[int]]


@dataclass(frozen=True, slots=True)
class TreePlace:
    """A part of the model: its rows (numbers in the ledger) and the places in it, in order.

    `multiplicity` is how often it is there in all, `repeated` how often the table puts it into
    each place around it, if it says `×`.  `used` tells whether the forward around it calls it.
    `linked` tells of each item whether it takes a value from the one before it.
    """

    name: str
    text: str | None
    module: str
    multiplicity: Expr
    repeated: Expr | None
    used: bool
    items: tuple[int | TreePlace, ...]
    linked: tuple[bool, ...]


def tree(ledger: Ledger) -> TreePlace:
    """The model's own place, with all others in it."""
    model = root(ledger.program)
    return Drawing(ledger, placed(ledger, model), Folder(ledger.values)).place(model, used=True)


def placed(ledger: Ledger, model: Instance) -> Placed:
    """Which rows are whose; they stand in the order of the table's entries."""
    found: dict[Instance, list[int]] = {}
    position = 0
    for entry in entries(model):
        while position < len(ledger.rows) and belongs(ledger.rows[position], entry, ledger.values):
            found.setdefault(entry.instance, []).append(position)
            position += 1
    assert position == len(ledger.rows), "every row has its entry"
    return found


def belongs(row: Row, entry: TableEntry, values: Mapping[str, Value]) -> bool:
    """Whether a row is one of an entry's: alternatives of one path exclude each other."""
    if row.path != ".".join(entry.path):
        return False
    at = {index.name: index.values[0].start for index in row.indices}
    try:
        return evaluate(entry.condition, {**values, **at}) is True
    except EvaluationError:
        return False


@dataclass(frozen=True, slots=True)
class Drawing:
    """Places of one ledger."""

    ledger: Ledger
    rows: Placed
    folder: Folder

    def place(self, instance: Instance, used: bool) -> TreePlace:
        order = flow(instance.module)
        found = [(self.name(number, instance), number) for number in self.rows.get(instance, ())]
        items: list[tuple[str, int | TreePlace]] = [*found]
        for child in instance.children:
            name = child.path[-1]
            items.append((name, self.place(child, name in order.order)))
        position = {name: number for number, name in enumerate(order.order)}
        items = [(name, item) for name, item in items if self.occurs(item)]
        items.sort(key=lambda item: position.get(item[0].partition(".")[0], len(position)))
        caller = instance.caller
        return TreePlace(
            caller.name if caller else self.ledger.program.name,
            caller.description if caller else None,
            instance.module.title or instance.module.name,
            self.multiplicity(instance),
            instance.indices[-1][1] if caller and caller.count is not None else None,
            used,
            tuple(item for _, item in items),
            linked([name.partition(".")[0] for name, _ in items], order),
        )

    def name(self, number: int, instance: Instance) -> str:
        """The row's name in its module."""
        path = self.ledger.rows[number].path
        return path.removeprefix(".".join((*instance.path, "")))

    def multiplicity(self, instance: Instance) -> Expr:
        cases = self.folder.fold(Site(instance.indices, instance.condition, ()))
        return total(*(case.multiplicity for case in cases))

    def occurs(self, item: int | TreePlace) -> bool:
        return not isinstance(item, TreePlace) or item.multiplicity != ZERO


def linked(names: list[str], order: Flow) -> tuple[bool, ...]:
    pairs = [before in order.feeds.get(name, ()) for before, name in pairwise(names)]
    return (False, *pairs) if names else ()
