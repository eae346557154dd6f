"""The closed set of ops: signatures, meanings and typing rules."""
