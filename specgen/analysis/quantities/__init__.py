"""Every figure of a table in closed form."""
