"""A config.json read back: the params that the table's `config` section would write it from.

The inverse of `config`.  Knows the spellings that Hugging Face's own files have had over the
years; it does not judge whether the table can say everything that the file says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from specgen.dtypes import DTYPES
from specgen.expr.evaluate import EvaluationError, evaluate
from specgen.expr.node import TRUE, Apply, Const, Expr, Sym
from specgen.frontend.values import Override
from specgen.ir.model import ConfigRow, Param, Program

#: What a key that is not there is read as.
MISSING: Final = object()

#: Keys of rotary embeddings that stand among the others or in `rope_parameters`, and how some
#: files spell them.
SPELLINGS: Final = {"rope_theta": "rotary_emb_base", "partial_rotary_factor": "rotary_pct"}


def overrides_from_config(
    program: Program, config: Mapping[str, Any], scheme: str = "hf"
) -> dict[str, Override]:
    """The params that the configuration sets, as overrides for `load_program`.

    A param's row gives its value.  A literal's row that matches makes its condition hold, so
    far as the condition fixes params; `null` also matches a missing key.  A storage format whose
    rows do not match is not used.  Params that nothing fixes keep the table's defaults.
    """
    rows = [row for row in program.configs.get(scheme, ()) if row.role != "absent"]
    return settled(program, rows, flattened(normalised(config)))


def settled(
    program: Program, rows: Sequence[ConfigRow], flat: Mapping[str, Any]
) -> dict[str, Override]:
    """The params that these rows set, from values by dotted keys in the rows' spelling."""
    params = {param.name: param for param in program.model.params}
    given: dict[str, Override] = {}
    implied: dict[str, Override] = {}
    refuted: dict[str, Override] = {}
    for row in rows:
        if row.index is not None or row.role == "unread":
            continue
        if row.role == "read" and row.key not in flat:
            continue
        if isinstance(row.value, Sym) and row.value.name in params:
            value = converted(flat.get(row.key), params[row.value.name])
            if value is not None:
                given.setdefault(row.value.name, value)
        elif row.condition != TRUE:
            found = implied if matches(row, flat.get(row.key, MISSING)) else refuted
            for name, value in fixed(row.condition):
                found.setdefault(name, value)
    plain = next(
        (
            value
            for name, value in implied.items()
            if name in params and params[name].kind == "dtype" and value in DTYPES
        ),
        program.activation_dtype,
    )
    for name in refuted:
        if name in params and params[name].kind == "dtype":
            implied.setdefault(name, plain)
    return {name: value for name, value in {**implied, **given}.items() if name in params}


def normalised(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration in the spelling of released files.

    transformers 5 writes `rope_parameters`, which holds `rope_theta`, `partial_rotary_factor` and
    always a type, and `dtype`; earlier files have `rope_scaling`, null where nothing is scaled,
    with the type under either of two keys, `torch_dtype`, and for the other two either spelling.
    """
    found = dict(config)
    rotary = found.pop("rope_parameters", None)
    if isinstance(rotary, Mapping):
        rotary = dict(rotary)
        for key in SPELLINGS:
            value = rotary.pop(key, None)
            if value is not None:
                found.setdefault(key, value)
        found.setdefault("rope_scaling", rotary)
    for key, other in SPELLINGS.items():
        for given, absent in ((key, other), (other, key)):
            if given in found:
                found.setdefault(absent, found[given])
    scaling = found.get("rope_scaling")
    if isinstance(scaling, Mapping):
        kind = scaling.get("rope_type", scaling.get("type"))
        both = {**scaling, "rope_type": kind, "type": kind}
        found["rope_scaling"] = None if kind in (None, "default") else both
    if "dtype" in found:
        found.setdefault("torch_dtype", found.pop("dtype"))
    return found


def flattened(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The configuration by dotted keys; nested objects stand there themselves, too."""
    found: dict[str, Any] = {}
    for key, value in config.items():
        found[prefix + key] = value
        if isinstance(value, Mapping):
            found |= flattened(value, f"{prefix}{key}.")
    return found


def converted(value: object, param: Param) -> Override | None:
    """The value as the param's type has it; None where it is of another type."""
    match param.kind, value:
        case "flag", bool():
            return value
        case _, bool() | None:
            return None
        case "size" | "count", int():
            return value
        case "size" | "count", float():
            return int(value) if value.is_integer() else None
        case "real", int() | float():
            return float(value)
        case "choice", str():
            return value if value in param.choices else None
        case "dtype", str():
            return value
        case "counts" | "reals", list() if all(map(is_number, value)):
            return tuple(value)
        case _:
            return None


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def matches(row: ConfigRow, value: object) -> bool:
    """Whether a literal's row says what the configuration says."""
    items = row.value if isinstance(row.value, tuple) else (row.value,)
    try:
        wanted: list[object] = [evaluate(item, {}) for item in items]
    except EvaluationError:
        return False
    if isinstance(row.value, tuple):
        return value == wanted
    (literal,) = wanted
    if literal is None:
        return value is None or value is MISSING
    return value == literal and isinstance(value, bool) == isinstance(literal, bool)


def fixed(condition: Expr) -> Iterator[tuple[str, Override]]:
    """The params that a condition leaves no choice for, with their values."""
    match condition:
        case Apply(op="and", args=args):
            for arg in args:
                yield from fixed(arg)
        case Apply(op="==", args=(Sym(name=name), Const(value=value))) if value is not None:
            yield name, value
        case Sym(name=name):
            yield name, True
        case Apply(op="not", args=(Sym(name=name),)):
            yield name, False
