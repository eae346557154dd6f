"""Who decides conditions, and what is known where they hold."""
