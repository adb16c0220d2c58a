"""A network that forecasts the mean and quantiles of several channels."""

from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics import MeanAbsoluteError

from flash import Task

from .data import Window, WindowPreprocess

QUANTILES = (0.1, 0.5, 0.9)


class Encoder(nn.Module):
    """A recurrent network over the history; returns its last state."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.inputs = nn.Linear(channels, width)
        self.recurrent = nn.GRU(width, width, batch_first=True)

    def forward(self, history: Tensor) -> Tensor:
        return self.recurrent(self.inputs(history))[1][-1]


class Forecaster(Task):
    """Forecasts the mean, shape ``(batch, horizon, channels)``, and quantiles, with one more dimension for them."""

    preprocess_cls = WindowPreprocess

    def __init__(
        self,
        num_channels: int,
        history: int = 24,
        horizon: int = 4,
        width: int = 16,
        learning_rate: float = 0.01,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate=learning_rate, metrics=MeanAbsoluteError(), **kwargs)
        self.num_channels, self.window = num_channels, Window(history, horizon)
        self.backbone = Encoder(num_channels, width)
        self.head = nn.Linear(width + 2, num_channels * (1 + len(QUANTILES)))
        self.register_buffer("quantiles", torch.tensor(QUANTILES), persistent=False)

    @property
    def input_spec(self) -> Window:
        return self.window

    def forward_features(self, x: Any) -> dict[str, Tensor]:
        return {"state": self.backbone(x["history"]), "calendar": x["calendar"]}

    def forward_head(self, features: Any) -> dict[str, Tensor]:
        calendar = features["calendar"]
        state = features["state"][:, None].expand(-1, calendar.shape[1], -1)
        out = self.head(torch.cat([state, calendar], 2)).unflatten(2, (self.num_channels, -1))
        return {"mean": out[..., 0], "quantiles": out[..., 1:]}

    def compute_loss(self, y_hat: Any, y: Tensor) -> Tensor:
        known = y.isfinite()
        errors = y[..., None] - y_hat["quantiles"]
        pinball = torch.maximum(self.quantiles * errors, (self.quantiles - 1) * errors)
        return pinball[known].mean() + (y_hat["mean"] - y)[known].abs().mean()

    def loss_weight(self, y: Tensor) -> Tensor:
        return y.isfinite().sum().float()

    def for_metrics(self, y_hat: Any, y: Any) -> tuple[Tensor, Tensor]:
        known = y.isfinite()
        return y_hat["mean"][known], y[known]
