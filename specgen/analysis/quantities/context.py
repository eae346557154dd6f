"""What quantities are counted from: the rows of a table, its tensors, and what its forwards do."""

from __future__ import annotations

from collections.abc import Mapping

from specgen.analysis.dataflow.cache_rows import CountedCache, cached
from specgen.analysis.dataflow.costs import Choice, choices
from specgen.analysis.dataflow.products import Product, Walked, walked
from specgen.analysis.dataflow.reach import Reach, reached
from specgen.analysis.table.cases import Folder
from specgen.analysis.table.instances import Instance, environment, root
from specgen.analysis.table.rows import Row, TableEntry, entries, fold
from specgen.analysis.table.stored import StoredTensor, held, scheme_of
from specgen.expr.node import Expr
from specgen.ir.model import Program
from specgen.records import dataclass


@dataclass(frozen=True)
class CountingContext:
    """A program, taken apart once for all that is counted of it.

    `products` are those of the main forwards, `decode_products` those of the forwards to decode
    with, which hold while the `choices` do.  `limits` keep queries from seeing all tokens.
    """

    program: Program
    model: Instance
    folder: Folder
    table: tuple[TableEntry, ...]
    rows: tuple[Row, ...]
    stored: tuple[StoredTensor, ...]
    places: Mapping[Instance, Reach]
    caches: tuple[CountedCache, ...]
    choices: Mapping[str, Choice]
    products: tuple[Product, ...]
    decode_products: tuple[Product, ...]
    limits: tuple[Expr, ...]

    @property
    def decode_forwards(self) -> Mapping[str, str]:
        return {module: choice.forward for module, choice in self.choices.items()}


def taken_apart(program: Program) -> CountingContext:
    """Raises EvaluationError where a size has no value."""
    model = root(program)
    folder = Folder(environment(program))
    table = tuple(entries(model))
    rows = tuple(row for entry in table for row in fold(entry, folder))
    stored = tuple(held(model, table, scheme_of(program), folder))
    places = {place.instance: place for place in reached(model)}
    caches = tuple(cached(places.values(), folder))
    chosen = choices(model, folder)
    forwards = {module: choice.forward for module, choice in chosen.items()}
    main = decoding = Walked((), ())
    if program.has_dataflow:
        main, decoding = walked(model, {}), walked(model, forwards)
    return CountingContext(
        program,
        model,
        folder,
        table,
        rows,
        stored,
        places,
        caches,
        chosen,
        main.products,
        decoding.products,
        main.limits,
    )
