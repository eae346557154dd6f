"""Rows that share a row which has alternatives: what they are in each layer, by a hand-written oracle.

The table is drawn: how the alternatives divide the layers, or a flag; their sizes and dtypes; where
the row is and where what shares it; how, and under which condition of its own.  Either the check
refuses it, or what is counted, model.py, every form of model.onnx and the interpreter agree with the
oracle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

pytest.importorskip("torch", reason="torch is not installed")

import torch
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from specgen.analysis.quantities.ledger import ledger
from specgen.analysis.table.stored import expand, scheme_of, stored
from specgen.diagnostics.diagnostic import SpecError
from specgen.frontend.load import check_file, load_program
from tests.agreement import EVERY, Layers, differences, drawn
from tests.numeric.generated import imported

LAYERS, EXPERTS, DIM, VOCABULARY = 4, 3, 8, 40
BYTES = {"f32": 4, "bf16": 2}

#: Whether a condition holds in a layer, by the flag.
Holds = Callable[[int, bool], bool]

CONDITIONS: dict[str, Holds] = {
    "l % 2 == 0": lambda l, wide: l % 2 == 0,  # noqa: E741
    "l % 2 == 1": lambda l, wide: l % 2 == 1,  # noqa: E741
    "l < 2": lambda l, wide: l < 2,  # noqa: E741
    "l >= 2": lambda l, wide: l >= 2,  # noqa: E741
    "l == 0": lambda l, wide: l == 0,  # noqa: E741
    "l == 2": lambda l, wide: l == 2,  # noqa: E741
    "l == 1": lambda l, wide: l == 1,  # noqa: E741
    "l > 1": lambda l, wide: l > 1,  # noqa: E741
    "wide": lambda l, wide: wide,  # noqa: E741
    "not wide": lambda l, wide: not wide,  # noqa: E741
    "true": lambda l, wide: True,  # noqa: E741
}

SPLITS = (
    ("l % 2 == 0", "l % 2 == 1"),
    ("l >= 2", "l < 2"),
    ("l == 0", "l == 1", "l > 1"),
    ("not wide", "wide"),
)


@dataclass(frozen=True)
class Alternative:
    """A row `a`: its condition, its size and dtype; or that it is the model's `root`."""

    condition: str
    out: int
    dtype: str
    root: bool = False

    @property
    def text(self) -> str:
        return f"{self.always} when {self.condition}"

    @property
    def always(self) -> str:
        if self.root:
            return "a : tied root"
        return f"a : dim -> {self.out}" + (" as bf16" if self.dtype == "bf16" else "")


