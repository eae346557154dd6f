"""Expressions at many points at once, by numpy, and exactly: int64 where nothing can overflow, else
Python's integers and fractions.

`vector` takes expressions apart and runs them in batches, `exact` has the operators.  May not know
tables; the values are those of `expr.evaluate` and no others.
"""
