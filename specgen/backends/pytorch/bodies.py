"""Bodies of forwards and functions as lines of Python: one case for each kind of statement.

Values are written by `values`, names by `scope`; steps that change a shape say so.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import field, replace
from types import MappingProxyType
from typing import assert_never

from specgen.backends.pytorch import layout
from specgen.backends.pytorch.faults import Inexpressible
from specgen.backends.pytorch.intrinsics import lowered, unmasked
from specgen.backends.pytorch.layout import (
    Atom,
    Attribute,
    Node,
    Ternary,
    call,
    flat,
    method,
)
from specgen.backends.pytorch.masks import Needed
from specgen.backends.pytorch.ops.select import RESULTS
from specgen.backends.pytorch.quoting import attribute, literal
from specgen.backends.pytorch.rows import SELF
from specgen.backends.pytorch.scope import CACHE, BodyScope
from specgen.backends.pytorch.values import Abbreviations, type_text
from specgen.expr.node import Apply, Sym
from specgen.ir.model import (
    REST,
    SCALAR,
    Append,
    Arg,
    Assign,
    Branch,
    CallPart,
    Choose,
    Function,
    Op,
    Part,
    Return,
    Scalar,
    Statement,
    Type,
    Value,
    Var,
    Weight,
)
from specgen.ir.visit import nested
from specgen.records import dataclass


@dataclass
class BodyWriter(BodyScope):
    """One body being written."""

    lines: list[str] = field(default_factory=list)

    def write(self) -> list[str]:
        """The lines of the body: shape variables and indices first."""
        platform = lowered(self)
        if platform is not None:
            return platform
        draft = replace(self, lines=[])  # it shows which indices are needed more than once
        draft.statements(self.definition.body)
        self.repeated = {key for key, count in draft.counts.items() if count > 1}
        self.statements(self.definition.body)
        indices = self.index_lines()
        for name, (place, line) in reversed(self.places.items()):
            if name in self.dims:
                code = (text.partition("  #")[0] for text in (*indices, *self.lines[:place]))
                if any(re.search(rf"\b{self.dim(name)}\b", text) for text in code):
                    if any(Sym(name) in arg.type.shape for arg in self.definition.args):
                        raise Needed  # a mask has it, which is left out where nothing is padded
                    reason = f"`{name}` is used before a cache row is there to read it from"
                    raise Inexpressible(reason, self.site)
                self.lines.insert(place, layout.INDENT * self.indent + line)
        return [*unmasked(self), *self.shape_variables(), *indices, *self.lines]

    def statements(self, body: Sequence[Statement]) -> None:
        for statement in body:
            match statement:
                case Assign():
                    self.assign(statement)
                case Return(values=results):
                    self.give([self.writer.write(value) for value in results])
                case Branch():
                    self.branch(statement)
                case _:
                    assert_never(statement)

    def give(self, results: Sequence[Node]) -> None:
        """A return of one value, or of several, in parentheses where they need several lines."""
        text = ", ".join(map(flat, results))
        if len(results) == 1:
            self.put("return ", results[0], None)
        elif layout.fits(f"return {text}", self.indent):
            self.put("return ", Atom(text), None)
        else:
            self.put("return ", layout.grouping(results), None)

    def branch(self, statement: Branch) -> None:
        self.put("if ", self.condition(statement.condition), None, ":")
        self.indented(statement.then)
        match statement.otherwise:
            case ():
                return
            case (Branch() as inner,):
                before = len(self.lines)
                self.branch(inner)
                first = self.lines[before]
                self.lines[before] = first.replace("if ", "elif ", 1)
            case otherwise:
                self.lines.append(f"{layout.INDENT * self.indent}else:")
                self.indented(otherwise)

    def indented(self, body: Sequence[Statement]) -> None:
        before = len(self.lines)
        self.indent += 1
        self.statements(body)
        if len(self.lines) == before:
            self.lines.append(f"{layout.INDENT * self.indent}pass")
        self.indent -= 1

    def assign(self, statement: Assign) -> None:
        value = statement.value
        names = [n if n == "_" else self.variable(n) for n in statement.names]
        if isinstance(value, CallPart) and self.is_stated(value):
            self.loop(names[0], value)
            return
        if isinstance(value, Append):
            self.extend(names[0], value, self.writer.write(value.value))
            self.note_dims(names, value)
            return
        written = self.writer.write(value)
        if isinstance(value, Op) and value.name in RESULTS and "_" in names:
            kept = 0 if names[1] == "_" else 1
            names, written = [names[kept]], Attribute(written, RESULTS[value.name][kept])
            self.put(f"{names[0]} = ", written, self.shape(value.types[kept].shape))
            return
        self.put(", ".join(names) + " = ", written, self.remark(value), brief=self.is_alike(value))
        self.note_dims(names, value)

    def note_dims(self, names: Sequence[str], value: Value) -> None:
        """Remembers where dims that no argument has, such as that of a cache row, can be read."""
        given = (arg for arg in self.definition.args if not self.may_lack(arg))
        dims = [dim for arg in given for dim in arg.type.shape]
        products = [dim for dim in dims if isinstance(dim, Apply) and dim.op == "*"]
        known = {*dims, *(factor for product in products for factor in product.args)}
        for name, type_ in zip(names, value.types, strict=True):
            if name == "_" or self.indent != self.base:  # a branch may not be taken
                continue
            for axis, dim in enumerate(type_.shape):
                if isinstance(dim, Sym) and dim.kind == "axis" and dim not in known:
                    place = axis - len(type_.shape) if REST in type_.shape else axis
                    line = f"{self.dim(dim.name)} = {name}.size({place})"
                    self.places.setdefault(dim.name, (len(self.lines), line))

    def remark(self, value: Value) -> str | None:
        """The shape of the result, where it is none of those that went in."""
        shapes = {
            type_.shape
            for inner in nested(value)
            if isinstance(inner, Var | Weight)
            for type_ in inner.types
        }
        if all(type_.shape in shapes or not type_.shape for type_ in value.types):
            return None
        return ", ".join(self.shape(type_.shape) for type_ in value.types)

    def is_alike(self, value: Value) -> bool:
        """Whether the result has as many dims as something that went in, or there are several."""
        ranks = {
            len(type_.shape)
            for inner in nested(value)
            if isinstance(inner, Var)
            for type_ in inner.types
        }
        return len(value.types) > 1 or len(value.types[0].shape) in ranks

    def put(
        self, prefix: str, node: Node, remark: str | None, suffix: str = "", *, brief: bool = False
    ) -> None:
        """A statement; its remark stands behind it, or above it where it would not fit.

        A brief one has no line of its own.
        """
        lines = layout.lines(prefix, node, self.indent, suffix)
        remarked = layout.remarked(lines, remark, self.indent)
        self.lines += lines if brief and len(remarked) > len(lines) else remarked

    # ---- repeated parts

    def call_part(self, value: CallPart, arguments: Sequence[Node]) -> Node:
        """A part called; a repeated one becomes a loop before the statement at hand."""
        if not self.is_repeated(value.part):
            return super().call_part(value, arguments)
        name = self.fresh("h")
        self.loop(name, value, arguments)
        return Atom(name)

    def choose(self, value: Choose) -> Node:
        """A choice; one between statements, such as loops, becomes one before what is at hand."""
        sides = (value.then, value.otherwise)
        if not any(self.is_stated(inner) for side in sides for inner in nested(side)):
            return super().choose(value)
        name = self.fresh("h")
        made = (Assign((name,), side) for side in sides)
        self.branch(Branch(value.condition, (next(made),), (next(made),)))
        return Atom(name)

    def is_stated(self, value: Value) -> bool:
        """Whether a value takes statements: a loop, or what a cache is asked for if there is one."""
        if isinstance(value, CallPart):
            return self.is_repeated(value.part)
        return isinstance(value, Append)

    def append(self, value: Append, new: Node) -> Node:
        """What a cache row holds, and new values behind it; without a cache those are all there is."""
        name = self.fresh(self.variable(value.cache))
        self.extend(name, value, new)
        return Atom(name)

    def extend(self, name: str, value: Append, new: Node) -> None:
        row, cache = Atom(literal(value.cache)), self.cache_with(value.cache)
        if isinstance(new, Atom) and flat(new) != name:
            appended: Node = method(cache, "append", SELF, row, new)
            self.put(f"{name} = ", Ternary(appended, CACHE, new), self.remark(value))
            return
        if flat(new) != name:
            self.put(f"{name} = ", new, self.remark(value.value))
        appended = method(cache, "append", SELF, row, Atom(name))
        self.lines.append(f"{layout.INDENT * self.indent}if cache:")
        self.indent += 1
        self.put(f"{name} = ", appended, self.remark(value))
        self.indent -= 1

    def loop(self, name: str, value: CallPart, arguments: Sequence[Node] | None = None) -> None:
        """A repeated part: its first argument goes through one instance after the other."""
        assert self.module is not None
        first, *rest = arguments or self.writer.all(value.args)
        part = self.module.parts_named(value.part)[0]
        rest = [
            self.once(node, given, arg.name)
            for node, given, arg in zip(
                rest, value.args[1:], self.forward_of(part).args[1:], strict=True
            )
        ]
        item = self.fresh(self.plan.instance_name(part))
        if flat(first) != name:
            self.put(f"{name} = ", first, None)
        row = Attribute(SELF, attribute(value.part))
        self.put(f"for {item} in ", row, None, ":")
        self.indent += 1
        arguments = [Atom(name), *rest, *self.handed_to(value.part)]
        self.put(f"{name} = ", call(item, *arguments), None)
        self.indent -= 1

    def forward_of(self, part: Part) -> Function:
        forward = self.plan.program.modules[part.module].forward
        assert forward is not None
        return forward

    def once(self, node: Node, value: Value, name: str) -> Node:
        """What every instance of a repeated part is given, worked out before the first."""
        if isinstance(value, Var | Weight | Scalar):
            return node
        held = self.fresh(self.variable(name))
        self.put(f"{held} = ", node, self.remark(value))
        return Atom(held)


def signature(
    args: Sequence[Arg],
    results: Sequence[Type],
    names: Sequence[str],
    short: Abbreviations = MappingProxyType({}),
    usual: Collection[str] = (),
) -> str:
    """What goes in and what comes out, for a docstring: `x: [B, S, dim] -> [B, S, dim]`.

    Arguments behind the first that are `usual` are said at the head of the file.
    """
    said = [f"{arg.name}: {type_text(arg.type, short)}" for arg in args if arg.type.dtype != SCALAR]
    given = ", ".join(text for number, text in enumerate(said) if not number or text not in usual)
    labels = names if len(results) > 1 else [""] * len(results)
    made = ", ".join(
        f"{label}: {type_text(type_, short)}" if label else type_text(type_, short)
        for label, type_ in zip(labels, results, strict=True)
    )
    return f"{given} -> {made}"
