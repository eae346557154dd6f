"""Files and what they import: reads a spec, the std blocks and the files beside it.

Knows where names come from; nothing of what they mean.  A spec may only reach files shipped
with specgen and files in its own folder tree.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Final

import specgen.language.tree as syntax
from specgen.diagnostics.diagnostic import FIRST, Diagnostics, Label, did_you_mean
from specgen.diagnostics.source import Source, Span
from specgen.language.parser import parse, read_source
from specgen.records import dataclass
from specgen.regular_files import exists, real_path
from specgen.resources import std_folder

#: Files that one spec may pull in, itself included.
MAX_FILES: Final = 256


@dataclass(frozen=True, eq=False)
class ModuleDefinition:
    """A module with the place it stands in: `parent` is the model or module around it, if any."""

    tree: syntax.ModuleSyntax
    file: LoadedFile
    parent: ModuleDefinition | None = None

    @property
    def name(self) -> str:
        return self.tree.name

    def module(self, name: str) -> ModuleDefinition | None:
        """The module that `name` means here: one beside this one, or one the file sees."""
        owner = self.parent or self
        for inner in owner.tree.modules:
            if inner.name == name:
                return owner.nested(inner)
        found = self.file.names.get(name)
        return found if isinstance(found, ModuleDefinition) else None

    def nested(self, inner: syntax.ModuleSyntax) -> ModuleDefinition:
        return self.file.nested.setdefault(id(inner), ModuleDefinition(inner, self.file, self))

    @property
    def around(self) -> syntax.ModuleSyntax | None:
        """The module around this one that is itself given params; a model's have their values."""
        parent = self.parent.tree if self.parent is not None else None
        return None if parent is None or parent.is_model else parent

    @property
    def handed_on(self) -> Sequence[syntax.ParamSyntax]:
        """The params of the module around this one: what it was given, this one is given as well."""
        return self.around.params if self.around is not None else ()

    @property
    def params(self) -> Sequence[syntax.ParamSyntax]:
        """All that an instance is given."""
        return (*self.handed_on, *self.tree.params)

    @property
    def lets(self) -> Sequence[syntax.BindingSyntax]:
        """The lets that an instance works out from what it is given."""
        return (*(self.around.lets if self.around is not None else ()), *self.tree.lets)

    def function(self, name: str) -> FreeFunction | None:
        """The free function that `name` means here."""
        found = self.file.names.get(name)
        return found if isinstance(found, FreeFunction) else None

    def method(self, name: str) -> syntax.FunctionSyntax | None:
        """The module's own function of that name."""
        return next((f for f in self.tree.functions if f.name == name), None)

    @property
    def visible_modules(self) -> list[str]:
        owner = self.parent or self
        inner = [module.name for module in owner.tree.modules]
        return inner + [n for n, d in self.file.names.items() if isinstance(d, ModuleDefinition)]


@dataclass(frozen=True, eq=False)
class FreeFunction:
    """A function outside of any module."""

    tree: syntax.FunctionSyntax
    file: LoadedFile

    @property
    def name(self) -> str:
        return self.tree.name

    def function(self, name: str) -> FreeFunction | None:
        found = self.file.names.get(name)
        return found if isinstance(found, FreeFunction) else None


@dataclass(eq=False)
class LoadedFile:
    """A parsed file and the names it sees: its own items and what it uses."""

    tree: syntax.FileSyntax
    names: dict[str, ModuleDefinition | FreeFunction] = field(default_factory=dict)
    nested: dict[int, ModuleDefinition] = field(default_factory=dict)

    @property
    def source(self) -> Source:
        return self.tree.source


@dataclass(frozen=True)
class Loaded:
    """A spec with everything it imports, in the order of import, the spec last."""

    main: LoadedFile
    files: Mapping[str, LoadedFile]  # by display name

    #: Bodies that were typed for one set of values, to be taken again for another: by their trees.
    typed: dict[int, Any] = field(default_factory=dict, compare=False, repr=False)

    #: Views of its modules that found no fault, to be taken again for other values; by the
    #: kind of diagnostics that faults go to.
    views: dict[type, list[Any]] = field(default_factory=dict, compare=False, repr=False)

    def models(self) -> Iterator[ModuleDefinition]:
        for item in self.main.tree.modules:
            if item.is_model:
                found = self.main.names[item.name]
                assert isinstance(found, ModuleDefinition)
                yield found

    def definitions(self) -> Iterator[ModuleDefinition]:
        """Every module of every file, outer before inner."""
        for file in self.files.values():
            for item in file.names.values():
                if isinstance(item, ModuleDefinition) and item.file is file:
                    yield item
                    for inner in item.tree.modules:
                        yield item.nested(inner)

    def functions(self) -> Iterator[FreeFunction]:
        """Every function outside of modules."""
        for file in self.files.values():
            for item in file.names.values():
                if isinstance(item, FreeFunction) and item.file is file:
                    yield item


def std_use(name: str, *kinds: str) -> str | None:
    """How a file comes to see a module or function that std has; None where std has none."""
    kind, file = std_definitions().get(name, ("", ""))
    return f"std has it: add `use std.{file} {{ {name} }}`" if kind in kinds else None


