"""What a sweep will train: its request, its grid, its trials checked, and its packs."""
