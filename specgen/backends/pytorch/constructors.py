"""Constructors of the generated classes: params that are kept, lets, rows and parts.

Rows and parts stand in the order in which the forward first uses them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from functools import cached_property
from typing import Final

from specgen.backends.pytorch import layout, sizes
from specgen.backends.pytorch.definitions import definition
from specgen.backends.pytorch.layout import (
    INDENT,
    Atom,
    Attribute,
    Bracketed,
    Comprehension,
    KeywordArgument,
    Node,
    call,
    flat,
)
from specgen.backends.pytorch.plan import FilePlan, declared
from specgen.backends.pytorch.quoting import attribute, quote, variable
from specgen.backends.pytorch.rows import SELF
from specgen.backends.pytorch.scope import Used
from specgen.dtypes import DTYPES, INTEGERS
from specgen.expr.facts import whole
from specgen.expr.node import (
    TRUE,
    Apply,
    Const,
    Expr,
    Sym,
    conjunction,
    disjunction,
    negation,
    substitute,
)
from specgen.expr.normal import settled
from specgen.ir.model import (
    ACTIVATION,
    ApplyMap,
    CallFunction,
    CallPart,
    Function,
    Mixture,
    Module,
    Part,
    Tensor,
    Weight,
)
from specgen.ir.visit import walk
from specgen.records import dataclass

ANNOTATIONS: Final[Mapping[str, str]] = {
    "size": "int",
    "count": "int",
    "real": "float",
    "flag": "bool",
    "choice": "str",
    "dtype": "str",
    "counts": "tuple[int, ...]",
    "reals": "tuple[float, ...]",
}

#: As many arguments are given by position; more are named, and so are literals.
POSITIONAL: Final = 4


@dataclass
class Constructor:
    """Writes the constructor of one module's class.

    `constructors` says what those of the parts take; `used` what the methods, which are written
    before it, want kept.
    """

    plan: FilePlan
    module: Module
    constructors: Mapping[str, Sequence[str]]
    used: Used = field(default_factory=Used)
    stacked: bool = False

    def __post_init__(self) -> None:
        self.needed: dict[str, None] = {}  # own params that the constructor takes
        self.lets: dict[str, None] = {}  # own lets that the constructor computes for itself
        self.takes_config = self.is_root

    @property
    def name(self) -> str:
        return self.plan.class_names[self.module.id]

    def summary(self) -> str:
        return quote(self.module.title or self.module.name) + "."

    def constructor_names(self) -> list[str]:
        """What the constructor takes, once the class is written; a count is understood."""
        return [*(["config"] if self.takes_config else []), *self.parameters()]

    @property
    def is_root(self) -> bool:
        return self.module.id == self.plan.program.root

    @cached_property
    def own(self) -> frozenset[str]:
        return frozenset() if self.is_root else frozenset(p.name for p in self.module.params)

    @cached_property
    def given(self) -> Mapping[str, Expr]:
        """The own params that the constructor reads from Config, in the model's names."""
        return {} if self.is_root or self.stacked else self.plan.given(self.module)

    @cached_property
    def own_lets(self) -> Mapping[str, Expr]:
        """The module's lets, without what the arguments decide."""
        if self.is_root:
            return {}
        constant = {name: expr for name, expr in self.given.items() if isinstance(expr, Const)}
        return {
            name: settled(substitute(expr, constant))
            for name, expr in self.module.let_table.items()
        }

    # ---- names inside the constructor

    def naming(self, sym: Sym) -> Node:
        """A name as the constructor writes it."""
        name = sym.name
        if name in self.given:
            return self.argument(self.given[name], whole(sym), self.in_config)
        if name in self.own:
            self.needed.setdefault(name)
            return Atom(self.plan.parameter(name, self.stacked))
        if name in self.own_lets:
            if name in self.used.attributes:
                return Attribute(SELF, self.plan.kept(self.module, name))
            self.lets.setdefault(name)
            return Atom(self.plan.variable(name))
        if sym.kind == "index":
            return Atom(self.plan.variable(name))
        return self.in_config(sym)

    def in_config(self, sym: Sym) -> Node:
        self.takes_config = True
        return Attribute(Atom("config"), variable(sym.name))

    def kept(self, sym: Sym) -> Node:
        """A name as a method writes it: kept by the constructor."""
        self.used.attributes.setdefault(sym.name)
        return Attribute(SELF, self.plan.kept(self.module, sym.name))

    def size(self, expr: Expr) -> Node:
        return sizes.size(expr, self.naming)

    def argument(self, expr: Expr, whole: bool, naming: sizes.Naming | None = None) -> Node:
        """The value of a param or a let, a whole number or any."""
        return sizes.written(expr, naming or self.naming, exact=whole)

    # ---- the constructor

    def constructor(self) -> list[str]:
        rows = self.rows()
        lets = self.let_lines()
        attributes = self.attributes()
        arguments = ["config: Config"] if self.takes_config else []
        arguments += ["count: int"] if self.stacked else []
        annotations = {p.name: ANNOTATIONS[p.kind] for p in self.module.params}
        arguments += [
            f"{self.plan.parameter(name, self.stacked)}: {annotations[name]}"
            for name in self.parameters()
        ]
        head = definition("__init__", ["self", *arguments], "None", 1)
        return [*head, f"{INDENT * 2}super().__init__()", *attributes, *lets, *rows]

    def attributes(self) -> list[str]:
        """The lines that keep params and the model's lets for the methods."""
        order = [name for m in (self.module, self.plan.program.model) for name in declared(m)]
        return [
            line
            for name in dict.fromkeys(order)
            if name in self.used.attributes and name not in self.own_lets
            for line in layout.lines(
                f"self.{self.plan.kept(self.module, name)} = ", self.naming(Sym(name)), 2
            )
        ]

    def parameters(self) -> list[str]:
        """The module's own params that its constructor takes, in the order of the table."""
        return [p.name for p in self.module.params if p.name in self.needed]

    def let_lines(self) -> list[str]:
        """The module's lets that are in use, each after those that it uses."""
        lines: dict[str, list[str]] = {}
        for name, expr in reversed(list(self.own_lets.items())):  # a let uses only those before it
            if name in self.used.attributes or name in self.lets:
                kept = name in self.used.attributes
                own = self.plan.kept(self.module, name)
                target = f"self.{own}" if kept else self.plan.variable(name)
                value = self.argument(expr, self.plan.is_whole(self.module, expr))
                lines[name] = layout.lines(f"{target} = ", value, 2)
        return [line for name in self.own_lets for line in lines.get(name, [])]

    # ---- rows and parts

    def rows(self) -> list[str]:
        """The lines that make the rows and parts."""
        lines: list[str] = []
        for name in self.in_order_of_use():
            tensors = [row for row in self.module.tensors_named(name) if row.target is None]
            parts = self.module.parts_named(name)
            classes = list(dict.fromkeys(self.made_of(part) for part in parts))
            made: list[tuple[Expr, list[str]]] = [
                (row.condition, self.row_lines(row, 2 + (row.condition != TRUE))) for row in tensors
            ]
            made += self.biases_alone(name)
            for part in parts:
                kind = f": {' | '.join(classes)}" if len(classes) > 1 and part is parts[0] else ""
                made.append(
                    (part.condition, self.part_lines(part, kind, 2 + (part.condition != TRUE)))
                )
            lines += self.alternatives(made)
        return [*lines, *self.cache_rows()]

    def cache_rows(self) -> list[str]:
        """The line that says what a cache keeps for the module: sizes but for batch and tokens."""
        rows: dict[str, Node] = {}
        for row in self.module.caches:
            dims = [self.size(dim) for dim in row.shape]
            dims[0], dims[row.shape.index(Sym(row.along))] = Atom('"B"'), Atom('"T"')
            rows[row.name] = layout.grouping(dims)
        return layout.lines("self.cache_rows = ", layout.mapping(rows), 2) if rows else []

    def alternatives(self, made: Sequence[tuple[Expr, list[str]]]) -> list[str]:
        """Rows of one name, each under its condition on an index."""
        lines: list[str] = []
        before: list[Expr] = []
        for condition, inner in made:
            if condition == TRUE:
                lines += inner
                continue
            if len(before) == 1 and negation(before[0]) == condition:
                lines.append(f"{INDENT * 2}else:")
            else:
                keyword = "elif" if before else "if"
                test = sizes.condition(condition, self.naming)
                lines += layout.lines(f"{keyword} ", test, 2, ":")
            before.append(condition)
            lines += inner
        return lines

    def in_order_of_use(self) -> list[str]:
        """Names of rows and parts: those used first come first, unused ones last."""
        found: dict[str, None] = {}
        functions = {f.name: f for f in self.module.functions}

        def follow(function: Function, depth: int) -> None:
            for value in walk(function.body, operands_first=True):
                match value:
                    case Weight(row=name) | ApplyMap(row=name):
                        found.setdefault(name)
                    case CallPart(part=name) | Mixture(part=name):
                        found.setdefault(name)
                    case CallFunction(function=name, method=True) if depth:
                        follow(functions[name], depth - 1)

        for function in (*self.module.forwards, *self.module.functions):
            follow(function, len(functions))
        rest = [part.name for part in self.module.parts]
        rest += [row.name for row in self.module.tensors if row.kind != "bias"]
        return list(dict.fromkeys([*found, *rest]))

    def row_lines(self, row: Tensor, indent: int) -> list[str]:
        """The lines that make a row, and the bias of a map with it."""
        dtype = []
        if row.compute != ACTIVATION:
            dtype = [KeywordArgument("dtype", Atom(f"torch.{DTYPES[row.compute].torch}"))]
        shape = [self.size(dim) for dim in row.shape]
        target = f"self.{attribute(row.name)} = "
        if self.stacked:
            lines = []
            for stacked in (row, *self.module.tensors_named(f"{row.name}.bias")):
                name = attribute(stacked.name.replace(".", "_"))
                dims = [self.size(dim) for dim in stacked.shape]
                lines += self.described(
                    f"self.{name} = ", parameter([Atom("count"), *dims, *dtype]), stacked, indent
                )
            return lines
        if row.kind != "map":
            made = parameter([*shape, *dtype], has_gradient=row.compute not in INTEGERS)
            return self.described(target, made, row, indent)
        biases = self.module.tensors_named(f"{row.name}.bias")
        bias: Node = Atom("False")
        if biases:
            condition = disjunction(*(bias.condition for bias in biases))
            bias = Atom("True")
            if condition != TRUE:
                bias = sizes.condition(condition, self.naming)
        given = [] if bias == Atom("True") else [KeywordArgument("bias", bias)]
        linear = call("nn.Linear", shape[1], shape[0], *given, *dtype)
        return self.described(target, linear, row, indent)

    def biases_alone(self, name: str) -> Iterator[tuple[Expr, list[str]]]:
        """Biases of rows that are another row's: what is added where that one is applied.

        They are called as those of a map, so that a checkpoint finds either.
        """
        for row in self.module.tensors_named(name):
            for bias in self.module.tensors_named(f"{name}.bias") if row.target is not None else ():
                condition = conjunction(row.condition, bias.condition)
                dtype = []
                if bias.compute != ACTIVATION:
                    dtype = [KeywordArgument("dtype", Atom(f"torch.{DTYPES[bias.compute].torch}"))]
                values = call("torch.empty", *map(self.size, bias.shape), *dtype)
                held = call("nn.ParameterDict", layout.mapping({"bias": values}))
                prefix, indent = f"self.{attribute(name)} = ", 2 + (condition != TRUE)
                yield condition, self.described(prefix, held, bias, indent)

    def described(self, prefix: str, node: Node, row: Tensor | Part, indent: int) -> list[str]:
        """The statement with the row's description behind it, or above it."""
        return layout.remarked(
            layout.lines(prefix, node, indent),
            None if row.description is None else quote(row.description),
            indent,
        )

    def made_of(self, part: Part) -> str:
        """The class of what stands under a part's name."""
        is_list = part.count is not None and not self.plan.is_stacked(part)
        return "nn.ModuleList" if is_list else self.plan.class_of(part)

    def part_lines(self, part: Part, kind: str, indent: int) -> list[str]:
        made: Node = self.made(part)
        if part.count is not None and not self.plan.is_stacked(part):
            made = self.listed(part, made)
        return self.described(f"self.{attribute(part.name)}{kind} = ", made, part, indent)

    def made(self, part: Part) -> Bracketed:
        """One instance of a part, or its stack."""
        child = self.plan.program.modules[part.module]
        given: list[Node | KeywordArgument] = []
        needed = self.constructors[self.plan.class_of(part)]
        if "config" in needed:
            self.takes_config = True
            given.append(Atom("config"))
        if self.plan.is_stacked(part):
            assert part.count is not None
            given.append(self.size(part.count))
        named = [p for p in child.params if p.name in needed]
        by_name = len(named) > POSITIONAL
        for param in named:
            expr = part.arguments[param.name]
            node = self.argument(expr, param.kind in ("size", "count"))
            by_name = by_name or is_literal(expr)
            name = self.plan.parameter(param.name, self.plan.is_stacked(part))
            given.append(KeywordArgument(name, node) if by_name else node)
        return call(self.plan.class_of(part), *given)

    def listed(self, part: Part, made: Node) -> Node:
        """A list of instances, one for each value of the index."""
        assert part.count is not None
        index = self.plan.variable(part.index or "_")
        used = part.index is not None and index in words(flat(made))
        source = call("range", self.size(part.count))
        return call("nn.ModuleList", Comprehension(made, index if used else "_", source))


def is_literal(expr: Expr) -> bool:
    """Whether a value does not say by itself what it is for."""
    match expr:
        case Const():
            return True
        case Apply(op="list"):
            return True
        case _:
            return False


def parameter(items: Sequence[Node | KeywordArgument], has_gradient: bool = True) -> Node:
    """A parameter without values; torch has gradients of floats only."""
    fixed = [] if has_gradient else [KeywordArgument("requires_grad", Atom("False"))]
    return call("nn.Parameter", call("torch.empty", *items), *fixed)


def words(text: str) -> set[str]:
    """The names in a piece of Python."""
    return set("".join(c if c.isalnum() or c == "_" else " " for c in text).split())
