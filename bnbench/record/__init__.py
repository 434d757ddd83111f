"""What is recorded of a sweep and read back: names, results, tables."""
