"""What goes into a table's forward and comes out of it: the page's words, or the table's own.

A word is `["word", KEY]` of `words`, what the table says `["text", TEXT]`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from specgen.analysis.quantities.ledger import Ledger
from specgen.analysis.quantities.record import NO_TOKENS
from specgen.analysis.quantities.variables import BYTES, VARIABLES, lengths
from specgen.expr.printing import to_text
from specgen.ir.model import Function
from specgen.ir.roots import is_language_model

#: Characters; a longer text would be wider than the picture on a phone.
MAX_TEXT: Final = 36


def ends(ledger: Ledger) -> dict[str, list[str]]:
    """What the picture begins and ends with: logits only where there are any."""
    forward = ledger.program.model.forward
    if forward is None:
        return {"input": ["word", "input"], "output": ["word", "output"]}
    spoken = is_language_model(forward)
    logits = spoken and ledger.quantities["parameters_active_no_vocabulary"].absent != NO_TOKENS
    arguments = ", ".join(arg.name for arg in forward.args)
    return {
        "input": ["word", "tokens"] if spoken else text(arguments),
        "output": ["word", "logits"] if logits else text(results(forward)),
    }


def text(given: str) -> list[str]:
    return ["text", given if len(given) <= MAX_TEXT else f"{given[: MAX_TEXT - 1]}…"]


def results(forward: Function) -> str:
    """The results by their names; by their dims where they have none."""
    shapes = (", ".join(map(to_text, result.shape)) for result in forward.results)
    named = zip(forward.result_names, shapes, strict=True)
    return ", ".join(name or f"[{shape}]" for name, shape in named)


def lengths_of(ledger: Ledger) -> Mapping[str, str]:
    """The arguments that each variable is a length of: B, S and T where no language model gives them."""
    forward = ledger.program.model.forward
    usual = VARIABLES.keys() - BYTES if forward is not None and is_language_model(forward) else ()
    found = lengths(ledger.program)
    return {name: ", ".join(args) for name, args in found.items() if name not in usual}
