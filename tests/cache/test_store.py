"""The cache is never trusted and never needed."""

import os
import stat
from pathlib import Path

import pytest

from specgen.cache import store

KEY = "0" * 64
OTHER = "1" * 64


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(store.VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_what_was_put_is_got(folder: Path) -> None:
    assert store.get(KEY) is None
    store.put(KEY, b"result\nwith lines\0")
    assert store.get(KEY) == b"result\nwith lines\0"
    assert store.get(OTHER) is None


def test_the_folder_is_the_users_own(folder: Path) -> None:
    store.put(KEY, b"result")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / KEY).stat().st_mode) == 0o600


@pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")
def test_a_folder_that_others_can_write_to_is_not_used(folder: Path) -> None:
    store.put(KEY, b"result")
    folder.chmod(0o777)
    assert store.get(KEY) is None
    store.put(OTHER, b"result")
    assert not (folder / OTHER).exists()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can give it away")
def test_a_folder_of_another_user_is_not_used(folder: Path) -> None:
    store.put(KEY, b"result")
    os.chown(folder, 12345, 12345)
    assert store.get(KEY) is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda entry: b"",
        lambda entry: entry[:-1],
        lambda entry: entry + b"x",
        lambda entry: entry.replace(b"result", b"tluser"),
        lambda entry: entry.replace(b"specgen", b"specgem"),
        lambda entry: b"\x80\x04\x95" + entry,
    ],
)
def test_a_damaged_entry_is_none_and_is_written_again(folder: Path, damage) -> None:
    store.put(KEY, b"result")
    path = folder / KEY
    path.write_bytes(damage(path.read_bytes()))
    assert store.get(KEY) is None
    store.put(KEY, b"result")
    assert store.get(KEY) == b"result"


def test_an_entry_under_another_name_is_damaged(folder: Path) -> None:
    store.put(KEY, b"result")
    (folder / KEY).rename(folder / OTHER)
    assert store.get(OTHER) is None


def test_off_and_unusable_places_are_silently_unused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    for place in ("off", str(tmp_path / "file"), str(tmp_path / "file" / "below"), "/dev/null/x"):
        monkeypatch.setenv(store.VARIABLE, place)
        store.put(KEY, b"result")
        assert store.get(KEY) is None
    assert os.listdir(tmp_path) == ["file"]


def test_a_full_disk_is_silently_unused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    store.put(OTHER, b"earlier")
    monkeypatch.setattr(Path, "replace", full)
    store.put(KEY, b"result")
    assert os.listdir(folder) == [OTHER]


def test_the_longest_unused_goes_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MAX_TOTAL", 4000)
    monkeypatch.setattr(store, "MAX_ENTRY", 1000)
    keys = [f"{i:064}" for i in range(4)]
    for age, key in enumerate(keys):
        store.put(key, b"x" * 800)
        os.utime(folder / key, (1000 + age, 1000 + age))
    assert store.get(keys[0]) is not None  # used now, so no longer the oldest
    store.put(OTHER, b"x" * 800)
    assert not (folder / keys[1]).exists()
    assert (folder / keys[0]).exists()
    assert (folder / OTHER).exists()
    assert sum(p.stat().st_size for p in folder.iterdir()) <= 4000


def test_what_is_too_large_is_not_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MAX_ENTRY", 10)
    store.put(KEY, b"x" * 11)
    assert store.get(KEY) is None
