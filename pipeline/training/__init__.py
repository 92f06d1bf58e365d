"""Training on lightning.Fabric: the loop, the module that it trains, optimizers, losses, callbacks, checkpoints."""
