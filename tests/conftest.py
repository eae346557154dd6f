"""For all tests: a results cache of the run's own, never the user's."""

import os
from collections.abc import Iterator

import pytest


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
