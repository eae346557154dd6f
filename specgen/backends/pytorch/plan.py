"""What the generated file is made of: its classes, functions, caches and stacks, and their names.

Decided once for a program, before any line is written.  Knows the IR and no Python syntax.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import field
from functools import cached_property
from typing import TYPE_CHECKING

from specgen.analysis.dataflow.growth import entries, growths
from specgen.analysis.table.instances import Instance, descend, environment, root
from specgen.backends.pytorch.handed import handed_rows
from specgen.backends.pytorch.masks import SUPPLIED, narrow_values, optional_arguments
from specgen.backends.pytorch.quoting import attribute, class_name, function_name, variable
from specgen.backends.pytorch.stacking import stackable
from specgen.backends.pytorch.usual import usual_arguments
from specgen.expr.evaluate import EvaluationError, evaluate_int
from specgen.expr.facts import whole
from specgen.expr.node import TRUE, Apply, Expr, substitute, symbols
from specgen.ir.model import (
    SCALAR,
    Append,
    CallFunction,
    CallPart,
    Function,
    Module,
    Op,
    Part,
    Program,
    Scalar,
    Tensor,
    Value,
)
from specgen.ir.visit import walk
from specgen.records import dataclass

if TYPE_CHECKING:
    from specgen.analysis.dataflow.costs import Saving

#: The class of the root module, whatever the table calls it.
ROOT_CLASS = "Model"

#: A class with more params than this takes them from Config if it can.
MANY = 4


def declared(module: Module) -> tuple[str, ...]:
    """The names of a module's params and lets."""
    return (*(param.name for param in module.params), *(let.name for let in module.lets))


def covers(general: Module, special: Module) -> bool:
    """Whether one module has all that another of its name has, and decides no more."""
    return (
        set(general.decided) <= set(special.decided)
        and len((*general.parts, *general.tensors)) > len((*special.parts, *special.tensors))
        and set(map(unconditional, special.parts)) <= set(map(unconditional, general.parts))
        and set(map(unconditional, special.tensors)) <= set(map(unconditional, general.tensors))
    )


def unconditional(row: Part | Tensor) -> tuple[object, ...]:
    """What a row is but for its condition, to compare."""
    match row:
        case Part(name=name, module=module, arguments=arguments, index=index, count=count):
            return (name, module, *arguments.items(), index, count)
        case Tensor(name=name, kind=kind, shape=shape, target=target):
            return (name, kind, shape, target)


