"""What the values of a forward take in memory, from its first operation to its last, symbolic.

Runs the dataflow as an eager evaluator would, with sizes for values, and notes at each allocation
what is alive.  Knows sizes in the model's names, and no number of them.

Note [What is alive]: a value lives while something refers to it: a name until its function or
module returns, an argument while the call runs, any other result until it is used.
Splits, slices, and rearrangements that leave the numbers where they are share their argument's
memory; so does a cast to the same dtype.  A function that the table claims for a platform operation
is one operation: its result is new, nothing between; a causal mask is never there.

Note [What is not]: weights, caches (what is read of one is part of it), and the model's arguments.

Note [Mixtures]: all the chosen experts of all tokens are taken to run at once, each on a copy of its
tokens' rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import field, replace
from functools import partial
from itertools import chain
from itertools import count as counter

from specgen.analysis.dataflow.products import (
    MAX_STEPS,
    ProductFrame,
    bound,
    called,
    called_parts,
    chosen_forward,
    site,
    under,
)
from specgen.analysis.table.cases import Site
from specgen.analysis.table.instances import Instance
from specgen.dtypes import DTYPES
from specgen.expr.evaluate import EvaluationError, expression
from specgen.expr.node import (
    ZERO,
    Expr,
    conjunction,
    negation,
    product,
)
from specgen.ir.model import (
    Append,
    ApplyMap,
    Assign,
    CallFunction,
    CallPart,
    Function,
    Mixture,
    Op,
    Return,
    Scalar,
    Type,
    Value,
    Var,
    Weight,
    stored_dtype,
)
from specgen.ir.visit import Joining
from specgen.ops.registry import OPS
from specgen.records import dataclass

NAME = "activation_peak_bytes"

#: A platform operation whose result its user computes itself.
NEVER_THERE = "causal_mask"

#: A forward of which more moments may be the fullest has no readable peak; shipped ones have 25.
MAX_MOMENTS = 100


class TooManyMoments(Exception):
    """More than MAX_MOMENTS moments may be the fullest."""


#: The memory that a value refers to, by number.
Ref = tuple[int, ...]

#: How often each size is there.
Sizes = Counter[Expr]


@dataclass(frozen=True, slots=True)
class Allocation:
    """How large it is, and how many refer to it."""

    size: Expr
    references: int


@dataclass
class Memory:
    """What is alive: `sizes` counts it, `moments` has what was, by places."""

    alive: dict[int, Allocation] = field(default_factory=dict)
    sizes: Sizes = field(default_factory=Counter)
    moments: dict[Site, list[Sizes]] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=counter)
    _steps: Iterator[int] = field(default_factory=counter)

    def run(self, model: Instance) -> None:
        """Runs the model's main forward."""
        forward = model.module.forward
        if forward is not None:
            frame = ProductFrame(model, {}, (), model.condition, {})
            names: dict[str, Ref] = {argument.name: () for argument in forward.args}
            MemoryInterpreter(self, frame, names).body(forward)

    def step(self) -> None:
        if next(self._steps) > MAX_STEPS:
            raise EvaluationError(f"its forward runs through more than {MAX_STEPS} operations")

    def new(self, type_: Type, frame: ProductFrame) -> Ref:
        """Memory for a value, with one reference to it."""
        dtype = stored_dtype(frame.instance.program, type_.dtype)
        copies = tuple(frame.chosen.values())
        return (
            self.allocated(product(expression(DTYPES[dtype].bytes), *copies, *frame.dims(type_))),
        )

    def allocated(self, size: Expr) -> int:
        """The number of new memory with one reference."""
        number = next(self._numbers)
        self.alive[number] = Allocation(size, 1)
        self.sizes[size] += 1
        return number

    def note(self, frame: ProductFrame) -> None:
        """A moment: what is alive now, in the body's place."""
        place = site(replace(frame, chosen={}), ZERO)
        known = self.moments.setdefault(place, [])
        if not any(self.sizes <= other for other in known):
            known[:] = [other for other in known if not other <= self.sizes]
            known.append(self.sizes.copy())
            if sum(map(len, self.moments.values())) > MAX_MOMENTS:
                raise TooManyMoments

    def refer(self, ref: Ref, by: int) -> None:
        """Adds references, or with -1 takes one away and frees what has none."""
        for number in ref:
            memory = self.alive[number]
            if memory.references + by:
                self.alive[number] = replace(memory, references=memory.references + by)
            else:
                del self.alive[number]
                self.sizes[memory.size] -= 1
                if not self.sizes[memory.size]:
                    del self.sizes[memory.size]

    def beside(self) -> Memory:
        """The same for one of several alternatives, of which one runs."""
        return replace(self, alive=dict(self.alive), sizes=self.sizes.copy())

    def either(self, outcomes: Iterable[tuple[Memory, list[Ref]]]) -> list[Ref]:
        """What alternatives result in, each with the memory behind it: memory for any of them."""
        results = []
        for together in zip(*([(m, ref) for ref in refs] for m, refs in outcomes), strict=True):
            ref = tuple(dict.fromkeys(n for _, r in together for n in r if n in self.alive))
            self.refer(ref, 1)
            fresh = {
                tuple(memory.alive[n].size for n in r if n not in self.alive): None
                for memory, r in together
            }
            results.append((*ref, *map(self.allocated, chain.from_iterable(fresh))))
        return results


