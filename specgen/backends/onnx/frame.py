"""Where the walk stands: the module or function being carried out, its names and its rows.

Binds names; carries nothing out and adds no node.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, replace

from specgen.analysis.dataflow.costs import Saving
from specgen.backends.onnx import dims
from specgen.backends.onnx.definitions import Definitions
from specgen.backends.onnx.dims import DimExtent, Environment, Shape
from specgen.backends.onnx.graph import Graph
from specgen.backends.onnx.instances import Read
from specgen.backends.onnx.lowering import Operand, dtype_in_graph
from specgen.backends.onnx.nodes import Edge
from specgen.backends.onnx.options import CacheForm
from specgen.backends.onnx.recording import Recordings
from specgen.backends.onnx.weights import Weights
from specgen.expr.evaluate import EvaluationError, Value
from specgen.expr.node import Expr
from specgen.expr.solving import solve, variables
from specgen.ir import model as ir
from specgen.ir.model import REST, SCALAR
from specgen.ir.verify import InternalFault
from specgen.records import dataclass


@dataclass(slots=True)
class WalkState:
    """What the whole walk shares.

    `compute` is the dtype of activations.  `scope` holds the model's compile-time names and
    `lengths` its shape variables.  `recordings` are instances that were walked, None where each is to be walked for
    itself.  `pasts` and `presents` are the caches that were appended to, by name, and `caches`
    their names by place in the table, `layers` the layer of each.  `savings` are the forwards of modules that are cheaper
    than the main one for few new tokens, and `forms` those that modules have in every call.  `cache` is how those of a static graph are kept, and
    `start` i64 [1] the slot that its new rows begin at.  `definitions` are the functions of the model, None
    where it has none; `landmarks` the results of repeated parts; `inside` is whether one of them is being written.
    """

    program: ir.Program
    graph: Graph
    weights: Weights
    compute: str
    scope: Environment
    lengths: Environment
    recordings: Recordings | None = None
    pasts: dict[str, Edge] = field(default_factory=dict)
    presents: dict[str, Edge] = field(default_factory=dict)
    caches: dict[str, str] = field(default_factory=dict)
    layers: dict[str, int] = field(default_factory=dict)
    savings: Mapping[str, Saving] = field(default_factory=dict)
    forms: Mapping[str, str] = field(default_factory=dict)
    landmarks: set[str] = field(default_factory=set)
    cache: CacheForm | None = None
    start: Edge | None = None
    definitions: Definitions | None = None
    inside: bool = False

    def within(self, graph: Graph) -> WalkState:
        """The state of a function, which has a graph and caches of its own."""
        return replace(
            self,
            graph=graph,
            recordings=None,
            pasts={},
            presents={},
            caches={},
            layers={},
            landmarks=set(),
            inside=True,
        )


@dataclass(frozen=True, slots=True)
class GraphFrame:
    """A forward or function being carried out.

    `path` is the module's place in the table, and `place` what the names of its nodes begin
    with.  `scope` holds the module's compile-time names, `env` the shape variables as well.
    `read` gives the stored tensor of a row by its path; `layer` is the innermost index.  `stacked`
    says that this is many instances of a mixture at once, whose rows are stacks.
    """

    state: WalkState
    module: ir.Module | None
    path: str
    place: str
    scope: Environment
    env: Environment
    read: Read
    layer: int
    values: dict[str, Operand] = field(default_factory=dict)
    stacked: bool = False

    @property
    def unpacking(self) -> bool:
        """Whether this is a storage format, which stands for no place in the table."""
        return self.module is not None and self.module.id in self.state.program.formats

    @property
    def graph(self) -> Graph:
        return self.state.graph

    @property
    def table(self) -> ir.Module:
        """The module, where the checker has seen to it that there is one."""
        if self.module is None:
            raise InternalFault(f"{self.place}: a free function uses a row or part")
        return self.module

    def name(self, last: str) -> str:
        """The name of a node of this frame."""
        return join(self.place, last)

    def dtype(self, dtype: str) -> str:
        """The dtype in the graph."""
        return dtype_in_graph(dtype, self.state.compute)

    # -- rows and parts

    def row(self, name: str) -> ir.Tensor | None:
        """The row of that name that exists here, if one does."""
        rows = self.table.tensors_named(name)
        return next((row for row in rows if dims.holds(row.condition, self.env)), None)

    def row_path(self, name: str) -> str:
        return join(self.path, name)

    def variants(self) -> tuple[str, ...]:
        """The modules of those parts of which an index of this one chooses an alternative."""
        found = []
        for name in dict.fromkeys(part.name for part in self.table.parts):
            parts = self.table.parts_named(name)
            if len(parts) > 1 and parts[0].index is None:
                chosen = (part for part in parts if dims.holds(part.condition, self.scope))
                found += [self.state.program.modules[part.module].name for part in chosen]
        return tuple(found)

    def cache(self, name: str) -> ir.Cache:
        return next(cache for cache in self.table.caches if cache.name == name)

    def instances(self, name: str) -> int | None:
        """How many instances a repeated part has; None for a part that is not repeated."""
        parts = self.table.parts_named(name)
        counts = []
        for part in parts:
            if part.count is None:
                return None
            count = dims.dim(part.count, self.env)
            if isinstance(count, DimExtent):
                raise EvaluationError(f"the number of {self.name(name)} is known only at run time")
            counts.append(count)
        if len(set(counts)) == 1:
            return counts[0]
        # Alternatives have counts of their own: there are as many as exist here.
        return sum(
            any(
                number < count and dims.holds(part.condition, {**self.env, part.index: number})
                for part, count in zip(parts, counts, strict=True)
                if part.index is not None
            )
            for number in range(max(counts))
        )

    def child(self, name: str, index: int | None) -> GraphFrame:
        """A frame for a part, or for one of its instances; an index of None stays open."""
        parts = self.table.parts_named(name)
        env, step = dict(self.env), name
        if parts[0].index is not None:
            env[parts[0].index] = dims.OPEN if index is None else index
            step = name if index is None else f"{name}.{index}"
        part = next((part for part in parts if dims.holds(part.condition, env)), None)
        if part is None:
            raise InternalFault(f"no alternative of {self.name(name)} exists here")
        module = self.state.program.modules[part.module]
        outer = self.state.scope if module.lexical else {}
        given = {key: dims.resolve_if_closed(expr, env) for key, expr in part.arguments.items()}
        path = join(self.path, step)
        scope = with_lets(module, {**outer, **given})
        return replace(
            self,
            module=module,
            path=path,
            place=path,
            scope=scope,
            env=scope,
            values={},
            layer=self.layer if index is None else index,
        )

    def enter(
        self,
        function: ir.Function,
        arguments: Sequence[Operand],
        variables: Environment | None = None,
    ) -> GraphFrame:
        """The frame with the arguments bound; `variables` are shape variables known already."""
        found = shape_variables(function, arguments, self.scope)
        named = {
            arg.name: value
            for arg, value in zip(function.args, arguments, strict=True)
            if arg.type.dtype != SCALAR
        }
        # T is the root's where no argument has it: caches grow along it.
        env = {**self.state.lengths, **found, **(variables or {}), **self.scope}
        return replace(self, env=env, values=named)


def past(state: WalkState, home: str, layer: int, dtype: str, shape: Shape) -> Edge:
    """A cache before the new values, by its place in the table: an input of the graph."""
    if home not in state.caches:  # else another forward of the module has appended to it
        key = home if state.inside else cache_key(state, home, layer)
        state.caches[home], state.layers[home] = key, layer
        name = f"{home}.past" if state.inside else f"past_key_values.{key}"
        state.pasts[key] = state.graph.edge(name, dtype, shape)
    return state.pasts[state.caches[home]]


def cache_key(state: WalkState, home: str, layer: int) -> str:
    """The layer and the cache's own name, with steps before it until no other is called so.

    Stacks in stacks have instances of one number: what is left of those is told apart by another.
    """
    *steps, own = home.split(".")
    while (key := f"{layer}.{own}") in state.pasts:
        own = f"{steps.pop()}.{own}" if steps else f"{own}.2"
    return key


def join(prefix: str, last: str) -> str:
    return f"{prefix}.{last}" if prefix else last


def with_lets(module: ir.Module, scope: Environment) -> Environment:
    """The scope with the module's lets; one without a value is absent until it is used."""
    result = dict(scope)
    for let in module.lets:
        try:
            result[let.name] = dims.resolve_if_closed(let.expr, result)
        except EvaluationError:
            result.pop(let.name, None)  # that of a module around is not meant
    return result


def shape_variables(
    function: ir.Function, arguments: Sequence[Operand], scope: Environment
) -> Mapping[str, Value | DimExtent]:
    """The names in the argument types that the scope lacks, and arguments that are numbers."""
    found: dict[str, Value | DimExtent] = {}
    formals: list[Sequence[Expr]] = []
    actuals: list[Shape] = []
    for arg, value in zip(function.args, arguments, strict=True):
        if not isinstance(value, Edge):
            found[arg.name] = value
            continue
        declared = [dim for dim in arg.type.shape if dim != REST]
        formals.append(declared)
        actuals.append(value.shape[len(value.shape) - len(declared) :])
    for step in solve(formals, variables(formals) - scope.keys()):
        try:
            divisor = dims.dim(step.divisor, {**scope, **found})
            found[step.name] = dims.divide(actuals[step.argument][step.axis], divisor)
        except EvaluationError:
            continue  # the call may say it, and else its use does
    return found
