"""`python -m bnbench bench`: how fast bnbench trains on this machine, beside the usual way and a hand-written loop.

Every side that is timed runs in processes of its own (`child`), which the parent (`sides`) asks in turn.
"""
