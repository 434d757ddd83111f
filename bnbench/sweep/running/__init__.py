"""How a sweep is trained, from its plan to its report."""
