"""Definitions of the runtime as text: what a generated file refers to, and what that refers to.

Reads the package's own modules and executes none of them, for they need torch.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from typing import Final

from specgen.records import dataclass
from specgen.regular_files import read_regular
from specgen.resources import PACKAGE

RUNTIME: Final = "specgen.backends.pytorch.runtime"

#: The modules of the runtime in the order in which files show what they take from them.
MODULES: Final = (
    "attention", "experts", "steps", "cache", "config", "modules", "tracing", "beside", "command",
    "checkpoint", "stored", "packing", "narrow", "tables",
)  # fmt: skip

#: What tables' own lines refer to and no definition of the runtime does.
ELSEWHERE: Final = """
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
import math
import torch
import torch.nn.functional as F
from torch import Tensor, nn
"""


#: A line that tests a table alone.
DECIDED: Final = re.compile(r" +if [A-Z]+:$")


@dataclass(frozen=True, slots=True)
class RuntimeDefinition:
    """A function, a class or a value at the top of a runtime module.

    `if TABLE:` within it, a name in capitals, is decided when it is taken: the lines of one branch
    stand in its place.
    """

    node: ast.stmt
    first: int  # its first line in its module, with decorators and comments above
    lines: tuple[str, ...]

    def text(self, tables: Collection[str]) -> str:
        """As a file shows it that has these tables."""
        if not any(DECIDED.match(line) for line in self.lines):
            return "\n".join(self.lines)
        left, margins = set[int](), [0] * (len(self.lines) + 1)
        for test in ast.walk(self.node):
            table = decided(test)
            if table is not None:
                assert isinstance(test, ast.If)
                kept = test.body if table in tables else test.orelse
                inner = {n for node in kept for n in range(node.lineno, ends(node) + 1)}
                whole = set(range(test.lineno, ends(test) + 1))
                left |= {n - self.first for n in whole - inner}
                for n in inner:
                    margins[n - self.first] += 4
        return "\n".join(
            line[margin:]
            for n, (line, margin) in enumerate(zip(self.lines, margins, strict=False))
            if n not in left
        )

    def names(self, tables: Collection[str]) -> Iterator[str]:
        """What it refers to in a file that has these tables."""
        return referred(self.node, tables)


def referred(node: ast.AST, tables: Collection[str]) -> Iterator[str]:
    """The names to which a piece of Python refers, but for those that a function around binds."""
    waiting = [node]
    while waiting:
        inner = waiting.pop()
        if isinstance(inner, ast.FunctionDef | ast.Lambda):
            names, bound = set[str](), set[str]()
            for part in within(inner, tables):
                if isinstance(part, ast.arg):
                    bound.add(part.arg)
                elif isinstance(part, ast.Name):
                    (bound if isinstance(part.ctx, ast.Store) else names).add(part.id)
            yield from names - bound
            continue
        if isinstance(inner, ast.Name):
            yield inner.id
        waiting += ast.iter_child_nodes(inner)


def within(node: ast.AST, tables: Collection[str]) -> Iterator[ast.AST]:
    """The parts of a piece of Python that a file with these tables has."""
    waiting = [node]
    while waiting:
        inner = waiting.pop()
        yield inner
        table = decided(inner)
        if table is None:
            waiting += ast.iter_child_nodes(inner)
        else:
            assert isinstance(inner, ast.If)
            waiting += inner.body if table in tables else inner.orelse


def decided(node: ast.AST) -> str | None:
    """The table on which alone the branches of a statement depend."""
    if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id.isupper():
        return node.test.id
    return None


def ends(node: ast.stmt) -> int:
    assert node.end_lineno is not None
    return node.end_lineno


@dataclass(frozen=True, slots=True)
class Runtime:
    """All definitions, in order and by name, and the statements that import what they refer to."""

    definitions: Mapping[str, RuntimeDefinition]
    imports: Mapping[str, str]


@cache
def runtime() -> Runtime:
    """The runtime as its modules define it, read once."""
    definitions: dict[str, RuntimeDefinition] = {}
    imports = dict(imported(ast.parse(ELSEWHERE)))
    for name in MODULES:
        path = PACKAGE / "backends" / "pytorch" / "runtime" / f"{name}.py"
        source = read_regular(path, 2**20).decode()
        tree, lines = ast.parse(source), source.splitlines()
        imports |= imported(tree)
        for node in tree.body:
            for defined in names_of(node):
                decorators = getattr(node, "decorator_list", [])
                first = min([node.lineno, *(decorator.lineno for decorator in decorators)])
                while lines[first - 2].startswith("# "):
                    first -= 1
                definitions[defined] = RuntimeDefinition(
                    node, first, tuple(lines[first - 1 : ends(node)])
                )
    return Runtime(definitions, imports)


def names_of(node: ast.stmt) -> Iterator[str]:
    """What a statement at the top of a module defines."""
    match node:
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
            yield name


def imported(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """The names that a module imports from elsewhere, and the statements that do it alone."""
    for node in tree.body:
        match node:
            case ast.Import(names=aliases):
                for alias in aliases:
                    shown = f"{alias.name} as {alias.asname}" if alias.asname else alias.name
                    yield alias.asname or alias.name, f"import {shown}"
            case ast.ImportFrom(module=str() as module, names=aliases):
                if module != "__future__" and not module.startswith(RUNTIME):
                    for alias in aliases:
                        yield alias.name, f"from {module} import {alias.name}"


def taken(source: str, tables: Collection[str] = ()) -> tuple[list[str], dict[str, str]]:
    """What a file needs beside its own lines: statements that import, and definitions by name.

    Both in the order in which files show them.
    """
    all_of = runtime()
    tree = ast.parse(source)
    own = {name for node in tree.body for name in names_of(node)}
    waiting = list(referred(tree, ()))
    used, found = set[str](), set[str]()
    while waiting:
        name = waiting.pop()
        if name in used or name in own:
            continue
        used.add(name)
        if name in all_of.definitions:
            found.add(name)
            waiting += all_of.definitions[name].names(tables)
    texts = {n: d.text(tables) for n, d in all_of.definitions.items() if n in found}
    statements = {all_of.imports[name] for name in used - found if name in all_of.imports}
    return ordered(statements), texts


def ordered(statements: Collection[str]) -> list[str]:
    """Statements that import as ruff sorts and joins them: Python's own, then others."""
    from sys import stdlib_module_names

    lines: list[str] = []
    for own in (True, False):
        here = [s for s in statements if (module_of(s) in stdlib_module_names) == own]
        whole = sorted(s for s in here if s.startswith("import "))
        names: dict[str, list[str]] = {}
        for statement in here:
            if statement.startswith("from "):
                _, module, _, name = statement.split()
                names.setdefault(module, []).append(name)
        joined = [
            f"from {m} import {', '.join(sorted(names[m], key=spelling))}" for m in sorted(names)
        ]
        lines += [*([""] if lines and (whole or joined) else []), *whole, *joined]
    return lines


def module_of(statement: str) -> str:
    """The package that a statement imports from."""
    return statement.split()[1].partition(".")[0]


def spelling(name: str) -> tuple[int, str]:
    """Constants before classes before all others."""
    return (0 if name.isupper() and len(name) > 1 else 1 if name[0].isupper() else 2), name


def methods(name: str) -> list[list[str]]:
    """The methods of a class of the runtime as lines, to stand in another class."""
    held = runtime().definitions[name]
    assert isinstance(held.node, ast.ClassDef)
    nodes = (node for node in held.node.body if isinstance(node, ast.FunctionDef))
    return [list(held.lines[n.lineno - held.first : ends(n) - held.first + 1]) for n in nodes]


def body(name: str, tables: Collection[str]) -> list[str]:
    """The lines of a function of the runtime behind its docstring, to stand in another."""
    text = runtime().definitions[name].text(tables)
    (function,) = ast.parse(text).body
    assert isinstance(function, ast.FunctionDef)
    lines = text.splitlines()[ends(function.body[0]) :]
    return [line.removeprefix("    ") for line in lines]
