"""What is said of a quantity, wherever it is counted: one record each, beside the code that counts it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final

from specgen.records import dataclass

if TYPE_CHECKING:
    from specgen.analysis.quantities.context import CountingContext
    from specgen.analysis.quantities.terms import Quantity


@dataclass(frozen=True, slots=True)
class QuantityRecord:
    """A quantity: its unit, and what it counts, in each language that reports speak.

    `variables` are those that a user is free to choose (`variables.VARIABLES`).  One that is `of_tokens`
    counts tokens whether a query sees them or not; one that is `of_storage` is what a checkpoint
    takes, as the table stores it.
    """

    name: str
    unit: str
    title: Mapping[str, str]
    convention: Mapping[str, str]
    variables: tuple[str, ...] = ()
    of_tokens: bool = False
    of_storage: bool = False


#: Why there is no figure.
NO_DATAFLOW: Final = "the table has no forward"
NO_CACHE: Final = "the forward keeps no cache"
NO_TOKENS: Final = "the forward is no language model's: it gives no logits"


@dataclass(frozen=True, slots=True)
class QuantityGroup:
    """Quantities that are counted together, each at most once; one that is left out is absent.

    `lacking` says why; those that `need_forward` are not counted of a table without.
    """

    records: tuple[QuantityRecord, ...]
    count: Callable[[CountingContext], Iterable[Quantity]]
    need_forward: bool = True
    lacking: str = NO_CACHE
