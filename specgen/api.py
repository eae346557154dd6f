"""The Python interface: load a table, ask for its counts, closed forms and tensors, build it.

Names here are what other people's programs use: they change only with notice.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from specgen.diagnostics.diagnostic import suggestion
from specgen.frontend.selection import Selection
from specgen.huggingface.select import means_configuration, select
from specgen.records import dataclass

if TYPE_CHECKING:
    import sympy

    from specgen.analysis.quantities.ledger import Ledger
    from specgen.analysis.table.rows import Row
    from specgen.backends.onnx.options import Options
    from specgen.frontend.values import Override
    from specgen.ir.model import ParamValue, Program
    from specgen.notebook import Figure, Table
    from specgen.questions.ask import Values


class Tensor(NamedTuple):
    """One tensor of the checkpoint: `shape` as stored, [out, in] for a map."""

    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Model:
    """One variant of a table, checked; counting is done when it is first asked for."""

    selection: Selection
    program: Program

    def __repr__(self) -> str:
        return f"<specgen.Model {self.program.label}>"

    @cached_property
    def ledger(self) -> Ledger:
        """Everything counted, in closed form and as numbers.

        Raises:
            SpecError: a size has no value for these parameters.
        """
        from specgen.analysis.quantities.ledger import ledger

        return ledger(self.program)

    @property
    def params(self) -> Mapping[str, ParamValue]:
        """The values of the table's parameters."""
        return self.program.values

    @property
    def quantities(self) -> Mapping[str, int]:
        """Every quantity that has a number without choosing B, S and T."""
        found = self.ledger.quantities.values()
        return {q.name: q.value for q in found if q.value is not None}

    @property
    def rows(self) -> tuple[Row, ...]:
        """The table: each row once, with its multiplicity."""
        return self.ledger.rows

    def formula(self, quantity: str) -> sympy.Expr:
        """The closed form in the table's params; B, S and T in quantities that depend on them.

        Raises:
            KeyError: there is no such quantity, or the table has no such quantity's content.
        """
        found = self.quantity(quantity)
        if found.sympy is None:
            raise KeyError(f"{quantity!r} has no value: {found.quantity.absent}")
        return found.sympy

    def quantity(self, name: str) -> Figure:
        """One quantity: value, unit, convention and closed form; a notebook shows the formula.

        Raises:
            KeyError: there is no such quantity.
        """
        from specgen.notebook import Figure

        found = self.ledger.quantities.get(name)
        if found is None:
            close = suggestion(name, self.ledger.quantities)
            raise KeyError(f"no quantity {name!r}" + (f"; {close!r}?" if close else ""))
        return Figure(found, self.ledger)

    def whatif(
        self,
        *,
        sweep: Mapping[str, Values] | None = None,
        where: str | Sequence[str] = (),
        quantities: Sequence[str] | None = None,
        **changes: Override,
    ) -> Table:
        """Other values: every quantity beside this model's, or those of all combinations.

        Keyword arguments set params, and the variables B, S, T, W, G and O of quantities.  `sweep`
        gives names the values to combine, as an iterable or a text (`"1:61:4"`); of these,
        `where` keeps the ones for which a condition holds: `"parameters < 700e9"`.

        Raises:
            ValueError: a name, a range or a condition is at fault.
            SpecError: the table cannot be like that.
        """
        from specgen.notebook import Table
        from specgen.questions import ask as asking

        if not sweep:
            if where:
                raise ValueError("`where` keeps some of many configurations: give `sweep`")
            return Table.of(asking.changed(self.selection, changes, quantities))
        return Table.of(asking.over(self.selection, changes, sweep, where, quantities))

    def solve(
        self,
        question: str,
        unknowns: str | Sequence[str],
        *,
        within: Mapping[str, Values] | None = None,
        **changes: Override,
    ) -> Table:
        """The values for which `"QUANTITY == VALUE"` holds, exactly, or the two nearest ones.

        Several unknowns (`"dim, n_layers"`) are searched as a lattice of the values `within`.

        Raises:
            ValueError: the question, an unknown or its range is at fault.
            SpecError: the table cannot be counted.
        """
        from specgen.notebook import Table
        from specgen.questions import ask as asking

        listed = unknowns.split(",") if isinstance(unknowns, str) else unknowns
        names = [name.strip() for name in listed]
        return Table.of(asking.solved(self.selection, question, names, within or {}, changes))

    def sensitivity(self, quantity: str, *, step: float = 0.01, **changes: Override) -> Table:
        """What each param does to a quantity, the strongest first.

        A step is to the nearest value that the table allows and that is further than this share.

        Raises:
            ValueError: there is no such quantity, or it has no value.
            SpecError: the table cannot be counted.
        """
        from specgen.notebook import Table
        from specgen.questions import ask as asking

        return Table.of(asking.sensitive(self.selection, quantity, changes, step))

    def _repr_html_(self) -> str:
        """What a notebook shows: the table with multiplicities, and the totals."""
        from specgen.documents.params import document
        from specgen.notebook import model_html

        return model_html(document(self.program), self.program.title)

    def tensors(self, names: str = "own") -> list[Tensor]:
        """Every tensor of the checkpoint, one by one, under a naming scheme (`own`, `hf`).

        Raises:
            KeyError: the table has no such naming scheme.
        """
        from specgen.analysis.table.stored import expand, stored
        from specgen.documents.params import schemes

        if names not in schemes(self.program):
            raise KeyError(
                f"no naming scheme {names!r}; there is {', '.join(schemes(self.program))}"
            )
        return [
            Tensor(name, tensor.dims, tensor.dtype)
            for tensor in stored(self.program, names)
            for name, _ in expand(tensor)
        ]

    def build(
        self,
        out: str | os.PathLike[str],
        targets: Sequence[str] | None = None,
        onnx: Options | None = None,
        *,
        force: bool = False,
    ) -> Path:
        """Writes the artefacts below `out` and returns their folder; as `specgen build` does.

        `onnx` are the choices for model.onnx (`specgen.backends.onnx.Options`): without any its
        weights are inputs, with a checkpoint they are in the files there;
        `force` replaces files that were edited since they were built.

        Raises:
            SpecError: the folder cannot be written, or a target needs a forward; or one cannot
                express the table, after the files of the others are written.
            KeyError: there is no such target.
        """
        from specgen.backends.base import TARGETS
        from specgen.backends.onnx.options import DEFAULT
        from specgen.output.build import produce, write

        for target in targets or ():
            if target not in TARGETS:
                raise KeyError(f"no target {target!r}; there is {', '.join(TARGETS)}")
        made = produce(self.selection, targets, onnx or DEFAULT)
        ((folder, _),) = write([made], Path(out), force=force)
        if made.refused:
            from specgen.diagnostics.diagnostic import SpecError

            raise SpecError(made.refused)
        return folder


def load(
    path: str | os.PathLike[str],
    variant: str | None = None,
    **overrides: Override,
) -> Model:
    """One variant of the table in a file, or of a table by its name (`"llama"`).

    A released config.json, or a folder that holds one, means the table, variant and overrides that
    it is imported as.  Keyword arguments override parameters after the variant.

    Raises:
        SpecError: with every fault found, each with code, place and reason.
        ValueError: a variant is asked for of a released configuration.
    """
    text = os.fspath(path)
    if variant is not None and means_configuration(text):
        raise ValueError(f"{text} is one model: it has no variants")
    chosen = select(text, overrides)
    if chosen.stored:
        import warnings

        reason = f"stored otherwise than the table says: {chosen.stored}"
        warnings.warn(f"{text}: what is stored is not counted; it is {reason}", stacklevel=2)
    if variant is not None:
        chosen = replace(chosen, variant=variant)
    return Model(chosen, chosen.program())
