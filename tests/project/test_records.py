"""Records behave as the standard library's dataclasses, but that nothing freezes them at run time."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specgen.records import dataclass

VALUES = st.one_of(st.integers(0, 2), st.booleans(), st.just(1.0), st.text("ab", max_size=1))

FIELDS = st.lists(
    st.fixed_dictionaries(
        {
            "compare": st.booleans(),
            "repr": st.booleans(),
            "kind": st.sampled_from(("plain", "default", "factory")),
        }
    ),
    max_size=4,
)


def like(
    decorate: Any, fields: list[dict[str, Any]], methods: dict[str, Any], **options: Any
) -> Any:
    """A class with these fields, those without a default first."""
    space: dict[str, Any] = {"__annotations__": {}, "__module__": __name__, **methods}
    for number, drawn in enumerate(sorted(fields, key=lambda one: one["kind"] != "plain")):
        given = {"compare": drawn["compare"], "repr": drawn["repr"]}
        if drawn["kind"] == "default":
            given["default"] = 1
        elif drawn["kind"] == "factory":
            given["default_factory"] = list
        space[f"f{number}"] = dataclasses.field(**given)
        space["__annotations__"][f"f{number}"] = "Any"
    return decorate(**options)(type("Drawn", (), space))


def hashed(record: Any) -> object:
    try:
        return hash(record)
    except TypeError:
        return None


METHODS = st.sampled_from(
    (
        {},
        {"__hash__": lambda self: 7},
        {"__eq__": lambda self, other: True},
        {"__eq__": lambda self, other: True, "__hash__": lambda self: 7},
        {"__repr__": lambda self: "own"},
    )
)


@given(FIELDS, METHODS, st.booleans(), st.booleans(), st.booleans(), st.data())
def test_records_are_made_compared_hashed_and_shown_as_dataclasses_are(
    fields: list[dict[str, Any]],
    methods: dict[str, Any],
    frozen: bool,
    eq: bool,
    slots: bool,
    data: st.DataObject,
) -> None:
    options = {"frozen": frozen, "eq": eq, "slots": slots}
    ours = like(dataclass, fields, methods, **options)
    theirs = like(dataclasses.dataclass, fields, methods, **options)
    many = st.lists(VALUES, min_size=len(fields), max_size=len(fields))
    one, other = data.draw(many), data.draw(many)
    a, b = ours(*one), ours(*other)
    c, d = theirs(*one), theirs(*other)
    assert repr(a) == repr(c)
    assert (a == b) == (c == d)
    assert "__eq__" in methods or a != c
    if eq or methods.keys() & {"__hash__", "__eq__"}:
        assert hashed(a) == hashed(c)
    assert ours.__match_args__ == theirs.__match_args__
    assert hasattr(a, "__dict__") == hasattr(c, "__dict__")
    assert repr(dataclasses.replace(a)) == repr(dataclasses.replace(c))
    required = [f for f in fields if f["kind"] == "plain"]
    if required:
        with pytest.raises(TypeError):
            ours()
    else:
        assert repr(ours()) == repr(theirs())


def test_nothing_in_the_compiler_pays_for_the_standard_librarys() -> None:
    """The lint says so where a class is written; this, that the cheap one is what modules get."""
    from specgen.expr.node import Sym

    assert "__setattr__" not in vars(Sym)
