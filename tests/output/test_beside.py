"""Files put beside others: killed or failing at any step, all are old or new, and ours alone change."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import pytest

from specgen.backends.content import CHUNK, ContentPart, Copied, chunks, same
from specgen.output import into_folder as beside
from specgen.output.drift import drift
from specgen.output.folder import EditedFolder, ForeignFolder

THEIRS = {"model.safetensors": b"years of training", "config.json": b"{}"}


def ours(text: bytes) -> dict[str, bytes]:
    names = ("model.onnx", "genai_config.json")
    digests = dict.fromkeys(names, sha256(text * 1000).hexdigest())
    manifest = {"generator": "specgen", "of": text.decode(), "files": digests}
    return {**dict.fromkeys(names, text * 1000), beside.MANIFEST: json.dumps(manifest).encode()}


OLD, NEW = ours(b"old"), ours(b"new")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def put(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, data in files.items():
        (folder / name).write_bytes(data)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("start", [OLD, {}], ids=["replaced", "first"])
def test_killed_at_any_step_what_is_there_is_old_or_new(
    start: dict[str, bytes], tmp_path: Path
) -> None:
    """Or it is decided: then the hashes do not hold until the next build, whichever, ends it."""
    states = set()
    for step in range(100):
        folder = tmp_path / str(step)
        folder.mkdir()
        put(folder, {**THEIRS, **start})
        child = os.fork()
        if child == 0:
            killed_at(step, str(folder))
            beside.place(folder, NEW)
            os._exit(9)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        after = {n: data for n, data in contents(folder).items() if not n.startswith(".")}
        assert THEIRS.items() <= after.items()
        for name in after.keys() - THEIRS.keys():
            assert after[name] in (NEW[name], start.get(name))
        ours_now = {name: data for name, data in after.items() if name not in THEIRS}
        state = "old" if ours_now == start else "new" if ours_now == NEW else "decided"
        states.add(state)
        if state == "decided":
            assert not verified(folder)
            # `build --check` sees it too, whichever of the two builds it is asked about
            assert list(drift(folder, NEW, alone=False))
            assert list(drift(folder, start, alone=False)) or not start
            assert not set(os.listdir(folder / beside.DECIDED)) & (NEW.items() & ours_now.items())
        again = tmp_path / f"{step}-again"
        shutil.copytree(folder, again)
        beside.place(folder, NEW)
        assert contents(folder) == {**THEIRS, **NEW}
        assert verified(folder)
        third = ours(b"third")
        beside.place(again, third)  # what was half moved counts as nobody's edit
        assert contents(again) == {**THEIRS, **third}
        if status == 9:
            break
        assert status == -signal.SIGKILL
    assert step > 6
    assert states == {"old", "new", "decided"}


def verified(folder: Path) -> bool:
    """Whether the manifest's hashes hold."""
    try:
        files = json.loads((folder / beside.MANIFEST).read_bytes())["files"]
    except FileNotFoundError:
        return False
    return all(sha256((folder / n).read_bytes()).hexdigest() == d for n, d in files.items())


def test_what_was_edited_is_not_replaced(tmp_path: Path) -> None:
    put(tmp_path, {**THEIRS, **OLD})
    (tmp_path / "model.onnx").write_bytes(b"quantised by hand")
    with pytest.raises(EditedFolder, match=r"^model\.onnx$"):
        beside.place(tmp_path, NEW)
    assert (tmp_path / "model.onnx").read_bytes() == b"quantised by hand"
    assert beside.place(tmp_path, NEW, force=True)
    assert contents(tmp_path) == {**THEIRS, **NEW}


def killed_at(number: int, root: str) -> None:
    """Kills this process at the n-th file that it opens for writing, syncs or renames."""
    steps = iter(range(number))

    def step() -> None:
        if next(steps, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event in ("open", "os.rename", "os.mkdir", "os.rmdir") and str(arguments[0]).startswith(
            root
        ):
            step()

    import sys

    sys.addaudithook(hook)
    synced = os.fsync
    os.fsync = lambda descriptor: (step(), synced(descriptor))[1]


def test_files_beyond_a_size_limit_change_nothing(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    put(tmp_path, {**THEIRS, **OLD})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            beside.place(tmp_path, NEW)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert contents(tmp_path) == {**THEIRS, **OLD}


def test_nothing_is_written_where_nothing_changes(tmp_path: Path) -> None:
    put(tmp_path, THEIRS)
    assert beside.place(tmp_path, NEW)
    before = (tmp_path / "model.onnx").stat().st_mtime_ns
    assert not beside.place(tmp_path, NEW)
    assert (tmp_path / "model.onnx").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    "present",
    [
        {"model.onnx": b"another exporter's"},
        {"model.onnx": b"another's", beside.MANIFEST: b'{"generator": "specgen", "files": {}}'},
        {beside.MANIFEST: b"{}"},
    ],
)
def test_what_another_wrote_stays(present: dict[str, bytes], tmp_path: Path) -> None:
    put(tmp_path, {**THEIRS, **present})
    with pytest.raises(ForeignFolder):
        beside.place(tmp_path, NEW)
    assert contents(tmp_path) == {**THEIRS, **present}


def test_a_file_is_copied_from_stretches_of_others(tmp_path: Path) -> None:
    data = os.urandom(CHUNK + 100)
    (tmp_path / "source").write_bytes(data)
    parts = (
        ContentPart(tmp_path / "source", 50, CHUNK + 7),
        ContentPart(None, 0, 9),
        ContentPart(None, 0, 0),
    )
    copied = Copied((*parts, ContentPart(tmp_path / "source", 3, 4)))
    whole = data[50 : CHUNK + 57] + bytes(9) + data[3:7]
    assert b"".join(chunks(copied)) == whole
    assert len(copied) == len(whole)
    (tmp_path / "copy").write_bytes(whole)
    assert same(tmp_path / "copy", copied)
    (tmp_path / "copy").write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert not same(tmp_path / "copy", copied)
    with pytest.raises(OSError, match="has become shorter"):
        list(chunks(Copied((ContentPart(tmp_path / "source", CHUNK, 101),))))