@dataclass(frozen=True)
class Table:
    """A drawn table; `place` is where `a` is.

    With `b` in a layer or an expert; in a part of the layer (`part`), or in each alternative of one
    (`parts`); or in the model.
    """

    place: str
    wide: bool
    alternatives: tuple[Alternative, ...]
    kind: str
    condition: str
    read: bool

    def meant(self, layer: int) -> Alternative | None:
        """What `a` is in a layer."""
        found = [a for a in self.alternatives if CONDITIONS[a.condition](layer, self.wide)]
        assert len(found) < 2
        return found[0] if found else None

    def shares(self, layer: int) -> bool:
        return CONDITIONS[self.condition](layer, self.wide)

    @property
    def covered(self) -> bool:
        """Whether there is an `a` wherever there is a `b`, for any number of layers."""
        return all(
            any(CONDITIONS[a.condition](layer, wide) for a in self.alternatives)
            for layer in range(12)
            for wide in (False, True)
            if CONDITIONS[self.condition](layer, wide)
        )

    @property
    def text(self) -> str:
        own = "\n      ".join(a.text for a in self.alternatives)
        target = "sub.a" if self.place in ("part", "parts") else "a"
        shared = f"b : {self.kind} {target} when {self.condition}"
        read = "if has(a) { y = x + sum(a(x), over = -1, keep = true) } else { y = x }"
        if not self.read:
            read = "y = x"
        also = "if has(b) { z = y - sum(b(y), over = -1, keep = true) } else { z = y }"
        root = "root : dim -> dim" if any(a.root for a in self.alternatives) else ""
        both = f"tensors {{ {own}\n      {shared} }}"
        there = "\n      ".join(
            f"sub : other{n} when {a.condition}" for n, a in enumerate(self.alternatives)
        )
        others = "\n  ".join(
            f"""module other{n} {{ tensors {{ {a.always}  w : dim -> dim }}
    forward(x: [B, S, dim]) -> [B, S, dim] {{ {read}
      return w(y) }} }}"""
            for n, a in enumerate(self.alternatives)
        )
        modules = {
            "model": f"""module block {{ params {{ l : count }} tensors {{ {shared} }}
    forward(x: [B, S, dim]) -> [B, S, dim] {{ y = x
      {also}
      return z }} }}""",
            "parts": f"""module block {{ params {{ l : count }} parts {{ {there} }} tensors {{ {shared} }}
    forward(x: [B, S, dim]) -> [B, S, dim] {{ if has(sub) {{ y = sub(x) }} else {{ y = x }}
      {also}
      return z }} }}
  {others}""",
            "layer": f"""module block {{ params {{ l : count }} {both}
    forward(x: [B, S, dim]) -> [B, S, dim] {{ {read}
      {also}
      return z }} }}""",
            "part": f"""module block {{ params {{ l : count }} parts {{ sub : other }} tensors {{ {shared} }}
    forward(x: [B, S, dim]) -> [B, S, dim] {{ y = sub(x)
      {also}
      return z }} }}
  module other {{ params {{ l : count }} tensors {{ {own}
      w : dim -> dim }}
    forward(x: [B, S, dim]) -> [B, S, dim] {{ {read}
      return w(y) }} }}""",
            "expert": f"""module block {{ params {{ l : count }} parts {{ x[i] : expert × {EXPERTS} }}
    tensors {{ r : dim -> {EXPERTS} }}
    forward(h: [B, S, dim]) -> [B, S, dim] {{ v, c = topk(softmax(r(h), over = -1), 2)
      return h + mixture(x, h, v, c) }} }}
  module expert {{ params {{ l : count }} {both}
    forward(x: [..., dim]) -> [..., dim] {{ {read}
      {also}
      return z }} }}""",
        }
        return f"""language 1
model t {{
  params {{ vocab : size = {VOCABULARY}  dim : size = {DIM}  wide : flag = {str(self.wide).lower()} }}
  dtypes {{ maps = f32  arrays = f32  activations = f32 }}
  parts {{ c[l] : block × {LAYERS} }}
  tensors {{ embed : [vocab, dim]  {root}  {own if self.place == "model" else ""} }}
  forward(tokens: i64 [B, S]) -> [B, S, dim] {{ x = c(take(embed, tokens))
    {read if self.place == "model" else "y = x"}
    return y }}
  {modules[self.place]}
}}
"""

    # ---- the oracle

    def homes(self, layer: int) -> Iterator[tuple[str, str]]:
        """Where `a` and `b` are in a layer."""
        for expert in range(EXPERTS) if self.place == "expert" else [0]:
            below = f".x.{expert}" if self.place == "expert" else ""
            sub = ".sub." if self.place in ("part", "parts") else "."
            home = "" if self.place == "model" else f"c.{layer}{below}{sub}"
            yield home, f"c.{layer}{below}"

    def rows(self) -> Iterator[tuple[str, tuple[int, ...], str, str | None]]:
        """Each tensor of the checkpoint: name, shape, dtype, and that of which it is a copy."""
        yield "embed", (VOCABULARY, DIM), "f32", None
        if any(a.root for a in self.alternatives):
            yield "root.weight", (DIM, DIM), "f32", None
        for layer in range(LAYERS):
            if self.place == "part" or (self.place == "parts" and self.meant(layer)):
                yield f"c.{layer}.sub.w.weight", (DIM, DIM), "f32", None
            if self.place == "expert":
                yield f"c.{layer}.r.weight", (EXPERTS, DIM), "f32", None
            meant = self.meant(layer)
            for home, own in self.homes(layer):
                if meant is None:
                    continue
                name = "root.weight" if meant.root else f"{home}a.weight"
                shape = (DIM, DIM) if meant.root else (meant.out, DIM)
                dtype = "f32" if meant.root else meant.dtype
                if not meant.root and (self.place != "model" or layer == 0):
                    yield name, shape, dtype, None
                if self.kind == "copy" and self.shares(layer):
                    yield f"{own}.b.weight", shape, dtype, name

    def touched(self) -> set[str]:
        """The tensors that the forward reads; a copy is read where the original is."""
        found = {name for name, _, _, original in self.rows() if original is None}
        found = {name for name in found if not name.endswith("a.weight") and name != "root.weight"}
        for layer in range(LAYERS):
            meant = self.meant(layer)
            if meant is not None and (self.read or self.shares(layer)):
                for home, _ in self.homes(layer):
                    found.add("root.weight" if meant.root else f"{home}a.weight")
        return found


@st.composite
def tables(draw: st.DrawFn) -> Table:
    place = draw(st.sampled_from(["layer", "part", "parts", "expert", "model"]))
    split = SPLITS[-1] if place == "model" else draw(st.sampled_from(SPLITS))
    alternatives = [
        Alternative(
            condition,
            draw(st.sampled_from([DIM, 12, 5])),
            draw(st.sampled_from(["f32", "bf16"])),
            draw(st.integers(0, 3)) == 0,
        )
        for condition in draw(st.permutations(split))
    ]
    if draw(st.integers(0, 4)) == 0:
        del alternatives[-1]
    place, kind = (
        draw(st.sampled_from(["layer", "part", "expert"])),
        draw(st.sampled_from(["tied", "copy"])),
    )
    read = draw(st.booleans())
    condition = draw(st.sampled_from([*split, *CONDITIONS]))
    return Table(place, draw(st.booleans()), tuple(alternatives), kind, condition, read)


