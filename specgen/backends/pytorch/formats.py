"""Storage formats: what tensors hold a matrix, and the ways from them to it and back.

A format is a module without arguments, whose rows are the tensors and whose forward the matrix.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from specgen.backends.pytorch import layout, sizes
from specgen.backends.pytorch.definitions import definition, docstring
from specgen.backends.pytorch.functions import storage_format
from specgen.backends.pytorch.layout import INDENT, Atom, Node, call, flat, grouping
from specgen.backends.pytorch.plan import FilePlan
from specgen.backends.pytorch.quoting import literal, variable
from specgen.backends.pytorch.scope import Used
from specgen.dtypes import DTYPES
from specgen.expr.evaluate import Value
from specgen.expr.node import ZERO, Expr, Sym
from specgen.ir.model import Assign, Module, Op, Return, Tensor, Var, Weight
from specgen.ir.model import Value as Dataflow
from specgen.records import dataclass


@dataclass(frozen=True)
class FormatWriter:
    """One storage format with the values of its params, but for R and C."""

    module: Module
    name: str
    values: Sequence[tuple[str, Value]]

    def tensors(self) -> list[str]:
        """The function that says which tensors hold a matrix [R, C]."""
        names = {"R", "C", *(param for param, _ in self.values)}
        arguments = ["R: int", "C: int", *(default(*pair) for pair in self.values)]

        def naming(sym: Sym) -> Node:
            return Atom(variable(sym.name)) if sym.name in names else Atom("0")

        lines = definition(f"{self.name}_tensors", arguments, "dict[str, Kind]", 0)
        lines += docstring("Dtype and shape of each tensor that holds a matrix [R, C].", 1)
        lines.append(f"{INDENT}return {{")
        for row in self.module.tensors:
            shape = grouping([sizes.size(dim, naming) for dim in row.shape])
            kind = grouping([Atom(literal(DTYPES[row.dtype or "bf16"].safetensors)), shape])
            lines += layout.lines(f"{literal('.' + row.name)}: ", kind, 2, ",")
        return [*lines, f"{INDENT}}}"]

    def restored(self, plan: FilePlan, used: Used) -> list[str]:
        """The function that makes the matrix of those tensors."""
        numbers = {k: v for k, v in self.values if isinstance(v, int | float)}
        return storage_format(plan, self.name, self.module, numbers, used)

    def stored(self) -> str:
        """What makes those tensors of the matrix; None where no way back is known."""
        tile = tile_of(self.module)
        if tile is None:
            return "None"
        known: Mapping[str, Value] = dict(self.values)

        def naming(sym: Sym) -> Node:
            value = known.get(sym.name)
            return sizes.constant(value) if isinstance(value, int) else Atom(variable(sym.name))

        dtype = DTYPES[self.module.tensors[0].dtype or ""].safetensors
        shape = grouping([sizes.size(dim, naming) for dim in tile])
        made = call("scaled", Atom("matrix"), shape, Atom(literal(dtype)))
        return f"lambda matrix: {flat(made)}"


def default(param: str, value: Value) -> str:
    return f"{variable(param)}: {type(value).__name__} = {value!r}"


def tile_of(module: Module) -> tuple[Expr, Expr] | None:
    """The tile that has one scale, where a matrix is narrow floats times scales of tiles.

    So the forward has to say, and the tensors are the floats, [R, C], and then the scales in f32.
    """
    if module.forward is None or [len(row.shape) for row in module.tensors] != [2, 2]:
        return None
    floats, scales = module.tensors
    if not is_narrow(floats) or floats.shape != (Sym("R", "size"), Sym("C", "size")):
        return None
    held: dict[str, Dataflow] = {}
    for statement in module.forward.body:
        match statement:
            case Assign(names=(name,), value=value):
                held[name] = value
            case Return(values=(Op(name="mul", args=(one, other)),)):
                for given, factor in ((one, other), (other, one)):
                    match given:
                        case Op(name="cast", args=(Weight(row=floats.name),)):
                            return spread(factor, held, scales, floats.shape)
    return None


def spread(
    value: Dataflow, held: Mapping[str, Dataflow], scales: Tensor, whole: Sequence[Expr]
) -> tuple[Expr, Expr] | None:
    """The tile over which each scale is repeated, if a value is the scales repeated and cut."""
    match value:
        case Var(name=name) if name in held:
            return spread(held[name], held, scales, whole)
        case Op(
            name="slice", args=(inner,), attrs={"start": start, "stop": stop, "axis": int(axis)}
        ):
            return (
                spread(inner, held, scales, whole) if (start, stop) == (ZERO, whole[axis]) else None
            )
        case Op(name="repeat", args=(Weight(row=scales.name),), attrs=attrs):
            match attrs:
                case {"inputs": ((r,), (c,)), "outputs": ((r2, i), (c2, j)), "sizes": dict(by)}:
                    return (by[i], by[j]) if (r, c) == (r2, c2) else None
    return None


def is_narrow(row: Tensor) -> bool:
    """Whether a row's dtype is of floats that nothing is computed in."""
    dtype = DTYPES.get(row.dtype or "")
    return dtype is not None and dtype.kind == "float" and not dtype.computes
