"""The IR as plain data, and back: all of it, so that what is read is what was written.

A record is an object with the name of its class under `is` and its fields, without those that are
as they are by default; a mapping is one with `is` "mapping"; a tuple is a list.  A number that JSON
does not have is an object with `is` "real".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, Final

from specgen.expr.node import Apply, Const, Sym
from specgen.ir import model

#: Where the records of the IR stand.
ROOM: Final = "specgen.ir."


class UnreadableProgram(ValueError):
    """The data is no program; the message says which part of it is not."""


@cache
def classes() -> Mapping[str, type]:
    """The records of the IR and of expressions, by their names."""
    found = [
        value
        for value in vars(model).values()
        if isinstance(value, type) and is_dataclass(value) and value.__module__.startswith(ROOM)
    ]
    return {cls.__name__: cls for cls in (*found, Apply, Const, Sym)}


def write_document(value: object) -> Any:
    """A program, or a part of one, as JSON has it."""
    match value:
        case float() if value - value != 0:
            return {"is": "real", "value": str(value)}
        case None | bool() | int() | float() | str():
            return value
        case tuple():
            return [write_document(item) for item in value]
        case Mapping():
            entries = {str(key): write_document(item) for key, item in value.items()}
            return {"is": "mapping", "entries": entries}
    cls = type(value)
    if classes().get(cls.__name__) is not cls:
        raise TypeError(f"a {cls.__name__} is no part of a program")
    return {"is": cls.__name__} | {
        field.name: write_document(item)
        for field in fields(cls)  # type: ignore[arg-type]  # it is a record
        if field.init and not is_default(field, item := getattr(value, field.name))
    }


def is_default(field: Any, value: object) -> bool:
    if field.default_factory is not MISSING:
        return bool(value == field.default_factory())
    return (
        field.default is not MISSING
        and type(value) is type(field.default)
        and bool(value == field.default)
    )


def read_document(data: object) -> Any:
    """What `write_document` was given.

    Raises:
        UnreadableProgram: a part of the data is no part of a program.
    """
    match data:
        case None | bool() | int() | float() | str():
            return data
        case list():
            return tuple(read_document(item) for item in data)
        case {"is": "real", "value": ("inf" | "-inf" | "nan") as text, **rest} if not rest:
            return float(text)
        case {"is": "mapping", "entries": dict() as entries, **rest} if not rest:
            return {key: read_document(item) for key, item in entries.items()}
        case {"is": str(name), **given} if name in classes():
            known = {field.name for field in fields(classes()[name]) if field.init}
            if unknown := given.keys() - known:
                raise UnreadableProgram(f"a {name} has no {', '.join(sorted(map(str, unknown)))}")
            try:
                return classes()[name](
                    **{str(key): read_document(item) for key, item in given.items()}
                )
            except TypeError as error:
                raise UnreadableProgram(f"a {name} lacks a part: {error}") from None
        case _:
            raise UnreadableProgram(f"{str(data)[:60]!r} is no part of a program")
