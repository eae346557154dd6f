"""Builds the syntax tree bottom-up: one method for each rule and alias of the grammar.

Called by the parser at every reduction.  Knows spans and the limits on numbers and depth; resolves no
name and judges nothing that needs more than the rule itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from specgen.language import tree
from specgen.language.expressions import (
    INTEGER_DIGITS,
    ExpressionBuilder,
    Token,
    quoted,
    text,
)
from specgen.records import dataclass

EDITION: Final = 1


@dataclass(frozen=True, slots=True)
class TableRules:
    """The rows of a section, on their way into the module's field of that name."""

    field: str
    rows: tuple[Any, ...]


class Builder(ExpressionBuilder):
    """All methods, one for each rule and alias of the grammar."""

    # ---- file --------------------------------------------------------------------------

    def start(self, edition: int, *items: Any) -> tree.FileSyntax:
        return tree.FileSyntax(
            self.source,
            edition,
            tuple(item for item in items if isinstance(item, tree.UseSyntax)),
            tuple(item for item in items if isinstance(item, tree.ModuleSyntax)),
            tuple(item for item in items if isinstance(item, tree.FunctionSyntax)),
            (),
        )

    def edition(self, _: Token, number: Token) -> int:
        if int(number.replace("_", "")[:INTEGER_DIGITS]) != EDITION:
            self.faults.report(
                "E0104",
                self.at(number),
                problem=f"edition {number} of the language is unknown to this specgen, "
                f"which reads edition {EDITION}",
            )
        return EDITION

    def use(
        self, word: Token, path: tuple[tuple[str, ...], bool], *names: Token | None
    ) -> tree.UseSyntax:
        imported = tuple((str(name), self.at(name)) for name in names if name is not None)
        return tree.UseSyntax(path[0], path[1], imported, self.since(word))

    def std_path(self, *names: Token) -> tuple[tuple[str, ...], bool]:
        return tuple(map(str, names)), False

    def relative_path(self, *names: Token) -> tuple[tuple[str, ...], bool]:
        return tuple(map(str, names)), True

    # ---- modules -----------------------------------------------------------------------

    def model(
        self, word: Token, name: Token, title: Token | None, *sections: Any
    ) -> tree.ModuleSyntax:
        return self.assemble(word, name, title, sections, is_model=True)

    def module(
        self, word: Token, name: Token, title: Token | None, *sections: Any
    ) -> tree.ModuleSyntax:
        return self.assemble(word, name, title, sections, is_model=False)

    def assemble(
        self, word: Token, name: Token, title: Token | None, sections: Iterable[Any], is_model: bool
    ) -> tree.ModuleSyntax:
        """A module of its sections; a section may be written in several pieces."""
        fields: dict[str, list[Any]] = {field: [] for field in SECTION_FIELDS}
        for section in sections:
            if isinstance(section, TableRules):
                fields[section.field].extend(section.rows)
            else:
                fields[NODE_FIELDS[type(section)]].append(section)
        return tree.ModuleSyntax(
            name=str(name),
            is_model=is_model,
            title=text(title),
            span=self.since(word),
            **{field: tuple(rows) for field, rows in fields.items()},
        )

    def params(self, _: Token, *rows: tree.ParamSyntax) -> TableRules:
        return TableRules("params", rows)

    def let(self, _: Token, *rows: tree.BindingSyntax) -> TableRules:
        return TableRules("lets", rows)

    def require(self, _: Token, *rows: tree.RequireSyntax) -> TableRules:
        return TableRules("requires", rows)

    def dtypes(self, _: Token, *rows: tree.BindingSyntax) -> TableRules:
        return TableRules("dtypes", rows)

    def tensors(self, _: Token, *rows: tree.TensorSyntax) -> TableRules:
        return TableRules("tensors", rows)

    def parts(self, _: Token, *rows: tree.PartSyntax) -> TableRules:
        return TableRules("parts", rows)

    def cache(self, _: Token, *rows: tree.CacheRowSyntax) -> TableRules:
        return TableRules("caches", rows)

    def sharding(self, _: Token, *rows: tree.ShardingRowSyntax) -> TableRules:
        return TableRules("sharding", rows)

    def names(
        self, word: Token, scheme: Token, *rows: tree.RenameSyntax | tree.RespellingSyntax
    ) -> tree.NamesSyntax:
        renames = tuple(row for row in rows if isinstance(row, tree.RenameSyntax))
        others = tuple(row for row in rows if isinstance(row, tree.RespellingSyntax))
        return tree.NamesSyntax(str(scheme), renames, others, self.since(word))

    def config(self, word: Token, scheme: Token, *rows: tree.ConfigRowSyntax) -> tree.ConfigSyntax:
        return tree.ConfigSyntax(str(scheme), rows, self.since(word))

    def report(
        self, word: Token, language: Token, title: Token, *sections: tree.ReportSectionSyntax
    ) -> tree.ReportSyntax:
        return tree.ReportSyntax(str(language), quoted(title), sections, self.since(word))

    def variant(
        self,
        word: Token,
        name: Token,
        parent: Token | None,
        description: Token | None,
        *rows: tree.AssignSyntax,
    ) -> tree.VariantSyntax:
        return tree.VariantSyntax(
            str(name), parent and str(parent), text(description), rows, self.since(word)
        )

    # ---- rows --------------------------------------------------------------------------

    def param(
        self,
        name: Token,
        type_: tuple[str, tuple[str, ...]],
        default: tree.Expression | None,
        unit: Token | None,
        description: Token | None,
    ) -> tree.ParamSyntax:
        return tree.ParamSyntax(
            str(name),
            type_[0],
            type_[1],
            default,
            unit and str(unit),
            text(description),
            self.since(name),
        )

    def scalar_type(self, word: Token) -> tuple[str, tuple[str, ...]]:
        return str(word), ()

    def choice_type(self, *choices: Token) -> tuple[str, tuple[str, ...]]:
        return "choice", tuple(map(quoted, choices))

    def binding(
        self, name: Token, value: tree.Expression, unit: Token | None, description: Token | None
    ) -> tree.BindingSyntax:
        return tree.BindingSyntax(
            str(name), value, unit and str(unit), text(description), self.since(name)
        )

    def demand(self, condition: tree.Expression, reason: Token) -> tree.RequireSyntax:
        return tree.RequireSyntax(condition, quoted(reason), self.since(condition))

    def tensor(
        self,
        path: tree.PathSyntax,
        storage: tree.ArrayStorageSyntax | tree.MapStorageSyntax | tree.SharedStorageSyntax,
        format_: tree.FormatSyntax | None,
        condition: tree.Expression | None,
        description: Token | None,
    ) -> tree.TensorSyntax:
        return tree.TensorSyntax(
            path, storage, format_, condition, text(description), self.since(path)
        )

    def array(self, shape: tree.ShapeSyntax) -> tree.ArrayStorageSyntax:
        return tree.ArrayStorageSyntax(shape, shape.span)

    def map(self, input_: tree.Expression, output: tree.Expression) -> tree.MapStorageSyntax:
        return tree.MapStorageSyntax(input_, output, self.since(input_))

    def shared(self, kind: Token, target: tree.PathSyntax) -> tree.SharedStorageSyntax:
        return tree.SharedStorageSyntax(str(kind), target, self.since(kind))

    def format(self, name: Token, arguments: tuple[Any, ...] | None) -> tree.FormatSyntax:
        return tree.FormatSyntax(str(name), self.by_name(arguments, str(name)), self.since(name))

    def part(
        self,
        name: Token,
        index: Token | None,
        module: Token,
        arguments: tuple[Any, ...] | None,
        count: tree.Expression | None,
        condition: tree.Expression | None,
        description: Token | None,
    ) -> tree.PartSyntax:
        return tree.PartSyntax(
            str(name),
            index and str(index),
            str(module),
            self.by_name(arguments, str(module)),
            count,
            condition,
            text(description),
            self.since(name),
            self.at(module),
        )

    def by_name(
        self, arguments: tuple[Any, ...] | None, whose: str
    ) -> tuple[tree.KeywordSyntax, ...]:
        """The arguments of a part or format, all of which must have names."""
        kept = []
        for argument in arguments or ():
            if isinstance(argument, tree.KeywordSyntax):
                kept.append(argument)
            else:
                self.faults.report(
                    "E0116",
                    argument.span,
                    problem=f"the parameters of `{whose}` are given by name, as in "
                    f"`{whose}(width = …)`",
                )
        return tuple(kept)

    def state(
        self,
        name: Token,
        shape: tree.ShapeSyntax,
        along: Token,
        format_: tree.FormatSyntax | None,
        description: Token | None,
    ) -> tree.CacheRowSyntax:
        return tree.CacheRowSyntax(
            str(name), shape, str(along), format_, text(description), self.since(name)
        )

    def axis(self, name: Token, _: Token, *rest: Any) -> tree.ShardingRowSyntax:
        *divided, description = rest
        kept = self.bounded(tuple(divided), "names that an axis divides")
        return tree.ShardingRowSyntax(str(name), kept, text(description), self.since(name))

    def divided(self, name: Token, along: Token | None) -> tree.DividedSyntax:
        return tree.DividedSyntax(str(name), along and str(along), self.since(name))

    def rename(self, *parts: Any) -> tree.RenameSyntax:
        *paths, target, arrangement = parts
        return tree.RenameSyntax(
            self.bounded(tuple(paths), "rows of a stored tensor"),
            quoted(target),
            arrangement,
            self.since(paths[0]),
            self.at(target),
        )

    def respelling(self, usual: Token, other: Token) -> tree.RespellingSyntax:
        return tree.RespellingSyntax(quoted(usual), quoted(other), self.since(usual))

    def arrangement(self, name: Token, arguments: tuple[Any, ...] | None) -> tree.CallSyntax:
        return self.call(tree.PathSyntax((str(name),), self.at(name)), arguments)

    def setting(
        self, value: tree.Expression, key: Token, condition: tree.Expression | None
    ) -> tree.ConfigRowSyntax:
        return tree.ConfigRowSyntax(value, quoted(key), condition, self.since(value))

    def heading(self, title: Token, *rows: Any) -> tree.ReportSectionSyntax:
        return tree.ReportSectionSyntax(quoted(title), rows, self.since(title))

    def entry(
        self, label: Token | None, colon: Token, subject: tree.Expression
    ) -> tree.ReportRowSyntax:
        return tree.ReportRowSyntax(text(label), subject, self.since(label or colon))

    def assign(self, name: Token, value: tree.Expression) -> tree.AssignSyntax:
        return tree.AssignSyntax(str(name), value, self.since(name))

    # ---- dataflow ----------------------------------------------------------------------

    def forward(
        self,
        word: Token,
        name: Token | None,
        arguments: tuple[tree.ArgumentSyntax, ...] | None,
        result: tree.ResultSyntax,
        intrinsic: str | None,
        body: tuple[tree.Statement, ...],
    ) -> tree.ForwardSyntax:
        return tree.ForwardSyntax(
            str(name or ""), arguments or (), result, intrinsic, body, self.since(word)
        )

    def function(
        self,
        word: Token,
        name: Token,
        arguments: tuple[tree.ArgumentSyntax, ...] | None,
        result: tree.ResultSyntax,
        intrinsic: str | None,
        condition: tree.Expression | None,
        body: tuple[tree.Statement, ...],
    ) -> tree.FunctionSyntax:
        return tree.FunctionSyntax(
            str(name), arguments or (), result, intrinsic, condition, body, self.since(word)
        )

    def intrinsic(self, name: Token) -> str:
        return str(name)

    def args(self, *arguments: tree.ArgumentSyntax) -> tuple[tree.ArgumentSyntax, ...]:
        return arguments

    def arg(
        self, name: Token, type_: tree.TensorTypeSyntax | tree.ScalarTypeSyntax
    ) -> tree.ArgumentSyntax:
        return tree.ArgumentSyntax(str(name), type_, self.since(name))

    def tensor_type(self, dtype: Token | None, shape: tree.ShapeSyntax) -> tree.TensorTypeSyntax:
        return tree.TensorTypeSyntax(dtype and str(dtype), shape, self.since(dtype or shape))

    def scalar_argument(self, word: Token) -> tree.ScalarTypeSyntax:
        return tree.ScalarTypeSyntax(str(word), self.at(word))

    def one_result(self, dtype: Token | None, shape: tree.ShapeSyntax) -> tree.ResultSyntax:
        type_ = self.tensor_type(dtype, shape)
        return tree.ResultSyntax((tree.ArgumentSyntax("", type_, type_.span),), type_.span)

    def named_results(self, opening: Token, *items: tree.ArgumentSyntax) -> tree.ResultSyntax:
        return tree.ResultSyntax(items, self.since(opening))

    def output(
        self, name: Token, dtype: Token | None, shape: tree.ShapeSyntax
    ) -> tree.ArgumentSyntax:
        return tree.ArgumentSyntax(str(name), self.tensor_type(dtype, shape), self.since(name))

    def shape(
        self, opening: Token, *dims: tree.Expression | tree.RestSyntax | None
    ) -> tree.ShapeSyntax:
        kept = tuple(dim for dim in dims if dim is not None)
        return tree.ShapeSyntax(self.bounded(kept, "dimensions of a shape"), self.since(opening))

    def rest(self, dots: Token) -> tree.RestSyntax:
        return tree.RestSyntax(self.at(dots))

    def body(self, *statements: tree.Statement) -> tuple[tree.Statement, ...]:
        return statements

    def bind(self, *parts: Any) -> tree.BindSyntax:
        *names, value = parts
        return tree.BindSyntax(tuple(map(str, names)), None, value, self.since(names[0]))

    def bind_typed(
        self, name: Token, dtype: Token | None, shape: tree.ShapeSyntax, value: tree.Expression
    ) -> tree.BindSyntax:
        start = self.at(dtype) if dtype else shape.span
        type_ = tree.TensorTypeSyntax(dtype and str(dtype), shape, start.to(shape.span))
        return tree.BindSyntax((str(name),), type_, value, self.since(name))

    def static_if(
        self,
        word: Token,
        condition: tree.Expression,
        then: tuple[tree.Statement, ...],
        otherwise: tuple[tree.Statement, ...] | tree.IfSyntax | None,
    ) -> tree.IfSyntax:
        if isinstance(otherwise, tree.IfSyntax):
            otherwise = (otherwise,)
        node = tree.IfSyntax(condition, then, otherwise or (), self.since(word))
        return self.deepen(node, node.otherwise)

    def ret(self, word: Token, *values: tree.Expression) -> tree.ReturnSyntax:
        return tree.ReturnSyntax(values, self.since(word))


SECTION_FIELDS: Final = (
    "params", "lets", "requires", "dtypes", "tensors", "parts", "caches", "sharding", "forwards",
    "names", "configs", "reports", "variants", "modules", "functions",
)  # fmt: skip

NODE_FIELDS: Final[dict[type, str]] = {
    tree.ForwardSyntax: "forwards",
    tree.NamesSyntax: "names",
    tree.ConfigSyntax: "configs",
    tree.ReportSyntax: "reports",
    tree.VariantSyntax: "variants",
    tree.ModuleSyntax: "modules",
    tree.FunctionSyntax: "functions",
}
