"""`dataclass` as in the standard library, for a process that ends before its cost is earned back.

The standard library compiles six methods for every frozen class, half a millisecond each, and a
frozen instance is filled by a call for every field, four times as long as by assignments: of a
command that takes less than a second, a fifth.  Here only `__init__` is compiled; comparing,
hashing and showing are functions that all records share, with the same results.  These take twice
as long as compiled ones: the few classes that are compared ten thousand times say it themselves.

That a record is `frozen` is held by the type checker, and by nothing at run time.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any

__all__ = ["dataclass"]

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(
        cls: type | None = None, /, *, frozen: bool = False, eq: bool = True, slots: bool = False
    ) -> Any:
        """See `dataclasses.dataclass`."""

        def decorate(cls: type) -> type:
            cls.__doc__ = cls.__doc__ or cls.__name__  # else a signature is worked out for it
            made = dataclasses.dataclass(cls, repr=False, eq=False, slots=slots)
            complete(made, frozen, eq)
            return made

        return decorate if cls is None else decorate(cls)


def complete(made: Any, frozen: bool, eq: bool) -> None:
    """Gives a record the methods that it has not itself."""
    own = vars(made)
    fields = dataclasses.fields(made)
    if "__repr__" not in own:
        made.__repr__ = showing([field.name for field in fields if field.repr])
    if not eq:
        return
    values = reader([field.name for field in fields if field.compare])
    # A class that compares by itself has None for its hash, without having said so.
    hashes = own.get("__hash__") is not None
    if "__eq__" not in own:
        made.__eq__ = comparing(values)
    if not hashes:
        made.__hash__ = hashing(values) if frozen else None


def reader(names: Sequence[str]) -> Callable[[object], tuple[object, ...]]:
    """What gives the values of an object under these names."""
    if len(names) > 1:
        return attrgetter(*names)
    return lambda record: tuple([getattr(record, name) for name in names])


def comparing(values: Callable[[object], object]) -> Callable[[object, object], Any]:
    def equal(self: object, other: object) -> Any:
        if other.__class__ is self.__class__:
            return values(self) == values(other)
        return NotImplemented

    return equal


def hashing(values: Callable[[object], object]) -> Callable[[object], int]:
    return lambda self: hash(values(self))


def showing(names: Sequence[str]) -> Callable[[object], str]:
    values, form = reader(names), ", ".join(f"{name}={{!r}}" for name in names)

    def show(self: object) -> str:
        return f"{self.__class__.__qualname__}({form.format(*values(self))})"

    return show
