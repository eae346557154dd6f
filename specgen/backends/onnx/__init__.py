"""The ONNX back end: `emit` gives a program's model.onnx.  Reads the IR and the analyses."""

from specgen.backends.onnx.build import emit

__all__ = ["emit"]
