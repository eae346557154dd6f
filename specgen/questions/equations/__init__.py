"""Where an expression of one unknown whole number is zero, and where it changes from one integer to the
next.

`quotients` reads expressions into sympy's polynomials, `roots` and `zeros` find where they vanish,
`piecewise` cuts a range at the conditions of a table, `nearest` takes what is nearest to zero.
sympy is loaded here and nowhere else in questions/, so only `solve` and `sensitivity` pay for it.
Knows expressions of one unknown; may not know what they count.
"""
