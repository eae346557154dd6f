"""Signatures of forwards and functions, and how a call binds their shape variables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field

from specgen.diagnostics.diagnostic import FIRST, Label
from specgen.diagnostics.source import Span
from specgen.expr.node import LISTS, ONE, Expr, Kind, Sym, substitute, symbols
from specgen.expr.solving import solve
from specgen.frontend.scope import Scope, Unresolved
from specgen.ir.model import ACTIVATION, REST, SCALAR, Arg, Type
from specgen.language import tree
from specgen.ops.context import Typing, dtype_text, size_text, type_text
from specgen.records import dataclass

#: Platform operations that a body may be declared equal to.
INTRINSICS = (
    "scaled_dot_product_attention",
    "causal_mask",
    "rotary_embedding",
    "rotary_embedding_interleaved",
    "rms_norm",
    "layer_norm",
    "gelu",
    "gelu_tanh",
)


@dataclass(frozen=True, slots=True)
class Signature:
    """Argument and result types; `axes` are the shape variables that a call binds."""

    args: tuple[Arg, ...]
    result_names: tuple[str, ...]
    results: tuple[Type, ...]
    axes: frozenset[str]
    kinds: Mapping[str, Kind]  # of compile-time arguments

    def substituted(self, values: Mapping[str, Expr]) -> Signature:
        """The signature in a caller's names."""
        return Signature(
            tuple(Arg(a.name, substituted_type(a.type, values)) for a in self.args),
            self.result_names,
            tuple(substituted_type(t, values) for t in self.results),
            self.axes,
            self.kinds,
        )


def substituted_type(type_: Type, values: Mapping[str, Expr]) -> Type:
    return Type(type_.dtype, tuple(substitute(dim, values) for dim in type_.shape))


def signature(
    node: tree.ForwardSyntax | tree.FunctionSyntax, scope: Scope
) -> tuple[Signature, Scope]:
    """The signature, and the scope of the body: `scope` with shape variables and scalars.

    Raises:
        Unresolved: after reporting an unknown name in a shape.
    """
    axes: dict[str, Sym] = {}
    kinds: dict[str, Kind] = {}
    for argument in node.arguments:
        if isinstance(argument.type, tree.ScalarTypeSyntax):
            kinds[argument.name] = argument.type.kind  # type: ignore[assignment]  # PTYPE
            if argument.type.kind in LISTS:
                scope.diagnostics.report("E0460", argument.span, name=argument.name)
            continue
        for name in capitals(argument.type.shape.dims):
            if name not in scope.symbols and name not in scope.lets:
                axes[name] = Sym(name, "axis")
    if scope.definition is not None:
        for row in scope.definition.tree.caches:
            for name in capitals(row.shape.dims):
                if name not in scope.symbols and name not in scope.lets:
                    axes.setdefault(name, Sym(name, "axis"))
    scalars = [Sym(name, kind) for name, kind in kinds.items()]
    inner = scope.child([*axes.values(), *scalars])
    args = []
    for argument in node.arguments:
        if isinstance(argument.type, tree.ScalarTypeSyntax):
            args.append(Arg(argument.name, Type(SCALAR, ())))
        else:
            args.append(Arg(argument.name, tensor_type(argument.type, inner)))
        if [a.name for a in args].count(argument.name) > 1:
            first = next(a.span for a in node.arguments if a.name == argument.name)
            labels = [Label(first, FIRST)]
            scope.diagnostics.report("E0405", argument.span, name=argument.name, labels=labels)
    results = []
    for item in node.result.items:
        assert isinstance(item.type, tree.TensorTypeSyntax)
        results.append(tensor_type(item.type, inner))
    if node.intrinsic is not None and node.intrinsic not in INTRINSICS:
        scope.diagnostics.report(
            "E0408", node.span, name=node.intrinsic, known=", ".join(INTRINSICS)
        )
    names = tuple(item.name for item in node.result.items)
    return Signature(tuple(args), names, tuple(results), frozenset(axes), kinds), inner


def tensor_type(node: tree.TensorTypeSyntax, scope: Scope) -> Type:
    """The type that a tree means in a scope.

    Raises:
        Unresolved: after reporting an unknown name.
    """
    dims: list[Expr] = []
    for position, dim in enumerate(node.shape.dims):
        if isinstance(dim, tree.RestSyntax):
            if position:
                scope.diagnostics.report("E0409", dim.span)
                raise Unresolved
            dims.append(REST)
        else:
            dims.append(scope.number(dim))
    return Type(node.dtype or ACTIVATION, tuple(dims))


