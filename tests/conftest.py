"""bnbench before torch, in every test process: it says how MKL is to round."""

import bnbench  # noqa: F401
