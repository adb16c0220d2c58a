"""What acme-horizon gives to Flash."""

from collections.abc import Iterator

from flash.plugins import Output, TaskSpec, hookimpl


@hookimpl
def flash_tasks() -> Iterator[TaskSpec]:
    yield TaskSpec(
        "series/forecasting",
        task="acme_horizon.task:Forecaster",
        data="acme_horizon.data:SeriesData",
        summary="What follows after the end of a time series.",
    )


@hookimpl
def flash_components() -> Iterator[Output]:
    yield Output(
        "intervals",
        target="acme_horizon.outputs:intervals",
        scope="series/forecasting",
        summary="The mean of each step ahead, with the lowest and the highest quantile.",
    )
