"""The syntax tree: what a file says, with spans, before any name is resolved.

Frozen and closed: every consumer matches on these classes and nothing else.
"""

from __future__ import annotations

from specgen.diagnostics.source import Source, Span
from specgen.records import dataclass

# ---- expressions -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LiteralSyntax:
    """An int, a float (`inf` among them), a flag, a text or null."""

    value: int | float | bool | str | None
    span: Span


@dataclass(frozen=True, slots=True)
class PathSyntax:
    """A dotted name: `wkv_b`, `embed.weight`."""

    names: tuple[str, ...]
    span: Span

    @property
    def text(self) -> str:
        return ".".join(self.names)


@dataclass(frozen=True, slots=True)
class OperationSyntax:
    """An operator and its operands: arithmetic, comparison, `and`, `or`, `not`, `neg`, `cond`.

    The operands of `cond` (`a when c else b`) stand in evaluation order: c, a, b.
    """

    op: str
    operands: tuple[Expression, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class ListOfSyntax:
    items: tuple[Expression, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class CallSyntax:
    function: PathSyntax
    arguments: tuple[Expression, ...]
    keywords: tuple[KeywordSyntax, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class KeywordSyntax:
    name: str
    value: Expression
    span: Span


Expression = LiteralSyntax | PathSyntax | OperationSyntax | ListOfSyntax | CallSyntax

# ---- types -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RestSyntax:
    """`...` in a shape: any number of leading dimensions."""

    span: Span


@dataclass(frozen=True, slots=True)
class ShapeSyntax:
    dims: tuple[Expression | RestSyntax, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class TensorTypeSyntax:
    """`f32 [B, S]`; without a dtype, the model's activation dtype."""

    dtype: str | None
    shape: ShapeSyntax
    span: Span


@dataclass(frozen=True, slots=True)
class ScalarTypeSyntax:
    """A compile-time argument of a function: `size`, `count`, `real` or `flag`."""

    kind: str
    span: Span


@dataclass(frozen=True, slots=True)
class ArgumentSyntax:
    name: str
    type: TensorTypeSyntax | ScalarTypeSyntax
    span: Span


@dataclass(frozen=True, slots=True)
class ResultSyntax:
    """What a forward or function gives: one tensor (its name empty) or several named ones."""

    items: tuple[ArgumentSyntax, ...]
    span: Span


# ---- statements ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BindSyntax:
    """`a, b = value`, optionally with the type that the value must have."""

    names: tuple[str, ...]
    type: TensorTypeSyntax | None
    value: Expression
    span: Span


@dataclass(frozen=True, slots=True)
class IfSyntax:
    condition: Expression
    then: tuple[Statement, ...]
    otherwise: tuple[Statement, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class ReturnSyntax:
    values: tuple[Expression, ...]
    span: Span


Statement = BindSyntax | IfSyntax | ReturnSyntax

# ---- rows ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ParamSyntax:
    """`choices` is empty unless the type is a choice of strings."""

    name: str
    type: str
    choices: tuple[str, ...]
    default: Expression | None
    unit: str | None
    description: str | None
    span: Span


@dataclass(frozen=True, slots=True)
class BindingSyntax:
    """A row of `let` or `dtypes`."""

    name: str
    value: Expression
    unit: str | None
    description: str | None
    span: Span


@dataclass(frozen=True, slots=True)
class RequireSyntax:
    condition: Expression
    reason: str
    span: Span


@dataclass(frozen=True, slots=True)
class ArrayStorageSyntax:
    """`[a, b]`."""

    shape: ShapeSyntax
    span: Span


@dataclass(frozen=True, slots=True)
class MapStorageSyntax:
    """`in -> out`, stored [out, in]."""

    input: Expression
    output: Expression
    span: Span


@dataclass(frozen=True, slots=True)
class SharedStorageSyntax:
    """`tied path` (the same tensor, stored once) or `copy path` (stored a second time)."""

    kind: str
    target: PathSyntax
    span: Span


@dataclass(frozen=True, slots=True)
class FormatSyntax:
    """`as f32`, `as fp8_block(block = 64)`."""

    name: str
    arguments: tuple[KeywordSyntax, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class TensorSyntax:
    path: PathSyntax
    storage: ArrayStorageSyntax | MapStorageSyntax | SharedStorageSyntax
    format: FormatSyntax | None
    condition: Expression | None
    description: str | None
    span: Span


@dataclass(frozen=True, slots=True)
class PartSyntax:
    """`name[index] : module(arguments) × count when condition`."""

    name: str
    index: str | None
    module: str
    arguments: tuple[KeywordSyntax, ...]
    count: Expression | None
    condition: Expression | None
    description: str | None
    span: Span
    module_span: Span


@dataclass(frozen=True, slots=True)
class CacheRowSyntax:
    name: str
    shape: ShapeSyntax
    along: str
    format: FormatSyntax | None
    description: str | None
    span: Span


@dataclass(frozen=True, slots=True)
class DividedSyntax:
    """`name`, or `name along other`: divided so that its pieces go with those of the other."""

    name: str
    along: str | None
    span: Span


@dataclass(frozen=True, slots=True)
class ShardingRowSyntax:
    """`axis over name, name`: what the ranks of an axis of parallelism divide."""

    axis: str
    divided: tuple[DividedSyntax, ...]
    description: str | None
    span: Span


@dataclass(frozen=True, slots=True)
class ForwardSyntax:
    """The main forward has the name ""; alternatives have one."""

    name: str
    arguments: tuple[ArgumentSyntax, ...]
    result: ResultSyntax
    intrinsic: str | None
    body: tuple[Statement, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class FunctionSyntax:
    """A free function, or one of a module's own, which may exist under a condition."""

    name: str
    arguments: tuple[ArgumentSyntax, ...]
    result: ResultSyntax
    intrinsic: str | None
    condition: Expression | None
    body: tuple[Statement, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class RenameSyntax:
    """`path, path -> "name" as rearrange("...")` in a `names` section.

    Several paths, or an arrangement, say how rows lie together in one stored tensor.
    """

    paths: tuple[PathSyntax, ...]
    target: str
    arrangement: CallSyntax | None
    span: Span
    target_span: Span


@dataclass(frozen=True, slots=True)
class RespellingSyntax:
    """`"levels" -> "other levels"`: how some checkpoints spell names that begin so."""

    usual: str
    other: str
    span: Span


@dataclass(frozen=True, slots=True)
class NamesSyntax:
    scheme: str
    rows: tuple[RenameSyntax, ...]
    respellings: tuple[RespellingSyntax, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class ConfigRowSyntax:
    """`value -> "key.in.config" when condition`."""

    value: Expression
    key: str
    condition: Expression | None
    span: Span


@dataclass(frozen=True, slots=True)
class ConfigSyntax:
    scheme: str
    rows: tuple[ConfigRowSyntax, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class ReportRowSyntax:
    """A label and what it stands for: tensors or parts by path, a value, a call's output."""

    label: str | None
    subject: Expression
    span: Span


@dataclass(frozen=True, slots=True)
class ReportSectionSyntax:
    heading: str
    rows: tuple[ReportRowSyntax | ReportSectionSyntax, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class ReportSyntax:
    language: str
    title: str
    sections: tuple[ReportSectionSyntax, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class AssignSyntax:
    name: str
    value: Expression
    span: Span


@dataclass(frozen=True, slots=True)
class VariantSyntax:
    name: str
    parent: str | None
    description: str | None
    rows: tuple[AssignSyntax, ...]
    span: Span


# ---- items -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ModuleSyntax:
    """A module, or the model itself (`is_model`); `scope` names the modules around it."""

    name: str
    is_model: bool
    title: str | None
    params: tuple[ParamSyntax, ...]
    lets: tuple[BindingSyntax, ...]
    requires: tuple[RequireSyntax, ...]
    dtypes: tuple[BindingSyntax, ...]
    tensors: tuple[TensorSyntax, ...]
    parts: tuple[PartSyntax, ...]
    caches: tuple[CacheRowSyntax, ...]
    sharding: tuple[ShardingRowSyntax, ...]
    forwards: tuple[ForwardSyntax, ...]
    names: tuple[NamesSyntax, ...]
    configs: tuple[ConfigSyntax, ...]
    reports: tuple[ReportSyntax, ...]
    variants: tuple[VariantSyntax, ...]
    modules: tuple[ModuleSyntax, ...]
    functions: tuple[FunctionSyntax, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class UseSyntax:
    """`use std.norm { rmsnorm }` or `use ./blocks { gate }`."""

    path: tuple[str, ...]
    relative: bool
    names: tuple[tuple[str, Span], ...]
    span: Span


@dataclass(frozen=True, slots=True)
class FileSyntax:
    """A parsed file.

    `comments` hold every comment with its span, for tools that rewrite.  `damaged` are rows
    left out because of faults in their syntax: what they declared is not known.
    """

    source: Source
    edition: int
    uses: tuple[UseSyntax, ...]
    modules: tuple[ModuleSyntax, ...]
    functions: tuple[FunctionSyntax, ...]
    comments: tuple[Span, ...]
    damaged: tuple[Span, ...] = ()
