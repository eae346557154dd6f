"""Lists of modules that a release does not quantise, held against what a table stores in no format."""

from __future__ import annotations

from typing import Final

from specgen.analysis.table.stored import expand, scheme_of, stored
from specgen.huggingface.configuration import outside
from specgen.huggingface.quantised import QUANTISED
from specgen.ir.model import Program

#: Keys below `QUANTISED` that list modules which are not quantised, as the methods call them.
KEPT: Final = frozenset({
    "exclude_modules", "ignore", "ignored_layers", "ignored_modules", "llm_int8_skip_modules",
    "modules_to_not_convert", "modules_to_not_quantize", "skip_modules", "unquantized_modules",
})  # fmt: skip


def lists_unquantised(key: str) -> bool:
    """Whether a dotted key lists the modules that are not quantised."""
    section, _, name = key.partition(".")
    return section == QUANTISED and name in KEPT


def keeps(program: Program, listed: object) -> bool:
    """Whether such a list names the modules that the table stores in no format, and no others.

    A name is that of a module, or of one that it is in.  What tools read as a pattern is none of
    these, and so nothing that the table is known to say.
    """
    if listed is None:
        return True  # what is quantised is left to the class
    if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
        return False
    wanted, modules, quantised, plain = set(listed), set[str](), set[str](), set[str]()
    for tensor in stored(program, scheme_of(program)):
        if tensor.first.kind == "scale":
            continue
        for name, _ in expand(tensor):
            module = name.rpartition(".")[0]
            if tensor.first.format is not None:
                quantised.add(module)
            elif tensor.first.kind == "map":
                plain.add(module)
            modules |= {module, *outside(module)}
    kept = {name for name in (*quantised, *plain) if not wanted.isdisjoint((name, *outside(name)))}
    return kept == plain and wanted <= modules