def capitals(dims: Sequence[tree.Expression | tree.RestSyntax]) -> Iterator[str]:
    """The names in a shape that may be shape variables: those that begin with a capital."""
    for dim in dims:
        if not isinstance(dim, tree.RestSyntax):
            for path in paths(dim):
                if len(path.names) == 1 and path.names[0][0].isupper():
                    yield path.names[0]


def paths(node: tree.Expression) -> Iterator[tree.PathSyntax]:
    match node:
        case tree.PathSyntax():
            yield node
        case tree.OperationSyntax(operands=operands):
            for operand in operands:
                yield from paths(operand)
        case tree.CallSyntax(arguments=arguments):
            for argument in arguments:
                yield from paths(argument)
        case _:
            return


@dataclass
class ShapeBinding:
    """Shape variables bound while the arguments of one call are matched."""

    typing: Typing
    axes: frozenset[str]
    dims: dict[str, Expr] = field(default_factory=dict)
    rest: tuple[Expr, ...] | None = None
    later: list[tuple[Expr, Expr, Type, Type, Span, str]] = field(default_factory=list)

    def match(self, name: str, formal: Type, actual: Type, span: Span) -> None:
        """Matches one argument; dims that need variables bound elsewhere wait for `finish`."""
        fail = self.typing.fail
        if formal.dtype != actual.dtype:
            help_ = None
            if actual.dtype != SCALAR and formal.dtype != SCALAR:
                target = "like = ..." if formal.dtype == ACTIVATION else formal.dtype
                help_ = f"`cast(..., {target})` converts it"
            fail(
                "E0433",
                span,
                help=help_,
                name=name,
                expected=dtype_text(formal.dtype),
                found=dtype_text(actual.dtype),
            )
        formals, actuals = list(formal.shape), list(actual.shape)
        if formals and formals[0] == REST:
            formals = formals[1:]
            if len(actuals) < len(formals):
                self.mismatch(name, formal, actual, span)
            rest = tuple(actuals[: len(actuals) - len(formals)])
            actuals = actuals[len(rest) :]
            if self.rest is None:
                self.rest = rest
            elif not self.same_rest(rest):
                self.mismatch(name, formal, actual, span)
        if len(formals) != len(actuals) or REST in actuals:
            self.mismatch(name, formal, actual, span)
        for want, have in zip(formals, actuals, strict=True):
            if isinstance(want, Sym) and want.name in self.axes:
                known = self.dims.setdefault(want.name, have)
                if not self.typing.equal(known, have):
                    self.mismatch(name, formal, actual, span, known, have)
            else:
                self.later.append((want, have, formal, actual, span, name))

    def same_rest(self, rest: tuple[Expr, ...]) -> bool:
        assert self.rest is not None
        return len(rest) == len(self.rest) and all(
            self.typing.equal(a, b) for a, b in zip(rest, self.rest, strict=True)
        )

    def finish(self) -> None:
        """Solves the dims that mix variables and sizes, then compares all of them."""
        for step in solve([[want for want, *_ in self.later]], self.axes - self.dims.keys()):
            _, have, _, _, span, _ = self.later[step.axis]
            divisor = substitute(step.divisor, self.dims)
            self.dims[step.name] = (
                have if divisor == ONE else self.typing.quotient(have, divisor, span)
            )
        for want, have, formal, actual, span, name in self.later:
            open_axes = [n for n in symbols(want) if n in self.axes and n not in self.dims]
            if open_axes:
                self.typing.fail("E0434", span, axes=", ".join(sorted(open_axes)))
            bound = substitute(want, self.dims)
            if not self.typing.equal(bound, have):
                self.mismatch(name, formal, actual, span, bound, have)

    def mismatch(
        self,
        name: str,
        formal: Type,
        actual: Type,
        span: Span,
        want: Expr | None = None,
        have: Expr | None = None,
    ) -> None:
        shown = substituted_type(formal, self.dims)
        detail = ""
        if want is not None and have is not None:
            detail = f": {size_text(want)} is not {size_text(have)}"
        self.typing.fail(
            "E0430",
            span,
            name=name,
            expected=type_text(shown),
            found=type_text(actual),
            detail=detail,
        )

    def result(self, type_: Type) -> Type:
        dims: list[Expr] = []
        for dim in type_.shape:
            # A dim that an argument has in the same words keeps that argument's words.
            given = next((have for want, have, *_ in self.later if want == dim), None)
            if given is not None:
                dims.append(given)
            elif dim == REST and self.rest is not None:
                dims.extend(self.rest)
            else:
                dims.append(substitute(dim, self.dims))
        return Type(type_.dtype, tuple(dims))
