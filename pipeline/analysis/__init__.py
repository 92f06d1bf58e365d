"""Analyses a trained network: takes tensors, returns numbers, arrays or figures."""
