"""For all tests: a results cache of the run's own, never the user's; and no haste."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

# How long a draw takes says how busy the machine is.
PATIENT = settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
# The same draws in every run: a change is refused for what it does, and not for its luck.
# `make fuzz` looks for what nobody has drawn yet.
settings.register_profile("same", PATIENT, derandomize=True, database=None)
settings.register_profile("new", PATIENT, print_blob=True)
settings.load_profile(os.environ.get("SPECGEN_DRAWS", "same"))


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
