"""The tables of specs/ against the models that were released: counts, tensors, sizes.

Each model of truth.csv twice: as the variant that a spec has of it, and as its own config.json
makes it from the spec.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import ceil

import pytest

from specgen.documents.params import Document, describe_program
from specgen.frontend.load import load_program
from specgen.huggingface.reading import overrides_from_config
from specgen.ir.model import Program
from tests.families import VARIANTS, spec_of
from tests.truth import outside
from tests.truth.outside import REPOSITORY, Tensors

#: The released counts.
QUANTITIES = {
    "deepseek_v3@v3_671b": {
        "parameters": 671_026_419_200,
        "parameters_active": 37_552_297_472,
        "parameters_active_no_embedding": 36_625_618_432,
        "stored_tensors": 90_427,
        "stored_bytes": 673_150_611_808,
    },
    "deepseek_v3@v3_671b_mtp": {
        "parameters": 682_636_487_424,
        "stored_tensors": 91_991,
        "stored_bytes": 688_574_839_360,
    },
    "glm4_moe@glm45": {"parameters": 352_797_829_024},
    "deepseek_v3@v2_236b": {"parameters": 235_741_434_880},
    "deepseek_v3@v2_lite_16b": {"parameters": 15_706_484_224},
    "deepseek_v3@kimi_k2_1t": {"parameters": 1_026_408_232_448},
    "llama@llama3_8b": {"parameters": 8_030_261_248},
    "llama@llama31_405b": {"parameters": 405_853_388_800},
    "llama@llama32_1b": {"parameters": 1_235_814_400},
    "dsv3_table": {"parameters": 691_210_639_360, "stored_bytes": 691_210_639_360},
}


def table(spec: str) -> Program:
    name, _, variant = spec.partition("@")
    return load_program(REPOSITORY / "specs" / f"{name}.dsv3", variant or None)


@cache
def tabulated(spec: str) -> Document:
    program = table(spec)
    return describe_program(program, "hf" if program.model.names else "own")


@cache
def configured(name: str) -> Document:
    """The model as its spec and its config.json make it."""
    released = outside.config(name)
    path = REPOSITORY / "specs" / f"{spec_of(released['model_type'])}.dsv3"
    overrides = overrides_from_config(load_program(path), released)
    if "n_mtp_layers" in overrides:
        overrides["n_mtp_layers"] = 0  # transformers has no such layer, and counts.csv none either
    return describe_program(load_program(path, None, overrides), "hf")


def tensors(found: Document, *, dtypes: bool = True, scales: bool = True) -> Tensors:
    """The stored tensors of a table under their released names, each name once."""
    kept = [t for t in found["tensors"] if scales or not t["name"].endswith("_scale_inv")]
    named: Tensors = {t["name"]: (tuple(t["shape"]), t["dtype"] if dtypes else None) for t in kept}
    assert len(named) == len(kept), "two rows have one name"
    return named


def assert_same(found: Tensors, expected: Tensors) -> None:
    """Equality that says what differs: the lists have tens of thousands of names."""
    missing = sorted(set(expected) - set(found))
    extra = sorted(set(found) - set(expected))
    assert (missing[:5], extra[:5]) == ([], []), f"{len(missing)} missing, {len(extra)} extra"
    different = {n: (found[n], expected[n]) for n in found if found[n] != expected[n]}
    assert not different, dict(list(different.items())[:5])


def variant(name: str) -> Document:
    return tabulated(VARIANTS[name])


# ---- counts ----------------------------------------------------------------------------


@pytest.mark.parametrize("spec", QUANTITIES)
def test_quantities(spec: str) -> None:
    found = describe_program(table(spec))["quantities"]
    assert {name: found[name] for name in QUANTITIES[spec]} == QUANTITIES[spec]


def test_every_released_model_has_a_variant() -> None:
    assert VARIANTS.keys() == outside.totals().keys()


@pytest.mark.slow
@pytest.mark.parametrize("spec", sorted({*QUANTITIES, *VARIANTS.values()}))
def test_rows_sum_to_parameters(spec: str) -> None:
    rows = tabulated(spec)["rows"]
    counted = sum(row["elements"] for row in rows if row["kind"] != "scale")
    assert counted == tabulated(spec)["quantities"]["parameters"]


def test_seed_table_with_the_gate_bias_that_its_summary_leaves_out() -> None:
    path = REPOSITORY / "specs" / "dsv3_table.dsv3"
    program = load_program(path, overrides={"count_gate_bias": True})
    assert describe_program(program)["quantities"]["parameters"] == 691_210_654_208


# ---- tensors


@pytest.mark.slow
@pytest.mark.parametrize("made", [variant, configured], ids=["variant", "config"])
@pytest.mark.parametrize("name", VARIANTS)
def test_table_is_the_model_that_was_released(name: str, made: Callable[[str], Document]) -> None:
    """Counts, and the name, shape and dtype of each tensor.

    The lists are transformers': without scales, and with the released dtypes only where the
    configuration gives them and nothing is quantized.
    """
    found, row, released = made(name), outside.totals()[name], outside.config(name)
    assert found["quantities"]["parameters"] == int(row["total_with_buffers"])
    dtypes = released.get("torch_dtype") == "bfloat16" and "quantization_config" not in released
    listed = tensors(found, dtypes=dtypes, scales=False)
    assert len(listed) == int(row["n_ckpt_tensors"])
    assert_same(listed, outside.checkpoint(name, dtypes=dtypes))


@pytest.mark.parametrize("mtp", [False, True], ids=["v3_671b", "v3_671b_mtp"])
def test_deepseek_v3_stores_what_was_released(mtp: bool) -> None:
    """Names, shapes and dtypes of all 91,991 tensors; without the head, those before layer 61."""
    released = outside.deepseek_v3_release()
    if mtp:
        assert_same(tensors(tabulated("deepseek_v3@v3_671b_mtp")), released)
    else:
        main = {n: t for n, t in released.items() if not n.startswith("model.layers.61.")}
        assert_same(tensors(tabulated("deepseek_v3@v3_671b")), main)


@pytest.mark.parametrize(
    "spec", ["deepseek_v3@v3_671b", "deepseek_v3@v3_671b_mtp", "deepseek_v3@kimi_k2_1t"]
)
def test_fp8_is_for_projections_and_each_has_its_scales(spec: str) -> None:
    """The release's rule, stated in its README: only projections inside layers are fp8."""
    found = tensors(tabulated(spec))
    for name, (shape, dtype) in found.items():
        if name.endswith(".weight_scale_inv"):
            assert dtype == "f32"
            continue
        last = name.split(".")[-2]
        projection = last.endswith(("_proj", "_with_mqa")) and last != "eh_proj"
        bias = name.endswith("e_score_correction_bias")
        assert dtype == ("f8e4m3" if projection else "f32" if bias else "bf16"), name
        scale = found.get(f"{name}_scale_inv")
        tiles = tuple(ceil(n / 128) for n in shape)
        assert scale == ((tiles, "f32") if projection else None), name
