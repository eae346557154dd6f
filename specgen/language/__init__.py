"""From the text of a table to its syntax tree: lexemes, parser, recovery; no name is resolved here."""
