"""All quantities that there are, in the order in which they are shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from specgen.analysis.quantities import activation_peak, active, caches, counts, flops, memory
from specgen.analysis.quantities.record import QuantityGroup, QuantityRecord

#: What is counted together, in the order in which it is counted.
GROUPS: Final[tuple[QuantityGroup, ...]] = (
    counts.GROUP,
    memory.GROUP,
    active.GROUP,
    caches.GROUP,
    flops.GROUP,
    activation_peak.GROUP,
)

QUANTITIES: Final[Mapping[str, QuantityRecord]] = {
    record.name: record
    for record in (
        counts.PARAMETERS,
        active.PARAMETERS_ACTIVE,
        active.PARAMETERS_ACTIVE_NO_EMBEDDING,
        active.PARAMETERS_ACTIVE_NO_VOCABULARY,
        active.PARAMETERS_OUTSIDE_FORWARD,
        counts.STORED_TENSORS,
        counts.STORED_ELEMENTS,
        counts.STORED_SCALES,
        counts.STORED_COPIES,
        counts.STORED_BYTES,
        caches.CACHE_ELEMENTS_PER_TOKEN,
        caches.CACHE_BYTES_PER_TOKEN,
        flops.FLOPS_PREFILL,
        flops.FLOPS_DECODE,
        memory.WEIGHTS_BYTES,
        caches.CACHE_ELEMENTS_PER_TOKEN_EXPANDED,
        caches.CACHE_BYTES_PER_TOKEN_EXPANDED,
        caches.CACHE_BYTES,
        flops.FLOPS_PREFILL_CAUSAL,
        flops.FLOPS_DECODE_MAIN,
        flops.FLOPS_TRAINING,
        activation_peak.ACTIVATION_PEAK_BYTES,
        memory.TRAINING_BYTES,
    )
}
