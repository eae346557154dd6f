"""`-D` means the same to every command: on the same table the same values are taken or refused, and
a quantity is the same number, however it is asked for."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import specgen
from specgen.analysis.table.config import config
from specgen.diagnostics.diagnostic import SpecError
from specgen.huggingface.select import select
from tests.cli.running import specgen_here

Defines = Mapping[str, str]

#: What a released file says of a table, and what is changed there; `...` is a key that is left out.
FILES: Mapping[str, tuple[str, dict[str, Any]]] = {
    "whole": ("llama@llama3_8b", {}),
    "following": ("llama@llama3_8b", {"head_dim": None}),
    "without": ("llama@llama3_8b", {"head_dim": ...}),
    "own": ("llama@llama3_8b", {"head_dim": ..., "num_hidden_layers": 3}),
    "unfinished": ("llama@llama3_8b", {"head_dim": ..., "hidden_size": ...}),
    "contradicting": ("llama@llama3_8b", {"num_key_value_heads": 5}),
    "listed": ("gemma2@gemma2_2b", {}),
    "quantised": ("deepseek_v3@v2_lite_16b", {}),
}
SPECS = ("llama", "llama@llama3_8b", "gemma2@gemma2_2b", *FILES)

VALUES: Mapping[str, list[str]] = {
    "n_heads": ["4", "7", "16", "64"],
    "n_kv_heads": ["4", "8"],
    "n_layers": ["2", "1 + 1"],
    "dim": ["0", "512", "4096"],
    "head_dim": ["64", "dim / 8"],
    "vocab_size": ["1000"],
    "nobody": ["1"],
}
DEFINES = st.lists(st.sampled_from(sorted(VALUES)), max_size=2, unique=True).flatmap(
    lambda names: st.fixed_dictionaries({name: st.sampled_from(VALUES[name]) for name in names})
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files, each in a folder of its name."""
    found = tmp_path_factory.mktemp("files")
    for name, (spec, changes) in FILES.items():
        content = {**config(select(spec).program(), "hf"), **changes}
        content = {key: value for key, value in content.items() if value is not ...}
        (found / name).mkdir()
        (found / name / "config.json").write_text(json.dumps(content))
    return found


def printed(place: Path, words: list[str], defines: Defines) -> Any:
    """What a command says as JSON; none where it refuses."""
    given = [word for name, value in defines.items() for word in ("-D", f"{name}={value}")]
    done = specgen_here(*words, *given, "--format", "json", cwd=place)
    assert done.status in (0, 1, 2), done.err
    assert (done.status == 0) == (done.out != "")
    return json.loads(done.out) if done.status == 0 else None


#: Each command that answers with `parameters`: its words, and where the number stands.
COMMANDS: Mapping[str, tuple[list[str], Callable[[Any], int]]] = {
    "params": ([], lambda found: found["quantities"]["parameters"]),
    "formula": (["parameters"], lambda found: found["value"]),
    "whatif": ([], lambda found: (q := found["quantities"]["parameters"]).get("changed", q.get("value"))),
    "whatif --parallel": (["tensor=1"], lambda found: found["reconciliation"]["parameters"]["whole"]),
    "solve": (["T == parameters", "--for", "T"], lambda found: found["answers"][0]["value"]),
    "sensitivity": (["parameters"], lambda found: found["value"]),
    "diff": (["SPEC"], lambda found: found["parameters"]["b"]),
    "import": ([], lambda found: found["quantities"]["parameters"]),
}  # fmt: skip


def by_commands(place: Path, spec: str, defines: Defines) -> dict[str, int | None]:
    answers = {}
    for command, (words, number) in COMMANDS.items():
        if command == "import" and spec not in FILES:
            continue
        name, *options = command.split()
        more = [spec if word == "SPEC" else word for word in words]
        found = printed(place, [name, spec, *options, *more], defines)
        answers[command] = number(found) if found is not None else None
    return answers


def by_python(place: Path, spec: str, defines: Defines) -> dict[str, int | None]:
    """The same of a model that is changed, and of one that is loaded so."""
    name, _, variant = spec.partition("@")
    path = str(place / name) if spec in FILES else name
    asks: dict[str, Callable[[], Any]] = {
        "load": lambda: specgen.load(path, variant or None, **defines).quantities["parameters"]
    }
    try:
        model = specgen.load(path, variant or None)
    except SpecError:
        pass  # there is none without the values
    else:
        asks["quantity"] = lambda: model.quantity("parameters", **defines).value
        asks["model.whatif"] = lambda: COMMANDS["whatif"][1](
            model.whatif(**dict[str, Any](defines)).document
        )
    answers = {}
    for ask, of in asks.items():
        try:
            answers[ask] = of()
        except SpecError:
            answers[ask] = None
    return answers


def by_sweep(place: Path, spec: str, defines: Defines) -> dict[str, int | None]:
    """The same as the only point of a sweep."""
    if not all(value.isdecimal() for value in defines.values()) or spec == "unfinished":
        return {}
    sweeps = [w for name, value in defines.items() for w in ("--sweep", f"{name}={value}")]
    if not sweeps or spec == "contradicting":
        return {}
    found = printed(place, ["whatif", spec, *sweeps, "--quantity", "parameters"], {})
    rows = found["rows"] if found is not None else []
    return {"whatif --sweep": rows[0]["parameters"] if rows else None}


def check(place: Path, spec: str, defines: Defines) -> int | None:
    found = {**by_commands(place, spec, defines), **by_python(place, spec, defines)}
    found |= by_sweep(place, spec, defines)
    assert len(set(found.values())) == 1, (spec, defines, found)
    return found["params"]


@pytest.mark.slow
@pytest.mark.parametrize("spec", SPECS)
@settings(max_examples=3, suppress_health_check=list(HealthCheck), deadline=None)
@given(DEFINES)
@example({"n_heads": "16"})
@example({"n_layers": "2"})
def test_a_value_given_is_the_same_to_every_command(
    place: Path, spec: str, defines: Defines
) -> None:
    check(place, spec, defines)


@pytest.mark.slow
def test_what_a_file_leaves_open_follows(place: Path) -> None:
    """A head's width, where the file says none; where it does, that is the width with other heads."""
    both = select("llama@llama3_8b", {"n_heads": 16}).program().values["head_dim"]
    assert both == 256
    wide = check(place, "without", {"n_heads": "16"})
    assert wide == check(place, "following", {"n_heads": "16"})
    assert wide == check(place, "llama@llama3_8b", {"n_heads": "16"})
    said = check(place, "whole", {"n_heads": "16"})
    assert said == check(place, "llama@llama3_8b", {"n_heads": "16", "head_dim": "128"})
    assert said != wide


@pytest.mark.slow
def test_values_make_a_model_of_a_file_that_is_none(place: Path) -> None:
    assert check(place, "unfinished", {}) is None
    assert check(place, "unfinished", {"dim": "4096"}) == 8_030_261_248
    assert check(place, "contradicting", {}) is None
    assert check(place, "contradicting", {"n_kv_heads": "8"}) == 8_030_261_248


@pytest.mark.slow
def test_a_list_of_the_layers_says_nothing_of_fewer(place: Path) -> None:
    few = check(place, "gemma2@gemma2_2b", {"n_layers": "2"})
    assert few is not None
    assert check(place, "listed", {"n_layers": "2"}) == few
