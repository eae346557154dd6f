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
from collections.abc import Callable, Iterable, Iterator
from dataclasses import field, replace
from functools import partial
from itertools import chain
from itertools import count as counter
from typing import assert_never

from specgen.analysis.dataflow.products import (
    MAX_STEPS,
    Frame,
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
    Branch,
    CallFunction,
    CallPart,
    Choose,
    Function,
    Mixture,
    Op,
    Return,
    Scalar,
    Statement,
    Type,
    Value,
    Var,
    Weight,
    stored_dtype,
)
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
class Memory:
    """An allocation: how large it is, and how many refer to it."""

    size: Expr
    references: int


@dataclass(frozen=True, slots=True)
class Body:
    """A body being run: the frame of its expressions, and what its names refer to."""

    frame: Frame
    names: dict[str, Ref]

    def under(self, condition: Expr) -> Body:
        """The same with names of its own, where a condition holds as well."""
        return Body(under(self.frame, condition), dict(self.names))


@dataclass
class Evaluator:
    """Runs the main forwards; `sizes` counts what is alive, `moments` what was, by places."""

    alive: dict[int, Memory] = field(default_factory=dict)
    sizes: Sizes = field(default_factory=Counter)
    moments: dict[Site, list[Sizes]] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=counter)
    _steps: Iterator[int] = field(default_factory=counter)

    def run(self, model: Instance) -> None:
        forward = model.module.forward
        if forward is not None:
            frame = Frame(model, {}, (), model.condition, {})
            self.body(forward, Body(frame, {argument.name: () for argument in forward.args}))

    # ---- memory

    def new(self, type_: Type, frame: Frame, *, noted: bool = True) -> Ref:
        """Memory for a value, with one reference to it."""
        dtype = stored_dtype(frame.instance.program, type_.dtype)
        copies = tuple(frame.chosen.values())
        size = product(expression(DTYPES[dtype].bytes), *copies, *frame.dims(type_))
        ref = (self.allocated(size),)
        if noted:
            self.note(frame)
        return ref

    def allocated(self, size: Expr) -> int:
        """The number of new memory with one reference."""
        number = next(self._numbers)
        self.alive[number] = Memory(size, 1)
        self.sizes[size] += 1
        return number

    def note(self, frame: Frame) -> None:
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

    def either(self, runs: Iterable[Callable[[], list[Ref]]]) -> list[Ref]:
        """What alternatives result in, of which one runs: memory for any of them."""
        before, sizes_before = self.alive, self.sizes
        outcomes = []
        for run in runs:
            self.alive, self.sizes = dict(before), sizes_before.copy()
            found = run()
            outcomes.append([(ref, [self.alive[n].size for n in ref]) for ref in found])
        self.alive, self.sizes = before, sizes_before
        results = []
        for together in zip(*outcomes, strict=True):
            ref = tuple(dict.fromkeys(n for r, _ in together for n in r if n in before))
            self.refer(ref, 1)
            fresh = {
                tuple(size for n, size in zip(r, sizes, strict=True) if n not in before): None
                for r, sizes in together
            }
            results.append((*ref, *map(self.allocated, chain.from_iterable(fresh))))
        return results

    # ---- bodies

    def body(self, function: Function, body: Body) -> list[Ref]:
        """The results of a function; its names end with it."""
        found = self.statements(function.body, body)
        for ref in body.names.values():
            self.refer(ref, -1)
        return found

    def statements(self, statements: tuple[Statement, ...], body: Body) -> list[Ref]:
        """The results of the statement that returns; none where no statement does."""
        for statement in statements:
            match statement:
                case Assign(names=names, value=value):
                    refs = self.value(value, body)
                    for name, ref in zip(names, refs, strict=True):
                        if name == "_":
                            self.refer(ref, -1)
                        else:
                            body.names[name] = ref
                case Return(values=values):
                    return [ref for value in values for ref in self.value(value, body)]
                case Branch():
                    returned = self.branch(statement, body)
                    if returned:
                        return returned
                case _:
                    assert_never(statement)
        return []

    def branch(self, branch: Branch, body: Body) -> list[Ref]:
        """Both sides; the names that they bind are then bound to either's values."""
        then = body.under(branch.condition)
        otherwise = body.under(negation(branch.condition))
        names = [n for n in bound_names(branch.then) if n in bound_names(branch.otherwise)]
        returns = any(isinstance(s, Return) for s in branch.then)

        def side(statements: tuple[Statement, ...], inner: Body) -> list[Ref]:
            found = self.statements(statements, inner)
            return found if returns else [inner.names[name] for name in names]

        found = self.either(
            [partial(side, branch.then, then), partial(side, branch.otherwise, otherwise)]
        )
        if returns:
            return found
        for name, ref in zip(names, found, strict=True):
            body.names[name] = ref
        return []

    def one(self, value: Value, body: Body) -> Ref:
        """What the single result of a value refers to."""
        (ref,) = self.value(value, body)
        return ref

    def value(self, value: Value, body: Body) -> list[Ref]:
        """What the results refer to, with a reference for whoever asked."""
        if next(self._steps) > MAX_STEPS:
            raise EvaluationError(f"its forward runs through more than {MAX_STEPS} operations")
        frame = body.frame
        match value:
            case Var(name=name):
                ref = body.names.get(name, ())
                self.refer(ref, 1)
                return [ref]
            case Scalar() | Weight():
                return [()]
            case Op(args=args, types=types):
                refs = [self.one(arg, body) for arg in args]
                if OPS[value.name].view(value, partial(stored_dtype, frame.instance.program)):
                    (ref,) = refs
                    self.refer(ref, len(types) - 1)
                    return [ref] * len(types)
                return self.result(types, refs, frame)
            case ApplyMap(value=inner, types=types):
                return self.result(types, [self.one(inner, body)], frame)
            case CallPart(args=args):
                return self.part(args, [self.one(arg, body) for arg in args], frame, value)
            case CallFunction(args=args):
                refs = [self.one(arg, body) for arg in args]
                return self.function(value, refs, frame)
            case Mixture():
                return self.mixture(value, body)
            case Append(value=inner):
                self.refer(self.one(inner, body), -1)
                return [()]
            case Choose(condition=test, then=then, otherwise=otherwise):
                one = partial(self.value, then, body.under(test))
                other = partial(self.value, otherwise, body.under(negation(test)))
                return self.either([one, other])
            case _:
                assert_never(value)

    def result(self, types: Iterable[Type], used: Iterable[Ref], frame: Frame) -> list[Ref]:
        """New memory for results, and then the end of what they are computed from."""
        found = [self.new(type_, frame, noted=False) for type_ in types]
        self.note(frame)
        for ref in used:
            self.refer(ref, -1)
        return found

    def function(self, call: CallFunction, refs: list[Ref], frame: Frame) -> list[Ref]:
        function, scope, rest = called(call, frame)
        if function.intrinsic == NEVER_THERE:
            for ref in refs:
                self.refer(ref, -1)
            return [()]
        if function.intrinsic is not None:
            return self.result(call.types, refs, frame)
        names = {argument.name: ref for argument, ref in zip(function.args, refs, strict=True)}
        return self.body(function, Body(replace(frame, scope=scope, rest=rest), names))

    def part(
        self,
        args: tuple[Value, ...],
        refs: list[Ref],
        frame: Frame,
        call: CallPart | Mixture,
        chosen: Expr | None = None,
    ) -> list[Ref]:
        """The results of a part, or of either of its alternatives; a repeated part runs once."""

        def run(child: Instance) -> list[Ref]:
            forward = chosen_forward(child, {})
            scope, rest = bound(forward, args, child.scope, frame)
            picked = frame.chosen
            if chosen is not None:
                picked = {**picked, child.indices[-1][0]: chosen}
            condition = conjunction(frame.condition, child.condition)
            inner = Frame(child, scope, rest, condition, picked)
            if forward.intrinsic is not None:  # its types are in the caller's names
                return self.result(
                    call.types, refs, replace(inner, scope=frame.scope, rest=frame.rest)
                )
            names = {argument.name: ref for argument, ref in zip(forward.args, refs, strict=True)}
            return self.body(forward, Body(inner, names))

        children = list(called_parts(frame.instance, call))
        repeated = chosen is None and any(c.caller and c.caller.index for c in children)
        if repeated and any(self.alive[number].references > 1 for number in refs[0]):
            # From the second time on it is given its own result, and the first stays alive.
            self.refer(refs[0], -1)
            refs = [self.new(args[0].types[0], frame, noted=False), *refs[1:]]
        if len(children) == 1:
            return run(children[0])
        found = self.either([partial(run, child) for child in children])
        for ref in refs:
            self.refer(ref, -1)
        return found

    def mixture(self, value: Mixture, body: Body) -> list[Ref]:
        frame = body.frame
        x, weights, index = (self.one(v, body) for v in (value.value, value.weights, value.index))
        chosen = frame.dims(value.index.types[0])[-1]
        each = replace(frame, chosen={**frame.chosen, "": chosen})
        rows = self.new(value.value.types[0], each)
        outputs = self.part((value.value,), [rows], frame, value, chosen)
        return self.result(value.types, [x, weights, index, *outputs], frame)


def bound_names(statements: Iterable[Statement]) -> list[str]:
    """The names that statements bind."""
    found: list[str] = []
    for statement in statements:
        match statement:
            case Assign(names=names):
                found += names
            case Branch(then=then, otherwise=otherwise):
                inner = bound_names(otherwise)
                found += [name for name in bound_names(then) if name in inner]
            case Return():
                pass
            case _:
                assert_never(statement)
    return list(dict.fromkeys(name for name in found if name != "_"))
