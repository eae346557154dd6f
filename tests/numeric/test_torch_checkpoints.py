"""`load_checkpoint`: released names, sharded and quantised files, and every way to fail."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from safetensors.torch import save_file  # noqa: E402

from tests.numeric.generated import imported, program, randomised, stored  # noqa: E402

pytestmark = pytest.mark.slow

SMALL = {
    "vocab_size": 40,
    "dim": 160,
    "inter_dim": 96,
    "moe_inter_dim": 144,
    "n_layers": 2,
    "n_dense_layers": 1,
    "n_heads": 2,
    "q_lora_rank": 12,
    "kv_lora_rank": 8,
    "qk_nope_head_dim": 6,
    "qk_rope_head_dim": 4,
    "v_head_dim": 6,
    "n_routed_experts": 4,
    "n_activated_experts": 2,
    "n_expert_groups": 2,
    "n_limited_groups": 2,
    "gate_bias": True,
}

Tensors = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """A model whose matrices are stored as they are, with a head that stores copies."""
    table = program("deepseek_v3", weight_format="bf16", n_mtp_layers=1, **SMALL)
    return imported(table, tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def blocks(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """A model whose matrices are stored in 8 bits with a scale for each block."""
    return imported(program("deepseek_v3", **SMALL), tmp_path_factory.mktemp("blocks"))


def fresh(module: ModuleType, seed: int = 0) -> Any:
    return randomised(module.Model(module.Config()), seed)


def tensors(module: ModuleType, model: Any) -> Tensors:
    """The checkpoint of a model that is stored as it is, copies among its tensors."""
    found = dict(stored(module, model))
    return found | {copy: found[name].clone() for copy, name in module.stored_copies(model)}


def same(a: Any, b: Any) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))


def quantised(name: str, matrix: torch.Tensor) -> tuple[Tensors, torch.Tensor]:
    """A matrix in 128 × 128 blocks, written with loops, and what it stands for."""
    rows, columns = (-(-n // 128) for n in matrix.shape)
    scale = torch.rand(rows, columns) + 0.5
    weight = torch.zeros_like(matrix)
    exact = torch.zeros_like(matrix)
    for i in range(matrix.shape[0]):
        factor = scale[i // 128].repeat_interleave(128)[: matrix.shape[1]]
        weight[i] = (matrix[i] / factor).to(torch.float8_e4m3fn).float()
        exact[i] = weight[i] * factor
    stored = {f"{name}.weight": weight.to(torch.float8_e4m3fn), f"{name}.weight_scale_inv": scale}
    return stored, exact


# ---- what loads


def test_single_file_and_folder(plain: ModuleType, tmp_path: Path) -> None:
    model = fresh(plain)
    save_file(tensors(plain, model), tmp_path / "model.safetensors")
    for path in (tmp_path, tmp_path / "model.safetensors", str(tmp_path)):
        other = fresh(plain, 1)
        assert not same(model, other)
        other.load_checkpoint(path)
        assert same(model, other)


@pytest.mark.parametrize("indexed", [True, False])
def test_several_files(plain: ModuleType, tmp_path: Path, indexed: bool) -> None:
    model = fresh(plain)
    held = tensors(plain, model)
    files: Mapping[str, Tensors] = {"a.safetensors": {}, "b.safetensors": {}}
    for number, (name, tensor) in enumerate(held.items()):
        files["ab"[number % 2] + ".safetensors"][name] = tensor
    for name, part in files.items():
        save_file(part, tmp_path / name)
    index = tmp_path / "model.safetensors.index.json"
    if indexed:
        save_file({"stray": torch.zeros(1)}, tmp_path / "c.safetensors")
        places = {name: file for file, part in files.items() for name in part}
        index.write_text(json.dumps({"weight_map": places}))
    for path in (tmp_path, index) if indexed else (tmp_path,):
        other = fresh(plain, 1)
        other.load_checkpoint(path)
        assert same(model, other)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_dtypes_of_the_model_and_of_the_file(
    plain: ModuleType, tmp_path: Path, dtype: torch.dtype
) -> None:
    held = tensors(plain, fresh(plain))
    save_file(held, tmp_path / "model.safetensors")
    other = fresh(plain, 1).to(dtype)
    other.load_checkpoint(tmp_path)
    assert torch.equal(other.head.weight, held["lm_head.weight"].to(dtype))
    bias = other.layers[1].ffn.router.bias
    assert bias.dtype == torch.float32  # it computes in float32, whatever the model does
    assert torch.equal(bias, held["model.layers.1.mlp.gate.e_score_correction_bias"])
    logits = other(torch.tensor([[1, 2, 3]]))
    assert logits.dtype == dtype
    assert logits.isfinite().all()


def test_blocks_are_dequantised(blocks: ModuleType, tmp_path: Path) -> None:
    model = fresh(blocks)
    held: Tensors = {}
    wanted: Tensors = {}
    for row, restore, names in blocks.stored_tensors(model):
        first = next(iter(names))
        if restore is torch.as_tensor:
            held[first] = row.detach().clone()
            wanted[first] = held[first]
        else:
            base = first.removesuffix(".weight")
            assert set(names) == {f"{base}.weight", f"{base}.weight_scale_inv"}
            files, wanted[first] = quantised(base, row.detach())
            held |= files
    save_file(held, tmp_path / "model.safetensors")
    other = fresh(blocks, 1)
    other.load_checkpoint(tmp_path)
    for row, _, names in blocks.stored_tensors(other):
        assert torch.equal(row, wanted[next(iter(names))])


def test_ignored_names(plain: ModuleType, tmp_path: Path) -> None:
    model = fresh(plain)
    held = tensors(plain, model) | {"model.layers.7.rotary.freq": torch.zeros(3)}
    save_file(held, tmp_path / "model.safetensors")
    other = fresh(plain, 1)
    with pytest.raises(ValueError, match=r"in excess: model\.layers\.7\.rotary\.freq"):
        other.load_checkpoint(tmp_path)
    other.load_checkpoint(tmp_path, ignore=["*.rotary.freq"])
    assert same(model, other)


# ---- what does not


def refused(module: ModuleType, held: Tensors, folder: Path) -> str:
    """The message with which a checkpoint is refused; nothing of it is loaded."""
    save_file(held, folder / "model.safetensors")
    model, before = fresh(module, 1), fresh(module, 1)
    with pytest.raises(ValueError, match="does not fit this model") as caught:
        model.load_checkpoint(folder)
    assert same(model, before)
    return str(caught.value)


def test_all_faults_are_listed(plain: ModuleType, tmp_path: Path) -> None:
    held = tensors(plain, fresh(plain))
    del held["model.layers.0.self_attn.q_a_proj.weight"]
    del held["model.layers.1.mlp.experts.3.up_proj.weight"]
    held["model.norm.weight"] = torch.zeros(161)
    held["model.layers.1.mlp.experts.0.up_proj.weight"] = torch.zeros(160, 144)
    held["lm_head.weight"] = torch.zeros(40, 160, dtype=torch.int8)
    held["lm_head.bias"] = torch.zeros(40)
    *faults, excess = refused(plain, held, tmp_path).splitlines()[1:]
    assert sorted(faults) == [
        "misshapen: model.layers.1.mlp.experts.0.up_proj.weight is [160, 144], not [144, 160]",
        "misshapen: model.norm.weight is [161], not [160]",
        "missing: model.layers.0.self_attn.q_a_proj.weight [12, 160]",
        "missing: model.layers.1.mlp.experts.3.up_proj.weight [144, 160]",
        "wrong dtype: lm_head.weight is I8, not a float",
    ]
    assert excess == "in excess: lm_head.bias"


def test_copies_must_be_equal(plain: ModuleType, tmp_path: Path) -> None:
    held = tensors(plain, fresh(plain))
    held["model.layers.2.embed_tokens.weight"][3, 5] += 1
    assert refused(plain, held, tmp_path).splitlines()[1:] == [
        "not equal to model.embed_tokens.weight: model.layers.2.embed_tokens.weight"
    ]
    del held["model.layers.2.shared_head.head.weight"]
    assert "missing: model.layers.2.shared_head.head.weight" in refused(plain, held, tmp_path)


def test_blocks_without_scales(blocks: ModuleType, tmp_path: Path) -> None:
    message = refused(blocks, dict(stored_as_floats(blocks)), tmp_path)
    assert "wrong dtype: model.layers.0.self_attn.o_proj.weight is F32, not F8_E4M3" in message
    assert "missing: model.layers.0.self_attn.o_proj.weight_scale_inv [2, 1]" in message


def stored_as_floats(module: ModuleType) -> Tensors:
    found = {}
    for row, _, names in module.stored_tensors(fresh(module)):
        found[next(iter(names))] = row.detach().clone()
    return found


def test_damaged_file(plain: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file(tensors(plain, fresh(plain)), path)
    whole = path.read_bytes()
    for damaged in (whole[:-100], whole[:20], b""):
        path.write_bytes(damaged)
        model = fresh(plain, 1)
        with pytest.raises(ValueError, match="is damaged"):
            model.load_checkpoint(tmp_path)
        assert same(model, fresh(plain, 1))


def test_no_file(plain: ModuleType, tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(FileNotFoundError):
            fresh(plain).load_checkpoint(path)


def test_meta_device(plain: ModuleType, tmp_path: Path) -> None:
    """A model without memory is not silently left without values."""
    model = fresh(plain)
    save_file(tensors(plain, model), tmp_path / "model.safetensors")
    with torch.device("meta"):
        other = plain.Model(plain.Config())
    with pytest.raises(ValueError, match="to_empty"):
        other.load_checkpoint(tmp_path)
    other = other.to(torch.bfloat16).to_empty(device="cpu")
    assert other.layers[1].ffn.router.bias.dtype == torch.float32
    other.load_checkpoint(tmp_path)
    assert torch.equal(other.head.weight, model.head.weight.bfloat16())


# ---- the command


def test_greedy_generation(plain: ModuleType, tmp_path: Path) -> None:
    model = fresh(plain)
    save_file(tensors(plain, model), tmp_path / "model.safetensors")
    command = [sys.executable, str(plain.__file__), "--checkpoint", str(tmp_path)]
    command += ["--prompt-ids", "3,1,4", "--max-new-tokens", "5"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    tokens = [3, 1, 4]
    with torch.no_grad():
        for _ in range(5):
            tokens.append(int(model(torch.tensor([tokens]))[0, -1].argmax()))
    assert done.stdout == ",".join(map(str, tokens[3:])) + "\n"


def test_faults_of_the_command(plain: ModuleType, tmp_path: Path) -> None:
    command = [sys.executable, str(plain.__file__), "--checkpoint", str(tmp_path)]
    for ids in ("1,2", "1,x"):
        full = [*command, "--prompt-ids", ids]
        done = subprocess.run(full, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert done.stderr.startswith("model.py: ")
        assert "Traceback" not in done.stderr
