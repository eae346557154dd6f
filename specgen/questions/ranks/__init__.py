"""Layouts of ranks, and what each rank holds: `layout` reads one, `per_rank` evaluates the closed forms
of `analysis.quantities.ranks` at every rank, `listing` writes the answer.

May not know how a row is divided; that is the analysis's.
"""
