"""The closed set of ops: signatures, meanings, attributes, traits and typing rules.

Layers that know ops have files of the same names: `ir/numpy`, `backends/pytorch/ops`,
`backends/onnx/ops`.
"""
