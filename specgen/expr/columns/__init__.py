"""Expressions at many points at once, exactly."""
