"""Arguments that several functions of a model are given alike: model.py says once what they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from specgen.backends.pytorch.values import Abbreviations, type_text
from specgen.ir.model import SCALAR, Module

#: An argument that so many functions have, with one shape, is explained once.
USUAL = 2


def usual_arguments(
    modules: Iterable[Module], abbreviations: Callable[[Module], Abbreviations]
) -> tuple[str, ...]:
    """Those behind the first that have one shape wherever they stand: `cos: f32 [B, S, R]`."""
    found: dict[str, list[str]] = {}
    for module in modules:
        for function in (*module.forwards, *module.functions):
            for arg in function.args[1:]:
                if arg.type.dtype != SCALAR:
                    text = f"{arg.name}: {type_text(arg.type, abbreviations(module))}"
                    found.setdefault(arg.name, []).append(text)
    return tuple(t[0] for t in found.values() if len(set(t)) == 1 and len(t) >= USUAL)
