"""The checked layer's side: a process of its own, which may have an interpreter of its own.

Nothing here needs more of bnbench than `bnbench.check.wire`, and more packages than NumPy and the framework itself.
"""
