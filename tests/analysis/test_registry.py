"""Every quantity is counted by one group, is shown once, and is told in each language of reports."""

from __future__ import annotations

import pytest

from specgen.analysis.quantities.record import QuantityRecord
from specgen.analysis.quantities.registry import GROUPS, QUANTITIES
from specgen.analysis.quantities.variables import VARIABLES
from specgen.backends.report.words import LANGUAGES


def test_every_quantity_is_of_one_group_and_shown_once() -> None:
    counted = [record for group in GROUPS for record in group.records]
    assert len(counted) == len(QUANTITIES)
    assert {record.name: record for record in counted} == QUANTITIES


@pytest.mark.parametrize("record", QUANTITIES.values(), ids=QUANTITIES.keys())
def test_it_is_told_in_each_language(record: QuantityRecord) -> None:
    for said in (record.title, record.convention):
        assert said.keys() == LANGUAGES.keys()
        assert all(said.values())
    assert set(record.variables) <= VARIABLES.keys()
    assert all(record.unit in words.units for words in LANGUAGES.values())
