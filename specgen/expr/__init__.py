"""Compile-time expressions: sizes, counts, conditions and constants of a table.

`node` is the tree, `facts` what it is at sight, `polynomial` its arithmetic and `normal` the form in which
equal sizes are equal, `assumptions` what follows from conditions, `evaluate` its value, `columns/`
its values at many points, `printing` its text, `sympy_bridge` the same in sympy.  Everything is
exact: integers and fractions, floats only where a table writes reals.

May not know tables, modules or figures; never reads text.
"""
