"""Data: from raw inputs to batches, with one set of hooks for training, evaluation and prediction."""
