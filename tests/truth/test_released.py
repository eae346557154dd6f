"""The tables of specs/ against the models that were released: counts, tensors, sizes."""

from __future__ import annotations

from functools import cache
from math import ceil

import pytest

from specgen.analysis.document import Document, document
from specgen.elaborate.load import load_program
from tests.truth import outside
from tests.truth.outside import REPOSITORY, Tensors, needs_truth

#: Each variant and the model in truth.csv that it is.
RELEASED = {
    "deepseek_v3@v3_671b": "deepseek-v3",
    "deepseek_v3@v2_236b": "deepseek-v2",
    "deepseek_v3@v2_lite_16b": "deepseek-v2-lite",
    "deepseek_v3@kimi_k2_1t": "kimi-k2-instruct",
    "llama3@llama3_8b": "llama-3-8b",
    "llama3@llama3_70b": "llama-3-70b",
    "llama3@llama31_8b": "llama-3.1-8b",
    "llama3@llama31_70b": "llama-3.1-70b",
    "llama3@llama31_405b": "llama-3.1-405b",
    "llama3@llama32_1b": "llama-3.2-1b",
}

#: The released counts, so that they hold where the lists are absent too.
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
    "deepseek_v3@v2_236b": {"parameters": 235_741_434_880},
    "deepseek_v3@v2_lite_16b": {"parameters": 15_706_484_224},
    "deepseek_v3@kimi_k2_1t": {"parameters": 1_026_408_232_448},
    "llama3@llama3_8b": {"parameters": 8_030_261_248},
    "llama3@llama31_405b": {"parameters": 405_853_388_800},
    "llama3@llama32_1b": {"parameters": 1_235_814_400},
    "dsv3_table": {"parameters": 691_210_639_360, "stored_bytes": 691_210_639_360},
}


@cache
def tabulated(spec: str) -> Document:
    name, _, variant = spec.partition("@")
    program = load_program(REPOSITORY / "specs" / f"{name}.dsv3", variant or None)
    return document(program, "hf" if program.model.names else "own")


def tensors(spec: str, *, dtypes: bool = True, scales: bool = True) -> Tensors:
    """The stored tensors of the table under their released names, each name once."""
    listed = tabulated(spec)["tensors"]
    found: Tensors = {
        t["name"]: (tuple(t["shape"]), t["dtype"] if dtypes else None)
        for t in listed
        if scales or not t["name"].endswith("_scale_inv")
    }
    kept = [t for t in listed if scales or not t["name"].endswith("_scale_inv")]
    assert len(found) == len(kept), "two rows have one name"
    return found


def assert_same(found: Tensors, expected: Tensors) -> None:
    """Equality that says what differs: the lists have tens of thousands of names."""
    missing = sorted(set(expected) - set(found))
    extra = sorted(set(found) - set(expected))
    assert (missing[:5], extra[:5]) == ([], []), f"{len(missing)} missing, {len(extra)} extra"
    different = {n: (found[n], expected[n]) for n in found if found[n] != expected[n]}
    assert not different, dict(list(different.items())[:5])


# ---- counts ----------------------------------------------------------------------------


@pytest.mark.parametrize("spec", QUANTITIES)
def test_quantities(spec: str) -> None:
    found = tabulated(spec)["quantities"]
    assert {name: found[name] for name in QUANTITIES[spec]} == QUANTITIES[spec]


@needs_truth
@pytest.mark.parametrize("spec", RELEASED)
def test_parameters_are_those_of_the_release(spec: str) -> None:
    row = outside.totals()[RELEASED[spec]]
    assert tabulated(spec)["quantities"]["parameters"] == int(row["total_with_buffers"])


@pytest.mark.parametrize("spec", [*QUANTITIES, *RELEASED])
def test_rows_sum_to_parameters(spec: str) -> None:
    rows = tabulated(spec)["rows"]
    counted = sum(row["elements"] for row in rows if row["kind"] != "scale")
    assert counted == tabulated(spec)["quantities"]["parameters"]


def test_seed_table_with_the_gate_bias_that_its_summary_leaves_out() -> None:
    path = REPOSITORY / "specs" / "dsv3_table.dsv3"
    program = load_program(path, overrides={"count_gate_bias": True})
    assert document(program)["quantities"]["parameters"] == 691_210_654_208


# ---- tensors ---------------------------------------------------------------------------


@needs_truth
@pytest.mark.parametrize("mtp", [False, True], ids=["v3_671b", "v3_671b_mtp"])
def test_deepseek_v3_stores_what_was_released(mtp: bool) -> None:
    """Names, shapes and dtypes of all 91,991 tensors; without the head, those before layer 61."""
    released = outside.deepseek_v3_release()
    if mtp:
        assert_same(tensors("deepseek_v3@v3_671b_mtp"), released)
    else:
        main = {n: t for n, t in released.items() if not n.startswith("model.layers.61.")}
        assert_same(tensors("deepseek_v3@v3_671b"), main)


@needs_truth
@pytest.mark.parametrize("spec", ["deepseek_v3@v3_671b", "deepseek_v3@kimi_k2_1t"])
def test_fp8_releases_under_transformers_names(spec: str) -> None:
    """No dtypes: transformers listed these after decompression, when all is bfloat16, no scales."""
    expected = outside.checkpoint(RELEASED[spec], dtypes=False)
    assert_same(tensors(spec, dtypes=False, scales=False), expected)


@pytest.mark.parametrize(
    "spec", ["deepseek_v3@v3_671b", "deepseek_v3@v3_671b_mtp", "deepseek_v3@kimi_k2_1t"]
)
def test_fp8_is_for_projections_and_each_has_its_scales(spec: str) -> None:
    """The release's rule, stated in its README: only projections inside layers are fp8."""
    found = tensors(spec)
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


@needs_truth
def test_deepseek_v2_stores_what_was_released() -> None:
    """No dtypes: its configuration was reconstructed, and without torch_dtype all is float32."""
    spec = "deepseek_v3@v2_236b"
    assert_same(tensors(spec, dtypes=False), outside.checkpoint(RELEASED[spec], dtypes=False))


@needs_truth
@pytest.mark.parametrize("spec", ["deepseek_v3@v2_lite_16b", *(s for s in RELEASED if "lla" in s)])
def test_bf16_releases_store_what_was_released(spec: str) -> None:
    assert_same(tensors(spec), outside.checkpoint(RELEASED[spec], dtypes=True))
