"""Questions to a table: what if, which value gives, what moves it, on how many ranks."""
