"""A mutant: one edit of a shipped spec, and what must catch it.

Knows how to make a damaged copy of specs/; knows neither the checker nor a back end.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

SPECS = Path(__file__).parents[2] / "specs"


@dataclass(frozen=True)
class Mutant:
    """`old` becomes `new` in `file`, at its `times` places; columns may stand otherwise.

    `caught` is the code of a diagnostic, "tensors" (names, shapes, dtypes, counts), "config"
    (the keys and values of config.json), or the name of a reference whose logits differ.
    """

    name: str
    file: str
    old: str
    new: str
    caught: str
    times: int = 1

    @property
    def pattern(self) -> re.Pattern[str]:
        """`old`, with any number of spaces where it has some."""
        return re.compile(re.sub(r"(\\ )+", " +", re.escape(self.old)))

    @property
    def model(self) -> str:
        """The spec that shows the damage."""
        if self.file.startswith("std/"):
            return "llama" if self.caught.startswith("llama") else "deepseek_v3"
        return self.file.removesuffix(".dsv3")


def damaged(mutant: Mutant | None, folder: Path) -> Path:
    """A copy of specs/ in `folder` with the edit in it; its own std blocks are used.

    Raises:
        AssertionError: the text to be edited is not there as often as the mutant says.
    """
    shutil.copytree(SPECS, folder)
    if mutant is not None:
        path = folder / mutant.file
        text, found = mutant.pattern.subn(lambda _: mutant.new, path.read_text())
        assert found == mutant.times, f"{mutant.name}: the spec has changed"
        path.write_text(text)
    for path in folder.rglob("*.dsv3"):
        here = "./" if path.parent.name == "std" else "./std/"
        path.write_text(path.read_text().replace("use std.", f"use {here}"))
    return folder
