"""What tensors are made of beneath any layer: memory layout, random streams, devices, kernels."""
