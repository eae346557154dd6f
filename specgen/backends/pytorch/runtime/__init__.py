"""What generated files are made of beside a table's own: real modules, typed and tested as such.

Definitions of these modules are taken, as text and with what they refer to, into the files of a
build (`sources`); the compiler imports none of them, for they need torch.  A name in capitals
without a value here stands for a table that a build writes: `if TABLE:` is taken without its test
where the build has that table, and left out where it has none.
"""
