"""An implementation of batch norm, of any framework, put through properties that `bnbench.reference` judges."""
