"""Rows that a checkpoint holds in one tensor: `a, b -> "ab" as rearrange("...")`, checked.

Works on the rows that exist in a variant, those of a module and of the parts below it.  What the
arrangement means is in Note [Packing] of the IR.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NoReturn

from specgen.analysis.table.instances import written_out
from specgen.diagnostics.diagnostic import FIRST, Label
from specgen.diagnostics.source import Span
from specgen.expr.evaluate import EvaluationError
from specgen.expr.node import TRUE, Const, Expr, Sym, conjunction, disjunction, substitute, symbols
from specgen.expr.normal import equal
from specgen.frontend.conditions.oracle import ByValues
from specgen.frontend.dataflow.typing import BodyTyping
from specgen.frontend.modules import tables
from specgen.frontend.modules.module import ModuleView
from specgen.ir import model as ir
from specgen.language import tree
from specgen.ops.context import OpCall, Poisoned, shape_text, size_text
from specgen.ops.record import REST_GROUP
from specgen.ops.shape import groups, rearrange
from specgen.records import dataclass

#: The rows of a packing while its pattern is typed; no name of a spec is spelt like this.
ROWS = "<rows>"

#: Alternatives of the parts on one path, all together.
MAX_WAYS = 100


@dataclass(frozen=True, slots=True)
class PackingPlace:
    """A tensor row that a path leads to, its sizes in the names of the module at the path's start.

    `path` are parts, then the row; `indices` those of the repeated parts on the way, with counts.
    """

    path: tuple[str, ...]
    tensor: ir.Tensor
    shape: tuple[Expr, ...]
    condition: Expr = TRUE
    indices: tuple[tuple[str, Expr], ...] = ()

    @property
    def text(self) -> str:
        return ".".join(self.path)


@dataclass(frozen=True, slots=True)
class Way:
    """The parts that lead to a module: its rows, and its names in those of the first module."""

    tensors: Sequence[ir.Tensor]
    parts: Sequence[ir.Part]
    scope: Mapping[str, Expr]
    path: tuple[str, ...]
    condition: Expr
    indices: tuple[tuple[str, Expr], ...]

    def place(self, tensor: ir.Tensor) -> PackingPlace:
        return PackingPlace(
            (*self.path, tensor.name),
            tensor,
            tuple(written_out(dim, self.scope, tensor.name) for dim in tensor.shape),
            conjunction(self.condition, substitute(tensor.condition, self.scope)),
            self.indices,
        )

    def into(self, part: ir.Part, modules: Mapping[str, ir.Module]) -> Way:
        child = modules[part.module]
        scope = {name: written_out(n, self.scope, name) for name, n in part.arguments.items()}
        for let in child.lets:
            scope[let.name] = written_out(let.expr, scope, let.name)
        indices = self.indices
        if part.index is not None and part.count is not None:
            indices = (*indices, (part.index, substitute(part.count, self.scope)))
        condition = conjunction(self.condition, substitute(part.condition, self.scope))
        path = (*self.path, part.name)
        return Way(child.tensors, child.parts, scope, path, condition, indices)


def places(
    names: tuple[str, ...],
    tensors: Sequence[ir.Tensor],
    parts: Sequence[ir.Part],
    modules: Mapping[str, ir.Module],
) -> list[PackingPlace]:
    """What a path leads to; several rows where conditions on an index exclude each other.

    Raises:
        EvaluationError: a size in this module's names is too long, or the ways are too many.
    """
    found: list[PackingPlace] = []
    ways = [Way(tensors, parts, {}, (), TRUE, ())]
    for at, name in enumerate(names):
        row = ".".join(names[at:])
        found += [way.place(t) for way in ways for t in way.tensors if t.name == row]
        steps = [(way, part) for way in ways for part in way.parts if part.name == name]
        if len(steps) > MAX_WAYS:
            raise EvaluationError(f"`{'.'.join(names)}` leads to more than {MAX_WAYS} places")
        ways = [way.into(part, modules) for way, part in steps]
    return found


@dataclass(frozen=True, slots=True)
class Packer:
    """Reads one row of `names`; `tensors` and `parts` are what its module has in a variant.

    Methods raise Poisoned where the rows do not fit together, after reporting it.
    """

    view: ModuleView
    tensors: Sequence[ir.Tensor]
    parts: Sequence[ir.Part]
    modules: Mapping[str, ir.Module]
    oracle: ByValues
    row: tree.RenameSyntax

    def packings(self, named: Mapping[str, Span]) -> Iterator[ir.Packing]:
        """The tensors that the row means: of maps, their matrices and then their biases.

        Biases that are `named` by another row are left to that.
        """
        rows = [self.places(path.names) for path in self.row.paths]
        if not any(rows):
            return  # none of them exists in this variant
        self.check_existence(rows, [path.text for path in self.row.paths])
        maps = [is_map(found, path) for found, path in zip(rows, self.row.paths, strict=True)]
        if len(set(maps)) > 1:
            self.refuse("E0712", maps.index(False), row=self.row.paths[maps.index(True)].text)
        template = self.template(rows)
        groups = self.groups(rows, template)
        rearrangement = None
        for group in groups:
            self.check_shapes(group)
            if self.row.arrangement is not None:
                rearrangement = self.rearrangement(self.row.arrangement, group, template)
        paths = tuple(place.path for place in groups[0])
        if not maps[0]:
            yield packing(paths, template, rearrangement)
            return
        yield packing(paths, (*template, ".weight"), rearrangement)
        biases = tuple((*path[:-1], f"{path[-1]}.bias") for path in paths)
        rows = [self.places(bias) for bias in biases]
        texts = [".".join(bias) for bias in biases]
        apart = named.keys() & set(texts)
        if apart and len(apart) < len(texts):
            at = texts.index(min(apart))
            self.refuse("E0702", at, labels=[Label(named[texts[at]], FIRST)], name=texts[at])
        if any(rows) and not apart:
            self.check_existence(rows, texts)
            self.groups(rows, template)
            inner = None if rearrangement is None else without_inputs(rearrangement)
            yield packing(biases, (*template, ".bias"), inner)

    def places(self, names: tuple[str, ...]) -> list[PackingPlace]:
        """The rows that a path leads to; `w.weight` is the matrix of the map `w`."""
        found = places(names, self.tensors, self.parts, self.modules)
        if found or names[-1] != "weight":
            return found
        maps = places(names[:-1], self.tensors, self.parts, self.modules)
        return [place for place in maps if place.tensor.kind == "map"]

    def template(self, rows: Sequence[Sequence[PackingPlace]]) -> ir.Template:
        """The name, in the names of the module and the indices of parts on the way."""
        for at, found in enumerate(rows):
            names = [index for place in found[:1] for index, _ in place.indices]
            for name in names:
                if names.count(name) > 1:
                    self.refuse("E0302", at, name=name)
        indices = {index for places in rows for place in places for index, _ in place.indices}
        scope = self.view.scope.child([Sym(index, "index") for index in sorted(indices)])
        row, diagnostics = self.row, self.view.diagnostics
        template = tables.parse_template(row.target, row.target_span, scope, diagnostics)
        if not template:
            raise Poisoned
        return template

    # ---- rows that fit together

    def check_existence(self, rows: Sequence[Sequence[PackingPlace]], texts: Sequence[str]) -> None:
        """That the rows exist together; `texts` is what they are called."""
        first = next(at for at, found in enumerate(rows) if found)
        wanted = {place.condition for place in rows[first]}
        for at, found in enumerate(rows):
            if {place.condition for place in found} != wanted:
                self.refuse(
                    "E0709",
                    at,
                    first,
                    name=texts[at],
                    first=texts[first],
                    found=existence(found),
                    other=existence(rows[first]),
                )

    def groups(
        self, rows: Sequence[Sequence[PackingPlace]], template: ir.Template
    ) -> Sequence[tuple[PackingPlace, ...]]:
        """The rows that share a tensor; several groups where each row has alternatives."""
        by_condition = [{place.condition: place for place in found} for found in rows]
        groups = [tuple(places[first.condition] for places in by_condition) for first in rows[0]]
        for group in groups:
            self.check_storage(group)
            self.check_instances(group, template)
        return groups

    def check_storage(self, group: Sequence[PackingPlace]) -> None:
        """That the rows are stored in one dtype, each of them by itself."""
        first = group[0].tensor
        for at, place in enumerate(group):
            tensor = place.tensor
            if tensor.format is not None or tensor.shared is not None:
                how = f"{tensor.shared} {tensor.target}" if tensor.shared else "a storage format"
                self.refuse("E0708", at, found=how)
            if tensor.dtype != first.dtype:
                self.refuse("E0713", at, found=tensor.dtype, other=first.dtype)

    def check_instances(self, group: Sequence[PackingPlace], template: ir.Template) -> None:
        """That the rows are repeated alike, and all instances are that are stacked."""
        first = group[0]
        stacked = {index for index, _ in first.indices} - used(template)
        for at, place in enumerate(group):
            sizes = [*place.shape, place.condition, *(count for _, count in place.indices)]
            varying = stacked & {name for size in sizes for name in symbols(size)}
            if varying:
                self.refuse("E0711", at, index=min(varying))
            if [name for name, _ in place.indices] != [name for name, _ in first.indices] or not (
                self.same((n for _, n in place.indices), (n for _, n in first.indices))
            ):
                self.refuse("E0714", at, found=repetition(place), other=repetition(first))

    def check_shapes(self, group: Sequence[PackingPlace]) -> None:
        """That stacked rows have one shape; joined rows may differ in their first dim."""
        joined = self.row.arrangement is None
        for at, place in enumerate(group):
            if not self.same(place.shape[joined:], group[0].shape[joined:]):
                self.refuse(
                    "E0710",
                    at,
                    how="joined" if joined else "stacked",
                    found=shape_text(place.shape),
                    other=shape_text(group[0].shape),
                )

    def same(self, left: Iterable[Expr], right: Iterable[Expr]) -> bool:
        sides = list(left), list(right)
        lets = self.view.scope.expanded
        return len(sides[0]) == len(sides[1]) and all(
            equal(a, b, lets) for a, b in zip(*sides, strict=True)
        )

    def rearrangement(
        self, node: tree.CallSyntax, group: Sequence[PackingPlace], template: ir.Template
    ) -> ir.Rearrangement:
        """The arrangement, typed as the op that it is on the axes that Note [Packing] lists."""
        if node.function.text != "rearrange" or len(node.arguments) != 1:
            self.view.diagnostics.report("E0707", node.span)
            raise Poisoned
        rows = [Const(len(group))] if len(group) > 1 else []
        stacked = [count for index, count in group[0].indices if index not in used(template)]
        shape = (*rows, *stacked, *group[0].shape)
        vars: dict[str, ir.Type | None] = {ROWS: ir.Type(ir.ACTIVATION, shape)}
        body = BodyTyping(self.view.scope, self.view, self.oracle, vars)
        operand = tree.PathSyntax((ROWS,), node.arguments[0].span)
        call = OpCall(body, replace(node, arguments=(operand, *node.arguments)), "rearrange")
        typed = rearrange(call)
        assert isinstance(typed, ir.Op)
        inputs, outputs = groups(typed, "inputs"), groups(typed, "outputs")
        if REST_GROUP in inputs:
            self.view.diagnostics.report("E0707", node.span)
            raise Poisoned
        stated = {keyword.name: body.size(keyword.value) for keyword in node.keywords}
        return ir.Rearrangement(inputs, outputs, stated)

    def refuse(
        self, code: str, at: int, to: int = 0, labels: Sequence[Label] = (), **values: object
    ) -> NoReturn:
        """Reports that a row does not fit to another, as a rule the first one."""
        path, first = self.row.paths[at], self.row.paths[to]
        values = {"name": path.text, "first": first.text, **values}
        if "other" in values:
            labels = [Label(first.span, "what it is named with")]
        self.view.diagnostics.report_values(code, path.span, values, labels=labels)
        raise Poisoned


def packing(
    rows: tuple[tuple[str, ...], ...], template: ir.Template, whole: ir.Rearrangement | None
) -> ir.Packing:
    """The packing; an arrangement of one row that changes nothing is none."""
    idle = whole is not None and len(rows) == 1 and whole.inputs == whole.outputs
    return ir.Packing(rows, template, None if idle else whole)


def is_map(places: Sequence[PackingPlace], path: tree.PathSyntax) -> bool:
    """Whether the path names a map as a whole, so that its tensors add their own names."""
    return any(place.tensor.kind == "map" and place.text == path.text for place in places)


def used(template: ir.Template) -> set[str]:
    return {name for piece in template if isinstance(piece, Expr) for name in symbols(piece)}


def existence(places: Sequence[PackingPlace]) -> str:
    """When a row exists, in words."""
    if not places:
        return "does not exist"
    condition = disjunction(*(place.condition for place in places))
    return "always exists" if condition == TRUE else f"exists when {size_text(condition)}"


def repetition(place: PackingPlace) -> str:
    """How often a row is there, in words."""
    return "once" + "".join(f" for each `{i}` of {size_text(n)}" for i, n in place.indices)


def without_inputs(whole: ir.Rearrangement) -> ir.Rearrangement:
    """What the arrangement of matrices [out, in] does to their biases [out].

    The axes of the inputs are gone, and so is a dim of the tensor that holds nothing else.
    """
    gone = set(whole.inputs[-1])
    kept = [tuple(axis for axis in group if axis not in gone) for group in whole.outputs]
    return ir.Rearrangement(
        whole.inputs[:-1],
        tuple(new for new, old in zip(kept, whole.outputs, strict=True) if new or not old),
        {axis: size for axis, size in whole.sizes.items() if axis not in gone},
    )


def packings(
    view: ModuleView,
    tensors: Sequence[ir.Tensor],
    parts: Sequence[ir.Part],
    modules: Mapping[str, ir.Module],
    oracle: ByValues,
) -> Mapping[str, tuple[ir.Packing, ...]]:
    """The packings of a module in each naming scheme, in the order of the table."""
    found: dict[str, tuple[ir.Packing, ...]] = {}
    for section in view.definition.tree.names:
        named = {path.text: path.span for row in section.rows for path in row.paths}
        for row in section.rows:
            unknown = not all(tables.leads_to_row(view, path.names) for path in row.paths)
            if tables.is_plain(row, view) or tables.is_besides(row, view) or unknown:
                continue  # unknown rows are reported where plain rows are read
            try:
                packed = tuple(Packer(view, tensors, parts, modules, oracle, row).packings(named))
            except Poisoned:
                continue
            except EvaluationError as error:
                view.diagnostics.report("E0715", row.span, reason=str(error))
                continue
            if packed:
                found[section.scheme] = (*found.get(section.scheme, ()), *packed)
    return found
