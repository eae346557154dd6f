"""The intermediate representation: one variant of a table, typed, its sizes symbolic.

Back ends read this and nothing before it; it knows no back end.  Conditions on parameters are
decided; conditions on an index (`layer < n_dense_layers`) remain, as `condition`, `Branch` and
`Choose`.  Layers and experts are one `Part` with a count, never unrolled.

Note [Scopes]: every expression inside a module is written in that module's own names: its
params and lets, and, for a module defined inside the model (`lexical`), the model's.  A
part's `arguments` give the child's params in the parent's names.  A module defined inside another
has that one's params and lets as its own, before them, and is given them like those.

Note [Packing]: the axes of the rows of one packing are, from the outside in: the rows, if there
are several and a rearrangement; the indices of repeated parts on the way that the template
leaves out; the row's own dims as stored, [out, in] for a map.  With a rearrangement the tensor
is the result of that op on those axes.  Without one, several rows are joined along the first of
their own dims.  Both can be undone, so values can be found in the stored tensor.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import field
from functools import cached_property
from typing import Any, Final

from specgen.expr.node import TRUE, Expr, Sym
from specgen.ir.sections import (
    AXES as AXES,
)
from specgen.ir.sections import (
    Axis as Axis,
)
from specgen.ir.sections import (
    ConfigRow as ConfigRow,
)
from specgen.ir.sections import (
    Divided as Divided,
)
from specgen.ir.sections import (
    Report as Report,
)
from specgen.ir.sections import (
    ReportRow as ReportRow,
)
from specgen.ir.sections import (
    ReportSection as ReportSection,
)
from specgen.records import dataclass

#: `...` in a shape: any number of leading dimensions; stands first or not at all.
REST = Sym("...", "axis")

#: The dtype of values that follow the model's working precision (`dtypes { activations }`).
ACTIVATION = "act"

#: The dtype of compile-time numbers inside dataflow.
SCALAR = "scalar"


@dataclass(frozen=True, slots=True)
class Type:
    """The type of a value: a dtype (`act`, `f32`, `i64`, `bool`, ...) and symbolic dims."""

    dtype: str
    shape: tuple[Expr, ...]


# ---- values ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Var:
    """An argument or a name bound before."""

    name: str
    types: tuple[Type, ...]


@dataclass(frozen=True, slots=True)
class Weight:
    """A tensor row of the module read as a tensor; a map reads as its matrix [out, in]."""

    row: str
    types: tuple[Type, ...]


@dataclass(frozen=True, slots=True)
class Scalar:
    """A compile-time number inside dataflow."""

    expr: Expr
    types: tuple[Type, ...] = (Type(SCALAR, ()),)


@dataclass(frozen=True, slots=True)
class Op:
    """A primitive of the closed op set; `specgen.ops` has a record of each, with its attributes."""

    name: str
    args: tuple[Value, ...]
    attrs: Mapping[str, object]
    types: tuple[Type, ...]


@dataclass(frozen=True, slots=True)
class ApplyMap:
    """A map row applied to a value: x @ W.T, plus the row's bias where it has one."""

    row: str
    value: Value
    types: tuple[Type, ...]


@dataclass(frozen=True, slots=True)
class CallPart:
    """A part called.  A repeated part threads its first argument through its instances."""

    part: str
    args: tuple[Value, ...]
    types: tuple[Type, ...]


@dataclass(frozen=True, slots=True)
class CallFunction:
    """A function called: free, or (`method`) one of the module's own.

    `dims` gives the function's shape variables in the caller's names.
    """

    function: str
    method: bool
    args: tuple[Value, ...]
    dims: Mapping[str, Expr]
    types: tuple[Type, ...]


@dataclass(frozen=True, slots=True)
class Mixture:
    """sum over k of weights[..., k] * part[index[..., k]](x): only the chosen are evaluated."""

    part: str
    value: Value
    weights: Value
    index: Value
    types: tuple[Type, ...]


@dataclass(frozen=True, slots=True)
class Append:
    """The cache row with the new value appended along its growing axis; all of it is read."""

    cache: str
    value: Value
    types: tuple[Type, ...]


@dataclass(frozen=True, slots=True)
class Choose:
    """A choice by a condition on an index; both sides have the same type."""

    condition: Expr
    then: Value
    otherwise: Value
    types: tuple[Type, ...]


