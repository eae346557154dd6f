"""What a whole spec must satisfy beyond one module."""
