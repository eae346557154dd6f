"""`specgen build` as a whole: what it writes, that it is the same bytes, and that it is whole."""

import hashlib
import json
import ntpath
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path, PureWindowsPath

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from specgen.backends.content import Content
from specgen.frontend.selection import Selection
from specgen.output.build import folder_name, produce
from tests.cli.running import PURE, ROOT, TINY, specgen, specgen_here

CONTRACT = {
    "checkpoint.py", "config.json", "formulas.json", "manifest.json", "model.onnx", "model.py", "report.html",
    "report.md", "tensors.json",
}  # fmt: skip
PURE_FILES = {"formulas.json", "manifest.json", "report.html", "report.md", "tensors.json"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tiny.dsv3").write_text(TINY, encoding="utf-8")
    (tmp_path / "pure.dsv3").write_text(PURE, encoding="utf-8")
    (tmp_path / "faulty.dsv3").write_text(TINY.replace("head(", "haed("), encoding="utf-8")
    return tmp_path


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


# ---- what is written -------------------------------------------------------------------


def test_a_shipped_model_gets_every_file_of_the_contract(tmp_path: Path) -> None:
    done = specgen("build", "llama@llama3_8b", cwd=tmp_path)
    assert done.status == 0, done.err
    found = tmp_path / "generated" / "llama" / "llama3_8b"
    assert set(os.listdir(found)) == CONTRACT
    manifest = json.loads((found / "manifest.json").read_text())
    assert manifest["spec"] == "llama"
    assert manifest["variant"] == "llama3_8b"
    assert manifest["language"] == 1
    assert len(manifest["spec_hash"]) == 64
    assert manifest["files"] == {
        name: hashlib.sha256((found / name).read_bytes()).hexdigest()
        for name in sorted(CONTRACT - {"manifest.json"})
    }


def test_a_pure_table_gets_what_needs_no_forward(folder: Path) -> None:
    assert specgen_here("build", "pure.dsv3", "-o", "out", cwd=folder).status == 0
    assert set(tree(folder / "out")) == {f"pure/default/{name}" for name in PURE_FILES}


def test_a_target_that_a_table_has_no_content_for_is_an_error(folder: Path) -> None:
    done = specgen_here(
        "build", "pure.dsv3", "--target", "report,onnx", "--diagnostics", "json", cwd=folder
    )
    assert done.status == 1
    assert json.loads(done.err)["code"] == "E0903"
    assert not (folder / "generated").exists()


def test_a_folder_holds_what_was_asked_for_last(folder: Path) -> None:
    specgen_here("build", "tiny.dsv3@wide", cwd=folder)
    specgen_here("build", "tiny.dsv3@wide", "--target", "formulas", cwd=folder)
    assert set(tree(folder / "generated")) == {
        "tiny/wide/formulas.json",
        "tiny/wide/manifest.json",
    }


def test_overrides_are_in_the_manifest(folder: Path) -> None:
    arguments = ["build", "tiny.dsv3", "-D", "dim=24", "--target", "formulas"]
    assert specgen_here(*arguments, cwd=folder).status == 0
    manifest = json.loads((folder / "generated/tiny/default+dim=24/manifest.json").read_text())
    assert manifest["overrides"] == {"dim": 24}
    assert manifest["targets"] == ["formulas"]


def test_an_override_gets_a_folder_of_its_own(folder: Path) -> None:
    """The files of the table as it is stay, those of every other override too."""
    assert specgen_here("build", "tiny.dsv3@wide", cwd=folder).status == 0
    before = tree(folder / "generated")
    given = ("-D", "n_layers=1", "-D", "dim=24")
    for order in (given, (*given[2:], *given[:2])):
        assert specgen_here("build", "tiny.dsv3@wide", *order, cwd=folder).status == 0
    assert specgen_here("build", "tiny.dsv3@wide", "-D", "dim=32", cwd=folder).status == 0
    made = sorted(os.listdir(folder / "generated" / "tiny"))
    assert made == ["wide", "wide+dim=24,n_layers=1", "wide+dim=32"]
    after = tree(folder / "generated")
    assert before.items() <= after.items()
    assert specgen_here("build", "tiny.dsv3@wide", *given, "--check", cwd=folder).status == 0
    shown = after["tiny/wide+dim=24,n_layers=1/model.py"].decode()
    assert "from tiny@wide -D dim=24 -D n_layers=1\n" in shown
    assert "variant wide, but for dim, n_layers." in shown
    assert b"`dim = 24`" in after["tiny/wide+dim=24,n_layers=1/report.md"]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(
        st.text("abAB_", min_size=1, max_size=30),
        st.integers() | st.floats() | st.booleans() | st.text() | st.lists(st.integers()),
    )
)
def test_any_override_is_a_good_name_of_a_folder(overrides: dict[str, object]) -> None:
    name = folder_name("v", overrides)
    assert re.fullmatch(r"v(\+[A-Za-z0-9_.=,+-]+)?", name)
    assert len(name) < 100
    assert (name == "v") == (not overrides)
    other = {**overrides, "z": 1}
    assert folder_name("v", other) != name
    assert folder_name("v", dict(reversed(overrides.items()))) == name


