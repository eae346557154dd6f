"""`load_checkpoint`: released names, sharded and quantised files, and every way to fail."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from safetensors.torch import load_file, save_file  # noqa: E402

from specgen.frontend.load import load_program  # noqa: E402
from tests.numeric.generated import imported, kinds, program, randomised, stored  # noqa: E402
from tests.numeric.test_padding import FAMILIES  # noqa: E402
from tests.packing import by_hand  # noqa: E402

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
    copies = module.checkpoints().stored_copies(model)
    return found | {copy: found[name].clone() for copy, name in copies}


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
    for names, (row,), _, _ in blocks.checkpoints().stored_tensors(model):
        first = next(iter(names))
        if len(names) == 1:
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
    for names, (row,), _, _ in blocks.checkpoints().stored_tensors(other):
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
    plan = module.checkpoints().stored_tensors(fresh(module))
    return {next(iter(names)): row.detach().clone() for names, (row,), _, _ in plan}


def test_many_faults_stay_readable(blocks: ModuleType, tmp_path: Path) -> None:
    """The first of each kind, and how many more there are."""
    strays = {f"model.layers.61.{n}.weight": torch.zeros(1) for n in range(45)}
    needed = kinds(blocks, fresh(blocks))
    _, *faults = refused(blocks, strays, tmp_path).splitlines()
    missing = [line for line in faults if line.startswith("missing: ")]
    assert len(missing) == 21
    assert missing[-1] == f"missing: {len(needed) - 20} more"
    excess = [line for line in faults if line.startswith("in excess: ")]
    assert len(excess) == 21
    assert excess[-1] == "in excess: 25 more"
    assert (
        faults[-3:].count('hint: ignore=["model.layers.61.*"] leaves aside the 45 in excess') == 1
    )


def test_what_the_hint_says_is_right(plain: ModuleType, tmp_path: Path) -> None:
    """The release with its head for multi-token prediction, and a model without it."""
    (tmp_path / "main").mkdir()
    table = program("deepseek_v3", weight_format="bf16", **SMALL)
    main = imported(table, tmp_path / "main")
    model = fresh(plain)
    message = refused(main, tensors(plain, model), tmp_path)
    (pattern,) = re.findall(r'hint: ignore=\["(.*)"\]', message)
    assert pattern == "model.layers.2.*"
    other = fresh(main, 1)
    other.load_checkpoint(tmp_path, ignore=[pattern])
    assert torch.equal(other.head.weight, model.head.weight)


DAMAGES: Mapping[str, Callable[[bytes], bytes]] = {
    "the last byte is missing": lambda whole: whole[:-1],
    "the header is cut": lambda whole: whole[:20],
    "nothing is there": lambda whole: b"",
    "there is more": lambda whole: whole + bytes(8),
    "the header is said to be longer than the file": lambda whole: b"\xff" * 6 + whole[6:],
    "the header is not JSON": lambda whole: whole[:8] + b"[" + whole[9:],
    "two tensors overlap": lambda whole: whole.replace(
        b'"data_offsets":[0,', b'"data_offsets":[9,'
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_file(plain: ModuleType, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "model.safetensors"
    save_file(tensors(plain, fresh(plain)), path)
    whole = path.read_bytes()
    path.write_bytes(DAMAGES[damage](whole))
    assert path.read_bytes() != whole
    assert_untouched(plain, tmp_path, ValueError, "cannot be read")


def assert_untouched(module: ModuleType, folder: Path, fault: type[Exception], text: str) -> None:
    """Loading fails, and leaves the model as it was."""
    model = fresh(module, 1)
    with pytest.raises(fault, match=text):
        model.load_checkpoint(folder)
    assert same(model, fresh(module, 1))


@pytest.fixture
def shards(plain: ModuleType, tmp_path: Path) -> Path:
    """A folder of two files with an index."""
    held = tensors(plain, fresh(plain))
    files: Mapping[str, Tensors] = {"a.safetensors": {}, "b.safetensors": {}}
    for number, (name, tensor) in enumerate(held.items()):
        files["ab"[number % 2] + ".safetensors"][name] = tensor
    for file, part in files.items():
        save_file(part, tmp_path / file)
    places = {name: file for file, part in files.items() for name in part}
    write_index(tmp_path, {"weight_map": places})
    fresh(plain, 1).load_checkpoint(tmp_path)
    return tmp_path


def write_index(folder: Path, content: object) -> None:
    (folder / "model.safetensors.index.json").write_text(json.dumps(content))


def places(folder: Path) -> dict[str, str]:
    found: dict[str, str] = json.loads((folder / "model.safetensors.index.json").read_text())[
        "weight_map"
    ]
    return found


def test_one_shard_is_truncated(plain: ModuleType, shards: Path) -> None:
    """The last one, so that what is before it could have been loaded."""
    path = shards / "b.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    assert_untouched(plain, shards, ValueError, "b.safetensors cannot be read")


def test_one_shard_is_not_there(plain: ModuleType, shards: Path) -> None:
    (shards / "b.safetensors").unlink()
    assert_untouched(plain, shards, ValueError, "b.safetensors cannot be read: ")


@pytest.mark.parametrize(
    "content", [{}, [], {"weight_map": ["a"]}, {"weight_map": {"a": 1}}, {"weight_map": None}, "x"]
)
def test_an_index_that_says_nothing(plain: ModuleType, shards: Path, content: object) -> None:
    write_index(shards, content)
    assert_untouched(plain, shards, ValueError, "index.json does not say where tensors are")


@pytest.mark.parametrize("content", [b"{", b"", b"\xff\xfe", b"weight_map"])
def test_an_index_that_is_not_json(plain: ModuleType, shards: Path, content: bytes) -> None:
    (shards / "model.safetensors.index.json").write_bytes(content)
    assert_untouched(plain, shards, ValueError, "index.json does not say where tensors are")


def test_an_index_of_another_name(plain: ModuleType, shards: Path) -> None:
    """What is named is what counts, though the folder has an index of the usual name."""
    other = shards / "model.fp16.safetensors.index.json"
    other.write_text((shards / "model.safetensors.index.json").read_text())
    write_index(shards, {})
    model = fresh(plain, 1)
    model.load_checkpoint(other)
    assert same(model, fresh(plain))
    other.unlink()
    with pytest.raises(FileNotFoundError, match="fp16"):
        model.load_checkpoint(other)


def test_an_index_that_is_wrong(plain: ModuleType, shards: Path) -> None:
    found = places(shards)
    name = next(name for name, file in found.items() if file == "b.safetensors")
    write_index(shards, {"weight_map": {**found, name: "a.safetensors"}})
    reason = f"has {re.escape(name)} in a.safetensors, which does not hold it"
    assert_untouched(plain, shards, ValueError, reason)
    write_index(shards, {"weight_map": {**found, "stray": "a.safetensors"}})
    assert_untouched(plain, shards, ValueError, "has stray in a.safetensors, which does not")


@pytest.mark.parametrize("indexed", [True, False])
def test_a_tensor_in_two_files(plain: ModuleType, shards: Path, indexed: bool) -> None:
    twice = {"model.norm.weight": torch.zeros(160)}
    save_file(twice, shards / "c.safetensors")
    if indexed:
        write_index(shards, {"weight_map": {**places(shards), "more": "c.safetensors"}})
    else:
        (shards / "model.safetensors.index.json").unlink()
    assert_untouched(plain, shards, ValueError, "model.norm.weight is in two files: ")


# ---- tensors that hold several parameters


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    return imported(by_hand.program(), tmp_path_factory.mktemp("packed"))


def parameter(model: Any, name: str) -> Any:
    """The parameter, or row of a stack, that the table calls so."""
    found = model
    pieces = name.split(".")
    while pieces:
        piece = pieces.pop(0)
        if piece == "experts":  # experts.e.row, in one tensor for all of them
            index, row = int(pieces[0]), "_".join(pieces[1:])
            return getattr(found.experts, row)[index]
        found = found[int(piece)] if piece.isdigit() else getattr(found, piece)
    return found.weight if isinstance(found, torch.nn.Module) else found


def by_hand_packed(packed: ModuleType) -> tuple[Mapping[str, Any], Tensors]:
    rows = by_hand.rows(by_hand.program())
    held = by_hand.checkpoint(rows, vars(packed.Config()))
    return rows, {name: torch.tensor(array).contiguous() for name, array in held.items()}


def test_packed_tensors(packed: ModuleType, tmp_path: Path) -> None:
    """Every row of a table that packs in every way, against a checkpoint put together by hand."""
    rows, held = by_hand_packed(packed)
    save_file(held, tmp_path / "a.safetensors")
    model = fresh(packed)
    model.load_checkpoint(tmp_path)
    for name, array in rows.items():
        assert torch.equal(parameter(model, name), torch.tensor(array)), name
    assert sum(row.size for row in rows.values()) == sum(p.numel() for p in model.parameters())


def test_packed_tensors_are_checked(packed: ModuleType, tmp_path: Path) -> None:
    _, found = by_hand_packed(packed)
    for name in (
        "deep.c",
        "model.layers.0.attn.qkv_proj.weight",
        "model.layers.2.stacked.c_proj.weight",
    ):
        found[name] = found[name].mT.contiguous()
    found["deep.ab"] = found["deep.ab"][:1]
    found["deep.gain"] = torch.zeros(2, 12, dtype=torch.int64)
    del found["model.layers.0.moe.experts.gate_up_proj"]
    assert sorted(refused(packed, found, tmp_path).splitlines()[1:]) == [
        "misshapen: deep.ab is [1, 12, 12], not [2, 12, 12]",
        "misshapen: deep.c is [2, 6, 24], not [2, 24, 6]",
        "misshapen: model.layers.0.attn.qkv_proj.weight is [12, 20], not [20, 12]",
        "misshapen: model.layers.2.stacked.c_proj.weight is [12, 6], not [6, 12]",
        "missing: model.layers.0.moe.experts.gate_up_proj [4, 12, 12]",
        "wrong dtype: deep.gain is I64, not a float",
    ]


ALTERNATIVES = """language 1
use std.ffn { mlp, swiglu }
use std.embedding { embedding }
model alternatives {
  params { vocab_size : size = 8 width : size = 4 hidden : size = 6 }
  parts { embed : embedding  layers[layer] : block × 4 }
  tensors { out : width -> vocab_size }
  forward(tokens: i64 [B, S]) -> [B, S, vocab_size] { return out(layers(embed(tokens))) }
  names hf { layers -> "layers.{layer}" }
  module block {
    params { layer : count }
    parts {
      ffn : mlp when layer % 2 == 0
      ffn : swiglu when layer % 2 == 1
    }
    forward(x: [B, S, width]) -> [B, S, width] { return ffn(x) }
  }
}
"""


def test_alternatives_that_call_a_row_differently(tmp_path: Path) -> None:
    """`w1` is up_proj of one block and gate_proj of the other, whose up_proj is `w3`."""
    (tmp_path / "alternatives.dsv3").write_text(ALTERNATIVES)
    module = imported(load_program(tmp_path / "alternatives.dsv3"), tmp_path)
    model = fresh(module)
    held = {"embed.weight": model.embed.weight, "out.weight": model.out.weight}
    for number, layer in enumerate(model.layers):
        calls = {"up_proj": "w1"} if number % 2 == 0 else {"gate_proj": "w1", "up_proj": "w3"}
        for name, row in {**calls, "down_proj": "w2"}.items():
            for end, value in getattr(layer.ffn, row).named_parameters():
                held[f"layers.{number}.ffn.{name}.{end}"] = value
    save_file({name: value.detach() for name, value in held.items()}, tmp_path / "a.safetensors")
    other = fresh(module, 1)
    other.load_checkpoint(tmp_path)
    assert same(model, other)


# ---- what was loaded, saved again


def saved_again(module: ModuleType, tensors: Tensors, folder: Path) -> None:
    """Loads, saves what state_dict gives, and loads that in torch's own way."""
    save_file(tensors, folder / "released.safetensors")
    model = fresh(module, 1)
    model.load_checkpoint(folder / "released.safetensors")
    assert all(row.is_contiguous() for row in model.parameters())
    save_file(model.state_dict(), folder / "own.safetensors")
    other = fresh(module, 2)
    other.load_state_dict(load_file(folder / "own.safetensors"))
    assert same(model, other)
    flat = torch.nn.utils.parameters_to_vector(model.parameters())  # as optimisers of all at once
    assert flat.numel() == sum(row.numel() for row in model.parameters())