@cache
def std_definitions() -> Mapping[str, tuple[str, str]]:
    """What std defines: by name, whether it is a module or a function, and the file's name."""
    defines = re.compile(r"^(module|function) (\w+)", re.MULTILINE)
    return {
        found[2]: (found[1], path.stem)
        for path in sorted(std_folder().glob("*.dsv3"))
        for found in defines.finditer(path.read_text(encoding="utf-8"))
    }


def load_files(path: str | Path, diagnostics: Diagnostics) -> Loaded | None:
    """Reads a spec and everything it uses; None where nothing usable came of it."""
    path = Path(path)
    loader = Loader(diagnostics, path.parent)
    main = loader.load(path, path.as_posix() if not path.is_absolute() else path.name, ())
    if main is None:
        return None
    return Loaded(main, {file.source.name: file for file in loader.done.values()})


def tree_of(source: Source, diagnostics: Diagnostics) -> syntax.FileSyntax | None:
    """The tree of a file.

    What is shipped is parsed once in a process: two tables mostly use the same blocks.
    """
    from specgen.frontend.shipped import checked, digest

    known = digest(source.text) in checked()
    tree = parsed_without_fault(source.name, source.text) if known else None
    return tree or parse(source, diagnostics)


@lru_cache(maxsize=64)
def parsed_without_fault(name: str, text: str) -> syntax.FileSyntax | None:
    found = Diagnostics()
    tree = parse(Source(name, text), found)
    return None if found.all else tree


class Loader:
    """Loads each file once; remembers the chain of imports to name a cycle."""

    def __init__(self, diagnostics: Diagnostics, folder: Path) -> None:
        self.diagnostics = diagnostics
        self.folder = folder
        self.done: dict[Path, LoadedFile] = {}

    def load(self, path: Path, name: str, chain: tuple[Path, ...]) -> LoadedFile | None:
        key = real_path(path)
        if key in self.done:
            return self.done[key]
        source = read_source(path, name, self.diagnostics)
        if source is None:
            return None
        parsed = tree_of(source, self.diagnostics)
        if parsed is None:
            return None
        file = LoadedFile(parsed)
        for use in parsed.uses:
            self.import_names(file, use, path, (*chain, key))
        for module in parsed.modules:
            self.define(file, module.name, module.span, ModuleDefinition(module, file))
            self.refuse_twice(module.modules)
        for function in parsed.functions:
            self.define(file, function.name, function.span, FreeFunction(function, file))
        self.done[key] = file
        return file

    def define(
        self, file: LoadedFile, name: str, span: Span, item: ModuleDefinition | FreeFunction
    ) -> None:
        if name in file.names:
            other = file.names[name]
            self.diagnostics.report(
                "E0203", span, name=name, labels=[Label(other.tree.span, FIRST)]
            )
            return
        file.names[name] = item

    def refuse_twice(self, modules: Sequence[syntax.ModuleSyntax]) -> None:
        """Modules inside a model have names of their own."""
        first: dict[str, Span] = {}
        for module in modules:
            if module.name in first:
                labels = [Label(first[module.name], FIRST)]
                self.diagnostics.report("E0203", module.span, name=module.name, labels=labels)
            first.setdefault(module.name, module.span)

    def import_names(
        self, file: LoadedFile, use: syntax.UseSyntax, path: Path, chain: tuple[Path, ...]
    ) -> None:
        target, name = self.target(use, path, file.source.name)
        spelled = ("./" + "/".join(use.path)) if use.relative else ".".join(use.path)
        if target is None or not exists(target):
            known = [] if use.relative else [f"std.{p.stem}" for p in std_folder().glob("*.dsv3")]
            self.diagnostics.report(
                "E0201", use.span, path=spelled, help=did_you_mean(spelled, known)
            )
            return
        if real_path(target) in chain:
            self.diagnostics.report("E0202", use.span, path=spelled)
            return
        if len(self.done) >= MAX_FILES:
            self.diagnostics.report("E0204", use.span, limit=MAX_FILES)
            return
        imported = self.load(target, name, chain)
        if imported is None:
            return
        for wanted, span in use.names:
            item = imported.names.get(wanted)
            if item is None:
                self.diagnostics.report(
                    "E0205",
                    span,
                    name=wanted,
                    path=spelled,
                    help=std_use(wanted, "module", "function")
                    or did_you_mean(wanted, imported.names),
                )
                continue
            self.define(file, wanted, span, item)

    def target(self, use: syntax.UseSyntax, path: Path, name: str) -> tuple[Path | None, str]:
        """The file that a `use` means, and the name to show for it."""
        *folders, last = use.path
        inside = "/".join([*folders, last + ".dsv3"])
        if use.relative:
            target = path.parent.joinpath(*folders, last + ".dsv3")
            roots = (real_path(self.folder), real_path(std_folder()))
            if not any(real_path(target).is_relative_to(root) for root in roots):
                return None, inside  # a link may lead out of the spec's folder tree
            shown = name.rsplit("/", 1)
            return target, f"{shown[0]}/{inside}" if len(shown) == 2 else inside
        if folders and folders[0] == "std":
            return std_folder().joinpath(*folders[1:], last + ".dsv3"), inside
        return None, inside
