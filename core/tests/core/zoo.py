"""A plugin with a backbone, and a task on it."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

import flash
from flash.core.registry import backbone_registry
from flash.plugins import Backbone, hookimpl


class Zoo:
    @hookimpl
    def flash_backbones(self) -> Iterator[Backbone]:
        yield Backbone("Wav-CNN", domain="audio", factory="builtins:int")


class OnBackbone(flash.Task):
    backbones = backbone_registry("audio")

    def __init__(self, backbone: str) -> None:
        super().__init__(loss_fn=nn.functional.mse_loss)
        self.model = nn.Linear(self.backbones.get(backbone)(3), 1)