@dataclass(frozen=True)
class MemoryInterpreter(Joining[list[Ref]]):
    """What results refer to, each with a reference for whoever asked; `names` those of the body."""

    memory: Memory
    frame: ProductFrame
    names: dict[str, Ref]

    def begin(self, value: Value) -> None:
        self.memory.step()

    def body(self, function: Function) -> list[Ref]:
        """The results of a function; its names end with it."""
        found = self.run(function.body) or []
        self.release(self.names.values())
        return found

    def release(self, refs: Iterable[Ref]) -> None:
        for ref in refs:
            self.memory.refer(ref, -1)

    def result(self, types: Iterable[Type], used: Iterable[Ref], frame: ProductFrame) -> list[Ref]:
        """New memory for results, and then the end of what they are computed from."""
        found = [self.memory.new(type_, frame) for type_ in types]
        self.memory.note(frame)
        self.release(used)
        return found

    def refs(self, value: Value) -> list[Ref]:
        """What the operands of a value refer to, each one result."""
        return [ref for (ref,) in self.operands(value)]

    # ---- values

    def var(self, value: Var) -> list[Ref]:
        ref = self.names.get(value.name, ())
        self.memory.refer(ref, 1)
        return [ref]

    def weight(self, value: Weight) -> list[Ref]:
        return [()]

    def scalar(self, value: Scalar) -> list[Ref]:
        return [()]

    def op(self, value: Op) -> list[Ref]:
        refs = [ref for (ref,) in self.operands(value)]
        if not OPS[value.name].view(value, partial(stored_dtype, self.frame.instance.program)):
            return self.result(value.types, refs, self.frame)
        (ref,) = refs
        self.memory.refer(ref, len(value.types) - 1)
        return [ref] * len(value.types)

    def apply_map(self, value: ApplyMap) -> list[Ref]:
        return self.result(value.types, self.value(value.value), self.frame)

    def append(self, value: Append) -> list[Ref]:
        self.release(self.value(value.value))
        return [()]

    def call_function(self, value: CallFunction) -> list[Ref]:
        refs = self.refs(value)
        function, scope, rest = called(value, self.frame)
        if function.intrinsic == NEVER_THERE:
            self.release(refs)
            return [()]
        if function.intrinsic is not None:
            return self.result(value.types, refs, self.frame)
        return self.inside(function, replace(self.frame, scope=scope, rest=rest), refs)

    def inside(self, function: Function, frame: ProductFrame, refs: list[Ref]) -> list[Ref]:
        """The results of a body that is given these."""
        names = dict(zip((argument.name for argument in function.args), refs, strict=True))
        return MemoryInterpreter(self.memory, frame, names).body(function)

    def call_part(self, value: CallPart) -> list[Ref]:
        refs = self.refs(value)
        children = list(called_parts(self.frame.instance, value))
        repeated = any(child.caller and child.caller.index for child in children)
        if repeated and any(self.memory.alive[n].references > 1 for n in refs[0]):
            # From the second time on it is given its own result, and the first stays alive.
            self.memory.refer(refs[0], -1)
            refs = [self.memory.new(value.args[0].types[0], self.frame), *refs[1:]]
        return self.part(value, value.args, refs)

    def mixture(self, value: Mixture) -> list[Ref]:
        used = self.refs(value)
        chosen = self.frame.dims(value.index.types[0])[-1]
        each = replace(self.frame, chosen={**self.frame.chosen, "": chosen})
        rows = self.memory.new(value.value.types[0], each)
        self.memory.note(each)
        outputs = self.part(value, (value.value,), [rows], chosen)
        return self.result(value.types, [*used, *outputs], self.frame)

    def part(
        self,
        call: CallPart | Mixture,
        args: tuple[Value, ...],
        refs: list[Ref],
        chosen: Expr | None = None,
    ) -> list[Ref]:
        """The results of a part, or of either of its alternatives; a repeated part runs once."""
        children = list(called_parts(self.frame.instance, call))
        if len(children) == 1:
            return self.child(children[0], call, args, refs, chosen)
        sides = [(child, replace(self, memory=self.memory.beside())) for child in children]
        found = self.memory.either(
            [(side.memory, side.child(child, call, args, refs, chosen)) for child, side in sides]
        )
        self.release(refs)
        return found

    def child(
        self,
        child: Instance,
        call: CallPart | Mixture,
        args: tuple[Value, ...],
        refs: list[Ref],
        chosen: Expr | None,
    ) -> list[Ref]:
        """The results of one module that a call can mean."""
        frame, forward = self.frame, chosen_forward(child, {})
        scope, rest = bound(forward, args, child.scope, frame)
        picked = frame.chosen
        if chosen is not None:
            picked = {**picked, child.indices[-1][0]: chosen}
        inner = ProductFrame(
            child, scope, rest, conjunction(frame.condition, child.condition), picked
        )
        if forward.intrinsic is not None:  # its types are in the caller's names
            inner = replace(inner, scope=frame.scope, rest=frame.rest)
            return self.result(call.types, refs, inner)
        return self.inside(forward, inner, refs)

    # ---- statements

    def assign(self, statement: Assign) -> None:
        for name, ref in zip(statement.names, self.value(statement.value), strict=True):
            if name == "_":
                self.memory.refer(ref, -1)
            else:
                self.names[name] = ref

    def ret(self, statement: Return) -> list[Ref]:
        return list(chain.from_iterable(map(self.value, statement.values)))

    def under(self, condition: Expr, holds: bool) -> MemoryInterpreter:
        frame = under(self.frame, condition if holds else negation(condition))
        return replace(self, memory=self.memory.beside(), frame=frame, names=dict(self.names))

    def join(
        self,
        sides: tuple[MemoryInterpreter, MemoryInterpreter],
        returned: tuple[list[Ref] | None, list[Ref] | None],
    ) -> list[Ref] | None:
        """Memory for what either side returns, or for the names that both have bound."""
        then, otherwise = (side.names for side in sides)
        names = [n for n in then if n in otherwise and n not in self.names]
        found = self.memory.either(
            (side.memory, [side.names[n] for n in names] if refs is None else refs)
            for side, refs in zip(sides, returned, strict=True)
        )
        if returned != (None, None):
            return found
        self.names.update(zip(names, found, strict=True))
        return None
