"""The core: tasks, the trainer, finetuning strategies, registries and checkpoints."""
