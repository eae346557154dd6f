"""The checkpoint of packed.dsv3 put together by hand, number by number, from the table's rows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from specgen.frontend.load import load_program
from specgen.ir.model import Program
from tests.analysis.unrolled import unrolled

SPEC = Path(__file__).with_name("packed.dsv3")

Arrays = dict[str, np.ndarray]


def program(**overrides: int) -> Program:
    return load_program(SPEC, None, overrides)


def rows(table: Program, seed: int = 0) -> Arrays:
    """Random values for each row of the table, layers and experts one by one, in its own names."""
    draw = np.random.default_rng(seed)
    return {name: draw.standard_normal(dims, np.float32) / 4 for name, dims, _ in unrolled(table)}


def checkpoint(own: Mapping[str, np.ndarray], sizes: Mapping[str, int]) -> Arrays:
    """The released tensors of those rows; element by element where they are rearranged."""
    heads, experts, depth = sizes["n_heads"], sizes["n_experts"], sizes["depth"]
    found: Arrays = {
        "model.embed.weight": own["embed.weight"],
        "head.weight": own["head"],
        "last.up.weight": own["last.a"],
        "last.b.weight": own["last.b"],
        "deep.gain": np.stack([own[f"deep.{n}.gain"] for n in range(depth)]),
        "deep.ab": np.stack(
            [np.concatenate([own[f"deep.{n}.a"], own[f"deep.{n}.b"]]) for n in range(depth)]
        ),
    }
    dim, twice = own["deep.0.c"].shape
    deep = found["deep.c"] = np.zeros((2, dim * depth, twice // 2), np.float32)
    for n in range(depth):
        for o in range(dim):
            for h in range(twice // 2):
                for two in range(2):
                    deep[two, o * depth + n, h] = own[f"deep.{n}.c"][o, two * (twice // 2) + h]
    for layer in range(sizes["n_layers"]):
        mine, its = f"layers.{layer}", f"model.layers.{layer}"
        joined = [own[f"{mine}.joined.{row}"] for row in ("wq", "wk", "wv")]
        found[f"{its}.attn.qkv_proj.weight"] = np.concatenate(joined)
        found[f"{its}.attn.wo.weight"] = own[f"{mine}.joined.wo"]
        found[f"{its}.inter.wo.weight"] = own[f"{mine}.inter.wo"]
        for kind, last in (("weight", ""), ("bias", ".bias")):
            three = [own[f"{mine}.inter.{row}{last}"] for row in ("wq", "wk", "wv")]
            width = len(three[0]) // heads
            turns = [
                row[head * width + d]
                for head in range(heads)
                for row in three
                for d in range(width)
            ]
            found[f"{its}.inter.query_key_value.{kind}"] = np.array(turns)
        at = f"{mine}.stacked"
        found[f"{its}.stacked.c_attn.weight"] = np.hstack([own[f"{at}.a"].T, own[f"{at}.b"].T])
        biases = [own[f"{at}.a.bias"], own[f"{at}.b.bias"]]
        found[f"{its}.stacked.c_attn.bias"] = np.concatenate(biases)
        found[f"{its}.stacked.c_proj.weight"] = own[f"{at}.c"].T
        found[f"{its}.stacked.c_proj.bias"] = own[f"{at}.c.bias"]
        if layer == 1:
            found[f"{its}.moe.first"] = own[f"{mine}.moe.a"]
            found[f"{its}.moe.b.weight"] = own[f"{mine}.moe.b"]
            continue
        found[f"{its}.moe.router.weight"] = own[f"{mine}.moe.router"]
        every = [f"{mine}.moe.experts.{e}" for e in range(experts)]
        gate_up = [columns(own[f"{e}.w1"], own[f"{e}.w3"]).T for e in every]
        found[f"{its}.moe.experts.gate_up_proj"] = np.stack(gate_up)
        gate_up = [columns(own[f"{e}.w1.bias"], own[f"{e}.w3.bias"]) for e in every]
        found[f"{its}.moe.experts.gate_up_proj_bias"] = np.stack(gate_up)
        found[f"{its}.moe.experts.gains"] = np.stack([own[f"{e}.gain"] for e in every])
        for e, expert in enumerate(every):
            found[f"{its}.moe.experts.{e}.down.weight"] = own[f"{expert}.w2"].T
    return found


def columns(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """One of the left, one of the right, and so on along the first dim."""
    return np.array([row for pair in zip(left, right, strict=True) for row in pair])
