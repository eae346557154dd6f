"""Classes of the generated file: one for each IR module, in the table's names.

Bodies are written by `bodies`; what they take from the class its constructor keeps.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from specgen.backends.pytorch import layout
from specgen.backends.pytorch.bodies import BodyWriter, signature
from specgen.backends.pytorch.constructors import Constructor
from specgen.backends.pytorch.definitions import definition, docstring
from specgen.backends.pytorch.functions import (
    DEVICE_ARGUMENT,
    annotation,
    described,
    returned,
)
from specgen.backends.pytorch.layout import (
    INDENT,
    flat,
)
from specgen.backends.pytorch.quoting import attribute
from specgen.backends.pytorch.rows import row_tensor, stack
from specgen.dtypes import DTYPES, INTEGERS
from specgen.expr.node import Sym
from specgen.ir.model import ACTIVATION, REST, Append, Function
from specgen.ir.visit import walk
from specgen.records import dataclass

if TYPE_CHECKING:
    from specgen.analysis.dataflow.costs import Saving

#: The method of the main forward where there are alternatives to choose from.
MAIN: Final = "main"

#: The type of what moves or converts a tensor.
FN: Final = "Callable[[Tensor], Tensor]"


def saved_operations(saving: Saving, called: Mapping[str, str]) -> str:
    """What a forward saves of those of the main one, in S new tokens and T in all."""
    terms = [
        " * ".join((str(n), *(called[name] for name in names)))
        for names, n in saving.operations.items()
    ]
    return " + ".join(sorted(terms, key=lambda term: term.startswith("-"))).replace("+ -", "- ")


@dataclass
class ClassWriter(Constructor):
    """Writes the class of one module."""

    # ---- methods

    def body(self, function: Function) -> BodyWriter:
        return BodyWriter(self.plan, self.module, function, self.used, self.stacked)

    def method(self, function: Function, name: str, shapes: str | None = None) -> list[str]:
        return self.written(function, name, self.body(function), shapes)

    def written(
        self, function: Function, name: str, body: BodyWriter, shapes: str | None = None
    ) -> list[str]:
        lines = body.write()
        arguments, returns = self.signature(function, body)
        if shapes is None:
            shapes = self.shapes(function)
        head = definition(name, ["self", *arguments], returns, 1)
        return [*head, *docstring(described(function), 2, shapes), *lines]

    def shapes(self, function: Function) -> str:
        short = self.plan.abbreviations(self.module)
        usual = self.plan.usual
        return signature(function.args, function.results, function.result_names, short, usual)

    def signature(self, function: Function, body: BodyWriter) -> tuple[list[str], str]:
        """The arguments with annotations, and the annotation of the result."""
        arguments = [
            f"{body.variable(arg.name)}: {annotation(function, arg)}"
            + " | None" * self.plan.is_optional(self.module, function, arg.name)
            for arg in function.args
        ]
        arguments += [f"{self.plan.shared_name(t)}: Tensor" for t in self.plan.outer(self.module)]
        if self.plan.needs_device(self.module, function):
            arguments.append(DEVICE_ARGUMENT)
        if self.plan.uses_cache(self.module, function):
            arguments.append(self.cache_argument)
        return arguments, returned(function.results)

    @property
    def cache_argument(self) -> str:
        """The last argument; callers within the file always give it."""
        return "cache: Cache | None"

    def methods(self) -> list[list[str]]:
        """The forwards and the module's own functions."""
        if not self.module.forwards:
            return [self.method(f, attribute(f.name)) for f in self.module.functions]
        main, *others = self.module.forwards
        if others:
            done = [self.dispatch(main)]
            for form in self.module.forwards:  # their shapes are those of `forward`
                shapes = "" if form.description else self.shapes(form)
                done.append(self.method(form, attribute(form.name) or MAIN, shapes))
        else:
            done = [self.method(main, "forward")]
        return done + [self.method(f, attribute(f.name)) for f in self.module.functions]

    def dispatch(self, main: Function) -> list[str]:
        """The forward that chooses between the alternatives; `form` overrides its choice."""
        body = self.body(main)
        arguments, returns = self.signature(main, body)
        given = ", ".join(argument.partition(":")[0] for argument in arguments)
        saving, measured = self.plan.saving(self.module), self.lengths(main, body)
        chosen, lines, local = f'"{MAIN}"', [], body.fresh("form")
        if saving is not None and measured is not None:
            new, held = measured
            names = {name: body.fresh(name) for name in ("S", "T")}
            saved, few = body.fresh("saved"), names["S"]
            lines.append(f"{INDENT * 2}{few} = {new}")
            if any("T" in term for term in saving.operations):
                lines.append(f"{INDENT * 2}{names['T']} = {few} + {held}")
            difference = saved_operations(saving, names)
            lines += [
                f"{INDENT * 2}# operations saved, but for a factor; a compiled graph is of one form",
                f"{INDENT * 2}{saved} = "
                f"2 - {few} if torch.compiler.is_compiling() else {difference}",
            ]
            chosen = f'("{attribute(saving.forward)}" if {saved} > 0 else "{MAIN}")'
        lines = [
            *definition("forward", ["self", *arguments], returns, 1),
            *docstring(None, 2, self.shapes(main)),
            *lines,
            f"{INDENT * 2}{local} = self.form or {chosen}",
        ]
        for other in map(attribute, (f.name for f in self.module.forwards[1:])):
            lines.append(f'{INDENT * 2}if {local} == "{other}":')
            lines.append(f"{INDENT * 3}return self.{other}({given})")
        return [*lines, f"{INDENT * 2}return self.{MAIN}({given})"]

    def lengths(self, main: Function, body: BodyWriter) -> tuple[str, str] | None:
        """How many tokens are new, and how many are held, as `forward` finds them."""
        for value in walk(main.body):
            if isinstance(value, Append):
                cache = next(c for c in self.module.caches if c.name == value.cache)
                axis = next(i for i, dim in enumerate(cache.shape) if dim == Sym(cache.along))
                length = value.value.types[0].shape[axis]
                for arg in main.args:
                    if length in arg.type.shape:
                        at = arg.type.shape.index(length) - (
                            len(arg.type.shape) if arg.type.shape[0] == REST else 0
                        )
                        new = f"{body.variable(arg.name)}.size({at})"
                        return new, "(cache.length if cache else 0)"
        return None

    # ---- the class

    def write(self) -> list[str]:
        """The class, constructor first."""
        methods = self.methods()
        read = set(re.findall(r"\bself\.(\w+)", "\n".join(map("\n".join, methods))))
        for name in tuple(self.used.attributes):  # sizes that are asked for need not be written
            if self.plan.kept(self.module, name) not in read:
                del self.used.attributes[name]
        lines = [f"class {self.name}(nn.Module):", *docstring(self.summary(), 1)]
        if len(self.module.forwards) > 1:
            names = " or ".join(f'"{attribute(f.name) or MAIN}"' for f in self.module.forwards)
            lines += ["", f"{INDENT}form: str | None = None  # {names}; None chooses by the step"]
        if self.has_parameters:
            methods.append(
                [f"{INDENT}def extra_repr(self) -> str:", f"{INDENT * 2}return shapes(self)"]
            )
        blocks = [self.constructor(), *methods, *self.wide_rows()]
        for block in blocks:
            lines += ["", *block]
        return lines

    @property
    def has_parameters(self) -> bool:
        """Whether some parameters are the class's own, and not those of an nn.Linear."""
        own = (row for row in self.module.tensors if row.target is None)
        return any(self.stacked or row.kind == "array" for row in own)

    def wide_rows(self) -> list[list[str]]:
        """What keeps rows that compute in a dtype of their own from following the model's."""
        wide = [
            row
            for row in self.module.tensors
            if row.target is None and row.compute not in (ACTIVATION, *INTEGERS)
        ]
        if not wide:
            return []
        lines = definition("_apply", ["self", f"fn: {FN}", "recurse: bool = True"], "nn.Module", 1)
        rows = {
            flat(stack(row) if self.stacked else row_tensor(self.plan, row, False)): row.compute
            for row in wide
        }
        kept = [f"kept_{n}" if rows.keys() - {row} else "kept" for n, row in enumerate(rows, 1)]
        for name, (row, dtype) in zip(kept, rows.items(), strict=True):
            remark = f"stays {DTYPES[dtype].torch} where model.to(dtype) converts the others"
            lines += layout.remarked([f"{INDENT * 2}{name} = {row}.data"], remark, 2)
        lines.append(f"{INDENT * 2}super()._apply(fn, recurse)")
        for name, row in zip(kept, rows, strict=True):
            lines.append(f"{INDENT * 2}if {row}.dtype != {name}.dtype:")
            lines.append(f"{INDENT * 3}{row}.data = {name}.to({row}.device)")
        return [[*lines, f"{INDENT * 2}return self"]]
