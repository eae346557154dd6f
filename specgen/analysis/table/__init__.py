"""Rows and instances of a program, folded: never unrolled."""
