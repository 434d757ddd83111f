"""The optimizers, which update all trials of a pack, each with its own settings."""
