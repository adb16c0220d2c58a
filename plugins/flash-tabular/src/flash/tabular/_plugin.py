"""What this plugin contributes to Flash; imported for listings, so it imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterator

from flash.plugins import Backbone, DataSource, Renamed, TaskSpec, hookimpl


@hookimpl
def flash_tasks() -> Iterator[TaskSpec]:
    """The two tasks with their data modules."""
    yield TaskSpec(
        "tabular/classification",
        task="flash.tabular.tasks:TabularClassifier",
        data="flash.tabular.data:TabularClassificationData",
        summary="Which of N classes a row of a table belongs to.",
    )
    yield TaskSpec(
        "tabular/regression",
        task="flash.tabular.tasks:TabularRegressor",
        data="flash.tabular.data:TabularRegressionData",
        summary="Which number belongs to a row of a table.",
    )


@hookimpl
def flash_backbones() -> Iterator[Backbone]:
    """The networks, each from the library of the people who published it."""
    for name, source, summary in (
        (
            "tabm",
            "https://arxiv.org/abs/2410.24210",
            "Ensemble of MLPs that share most weights, on piecewise-linear embeddings of numbers. The default.",
        ),
        ("ft_transformer", "https://arxiv.org/abs/2106.11959", "Transformer with a token for each column."),
        ("mlp", "https://arxiv.org/abs/2106.11959", "Multilayer perceptron on embedded columns; the fastest."),
        ("resnet", "https://arxiv.org/abs/2106.11959", "Residual network on embedded columns."),
        (
            "tabnet",
            "https://arxiv.org/abs/1908.07442",
            "Attends to few columns at a time (pytorch-tabnet's network).",
        ),
    ):
        yield Backbone(
            name, domain="tabular", factory=f"flash.tabular.backbones:{name}", summary=summary, source=source
        )


@hookimpl
def flash_renames() -> Iterator[Renamed]:
    """Names that the ancestor, Lightning Flash, had for these networks; programs that use them run on."""
    yield Renamed("fttransformer", "ft_transformer", of="backbone")


@hookimpl
def flash_data_sources() -> Iterator[DataSource]:
    """Tables that come with scikit-learn."""
    for task in ("tabular/classification", "tabular/regression"):
        yield DataSource(
            "sklearn",
            data=task,
            factory="flash.tabular.sources:from_sklearn",
            summary="A table that comes with scikit-learn, by name, or any Bunch.",
        )
