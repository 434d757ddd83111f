"""K networks of equal shape as one. Import from its modules: planning a pack needs no torch, building one does."""
