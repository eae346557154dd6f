"""Compile-time expressions: trees, what they are, their normal form, proofs, values; knows no table."""
