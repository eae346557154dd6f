"""What a Config refuses."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from specgen.backends.pytorch.runtime.tables import FLAGS, LITERALS, TEXTS, TUPLES


def require(holds: bool, what: str) -> None:
    """Refuses a Config for which the file does not hold."""
    if not holds:
        raise ValueError(f"Config requires: {what}")


def check_values(config: Any, /, *counts: str, **choices: tuple[str, ...]) -> None:
    """Refuses values of other kinds than declared; sizes are 1 or more, `counts` may be 0."""
    for field in fields(config):
        name, value = field.name, getattr(config, field.name)
        least, most = 0 if name in counts else 1, 2**48
        wanted, fits = "a number", type(value) in (int, float)
        if field.type == "int":
            wanted, fits = f"an int from {least} to 2**48", type(value) is int
            fits = fits and least <= value <= most
        if FLAGS:
            if field.type == "bool":
                wanted, fits = "True or False", type(value) is bool
        if TEXTS:
            if name in choices:
                fits = type(value) is str and value in choices[name]
                wanted = f"a text of {choices[name]}"
        if TUPLES:
            items = value if isinstance(value, (tuple, list)) else [None]
            if field.type == "tuple[int, ...]":
                wanted = "a tuple of ints from 0 to 2**48"
                fits = all(type(i) is int and 0 <= i <= most for i in items)
            if field.type == "tuple[float, ...]":
                wanted, fits = "some numbers", all(type(i) in (int, float) for i in items)
        if LITERALS:
            if str(field.type).startswith("Literal"):
                wanted, fits = f"like {field.default!r}", type(value) is type(field.default)
        require(fits, f"{name} to be {wanted}, not {value!r}")
