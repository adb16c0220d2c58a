"""Programs as users of flash-tabular write them: type checkers know what comes out."""

from typing import Any

from typing_extensions import assert_type

import flash
from flash.tabular import TabularClassificationData, TabularClassifier, TabularRegressionData, TabularRegressor


def classify() -> None:
    data = TabularClassificationData.from_csv(
        categorical_fields=["city"], numerical_fields="age", target_fields="bought", train_file="train.csv"
    )
    assert_type(data, TabularClassificationData)
    task = TabularClassifier.from_data(data, backbone="mlp", learning_rate=0.01)
    assert_type(task, TabularClassifier)
    trainer = flash.Trainer(max_epochs=1)
    trainer.finetune(task, data, strategy="no_freeze")
    assert_type(task.predict("new.csv"), list[Any])
    assert_type(task.predict([{"age": 20, "city": "Rome"}], output="probabilities"), list[Any])
    trainer.save_checkpoint("task.ckpt")
    assert_type(TabularClassifier.load_from_checkpoint("task.ckpt"), TabularClassifier)


def regress() -> None:
    data = TabularRegressionData.from_dicts(target_fields="price", train_dict={"area": [20, 30], "price": [1.0, 2.0]})
    assert_type(data, TabularRegressionData)
    assert_type(TabularRegressor.from_data(data), TabularRegressor)
