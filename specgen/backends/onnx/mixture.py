"""A mixture of parts: only those that some token chose are evaluated, one after the other.

Or, without control flow, all at once: the chosen ones of each token, or every one for all tokens.
Knows edges; the part itself comes as a function from its rows and tokens to its result.
"""

from __future__ import annotations

from collections.abc import Callable

from specgen.backends.onnx.dims import multiply, product, symbol
from specgen.backends.onnx.graph import Graph
from specgen.backends.onnx.instances import Instances, Read
from specgen.backends.onnx.lowering import convert, elementwise, reduced
from specgen.backends.onnx.nodes import Edge, EdgeStack
from specgen.backends.onnx.stacks import stack
from specgen.records import dataclass


@dataclass(frozen=True, slots=True)
class MixtureLowering:
    """x [..., D], weights [..., k] and index i64 [..., k]: sum of weights * part[index](x).

    `part` evaluates one of the `instances` on [rows, D], reading its rows from what it is given.
    """

    graph: Graph
    name: str
    x: Edge
    weights: Edge
    index: Edge
    instances: Instances
    part: Callable[[Read, Edge], Edge]

    @property
    def count(self) -> int:
        return self.instances.count

    def evaluated(self) -> Edge:
        """The sum, by the form that the tensors' dtypes allow."""
        return self.over_all() if self.instances.scanned() else self.over_chosen()

    def over_chosen(self) -> Edge:
        """A Loop over the instances that occur in `index`, their tensors gathered or picked."""
        graph, name = self.graph, self.name
        flat = graph.reshape(f"{name}.flat", self.index, (product(self.index.shape),))
        # An equal choice elsewhere has been made already, and its length has a name.
        shape = (symbol(f"{name}.active"),)
        active = graph.one(f"{name}.active", "Unique", (flat,), "i64", shape, sorted=1)
        graph.measure(active, 0)
        with graph.body() as close:
            step = graph.edge(f"{name}.step", "i64", ())
            going = graph.edge(f"{name}.going", "bool", ())
            before = graph.edge(f"{name}.before", self.x.dtype, self.x.shape)
            which = graph.one(f"{name}.which", "Gather", (active, step), "i64", ())
            after = self._add(before, which, self.instances.reader(which))
            still = graph.one(f"{name}.still", "Identity", (going,), "bool", ())
            body = close((step, going, before), (still, after))
        # The condition is given, not left out: onnx's reference runs no step without it.
        operands = (graph.length(active.shape[0]), graph.scalar("bool", True), self._zeros())
        return graph.one(name, "Loop", operands, self.x.dtype, self.x.shape, body=body)

    def over_all(self) -> Edge:
        """A Scan over all instances that evaluates those which occur in `index`.

        A step that does nothing costs two microseconds in onnxruntime; nothing is copied.
        """
        graph, name, count = self.graph, self.name, self.count
        every = self._every()
        column = graph.reshape(f"{name}.column", every, (count, 1))
        flat = graph.reshape(f"{name}.flat", self.index, (product(self.index.shape),))
        same = elementwise(graph, f"{name}.same", "Equal", (column, flat), "bool")
        occurs = reduced(graph, f"{name}.occurs", "ReduceMax", same, -1, keep=False)
        stacks = self.instances.scanned()
        with graph.body() as close:
            before = graph.edge(f"{name}.before", self.x.dtype, self.x.shape)
            which = graph.edge(f"{name}.which", "i64", ())
            active = graph.edge(f"{name}.active", "bool", ())

            slices = {
                path: graph.edge(f"{path}.stored", stack.dtype, stack.shape[1:])
                for path, stack in stacks.items()
            }
            with graph.body() as close_then:
                added = self._add(before, which, self.instances.reader(which, slices))
                then = close_then((), (added,))
            with graph.body() as close_else:
                kept = graph.one(f"{name}.kept", "Identity", (before,), before.dtype, before.shape)
                otherwise = close_else((), (kept,))
            after = graph.one(
                f"{name}.after",
                "If",
                (active,),
                before.dtype,
                before.shape,
                then_branch=then,
                else_branch=otherwise,
            )
            body = close((before, which, active, *slices.values()), (after,))
        return graph.one(
            name,
            "Scan",
            (self._zeros(), every, occurs, *stacks.values()),
            self.x.dtype,
            self.x.shape,
            body=body,
            num_scan_inputs=2 + len(stacks),
        )

    def over_gathered(self) -> Edge:
        """For each choice of each token the part on that token, its tensors gathered; no control flow.

        Reads only what was chosen, but once for each choice.
        """
        graph, name, x = self.graph, self.name, self.x
        count, chosen = product(self.index.shape[:-1]), self.index.shape[-1]
        pairs, width = multiply(count, chosen), x.shape[-1]
        index = graph.reshape(f"{name}.flat", self.index, (pairs,))
        tokens = graph.reshape(f"{name}.tokens", x, (count, 1, width))
        if chosen != 1:
            repeats = graph.extents((1, chosen, 1))
            shape = (count, chosen, width)
            tokens = graph.one(f"{name}.repeated", "Expand", (tokens, repeats), x.dtype, shape)
        tokens = graph.reshape(f"{name}.rows", tokens, (pairs, 1, width))
        found = self.part(self.instances.chosen(index), EdgeStack.of(tokens))
        results = graph.reshape(f"{name}.results", found, (count, chosen, width))
        shares = graph.reshape(f"{name}.shares", self.weights, (count, 1, chosen))
        made = graph.one(f"{name}.mixed", "MatMul", (shares, results), x.dtype, (count, 1, width))
        return graph.reshape(name, made, x.shape)

    def over_every(self) -> Edge:
        """Every instance on all tokens, weighted by what each token gives it; no control flow.

        What was not chosen adds nothing, not even what is infinite.
        """
        graph, name, x = self.graph, self.name, self.x
        count, chosen, width = product(x.shape[:-1]), self.index.shape[-1], x.shape[-1]
        tokens = graph.reshape(f"{name}.tokens", x, (count, width))
        every = stack(graph, f"{name}.each", self.part(self.instances.every(), tokens), self.count)
        index = graph.reshape(f"{name}.index", self.index, (count, chosen))
        shares = graph.reshape(f"{name}.shares", self.weights, (count, chosen))
        numbers = graph.constant("i64", range(self.count), (self.count, 1, 1))
        same = elementwise(graph, f"{name}.same", "Equal", (index, numbers), "bool")
        nothing = convert(graph, f"{name}.nothing", graph.scalar("f32", 0.0), x.dtype)
        each = elementwise(graph, f"{name}.share", "Where", (same, shares, nothing), x.dtype)
        total = reduced(graph, f"{name}.total", "ReduceSum", each, -1, keep=True)
        unused = elementwise(graph, f"{name}.unused", "Equal", (total, nothing), "bool")
        weighted = elementwise(graph, f"{name}.weighted", "Mul", (every, total), x.dtype)
        kept = elementwise(graph, f"{name}.kept", "Where", (unused, nothing, weighted), x.dtype)
        made = reduced(graph, f"{name}.mixed", "ReduceSum", kept, -3, keep=False)
        return graph.reshape(name, made, x.shape)

    def _every(self) -> Edge:
        """The numbers of the instances, in the order in which they are stacked."""
        graph, name, order = self.graph, f"{self.name}.every", self.instances.order()
        if order is not None:
            return graph.integers(order)
        numbers = (graph.scalar("i64", value) for value in (0, self.count, 1))
        return graph.one(name, "Range", tuple(numbers), "i64", (self.count,))

    def _zeros(self) -> Edge:
        shape = self.graph.extents(self.x.shape)
        return self.graph.one(
            f"{self.name}.zeros", "ConstantOfShape", (shape,), self.x.dtype, self.x.shape
        )

    def _add(self, before: Edge, which: Edge, read: Read) -> Edge:
        """What was added before, plus one instance's share for the tokens that chose it."""
        graph, name = self.graph, self.name
        lead = len(self.index.shape) - 1
        same = elementwise(graph, f"{name}.chosen", "Equal", (self.index, which), "bool")
        # NonZero has a row for each axis; what follows wants a row for each choice.
        shape = (lead + 1, symbol(f"{name}.rows"))
        axes = graph.one(f"{name}.axes", "NonZero", (same,), "i64", shape)
        many = axes.shape[1]
        graph.measure(axes, 1)
        slots = graph.one(
            f"{name}.slots", "Transpose", (axes,), "i64", (many, lead + 1), perm=(1, 0)
        )
        bounds = (graph.integers([0]), graph.integers([lead]), graph.integers([1]))
        places = graph.one(f"{name}.places", "Slice", (slots, *bounds), "i64", (many, lead))
        x = self.x
        tokens = graph.one(
            f"{name}.tokens", "GatherND", (x, places), x.dtype, (many, *x.shape[lead:])
        )
        share = graph.one(
            f"{name}.share", "GatherND", (self.weights, slots), self.weights.dtype, (many,)
        )
        share = graph.reshape(f"{name}.factor", share, (many, 1))
        result = self.part(read, tokens)
        weighted = elementwise(graph, f"{name}.weighted", "Mul", (result, share), x.dtype)
        return graph.one(
            f"{name}.added",
            "ScatterND",
            (before, places, weighted),
            x.dtype,
            x.shape,
            reduction="add",
        )
