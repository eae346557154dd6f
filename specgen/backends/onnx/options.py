"""What may be chosen about model.onnx: its form, its weights, its operators.

Knows the names of the choices and what goes together; nothing of graphs.  Cheap to import.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal, get_args

from specgen.diagnostics.diagnostic import RequestError
from specgen.records import dataclass

OnnxForm = Literal["flat", "functions"]
Experts = Literal["loop", "dense", "gathered", "released"]
Weights = Literal["none", "reference", "embed"]
Ops = Literal["standard", "primitive", "ort"]
CacheForm = Literal["position", "shift", "new"]
IndexType = Literal["i64", "i32"]

#: The values of each option that has a closed list of them; the first is the default, but for
#: `weights` with a checkpoint, where it is BESIDE.
CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "onnx_form": get_args(OnnxForm),
    "experts": get_args(Experts),
    "weights": ("none", "reference", "embed"),
    "ops": get_args(Ops),
    "cache": get_args(CacheForm),
    "index": get_args(IndexType),
}

#: The values of `experts` that need no control flow; others are told from the weights.
FLOWLESS: Final = ("dense", "gathered")

#: Other names of values, by option.
ALIASES: Final[Mapping[str, Mapping[str, str]]] = {"experts": {"stacked": "loop"}}

#: The opsets that a graph can be written for.
OPSETS: Final = range(13, 28)

#: What `form` says beside the names of forwards: an If by operations, or the main ones.
CHOSEN, EXPANDED = "chosen", "expanded"

BESIDE: Final[Weights] = "reference"


class OptionsError(RequestError):
    """The options contradict each other, or one has a value that it cannot have."""


@dataclass(frozen=True, slots=True)
class StaticLengths:
    """What is a number in static graphs: sequences, new tokens of a prefill, and slots of a cache.

    Raises:
        OptionsError: one is no positive whole number, or a prefill is longer than the context.
    """

    batch: int
    prefill: int
    context: int

    def __post_init__(self) -> None:
        for name in STATIC:
            if type(value := getattr(self, name)) is not int or value < 1:
                raise OptionsError(f"static: {name} is a whole number from 1; not {value!r}")
        if self.prefill > self.context:
            raise OptionsError(
                f"static: {self.prefill} new tokens exceed a context of {self.context}"
            )

    @staticmethod
    def read(text: str) -> StaticLengths:
        """The lengths out of `batch=1,prefill=128,context=4096`, each once, in any order.

        Raises:
            OptionsError: it is anything else.
        """
        items = [item.partition("=") for item in text.split(",")]
        given = {name.strip(): value.strip() for name, _, value in items}
        whole = all(value.isascii() and value.isdecimal() for value in given.values())
        if len(items) != len(STATIC) or given.keys() != set(STATIC) or not whole:
            raise OptionsError(f"static is batch=B,prefill=S,context=T; not {text!r}")
        return StaticLengths(**{name: int(value) for name, value in given.items()})

    def __str__(self) -> str:
        return ",".join(f"{name}={getattr(self, name)}" for name in STATIC)


#: The lengths of static graphs, in order; and the files, for many new tokens and for one.
STATIC: Final = ("batch", "prefill", "context")
PREFILL, DECODE = "prefill.onnx", "decode.onnx"


@dataclass(frozen=True, slots=True)
class Options:
    """The choices for one model.onnx.

    `onnx_form`: one flat graph, or a function for each module of the table.  `form`: of a module
    with several forwards the `chosen` one, by operations, in each call; the main one (`expanded`);
    or that of the name.  `experts`: how a mixture
    is evaluated.  `loop` (or `stacked`): one chosen expert after the other; `dense`: all of them at
    once; `gathered`: the chosen ones at once; their tensors are stacked.  `released`: as `loop`, with
    one initializer for each released tensor.  `weights`: inputs of the graph (`none`),
    bytes of a file beside it (`reference`), or in the file itself (`embed`); if it is not given,
    `reference` with a checkpoint and `none` without.  `ops`: how new an operator may be.  `opset`: the
    version of the standard operators, where it is not that of `ops`.  `index`: the dtype of ids,
    masks and positions that come in.  `static`: lengths, as a text or a record; then there are two
    graphs whose dims are all numbers, and `cache` says how theirs is kept: new rows written by
    `position`, or behind the others, which `shift`, or the `new` rows alone come out.
    `checkpoint`: a folder of safetensors files; the
    initializers point into it, or are embedded from it.  `ignore`: patterns (`lm_head.*`) of
    names of tensors that it may have in excess.

    Raises:
        OptionsError: an unknown value, or values that do not go together.
    """

    onnx_form: OnnxForm = "flat"
    form: str = CHOSEN
    experts: Experts = "loop"
    weights: Weights | None = None
    ops: Ops = "standard"
    cache: CacheForm = "position"
    index: IndexType = "i64"
    opset: int | None = None
    static: StaticLengths | str | None = None
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
        if isinstance(self.static, str):
            object.__setattr__(self, "static", StaticLengths.read(self.static))
        if self.opset is not None and (type(self.opset) is not int or self.opset not in OPSETS):
            raise OptionsError(f"opset is {OPSETS[0]} to {OPSETS[-1]}; not {self.opset!r}")
        if self.lengths is not None:
            self._require_static(self.lengths)
        elif self.cache != "position":
            raise OptionsError(f"cache {self.cache} is one of static graphs: give static lengths")
        if self.weights == "embed" and self.checkpoint is None:
            raise OptionsError("weights that are embedded come from a checkpoint: give one")
        if self.weights == "none" and self.checkpoint is not None:
            raise OptionsError("weights that are inputs of the graph come from no checkpoint")

    def _require_static(self, lengths: StaticLengths) -> None:
        if self.onnx_form == "functions":
            raise OptionsError("static graphs are flat: who takes no other dims takes no functions")
        if self.experts == "released":
            raise OptionsError("static graphs choose no experts by If, as released ones are chosen")
        if self.cache == "new" and lengths.prefill == lengths.context:
            reason = "a context of as many tokens leaves no slot for older ones"
            raise OptionsError(f"with cache new, {reason}: prefill is less than context")

    @property
    def lengths(self) -> StaticLengths | None:
        """The lengths of static graphs."""
        return None if isinstance(self.static, str) else self.static

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

    def noted(self) -> dict[str, str]:
        """What a graph says of choices that its nodes do not show by themselves."""
        found: dict[str, str] = {}
        if self.experts in FLOWLESS:
            found["experts"] = self.experts
        if self.form != CHOSEN:
            found["form"] = self.form
        return found

    def given(self) -> dict[str, object]:
        """The choices that are not the default, by name; no place on this machine."""
        found: dict[str, object] = {
            name: getattr(self, name)
            for name, value in self.usual().items()
            if getattr(self, name) != value
        }
        if self.opset is not None:
            found["opset"] = self.opset
        if self.static is not None:
            found["static"] = str(self.static)
        if self.form != CHOSEN:
            found["form"] = self.form
        if self.checkpoint is not None:
            found["checkpoint"] = True
        if self.ignore:
            found["ignore"] = list(self.ignore)
        return found


DEFAULT: Final = Options()
