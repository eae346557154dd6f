"""What is written is what protobuf's own library writes for onnx's messages."""

from __future__ import annotations

import struct

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorShapeProto, TypeProto

from specgen.backends.onnx import messages, wire

NESTED = {"TensorTypeProto": TypeProto.Tensor, "DimensionProto": TensorShapeProto.Dimension}

MESSAGES = sorted(name for name in vars(messages) if name.endswith("Proto"))

INT64 = st.integers(-(2**63), 2**63 - 1) | st.integers(-300, 300)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@pytest.mark.parametrize("name", MESSAGES)
def test_fields_have_the_numbers_that_onnx_gives_them(name: str) -> None:
    theirs = NESTED.get(name) or getattr(onnx, name)
    numbers = {field.name: field.number for field in theirs.DESCRIPTOR.fields}
    ours = {field: n for field, n in vars(getattr(messages, name)).items() if type(n) is int}
    assert ours
    for field, number in ours.items():
        expected = getattr(theirs, field) if field.isupper() else numbers[field]
        assert number == expected, field


@given(TEXT, INT64, st.floats(width=32), st.binary(), st.lists(INT64))
def test_fields_are_written_as_protobuf_writes_them(
    name: str, i: int, f: float, s: bytes, ints: list[int]
) -> None:
    field = messages.AttributeProto
    theirs = onnx.AttributeProto(name=name, i=i, f=f, s=s, ints=ints)
    ours = (
        wire.text(field.name, name)
        + wire.real(field.f, f)
        + wire.integer(field.i, i)
        + wire.chunk(field.s, s)
        + wire.integers(field.ints, ints)
    )
    assert ours == theirs.SerializeToString(deterministic=True)


@given(st.floats())
def test_a_float_beyond_32_bits_is_infinite(value: float) -> None:
    theirs = onnx.AttributeProto(f=value).f
    ours = onnx.AttributeProto.FromString(wire.real(messages.AttributeProto.f, value)).f
    assert struct.pack("<d", ours) == struct.pack("<d", theirs)


@given(st.lists(st.binary(max_size=200)))
def test_a_message_in_parts_is_the_message(parts: list[bytes]) -> None:
    assert b"".join(wire.enclosed(7, parts)) == wire.chunk(7, b"".join(parts))
