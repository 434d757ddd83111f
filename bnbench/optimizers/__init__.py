"""Every optimizer, by the name that `optimizer=` takes."""