#: Names that tables, variants and files may have: those of devices, alone and with more around them.
DEVICES = [
    "con",
    "prn",
    "aux",
    "nul",
    "CONIN",
    *(f"{port}{n}" for port in ("com", "lpt") for n in range(10)),
]
LIKE_DEVICES = st.builds(
    "".join,
    st.tuples(
        st.sampled_from(["", "", "", "x", "_"]),
        st.sampled_from(DEVICES).flatmap(lambda d: st.sampled_from([d, d.upper(), d.title()])),
        st.text("_", max_size=3),
        st.sampled_from(["", "", ".txt", ".", "..", ".tar.gz", "x", "1", "-", "_x.y"]),
    ),
)  # fmt: skip


@given(st.lists(LIKE_DEVICES | st.text("con1_.A", min_size=1, max_size=8), min_size=1, max_size=5))
def test_no_folder_is_a_device_of_windows(names: list[str]) -> None:
    """As Python itself says of Windows; and what goes into different folders elsewhere does so here."""
    for given_ in ({}, {"a": 1}, {"a": "x."}, {"a": 2.5}):
        made = [folder_name(name, given_) for name in names]
        assert not any(is_reserved_on_windows(name) for name in made), made
        kept = {
            name: folder
            for name, folder in zip(names, made, strict=True)
            if folder.partition("+")[0] != "configuration"
        }
        assert len(set(kept.values())) == len(kept)
    assert folder_name("deepseek_v3", {}) == "deepseek_v3"


def is_reserved_on_windows(name: str) -> bool:
    if hasattr(ntpath, "isreserved"):  # since Python 3.13
        return bool(ntpath.isreserved(name))
    return PureWindowsPath(name).is_reserved() or name.endswith((".", " "))


@pytest.mark.parametrize(("table", "variant"), [("nul", "wide"), ("tiny", "COM1"), ("Aux", "con_")])
def test_a_table_that_is_called_like_a_device_is_built(
    table: str, variant: str, tmp_path: Path
) -> None:
    text = TINY.replace("model tiny", f"model {table}").replace(
        "variant wide", f"variant {variant}"
    )
    (tmp_path / "tiny.dsv3").write_text(text, encoding="utf-8")
    for form in (f"tiny.dsv3@{variant}", "tiny.dsv3"):
        assert specgen_here("build", form, "--target", "formulas", cwd=tmp_path).status == 0
        done = specgen_here("build", form, "--target", "formulas", "--check", cwd=tmp_path)
        assert done.status == 0, done.err
    folders = [path.parent for path in (tmp_path / "generated").glob("*/*/manifest.json")]
    assert len(folders) == 2
    for folder in folders:
        assert not any(map(is_reserved_on_windows, folder.parts[-2:]))
        assert json.loads((folder / "manifest.json").read_text())["spec"] == table


# ---- what was edited stays -------------------------------------------------------------


def test_an_edited_file_is_replaced_by_force_alone(folder: Path) -> None:
    assert specgen_here("build", "tiny.dsv3", cwd=folder).status == 0
    edited = folder / "generated" / "tiny" / "default" / "model.py"
    mine = edited.read_bytes() + b"# mine\n"
    edited.write_bytes(mine)
    before = tree(folder)
    done = specgen_here("build", "tiny.dsv3", cwd=folder)
    assert done.status == 1
    for said in ("E0908", "edited since it was built: model.py", "--force", "-o DIR"):
        assert said in done.err
    assert tree(folder) == before
    assert specgen_here("build", "tiny.dsv3", "--check", cwd=folder).status == 1
    assert specgen_here("build", "tiny.dsv3", "--check", "--force", cwd=folder).status == 2
    assert specgen_here("build", "tiny.dsv3", "--force", cwd=folder).status == 0
    assert edited.read_bytes() != mine
    assert specgen_here("build", "tiny.dsv3", "--check", cwd=folder).status == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        (["--weights", "reference"], {"weights": "reference"}),
        (["--onnx-form", "functions", "--ops", "primitive"],
         {"onnx_form": "functions", "ops": "primitive"}),
        (["--experts", "gathered", "--form", "expanded"],
         {"experts": "gathered", "form": "expanded"}),
        (["--experts", "released"], {"experts": "released"}),
    ],
)  # fmt: skip
def test_options_of_the_graph_are_in_the_manifest_and_kept_apart(
    folder: Path, arguments: list[str], given: dict[str, str]
) -> None:
    """Whatever is remembered is remembered for these options."""
    build = ["build", "tiny.dsv3", "--target", "onnx"]
    for _ in range(2):
        assert specgen_here(*build, *arguments, cwd=folder).status == 0
        manifest = json.loads((folder / "generated/tiny/default/manifest.json").read_text())
        assert manifest["onnx"] == given
        assert specgen_here(*build, *arguments, "--check", cwd=folder).status == 0
        assert specgen_here(*build, "--check", cwd=folder).status == 1
        assert specgen_here(*build, cwd=folder).status == 0
        manifest = json.loads((folder / "generated/tiny/default/manifest.json").read_text())
        assert "onnx" not in manifest


