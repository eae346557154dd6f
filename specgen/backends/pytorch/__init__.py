"""The PyTorch back end: model.py, one readable file that stands alone.

Reads the IR; the parts of the file that no table changes stand in templates/model.py.j2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from functools import cached_property
from typing import TYPE_CHECKING, Final

from specgen.backends.layout import template
from specgen.backends.pytorch.classes import ClassWriter
from specgen.backends.pytorch.configuration import ConfigWriter
from specgen.backends.pytorch.constructors import words
from specgen.backends.pytorch.faults import Inexpressible
from specgen.backends.pytorch.functions import function
from specgen.backends.pytorch.masks import Needed
from specgen.backends.pytorch.plan import Plan
from specgen.backends.pytorch.quoting import quote
from specgen.backends.pytorch.released import Released
from specgen.backends.pytorch.root import RootWriter
from specgen.backends.pytorch.scope import Used
from specgen.backends.pytorch.stacks import StackWriter
from specgen.backends.pytorch.values import shape_text
from specgen.backends.refusal import Refusal
from specgen.diagnostics.diagnostic import Diagnostics
from specgen.dtypes import DTYPES
from specgen.ir.model import Program
from specgen.ir.roots import is_language_model
from specgen.records import dataclass

if TYPE_CHECKING:
    from specgen.analysis.quantities.ledger import Ledger


#: Models with more parameters than this are best made without memory, which a checkpoint fills.
LARGE: Final = 10**9


def emit(program: Program, counts: Ledger | None = None) -> Mapping[str, bytes]:
    """model.py, the same bytes for the same program; `counts` are its own, if they are known.

    Raises:
        SpecError: the table has no forward.
        Refusal: it has one that the file cannot express.
    """
    diagnostics = Diagnostics()
    if not program.has_dataflow:
        diagnostics.report("E0903", None, target="pytorch", spec=program.name)
        diagnostics.raise_errors()
    try:
        try:
            text = File(program, counts=counts).text()
        except Needed:
            text = File(program, counts=counts, masked=True).text()
        return {"model.py": text.encode()}
    except Inexpressible as error:
        raise Refusal("pytorch", error, error.site) from None


@dataclass
class File:
    """The blocks of one model.py, and what they turn out to need."""

    program: Program
    used: Used = field(default_factory=Used)
    masked: bool = False
    counts: Ledger | None = None

    def __post_init__(self) -> None:
        self.plan = Plan(self.program, self.masked)

    @cached_property
    def classes(self) -> list[list[str]]:
        """Children before parents, the model last."""
        plan = self.plan
        constructors: dict[str, Sequence[str]] = {}
        blocks = []
        for module in plan.reachable:
            writers: list[ClassWriter] = []
            if module.id == self.program.root:
                writers.append(RootWriter(plan, module, constructors, used=self.fresh()))
            else:
                if plan.is_single(module):
                    writers.append(ClassWriter(plan, module, constructors, used=self.fresh()))
                if plan.has_stack(module):
                    writers.append(StackWriter(plan, module, constructors, used=self.fresh()))
            for writer in writers:
                blocks.append(writer.write())
                constructors[writer.name] = writer.constructor_names()
        return blocks

    def fresh(self) -> Used:
        """Attributes are a class's own; functions and helpers are the file's."""
        return Used({}, self.used.functions, self.used.helpers)

    @cached_property
    def functions(self) -> list[list[str]]:
        """The free functions in use, callees before callers."""
        assert self.classes is not None  # they say which functions are in use
        blocks = {}
        for name in reversed(list(self.program.functions)):
            if name in self.used.functions:
                blocks[name] = function(self.plan, name, self.used)
        return [blocks[name] for name in self.program.functions if name in blocks]

    @cached_property
    def parameters(self) -> int:
        """How many parameters the variant has."""
        counts = self.counts
        if counts is None:
            from specgen.analysis.quantities.ledger import ledger

            counts = ledger(self.program)
        return counts.value("parameters")

    def text(self) -> str:
        """The file."""
        classes, functions = self.classes, self.functions
        released = Released(self.plan, self.used)
        *formats, tables = released.lines()
        filling = released.filling()
        mentioned = words("\n".join(map(joined, [*classes, *functions, filling, tables])))
        config = ConfigWriter(self.plan, mentioned)
        head = config.write()
        program = self.program
        forward = program.model.forwards[0]
        return template("model.py.j2").render(
            source=quote(program.which),
            parameters=self.parameters,
            is_large=self.parameters > LARGE,
            title=quote(program.model.title or program.name),
            takes_tokens=is_language_model(forward),
            takes_cache=is_language_model(forward) and self.plan.uses_cache(program.model, forward),
            inputs=", ".join(arg.name for arg in forward.args),
            result=shape_text(forward.results[0].shape, {}),
            uses_math=config.uses_math or "math" in self.used.helpers,
            helpers=self.used.helpers,
            is_cached=program.root in self.plan.cached,
            has_stretches=len(set(self.plan.stretches.values())) > 1,
            places_tokens="placed" in self.used.helpers,
            is_mask_optional=self.plan.is_mask_optional,
            config=joined(head),
            has_fixed=bool(config.fixed),
            kinds={p.kind for p in program.model.params if p.name not in config.fixed},
            has_params=bool(program.model.params),
            functions=list(map(joined, functions)),
            classes=list(map(joined, classes)),
            formats=list(map(joined, formats)),
            tables=joined(tables),
            has_copies=bool(released.copies),
            has_conditions=bool(released.conditions),
            has_packed=bool(released.packed),
            has_respellings=bool(released.leeway.respellings),
            has_besides=bool(released.leeway.besides),
            has_joined=released.has_joined,
            has_rearranged=released.has_rearranged,
            filling=joined(filling),
            dtype=DTYPES[program.activation_dtype].torch,
        )


def joined(lines: Sequence[str]) -> str:
    return "\n".join(lines)
