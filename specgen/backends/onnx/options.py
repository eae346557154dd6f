"""What may be chosen about model.onnx: its form, its weights, its operators.

Knows the names of the choices and what goes together; nothing of graphs.  Cheap to import.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal, get_args

from specgen.diagnostics.diagnostic import RequestError
from specgen.records import dataclass

Form = Literal["flat", "functions"]
Experts = Literal["loop", "dense", "gathered", "released"]
Weights = Literal["none", "reference", "embed"]
Ops = Literal["standard", "primitive", "ort"]

#: The values of each option that has a closed list of them; the first is the default, but for
#: `weights` with a checkpoint, where it is BESIDE.
CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "form": get_args(Form),
    "experts": get_args(Experts),
    "weights": ("none", "reference", "embed"),
    "ops": get_args(Ops),
}

#: Other names of values, by option.
ALIASES: Final[Mapping[str, Mapping[str, str]]] = {"experts": {"stacked": "loop"}}

BESIDE: Final[Weights] = "reference"


class OptionsError(RequestError):
    """The options contradict each other, or one has a value that it cannot have."""


@dataclass(frozen=True, slots=True)
class Options:
    """The choices for one model.onnx.

    `form`: one flat graph, or a function for each module of the table.  `experts`: how a mixture
    is evaluated.  `loop` (or `stacked`): one chosen expert after the other; `dense`: all of them at
    once; `gathered`: the chosen ones at once; their tensors are stacked.  `released`: as `loop`, with
    one initializer for each released tensor.  `weights`: inputs of the graph (`none`),
    bytes of a file beside it (`reference`), or in the file itself (`embed`); if it is not given,
    `reference` with a checkpoint and `none` without.  `ops`: how new an operator may be.  `checkpoint`: a folder of safetensors files; the
    initializers point into it, or are embedded from it.  `ignore`: patterns (`lm_head.*`) of
    names of tensors that it may have in excess.

    Raises:
        OptionsError: an unknown value, or `embed` or `none` with or without a checkpoint.
    """

    form: Form = "flat"
    experts: Experts = "loop"
    weights: Weights | None = None
    ops: Ops = "standard"
    checkpoint: Path | None = None
    ignore: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.weights is None:  # equal choices are equal options, however they are said
            object.__setattr__(self, "weights", self.usual()["weights"])
        for name, others in ALIASES.items():
            given = getattr(self, name)
            object.__setattr__(self, name, others.get(given, given))
        for name, values in CHOICES.items():
            given = getattr(self, name)
            if given not in values:
                raise OptionsError(f"{name} is {', '.join(values)}; not {given!r}")
        if self.weights == "embed" and self.checkpoint is None:
            raise OptionsError("weights that are embedded come from a checkpoint: give one")
        if self.weights == "none" and self.checkpoint is not None:
            raise OptionsError("weights that are inputs of the graph come from no checkpoint")

    @property
    def apart(self) -> bool:
        """Whether each released tensor of a mixture is an initializer of its own."""
        return self.experts == "released"

    @property
    def beside_checkpoint(self) -> bool:
        """Whether the graph points into the checkpoint's files, and so must lie beside them."""
        return self.checkpoint is not None and self.weights == BESIDE

    def usual(self) -> dict[str, str]:
        """The value of each choice where none is made."""
        first = {name: values[0] for name, values in CHOICES.items()}
        return first if self.checkpoint is None else {**first, "weights": BESIDE}

    def given(self) -> dict[str, object]:
        """The choices that are not the default, by name; no place on this machine."""
        found: dict[str, object] = {
            name: getattr(self, name)
            for name, value in self.usual().items()
            if getattr(self, name) != value
        }
        if self.checkpoint is not None:
            found["checkpoint"] = True
        if self.ignore:
            found["ignore"] = list(self.ignore)
        return found


DEFAULT: Final = Options()
