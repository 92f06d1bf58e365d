"""Pretrained weights: load them into a network, replace its head, freeze layers."""
