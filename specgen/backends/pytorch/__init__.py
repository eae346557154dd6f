"""The PyTorch back end: model.py, which stands alone, and checkpoint.py beside it.

Reads the IR; what no table changes is taken from the modules of `runtime`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import field
from functools import cached_property
from typing import TYPE_CHECKING

from specgen.backends.pytorch.classes import ClassWriter
from specgen.backends.pytorch.configuration import ConfigWriter
from specgen.backends.pytorch.faults import Inexpressible
from specgen.backends.pytorch.functions import function
from specgen.backends.pytorch.header import header
from specgen.backends.pytorch.masks import Needed
from specgen.backends.pytorch.outline import checkpoint_file, model_file
from specgen.backends.pytorch.plan import FilePlan
from specgen.backends.pytorch.quoting import quote
from specgen.backends.pytorch.released import Released
from specgen.backends.pytorch.root import RootWriter
from specgen.backends.pytorch.scope import Used
from specgen.backends.pytorch.stacks import StackWriter
from specgen.backends.refusal import Refusal
from specgen.diagnostics.diagnostic import Diagnostics
from specgen.dtypes import DTYPES
from specgen.ir.model import Program
from specgen.ir.roots import is_language_model
from specgen.records import dataclass

if TYPE_CHECKING:
    from specgen.analysis.quantities.ledger import Ledger


def emit(program: Program, counts: Ledger | None = None) -> Mapping[str, bytes]:
    """The files, the same bytes for the same program; `counts` are its own, if they are known.

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
            texts = Files(program, counts=counts).texts()
        except Needed:
            texts = Files(program, counts=counts, masked=True).texts()
        return {name: text.encode() for name, text in texts.items()}
    except Inexpressible as error:
        raise Refusal("pytorch", error, error.site) from None


@dataclass
class Files:
    """The blocks of model.py and checkpoint.py, and what they turn out to need."""

    program: Program
    used: Used = field(default_factory=Used)
    masked: bool = False
    counts: Ledger | None = None

    def __post_init__(self) -> None:
        self.plan = FilePlan(self.program, self.masked)

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
        """Attributes are a class's own; functions are the file's."""
        return Used({}, self.used.functions)

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
    def ledger(self) -> Ledger:
        """The counts of the program."""
        if self.counts is not None:
            return self.counts
        from specgen.analysis.quantities.ledger import ledger

        return ledger(self.program)

    def texts(self) -> Mapping[str, str]:
        """The files by their names."""
        classes, functions = self.classes, self.functions
        program = self.program
        mentioned = set(re.findall(r"\bconfig\.(\w+)", "\n".join(map(joined, classes))))
        config = ConfigWriter(self.plan, mentioned)
        source = quote(program.which)
        blocks = list(map(joined, [config.write(), *reversed(classes), *functions]))
        stored = Used()
        released = Released(self.plan, stored)
        *formats, tables = map(joined, released.lines())
        formats += [joined(function(self.plan, name, stored)) for name in sorted(stored.functions)]
        title = quote(program.model.title or program.name)
        head = header(self.plan, self.ledger, takes_cache=self.takes_cache)
        return {
            "model.py": model_file(
                source, head, blocks, config.kinds(), self.offered(), self.command()
            ),
            "checkpoint.py": checkpoint_file(
                source,
                [
                    f"Checkpoints of {title}: how the release calls each tensor, and stores it.",
                    "",
                    "Model.load_checkpoint and Model.save_checkpoint of model.py, beside this file, call it.",
                ],
                formats,
                [tables],
                released.tables | ({"CACHED"} if self.takes_cache else set()),
                ["main"] if is_language_model(program.model.forwards[0]) else [],
            ),
        }

    @property
    def takes_cache(self) -> bool:
        forward = self.program.model.forwards[0]
        return is_language_model(forward) and self.plan.uses_cache(self.program.model, forward)

    def offered(self) -> list[str]:
        """What model.py has for who uses it: a step for torch.export, if it has steps."""
        return ["lay_out", "Step"] if self.takes_cache else ["lay_out"]

    def command(self) -> list[str]:
        """The end of model.py: what it does as a script."""
        if not is_language_model(self.program.model.forwards[0]):
            return []
        dtype = DTYPES[self.program.activation_dtype].torch
        call = f'checkpoints().main(lambda: Model(Config()), lay_out, "{dtype}")'
        return [f'if __name__ == "__main__":\n    {call}']


def joined(lines: Sequence[str]) -> str:
    return "\n".join(lines)
