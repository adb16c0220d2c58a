"""Programs with a mistake: type checkers say so, which the ignored errors here hold them to."""

import flash.tabular
from flash import DataModule, Task, Trainer


def misspell() -> None:
    flash.Trainner()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    flash.tabular.TabularClasifier()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


def choose(task: Task, data: DataModule) -> None:
    Task(optimizer=0.1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Task(metrics=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Task(lr_scheduler=True)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Trainer(callbacks=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Trainer().finetune(task, data, strategy=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Trainer().finetune(data, task)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    task.predict([], output=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
