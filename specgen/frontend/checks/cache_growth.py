"""Which cache rows cannot hold the tokens that a step appends: they would not be those of others.

A row holds the tokens of all steps so far, and every row of a step the same ones; else a second
step reads what was never there.
"""

from __future__ import annotations

from collections.abc import Iterator

from specgen.analysis.dataflow.growth import Growth, Path, entries, growths
from specgen.expr.node import Sym, symbols
from specgen.expr.normal import equal
from specgen.ir import model as ir
from specgen.ir.roots import is_language_model
from specgen.ops.context import size_text
from specgen.records import dataclass


@dataclass(frozen=True, slots=True)
class Unheld:
    """A cache row that cannot hold what a function of the root ("" is its forward) appends."""

    function: str
    path: Path
    reason: str
    advice: str


#: Why not, and what to do about it.
Fault = tuple[str, str]


def unheld(program: ir.Program) -> Iterator[Unheld]:
    """The first such row of each forward and function of the model."""
    for entry in entries(program):
        found = growths(program, entry)
        usual = entry in program.model.forwards and is_language_model(entry)
        for growth in found:
            wrong = fault(growth, found[0]) or (misplaced(growth, entry) if usual else None)
            if wrong is not None:
                yield Unheld(entry.name, growth.path, *wrong)
                break


def fault(growth: Growth, first: Growth) -> Fault | None:
    """Why a row cannot hold its tokens together with the first of its step."""
    axis, new = growth.axis, size_text(growth.new)
    if growth.total is None:
        if axis in symbols(growth.new):
            return (
                f"its length and the new tokens are both called `{axis}`",
                f"call the new tokens by another name, such as S; `{axis}` are all that there are",
            )
    elif not isinstance(growth.total, Sym) or growth.total.name in symbols(growth.new):
        return (
            f"`{axis}` is {size_text(growth.total)}, whatever is held, and {new} are new",
            f"give it what has all tokens along a dim of their own, such as `mask: bool [B, {axis}]`",
        )
    if not equal(growth.new, first.new):
        return (
            f"it grows by {new}, `{'.'.join(first.path)}` by {size_text(first.new)}",
            "what is given once and for all is an argument, not a cache row",
        )
    return None


def misplaced(growth: Growth, forward: ir.Function) -> Fault | None:
    """Why what a language model's callers say of tokens does not fit a row: S are new, T in all."""
    if growth.new != Sym("S"):
        return (
            f"it grows by {size_text(growth.new)}, and tokens are [B, S]",
            "append one entry for each token",
        )
    for arg in forward.args:
        if arg.name == "mask" and arg.type.shape[1] == Sym("S"):
            return (
                "`mask` is [B, S] and says nothing of the tokens that are held",
                "make it `mask: bool [B, T]`; the new tokens' is `slice(mask, T - S, T, over = T)`",
            )
    return None