Value = Var | Weight | Scalar | Op | ApplyMap | CallPart | CallFunction | Mixture | Append | Choose

# ---- statements ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Assign:
    """Names for the results of a value; "_" drops one."""

    names: tuple[str, ...]
    value: Value


@dataclass(frozen=True, slots=True)
class Branch:
    """Statements chosen by a condition on an index."""

    condition: Expr
    then: tuple[Statement, ...]
    otherwise: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Return:
    values: tuple[Value, ...]


Statement = Assign | Branch | Return

# ---- callables -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Arg:
    """An argument; one of dtype `scalar` is a compile-time number."""

    name: str
    type: Type


@dataclass(frozen=True, slots=True)
class Function:
    """A forward, a module's own function, or a free function.

    `name` is "" for a main forward.  `intrinsic` names the platform operation that the body is
    equal to, if the table says that there is one.  `description` makes no two functions different.
    """

    name: str
    args: tuple[Arg, ...]
    result_names: tuple[str, ...]
    results: tuple[Type, ...]
    body: tuple[Statement, ...]
    intrinsic: str | None = None
    description: str | None = field(default=None, compare=False)


# ---- rows ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Format:
    """A storage format: a module over a matrix [R, C], with its arguments."""

    module: str
    arguments: Mapping[str, Expr]


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor row.

    `shape` is the stored order: [out, in] for a map.  `dtype` is what the checkpoint stores
    (None where a format says it), `fixed` whether the row itself says so and not `dtypes`;
    `compute` is the dtype of the value in dataflow.
    `shared` is "tied" (not stored) or "copy" (stored again) of the row at `target`.
    """

    name: str
    kind: str  # "map", "array" or "bias"
    shape: tuple[Expr, ...]
    dtype: str | None
    format: Format | None
    compute: str
    condition: Expr = TRUE
    shared: str | None = None
    target: str | None = None
    description: str | None = None
    fixed: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """A submodule; with `index` and `count`, a row of them.

    Alternatives of one name, with exclusive conditions on an index, are several parts.
    """

    name: str
    module: str  # id of the Module
    arguments: Mapping[str, Expr]
    index: str | None = None
    count: Expr | None = None
    condition: Expr = TRUE
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Cache:
    """State that grows along one axis: dims include B and the axis `along`."""

    name: str
    shape: tuple[Expr, ...]
    along: str
    dtype: str
    description: str | None = None


#: The value of a param; lists of numbers are tuples.
ParamValue = int | float | bool | str | tuple[int | float, ...] | None


def as_given(value: ParamValue) -> str:
    """A value as `-D` takes it."""
    match value:
        case bool():
            return str(value).lower()
        case tuple():
            return ",".join(map(as_given, value))
        case _:
            return str(value)


@dataclass(frozen=True, slots=True)
class Param:
    """A parameter; `value` is the variant's, None for a module's own params."""

    name: str
    kind: str  # size, count, real, flag, choice, dtype, counts, reals
    value: ParamValue
    choices: tuple[str, ...] = ()
    unit: str | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Let:
    name: str
    expr: Expr
    unit: str | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Require:
    condition: Expr
    reason: str


#: A name template: texts and expressions in the scope of the module that it stands in.
Template = tuple[str | Expr, ...]


@dataclass(frozen=True, slots=True)
class Rearrangement:
    """The op `rearrange` on stored values: a group of axes for each dim, before and after.

    `sizes` are those of the axes that the table states; the others follow from the dims.
    """

    inputs: tuple[tuple[str, ...], ...]
    outputs: tuple[tuple[str, ...], ...]
    sizes: Mapping[str, Expr]


@dataclass(frozen=True, slots=True)
class Packing:
    """Rows that a checkpoint holds in tensors of one name; see Note [Packing].

    Each of `rows` is a path from the module: parts, then the name of a tensor row.  `template`
    is the complete name, in the module's names and the indices of repeated parts on the way.
    """

    rows: tuple[tuple[str, ...], ...]
    template: Template
    rearrangement: Rearrangement | None


@dataclass(frozen=True)
class Module:
    """A module as this variant needs it; params stay symbols, decided rows are gone.

    `id` is unique in the program; `name` is the table's.  `decided` lists the conditions that
    were decided for this module, as they hold; `bounded` those on an index that hold for all of
    its values.  `names` maps a naming scheme to own path ->
    template, `packings` to what it says of rows together, or of rows below the module's parts, and
    `besides` to what a checkpoint may hold here besides the table's tensors.
    """

    id: str
    name: str
    title: str | None
    lexical: bool
    params: tuple[Param, ...]
    lets: tuple[Let, ...]
    requires: tuple[Require, ...]
    tensors: tuple[Tensor, ...]
    parts: tuple[Part, ...]
    caches: tuple[Cache, ...]
    forwards: tuple[Function, ...]
    functions: tuple[Function, ...]
    names: Mapping[str, Mapping[str, Template]]
    packings: Mapping[str, tuple[Packing, ...]] = field(default_factory=dict)
    besides: Mapping[str, tuple[Template, ...]] = field(default_factory=dict)
    decided: tuple[Expr, ...] = ()
    bounded: tuple[Expr, ...] = ()

    def tensors_named(self, name: str) -> tuple[Tensor, ...]:
        """The row of that name; several where conditions on an index exclude each other."""
        return tuple(row for row in self.tensors if row.name == name)

    def parts_named(self, name: str) -> tuple[Part, ...]:
        return tuple(part for part in self.parts if part.name == name)

    def is_within(self, target: str) -> bool:
        """Whether a path leads to a row of this module or of its parts; else the model has it."""
        first = target.partition(".")[0]
        return any(row.name.partition(".")[0] == first for row in self.tensors) or any(
            part.name == first for part in self.parts
        )

    @property
    def forward(self) -> Function | None:
        """The main forward."""
        return self.forwards[0] if self.forwards else None

    @cached_property
    def let_table(self) -> Mapping[str, Expr]:
        return {let.name: let.expr for let in self.lets}


#: Overrides that are spelt out where a program is called by its name.
SPELT_OUT: Final = 4


@dataclass(frozen=True)
class Program:
    """One variant of a model: what every back end is given.

    `stored_otherwise` is how the release that was asked for stores its weights, where the table does
    not say it: then nothing that is counted as stored is the release's.  `origin` is what the
    values are of, where it is no variant: the name of a released configuration.  `respellings` map a naming
    scheme to first levels of names, and what some checkpoints have in their place ("" for nothing).
    """

    name: str
    title: str | None
    variant: str | None
    edition: int
    root: str
    modules: Mapping[str, Module]  # by id, children before parents
    functions: Mapping[str, Function]  # free functions, callees before callers
    formats: Mapping[str, Module]  # storage formats, by id
    activation_dtype: str
    configs: Mapping[str, tuple[ConfigRow, ...]]
    reports: tuple[Report, ...]
    sharding: tuple[Axis, ...] = ()
    overridden: tuple[str, ...] = ()  # params given a value after the variant or origin, by name
    stored_otherwise: str = ""
    origin: str = field(default="", repr=False)  # no part of the meaning
    respellings: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    #: What was worked out of the program, for whoever needs it next: by the name of the function.
    derived: dict[str, Any] = field(init=False, default_factory=dict, compare=False, repr=False)

    @property
    def model(self) -> Module:
        """The root module: its params are the spec's, with the variant's values."""
        return self.modules[self.root]

    @cached_property
    def hash(self) -> str:
        """A digest of what the table means for this variant, however and wherever it is written."""
        return hashlib.sha256(repr(self).encode(errors="backslashreplace")).hexdigest()

    @property
    def label(self) -> str:
        """What people are told that it is: `llama@llama3_8b`, or `my-model (llama)`."""
        if self.origin:
            return f"{self.origin} ({self.name})"
        return f"{self.name}@{self.variant}" if self.variant else self.name

    @property
    def which(self) -> str:
        """The label and overrides, as the command line takes them; of many, their number."""
        given = [f" -D {name}={as_given(self.values[name])}" for name in self.overridden]
        if len(given) > SPELT_OUT:
            given = [f" with {len(given)} overrides"]
        return f"{self.label}{''.join(given)}"

    @cached_property
    def values(self) -> Mapping[str, ParamValue]:
        """The value of each of the spec's params."""
        return {param.name: param.value for param in self.model.params}

    @property
    def has_dataflow(self) -> bool:
        """Whether the table has a forward; a pure table has none."""
        return bool(self.model.forwards)


def stored_dtype(program: Program, dtype: str) -> str:
    """The dtype that is stored where a row follows the working precision."""
    return program.activation_dtype if dtype == ACTIVATION else dtype