# ---- the same bytes --------------------------------------------------------------------


@pytest.mark.slow
def test_same_bytes_from_any_place_in_any_order(folder: Path) -> None:
    other = folder / "elsewhere" / "deep"
    other.mkdir(parents=True)
    (other / "tiny.dsv3").write_text(TINY, encoding="utf-8")
    builds = [
        (folder, "tiny.dsv3@wide", "1"),
        (folder, str(folder / "tiny.dsv3") + "@wide", "2"),
        (other, "tiny.dsv3@wide", "3"),
        (other, "../../tiny.dsv3@wide", "4"),
    ]
    found = []
    for number, (cwd, spec, seed) in enumerate(builds):
        output = folder / f"out{number}"
        arguments = ["build", spec, "-o", str(output)]
        done = specgen(*arguments, cwd=cwd, PYTHONHASHSEED=seed, SPECGEN_CACHE="off")
        assert done.status == 0, done.err
        found.append(tree(output))
    assert found[0]
    for other_tree in found[1:]:
        assert other_tree == found[0]
    for data in found[0].values():
        assert str(folder).encode() not in data


# ---- --check ---------------------------------------------------------------------------


def test_check_is_silent_where_nothing_would_change(folder: Path) -> None:
    specgen_here("build", "tiny.dsv3", "pure.dsv3", cwd=folder)
    done = specgen("build", "tiny.dsv3", "pure.dsv3", "--check", cwd=folder)
    assert (done.status, done.out, done.err) == (0, "", "")


def test_check_shows_drift_and_writes_nothing(folder: Path) -> None:
    specgen_here("build", "tiny.dsv3", cwd=folder)
    built = folder / "generated" / "tiny" / "default"
    report = built / "report.md"
    report.write_bytes(report.read_bytes() + b"by hand\n")
    (built / "model.onnx").write_bytes(b"\0damaged")
    (built / "formulas.json").unlink()
    (built / "stale.txt").write_text("stale\n")
    before = tree(folder)
    done = specgen_here("build", "tiny.dsv3", "--check", cwd=folder)
    assert done.status == 1
    assert "-by hand" in done.out
    assert "model.onnx: 8 bytes, sha256" in done.out
    assert "+++ generated/tiny/default/formulas.json" in done.out
    assert "--- generated/tiny/default/stale.txt" in done.out
    assert tree(folder) == before


def test_check_sees_a_missing_end_of_line(folder: Path) -> None:
    specgen_here("build", "tiny.dsv3", cwd=folder)
    report = folder / "generated" / "tiny" / "default" / "report.md"
    report.write_bytes(report.read_bytes().removesuffix(b"\n"))
    assert specgen_here("build", "tiny.dsv3", "--check", cwd=folder).status == 1


def test_check_of_what_was_never_built_creates_nothing(folder: Path) -> None:
    before = tree(folder)
    assert specgen_here("build", "tiny.dsv3", "--check", cwd=folder).status == 1
    assert tree(folder) == before
    assert not (folder / "generated").exists()


# ---- complete or not at all ------------------------------------------------------------


def test_one_faulty_table_and_nothing_is_written(folder: Path) -> None:
    assert specgen_here("build", "tiny.dsv3", "faulty.dsv3", cwd=folder).status == 1
    assert not (folder / "generated").exists()


def test_two_tables_for_one_folder_are_refused(folder: Path) -> None:
    assert specgen_here("build", "tiny.dsv3", "tiny.dsv3", cwd=folder).status == 2
    assert not (folder / "generated").exists()


@pytest.mark.parametrize("output", ["tiny.dsv3", "tiny.dsv3/below", "/dev/null/x"])
def test_a_place_that_cannot_be_written_is_an_error(folder: Path, output: str) -> None:
    before = tree(folder)
    done = specgen_here("build", "pure.dsv3", "-o", output, "--diagnostics", "json", cwd=folder)
    assert done.status == 1
    assert json.loads(done.err)["code"] == "E0901"
    assert tree(folder) == before


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_an_error(folder: Path) -> None:
    (folder / "out").mkdir(mode=0o500)
    done = specgen_here("build", "pure.dsv3", "-o", "out", "--diagnostics", "json", cwd=folder)
    assert done.status == 1
    assert json.loads(done.err)["code"] == "E0901"


