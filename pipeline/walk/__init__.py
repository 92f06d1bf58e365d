"""The walk: a page in which a trained network runs, to look at each of its values and at what they are made of."""
