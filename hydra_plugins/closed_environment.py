"""Found by Hydra wherever it composes conf/: in a stage, and in DVC's own process, which would write the value into params.yaml."""

from pipeline.config.environment import close_environment

close_environment()
