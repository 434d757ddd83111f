"""Training: packs of trials through Lightning. Import `bnbench.training.fit` for it; this file stays light."""
