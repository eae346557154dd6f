"""A folder is replaced completely or not at all: killed, failing or refused at every step."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from specgen.output.folder import EditedFolder, ForeignFolder, replace

CRASH = Path(__file__).with_name("crash.py")
ROOT = Path(__file__).parents[2]


def listed(**files: bytes) -> dict[str, bytes]:
    """Files with their manifest; `_` in a keyword stands for a dot."""
    named = {name.replace("_", "."): data for name, data in files.items()}
    digests = {name: sha256(data).hexdigest() for name, data in named.items()}
    manifest = json.dumps({"generator": "specgen", "files": digests}).encode()
    return {**named, "manifest.json": manifest}


FILES = listed(a_txt=b"a", b_bin=b"\0\1")


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
    after = listed(a_txt=b"another", c_txt=b"c")
    assert replace(folder, after)
    assert contents(folder) == after


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    written=st.dictionaries(st.sampled_from("abcd"), st.binary(max_size=3), min_size=1),
    edits=st.dictionaries(st.sampled_from("abcd"), st.none() | st.binary(max_size=3)),
    new=st.dictionaries(st.sampled_from("abcd"), st.binary(max_size=3), min_size=1),
)
def test_no_edited_text_is_lost(
    written: dict[str, bytes], edits: dict[str, bytes | None], new: dict[str, bytes]
) -> None:
    """What no build wrote and none would write stays, and nothing changes; unless it is forced."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "spec"
        replace(folder, listed(**written))
        lost = set()
        for name in edits.keys() & written.keys():
            match edits[name]:
                case None:
                    (folder / name).unlink()
                case text:
                    (folder / name).write_bytes(text)
                    lost |= {name} if text not in (written[name], new.get(name)) else set()
        before, after = contents(folder), listed(**new)
        if lost:
            with pytest.raises(EditedFolder) as caught:
                replace(folder, after)
            assert str(caught.value) == ", ".join(sorted(lost))
            assert contents(folder) == before
        replace(folder, after, force=bool(lost))
        assert contents(folder) == after


def test_force_is_for_edited_files_and_no_others(tmp_path: Path) -> None:
    folder = tmp_path / "spec"
    replace(folder, FILES)
    (folder / "notes.txt").write_bytes(b"mine")
    with pytest.raises(ForeignFolder):
        replace(folder, listed(c_txt=b"c"), force=True)
    assert (folder / "notes.txt").read_bytes() == b"mine"


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
        "import sys, json, hashlib\n"
        "from pathlib import Path\n"
        "from specgen.output.folder import replace\n"
        "who, folder = sys.argv[1:]\n"
        "names = [f'{i}.txt' for i in range(20)]\n"
        "for turn in range(20):\n"
        "    files = {n: f'{who} {turn}'.encode() for n in names}\n"
        "    hash_ = hashlib.sha256(files['0.txt']).hexdigest()\n"
        "    text = json.dumps({'generator': 'specgen', 'files': dict.fromkeys(names, hash_)})\n"
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
