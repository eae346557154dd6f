"""What a user may choose of a table besides its params."""

from __future__ import annotations

from specgen.analysis.quantities.variables import BYTES, LENGTH, VARIABLES
from specgen.frontend.dataflow.signatures import capitals
from specgen.frontend.files import ModuleDefinition
from specgen.language import tree


def variables_of(model: ModuleDefinition) -> dict[str, str]:
    """B, S, T and the like, and the shape variables of the model's own forwards: what each is.

    A param or let of such a name is that, and so is a length called W, G or O.
    """
    table = model.tree
    dims = [
        name
        for forward in table.forwards
        for argument in forward.arguments
        if isinstance(argument.type, tree.TensorTypeSyntax)
        for name in capitals(argument.type.shape.dims)
    ]
    taken = {param.name for param in table.params} | {let.name for let in table.lets}
    found = dict.fromkeys(dims, LENGTH)
    found |= {n: LENGTH if n in BYTES and n in dims else text for n, text in VARIABLES.items()}
    ordered = (*VARIABLES, *(name for name in found if name not in VARIABLES))
    return {name: found[name] for name in ordered if name not in taken}
