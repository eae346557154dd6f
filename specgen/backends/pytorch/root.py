"""The class of the whole model: its forward takes tokens, and what follows from a mask.

The table's root forward has `tokens`, `positions` and `mask`; the class supplies the last two.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from specgen.analysis.dataflow.growth import growths
from specgen.backends.pytorch import layout
from specgen.backends.pytorch.bodies import BodyWriter
from specgen.backends.pytorch.classes import ClassWriter
from specgen.backends.pytorch.definitions import definition, docstring
from specgen.backends.pytorch.functions import described, returned
from specgen.backends.pytorch.initial import reset_parameters
from specgen.backends.pytorch.layout import (
    INDENT,
    Atom,
    KeywordArgument,
    Node,
    Ternary,
    call,
    grouping,
    subscript,
)
from specgen.backends.pytorch.masks import MASK, SUPPLIED, placed_like
from specgen.backends.pytorch.plan import FilePlan
from specgen.backends.pytorch.quoting import attribute, literal
from specgen.backends.pytorch.rows import SELF
from specgen.backends.pytorch.scope import CACHE, bound_names
from specgen.backends.pytorch.sources import methods
from specgen.expr.node import Expr, Sym, symbols
from specgen.expr.solving import solve, variables
from specgen.ir.model import (
    REST,
    SCALAR,
    ApplyMap,
    Arg,
    Assign,
    CallFunction,
    Function,
    Return,
    Scalar,
    Value,
    Var,
)
from specgen.ir.roots import is_language_model
from specgen.ir.visit import walk
from specgen.records import dataclass


@dataclass
class RootWriter(ClassWriter):
    """Writes `Model`, with what loads and saves checkpoints."""

    @property
    def is_cached(self) -> bool:
        return self.module.id in self.plan.cached

    @property
    def cache_kind(self) -> str:
        return "Caches" if self.plan.has_caches else "Cache"

    @property
    def cache_argument(self) -> str:
        return f"cache: {self.cache_kind} | None = None"

    @property
    def places(self) -> str:
        """The function of the runtime that says where tokens stand."""
        whole = "placed" if self.is_cached else "placed_alone"
        return whole if self.plan.is_mask_optional else f"{whole}_with_mask"

    def methods(self) -> list[list[str]]:
        """The forward, the table's own functions, and what makes a cache and first values."""
        done = [self.entrance(self.module.forwards[0])]
        for function in self.module.functions:
            inside = self.plan.inner.get(function.name)
            name = attribute(function.name)
            if inside is None:
                done.append(self.called(function, name))
                continue
            within = f"As `{name}`, of tokens that have their places, within a step."
            done.append(self.method(replace(function, description=within), inside, ""))
            done.append(self.called(forwarding(function), name))
        if self.is_cached:
            done.append(self.new_cache())
        return [*done, reset_parameters(self.plan), *methods("Checkpointed")]

    def constructor(self) -> list[str]:
        margin = INDENT * 2
        return [
            *super().constructor(),
            f"{margin}if not any(row.is_meta for row in self.parameters()):",
            f"{margin}{INDENT}self.reset_parameters()",
        ]

    def body(self, function: Function) -> BodyWriter:
        return BodyWriter(self.plan, self.module, function, self.used)

    def called(self, function: Function, name: str) -> list[str]:
        """A function as it is called from outside; where its tokens stand may be left out."""
        given = [arg for arg in function.args if arg.name in SUPPLIED]
        like = placed_like(function)
        cached = self.plan.uses_cache(self.module, function)
        body = RootBody(self.plan, self.module, function, self.used, ends=cached)
        body.begins = cached and like is None
        body.placed = frozenset(SUPPLIED if like is not None else ())
        lines = body.write()
        arguments, returns = self.signature(function, body)
        placing = []
        if like is not None:
            names = [body.variable(arg.name) for arg in given]
            arguments = [
                f"{argument.partition(':')[0]}: Tensor | None = None"
                if argument.partition(":")[0] in names
                else argument
                for argument in arguments
            ]
            placing = self.placing(function, body.variable(like.name), len(like.type.shape))
        return [
            *definition(name, ["self", *arguments], returns, 1),
            *docstring(described(function), 2, self.shapes(function)),
            *placing,
            *lines,
        ]

    def placing(self, function: Function, like: str, rank: int) -> list[str]:
        """The lines that place the tokens where the caller did not; None is a mask that hides none."""
        names = {arg.name for arg in function.args}
        positions, mask = (name if name in names else None for name in SUPPLIED)
        given: list[Node] = [Atom(like + "[..., 0]" * (rank - 2)), Atom(mask or "None")]
        given += self.cache_of_step(function)
        keyword = [KeywordArgument("positions", Atom(positions))] if positions else []
        targets = f"{positions or '_'}, {mask or '_'} = "
        return layout.lines(targets, call(self.places, *given, *keyword), 2)

    def cache_of_step(self, function: Function) -> list[Node]:
        """The cache behind whose tokens a function places its own, if it has one."""
        if not self.plan.uses_cache(self.module, function):
            return []
        cache = grown(self.plan, function)
        return [cache if cache == CACHE else Ternary(cache, CACHE, Atom("None"))]

    def attributes(self) -> list[str]:
        return [f"{INDENT * 2}self.config = config", *super().attributes()]

    def entrance(self, function: Function) -> list[str]:
        """The forward of the model; one that is no language model's takes what the table says."""
        if not is_language_model(function):
            cached = self.plan.uses_cache(self.module, function)
            body = RootBody(self.plan, self.module, function, self.used, ends=cached)
            body.begins = cached
            return self.written(function, "forward", body)
        body = RootBody(self.plan, self.module, divided(function), self.used, each=True)
        body.ends = self.plan.uses_cache(self.module, function)
        body.placed = frozenset(SUPPLIED)
        lines = body.write()
        tokens, *_ = (body.variable(arg.name) for arg in function.args)
        arguments = ["self", f"{tokens}: Tensor", "mask: Tensor | None = None"]
        arguments += [self.cache_argument] if body.ends else []
        arguments += ["last: bool = False"] if is_for_each_token(function) else []
        read = {value.name for value in walk(function.body) if isinstance(value, Var)}
        read |= body.measured
        supplied = ", ".join(name if name in read else "_" for name in SUPPLIED)
        given = [Atom(tokens), Atom("mask"), *self.cache_of_step(function)]
        margin = INDENT * 2
        text = [
            f'{margin}"""{tokens}: int64 [B, S] -> {body.shape(function.results[0].shape)}: '
            "the logits of what follows each token.",
            "",
            f"{margin}mask: [B, T], false or 0 for padding, which may stand on either side.",
        ]
        if body.ends:
            text.append(f"{margin}cache: holds the tokens before these; T counts them, too.")
        if is_for_each_token(function):
            text.append(
                f"{margin}last: only the logits of what follows the last token, [B, 1, ...]."
            )
        text.append(f'{margin}"""')
        head = definition("forward", arguments, returned(function.results), 1)
        taken = "" if supplied == "_, _" else f"{supplied} = "
        return [*head, *text, *layout.lines(taken, call(self.places, *given), 2), *lines]

    def new_cache(self) -> list[str]:
        made: Node = call("Cache", SELF, Atom("batch"), Atom("length"))
        if self.plan.has_caches:
            parts: dict[str, list[Node]] = {}
            for name, first in self.plan.stretches.items():
                unit = Atom(literal(self.plan.cache_name(name)))
                parts.setdefault(first, []).append(unit)
            groups = [grouping(names) for names in parts.values()]
            made = call("Caches.of", SELF, Atom("batch"), Atom("length"), *groups)
        return [
            *definition("new_cache", ["self", "batch: int", "length: int = 0"], self.cache_kind, 1),
            f'{INDENT * 2}"""An empty cache for sequences of at most `length` tokens; of any, if 0."""',
            *layout.lines("return ", made, 2),
        ]


