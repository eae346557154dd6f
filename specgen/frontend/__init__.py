"""From files, a variant and values to a checked program, or every fault at once."""
