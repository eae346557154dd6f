"""Tables given by name: where they are found, what hides them, and what a wrong name may mean."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import specgen as package
from specgen.diagnostics.diagnostic import SpecError
from specgen.frontend.lookup import meant, tables
from specgen.frontend.selection import Selection
from specgen.huggingface.select import select
from specgen.resources import folder
from tests.cli.running import PURE, TINY, specgen_here

SHIPPED = folder("specs")
CONFIG = {
    "model_type": "gpt2",
    "architectures": ["GPT2LMHeadModel"],
    **dict.fromkeys(("vocab_size", "n_embd", "n_layer", "n_head", "n_positions", "n_ctx"), 8),
}


@pytest.fixture
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    here = tmp_path / "project" / "deep"
    here.mkdir(parents=True)
    monkeypatch.chdir(here)
    monkeypatch.delenv("SPECGEN_PATH", raising=False)
    return here


def refusal(text: str) -> str:
    with pytest.raises(SpecError) as caught:
        select(text)
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "E0101"
    return f"{diagnostic.message}\n{diagnostic.help or ''}\n{' '.join(diagnostic.notes)}"


def test_places_in_their_order(inside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each place that has the table hides those behind it."""
    first, second = inside.parent / "one", inside.parent / "two"
    monkeypatch.setenv("SPECGEN_PATH", os.pathsep.join(["", str(first), str(second)]))
    assert select("llama@llama3_8b") == Selection(SHIPPED / "llama.dsv3", "llama3_8b")
    for place in (second, first, inside.parent / "specs", inside / "specs", Path()):
        place.mkdir(exist_ok=True)
        (place / "llama.dsv3").write_text(TINY)
        for text in ("llama@wide", "llama.dsv3@wide"):
            found = select(text)
            assert found.path.resolve() == (place / "llama.dsv3").resolve()
            assert found.variant == "wide"


@pytest.mark.parametrize("content", [{}, {"config.json": json.dumps(CONFIG)}])
def test_a_folder_hides_no_table(inside: Path, content: dict[str, str]) -> None:
    (inside / "qwen3").mkdir()
    for name, text in content.items():
        (inside / "qwen3" / name).write_text(text)
    assert select("qwen3@qwen3_8b") == Selection(SHIPPED / "qwen3.dsv3", "qwen3_8b")
    assert select("qwen3").path == SHIPPED / "qwen3.dsv3"
    assert package.load("qwen3", variant="qwen3_8b").program.name == "qwen3"
    for path in ("./qwen3", "qwen3/", str(inside / "qwen3")):
        if content:
            assert select(path).path == SHIPPED / "gpt2.dsv3"
        else:
            assert "it is a folder without a config.json" in refusal(path)


def test_a_folder_with_a_configuration_goes_by_its_name(inside: Path) -> None:
    (inside / "mine").mkdir()
    (inside / "mine" / "config.json").write_text(json.dumps(CONFIG))
    assert select("mine").path == SHIPPED / "gpt2.dsv3"
    assert "of one model, without variants" in refusal("mine@gpt2_124m")


def test_a_file_is_meant_before_a_name(inside: Path) -> None:
    for name in ("llama", "llama@llama3_8b"):
        (inside / name).write_text(PURE)
        assert select(name) == Selection(Path(name))


@pytest.mark.parametrize(
    ("text", "suggested"),
    [
        ("Llama", "`llama`?"),
        ("Llama@llama3_8b", "`llama@llama3_8b`?"),
        ("llama3", "`llama@llama3_8b`, `llama@llama3_70b` or `llama@llama31_8b`?"),
        ("llama3_8b", "`llama@llama3_8b`?"),
        ("llama-3-8b", "`llama@llama3_8b`?"),
        ("deepseek", "`deepseek_v3`?"),
        ("DeepSeek-V3", "`deepseek_v3`?"),
        ("gpt-oss", "`gpt_oss`?"),
        ("mixtrl", "`mixtral`?"),
        ("lama.dsv3", "`llama`?"),
    ],
)
@pytest.mark.usefixtures("inside")
def test_a_wrong_name_suggests_tables(text: str, suggested: str) -> None:
    said = refusal(text)
    assert f"did you mean {suggested}" in said
    assert "deepseek_v3, " in said


def test_a_wrong_path_suggests_files_beside_it(inside: Path) -> None:
    (inside / "mine.dsv3").write_text(TINY)
    assert "did you mean `./mine.dsv3`" not in refusal("./nothing.dsv3")
    assert "did you mean" in refusal("./mime.dsv3")
    assert "no table of that name" not in refusal("./llama")


@pytest.mark.usefixtures("inside")
@pytest.mark.parametrize("text", ["", "@x", "\0", "a\nb", "x" * 5000, "@", "llama@", "\udc80"])
def test_what_can_be_no_name_is_refused(text: str) -> None:
    with pytest.raises(SpecError):
        select(text).program()
    assert specgen_here("params", text, cwd=Path.cwd()).status == 1


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(sorted(tables())), st.sampled_from(["", "-", "_", " ", "."]), st.booleans())
def test_a_name_is_known_however_it_is_spelt(name: str, sign: str, upper: bool) -> None:
    spelt = name.replace("_", sign)
    assert name in meant(spelt.upper() if upper else spelt, None)


def test_every_command_says_it_alike(inside: Path) -> None:
    for command in ("check {}", "params {}", "formula {} parameters", "ir {}", "whatif {}",
                    "build {}",
                    "diff {} llama", "diff llama {}", "sensitivity {} parameters"):  # fmt: skip
        done = specgen_here(*command.format("deepseek").split(), cwd=inside)
        assert done.status == 1, command
        assert "did you mean `deepseek_v3`?" in done.err, command
    assert os.listdir(inside) == []
