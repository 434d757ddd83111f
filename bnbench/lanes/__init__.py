"""One lane of a vector for each trial: networks trained by kernels of our own, compiled when bnbench is installed."""
