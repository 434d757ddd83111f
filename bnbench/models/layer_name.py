"""The attribute under which a layer stands that a norm was put behind: names of random streams leave it out."""

LAYER = "normed_layer"