def grown(plan: FilePlan, function: Function) -> Node:
    """The cache to which a function of the model appends: of several, one or some."""
    if not plan.has_caches:
        return CACHE
    return subscript(CACHE, *(Atom(literal(name)) for name in plan.grown_by(function)))


@dataclass
class RootBody(BodyWriter):
    """A body that is a whole step: it may begin one, and end one where it returns.

    With `each`, what is done for each token may be done for the last alone.  What is `placed` is
    checked where it is; the body checks other masks.
    """

    ends: bool = False
    begins: bool = False
    each: bool = False
    placed: frozenset[str] = frozenset()

    def write(self) -> list[str]:
        checks = self.checks()
        if self.begins:
            self.lines += self.beginning()
        return [*checks, *super().write()]

    def checks(self) -> list[str]:
        """The lines that refuse what is no mask, or has other sizes than the other arguments."""
        given = [
            arg
            for arg in self.definition.args
            if arg.type.dtype != SCALAR and arg.name not in self.placed and not self.may_lack(arg)
        ]
        masks = [arg for arg in given if arg.type.dtype == "bool" and REST not in arg.type.shape]
        measured = [arg for arg in given if arg.type.dtype != "bool"]
        lengths = variables([[d for d in arg.type.shape if d != REST] for arg in given])
        lines = []
        for mask in masks:
            name = self.variable(mask.name)
            sizes = (self.size_in(measured, dim, lengths) for dim in mask.type.shape)
            checked = call("shaped_mask", Atom(literal(name)), Atom(name), *sizes)
            lines += layout.lines(f"{name} = ", checked, self.indent)
            measured.append(mask)
        return lines

    def size_in(self, args: Sequence[Arg], dim: Expr, lengths: Collection[str]) -> Node:
        """The size of a dim as the arguments, or else the config, have it; -1 where they do not."""
        if not symbols(dim) & set(lengths):
            return self.size(dim)
        for arg in args:
            if dim in arg.type.shape:
                axis = arg.type.shape.index(dim)
                place = axis - len(arg.type.shape) if REST in arg.type.shape[:axis] else axis
                return layout.method(Atom(self.variable(arg.name)), "size", layout.number(place))
        return layout.number(-1)

    def beginning(self) -> list[str]:
        """The line that says how many tokens come, of how many there are then."""
        growth = growths(self.plan.program, self.definition)[0]
        axes = {growth.axis} if growth.total is None else symbols(growth.total)
        args = [arg for arg in self.definition.args if not self.may_lack(arg)]
        dims = [[dim for dim in arg.type.shape if dim != REST] for arg in args]
        known = {step.name for step in solve(dims, variables(dims))}
        given: list[Node | KeywordArgument] = [grown(self.plan, self.definition)]
        given += [self.size(growth.batch), self.size(growth.new)]
        total = Sym(growth.axis, "axis") if growth.total is None else growth.total
        if axes <= known:
            given.append(KeywordArgument("total", self.size(total)))
        if any(arg.name == MASK and arg.type.shape == (growth.batch, total) for arg in args):
            given.append(KeywordArgument("mask", Atom(self.variable(MASK))))
        margin = INDENT * self.indent
        inner = self.indent + 1
        return [f"{margin}if cache:", *layout.lines("", call("begin", *given), inner)]

    def give(self, results: Sequence[Node]) -> None:
        if self.each and is_for_each_token(self.definition):
            last = self.definition.body[-2]
            assert isinstance(last, Assign)
            margin, name = INDENT * self.indent, self.variable(last.names[0])
            self.lines += [f"{margin}if last:", f"{margin}{INDENT}{name} = {name}[:, -1:]"]
        if self.ends:
            name = self.fresh("logits" if self.each else "results")
            self.put(f"{name} = ", results[0] if len(results) == 1 else grouping(results), None)
            ended = layout.method(grown(self.plan, self.definition), "commit")
            margin = INDENT * self.indent
            self.lines += [f"{margin}if cache:", *layout.lines("", ended, self.indent + 1)]
            results = [Atom(name)]
        super().give(results)


