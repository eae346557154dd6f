"""What a Config refuses."""

from __future__ import annotations

from dataclasses import fields
from typing import Any


def require(holds: bool, what: str) -> None:
    """Refuses a Config for which the file does not hold."""
    if not holds:
        raise ValueError(f"Config requires: {what}")


def check_values(config: Any, *counts: str) -> None:
    """Refuses values of other kinds than declared; sizes are 1 or more, `counts` may be 0."""
    for field in fields(config):
        name, value = field.name, getattr(config, field.name)
        least = 0 if name in counts else 1
        items = value if isinstance(value, (tuple, list)) else [None]
        wanted, fits = {
            "int": (f"a whole number from {least} on", type(value) is int and value >= least),
            "float": ("a number", type(value) in (int, float)),
            "bool": ("True or False", type(value) is bool),
            "tuple[int, ...]": (
                "a tuple of whole numbers from 0 on",
                all(type(item) is int and item >= 0 for item in items),
            ),
            "tuple[float, ...]": (
                "a tuple of numbers",
                all(type(item) in (int, float) for item in items),
            ),
        }.get(str(field.type), ("", True))
        require(fits, f"{name} to be {wanted}, not {value!r}")
