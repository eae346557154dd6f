"""Whatever lies where a file is meant to be, each command says so at once; none waits or grows."""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from specgen.cli.main import main
from specgen.regular_files import NotRegular, TooLarge, open_regular, read_regular, size_of
from tests.fuzz.bounds import bounded

ROOT = Path(__file__).parents[2]
SECONDS = 10
MEMORY = 2 << 30

TABLE = "language 1\n{use}model m {{\n  params {{ d : size = 4 }}\n  tensors {{ w : [d] }}\n}}\n"


def pipe(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def socket(path: Path) -> None:
    import socket as sockets

    here = Path.cwd()
    os.chdir(path.parent)  # names of sockets are short
    try:
        with sockets.socket(sockets.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(20 << 30)


#: What stands there, and what is said of it.
STRANGE: Mapping[str, tuple[Callable[[Path], object], str]] = {
    "pipe": (pipe, "not a regular file"),
    "device": (device, "not a regular file"),
    "socket": (socket, "not a regular file"),
    "folder": (Path.mkdir, ""),
    "sparse file": (sparse, "21,474,836,480 bytes"),
    "link to itself": (lambda path: path.symlink_to(path.name), "symbolic links"),
    "link to nothing": (lambda path: path.symlink_to("nothing"), ""),
}

#: Commands on a table.
ON_TABLES = (
    "check SPEC", "params SPEC", "params SPEC --format json", "build SPEC --target formulas",
    "build SPEC --check", "formula SPEC parameters", "whatif SPEC -D d=5",
    "solve SPEC parameters==4 --for d", "sensitivity SPEC parameters", "diff SPEC dsv3_table",
    "diff dsv3_table SPEC",
)  # fmt: skip


def on(command: str, spec: str) -> list[str]:
    return [spec if word == "SPEC" else word for word in command.split()]


def said(*arguments: str | Path) -> tuple[int, str]:
    """Exit status and all that a command prints, within the time."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with bounded(SECONDS), contextlib.redirect_stderr(out), contextlib.redirect_stdout(out):
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as end:
            status = int(end.code or 0)
    out.flush()
    out.seek(0)
    return status, out.read()


@pytest.mark.parametrize("kind", STRANGE)
def test_each_command_on_a_strange_table(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make, reason = STRANGE[kind]
    make(tmp_path / "m.dsv3")
    for command in ON_TABLES:
        status, text = said(*on(command, "m.dsv3"))
        assert status in (1, 2), text
        assert "Traceback" not in text
        assert reason in text


@pytest.mark.parametrize("kind", STRANGE)
def test_a_name_of_no_table_beside_a_strange_one(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a wrong name may mean is looked up in all tables that are there."""
    monkeypatch.chdir(tmp_path)
    STRANGE[kind][0](tmp_path / "strange.dsv3")
    for command in ON_TABLES:
        for name in ("stranger", "./stranger.dsv3", "-", "@x", "ftl", "strange@x"):
            status, text = said(*on(command, name))
            assert status in (1, 2), text
            assert "Traceback" not in text
            if kind != "sparse file":  # a file it is
                assert " strange," not in text
                assert "did you mean `strange`" not in text


@pytest.mark.parametrize("kind", STRANGE)
def test_a_strange_import(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make, reason = STRANGE[kind]
    make(tmp_path / "b.dsv3")
    (tmp_path / "m.dsv3").write_text(TABLE.format(use="use ./b { x }\n"))
    for command in ("check SPEC", "params SPEC", "build SPEC"):
        status, text = said(*on(command, "m.dsv3"))
        assert status == 1, text
        assert reason in text or "E0201" in text
        assert "error[E0" in text


@pytest.mark.parametrize("kind", STRANGE)
def test_a_strange_configuration(kind: str, tmp_path: Path) -> None:
    make, reason = STRANGE[kind]
    make(tmp_path / "config.json")
    for place in (tmp_path, tmp_path / "config.json"):
        status, text = said("import", place)
        assert status == 1, text
        assert reason in text
        assert "error[E1001]" in text


@pytest.mark.parametrize(
    "name", ["model.safetensors", "model.safetensors.index.json", "x.safetensors"]
)
@pytest.mark.parametrize("kind", [kind for kind in STRANGE if "link" not in kind])
def test_a_strange_file_in_a_checkpoint(kind: str, name: str, tmp_path: Path) -> None:
    from specgen.huggingface.safetensors import DamagedCheckpoint, stretches

    STRANGE[kind][0](tmp_path / name)
    with bounded(SECONDS), pytest.raises(DamagedCheckpoint, match=name):
        stretches(tmp_path)


@pytest.mark.parametrize("kind", [kind for kind in STRANGE if "link" not in kind])
def test_a_strange_configuration_in_a_checkpoint(kind: str, tmp_path: Path) -> None:
    from specgen.huggingface.generation import ending_tokens
    from specgen.huggingface.safetensors import DamagedCheckpoint

    STRANGE[kind][0](tmp_path / "generation_config.json")
    with bounded(SECONDS), pytest.raises(DamagedCheckpoint, match=r"generation_config\.json"):
        ending_tokens(tmp_path, 10)


@pytest.mark.parametrize("kind", ["pipe", "device", "socket", "folder", "sparse file"])
@pytest.mark.parametrize("name", ["manifest.json", "formulas.json"])
def test_a_strange_file_where_a_build_goes(
    kind: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.dsv3").write_text(TABLE.format(use=""))
    folder = tmp_path / "generated" / "m" / "default"
    folder.mkdir(parents=True)
    STRANGE[kind][0](folder / name)
    for more in ([], ["--check"]):
        status, text = said("build", "m.dsv3", "--target", "formulas", *more)
        assert status == 1, text
        assert "Traceback" not in text
    assert os.path.lexists(folder / name)  # what specgen did not write stays


def test_what_is_read_is_bounded_even_where_no_size_is_known(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"1234")
    assert read_regular(path, 4) == b"1234"
    assert size_of(path) == 4
    with pytest.raises(TooLarge, match="4 bytes"):
        read_regular(path, 3)
    if Path("/proc/self/maps").exists():  # a regular file of size 0
        with pytest.raises(TooLarge):
            read_regular("/proc/self/maps", 10)
    with pytest.raises(NotRegular, match="a folder"):
        open_regular(tmp_path)
    with pytest.raises(OSError, match="not valid"):
        read_regular("a\0b", 1)


@pytest.mark.parametrize("text", ["x" * 5000, "a\0b", "\0", "x" * 300 + "@v", "/" * 5000])
def test_arguments_that_are_no_paths(text: str) -> None:
    for command in (*ON_TABLES, "import SPEC"):
        status, found = said(*on(command, text))
        assert status in (1, 2), found
        assert "Traceback" not in found


def limit_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def header(path: Path, document: object) -> None:
    text = json.dumps(document).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text)


@pytest.mark.parametrize("size", [1, 10**18])
def test_a_shape_without_end_is_refused_at_once(size: int, tmp_path: Path) -> None:
    from specgen.huggingface.safetensors import DamagedCheckpoint, stretches

    entry = {"dtype": "F32", "shape": [size] * 150_000, "data_offsets": [0, 4]}
    header(tmp_path / "model.safetensors", {"w": entry})
    with bounded(5), pytest.raises(DamagedCheckpoint, match="150,000 axes") as caught:
        stretches(tmp_path)
    assert len(str(caught.value)) < 1000


@pytest.mark.slow
@pytest.mark.parametrize("kind", STRANGE)
def test_in_a_process_of_little_memory(kind: str, tmp_path: Path) -> None:
    make, _ = STRANGE[kind]
    make(tmp_path / "m.dsv3")
    (tmp_path / "folder").mkdir()
    make(tmp_path / "folder" / "model.safetensors.index.json")
    for command in (
        *ON_TABLES,
        "import SPEC",
        "build llama@llama32_1b --checkpoint folder",
    ):
        done = subprocess.run(
            [sys.executable, "-m", "specgen", *on(command, "m.dsv3")],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            preexec_fn=limit_memory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode in (1, 2), done.stderr
        assert "Traceback" not in done.stderr
