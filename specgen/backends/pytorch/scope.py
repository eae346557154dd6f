"""How the names of one body are written, and what the body takes from around it.

Rows and parts become attributes of `self`, params too; shape variables are read from arguments.
What was taken is recorded for the class and the file around the body.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import field

from specgen.backends.pytorch import layout, sizes
from specgen.backends.pytorch.faults import Inexpressible
from specgen.backends.pytorch.layout import (
    Atom,
    Attribute,
    Binary,
    KeywordArgument,
    Node,
    Ternary,
    call,
    flat,
    method,
    number,
    subscript,
)
from specgen.backends.pytorch.masks import Needed, is_causal_mask, narrow_values
from specgen.backends.pytorch.ops.shape import written_range
from specgen.backends.pytorch.plan import FilePlan, declared
from specgen.backends.pytorch.quoting import attribute, function_name, literal
from specgen.backends.pytorch.rows import SELF, path_kind, place, row_below, row_tensor
from specgen.backends.pytorch.values import ValueWriter, shape_text
from specgen.backends.refusal import RefusalSite
from specgen.dtypes import DTYPES
from specgen.expr.facts import whole
from specgen.expr.node import ONE, TRUE, Expr, Sym, disjunction, walk
from specgen.expr.solving import solve, variables
from specgen.ir.model import (
    ACTIVATION,
    REST,
    SCALAR,
    Append,
    Arg,
    Assign,
    CallFunction,
    CallPart,
    Choose,
    Function,
    Mixture,
    Module,
    Scalar,
    Tensor,
)
from specgen.ir.visit import expressions, statements
from specgen.records import dataclass

CACHE = Atom("cache")
DEVICE = Atom("device")


@dataclass
class Used:
    """What the bodies of one class took from it: names to keep as attributes, and functions."""

    attributes: dict[str, None] = field(default_factory=dict)  # ordered
    functions: set[str] = field(default_factory=set)  # free functions that are called


@dataclass
class BodyScope(ABC):
    """What one body may refer to; it answers what `values.Names` asks.

    `module` is None for a free function; `stacked` where rows are picked from stacks by `e`.
    """

    plan: FilePlan
    module: Module | None
    definition: Function
    used: Used
    stacked: bool = False
    indent: int = 2

    def __post_init__(self) -> None:
        #: Where a shape variable that no argument has can be read: after how many lines, and how.
        self.places: dict[str, tuple[int, str]] = {}
        self.base = self.indent
        self.measured: set[str] = set()  # arguments of which a dim is read
        self.dims: dict[str, None] = {}  # shape variables that the body uses, in order
        self.indices: dict[tuple[Expr, str], str] = {}  # what `iota` variables hold
        self.counts: Counter[tuple[Expr, str]] = Counter()
        self.repeated: set[tuple[Expr, str]] = set()
        self.writer = ValueWriter(self)
        self.scalars = {a.name for a in self.definition.args if a.type.dtype == SCALAR}
        self.taken = {self.variable(name) for name in bound_names(self.definition)}

    @property
    def site(self) -> RefusalSite:
        """Where in the table the body stands."""
        return RefusalSite(self.module.name if self.module else "", self.definition.name)

    def fresh(self, name: str) -> str:
        """A name that the body does not use yet."""
        candidate, count = name, 1
        while candidate in self.taken:
            count += 1
            candidate = f"{name}{count}"
        self.taken.add(candidate)
        return candidate

    def shape(self, shape: Sequence[Expr]) -> str:
        return shape_text(shape, self.plan.abbreviations(self.module))

    # ---- names

    def variable(self, name: str) -> str:
        return self.plan.variable(name)

    def naming(self, sym: Sym) -> Node:
        name = sym.name
        if name in self.scalars:
            return Atom(self.variable(name))
        if self.is_param(name):
            assert self.module is not None
            self.used.attributes.setdefault(name)
            return Attribute(SELF, self.plan.kept(self.module, name))
        self.dims.setdefault(name)
        return Atom(self.dim(name))

    def param(self, name: str) -> Node | None:
        return self.naming(Sym(name)) if self.is_param(name) else None

    def has_row(self, row: str) -> bool | None:
        rows = self.module.tensors_named(row) if self.module is not None else ()
        fits = all(r.condition == TRUE and r.compute == ACTIVATION for r in rows)
        return bool(rows) if fits and not self.stacked else None

    def is_optional(self, name: str) -> bool:
        return self.plan.is_optional(self.module, self.definition, name)

    def may_lack(self, arg: Arg) -> bool:
        """Whether an argument may be None where the body reads a size."""
        return self.is_optional(arg.name) and not is_causal_mask(self.definition)

    def differ(self, one: Expr, other: Expr) -> bool:
        return self.plan.differ(self.definition, one, other)

    def is_param(self, name: str) -> bool:
        """Whether a name is a param or let of the module, or of the model around it."""
        if self.module is None:
            return False
        modules = [self.module, *([self.plan.program.model] if self.module.lexical else [])]
        return any(name in declared(module) for module in modules)

    def size(self, expr: Expr) -> Node:
        return sizes.size(expr, self.naming)

    def real(self, expr: Expr) -> Node:
        return sizes.real(expr, self.naming)

    def condition(self, expr: Expr) -> Node:
        return sizes.condition(expr, self.naming)

    def chosen(self, name: str, written: Callable[[Tensor], Node]) -> Node:
        """What is written of a row; of alternatives, of the one whose condition on an index holds."""
        assert self.module is not None
        *others, last = self.module.tensors_named(name)
        node = written(last)
        for row in reversed(others):
            other = written(row)
            if flat(other) != flat(node):
                node = Ternary(other, self.condition(row.condition), node)
        return node

    def weight(self, row: str) -> Node:
        if self.module is None:  # a storage format: its tensors are arguments
            return Atom(self.variable(row))

        def written(tensor: Tensor) -> Node:
            if tensor.target is not None:
                return self.shared(tensor)
            return row_tensor(self.plan, tensor, self.stacked)

        return self.chosen(row, written)

    def shared(self, tensor: Tensor) -> Node:
        """The tensor of a row that another has: within this module, or handed in by the caller."""
        assert self.module is not None
        target = tensor.target or ""
        within = self.module.is_within(target)
        return place(target, tensor.kind) if within else self.handed_in(target)

    def handed_in(self, target: str) -> Node:
        """A row of the model, here, or as a module below it is handed it."""
        assert self.module is not None
        if self.module.id == self.plan.program.root:
            return place(target, path_kind(self.plan.program, self.module, target))
        return Atom(self.plan.shared_name(target))

    def shared_with(self, part: str) -> list[Node]:
        """The arguments that hand a part the rows that it shares."""
        assert self.module is not None
        module = self.plan.program.modules[self.module.parts_named(part)[0].module]
        return [self.handed_in(target) for target in self.plan.outer(module)]

    def apply_map(self, row: str, value: Node) -> Node:
        assert self.module is not None
        biases = self.module.tensors_named(f"{row}.bias")

        def written(tensor: Tensor) -> Node:
            if tensor.target is None:
                return call(Attribute(SELF, attribute(row)), value)
            given: list[Node] = []
            for bias in biases[:1]:
                exists = disjunction(*(one.condition for one in biases))
                added = row_tensor(self.plan, bias, False)
                given = [
                    added
                    if exists == TRUE
                    else Ternary(added, self.condition(exists), Atom("None"))
                ]
            return call("F.linear", value, self.shared(tensor), *given)

        if not self.stacked:
            return self.chosen(row, written)
        applied: Node = call("linear_rows", value, self.weight(row))
        for bias in biases:
            applied = Binary("+", applied, row_tensor(self.plan, bias, True))
        return applied

    def is_repeated(self, part: str) -> bool:
        assert self.module is not None
        return self.module.parts_named(part)[0].count is not None

    def cache_of(self, part: str) -> list[Node]:
        """The argument that hands a part its cache, if it has one."""
        assert self.module is not None
        if part not in self.plan.cached_parts(self.module):
            return []
        cache = self.cache_with(part)
        return [cache if cache == CACHE else Ternary(cache, CACHE, Atom("None"))]

    def cache_with(self, name: str) -> Node:
        """The cache that has a row, or the rows of a part: of the model one of several, perhaps."""
        assert self.module is not None
        if self.module.id != self.plan.program.root or not self.plan.has_caches:
            return CACHE
        return subscript(CACHE, Atom(literal(self.plan.stretches[name])))

    def call_part(self, value: CallPart, arguments: Sequence[Node]) -> Node:
        called = Attribute(SELF, attribute(value.part))
        return call(called, *arguments, *self.handed_to(value.part))

    def handed_to(self, part: str) -> list[Node]:
        """What a part is given beside the table's arguments: rows that it shares, and its cache."""
        return [*self.shared_with(part), *self.device_of(part), *self.cache_of(part)]

    def device_of(self, part: str) -> list[Node]:
        """The argument that tells a part without tensors where to make some."""
        assert self.module is not None
        modules = (self.plan.program.modules[p.module] for p in self.module.parts_named(part))
        needed = any(self.plan.needs_device(m, f) for m in modules for f in m.forwards)
        return [self.device()] if needed else []

    def call_function(self, value: CallFunction) -> Node:
        if value.method and self.module is not None:
            called = next(f for f in self.module.functions if f.name == value.function)
        else:
            called = self.plan.program.functions[value.function]
        arguments = [
            self.size(given.expr)
            if isinstance(given, Scalar) and is_size(called, arg.name)
            else self.writer.write(given)
            for arg, given in zip(called.args, value.args, strict=True)
        ]
        if not value.method:
            self.used.functions.add(value.function)
            arguments += [self.device()] * self.plan.needs_device(None, called)
            narrow = narrow_values(called, value)
            if narrow is not None:
                arguments[2] = arguments[1]
            result = call(function_name(value.function), *arguments)
            return result if narrow is None else leading(result, self.size(narrow))
        assert self.module is not None
        arguments += map(self.handed_in, self.plan.outer(self.module))
        if self.plan.needs_device(self.module, called):
            arguments.append(self.device())
        cache = [CACHE] if self.plan.uses_cache(self.module, called) else []
        name = attribute(value.function)
        if self.module.id == self.plan.program.root:
            name = self.plan.inner.get(value.function, name)
        return call(Attribute(SELF, name), *arguments, *cache)

    def mixture(self, value: Mixture, arguments: Sequence[Node]) -> Node:
        assert self.module is not None
        row = Attribute(SELF, attribute(value.part))
        if self.plan.is_stacked(self.module.parts_named(value.part)[0]):
            return call(row, *arguments)
        handed = ["x", *map(flat, self.shared_with(value.part))]
        one = f"lambda e, x: {flat(row)}[e]({', '.join(handed)})"
        return call("mixture", Atom(one), call("len", row), *arguments)

    @abstractmethod
    def append(self, value: Append, new: Node) -> Node: ...

    def choose(self, value: Choose) -> Node:
        test = self.condition(value.condition)
        return Ternary(self.writer.write(value.then), test, self.writer.write(value.otherwise))

    def working_dtype(self) -> Node:
        return Attribute(self.at_hand({ACTIVATION}), "dtype")

    def device(self) -> Node:
        if self.plan.needs_device(self.module, self.definition):
            return DEVICE
        return Attribute(self.at_hand(None), "device")

    def at_hand(self, dtypes: set[str] | None) -> Node:
        """An argument, else a row, of one of the dtypes, or of any."""
        for arg in self.definition.args:
            if arg.type.dtype != SCALAR and (dtypes is None or arg.type.dtype in dtypes):
                return Atom(self.variable(arg.name))
        if self.module is not None:
            found = self.row_at_hand(self.module, dtypes)
            if found is not None:
                return found
        raise Inexpressible("nothing here has the working dtype", self.site)

    def row_at_hand(self, module: Module, dtypes: set[str] | None) -> Node | None:
        """A row of the module, else one that it is handed, else one below its parts."""
        for row in module.tensors:
            if dtypes is not None and row.compute not in dtypes:
                continue
            if row.target is None:
                return row_tensor(self.plan, row, self.stacked)
            return self.shared(row)
        handed = self.plan.outer(module)
        if handed and dtypes is None:
            return Atom(self.plan.shared_name(handed[0]))
        return row_below(self.plan, module, SELF, dtypes)

    # ---- indices

    def iota(self, n: Expr, dtype: str) -> Node:
        """0 to n - 1; a variable holds it if it is long or needed more than once."""
        self.counts[n, dtype] += 1
        if (n, dtype) in self.repeated or dtype != "i64":
            if (n, dtype) not in self.indices:
                name = next(c for c in ("i", "j", "k", "i2", "j2", "k2") if c not in self.taken)
                self.indices[n, dtype] = self.fresh(name)
            return Atom(self.indices[n, dtype])
        return self.arange(n, dtype)

    def numbers(self, members: Expr, dtype: str) -> Node:
        torch_dtype = KeywordArgument("dtype", Atom(f"torch.{DTYPES[dtype].torch}"))
        return call(
            "torch.tensor",
            self.real(members),
            torch_dtype,
            KeywordArgument("device", self.device()),
        )

    def filled(self, number: Expr, dtype: str) -> Node:
        """A number as a tensor without dims, rounded to the dtype."""
        if dtype == ACTIVATION:
            return method(self.at_hand({ACTIVATION}), "new_full", Atom("()"), self.real(number))
        torch_dtype = KeywordArgument("dtype", Atom(f"torch.{DTYPES[dtype].torch}"))
        device = KeywordArgument("device", self.device())
        return call("torch.full", Atom("()"), self.real(number), torch_dtype, device)

    def arange(self, n: Expr, dtype: str) -> Node:
        keywords = [KeywordArgument("device", self.device())]
        if dtype != "i64":
            keywords.insert(0, KeywordArgument("dtype", Atom(f"torch.{DTYPES[dtype].torch}")))
        return call("torch.arange", self.size(n), *keywords)

    def index_lines(self) -> list[str]:
        lines = []
        for (n, dtype), name in self.indices.items():
            made = layout.lines(f"{name} = ", self.arange(n, dtype), self.indent)
            lines += layout.remarked(made, self.shape((n,)), self.indent)
        return lines

    # ---- shape variables

    def shape_variables(self) -> list[str]:
        """The lines that take the shape variables in use from the arguments."""
        lines: list[str] = []
        factors = self.factors()
        left = [name for name in self.dims if name not in {*factors, *self.places}]
        for arg in self.definition.args:
            if arg.type.dtype == SCALAR or self.may_lack(arg):
                continue
            here = [n for n in left if Sym(n) in arg.type.shape]
            if not here:
                continue
            left = [n for n in left if n not in here]
            self.measured.add(arg.name)
            lines.append(layout.INDENT * self.indent + self.unpacked(arg, here))
        masks = (arg for arg in self.definition.args if self.may_lack(arg))
        if any(Sym(name) in mask.type.shape for mask in masks for name in left):
            raise Needed
        if left:
            raise Inexpressible(f"no argument of a forward has `{left[0]}` for a dim", self.site)
        for name, node in factors.items():
            lines += layout.lines(f"{self.dim(name)} = ", node, self.indent)
        return lines

    def factors(self) -> dict[str, Node]:
        """The shape variables in use that are no dims of their own: G where a dim is `K × G`."""
        args = [arg for arg in self.definition.args if arg.type.dtype != SCALAR]
        shapes = [[dim for dim in arg.type.shape if dim != REST] for arg in args]
        found: dict[str, Node] = {}
        # The last needs no other; what a quotient divides by may be one of those before it.
        for step in reversed(solve(shapes, variables(shapes))):
            if step.name not in self.dims or step.divisor == ONE:
                continue
            arg = args[step.argument]
            place = step.axis if REST in arg.type.shape else step.axis + len(arg.type.shape)
            whole = method(Atom(self.variable(arg.name)), "size", number(place))
            found[step.name] = layout.Binary("//", whole, self.size(step.divisor))
        return dict(reversed(found.items()))

    def unpacked(self, arg: Arg, names: Sequence[str]) -> str:
        shape, value = arg.type.shape, self.variable(arg.name)
        if len(names) == 1:
            axis = shape.index(Sym(names[0]))
            axis -= len(shape) if REST in shape else 0
            return f"{self.dim(names[0])} = {value}.size({axis})"
        targets = [
            self.dim(dim.name) if isinstance(dim, Sym) and dim.name in names else "_"
            for dim in shape
            if dim != REST
        ]
        rest = ["*_"] if REST in shape else []
        return f"{', '.join([*rest, *targets])} = {value}.shape"

    def dim(self, name: str) -> str:
        return self.plan.variable(name)


def leading(value: Node, size: Node) -> Node:
    """The first features of a value."""
    return subscript(value, Atom("..."), written_range(None, size))


def is_size(function: Function, name: str) -> bool:
    """Whether a compile-time argument is a whole number, as the body uses it."""
    return any(
        isinstance(part, Sym) and part.name == name and whole(part)
        for expr in expressions(function.body)
        for part in walk(expr)
    )


def bound_names(function: Function) -> set[str]:
    """Arguments and variables of a function."""
    assigned = (s for s in statements(function.body) if isinstance(s, Assign))
    return {arg.name for arg in function.args}.union(*(statement.names for statement in assigned))
