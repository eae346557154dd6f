"""The class of a module whose instances differ in nothing but their tensors' values.

Its rows are stacked along a first axis; of a token's instances only the chosen are evaluated.
"""

from __future__ import annotations

from specgen.backends.pytorch.classes import ClassWriter
from specgen.backends.pytorch.definitions import definition, docstring
from specgen.backends.pytorch.functions import described
from specgen.backends.pytorch.layout import INDENT, flat
from specgen.backends.pytorch.quoting import variable
from specgen.backends.pytorch.rows import stack
from specgen.records import dataclass


@dataclass
class StackWriter(ClassWriter):
    """Writes `Stacked…`, which a mixture calls with weights and indices."""

    stacked: bool = True

    @property
    def name(self) -> str:
        return f"Stacked{self.plan.class_names[self.module.id]}"

    def summary(self) -> str:
        single = self.plan.class_names[self.module.id]
        return f"`count` instances of {single}: row e of each tensor is that of instance e."

    def methods(self) -> list[list[str]]:
        main = self.module.forwards[0]
        body = self.body(main)
        value = variable(main.args[0].name, {"weights", "index", *self.plan.function_names})
        own = body.variable(main.args[0].name)
        lines = body.write()
        given, made = (body.shape(type_.shape) for type_ in (main.args[0].type, main.results[0]))
        margin = INDENT * 2
        arguments = ["self", f"{value}: Tensor", "weights: Tensor", "index: Tensor"]
        count = f"len({flat(stack(self.module.tensors[0]))})"
        return [
            [
                *definition("forward", arguments, "Tensor", 1),
                *docstring(
                    None, 2, f"{value}: {given}, weights: [..., K], index: i64 [..., K] -> {made}"
                ),
                f"{margin}return mixture(self.expert, {count}, {value}, weights, index)",
            ],
            [
                *definition("expert", ["self", "e: Any", f"{own}: Tensor"], "Tensor", 1),
                *docstring(described(main), 2, self.shapes(main)),
                *lines,
            ],
        ]
