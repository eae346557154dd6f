"""Bodies of forwards and functions: typed, and built as IR."""