def test_a_folder_of_somebody_else_is_an_error(folder: Path) -> None:
    mine = folder / "generated" / "tiny" / "default"
    mine.mkdir(parents=True)
    (mine / "thesis.tex").write_text("years of work")
    done = specgen_here("build", "tiny.dsv3", "--diagnostics", "json", cwd=folder)
    assert done.status == 1
    assert json.loads(done.err)["code"] == "E0902"
    assert os.listdir(mine) == ["thesis.tex"]


def of_width(folder: Path, dim: int) -> None:
    """Makes the table one of this width."""
    text = re.sub(r"(dim +: size += )\d+", rf"\g<1>{dim}", TINY)
    (folder / "tiny.dsv3").write_text(text, encoding="utf-8")


def whole(folder: Path) -> int:
    """The width that a complete folder was built for."""
    manifest = json.loads((folder / "manifest.json").read_text())
    assert set(os.listdir(folder)) == {*manifest["files"], "manifest.json"}
    for name, digest in manifest["files"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    width = json.loads((folder / "formulas.json").read_text())["params"]["dim"]["value"]
    assert isinstance(width, int)
    return width


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_killed_at_random_moments_the_folder_is_whole(folder: Path) -> None:
    arguments = [sys.executable, "-m", "specgen", "build", "tiny.dsv3"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    of_width(folder, 8)
    assert specgen("build", "tiny.dsv3", cwd=folder).status == 0
    of_width(folder, 16)
    started = time.monotonic()
    assert specgen("build", "tiny.dsv3", cwd=folder).status == 0
    duration = time.monotonic() - started
    built = folder / "generated" / "tiny" / "default"
    rng = random.Random(671)
    for turn in range(12):
        before, width = whole(built), 8 + 8 * (turn % 2)
        of_width(folder, width)
        running = subprocess.Popen(
            arguments, cwd=folder, env=environment, stderr=subprocess.DEVNULL
        )
        time.sleep(rng.uniform(0.3, 1.1) * duration)
        running.send_signal(signal.SIGKILL)
        running.wait()
        assert whole(built) in (before, width)
    of_width(folder, 24)
    assert specgen("build", "tiny.dsv3", cwd=folder).status == 0
    assert whole(built) == 24
    assert os.listdir(built.parent) == ["default"]


# ---- what a table means, not how it is written ------------------------------------------


#: Where a comment says nothing: between any two lines but above what takes it as its description.
QUIET = [
    number
    for number, line in enumerate(TINY.splitlines())
    if not re.match(r"\s*(forward|function)\b", line)
]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    comments=st.lists(st.tuples(st.sampled_from(QUIET), st.text("ab# \t{", max_size=8))),
    blank=st.lists(st.sampled_from(QUIET)),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    trailing=st.sampled_from(["", " ", "\t", "  # remark"]),
)
def test_how_a_table_is_written_is_in_no_byte(
    comments: list[tuple[int, str]], blank: list[int], end: str, trailing: str
) -> None:
    """Comments, empty lines, spaces and line ends change no file, so that `--check` is silent."""
    lines = TINY.splitlines()
    for number, text in sorted(comments, reverse=True):
        lines[number:number] = [f"# {text}", ""]
    for number in sorted(blank, reverse=True):
        lines.insert(number, "")
    lines = [line + trailing if line.strip() and "#" not in line else line for line in lines]
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "tiny.dsv3"
        path.write_bytes((end.join(lines) + end).encode())
        assert produce(Selection(path, "wide")).files == as_it_is()


@cache
def as_it_is() -> Mapping[str, Content]:
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "tiny.dsv3"
        path.write_text(TINY, encoding="utf-8")
        return produce(Selection(path, "wide")).files


@pytest.mark.parametrize(
    ("old", "new"), [("size = 8 ", "size = 24 "), ('"Tiny"', '"Tinier"'), ("silu(", "sigmoid(")]
)
def test_what_a_table_means_is_in_the_hash(folder: Path, old: str, new: str) -> None:
    path = folder / "tiny.dsv3"
    first = Selection(path).program().hash
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    assert Selection(path).program().hash != first


@pytest.mark.parametrize("end", [b"\r\n", b"\r"])
def test_line_ends_of_a_table_are_in_no_byte(end: bytes, tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "specs" / "gpt2.dsv3").read_bytes()
    written = []
    for this in (b"\n", end):
        path = tmp_path / "gpt2.dsv3"
        path.write_bytes(text.replace(b"\n", this))
        written.append(produce(Selection(path, "gpt2_124m")).files)
    assert written[0] == written[1]
