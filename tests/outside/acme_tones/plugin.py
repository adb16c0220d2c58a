"""What acme-tones gives to Flash."""

from collections.abc import Iterator

from flash.plugins import Backbone, TaskSpec, hookimpl


@hookimpl
def flash_tasks() -> Iterator[TaskSpec]:
    yield TaskSpec(
        "tones/classification",
        task="acme_tones.task:ToneClassifier",
        data="acme_tones.data:AudioToneData",
        summary="Which of several classes a recording belongs to.",
    )


@hookimpl
def flash_backbones() -> Iterator[Backbone]:
    yield Backbone(
        "pitch_cnn",
        domain="tones",
        factory="acme_tones.task:PitchCNN",
        summary="Two convolutions over time, for recordings of one channel.",
    )