@dataclass(frozen=True)
class FilePlan:
    """The classes and functions of one program's file.

    `modules` are the module ids that get a class of their own, `stacks` those that get a class
    in which many instances are stacked; children come before parents.  With `masked`, a mask is
    always there.
    """

    program: Program
    masked: bool = False
    class_names: Mapping[str, str] = field(init=False)
    function_names: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        functions = frozenset(map(function_name, self.program.functions))
        taken = {ROOT_CLASS, *functions}
        names: dict[str, str] = {self.program.root: ROOT_CLASS}
        for id_, module in self.program.modules.items():
            if id_ == self.program.root:
                continue
            base, number = class_name(module.name, module.title or ""), 1
            name = base
            while {name, f"Stacked{name}"} & taken:
                number += 1
                name = f"{base}{number}"
            taken |= {name, f"Stacked{name}"}
            names[id_] = name
        object.__setattr__(self, "class_names", names)
        object.__setattr__(self, "function_names", functions)

    # ---- names

    def class_of(self, part: Part) -> str:
        """The class whose instance a part is, or whose instances it lists."""
        name = self.class_names[self.class_module[part.module]]
        return f"Stacked{name}" if self.is_stacked(part) else name

    def variable(self, name: str) -> str:
        """A variable or an argument; it must not hide a function of the file."""
        return variable(name, self.function_names)

    def parameter(self, name: str, stacked: bool) -> str:
        """A parameter of a constructor; those of stacks have a count beside the table's."""
        return variable(name, self.function_names | {"count"} if stacked else self.function_names)

    def kept(self, module: Module, name: str) -> str:
        """The attribute that keeps a param or let: none of the module's rows, parts or methods."""
        return attribute(name, self._members[module.name])

    @cached_property
    def _members(self) -> Mapping[str, frozenset[str]]:
        """What classes have beside params, by the name of the module."""
        found: dict[str, set[str]] = {}
        for module in self.program.modules.values():
            members = found.setdefault(module.name, set())
            members.update(part.name for part in module.parts)
            members.update(function.name for function in (*module.forwards, *module.functions))
            for row in module.tensors:
                members |= {row.name.partition(".")[0], row.name.replace(".", "_")}
        return {name: frozenset(members - {""}) for name, members in found.items()}

    def instance_name(self, part: Part) -> str:
        """What one instance of a repeated part is called: its index, if that says something."""
        name = part.index if part.index and len(part.index) > 1 else part.module
        return self.variable(name)

    def shared_name(self, target: str) -> str:
        """The argument by which a module is handed a row of another."""
        return self.variable(target.replace(".", "_"))

    def abbreviations(self, module: Module | None) -> Mapping[Expr, str]:
        """Names for the expressions that a module's own lets, and the model's, stand for."""
        found: dict[Expr, str] = {}
        if module is not None:
            outer = self.program.model.lets if module.lexical else ()
            for let in (*module.lets, *outer):
                if isinstance(let.expr, Apply):
                    found.setdefault(let.expr, let.name)
        return found

    @cached_property
    def usual(self) -> tuple[str, ...]:
        """Arguments behind the first that mean the same wherever they stand."""
        return usual_arguments(reversed(self.reachable), self.abbreviations)

    # ---- which classes there are

    @cached_property
    def class_module(self) -> Mapping[str, str]:
        """The module whose class a module shares.

        Where an index is known, a module needs fewer rows than the same definition elsewhere;
        the class that decides at run time serves both.
        """
        found: dict[str, str] = {}
        for id_, module in self.program.modules.items():  # children before parents
            others = (m for m in self.program.modules.values() if m.name == module.name)
            found[id_] = next((m.id for m in others if covers(m, module)), id_)
        return found

    @cached_property
    def _uses(self) -> tuple[frozenset[str], frozenset[str]]:
        """Module ids used one by one, and those used in stacks."""
        single, stacked = {self.program.root}, set[str]()
        for module in self.reachable:
            for part in module.parts:
                uses = stacked if self.is_stacked(part) else single
                uses.add(self.class_module[part.module])
        return frozenset(single), frozenset(stacked)

    @cached_property
    def reachable(self) -> tuple[Module, ...]:
        """The modules that the model consists of, children before parents."""
        found: set[str] = set()
        waiting = [self.program.root]
        while waiting:
            id_ = waiting.pop()
            if id_ not in found:
                found.add(id_)
                parts = self.program.modules[id_].parts
                waiting += [self.class_module[part.module] for part in parts]
        return tuple(m for id_, m in self.program.modules.items() if id_ in found)

    def is_single(self, module: Module) -> bool:
        return module.id in self._uses[0]

    def has_stack(self, module: Module) -> bool:
        return module.id in self._uses[1]

    @cached_property
    def _stacked(self) -> frozenset[int]:
        """The parts that are stacked, by identity."""
        return frozenset(id(part) for part in stackable(self.program))

    def is_stacked(self, part: Part) -> bool:
        """Whether the instances of a part share stacked tensors: [count, ...] for each row."""
        return id(part) in self._stacked

    # ---- numbers

    @cached_property
    def _instances(self) -> Mapping[str, Instance]:
        """One place of each module."""
        found: dict[str, Instance] = {}
        for instance in descend(root(self.program)):
            found.setdefault(instance.module.id, instance)
        return found

    def is_whole(self, module: Module, expr: Expr) -> bool:
        """Whether an expression in a module's names is a whole number, at the first indices."""
        if not whole(expr, divided=True):
            return False
        instance = self._instances[module.id]
        resolved = instance.resolve(expr)
        for index in range(3):
            env = environment(self.program) | {name: index for name, _ in instance.indices}
            try:
                evaluate_int(resolved, env)
            except EvaluationError:
                return False
        return True

    @cached_property
    def _given(self) -> Mapping[str, Mapping[str, Expr]]:
        """What the params of each class are in the model's names, if the same everywhere."""
        found: dict[str, Mapping[str, Expr]] = {}
        several: set[str] = set()
        closed = set(declared(self.program.model))
        for instance in descend(root(self.program)):
            given = {
                p.name: instance.scope[p.name]
                for p in instance.module.params
                if p.name in instance.scope
            }
            id_ = self.class_module[instance.module.id]
            if found.setdefault(id_, given) != given or not all(
                symbols(expr) <= closed for expr in given.values()
            ):
                several.add(id_)
        return {id_: given for id_, given in found.items() if id_ not in several}

    def given(self, module: Module) -> Mapping[str, Expr]:
        """The module's params in the model's names, where it has many and one set of arguments.

        Its class then takes the whole Config, as those that the model itself defines.
        """
        if len(module.params) <= MANY:
            return {}
        return self._given.get(module.id, {})

    # ---- alternatives

    @cached_property
    def _savings(self) -> Mapping[str, Saving]:
        from specgen.analysis.dataflow.costs import savings  # sizes are heavy, and few need them

        return savings(self.program)

    def saving(self, module: Module) -> Saving | None:
        """The alternative forward that decodes with the fewest operations, and what it saves."""
        return self._savings.get(module.id) if len(module.forwards) > 1 else None

    # ---- masks

    @cached_property
    def _optional(self) -> frozenset[tuple[str, str, str]]:
        if self.masked:
            return frozenset()
        return frozenset(
            (self.class_module.get(owner, owner), function, name)
            for (owner, function), name in optional_arguments(self.program)
        )

    @property
    def is_mask_optional(self) -> bool:
        """Whether a step in which nothing is padded may do without a mask."""
        return bool(self._optional)

    def is_optional(self, module: Module | None, function: Function, name: str) -> bool:
        """Whether an argument is None where no mask is needed."""
        return (module.id if module else "", function.name, name) in self._optional

    def differ(self, function: Function, one: Expr, other: Expr) -> bool:
        """Whether two dims of a free function's arguments are of unequal size in some call."""
        return any(
            substitute(one, value.dims) != substitute(other, value.dims)
            for module in self.reachable
            for body in (*module.forwards, *module.functions)
            for value in walk(body.body)
            if isinstance(value, CallFunction) and value.function == function.name
            if not value.method and narrow_values(function, value) is None
        )

    # ---- caches

    @cached_property
    def cached(self) -> frozenset[str]:
        """The modules whose forward takes a cache: their own, that of a part, or none at all.

        An alternative of a part with a cache takes one, too, so that both are called alike.
        """
        found: set[str] = set()
        while True:
            more = {
                module.id
                for module in self.program.modules.values()
                if module.caches or self._cached_parts(module, found)
            } | self._alternatives(found)
            if more <= found:
                return frozenset(found)
            found |= more

    def _alternatives(self, cached: Collection[str]) -> set[str]:
        """The modules that stand under one name with one of `cached`."""
        return {
            other.module
            for module in self.program.modules.values()
            for part in module.parts
            if part.module in cached
            for other in module.parts_named(part.name)
        }

    def _cached_parts(self, module: Module, cached: Collection[str]) -> tuple[str, ...]:
        """Names of the parts with a cache that some forward calls, in the table's order."""
        called = {
            value.part
            for function in (*module.forwards, *module.functions)
            for value in walk(function.body)
            if isinstance(value, CallPart)
        }
        found = (p.name for p in module.parts if p.name in called and p.module in cached)
        return tuple(dict.fromkeys(found))

    def cached_parts(self, module: Module) -> tuple[str, ...]:
        return self._cached_parts(module, self.cached)

    def uses_cache(self, module: Module | None, function: Function) -> bool:
        """Whether a forward or a module's function takes the cache."""
        if module is None or module.id not in self.cached:
            return False
        cached = self.cached_parts(module)
        if not module.caches and not cached:
            return function in module.forwards  # an alternative without a cache
        for value in walk(function.body):
            match value:
                case Append():
                    return True
                case CallPart(part=part) if part in cached:
                    return True
                case CallFunction(function=name, method=True):
                    called = next(f for f in module.functions if f.name == name)
                    if self.uses_cache(module, called):
                        return True
        return False

    @cached_property
    def stretches(self) -> Mapping[str, str]:
        """For each of the root's cache rows and parts with some, the cache that has it.

        It is called as the first that grows with it.

        Rows grow together that the same functions of the root append to.
        """
        users: dict[str, list[str]] = {}
        for entry in entries(self.program):
            for unit in dict.fromkeys(growth.path[0] for growth in growths(self.program, entry)):
                users.setdefault(unit, []).append(entry.name)
        root = self.program.model
        units = (*(row.name for row in root.caches), *self.cached_parts(root))
        first: dict[tuple[str, ...], str] = {}
        return {
            unit: first.setdefault(tuple(users.get(unit, ())), self.cache_name(unit))
            for unit in units
        }

    def cache_name(self, unit: str) -> str:
        """What the paths of cache rows begin with: a row of the root's, or the attribute of a part."""
        return attribute(unit) if self.program.model.parts_named(unit) else unit

    @property
    def has_caches(self) -> bool:
        """Whether there are several caches in one: of rows that do not grow together."""
        return len(set(self.stretches.values())) > 1

    def grown_by(self, entry: Function) -> tuple[str, ...]:
        """The stretches to which a function of the root appends."""
        found = (self.stretches[growth.path[0]] for growth in growths(self.program, entry))
        return tuple(dict.fromkeys(found))

    # ---- functions of the model that it calls itself

    @cached_property
    def inner(self) -> Mapping[str, str]:
        """The root's functions that other functions of it call: the methods for tokens in place.

        Called from outside they place tokens and bring a step to its end; inside they do not.
        """
        root = self.program.model
        members = {*self._members[root.name], *declared(root)}
        found: dict[str, str] = {}
        for function in entries(self.program):
            for value in walk(function.body):
                if isinstance(value, CallFunction) and value.method:
                    called = next(f for f in root.functions if f.name == value.function)
                    supplied = any(arg.name in SUPPLIED for arg in called.args)
                    if supplied or self.uses_cache(root, called):
                        name = f"{called.name}_inside"
                        while name in members:
                            name += "_"
                        found[called.name] = attribute(name)
        return found

    # ---- devices

    def needs_device(self, module: Module | None, function: Function) -> bool:
        """Whether a body makes a tensor, and has none at hand whose device it could be on.

        It is then told the device, as an argument behind the table's own.
        """
        if any(arg.type.dtype != SCALAR for arg in function.args):
            return False
        if module is not None and (self.outer(module) or self._has_row(module)):
            return False
        return any(self._is_placed(module, value) for value in walk(function.body))

    def _has_row(self, module: Module) -> bool:
        """Whether the module, or a part that is always there, has a row."""
        return bool(module.tensors) or any(
            self._has_row(self.program.modules[part.module])
            for part in module.parts
            if part.condition == TRUE
        )

    def _is_placed(self, module: Module | None, value: Value) -> bool:
        match value:
            case Op(args=args):  # a tensor of compile-time numbers
                return all(isinstance(arg, Scalar) for arg in args)
            case CallFunction(method=False):
                return self.needs_device(None, self.program.functions[value.function])
            case CallFunction() if module is not None:
                called = next(f for f in module.functions if f.name == value.function)
                return self.needs_device(module, called)
            case CallPart(part=part) if module is not None:
                children = (self.program.modules[p.module] for p in module.parts_named(part))
                return any(self.needs_device(m, f) for m in children for f in m.forwards)
            case _:
                return False

    # ---- rows shared with another module

    @cached_property
    def _outer(self) -> Mapping[str, tuple[str, ...]]:
        return handed_rows(self.program, self.class_module)

    def outer(self, module: Module) -> tuple[str, ...]:
        """The paths of rows elsewhere in the model that a module is given when it is called."""
        return self._outer[module.id]
