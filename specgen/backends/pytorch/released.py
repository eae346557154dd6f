"""The tables that tie parameters to the tensors of the released checkpoint.

One entry for each tensor row of the table, folded as the table is; `load_checkpoint` in the
template reads them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from specgen.analysis.instances import Instance, environment, root
from specgen.analysis.rows import Row, entries, pattern, rows
from specgen.backends.pytorch import layout, sizes
from specgen.backends.pytorch.definitions import definition, docstring
from specgen.backends.pytorch.functions import storage_format
from specgen.backends.pytorch.layout import INDENT, Atom, Attribute, Node, call, grouping, subscript
from specgen.backends.pytorch.plan import Plan, declared
from specgen.backends.pytorch.quoting import attribute, function_name, literal, variable
from specgen.backends.pytorch.scope import Used
from specgen.ir.model import Module, Program, Template, Tensor
from specgen.sizes.evaluate import Value, evaluate
from specgen.sizes.expr import Expr, Sym
from specgen.sizes.printing import to_text

#: The naming scheme of released checkpoints, where a table has several.
PREFERRED = "hf"

#: What safetensors calls the dtypes of tables.
SAFETENSORS = {
    "f64": "F64",
    "f32": "F32",
    "f16": "F16",
    "bf16": "BF16",
    "f8e4m3": "F8_E4M3",
    "i64": "I64",
    "i32": "I32",
    "i8": "I8",
    "u8": "U8",
    "bool": "BOOL",
}

#: A storage format with the values of its params, but for R and C.
Key = tuple[str, tuple[tuple[str, Value], ...]]


@dataclass
class Released:
    """The tables of one program: own name -> released name, for each way of storing."""

    plan: Plan
    used: Used
    plain: dict[str, str] = field(default_factory=dict)
    formats: dict[Key, dict[str, str]] = field(default_factory=dict)
    copies: dict[str, tuple[str, str]] = field(default_factory=dict)
    numbers: dict[str, Expr] = field(default_factory=dict)

    def __post_init__(self) -> None:
        model = root(self.program)
        places = {".".join(entry.path): entry for entry in entries(model)}
        by_path: dict[str, list[Row]] = {}
        for row in rows(self.program):
            by_path.setdefault(row.path, []).append(row)
        for path, here in by_path.items():
            entry = places[path]
            if entry.tensor.shared == "copy":
                self.copy(here, by_path[entry.tensor.target or ""])
                continue
            for row in here:
                if row.shared is None and row.kind != "scale":
                    self.enter(row, entry.tensor, entry.instance)

    @property
    def program(self) -> Program:
        return self.plan.program

    @property
    def scheme(self) -> str:
        """The naming scheme of the checkpoint; a table without one is stored in its own names."""
        schemes = self.program.model.names
        return PREFERRED if PREFERRED in schemes or not schemes else min(schemes)

    # ---- rows

    def enter(self, row: Row, tensor: Tensor, instance: Instance) -> None:
        name = self.released(row)
        own = self.own(row, tensor.kind)
        if tensor.format is None:
            self.plain[own] = name
            return
        env = environment(self.program)
        values = tuple(
            (param, evaluate(instance.resolve(expr), env))
            for param, expr in tensor.format.arguments.items()
            if param not in ("R", "C")
        )
        table = self.formats.setdefault((tensor.format.module, values), {})
        table[own] = name.removesuffix(".weight")

    def copy(self, here: Sequence[Row], originals: Sequence[Row]) -> None:
        """A second stored copy: each of its tensors must equal that of the original."""
        for row, original in zip(here, originals, strict=True):
            self.copies[f"{self.own(row, 'array')}"] = (self.released(row), self.released(original))

    def released(self, row: Row) -> str:
        """The released name, expressions in braces."""
        if self.scheme not in row.released:
            suffix = ".weight" if row.kind == "map" else ""
            return pattern(row.own) + suffix
        template: Template = row.released[self.scheme]
        for piece in template:
            if not isinstance(piece, str | Sym):
                self.numbers.setdefault(to_text(piece), piece)
        return pattern(template)

    def own(self, row: Row, kind: str) -> str:
        """The parameter: its name in the model, indices in braces, that of a stack in brackets."""
        names = pattern(row.own).split(".")
        found = self.walk(self.program.model, names)
        return found + (".weight" if kind == "map" and not found.endswith("]") else "")

    def walk(self, module: Module, names: Sequence[str]) -> str:
        for part in module.parts_named(names[0]):
            child = self.program.modules[part.module]
            inner = names[2:] if part.index is not None else names[1:]
            if not leads_to_row(self.program, child, inner):
                continue
            own = attribute(part.name)
            if self.plan.is_stacked(part):
                return f"{own}.{attribute('_'.join(inner))}[{names[1]}]"
            index = f".{names[1]}" if part.index is not None else ""
            return f"{own}{index}.{self.walk(child, inner)}"
        return ".".join(map(attribute, names))

    # ---- lines

    def lines(self) -> list[list[str]]:
        """The blocks of the file: storage formats, then the tables."""
        blocks: list[list[str]] = []
        listed: list[str] = []
        tables = [
            self.table(
                "NAMES",
                "Each parameter, and the tensor of the released checkpoint that it is.",
                self.plain,
            )
        ]
        for number, ((id_, values), names) in enumerate(self.formats.items()):
            module = self.program.formats[id_]
            name = self.format_name(module, number if self.is_repeated(id_) else None)
            blocks += [self.stored(module, name, values), self.restored(module, name, values)]
            tables.append(
                self.table(
                    f"{name.upper()}_NAMES",
                    f"Each matrix stored as {name}, and what the names of its tensors begin with.",
                    names,
                )
            )
            listed.append(f"({name.upper()}_NAMES, {name}_tensors, {name})")
        kind = "dict[str, str], Callable[..., Stored], Callable[..., Tensor]"
        lines = [f"FORMATS: list[tuple[{kind}]] = ["]
        lines.append(f"{INDENT}(NAMES, plain_tensors, torch.as_tensor),")
        tables.append([*lines, *(f"{INDENT}{entry}," for entry in listed), "]"])
        if self.copies:
            tables.append(self.copy_table())
        return [*blocks, [line for table in tables for line in (*table, "")][:-1]]

    def format_name(self, module: Module, number: int | None) -> str:
        """The function of a storage format; the table may have functions of its name, too."""
        name = module.name if number is None else f"{module.name}_{number + 1}"
        taken = self.plan.function_names
        while {name, f"{name}_tensors"} & taken or function_name(name) != name:
            name += "_"
        return name

    def is_repeated(self, id_: str) -> bool:
        return sum(key[0] == id_ for key in self.formats) > 1

    def table(self, name: str, text: str, names: Mapping[str, str]) -> list[str]:
        lines = [f"# {text}", f"{name} = {{"]
        lines += [f"{INDENT}{literal(own)}: {literal(to)}," for own, to in names.items()]
        return [*lines, "}"] if names else [lines[0], f"{name}: dict[str, str] = {{}}"]

    def copy_table(self) -> list[str]:
        lines = ["# Tensors stored a second time: for which module, as what, and what they equal."]
        lines.append("COPIES = [")
        for own, names in self.copies.items():
            texts = [Atom(literal(text)) for text in (own.rpartition(".")[0], *names)]
            lines += layout.lines("", grouping(texts), 1, ",")
        return [*lines, "]"]

    def filling(self) -> list[str]:
        """The function that fills indices, and expressions of them, into a released name."""
        if not self.numbers:
            return []
        params = declared(self.program.model)

        def naming(sym: Sym) -> Node:
            if sym.name in params:
                return Attribute(Atom("config"), variable(sym.name))
            return subscript(Atom("index"), Atom(literal(sym.name)))

        arguments = ["released: str", "index: dict[str, int]", "config: Config"]
        lines = definition("filled", arguments, "str", 0)
        lines += docstring("A released name with its indices filled in.", 1)
        for text, expr in self.numbers.items():
            braces = literal("{" + text + "}")
            replaced = call("released.replace", Atom(braces), call("str", sizes.size(expr, naming)))
            lines.append(f"{INDENT}if {braces} in released:")
            lines += layout.lines("released = ", replaced, 2)
        lines.append(f"{INDENT}return released.format(**index)")
        return lines

    # ---- storage formats

    def stored(self, module: Module, name: str, values: Sequence[tuple[str, Value]]) -> list[str]:
        """The function that says which tensors hold a matrix [R, C]."""
        names = {"R", "C", *(param for param, _ in values)}
        arguments = ["R: int", "C: int", *(default(*pair) for pair in values)]

        def naming(sym: Sym) -> Node:
            return Atom(variable(sym.name)) if sym.name in names else Atom("0")

        lines = definition(f"{name}_tensors", arguments, "Stored", 0)
        lines += docstring("Dtype and shape of each tensor that holds a matrix [R, C].", 1)
        lines.append(f"{INDENT}return {{")
        for row in module.tensors:
            shape = grouping([sizes.size(dim, naming) for dim in row.shape])
            kind = grouping([Atom(literal(SAFETENSORS[row.dtype or "bf16"])), shape])
            lines += layout.lines(f"{literal('.' + row.name)}: ", kind, 2, ",")
        return [*lines, f"{INDENT}}}"]

    def restored(self, module: Module, name: str, values: Sequence[tuple[str, Value]]) -> list[str]:
        """The function that makes the matrix of those tensors."""
        numbers = {k: v for k, v in values if isinstance(v, int | float)}
        return storage_format(self.plan, name, module, numbers, self.used)


def default(param: str, value: Value) -> str:
    return f"{variable(param)}: {type(value).__name__} = {value!r}"


def leads_to_row(program: Program, module: Module, names: Sequence[str]) -> bool:
    """Whether the names of parts, indices and a row lead somewhere from a module."""
    if module.tensors_named(".".join(names)):
        return True
    for part in module.parts_named(names[0]) if names else ():
        inner = names[2:] if part.index is not None else names[1:]
        if leads_to_row(program, program.modules[part.module], inner):
            return True
    return False
