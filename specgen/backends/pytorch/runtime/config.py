"""What a Config refuses."""

from __future__ import annotations

from dataclasses import fields
from typing import Any


def require(holds: bool, what: str) -> None:
    """Refuses a Config for which the file does not hold."""
    if not holds:
        raise ValueError(f"Config requires: {what}")


def check_values(config: Any, /, *counts: str, **choices: tuple[str, ...]) -> None:
    """Refuses values of other kinds than declared; sizes are 1 or more, `counts` may be 0."""
    for field in fields(config):
        name, value = field.name, getattr(config, field.name)
        least, most = 0 if name in counts else 1, 2**48
        words = choices.get(name, (value,))
        items = value if isinstance(value, (tuple, list)) else [None]
        whole = all(type(i) is int and 0 <= i <= most for i in items)
        wanted, fits = {
            "int": (f"an int from {least} to 2**48", type(value) is int and least <= value <= most),
            "float": ("a number", type(value) in (int, float)),
            "str": (f"a text of {words}", type(value) is str and value in words),
            "bool": ("True or False", type(value) is bool),
            "tuple[int, ...]": ("a tuple of ints from 0 to 2**48", whole),
            "tuple[float, ...]": ("some numbers", all(type(i) in (int, float) for i in items)),
        }.get(str(field.type), (f"like {field.default!r}", type(value) is type(field.default)))
        require(fits, f"{name} to be {wanted}, not {value!r}")
