"""Sweeps: an Optuna study is the ledger; each trial runs in its own process; the only importer of optuna."""
