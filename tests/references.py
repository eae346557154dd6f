"""Where the reference models of ../shared/truth lie, and how near to them is near enough."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[1]
REFERENCES = REPOSITORY.parent / "shared" / "truth" / "reference"

needs_references = pytest.mark.skipif(
    not REFERENCES.is_dir(), reason="reference models (../shared/truth) are not on this machine"
)


def tolerance(meta: Mapping[str, Any]) -> float:
    """2e-5; where transformers differs from itself by more than 1e-5, twice that."""
    own = max(
        meta.get("cache_vs_full_max_abs_diff", 0.0),
        meta.get("sdpa_default_experts_max_abs_diff", 0.0),
    )
    return 2 * own if own > 1e-5 else 2e-5
