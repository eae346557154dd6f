"""Which files are released configurations: what they are called, and how large they may be."""

from __future__ import annotations

from pathlib import Path

from specgen.regular_files import exists

#: What a released configuration ends in, and what it is called in a folder.
CONFIGURATION = ".json"
CONFIGURATIONS = "config.json"

#: The file beside it in which a tool says instead how the weights are quantised.
BESIDE = "hf_quant_config.json"

#: Bytes of either: no released one is near.
MAX_CONFIGURATION = 4_000_000


def is_configuration(path: Path) -> bool:
    """Whether a released configuration is there, and no table."""
    if path.suffix.lower() == CONFIGURATION:
        return exists(path)
    return exists(path / CONFIGURATIONS)
