"""Questions to a table: what if, which value gives this figure, what moves it, what does each rank hold.

`ask` is the door: command line and Python both ask there, and get an answer that writes itself as
text, as data and as columns.  Behind it, `session` is a table that is asked more than once,
`question` reads what is meant, and `sweep`, `solve`, `lattice` and `sensitivity` answer.  An
answer is exact, and a table that it names has been elaborated and counted.

Knows tables by their counts (analysis), their closed forms (expr) and how they are elaborated
(frontend).  May not know options, back ends or files that are written.
"""
