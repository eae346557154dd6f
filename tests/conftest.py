"""For all tests: a results cache of the run's own, never the user's; no haste; nothing for naught."""

import gc
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers

# How long a draw takes says how busy the machine is.
PATIENT = settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
# The same draws in every run: a change is refused for what it does, and not for its luck.
# `make fuzz` looks for what nobody has drawn yet.
settings.register_profile("same", PATIENT, derandomize=True, database=None)
settings.register_profile("new", PATIENT, print_blob=True)
settings.load_profile(os.environ.get("SPECGEN_DRAWS", "same"))
if settings.get_current_profile_name() == "same":
    # Else numbers out of the modules that a process has loaded are drawn too, and which those
    # are depends on the tests that it ran before.
    providers._get_local_constants = lambda: providers._local_constants

#: What `make test-fast` asks for.
FAST = "not slow"

#: A file that marks all its tests as slow.
ALL_SLOW = re.compile(r"^pytestmark = (\[[^]]*)?pytest\.mark\.slow\b", re.MULTILINE)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Fast runs don't import files without a fast test: those import torch and transformers."""
    if config.option.markexpr != FAST or collection_path.suffix != ".py":
        return None
    return ALL_SLOW.search(collection_path.read_text(encoding="utf-8")) is not None or None


def pytest_collection_finish(session: pytest.Session) -> None:
    """What collecting made stays to the end: no use in looking through it for garbage.

    The fast tests hold nothing large, so that they need not look often for what they left.
    """
    gc.collect()
    gc.freeze()
    if session.config.option.markexpr == FAST:
        gc.set_threshold(20_000, 20, 20)


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    before = os.environ.get("SPECGEN_CACHE")
    os.environ["SPECGEN_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["SPECGEN_CACHE"]
    else:
        os.environ["SPECGEN_CACHE"] = before


@pytest.fixture
def accept() -> bool:
    """Whether this run takes today's output as right and rewrites the goldens."""
    return bool(os.environ.get("SPECGEN_ACCEPT"))
