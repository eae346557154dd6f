"""What a checkpoint may call otherwise than the table's tensors, and what it may hold besides.

A table says so in its `names`: `"transformer" -> ""` for levels that some releases leave out, and
`_ -> "rotary.inv_freq"` for tensors that no row is.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TypeVar

from specgen.analysis.table.instances import descend, join, resolved, root
from specgen.analysis.table.rows import pattern
from specgen.ir.model import Program, Template
from specgen.records import dataclass

#: An expression in a name.
PIECE = re.compile(r"\\\{.*?\\\}")

Held = TypeVar("Held")


@dataclass(frozen=True)
class Leeway:
    """`respellings` are first levels of names and others in their place; `besides` names of what
    may be there, with a `{...}` for each whole number.
    """

    respellings: Sequence[tuple[str, str]]
    besides: Sequence[str]

    def usual(self, name: str) -> Iterator[str]:
        """What a name of a checkpoint may be in the table's spelling."""
        yield name
        yield from otherwise(name, [(other, usual) for usual, other in self.respellings])

    def under_usual_names(
        self, needed: Collection[str], found: Mapping[str, Held]
    ) -> dict[str, Held]:
        """What was found, under the names that are needed where it has other spellings of them."""
        if not self.respellings:
            return dict(found)
        named: dict[str, Held] = {}
        for name, held in found.items():
            spelt = (n for n in self.usual(name) if n in needed and (n == name or n not in found))
            usual = next(spelt, name)
            named.setdefault(usual if usual not in named else name, held)
        return named

    def may_hold(self, name: str) -> bool:
        """Whether something of this name may be there besides."""
        return any(
            re.fullmatch(regex, spelt) for regex in self.regexes() for spelt in self.usual(name)
        )

    def regexes(self) -> Iterator[str]:
        for name in self.besides:
            yield PIECE.sub(r"\\d+", re.escape(name))


def leeway(program: Program, scheme: str) -> Leeway:
    """That of a table in a naming scheme.

    Raises:
        EvaluationError: the table has too many modules in place.
    """
    found: dict[str, None] = {}
    for instance in descend(root(program)):
        for name in instance.module.besides.get(scheme, ()):
            whole = join(instance.prefixes[scheme], resolved(name, instance.scope))
            found.setdefault(pattern(whole))
    return Leeway(program.respellings.get(scheme, ()), tuple(found))


def otherwise(name: str, pairs: Sequence[tuple[str, str]]) -> Iterator[str]:
    """The name with other first levels, for each pair that it begins with the first of."""
    for first, other in pairs:
        rest = name if not first else name.removeprefix(f"{first}.")
        if not first or rest != name:
            yield f"{other}.{rest}" if other else rest


def respelt(name: Template, pairs: Sequence[tuple[str, str]]) -> Iterator[Template]:
    """As `otherwise`, of a template, which begins with the levels as text."""
    begin = "".join(p for p in name[:1] if isinstance(p, str))
    if len(name) > 1 and name[1] == "." and begin:
        begin, name = f"{begin}.", (f"{begin}.", *name[2:])
    for spelt in otherwise(begin, pairs) if begin else ():
        yield (spelt, *name[1:])
