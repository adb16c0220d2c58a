"""The plugin's hook implementations; imported for listings, so it imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterator

from flash.plugins import Backbone, DataSource, Recipe, Renamed, TaskSpec, hookimpl


@hookimpl
def flash_tasks() -> Iterator[TaskSpec]:
    """Yield the tasks with their data modules."""
    yield TaskSpec(
        "tabular/classification",
        task="flash.tabular.tasks:TabularClassifier",
        data="flash.tabular.data:TabularClassificationData",
        summary="Classify the rows of a table.",
    )
    yield TaskSpec(
        "tabular/regression",
        task="flash.tabular.tasks:TabularRegressor",
        data="flash.tabular.data:TabularRegressionData",
        summary="Predict a number per row of a table.",
    )


@hookimpl
def flash_backbones() -> Iterator[Backbone]:
    """Yield the backbones, each from the library of its authors."""
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
            "Sequential attention over few columns at a time (pytorch-tabnet's network).",
        ),
    ):
        yield Backbone(
            name, domain="tabular", factory=f"flash.tabular.backbones:{name}", summary=summary, source=source
        )


@hookimpl
def flash_renames() -> Iterator[Renamed]:
    """Yield the names of these backbones in Lightning Flash, which are still accepted."""
    yield Renamed("fttransformer", "ft_transformer", of="backbone")


@hookimpl
def flash_data_sources() -> Iterator[DataSource]:
    """Yield the data source of scikit-learn's built-in datasets."""
    for task in ("tabular/classification", "tabular/regression"):
        yield DataSource(
            "sklearn",
            data=task,
            factory="flash.tabular.sources:from_sklearn",
            summary="A built-in dataset of scikit-learn, by name, or any Bunch.",
        )


@hookimpl
def flash_recipes() -> Iterator[Recipe]:
    """Yield the candidates for baselines of tables, the quickest first."""
    for name, summary in (
        ("mlp", "A multilayer perceptron."),
        ("resnet", "A residual network."),
        ("tabm_large", "A TabM of 32 members with wider layers."),
        ("ft_transformer", "A transformer with a token per column."),
    ):
        for task in ("tabular/classification", "tabular/regression"):
            yield Recipe(name, f"flash.tabular.recipes:{name}", task, summary)
