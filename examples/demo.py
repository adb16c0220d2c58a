"""From a raw table to a finetuned classifier that a new process can use: what ``nox -s demo`` runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from sklearn.datasets import load_breast_cancer

CHECKPOINT = Path("demo_runs/tumours.ckpt")


def train() -> None:
    """Finetune on the breast-cancer table that scikit-learn ships, and save a checkpoint."""
    from flash import Trainer
    from flash.tabular import TabularClassificationData, TabularClassifier

    data = TabularClassificationData.from_source(
        "sklearn", dataset="breast_cancer", val_split=0.15, test_split=0.2, batch_size=64, seed=0
    )
    task = TabularClassifier.from_data(data)
    trainer = Trainer(max_epochs=15, callbacks=[("keep_best", {"patience": 5})], default_root_dir="demo_runs")
    trainer.finetune(task, data, strategy="no_freeze")
    trainer.test(task, datamodule=data)
    trainer.save_checkpoint(CHECKPOINT)
    print(f"\nSaved {CHECKPOINT} ({CHECKPOINT.stat().st_size / 1e6:.1f} MB).")


def use() -> None:
    """Load the checkpoint in a process that knows nothing of the training, and predict raw rows."""
    import flash

    task = flash.Task.load_from_checkpoint(CHECKPOINT)
    table = load_breast_cancer(as_frame=True)
    rows = table.data.iloc[[0, 19, 20, 300]]
    found = task.predict(rows)
    probabilities = task.predict(rows, output="probabilities")
    print("\nA new process loads it and predicts four raw rows:")
    for row, label, probability in zip(rows.index, found, probabilities, strict=True):
        truth = table.target_names[table.target[row]]
        print(f"  row {row:3d}: {label:9s} ({max(probability):.0%} sure)  truth: {truth}")


def advise() -> None:
    """Say what to try next."""
    print(
        """
What to try next:
  - your own table:      TabularClassificationData.from_csv(target_fields="...", train_file="...", val_split=0.1)
  - another network:     TabularClassifier.from_data(data, backbone="ft_transformer")   (flash backbones tabular)
  - numbers, not labels: TabularRegressionData and TabularRegressor
  - another strategy:    trainer.finetune(task, data, strategy=("freeze_unfreeze", 5))  (flash strategies)
  - what is installed:   flash plugins"""
    )


if __name__ == "__main__":
    if sys.argv[1:] == ["use"]:
        use()
    else:
        train()
        subprocess.run([sys.executable, __file__, "use"], check=True)
        advise()
