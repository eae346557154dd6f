"""How texts, names and numbers leave specgen: safe on a terminal, quoted in Markdown, as JSON."""
