"""A folder is replaced completely or not at all: killed, failing or refused at every step."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from specgen.artefacts.folder import ForeignFolder, replace

CRASH = Path(__file__).with_name("crash.py")
ROOT = Path(__file__).parents[2]


def manifest(*names: str) -> bytes:
    return json.dumps({"generator": "specgen", "files": dict.fromkeys(names, "")}).encode()


FILES = {"a.txt": b"a", "b.bin": b"\0\1", "manifest.json": manifest("a.txt", "b.bin")}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def disturbed(mode: str, exchange: str, start: str, root: Path) -> list[list[object]]:
    """[exit status, state after, old one kept aside, state after the next build, what is left]."""
    done = subprocess.run(
        [sys.executable, str(CRASH), mode, exchange, start, str(root)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    assert len(results) > 15, "the steps are not seen any more"
    return results


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@needs_fork
@pytest.mark.parametrize("start", ["old", "absent"])
def test_killed_at_any_step_the_earlier_folder_is_whole(tmp_path: Path, start: str) -> None:
    results = disturbed("kill", "with", start, tmp_path)
    for status, after, _, then, left in results[:-1]:
        assert status == -signal.SIGKILL
        assert after in (start, "new")
        assert then == "new"
        assert left == ["variant"]
    assert {after for _, after, *_ in results} == {start, "new"}


@needs_fork
def test_killed_without_exchange_the_earlier_folder_is_put_back(tmp_path: Path) -> None:
    for _, after, aside, then, left in disturbed("kill", "without", "old", tmp_path):
        assert after in ("old", "new") or (after == "absent" and aside)
        assert then == "new"
        assert left == ["variant"]


@needs_fork
@pytest.mark.parametrize("exchange", ["with", "without"])
def test_a_full_disk_at_any_step_changes_nothing(tmp_path: Path, exchange: str) -> None:
    results = disturbed("fail", exchange, "old", tmp_path)
    assert any(status == 1 for status, *_ in results)
    for status, after, _, then, left in results:
        assert after == ("old" if status == 1 else "new")
        assert then == "new"
        assert left == ["variant"]


def test_files_beyond_a_size_limit_change_nothing(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    folder = tmp_path / "out" / "spec"
    replace(folder, FILES)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            replace(folder, {**FILES, "a.txt": b"x" * 2000})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert contents(folder) == FILES
    assert os.listdir(folder.parent) == ["spec"]


def test_nothing_is_written_where_nothing_changes(tmp_path: Path) -> None:
    folder = tmp_path / "spec"
    assert replace(folder, FILES)
    before = (folder.stat().st_ino, (folder / "a.txt").stat().st_mtime_ns)
    (folder / "__pycache__").mkdir()
    assert not replace(folder, FILES)
    assert (folder.stat().st_ino, (folder / "a.txt").stat().st_mtime_ns) == before


def test_stale_files_go_and_changed_ones_change(tmp_path: Path) -> None:
    folder = tmp_path / "spec"
    replace(folder, FILES)
    (folder / "a.txt").write_bytes(b"edited by hand")
    after = {"c.txt": b"c", "manifest.json": manifest("c.txt")}
    assert replace(folder, after)
    assert contents(folder) == after


@pytest.mark.parametrize(
    ("present", "reason"),
    [
        ({"thesis.tex": b"years of work"}, "no manifest"),
        ({"manifest.json": b"{}"}, "no manifest"),
        ({"manifest.json": b'{"name": "My extension"}', "a.txt": b""}, "no manifest"),
        ({"manifest.json": b"\xff"}, "no manifest"),
        ({**FILES, "notes.txt": b"mine"}, r"did not write: notes\.txt"),
    ],
)
def test_a_folder_of_somebody_else_is_refused(
    tmp_path: Path, present: dict[str, bytes], reason: str
) -> None:
    folder = tmp_path / "spec"
    folder.mkdir()
    for name, data in present.items():
        (folder / name).write_bytes(data)
    with pytest.raises(ForeignFolder, match=reason):
        replace(folder, {**FILES, "a.txt": b"new"})
    assert contents(folder) == present
    assert os.listdir(tmp_path) == ["spec"]


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "spec").write_text("a file")
    with pytest.raises(ForeignFolder, match="not a folder"):
        replace(tmp_path / "spec", FILES)
    assert (tmp_path / "spec").read_text() == "a file"


def test_a_failed_build_leaves_no_empty_folders(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="too long"):
        replace(tmp_path / "a" / "b" / "spec", {"name" * 100: b""})
    assert os.listdir(tmp_path) == []


def test_a_link_is_followed_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert replace(tmp_path / "link", FILES)
    assert (tmp_path / "link").is_symlink()
    assert contents(tmp_path / "real") == FILES


def test_builds_at_the_same_time_leave_one_whole_folder(tmp_path: Path) -> None:
    script = (
        "import sys, json\n"
        "from pathlib import Path\n"
        "from specgen.artefacts.folder import replace\n"
        "who, folder = sys.argv[1:]\n"
        "names = [f'{i}.txt' for i in range(20)]\n"
        "for turn in range(20):\n"
        "    files = {n: f'{who} {turn}'.encode() for n in names}\n"
        "    text = json.dumps({'generator': 'specgen', 'files': dict.fromkeys(names, '')})\n"
        "    replace(Path(folder), {**files, 'manifest.json': text.encode()})\n"
    )
    folder = tmp_path / "spec"
    running = [
        subprocess.Popen(
            [sys.executable, "-c", script, who, str(folder)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        for who in ("first", "second")
    ]
    assert [process.wait(60) for process in running] == [0, 0]
    texts = {data for name, data in contents(folder).items() if name != "manifest.json"}
    assert len(texts) == 1
    assert os.listdir(tmp_path) == ["spec"]
