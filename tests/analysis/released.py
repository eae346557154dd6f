"""The shipped tables as programs, each loaded once; and the same with other parameters."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

from specgen.frontend.load import load_program
from specgen.ir.model import Program

SPECS = Path(__file__).parents[2] / "specs"


@cache
def table(spec: str) -> Program:
    """`name@variant`, or `name` for the defaults."""
    name, _, variant = spec.partition("@")
    return load_program(SPECS / f"{name}.dsv3", variant or None)


def with_values(program: Program, **values: int) -> Program:
    """The program with other sizes; conditions stay decided as they were."""
    model = program.model
    params = tuple(replace(p, value=values.get(p.name, p.value)) for p in model.params)
    return replace(program, modules={**program.modules, model.id: replace(model, params=params)})
