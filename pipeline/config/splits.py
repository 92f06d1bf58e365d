"""The names of the splits, as configs, files and metrics spell them."""

SPLITS = ("train", "validation", "test")
ALL = "all"  # the images that no official split claims: the splits are drawn from them
