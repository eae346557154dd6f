"""What a back end is, and which there are: the targets of `build`, by the names of their packages.

A back end is imported when its target is asked for, and only then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Final, Protocol, cast

from specgen.diagnostics.diagnostic import Diagnostics, no_such
from specgen.records import dataclass

if TYPE_CHECKING:
    from specgen.analysis.quantities.ledger import Ledger
    from specgen.backends.content import Content
    from specgen.backends.onnx.options import Options
    from specgen.frontend.opened import Opened
    from specgen.ir.model import Program


class Emit(Protocol):
    """What a back end offers: the files of a program, by name.

    It is given the options where it has any, and the opened table and the program's ledger where
    it asks for them, in this order.
    """

    def __call__(
        self, program: Program, *given: Options | Opened | Ledger
    ) -> Mapping[str, Content]: ...


@dataclass(frozen=True, slots=True)
class Target:
    """A group of files that one back end writes."""

    name: str
    backend: str
    needs_dataflow: bool
    writes: str
    has_options: bool = False
    needs_table: bool = False
    needs_counts: bool = False

    def emit(
        self, program: Program, options: Options, table: Opened, counts: Ledger | None
    ) -> Mapping[str, Content]:
        given: list[Options | Opened | Ledger] = []
        if self.has_options:
            given.append(options)
        if self.needs_table:
            given.append(table)
        if self.needs_counts and counts is not None:
            given.append(counts)
        return cast("Emit", import_module(self.backend).emit)(program, *given)


ONNX: Final = "model.onnx; where it has weights, model.genai.onnx and genai_config.json"

TARGETS: Final[Mapping[str, Target]] = {
    target.name: target
    for target in (
        Target(
            "pytorch",
            "specgen.backends.pytorch",
            True,
            "model.py, checkpoint.py",
            needs_counts=True,
        ),
        Target("onnx", "specgen.backends.onnx", True, ONNX, has_options=True),
        Target(
            "report",
            "specgen.backends.report",
            False,
            "report.md, report.html",
            needs_table=True,
            needs_counts=True,
        ),
        Target("formulas", "specgen.backends.formulas", False, "formulas.json", needs_counts=True),
        Target("checkpoint", "specgen.huggingface", False, "config.json, tensors.json"),
    )
}


def require_targets(names: Sequence[str]) -> None:
    """Refuses names of no target.

    Raises:
        UnknownName: one of them is none.
    """
    for name in names:
        if name not in TARGETS:
            raise no_such("target", name, TARGETS)


def chosen_targets(program: Program, names: Sequence[str] | None) -> tuple[Target, ...]:
    """The targets asked for by name; without names, all that the table has the content for.

    Raises:
        SpecError: a target was asked for that needs a forward, and the table has none.
    """
    if names is None:
        return tuple(t for t in TARGETS.values() if program.has_dataflow or not t.needs_dataflow)
    chosen = tuple(target for target in TARGETS.values() if target.name in names)
    diagnostics = Diagnostics()
    for target in chosen:
        if target.needs_dataflow and not program.has_dataflow:
            diagnostics.report("E0903", None, target=target.name, spec=program.name)
    diagnostics.raise_errors()
    return chosen