@pytest.mark.parametrize("spec", ["gpt2", "gpt_neox", "phi3", "gpt_oss", "llama", "mixtral"])
def test_what_was_loaded_can_be_saved(spec: str, tmp_path: Path) -> None:
    """Maps that are stored transposed, joined, interleaved, as they are, and experts of one tensor."""
    module = imported(program(spec, **FAMILIES[spec][1]), tmp_path)
    rows = kinds(module, fresh(module))
    random = torch.Generator().manual_seed(3)
    drawn = {name: torch.randn(shape, generator=random) for name, (_, shape) in rows.items()}
    saved_again(module, drawn, tmp_path)


def test_what_was_packed_in_any_way_can_be_saved(packed: ModuleType, tmp_path: Path) -> None:
    _, held = by_hand_packed(packed)
    saved_again(packed, held, tmp_path)


def test_laid_out_for_decoding_it_is_the_same_model(plain: ModuleType) -> None:
    """In float32, where it is quicker; in bfloat16 contiguous rows are, and stay as they are."""
    model, text = fresh(plain), torch.arange(12).view(2, 6)
    with torch.no_grad():
        before = model(text)
        plain.lay_out(model)
        assert torch.allclose(model(text), before, atol=1e-4)
    assert not model.layers[0].ffn.w2.weight.is_contiguous()
    model = fresh(plain).bfloat16()
    plain.lay_out(model)
    assert all(row.is_contiguous() for row in model.parameters())


