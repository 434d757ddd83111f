"""`python -m bnbench bench`: how fast bnbench trains on this machine, beside its peers.

Every side that is timed runs in processes of its own (`child`), which the parent (`sides`) asks in turn.
"""
