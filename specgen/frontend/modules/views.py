"""What one module offers to its dataflow: rows with their types and conditions, signatures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from specgen.expr.node import Expr
from specgen.frontend.dataflow.signatures import Signature
from specgen.frontend.modules.shared_rows import End
from specgen.language import tree
from specgen.records import dataclass


@dataclass(frozen=True, slots=True)
class TensorView:
    """A tensor row as dataflow sees it; `shape` is [out, in] for a map.

    A row that shares another's is several where what it stands for, its `end`, has alternatives.
    """

    row: tree.TensorSyntax
    kind: str
    shape: tuple[Expr, ...]
    compute: str
    condition: Expr
    end: End | None = None


@dataclass(frozen=True, slots=True)
class PartView:
    """A part as dataflow sees it: the signature of its main forward in this module's names.

    Without a signature the module `lacks_forward`, or what is wrong with it is reported there.
    """

    row: tree.PartSyntax
    signature: Signature | None
    condition: Expr
    lacks_forward: bool = False


@dataclass(frozen=True, slots=True)
class CacheView:
    row: tree.CacheRowSyntax
    shape: tuple[Expr, ...]


class Surroundings(Protocol):
    """What one module offers to its dataflow."""

    @property
    def tensors(self) -> Mapping[str, Sequence[TensorView]]: ...

    @property
    def parts(self) -> Mapping[str, Sequence[PartView]]: ...

    @property
    def caches(self) -> Mapping[str, CacheView]: ...

    @property
    def requires(self) -> Sequence[Expr]: ...

    def method(self, name: str) -> Signature | None:
        """The signature of the module's own function of that name."""

    def function(self, name: str) -> Signature | None:
        """The signature of a free function that the file sees."""

    def callable_names(self) -> list[str]:
        """The names of all functions, for suggestions."""
