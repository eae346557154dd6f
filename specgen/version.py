"""Which specgen this is."""

from __future__ import annotations

from typing import Final

__version__ = "0.1.0"

#: What `pip install` calls it; `specgen` is somebody else's package.
DISTRIBUTION: Final = "specgen-llm"
