"""From a table to the IR: what a variant decides is gone, what an index decides remains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from specgen.diagnostics.diagnostic import SpecError
from specgen.expr.node import TRUE
from specgen.expr.printing import TABLE, to_text
from specgen.frontend.load import load_program
from specgen.ir import model as ir
from specgen.ir.text import program_text
from specgen.ir.verify import InternalFault, verify
from specgen.ops import registry

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize(
    ("spec", "variant"), [("llama", "llama3_8b"), ("deepseek_v3", "v3_671b_mtp")]
)
def test_textual_form(spec: str, variant: str, accept: bool) -> None:
    found = program_text(load_program(ROOT / "specs" / f"{spec}.dsv3", variant))
    path = GOLDEN / f"{variant}.ir"
    if accept:
        path.write_text(found)
    assert found == path.read_text()


def deepseek(variant: str, **overrides: int | float | str | bool) -> ir.Program:
    return load_program(ROOT / "specs" / "deepseek_v3.dsv3", variant, overrides)


def test_conditions_on_params_are_decided() -> None:
    low_rank, full = deepseek("v3_671b"), deepseek("v2_lite_16b")
    assert [t.name for t in low_rank.modules["mla"].tensors][:2] == ["wq_a", "wq_b"]
    assert [t.name for t in full.modules["mla"].tensors][:2] == ["wq", "wkv_a"]
    decided = [to_text(c, TABLE) for c in full.modules["mla"].decided]
    assert "q_lora_rank == 0" in decided
    assert "q_lora_rank <= 0" in decided


def test_conditions_on_an_index_remain() -> None:
    block = deepseek("v3_671b").modules["block"]
    found = {part.module: to_text(part.condition, TABLE) for part in block.parts_named("ffn")}
    assert found == {"swiglu": "layer < n_dense_layers", "moe": "layer >= n_dense_layers"}


@pytest.mark.parametrize(("dense", "module"), [(0, "moe"), (61, "swiglu")])
def test_an_index_that_cannot_differ_decides(dense: int, module: str) -> None:
    (part,) = deepseek("v3_671b", n_dense_layers=dense).modules["block"].parts_named("ffn")
    assert (part.module, part.condition) == (module, TRUE)


def test_a_layer_behind_the_stack_is_a_module_of_its_own() -> None:
    program = deepseek("v3_671b_mtp")
    (body,) = program.modules["mtp_head"].parts_named("body")
    (ffn,) = program.modules[body.module].parts_named("ffn")
    assert (ffn.module, ffn.condition) == ("moe", TRUE)
    assert body.module != "block"


def test_functions_exist_under_their_condition() -> None:
    def functions(variant: str) -> list[str]:
        return [f.name for f in deepseek(variant).model.functions]

    assert functions("v3_671b") == ["trunk"]
    assert functions("v3_671b_mtp") == ["trunk", "predict_next"]


def test_overrides_follow_the_variant() -> None:
    program = deepseek("v2_lite_16b", n_layers=4, weight_format="f32", score_func="sigmoid")
    values = program.values
    assert (values["n_layers"], values["weight_format"], values["dim"]) == (4, "f32", 2048)
    assert values["norm_topk"] is True, "a default follows what it depends on"


LISTS = ROOT / "tests" / "pytorch" / "lists.dsv3"


@pytest.mark.parametrize("given", ["[2, n_layers - 1]", (2, 6), [2, 6]], ids=str)
def test_a_list_from_outside(given: str | Sequence[int]) -> None:
    program = load_program(LISTS, None, {"dense": given})
    assert program.values["dense"] == (2, 6)


@pytest.mark.parametrize("given", ["[2, 0.5]", "3", (2, -1), [True], ("a",), range(513)], ids=str)
def test_a_value_that_is_no_such_list_is_refused(given: str | Sequence[int]) -> None:
    with pytest.raises(SpecError) as caught:
        load_program(LISTS, None, {"dense": given})
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code in ("E0317", "E0318")
    assert len(diagnostic.message) < 200


def test_lists_decide_what_an_index_alone_does_not() -> None:
    """A list that has none of the layers leaves a part out, and the module says for which list."""
    block = load_program(LISTS).modules["block"]
    assert [to_text(ffn.condition, TABLE) for ffn in block.parts_named("ffn")] == [
        "contains(dense, layer)",
        "not contains(dense, layer)",
    ]
    for value in ((), (7, 8)):
        block = load_program(LISTS, None, {"dense": value}).modules["block"]
        assert [ffn.condition for ffn in block.parts_named("ffn")] == [TRUE]
        shown = [to_text(condition, TABLE) for condition in block.decided]
        assert f"dense == {list(value)}" in shown


def test_a_list_has_the_size_that_its_length_is_required_to_have() -> None:
    scaled = load_program(LISTS).modules["scaled"]
    assert scaled.forward is not None
    (gain, *_) = scaled.forward.body
    assert isinstance(gain, ir.Assign)
    assert [to_text(dim, TABLE) for dim in gain.value.types[0].shape] == ["width"]


def test_a_path_not_taken_leaves_no_function_behind() -> None:
    """Neither what the path calls, nor a row, a part or a condition of it."""
    others = {"capped_attention", "sink_attention", "windowed", "rotate_pairs"}
    llama = load_program(ROOT / "specs" / "llama.dsv3", "llama3_8b")
    assert {"attention", "causal", "rotate_half"} <= llama.functions.keys() - others
    assert not others & llama.functions.keys()
    cohere = load_program(ROOT / "specs" / "cohere2.dsv3", "command_r7b")
    assert others & cohere.functions.keys() == {"windowed", "rotate_pairs"}


def test_equal_texts_give_equal_programs(tmp_path: Path) -> None:
    copy = tmp_path / "deepseek_v3.dsv3"
    copy.write_bytes((ROOT / "specs" / "deepseek_v3.dsv3").read_bytes())
    assert load_program(copy, "v3_671b") == deepseek("v3_671b")


def test_verify_finds_a_broken_program() -> None:
    program = deepseek("v3_671b")
    model = program.model
    broken = replace(model, functions=())
    with pytest.raises(InternalFault, match="trunk"):
        verify(replace(program, modules={**program.modules, model.id: broken}), registry.fault)
    part = replace(model.parts[0], module="nowhere")
    broken = replace(model, parts=(part, *model.parts[1:]))
    with pytest.raises(InternalFault, match="leads to no module"):
        verify(replace(program, modules={**program.modules, model.id: broken}), registry.fault)


def test_both_sides_of_a_branch_return_or_neither() -> None:
    program = deepseek("v3_671b")
    model = program.model
    assert model.forward is not None
    *_, last = model.forward.body
    for sides in (((last,), ()), ((), (last,))):
        body = (ir.Branch(TRUE, *sides), *model.forward.body)
        forward = replace(model.forward, body=body)
        broken = replace(model, forwards=(forward, *model.forwards[1:]))
        with pytest.raises(InternalFault, match="returns on one side"):
            verify(replace(program, modules={**program.modules, model.id: broken}), registry.fault)
