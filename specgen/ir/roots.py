"""What kind of program the root forward is: a language model's, or one of another signature."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from specgen.expr.node import Expr, Sym
from specgen.ir.model import Function

#: What a language model's forward may take: dtypes and dims, by the argument's name.
TAKEN: Final[Mapping[str, tuple[frozenset[str], frozenset[tuple[str, ...]]]]] = {
    "tokens": (frozenset({"i64", "i32"}), frozenset({("B", "S")})),
    "positions": (frozenset({"i64", "i32"}), frozenset({("B", "S")})),
    "mask": (frozenset({"bool"}), frozenset({("B", "T"), ("B", "S")})),
}


def is_language_model(forward: Function) -> bool:
    """Whether it takes tokens [B, S], perhaps positions [B, S] and a mask, and says one thing of each.

    Callers of such a program say no positions, and a mask only where there is padding.  The
    arguments of any other forward are the program's inputs as they stand: so are those of one
    that gives one result for a whole text, [B, ...].
    """
    if len(forward.results) != 1 or not forward.args or forward.args[0].name != "tokens":
        return False
    if tuple(map(variable, forward.results[0].shape[:2])) != ("B", "S"):
        return False
    for arg in forward.args:
        dtypes, shapes = TAKEN.get(arg.name, (frozenset(), frozenset()))
        if arg.type.dtype not in dtypes or tuple(map(variable, arg.type.shape)) not in shapes:
            return False
    return True


def variable(dim: Expr) -> str:
    return dim.name if isinstance(dim, Sym) else ""
