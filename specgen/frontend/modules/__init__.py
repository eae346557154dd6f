"""What a module says besides its dataflow: rows, names, packings, sharding."""