# ---- memory

MEASURED = """
import sys, torch
from importlib.util import module_from_spec, spec_from_file_location
torch.set_num_threads(1)
spec = spec_from_file_location("model", sys.argv[1])
module = sys.modules["model"] = module_from_spec(spec)
spec.loader.exec_module(module)
def own():  # what the process holds itself, the mapped pages of the files aside
    fields = dict(line.split(":") for line in open("/proc/self/status"))
    return int(fields["RssAnon"].split()[0]) * 1024
released = module.checkpoints()
class Watching(released.Checkpoint):
    def read(self, name):
        found = super().read(name)
        found.abs().sum()  # all of it is touched
        peaks.append(own())
        return found
released.Checkpoint = Watching
released.Checkpoint(sys.argv[2])  # what is imported, and made once, is there before
torch.ones(4).abs().sum()
peaks = [0]
with torch.device("meta"):
    model = module.Model(module.Config())
before = own()
model.to_empty(device="cpu").load_checkpoint(sys.argv[2])
print(before, max(peaks))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_memory_while_loading(tmp_path: Path) -> None:
    """The model and one tensor: a checkpoint of 16 equal layers is not held a second time."""
    sizes = {"dim": 512, "n_layers": 16, "vocab_size": 64, "n_heads": 4, "n_kv_heads": 4}
    module = imported(
        program("llama", "llama3_8b", inter_dim=1024, head_dim=128, **sizes), tmp_path
    )
    model = fresh(module)
    save_file(stored(module, model), tmp_path / "model.safetensors")
    command = [sys.executable, "-c", MEASURED, str(module.__file__), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    before, peak = map(int, done.stdout.split())
    whole = sum(4 * parameter.numel() for parameter in model.parameters())
    largest = max(4 * parameter.numel() for parameter in model.parameters())
    assert whole > 20 * largest
    assert peak - before < whole + largest + 48 * 2**20  # what torch loads on the way


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
    command += ["--prompt-ids", "3,1,4", "--max-new-tokens", "5", "--dtype", "float32"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    tokens = [3, 1, 4]
    with torch.no_grad():
        for _ in range(5):
            tokens.append(int(model(torch.tensor([tokens]))[0, -1].argmax()))
    assert done.stdout == ",".join(map(str, tokens[3:])) + "\n"
    assert done.stderr == ""  # progress is for terminals


@pytest.mark.parametrize(
    ("arguments", "status", "reason"),
    [
        ("--prompt-ids 1,2", 1, "model.py: there is no safetensors file at"),
        ("--prompt-ids 1,x", 1, "model.py: invalid literal"),
        ("--prompt-ids 1 --device nonsense", 1, "model.py: "),
        ("--prompt-ids 1 --dtype int8", 2, "--dtype: invalid choice"),
        ("--max-new-tokens 1", 2, "required: --prompt-ids"),
    ],
)
def test_faults_of_the_command(
    plain: ModuleType, tmp_path: Path, arguments: str, status: int, reason: str
) -> None:
    command = [sys.executable, str(plain.__file__), "--checkpoint", str(tmp_path)]
    full = [*command, *arguments.split()]
    done = subprocess.run(full, capture_output=True, text=True, check=False)
    assert done.returncode == status
    assert reason in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_a_token_that_does_not_exist(plain: ModuleType, tmp_path: Path) -> None:
    save_file(tensors(plain, fresh(plain)), tmp_path / "model.safetensors")
    command = [sys.executable, str(plain.__file__), "--checkpoint", str(tmp_path)]
    full = [*command, "--prompt-ids", "1,40", "--dtype", "float32"]
    done = subprocess.run(full, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "model.py: index out of range in self\n"


def test_progress(plain: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A terminal is told how far it is; other wrappers, such as tqdm, get the work as a list."""
    save_file(tensors(plain, fresh(plain)), tmp_path / "model.safetensors")
    seen = []
    fresh(plain, 1).load_checkpoint(tmp_path, progress=lambda work: seen.append(len(work)) or work)
    total = len(list(plain.checkpoints().stored_tensors(fresh(plain))))
    assert seen == [total]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.stderr, "isatty", lambda: True)
        fresh(plain, 1).load_checkpoint(tmp_path, progress=plain.checkpoints().counted)
    told = capsys.readouterr().err
    assert told.startswith(f"loaded 1 of {total}\r")
    assert told.endswith(f"\rloaded {total} of {total}\n")
