"""The Python interface: load a table, ask for its counts, closed forms and tensors, build it.

Names here are what other people's programs use: they change only with notice.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from specgen.frontend.selection import Selection
from specgen.huggingface.select import means_configuration, select
from specgen.records import dataclass

if TYPE_CHECKING:
    import sympy

    from specgen.analysis.quantities.ledger import Ledger
    from specgen.analysis.table.rows import Row
    from specgen.backends.onnx.options import Options
    from specgen.diagnostics.diagnostic import Diagnostic
    from specgen.frontend.values import Override
    from specgen.huggingface.comparing import CheckpointComparison
    from specgen.ir.model import ParamValue, Program
    from specgen.notebook import AnswerTable, HtmlFigure
    from specgen.output.build import Artefacts
    from specgen.questions.ask import Names
    from specgen.questions.points import Values


class ListedTensor(NamedTuple):
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

    def formula(self, quantity: str, **changes: Override) -> sympy.Expr:
        """The closed form in the table's params; B, S and T in quantities that depend on them,
        except those that are given.

        Raises:
            KeyError: there is no such quantity, or the table has no such quantity's content.
            RequestError: a ValueError; a variable has a value that it cannot have.
        """
        found = self.quantity(quantity, **changes)
        if found.sympy is None:
            raise KeyError(f"{quantity!r} has no value: {found.quantity.absent}")
        return found.sympy

    def quantity(self, name: str, **changes: Override) -> HtmlFigure:
        """One quantity: value, unit, convention and closed form; a notebook shows the formula.

        Values of variables (`S=2048`) are put in, and params changed.

        Raises:
            KeyError: there is no such quantity.
            RequestError: a ValueError; a variable has a value that it cannot have.
        """
        from specgen.documents.formula import find_quantity
        from specgen.notebook import HtmlFigure
        from specgen.questions.ask import find_formula

        if not changes:
            return HtmlFigure(find_quantity(self.ledger, name), self.ledger)
        answer = find_formula(self.selection, name, changes)
        return HtmlFigure(answer.quantity, answer.ledger)

    def whatif(
        self,
        *,
        sweep: Mapping[str, Values] | None = None,
        where: Names = (),
        quantities: Names | None = None,
        pareto: Names = (),
        seconds: float | None = None,
        **changes: Override,
    ) -> AnswerTable:
        """Other values: every quantity beside this model's, or those of all combinations.

        Keyword arguments set params, and the variables B, S, T, W, G and O of quantities.  `sweep`
        gives names the values to combine, as an iterable or a text (`"1:61:4"`); of these,
        `where` keeps the ones for which a condition holds: `"parameters < 700e9"`, and `pareto` those
        that no other beats in both of two columns: `"parameters:max,cache_bytes"`.

        Raises:
            RequestError: a ValueError; a name, a range or a condition is at fault.
            SpecError: the table cannot be like that.
        """
        from specgen.notebook import AnswerTable
        from specgen.questions.ask import explore

        swept = tuple((sweep or {}).items())
        return AnswerTable.of(
            explore(
                self.selection, changes, swept, where=where, quantities=quantities, pareto=pareto,
                seconds=seconds,
            )
        )  # fmt: skip

    def solve(
        self,
        question: str,
        unknowns: Names,
        *,
        within: Mapping[str, Values] | None = None,
        limit: int = 10,
        **changes: Override,
    ) -> AnswerTable:
        """The values for which `"QUANTITY == VALUE"` holds, exactly, or the two nearest ones.

        `within` gives an unknown a range (`"1:4096"`) or values to choose among.  Several unknowns
        (`"dim, n_layers"`) are searched as a lattice; `limit` solutions are listed.

        Raises:
            RequestError: a ValueError; the question, an unknown or its range is at fault.
            SpecError: the table cannot be counted.
        """
        from specgen.notebook import AnswerTable
        from specgen.questions.ask import solve

        return AnswerTable.of(
            solve(self.selection, question, unknowns, within or {}, changes, limit)
        )

    def sensitivity(self, quantity: str, *, step: float = 0.01, **changes: Override) -> AnswerTable:
        """What each param does to a quantity, the strongest first.

        A step is to the nearest value that the table allows and that is further than this share.

        Raises:
            RequestError: a ValueError; there is no such quantity, or it has no value.
            SpecError: the table cannot be counted.
        """
        from fractions import Fraction

        from specgen.notebook import AnswerTable
        from specgen.questions.ask import measure_sensitivity

        share = Fraction(str(step))
        return AnswerTable.of(measure_sensitivity(self.selection, quantity, changes, share))

    def ranks(
        self, parallel: str | Mapping[str, int], stages: str | None = None, **changes: Override
    ) -> AnswerTable:
        """What each rank of a layout holds: `"tensor=8,pipeline=4"`, those with most first.

        `stages` are the layers of each stage (`"16,15,15,15"`).

        Raises:
            RequestError: a ValueError; the layout does not fit the table.
            SpecError: the table cannot be counted.
        """
        from specgen.notebook import AnswerTable
        from specgen.questions.ask import divide_among_ranks

        if not isinstance(parallel, str):
            parallel = ",".join(f"{axis}={degree}" for axis, degree in parallel.items())
        return AnswerTable.of(divide_among_ranks(self.selection, parallel, stages, changes))

    def products(self, quantity: str, **changes: Override) -> dict[str, Any]:
        """The matrix products that a quantity of operations counts, one by one; as
        `specgen formula --by-op` has them in JSON.

        Raises:
            RequestError: a ValueError; the quantity counts no operations.
            SpecError: the table cannot be counted.
        """
        from specgen.questions.ask import list_products

        return list_products(self.selection, quantity, changes).document

    def diff(self, other: Model, **changes: Override) -> dict[str, Any]:
        """What differs between this table and another, row by row; as `specgen diff` has it in JSON.

        Raises:
            RequestError: a ValueError; a variable has a value that it cannot have.
            SpecError: one of them cannot be like that.
        """
        from specgen.documents.diff import describe_difference
        from specgen.questions.ask import compare_tables

        return describe_difference(compare_tables(self.selection, other.selection, changes))

    def verify(
        self, path: str | os.PathLike[str], ignore: Sequence[str] = ()
    ) -> CheckpointComparison:
        """A checkpoint, by its headers, or a config.json against the table.

        `ignore` are patterns of names that may be there in excess.  The answer's `differences` are
        none where it fits.

        Raises:
            SpecError: the path cannot be read as any of them.
        """
        from specgen.huggingface.comparing import compare

        return compare(self.selection, Path(path), ignore)

    def document(self, names: str | None = None) -> dict[str, Any]:
        """Rows and quantities as `specgen params` has them in JSON; with `names`, every stored tensor
        under that naming scheme.

        Raises:
            KeyError: the table has no such naming scheme.
            SpecError: the table cannot be counted.
        """
        from specgen.documents.params import describe_program, require_scheme

        require_scheme(self.program, names)
        return describe_program(self.program, names)

    def ir(self) -> dict[str, Any]:
        """The typed program that back ends read, all of it; as `specgen ir` has it in JSON."""
        from specgen.ir.document import write_document

        found: dict[str, Any] = write_document(self.program)
        return found

    def _repr_html_(self) -> str:
        """What a notebook shows: the table with multiplicities, and the totals."""
        from specgen.notebook import model_html

        return model_html(self.document(), self.program.title)

    def tensors(self, names: str = "own") -> list[ListedTensor]:
        """Every tensor of the checkpoint, one by one, under a naming scheme (`own`, `hf`).

        Raises:
            KeyError: the table has no such naming scheme.
        """
        from specgen.analysis.table.stored import expand, stored
        from specgen.documents.params import require_scheme

        require_scheme(self.program, names)
        return [
            ListedTensor(name, tensor.dims, tensor.dtype)
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
        from specgen.output.build import write

        made = self._produce(targets, onnx)
        ((folder, _),) = write([made], Path(out), force=force)
        made.raise_refused()
        return folder

    def check_build(
        self,
        out: str | os.PathLike[str],
        targets: Sequence[str] | None = None,
        onnx: Options | None = None,
    ) -> list[str]:
        """The lines of a diff from what stands below `out` to what `build` would write; none where
        it is current.

        Raises:
            SpecError: a file cannot be read, or a target cannot express the table.
            KeyError: there is no such target.
        """
        from specgen.output.build import differences

        made = self._produce(targets, onnx)
        found = differences([made], Path(out))
        made.raise_refused()
        return found

    def _produce(self, targets: Sequence[str] | None, onnx: Options | None) -> Artefacts:
        from specgen.backends.onnx.options import DEFAULT
        from specgen.output.build import produce

        return produce(self.selection, targets, onnx or DEFAULT)


def check(path: str | os.PathLike[str], **overrides: Override) -> tuple[Diagnostic, ...]:
    """The faults of a table, all of them: every variant, every reachable condition.

    Raises:
        SpecError: there is no such table.
    """
    from specgen.frontend.load import check_selection

    return check_selection(select(os.fspath(path), overrides))


def import_config(
    path: str | os.PathLike[str],
    spec: str | None = None,
    ignore: Sequence[str] = (),
    **overrides: Override,
) -> dict[str, Any]:
    """What a released config.json is: its table, variant and counts, as `specgen import` has it in
    JSON.

    `spec` is the table to read it as, `ignore` are keys that are passed over.

    Raises:
        RequestError: a ValueError; the table is given with a variant.
        SpecError: the file is of no table, or says what its table cannot say.
    """
    from specgen.huggingface.imported import import_configuration

    return import_configuration(os.fspath(path), spec, ignore, overrides)


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
        ValueError: a variant is asked for of a released configuration, or of another variant.
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
        if chosen.variant not in (None, variant):
            raise ValueError(f"{text} names a variant, and it is not {variant}")
        chosen = replace(chosen, variant=variant)
    return Model(chosen, chosen.program())
