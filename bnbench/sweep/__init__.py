"""A sweep: which trials it holds, how they are packed, and how they are run."""
