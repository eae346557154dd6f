"""The tokens that end a text, as the configuration files beside a checkpoint's tensors say.

Files come from anywhere: what they say is checked, and what they do not say is left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from specgen.huggingface.safetensors import DamagedCheckpoint
from specgen.regular_files import read_regular, reason_of

#: The first of them that names such tokens is believed, as transformers' `generate` does.
FILES: Final = ("generation_config.json", "config.json")
KEY: Final = "eos_token_id"

#: Bytes; a longer file is no configuration.
MAX_CONFIG: Final = 10_000_000


def ending_tokens(folder: Path, vocabulary: int) -> tuple[int, ...]:
    """The ids of the tokens that end a text; none where no file of the folder names one.

    Ids beyond the vocabulary are left out: no model gives them, and so they end nothing.

    Raises:
        DamagedCheckpoint: a file cannot be read, is no JSON object, or names what is no id.
    """
    for file in FILES:
        given = loaded(folder / file).get(KEY)
        if given is None:
            continue
        found: list[Any] = given if isinstance(given, list) else [given]
        if not found or not all(
            isinstance(id_, int) and not isinstance(id_, bool) for id_ in found
        ):
            said = json.dumps(given)[:60]
            raise DamagedCheckpoint(f"{file}: {KEY} is {said}, not one or several ids of tokens")
        return tuple(dict.fromkeys(id_ for id_ in found if 0 <= id_ < vocabulary))
    return ()


def loaded(path: Path) -> Mapping[str, Any]:
    """The JSON object in a file; nothing where there is no file."""
    try:
        text = read_regular(path, MAX_CONFIG)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise DamagedCheckpoint(f"{path.name}: {reason_of(error)}") from error
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise DamagedCheckpoint(f"{path.name} is no JSON object")
    return found