def forwarding(function: Function) -> Function:
    """A function whose body is a call of the function itself."""
    args = tuple(
        Scalar(Sym(arg.name), (arg.type,))
        if arg.type.dtype == SCALAR
        else Var(arg.name, (arg.type,))
        for arg in function.args
    )
    dims = [[dim for dim in arg.type.shape if dim != REST] for arg in function.args]
    axes = {name: Sym(name, "axis") for name in variables(dims)}
    called = CallFunction(function.name, True, args, axes, function.results)
    return replace(function, body=(Return((called,)),))


def is_for_each_token(function: Function) -> bool:
    """Whether the model gives one result, [B, S, ...]."""
    leading = function.args[0].type.shape
    return len(function.results) == 1 and function.results[0].shape[: len(leading)] == leading


def divided(function: Function) -> Function:
    """The model's forward, what mixes tokens assigned to a variable before the return."""
    *before, last = function.body
    if not is_for_each_token(function) or not isinstance(last, Return):
        return function
    (result,) = last.values
    mixed = tokenwise_of(result)
    taken = bound_names(function)
    name = next(n for n in ("hidden", "h", *(f"h{i}" for i in range(len(taken)))) if n not in taken)
    final = replaced(result, mixed, Var(name, mixed.types))
    return replace(function, body=(*before, Assign((name,), mixed), Return((final,))))


def tokenwise_of(value: Value) -> Value:
    """What maps, and functions of `...` and a last axis, are applied to, which treat tokens alike."""
    match value:
        case ApplyMap(value=inner):
            return tokenwise_of(inner)
        case _:
            return value


def replaced(value: Value, old: Value, new: Value) -> Value:
    if value is old:
        return new
    assert isinstance(value, ApplyMap)
    return replace(value, value=replaced(value.value, old, new))
