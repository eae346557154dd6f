"""The syntax tree: what a file says, with spans, before any name is resolved.

Frozen and closed: every consumer matches on these classes and nothing else.
"""

from __future__ import annotations

from specgen.diagnostics.source import Source, Span
from specgen.records import dataclass

# ---- expressions -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Literal:
    """An int, a float (`inf` among them), a flag, a text or null."""

    value: int | float | bool | str | None
    span: Span


@dataclass(frozen=True, slots=True)
class Path:
    """A dotted name: `wkv_b`, `embed.weight`."""

    names: tuple[str, ...]
    span: Span

    @property
    def text(self) -> str:
        return ".".join(self.names)


@dataclass(frozen=True, slots=True)
class Operation:
    """An operator and its operands: arithmetic, comparison, `and`, `or`, `not`, `neg`, `cond`.

    The operands of `cond` (`a when c else b`) stand in evaluation order: c, a, b.
    """

    op: str
    operands: tuple[Expression, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class ListOf:
    items: tuple[Expression, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Call:
    function: Path
    arguments: tuple[Expression, ...]
    keywords: tuple[Keyword, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Keyword:
    name: str
    value: Expression
    span: Span


Expression = Literal | Path | Operation | ListOf | Call

# ---- types -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rest:
    """`...` in a shape: any number of leading dimensions."""

    span: Span


@dataclass(frozen=True, slots=True)
class Shape:
    dims: tuple[Expression | Rest, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class TensorType:
    """`f32 [B, S]`; without a dtype, the model's activation dtype."""

    dtype: str | None
    shape: Shape
    span: Span


@dataclass(frozen=True, slots=True)
class ScalarType:
    """A compile-time argument of a function: `size`, `count`, `real` or `flag`."""

    kind: str
    span: Span


@dataclass(frozen=True, slots=True)
class Argument:
    name: str
    type: TensorType | ScalarType
    span: Span


@dataclass(frozen=True, slots=True)
class Result:
    """What a forward or function gives: one tensor (its name empty) or several named ones."""

    items: tuple[Argument, ...]
    span: Span


# ---- statements ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Bind:
    """`a, b = value`, optionally with the type that the value must have."""

    names: tuple[str, ...]
    type: TensorType | None
    value: Expression
    span: Span


@dataclass(frozen=True, slots=True)
class If:
    condition: Expression
    then: tuple[Statement, ...]
    otherwise: tuple[Statement, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Return:
    values: tuple[Expression, ...]
    span: Span


Statement = Bind | If | Return

# ---- rows ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Param:
    """`choices` is empty unless the type is a choice of strings."""

    name: str
    type: str
    choices: tuple[str, ...]
    default: Expression | None
    unit: str | None
    description: str | None
    span: Span


@dataclass(frozen=True, slots=True)
class Binding:
    """A row of `let` or `dtypes`."""

    name: str
    value: Expression
    unit: str | None
    description: str | None
    span: Span


@dataclass(frozen=True, slots=True)
class Require:
    condition: Expression
    reason: str
    span: Span


@dataclass(frozen=True, slots=True)
class ArrayStorage:
    """`[a, b]`."""

    shape: Shape
    span: Span


@dataclass(frozen=True, slots=True)
class MapStorage:
    """`in -> out`, stored [out, in]."""

    input: Expression
    output: Expression
    span: Span


@dataclass(frozen=True, slots=True)
class SharedStorage:
    """`tied path` (the same tensor, stored once) or `copy path` (stored a second time)."""

    kind: str
    target: Path
    span: Span


@dataclass(frozen=True, slots=True)
class Format:
    """`as f32`, `as fp8_block(block = 64)`."""

    name: str
    arguments: tuple[Keyword, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Tensor:
    path: Path
    storage: ArrayStorage | MapStorage | SharedStorage
    format: Format | None
    condition: Expression | None
    description: str | None
    span: Span


@dataclass(frozen=True, slots=True)
class Part:
    """`name[index] : module(arguments) × count when condition`."""

    name: str
    index: str | None
    module: str
    arguments: tuple[Keyword, ...]
    count: Expression | None
    condition: Expression | None
    description: str | None
    span: Span
    module_span: Span


@dataclass(frozen=True, slots=True)
class CacheRow:
    name: str
    shape: Shape
    along: str
    format: Format | None
    description: str | None
    span: Span


@dataclass(frozen=True, slots=True)
class Divided:
    """`name`, or `name along other`: divided so that its pieces go with those of the other."""

    name: str
    along: str | None
    span: Span


@dataclass(frozen=True, slots=True)
class ShardingRow:
    """`axis over name, name`: what the ranks of an axis of parallelism divide."""

    axis: str
    divided: tuple[Divided, ...]
    description: str | None
    span: Span


@dataclass(frozen=True, slots=True)
class Forward:
    """The main forward has the name ""; alternatives have one."""

    name: str
    arguments: tuple[Argument, ...]
    result: Result
    intrinsic: str | None
    body: tuple[Statement, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Function:
    """A free function, or one of a module's own, which may exist under a condition."""

    name: str
    arguments: tuple[Argument, ...]
    result: Result
    intrinsic: str | None
    condition: Expression | None
    body: tuple[Statement, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Rename:
    """`path, path -> "name" as rearrange("...")` in a `names` section.

    Several paths, or an arrangement, say how rows lie together in one stored tensor.
    """

    paths: tuple[Path, ...]
    target: str
    arrangement: Call | None
    span: Span
    target_span: Span


@dataclass(frozen=True, slots=True)
class Respelling:
    """`"levels" -> "other levels"`: how some checkpoints spell names that begin so."""

    usual: str
    other: str
    span: Span


@dataclass(frozen=True, slots=True)
class Names:
    scheme: str
    rows: tuple[Rename, ...]
    respellings: tuple[Respelling, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class ConfigRow:
    """`value -> "key.in.config" when condition`."""

    value: Expression
    key: str
    condition: Expression | None
    span: Span


@dataclass(frozen=True, slots=True)
class Config:
    scheme: str
    rows: tuple[ConfigRow, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class ReportRow:
    """A label and what it stands for: tensors or parts by path, a value, a call's output."""

    label: str | None
    subject: Expression
    span: Span


@dataclass(frozen=True, slots=True)
class ReportSection:
    heading: str
    rows: tuple[ReportRow | ReportSection, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Report:
    language: str
    title: str
    sections: tuple[ReportSection, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Assign:
    name: str
    value: Expression
    span: Span


@dataclass(frozen=True, slots=True)
class Variant:
    name: str
    parent: str | None
    description: str | None
    rows: tuple[Assign, ...]
    span: Span


# ---- items -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Module:
    """A module, or the model itself (`is_model`); `scope` names the modules around it."""

    name: str
    is_model: bool
    title: str | None
    params: tuple[Param, ...]
    lets: tuple[Binding, ...]
    requires: tuple[Require, ...]
    dtypes: tuple[Binding, ...]
    tensors: tuple[Tensor, ...]
    parts: tuple[Part, ...]
    caches: tuple[CacheRow, ...]
    sharding: tuple[ShardingRow, ...]
    forwards: tuple[Forward, ...]
    names: tuple[Names, ...]
    configs: tuple[Config, ...]
    reports: tuple[Report, ...]
    variants: tuple[Variant, ...]
    modules: tuple[Module, ...]
    functions: tuple[Function, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Use:
    """`use std.norm { rmsnorm }` or `use ./blocks { gate }`."""

    path: tuple[str, ...]
    relative: bool
    names: tuple[tuple[str, Span], ...]
    span: Span


@dataclass(frozen=True, slots=True)
class File:
    """A parsed file.

    `comments` hold every comment with its span, for tools that rewrite.  `damaged` are rows
    left out because of faults in their syntax: what they declared is not known.
    """

    source: Source
    edition: int
    uses: tuple[Use, ...]
    modules: tuple[Module, ...]
    functions: tuple[Function, ...]
    comments: tuple[Span, ...]
    damaged: tuple[Span, ...] = ()
