"""Small things of one's own to start from: a network, a norm layer, a data set. Run with `model=custom` and so on."""
