"""Ways in which released weights are quantised, as a config.json or a file beside it says.

They change how numbers are stored, and not which: a table that does not say the format still
counts the parameters, and nothing that is stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

#: Where a configuration says how its weights are quantised.
QUANTISED: Final = "quantization_config"

#: Values of `quant_method` that only store the same matrices in fewer bits.
METHODS: Final = frozenset({
    "aqlm", "auto-round", "auto_round", "awq", "bitsandbytes", "bitsandbytes_4bit",
    "bitsandbytes_8bit", "bitnet", "compressed-tensors", "compressed_tensors", "eetq", "fbgemm_fp8",
    "fp8", "gptq", "higgs", "hqq", "intel/auto-round", "modelopt", "modelopt_fp4", "mxfp4", "nvfp4",
    "quanto", "quark", "torchao", "vptq",
})  # fmt: skip

#: Keys of older files, which have no `quant_method`, and the method that they are of.
OLDER: Final[Mapping[str, str]] = {"load_in_4bit": "bitsandbytes", "load_in_8bit": "bitsandbytes"}


def is_quantisation(key: str) -> bool:
    """Whether a dotted key speaks of how weights are quantised."""
    return key == QUANTISED or key.startswith(f"{QUANTISED}.")


def method(values: Mapping[str, object]) -> str | None:
    """How the weights are quantised, of a configuration's values; None where it is unknown."""
    found = values.get(f"{QUANTISED}.quant_method")
    if isinstance(found, str):
        return found if found.lower() in METHODS else None
    named = (OLDER[key] for key in OLDER if values.get(f"{QUANTISED}.{key}") is True)
    return next(named, None) if found is None else None


def algorithm(content: Mapping[str, Any]) -> str:
    """What the file beside config.json says, in its own words; "" where it says nothing."""
    section = content.get("quantization", content)
    found = section.get("quant_algo") if isinstance(section, Mapping) else None
    return found if isinstance(found, str) else ""
