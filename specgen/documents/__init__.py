"""Tables, formulas and comparisons as documents: text, Markdown, CSV, JSON."""
