"""The properties, in files by what they are about: each a function of the layer under judgment that gives rows."""
