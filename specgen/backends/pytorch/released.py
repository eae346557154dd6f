"""The tables that tie parameters to the tensors of the released checkpoint.

One entry for each tensor of the checkpoint, folded as the table is; `stored_tensors` of the runtime
reads them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field

from specgen.analysis.table.cases import Folder
from specgen.analysis.table.instances import OWN, environment, root
from specgen.analysis.table.leeway import Leeway, leeway
from specgen.analysis.table.rows import TableEntry, entries, fold, pattern
from specgen.analysis.table.stored import StoredTensor, scheme_of, stored, stored_name
from specgen.backends.pytorch import layout, sizes
from specgen.backends.pytorch.faults import Inexpressible
from specgen.backends.pytorch.formats import FormatWriter
from specgen.backends.pytorch.layout import (
    INDENT,
    Atom,
    Attribute,
    Node,
    Pair,
    call,
    flat,
    grouping,
    listing,
    subscript,
)
from specgen.backends.pytorch.plan import FilePlan, declared
from specgen.backends.pytorch.quoting import attribute, function_name, literal, variable
from specgen.backends.pytorch.scope import Used
from specgen.backends.refusal import RefusalSite
from specgen.dtypes import COMPUTED_FLOATS, DTYPES
from specgen.expr.assumptions import Assumptions
from specgen.expr.evaluate import Value, evaluate
from specgen.expr.node import (
    FALSE,
    TRUE,
    Apply,
    Expr,
    Sym,
    conjunction,
    disjunction,
    negation,
    symbols,
    transform,
)
from specgen.expr.printing import to_text
from specgen.ir.model import Module, Program, Template
from specgen.records import dataclass

#: A released name and the parameter that its tensor fills.
Pairing = tuple[str, str]

#: What the axes of a stored tensor are called where the table does not.
AXES = "abcdefghijklmnopqrstuvwxyz"

#: A storage format with the values of its params, but for R and C.
Key = tuple[str, tuple[tuple[str, Value], ...]]


@dataclass
class Released:
    """The tables of one program: pairs of a released name and an own one, for each way of storing.

    `conditions` say for which indices a pair holds, where alternatives of one part have rows of one
    name and call them differently.
    """

    plan: FilePlan
    used: Used
    plain: dict[Pairing, None] = field(default_factory=dict)  # ordered
    formats: dict[Key, dict[Pairing, None]] = field(default_factory=dict)
    packed: dict[Node, None] = field(default_factory=dict)
    copies: dict[tuple[str, str, str], None] = field(default_factory=dict)
    numbers: dict[str, Expr] = field(default_factory=dict)
    conditions: dict[Pairing, Expr] = field(default_factory=dict)
    leeway: Leeway = field(init=False)
    dtypes: dict[str, str] = field(default_factory=dict)  # of tensors of no usual float

    def __post_init__(self) -> None:
        scheme = scheme_of(self.program)
        self.leeway = leeway(self.program, scheme)
        places: dict[str, list[TableEntry]] = {}
        for entry in entries(root(self.program)):
            places.setdefault(".".join(entry.path), []).append(entry)
        by_path: dict[str, list[StoredTensor]] = {}
        for tensor in stored(self.program, scheme):
            by_path.setdefault(tensor.first.path, []).append(tensor)
        names: dict[str, dict[Pairing, Expr]] = {}  # of each parameter: what it is called, and when
        ways: dict[Pairing, TableEntry] = {}
        folder = Folder(environment(self.program))
        for path, here in by_path.items():
            for copied in places[path]:
                if copied.tensor.shared == "copy":
                    self.copy(copied, places, by_path, scheme)
            for tensor in here:
                if tensor.first.kind == "scale" or tensor.first.shared is not None:
                    continue
                entry = places[path][0]
                for other in places[path] if len(places[path]) > 1 else ():
                    alike = other.tensor.kind == tensor.first.kind or tensor.packed
                    given = [stored_name(s.names, s.kind, scheme) for s in other.stored]
                    held = tensor.packed or tensor.first in fold(other, folder)
                    if alike and tensor.name in given and held:
                        entry = other
                owned = self.pack(tensor, places) if tensor.packed else self.enter(tensor, entry)
                for pair in owned:
                    known = names.setdefault(pair[1], {})
                    self.one_way(pair, entry, ways)
                    known[pair] = disjunction(known.get(pair, FALSE), entry.condition)
        for called in names.values():
            if len(called) > 1:
                self.conditions |= {pair: self.left_open(when) for pair, when in called.items()}

    @property
    def program(self) -> Program:
        return self.plan.program

    # ---- rows

    def enter(self, tensor: StoredTensor, entry: TableEntry) -> Sequence[Pairing]:
        """A tensor that holds one row as it is, or in a storage format; its name and the row's."""
        name = self.released(tensor.name)
        own = self.own(tensor.first.own, entry.tensor.kind)
        key = self.key(entry)
        if key is None:
            self.note_dtype(name, tensor)
            self.plain[name, own] = None
            return [(name, own)]
        table = self.formats.setdefault(key, {})
        pair = (name.removesuffix(".weight"), own)
        table[pair] = None
        return [pair]

    def key(self, entry: TableEntry) -> Key | None:
        """The storage format of a row, with the values of its params but for R and C."""
        if entry.tensor.format is None:
            return None
        env = environment(self.program)
        values = tuple(
            (param, evaluate(entry.instance.resolve(expr), env))
            for param, expr in entry.tensor.format.arguments.items()
            if param not in ("R", "C")
        )
        return entry.tensor.format.module, values

    def pack(
        self, tensor: StoredTensor, places: Mapping[str, Sequence[TableEntry]]
    ) -> Sequence[Pairing]:
        """A tensor that holds several rows, or all instances of one, or one rearranged."""
        name = self.released(tensor.name)
        self.note_dtype(name, tensor)
        rows = [self.own(row.own, places[row.path][0].tensor.kind) for row in tensor.rows]
        apart = list(tensor.stacked)  # the indices whose instances are parameters of their own
        if apart and rows[0].endswith(f"[{{{apart[-1].name}}}]"):
            rows = [row.removesuffix(f"[{{{apart[-1].name}}}]") for row in rows]
            apart.pop()
        whole = tensor.rearrangement
        if whole is None and not apart and len(rows) == 1:
            self.plain[name, rows[0]] = None
            return [(name, rows[0])]
        given: list[Pair] = []
        if whole is not None:
            arrangement = f"{groups(whole.inputs)} -> {groups(whole.outputs)}"
            stated = [axis for group in whole.inputs for axis in group[:-1]]  # the rest follows
            given = [
                Pair(literal(axis), sizes.size(whole.sizes[axis], self.in_config))
                for axis in stated
            ]
        elif len(rows) == 1:
            axes = " ".join(AXES[: len(tensor.dims)])
            arrangement = f"{axes} -> {axes}"
        else:
            at = len(tensor.stacked)
            arrangement = " ".join([*AXES[:at], "*", *AXES[at : len(tensor.dims) - 1]])
        outer = whole.inputs[: len(apart) + (len(rows) > 1)] if whole else ()
        if len(apart) > 1 or any(len(group) != 1 for group in outer):
            raise Inexpressible(f"`{name}` holds rows in more than two axes")
        owned = listing([Atom(literal(row)) for row in rows])
        way = Atom("joined" if "*" in arrangement else "rearranged")
        entry: list[Node] = [Atom(literal(name)), owned, way, Atom(literal(arrangement))]
        if given:
            known = flat(layout.Bracketed(None, "{", tuple(given)))
            entry.append(Atom(f"lambda config: {known}"))
        self.packed[call("Packed", *entry)] = None
        return [(name, row) for row in rows]

    def note_dtype(self, name: str, tensor: StoredTensor) -> None:
        """Remembers what a tensor is of that is not of a float which is computed in."""
        dtype = DTYPES[tensor.dtype]
        if tensor.dtype not in COMPUTED_FLOATS:
            self.dtypes[name] = dtype.safetensors

    def in_config(self, sym: Sym) -> Node:
        if sym.name not in declared(self.program.model):
            raise Inexpressible(f"how rows are stored depends on the index `{sym.name}`")
        return Attribute(Atom("config"), variable(sym.name))

    def left_open(self, condition: Expr) -> Expr:
        """What of a condition an index decides: the values of the file's params decide the rest."""
        env, known = environment(self.program), {*declared(self.program.model)}

        def rule(node: Expr) -> Expr:
            if symbols(node) and symbols(node) <= known:
                value = evaluate(node, env)
                if isinstance(value, bool):
                    return TRUE if value else FALSE
            match node:
                case Apply(op="and", args=args):
                    return conjunction(*args)
                case Apply(op="or", args=args):
                    return disjunction(*args)
                case Apply(op="not", args=(arg,)):
                    return negation(arg)
            return node

        return transform(condition, rule)

    def one_way(self, pair: Pairing, entry: TableEntry, ways: dict[Pairing, TableEntry]) -> None:
        """Raises Inexpressible where an index says how tensors of one name are stored.

        The tables tell the alternatives of a row apart by what they are called.
        """
        row, other = entry.tensor, ways.setdefault(pair, entry).tensor
        dtypes = {row.dtype, other.dtype}
        alike = len(dtypes) == 1 or dtypes <= {*COMPUTED_FLOATS}
        if not alike or self.key(entry) != self.key(ways[pair]):
            name = entry.instance.module.name
            raise Inexpressible(
                f"tensors `{pair[0]}` are stored in several ways: give the alternatives of "
                f"`{row.name}` different names in `names`",
                RefusalSite(name, row.name),
            )

    def copy(
        self,
        entry: TableEntry,
        places: Mapping[str, Sequence[TableEntry]],
        by_path: Mapping[str, Sequence[StoredTensor]],
        scheme: str,
    ) -> None:
        """A second stored copy: each of its tensors must equal that of the original."""
        row, target = entry.tensor, entry.tensor.target or ""
        home = entry.instance.path if entry.instance.module.is_within(target) else ()
        path = ".".join((*home, target))
        alone = [tensor.name for tensor in by_path.get(path, ()) if not tensor.packed]
        own = self.own(entry.stored[0].names[OWN], "array").split(".")
        owner = ".".join(own[: -1 - row.name.count(".")])
        found = False
        for other in places.get(path, ()):
            condition = self.left_open(entry.condition)
            here, there = Assumptions().assume(condition), self.left_open(other.condition)
            if here is None or here.assume(there) is None:
                continue
            if here.decide(there) is None:
                condition = conjunction(condition, there)
            for copied, original in zip(entry.stored, other.stored, strict=True):
                first, second = (
                    stored_name(one.names, one.kind, scheme) for one in (copied, original)
                )
                found = second in alone
                if not found:
                    break
                names = self.released(first), self.released(second)
                self.copies[owner, *names] = None
                if condition != TRUE:
                    known = self.conditions.get(names, FALSE)
                    self.conditions[names] = disjunction(known, condition)
        if not found:
            raise Inexpressible(
                f"`{row.name}` is a stored copy of `{target}`, which is no tensor of its own "
                "in the checkpoint",
                RefusalSite(entry.instance.module.name, row.name),
            )

    def released(self, name: Template) -> str:
        """A released name, expressions in braces."""
        for piece in name:
            if not isinstance(piece, str | Sym):
                self.numbers.setdefault(to_text(piece), piece)
        return pattern(name)

    def own(self, name: Template, kind: str) -> str:
        """The parameter: its name in the model, indices in braces, that of a stack in brackets."""
        names = pattern(name).split(".")
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
                "Each tensor of the released checkpoint, and the parameter that it is.",
                self.plain,
            )
        ]
        for number, ((id_, values), names) in enumerate(self.formats.items()):
            module = self.program.formats[id_]
            name = self.format_name(module, number if self.is_repeated(id_) else None)
            format = FormatWriter(module, name, values)
            blocks += [format.tensors(), format.restored(self.plan, self.used)]
            tables.append(
                self.table(
                    f"{name.upper()}_NAMES",
                    f"What the names of the tensors of each matrix stored as {name} begin with, and the matrix.",
                    names,
                )
            )
            restored = f"lambda *tensors: [{name}(*tensors)]"
            given = [f"{name.upper()}_NAMES", f"{name}_tensors", restored, format.stored()]
            listed += layout.lines("", call("Format", *map(Atom, given)), 1, ",")
        if listed:
            tables.append(["FORMATS = [", *listed, "]"])
        if self.dtypes:
            tables.append(self.mapping_table("DTYPES", "Tensors of no usual float.", self.dtypes))
        if self.packed:
            tables.append(self.packed_table())
        if self.conditions:
            tables.append(self.condition_table())
        if self.numbers:
            tables.append(self.number_table())
        if self.copies:
            tables.append(self.copy_table())
        tables += self.leeway_tables()
        return [*blocks, [line for table in tables for line in (*table, "")][:-1]]

    @property
    def tables(self) -> frozenset[str]:
        """The names of the tables that the file has beside `NAMES`."""
        found: dict[str, object] = {
            "FORMATS": self.formats,
            "DTYPES": self.dtypes,
            "PACKED": self.packed,
            "WHERE": self.conditions,
            "NUMBERS": self.numbers,
            "COPIES": self.copies,
            "RESPELLINGS": self.leeway.respellings,
            "BESIDES": self.leeway.besides,
        }
        dtypes = {*self.dtypes.values(), *self.narrow}
        found |= {"FOURS": "F4" in dtypes, "WHOLES": any(d[0] in "IUB" for d in dtypes)}
        return frozenset(name for name, entries in found.items() if entries)

    @property
    def narrow(self) -> Iterator[str]:
        """The dtypes of the floats of storage formats, as safetensors calls them."""
        for id_, _ in self.formats:
            for row in self.program.formats[id_].tensors:
                yield DTYPES[row.dtype or "f32"].safetensors

    def format_name(self, module: Module, number: int | None) -> str:
        """The function of a storage format; the table may have functions of its name, too."""
        name = module.name if number is None else f"{module.name}_{number + 1}"
        taken = self.plan.function_names
        while {name, f"{name}_tensors"} & taken or function_name(name) != name:
            name += "_"
        return name

    def is_repeated(self, id_: str) -> bool:
        return sum(key[0] == id_ for key in self.formats) > 1

    def table(self, name: str, text: str, pairs: Iterable[Pairing]) -> list[str]:
        lines = [f"# {text}", f"{name} = ["]
        for pair in pairs:
            lines += layout.lines("", grouping([Atom(literal(text)) for text in pair]), 1, ",")
        return [*lines, "]"] if pairs else [lines[0], f"{name}: list[tuple[str, str]] = []"]

    def copy_table(self) -> list[str]:
        lines = ["# Tensors stored a second time: for which module, as what, and what they equal."]
        lines.append("COPIES = [")
        for names in self.copies:
            texts = [Atom(literal(text)) for text in names]
            lines += layout.lines("", grouping(texts), 1, ",")
        return [*lines, "]"]

    def leeway_tables(self) -> Iterator[list[str]]:
        """What checkpoints may call otherwise, and hold besides."""
        if self.leeway.respellings:
            lines = ["# First levels of names, and what some checkpoints have in their place."]
            lines.append("RESPELLINGS = [")
            for pair in self.leeway.respellings:
                texts = [Atom(literal(text)) for text in pair]
                lines += layout.lines("", grouping(texts), 1, ",")
            yield [*lines, "]"]
        if self.leeway.besides:
            lines = ["# What some checkpoints hold besides, and the model does not need."]
            lines.append("BESIDES = [")
            lines += [f"{INDENT}{literal(name)}," for name in self.leeway.besides]
            yield [*lines, "]"]

    def packed_table(self) -> list[str]:
        lines = ["# Tensors that hold several parameters, or one in another order.", "PACKED = ["]
        for entry in self.packed:
            lines += layout.lines("", entry, 1, ",")
        return [*lines, "]"]

    def condition_table(self) -> list[str]:
        lines = ["# For which indices a pair holds, where a parameter is in several."]
        lines.append("WHERE: dict[tuple[str, str], Callable[[Any, dict[str, int]], bool]] = {")
        for pair, condition in self.conditions.items():
            key = flat(grouping([Atom(literal(text)) for text in pair]))
            test = sizes.condition(condition, self.at_index)
            lines += layout.lines(f"{key}: lambda config, index: ", test, 1, ",")
        return [*lines, "}"]

    def at_index(self, sym: Sym) -> Node:
        """A name of the model, or an index, where a checkpoint's names are filled in."""
        if sym.name in declared(self.program.model):
            return self.in_config(sym)
        return subscript(Atom("index"), Atom(literal(sym.name)))

    def number_table(self) -> list[str]:
        lines = ["# Numbers in released names that are computed from an index."]
        lines.append("NUMBERS: dict[str, Callable[[Any, dict[str, int]], int]] = {")
        for text, expr in self.numbers.items():
            number = flat(sizes.size(expr, self.at_index))
            braces = literal("{" + text + "}")
            lines += layout.lines(f"{braces}: ", Atom(f"lambda config, index: {number}"), 1, ",")
        return [*lines, "}"]

    def mapping_table(self, name: str, text: str, entries: Mapping[str, str]) -> list[str]:
        lines = [f"# {text}", f"{name} = {{"]
        for key, value in entries.items():
            lines += layout.lines(f"{literal(key)}: ", Atom(literal(value)), 1, ",")
        return [*lines, "}"]


def groups(side: Sequence[Sequence[str]]) -> str:
    """One side of a pattern."""
    return " ".join(g[0] if len(g) == 1 else f"({' '.join(g)})" for g in side)


def leads_to_row(program: Program, module: Module, names: Sequence[str]) -> bool:
    """Whether the names of parts, indices and a row lead somewhere from a module."""
    if module.tensors_named(".".join(names)):
        return True
    for part in module.parts_named(names[0]) if names else ():
        inner = names[2:] if part.index is not None else names[1:]
        if leads_to_row(program, program.modules[part.module], inner):
            return True
    return False
