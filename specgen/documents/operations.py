"""A count of operations product by product: which, how often, and how many operations each takes.

The listing of a quantity of `costs.COUNTED`; its formulas sum to the quantity's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from specgen.analysis.dataflow.costs import DECODE, PREFILL, counted
from specgen.analysis.dataflow.products import walked
from specgen.analysis.quantities.faults import countable
from specgen.analysis.quantities.flops import COUNTED
from specgen.analysis.quantities.ledger import Ledger, Quantity
from specgen.analysis.table.cases import Folder
from specgen.analysis.table.instances import definitions, environment, root
from specgen.analysis.table.rows import pattern
from specgen.diagnostics.diagnostic import RequestError
from specgen.documents.formula import describe_formula, write_text
from specgen.expr.evaluate import Value, describe, evaluate_int, plain
from specgen.expr.node import Apply, Expr, product, substitute
from specgen.expr.printing import TABLE, to_text
from specgen.records import dataclass
from specgen.text import markdown
from specgen.text.json_text import json_text


@dataclass(frozen=True, slots=True)
class ProductCount:
    """One product in one of its cases.

    `name` is the row of a map, or the module of an einsum; `kind` is "map", or what the einsum
    sums.  `axes` are all that it runs through, `each` the operations of one instance, of which
    there are `multiplicity`, for a mixture with the chosen experts in `each`.
    """

    name: str
    kind: str
    axes: tuple[Expr, ...]
    multiplicity: Expr
    instances: int
    each: Expr
    assumptions: tuple[Expr, ...]

    @property
    def formula(self) -> Expr:
        return product(self.multiplicity, self.each)


def list_operations(found: Ledger, quantity: str) -> list[ProductCount]:
    """The products that a quantity of operations counts, in the order of the forward.

    Raises:
        KeyError: the quantity is not one of `COUNTED`.
        SpecError: the table cannot be counted.
    """
    counting = COUNTED[quantity]
    program = found.program
    with countable(program):
        folder = Folder(environment(program))
        forwards = found.decode_forwards if quantity == "flops_decode" else {}
        products = walked(root(program), forwards).products
        fixed = DECODE if counting.decoding else PREFILL
        return [
            ProductCount(
                pattern(cost.product.name) or program.name,
                cost.product.text,
                tuple(substitute(axis, fixed) for axis in cost.product.axes),
                cost.case.multiplicity,
                cost.case.instances,
                cost.operations,
                cost.case.assumptions,
            )
            for cost in counted(products, counting, folder)
        ]


def to_terminal(
    found: Ledger, quantity: Quantity, listed: Sequence[ProductCount], at: Mapping[str, Value]
) -> str:
    """Three lines an operation: what it is and how often, its formula, and its value `at`."""
    title = ", ".join(f"{name} = {describe(value)}" for name, value in at.items())
    lines = [f"{quantity.name}, {quantity.unit}; {title}", ""]
    values = [count_operations(operation, found, at) for operation in listed]
    total = sum(values)
    for operation, value in zip(listed, values, strict=True):
        times = f"{markdown.number(operation.instances)} × " if operation.instances != 1 else ""
        axes = " × ".join(write_factor(axis) for axis in operation.axes)
        lines.append(f"{operation.name}: {operation.kind}; {times}[{axes}]")
        lines.append(f"    {to_text(operation.formula, TABLE)}")
        lines.append(f"    {markdown.number(value)}  {100 * value / total if total else 0:.2f} %")
    lines += ["", f"{markdown.number(total)} in total"]
    return "".join(f"{markdown.visible(line)}\n" for line in lines)


def write_factor(axis: Expr) -> str:
    """An axis as a factor: what is no name or number stands in parentheses."""
    text = to_text(axis, TABLE)
    return f"({text})" if isinstance(axis, Apply) else text


def count_operations(operation: ProductCount, found: Ledger, at: Mapping[str, Value]) -> int:
    """The operations of all instances, for values of the quantity's variables."""
    env: dict[str, Value] = {**found.values, **at}
    return evaluate_int(operation.formula, env)


def describe_operations(
    found: Ledger, quantity: Quantity, listed: Sequence[ProductCount], at: Mapping[str, Value]
) -> dict[str, Any]:
    """Everything that is said, as JSON has it; formulas are in the params alone."""
    lets = definitions(found.program)

    def entry(operation: ProductCount) -> dict[str, Any]:
        return {
            "name": operation.name,
            "product": operation.kind,
            "axes": [to_text(substitute(axis, lets)) for axis in operation.axes],
            "multiplicity": operation.instances,
            "multiplicity_expr": to_text(substitute(operation.multiplicity, lets)),
            "each": to_text(substitute(operation.each, lets)),
            "formula": to_text(substitute(operation.formula, lets)),
            "assumes": [to_text(substitute(a, lets)) for a in operation.assumptions],
            "value": count_operations(operation, found, at),
        }

    return {
        "spec": found.program.name,
        "variant": found.program.variant,
        "quantity": quantity.name,
        "unit": quantity.unit,
        "convention": quantity.convention,
        "variables": list(quantity.variables),
        "at": {name: plain(value) for name, value in at.items()},
        "operations": [entry(operation) for operation in listed],
    }


@dataclass(frozen=True, slots=True)
class OperationsAnswer:
    """The products of a quantity, at values of its variables; none for a table without a forward."""

    ledger: Ledger
    quantity: Quantity
    listed: Sequence[ProductCount]
    at: Mapping[str, Value]

    @property
    def document(self) -> dict[str, Any]:
        """Everything that is said, as JSON has it."""
        if self.quantity.expr is None:
            return describe_formula(self.ledger, self.quantity)
        return describe_operations(self.ledger, self.quantity, self.listed, self.at)

    def render(self, form: str) -> bytes:
        """The listing as text or JSON; why there is none, for a table without a forward.

        Raises:
            RequestError: the format is another one.
        """
        if form not in ("text", "json"):
            raise RequestError(f"--by-op has no format {form}; it has text and json")
        if form == "json":
            return json_text(self.document).encode()
        if self.quantity.expr is None:
            return write_text(self.ledger, self.quantity).encode()
        return to_terminal(self.ledger, self.quantity, self.listed, self.at).encode()
