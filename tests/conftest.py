"""For all tests: a results cache of the run's own, never the user's; and no haste."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

# How long a draw takes says how busy the machine is.
settings.register_profile("patient", suppress_health_check=[HealthCheck.too_slow], deadline=None)
settings.load_profile("patient")


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