def refused(table: Table, path: Path) -> bool:
    """Whether the check refuses the table, as it has to where `b` may be without an `a`."""
    path.write_text(table.text)
    found = {diagnostic.code for diagnostic in check_file(path).all}
    assert ("E0514" in found) == (not table.covered), table.text
    assert found <= {"E0514", "E0501"}, table.text  # where it is read is there nothing, either
    assert table.covered == (not found), table.text
    event("refused" if found else "accepted")
    return bool(found)


@settings(max_examples=15, deadline=None)
@given(table=tables())
def test_what_is_counted_is_what_each_layer_has(
    table: Table, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("shared") / "t.dsv3"
    if refused(table, path):
        return
    program, rows = load_program(path), list(table.rows())
    counts = ledger(program)
    sizes = {name: int(np.prod(shape)) for name, shape, _, _ in rows}
    copies = [name for name, _, _, original in rows if original is not None]
    assert counts.value("parameters") == sum(sizes.values()) - sum(sizes[n] for n in copies)
    assert counts.value("stored_elements") == sum(sizes.values())
    assert counts.value("stored_copies") == sum(sizes[name] for name in copies)
    assert counts.value("stored_bytes") == sum(sizes[n] * BYTES[d] for n, _, d, _ in rows)
    if table.place != "expert":  # of which not all are active
        assert counts.value("parameters_active") == sum(sizes[name] for name in table.touched())
    found = {
        name: (tensor.dims, tensor.dtype)
        for tensor in stored(program, scheme_of(program))
        for name, _ in expand(tensor)
    }
    assert found == {name: (shape, dtype) for name, shape, dtype, _ in rows}


class Shared(Layers):
    """A program in each layer; what the oracle calls a copy is one."""

    def __init__(self, table: Table, program: object, folder: Path) -> None:
        self.table = table
        super().__init__(program, folder)  # type: ignore[arg-type]

    def __post_init__(self) -> None:
        self.module = imported(self.program, self.folder)
        self.weights = drawn(self.program, self.seed)
        for name, _, _, original in self.table.rows():
            if original is not None:
                self.weights[name] = self.weights[original].copy()
        path = self.folder / "drawn.safetensors"
        save_file(self.weights, path)
        self.model = self.module.Model(self.module.Config()).eval()
        self.model.load_checkpoint(path)


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(table=tables(), seed=st.integers(0, 3), options=st.lists(st.sampled_from(EVERY), max_size=2))
def test_every_layer_computes_the_same(
    table: Table, seed: int, options: list[object], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("shared")
    if refused(table, folder / "t.dsv3"):
        return
    layers = Shared(table, load_program(folder / "t.dsv3"), folder)
    own = {name: shape for name, shape, _, original in table.rows() if original is None}
    if table.place != "expert":  # of which one tensor may hold all
        assert {k: tuple(v.shape) for k, v in layers.model.state_dict().items()} == own
    assert list(differences(layers, VOCABULARY, [EVERY[0], *options], seed)) == [], table.text  # type: ignore[list-item]
    changed = next((n for n, _, _, o in table.rows() if o is not None), None)
    if changed is not None:  # a copy that is none is refused
        layers.weights[changed] = layers.weights[changed] + 1
        save_file(layers.weights, folder / "changed.safetensors")
        with pytest.raises(ValueError, match="not equal"):
            layers.model.load_checkpoint(folder / "changed.safetensors")
    layers.model.save_checkpoint(folder / "saved")
    assert set(load_file(folder / "saved" / "model.safetensors")) == {n for n, *_ in table.rows()}


FORMATS = ("", " as bf16", " as f8e4m3", " as fp8_block(block = 4)", " as fp8_block(block = 8)")


def told_apart(first: str, second: str) -> bool:
    """Whether the names of tensors say in which format they are, or there is nothing to say."""
    formats = {first, second}
    return len(formats) == 1 or formats == {"", " as bf16"} or sum("fp8" in f for f in formats) == 1


@pytest.mark.slow
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    formats=st.lists(st.sampled_from(FORMATS), min_size=2, max_size=2),
    kind=st.sampled_from(["tied", "copy"]),
    condition=st.sampled_from(["true", "l == 0", "l == 2", "l >= 2"]),
)
def test_a_checkpoint_in_the_formats_of_alternatives_is_read(
    formats: list[str], kind: str, condition: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """What is saved is as the table says, layer by layer, and is read again; or it is refused."""
    folder = tmp_path_factory.mktemp("formats")
    path = folder / "t.dsv3"
    path.write_text(
        f"""language 1
use std.quant {{ fp8_block }}
model t {{
  params {{ vocab : size = {VOCABULARY}  dim : size = {DIM} }}
  dtypes {{ maps = f32  arrays = f32  activations = f32 }}
  parts {{ c[l] : block × {LAYERS} }}
  tensors {{ embed : [vocab, dim] }}
  forward(tokens: i64 [B, S]) -> [B, S, dim] {{ return c(take(embed, tokens)) }}
  module block {{
    params {{ l : count }}
    tensors {{ a : dim -> dim{formats[0]} when l < 2   a : dim -> dim{formats[1]} when l >= 2
      b : {kind} a when {condition} }}
    forward(x: [B, S, dim]) -> [B, S, dim] {{
      if {condition} {{ y = b(x) }} else {{ y = x }}
      return a(y) }}
  }}
}}
"""
    )
    program = load_program(path)
    try:
        module = imported(program, folder)
    except SpecError as fault:
        assert "stored in several ways" in str(fault)  # noqa: PT017
        assert not told_apart(*formats)
        event("refused")
        return
    assert told_apart(*formats)
    expected: dict[str, str] = {"embed": "F32"}
    for layer in range(LAYERS):
        format_ = formats[layer >= 2]
        for row in "ab" if kind == "copy" and CONDITIONS[condition](layer, True) else "a":
            narrow = "f8e4m3" in format_ or "fp8" in format_
            expected[f"c.{layer}.{row}.weight"] = "F8_E4M3" if narrow else "F32"
            if "fp8" in format_:
                expected[f"c.{layer}.{row}.weight_scale_inv"] = "F32"
    first, second = (module.Model(module.Config()) for _ in range(2))
    with torch.no_grad():
        for values in first.parameters():
            values.copy_(torch.randint(0, 2, values.shape) * 2.0 - 1)  # exact in each format
    first.save_checkpoint(folder / "saved")
    with safe_open(folder / "saved" / "model.safetensors", "pt") as file:
        found = {name: file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118
    assert found == expected
    second.load_checkpoint(folder / "saved")
    for name, values in first.state_dict().items():
        torch.testing.assert_close(second.state_dict()[name], values, rtol=1e-6, atol=0)


HANDED = {
    "methods, and one alternative of a part": """
  parts { c[l] : block × 4 }
  tensors { embed : [vocab, dim]  root : dim -> dim  scale : [dim] }
  forward(tokens: i64 [B, S]) -> [B, S, dim] { return c(take(embed, tokens)) }
  module block {
    params { l : count }
    parts {
      sub  : user when l % 2 == 0
      sub  : other when l % 2 == 1
      low  : third(l = 0)
      high : third(l = 3)
    }
    tensors { t : tied scale when l > 2   t : [dim] when l <= 2 }
    forward(x: [B, S, dim]) -> [B, S, dim] { return x + f(sub(x)) + low(x) + high(x) }
    function f(x: [B, S, dim]) -> [B, S, dim] { return x * t }
  }
  module user {
    tensors { q : tied root }
    forward(x: [B, S, dim]) -> [B, S, dim] { return x + q(x) }
  }
  module other {
    tensors { w : dim -> dim }
    forward(x: [B, S, dim]) -> [B, S, dim] { return w(x) }
  }
  module third {
    params { l : count }
    tensors { w : dim -> dim when l < 2   w : tied root when l >= 2 }
    forward(x: [B, S, dim]) -> [B, S, dim] { return w(x) }
  }""",
    "a part between of the name of one of the model": """
  parts { head : other   c[l] : block × 2 }
  tensors { embed : [vocab, dim] }
  forward(tokens: i64 [B, S]) -> [B, S, dim] { return head(c(take(embed, tokens))) }
  module block {
    parts { head : other  sub : user }
    forward(x: [B, S, dim]) -> [B, S, dim] { return sub(head(x)) }
  }
  module other {
    tensors { w : dim -> dim }
    forward(x: [B, S, dim]) -> [B, S, dim] { return w(x) }
  }
  module user {
    tensors { u : dim -> dim  q : tied head.w }
    forward(x: [B, S, dim]) -> [B, S, dim] { return x + q(u(x)) }
  }""",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", HANDED)
def test_rows_of_the_model_reach_all_that_share_them(name: str, tmp_path: Path) -> None:
    path = tmp_path / "t.dsv3"
    path.write_text(
        f"""language 1
model t {{
  params {{ vocab : size = {VOCABULARY}  dim : size = {DIM} }}
  dtypes {{ maps = f32  arrays = f32  activations = f32 }}{HANDED[name]}
}}
"""
    )
    assert not check_file(path).all
    assert list(differences(Layers(load_program(path), tmp_path), VOCABULARY)) == []
