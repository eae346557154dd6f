"""Where the files shipped with specgen lie: in a checkout, or inside the installed package."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def folder(name: str) -> Path:
    """A data folder (`grammar`, `specs`, `templates`) of this installation."""
    installed = PACKAGE / "_data" / name
    return installed if installed.is_dir() else PACKAGE.parent / name


def std_folder() -> Path:
    """The std blocks."""
    return folder("specs") / "std"
