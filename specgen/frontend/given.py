"""Values of params as Python gives them: numbers of its own, and of libraries such as numpy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from specgen.frontend.values import Override


def read_given(name: str, given: object) -> Override:
    """A number, a text, true or false, or a list of numbers, as Python has them.

    Raises:
        RequestError: it is none of them.
    """
    listed = getattr(given, "tolist", None)  # scalars and arrays of numpy, tensors of torch
    found = listed() if callable(listed) else given
    if isinstance(found, str | bool | int | float):
        return found
    if isinstance(found, Sequence) and not isinstance(found, bytes | bytearray | memoryview):
        items = [read_given(name, item) for item in found]
        numbers = tuple(item for item in items if isinstance(item, int | float))
        if len(numbers) == len(items):
            return numbers
    from specgen.diagnostics.diagnostic import RequestError

    raise RequestError(
        f"`{name}` cannot be {given!r}: a value is a number, true or false, a text or a list of numbers"
    )


def read_all_given(given: Mapping[str, object]) -> dict[str, Override]:
    """`read_given` of each."""
    return {name: read_given(name, value) for name, value in given.items()}
