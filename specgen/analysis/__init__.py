"""What follows from a program, whoever asks: its tensors, its dataflow, its quantities."""
