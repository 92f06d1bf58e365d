"""The config path: conf/ and params.yaml in, typed dataclasses out; the only importer of hydra and omegaconf."""
