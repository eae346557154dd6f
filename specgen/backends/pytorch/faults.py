"""What the PyTorch back end refuses."""

from __future__ import annotations


class Inexpressible(Exception):
    """A well-formed table that model.py cannot express; the message completes E0905."""
