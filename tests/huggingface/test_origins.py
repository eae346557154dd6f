"""What is made of a configuration says whose values it has: no variant's whose values are others."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import specgen
from specgen.analysis.table.config import config
from specgen.frontend.selection import Selection
from specgen.huggingface.select import select
from specgen.output.build import Artefacts, produce
from specgen.output.manifest import MANIFEST
from specgen.resources import folder
from tests.cli.running import specgen_here

LLAMA = Selection(folder("specs") / "llama.dsv3")
VARIANTS = {program.variant: program for program in LLAMA.programs()}
TARGETS = ["pytorch", "report", "checkpoint", "formulas"]


def texts(made: Artefacts) -> dict[str, str]:
    return {n: content.decode() for n, content in made.files.items() if isinstance(content, bytes)}


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@example("llama3_8b", {"num_hidden_layers": 3}, False)
@example("llama2_7b", {}, True)
@given(
    variant=st.sampled_from(sorted(filter(None, VARIANTS))),
    changed=st.dictionaries(
        st.sampled_from(["num_hidden_layers", "intermediate_size", "vocab_size", "rms_norm_eps"]),
        st.sampled_from([2, 64, 32000]),
        max_size=3,
    ),
    asked=st.booleans(),
)
def test_what_is_made_names_no_variant_whose_values_differ(
    tmp_path_factory: pytest.TempPathFactory, variant: str, changed: dict[str, int], asked: bool
) -> None:
    place = tmp_path_factory.mktemp("of") / "stranger"
    place.mkdir()
    content = {**config(VARIANTS[variant], "hf"), **changed}
    (place / "config.json").write_text(json.dumps(content))
    own = select(str(place)).program()
    equal = {name for name, program in VARIANTS.items() if program.values == own.values}
    selection = select(str(place), {"dim": 512} if asked else {})
    made = produce(selection, TARGETS)
    model = texts(made)["model.py"].partition("vocab_size: int")[0]
    said = "\n".join([model, *(t for n, t in texts(made).items() if n != "model.py")])
    named = {name for name in VARIANTS if re.search(rf"\b{name}\b", said)}
    assert named <= equal
    if selection.origin is None:
        assert selection.variant in equal
    else:
        assert asked or not equal  # a param of the file no longer follows what was asked
        assert "the values are those of stranger" in model
        assert ("but for dim." in model) == asked
        assert made.place.name.startswith("stranger+")


@pytest.mark.slow
def test_every_command_says_whose_values_it_counts(tmp_path: Path) -> None:
    content = {**config(VARIANTS["llama3_8b"], "hf"), "num_hidden_layers": 3}
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").write_text(json.dumps(content))
    (tmp_path / "other.json").write_text(json.dumps(content))
    for command in (
        "params mine",
        "whatif mine -D dim=512",
        "sensitivity mine parameters",
        "solve mine parameters==9 --for n_layers",
        "diff mine mine",
    ):
        done = specgen_here(*command.split(), cwd=tmp_path)
        assert "mine (llama)" in done.out, command
        assert "llama3_8b" not in done.out, command
    assert specgen_here("params", "other.json", cwd=tmp_path).out.startswith("other.json (llama)\n")
    assert repr(specgen.load(tmp_path / "mine")) == "<specgen.Model mine (llama)>"
    again = select(str(tmp_path / "mine"))  # from the cache
    assert again.program().label == "mine (llama)"
    named = again.changed({"vocab_size": 5}).program()
    assert (named.which, named.overridden) == ("mine (llama) -D vocab_size=5", ("vocab_size",))
    equal = again.changed({"n_layers": 5}).program()  # nothing else tells it from the variant
    assert equal.which == select(str(tmp_path / "mine"), {"n_layers": 5}).program().which
    assert (equal.which, equal.overridden) == ("llama@llama3_8b -D n_layers=5", ("n_layers",))


def test_a_configuration_of_a_variant_is_that_variant_and_what_was_asked(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config(VARIANTS["llama3_8b"], "hf")))
    found = select(str(tmp_path), {"n_layers": 2}).program()
    assert (found.which, found.origin) == ("llama@llama3_8b -D n_layers=2", "")


@pytest.mark.slow
@pytest.mark.parametrize("name", ['"""', "a\nb", "\x1b[31m", "..x", "..", "é", "a" * 200, "#"])
def test_a_name_is_a_text(name: str, tmp_path: Path) -> None:
    """What a folder is called acts on no terminal, ends no text and leads to no other folder."""
    (tmp_path / "in").mkdir()
    place = tmp_path / "in" / name
    place.mkdir(exist_ok=name == "..")
    content = {**config(VARIANTS["llama3_8b"], "hf"), "num_hidden_layers": 3}
    (place / "config.json").write_text(json.dumps(content))
    made = produce(select(str(place)), ["pytorch", "report"])
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.+=-]*", made.place.name)
    assert made.place.parent == Path("llama")
    compile(texts(made)["model.py"], "model.py", "exec")
    assert all(ord(char) >= 32 or char == "\n" for char in texts(made)["report.md"])
    assert json.loads(texts(made)[MANIFEST])["overrides"]["n_layers"] == 3
