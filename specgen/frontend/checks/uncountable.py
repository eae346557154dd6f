"""What keeps a table from being counted: every command would refuse it, so that `check` has to say it."""

from __future__ import annotations

from collections.abc import Iterator

from specgen.analysis.quantities.ledger import counted
from specgen.analysis.table.cases import Folder
from specgen.analysis.table.instances import environment, root
from specgen.analysis.table.rows import entries
from specgen.analysis.table.stored import PartialByte, check_bytes, folded, scheme_of
from specgen.expr.evaluate import EvaluationError
from specgen.ir.model import Program, Tensor
from specgen.records import dataclass


@dataclass(frozen=True, slots=True)
class Uncountable:
    """Why, and the row of a module at which it shows, where one row does."""

    reason: str
    module: str = ""
    row: Tensor | None = None


def uncountable(program: Program) -> Iterator[Uncountable]:
    """Every row that no file can hold; or else the first other reason."""
    try:
        rows = partial(program)
        yield from rows
        if not rows:
            counted(program)
    except EvaluationError as error:
        yield Uncountable(str(error))


def partial(program: Program) -> list[Uncountable]:
    """The rows that end within a byte, each once.

    Raises:
        EvaluationError: a size has no value.
    """
    model = root(program)
    table, folder = tuple(entries(model)), Folder(environment(program))
    found: dict[str, Uncountable] = {}
    for scheme in program.model.names or (scheme_of(program),):
        for tensor in folded(model, table, scheme, folder):
            try:
                check_bytes(tensor)
            except PartialByte as error:
                path = tensor.first.path
                place = next(e for e in table if ".".join(e.path) == path)
                module = place.instance.module.name
                found.setdefault(path, Uncountable(str(error), module, place.tensor))
    return list(found.values())
