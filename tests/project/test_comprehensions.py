"""No comprehension of ours trips CPython's inlining of comprehensions (PEP 709, from 3.12 on).

From 3.12.0 to 3.12.3 a comprehension that binds a name makes it a local of the function around
it also for a *sibling* that means the global of that name: `[argument for argument in a]` beside
`[argument(x) for x in b]` is an UnboundLocalError (python/cpython#118513, mended in 3.12.4).  The
same happens to a function inside that means a variable of a function around both
(python/cpython#121377, not mended yet).  Whoever has such a release gets no worse specgen: the
pattern is not written.  `make check-pythons` runs the tests under the interpreters that are there.
"""

from __future__ import annotations

import symtable
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "specgen"

pytestmark = pytest.mark.skipif(
    sys.version_info >= (3, 12), reason="from 3.12 on symtable shows comprehensions as inlined"
)

INLINED = ("listcomp", "setcomp", "dictcomp")


def clashes(code: str, name: str = "m.py") -> list[str]:
    """Names that one comprehension binds and a scope beside it means as one from outside."""
    found: list[str] = []
    waiting = [symtable.symtable(code, name, "exec")]
    while waiting:
        scope = waiting.pop()
        waiting += scope.get_children()
        if scope.get_name() in INLINED:
            continue
        own = {symbol.get_name() for symbol in scope.get_symbols() if symbol.is_local()}
        for comprehension in inlined(scope):
            for variable in bound(comprehension) - own:
                found += [
                    f"{name}:{other.get_lineno()}: `{variable}` is that of line"
                    f" {comprehension.get_lineno()}"
                    for other in beside(scope, variable)
                    if reaches_out(other, variable)
                ]
    return found


def inlined(scope: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    """The comprehensions that run in the frame of a scope, nested ones included."""
    for child in scope.get_children():
        if child.get_name() in INLINED:
            yield child
            yield from inlined(child)


def bound(scope: symtable.SymbolTable) -> set[str]:
    return {symbol.get_name() for symbol in scope.get_symbols() if symbol.is_local()}


def beside(scope: symtable.SymbolTable, variable: str) -> Iterator[symtable.SymbolTable]:
    """The scopes inside of one for which the variable is not bound on the way."""
    for child in scope.get_children():
        if variable not in bound(child):
            yield child
            yield from beside(child, variable)


def reaches_out(scope: symtable.SymbolTable, variable: str) -> bool:
    if variable not in scope.get_identifiers():
        return False
    symbol = scope.lookup(variable)
    return symbol.is_global() or symbol.is_free()


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_no_comprehension_hides_a_name_of_its_sibling(path: Path) -> None:
    assert not clashes(path.read_text(encoding="utf-8"), path.name)


@pytest.mark.parametrize(
    "body",
    [
        "_ = [f for f in a]\n    return [f(x) for x in a]",
        "return {f: 1 for f in a}, [x for x in a if f(x)]",
        "return [[f for f in y] for y in a], {f(x) for x in a}",
        "_ = [f for f in a]\n    return lambda: f(1)",
    ],
)
def test_the_pattern_is_found(body: str) -> None:
    assert clashes(f"def f(x): return x\ndef g(a):\n    {body}\n")


@pytest.mark.parametrize(
    "body",
    [
        "return [f for f in a]",
        "return [h(f) for f in a], [h(f) for f in a]",
        "return list(f for f in a), [f(x) for x in a]",  # a generator is not inlined
        "f = h\n    return [f for f in a], [f(x) for x in a]",  # a variable of this function
    ],
)
def test_what_is_no_clash_is_left_alone(body: str) -> None:
    assert not clashes(f"def f(x): return x\ndef h(x): return x\ndef g(a):\n    {body}\n")
