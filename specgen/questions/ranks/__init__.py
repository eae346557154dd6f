"""Layouts of ranks, and what each rank holds."""
