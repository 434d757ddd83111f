"""What is written down of a sweep and read back: names, results, tables."""
