"""Backbones: built from names and modules in one place, and the rates at which their weights learn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import nn

import flash
from flash.core.backbones import build_backbone, num_features, stated_layers, takes_argument
from flash.core.finetuning import FlashBaseFinetuning, FreezeUnfreeze, UnfreezeMilestones, backbone_layers
from flash.core.registry import backbone_registry
from flash.errors import ConfigurationError, UnknownNameError
from flash.plugins import Backbone, hookimpl, isolated_plugins


def small(size: int, width: int = 4, pretrained: bool = True) -> nn.Module:
    """A factory that is called with the size of the inputs."""
    network = nn.Linear(size, width)
    nn.init.constant_(network.weight, float(pretrained))
    return network


def without_weights(size: int) -> nn.Module:
    return nn.Linear(size, 3)


def no_module(size: int) -> Any:
    return [size]


class Acme:
    """A plugin of a domain whose factories take the size of the inputs."""

    @hookimpl
    def flash_backbones(self) -> Iterator[Backbone]:
        for name in ("small", "without_weights", "no_module"):
            yield Backbone(name, domain="signals", factory=f"{__name__}:{name}")


class Net(flash.Task):
    backbones = backbone_registry("signals")

    def __init__(
        self, backbone: Any = "small", pretrained: bool = True, backbone_kwargs: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(loss_fn=nn.functional.cross_entropy, **kwargs)
        self.backbone: nn.Module = self.build_backbone(backbone, 2, kwargs=backbone_kwargs, pretrained=pretrained)
        self.head = nn.Linear(num_features(self.backbone, lambda: torch.zeros(1, 2)), 2)

    def forward(self, x: Any) -> Any:
        return self.head(self.backbone(x))


@pytest.fixture(autouse=True)
def _acme() -> Iterator[None]:
    with isolated_plugins(Acme()):
        yield


class TestBuilding:
    def test_a_name_is_built_with_the_arguments_of_the_domain_and_of_the_user(self) -> None:
        task = Net(backbone_kwargs={"width": 7}, pretrained=False)
        assert task.head.in_features == 7
        assert not task.backbone.weight.any()

    def test_an_option_goes_to_the_factories_that_take_it(self) -> None:
        assert Net("without_weights").head.in_features == 3

    def test_a_module_is_taken_as_it_is(self) -> None:
        mine = nn.Linear(2, 5)
        assert Net(mine).backbone is mine

    def test_the_default_of_a_task_is_that_of_its_own_package(self) -> None:
        class Other:
            @hookimpl
            def flash_backbones(self) -> Iterator[Backbone]:
                yield Backbone("small", domain="signals", factory=f"{__name__}:no_module")

        class Owned(Net):
            def backbone_factory(self, name: str) -> Any:
                return self.backbones.get(name, prefer="acme")

        with isolated_plugins(Acme(), Other()):
            assert isinstance(Owned().backbone, nn.Linear)

    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            ({"backbone": nn.Linear(2, 2), "backbone_kwargs": {"width": 3}}, "got a module, which is made already"),
            ({"backbone": 3}, "Expected backbone to be a name or a module, but got 3"),
            (
                {"backbone_kwargs": {"depth": 3}},
                r"backbone_kwargs that 'small' takes \(width, pretrained\), but got \{'depth': 3\}: .*'depth'",
            ),
            (
                {"backbone_kwargs": {"width": "wide"}},
                r"that 'small' takes \(width, pretrained\), but got \{'width': 'wide'\}: ",
            ),
            ({"backbone": "no_module"}, r"the backbone 'no_module' to return a Module, but it returned \[2\]"),
        ],
    )
    def test_what_cannot_be_built_is_an_error(self, arguments: dict[str, Any], sentence: str) -> None:
        with pytest.raises(ConfigurationError, match=sentence):
            Net(**arguments)

    def test_an_unknown_name_names_the_closest(self) -> None:
        with pytest.raises(UnknownNameError, match="small"):
            Net("smal")

    def test_a_factory_that_does_not_take_what_its_domain_passes_says_so(self) -> None:
        with pytest.raises(ConfigurationError, match="take the arguments of tasks of its domain, but it says"):
            build_backbone("small", {"small": lambda: nn.Linear(2, 2)}.__getitem__, 2)

    def test_an_error_inside_of_a_factory_stays_what_it_is(self) -> None:
        def broken() -> nn.Module:
            raise TypeError("broken inside")

        with pytest.raises(TypeError, match="broken inside"):
            build_backbone("broken", {"broken": broken}.__getitem__)

    def test_it_is_known_which_arguments_a_factory_takes(self) -> None:
        assert takes_argument(small, "pretrained")
        assert not takes_argument(without_weights, "pretrained")


class TestFeatures:
    def test_what_a_backbone_states_is_not_measured(self) -> None:
        backbone = nn.Flatten()
        backbone.out_features = 12  # type: ignore[assignment]  # a plain number
        assert num_features(backbone, lambda: pytest.fail("measured")) == 12

    def test_measuring_leaves_no_trace(self) -> None:
        backbone = nn.Sequential(nn.Conv1d(1, 5, 3), nn.BatchNorm1d(5), nn.AdaptiveAvgPool1d(1), nn.Flatten())
        backbone[1].eval()
        before = {name: value.clone() for name, value in backbone.state_dict().items()}
        assert num_features(backbone, lambda: torch.zeros(1, 1, 9)) == 5
        assert all(torch.equal(before[name], value) for name, value in backbone.state_dict().items())
        assert backbone.training
        assert not backbone[1].training

    def test_inputs_of_another_shape_are_an_error_with_a_hint(self) -> None:
        with pytest.raises(ConfigurationError, match=r"Linear3 to take shape \(1, 3\).*Pass size="):
            num_features(Linear3(), lambda: torch.zeros(1, 3), hint="Pass size=4.")

    def test_features_that_are_no_vector_are_an_error(self) -> None:
        with pytest.raises(ConfigurationError, match=r"one vector per sample.*returned shape \(1, 2, 9\).*Flatten"):
            num_features(nn.Conv1d(1, 2, 1), lambda: torch.zeros(1, 1, 9))
        with pytest.raises(ConfigurationError, match="returned a tuple"):
            num_features(nn.Flatten(), lambda: torch.zeros(1, 2), lambda x: (x,))


class Linear3(nn.Module):
    """A network of no stated size that takes four numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = nn.Linear(4, 2)

    def forward(self, x: Any) -> Any:
        return self.inside(x)


class Stated(nn.Module):
    """A network that states its layers, other ones than its children."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(2, 4), nn.Linear(4, 4)

    def layers(self) -> list[nn.Module]:
        return [self.second, self.first]

    def forward(self, x: Any) -> Any:
        return self.second(self.first(x))


class TestLayers:
    def test_a_backbone_states_its_layers(self) -> None:
        backbone = Stated()
        backbone.out_features = 4  # type: ignore[assignment]  # a plain number
        assert backbone_layers(Net(backbone)) == [backbone.second, backbone.first]

    def test_a_list_of_that_name_is_no_statement(self) -> None:
        backbone = nn.Module()
        backbone.layers = nn.ModuleList([nn.Linear(2, 2)])
        assert stated_layers(backbone) is None


class TestRates:
    def test_rates_that_were_measured_serve_where_the_user_left_them(self) -> None:
        task = Net()
        task.use_default_rates(0.02, weight_decay=0.5)
        defaults = task.configure_optimizers().defaults
        assert (defaults["lr"], defaults["weight_decay"]) == (0.02, 0.5)
        assert task.recorded_arguments.get("learning_rate") == 0.02
        assert task.hparams["learning_rate"] == 0.02

    def test_what_the_user_chose_stays(self) -> None:
        task = Net(learning_rate=0.3, optimizer="SGD")
        task.use_default_rates(0.02, weight_decay=0.5)
        defaults = task.configure_optimizers().defaults
        assert (defaults["lr"], defaults["weight_decay"]) == (0.3, 0)

    def test_another_optimizer_keeps_its_own_rate(self) -> None:
        task = Net(optimizer="SGD")
        task.use_default_rates(0.02)
        own = torch.optim.SGD([nn.Parameter(torch.zeros(1))]).defaults["lr"]
        assert task.configure_optimizers().defaults["lr"] == own

    def test_the_backbone_learns_at_its_part_of_the_rate(self) -> None:
        task = Net(learning_rate=0.1, lr_scheduler=("StepLR", {"step_size": 1}))
        task.use_default_rates(None, backbone_lr_factor=0.25)
        made = task.configure_optimizers()
        head, backbone = made["optimizer"].param_groups
        assert head["params"] == [*task.head.parameters()]
        assert backbone["params"] == [*task.backbone.parameters()]
        assert [head["lr"], backbone["lr"]] == pytest.approx([0.1, 0.025])
        assert made["lr_scheduler"]["scheduler"].base_lrs == pytest.approx([0.1, 0.025])

    @pytest.mark.parametrize("strategy", [FreezeUnfreeze(1), UnfreezeMilestones((1, 2), num_layers=1)])
    @pytest.mark.parametrize(("factor", "part"), [(0.25, 0.25), (1.0, 0.1)])
    def test_what_is_unfrozen_learns_at_the_same_part_or_at_a_tenth(
        self, strategy: FlashBaseFinetuning, factor: float, part: float
    ) -> None:
        task = Net(nn.Sequential(nn.Linear(2, 4), nn.Linear(4, 4)), learning_rate=0.1)
        task.use_default_rates(None, backbone_lr_factor=factor)
        assert _rate_after_unfreezing(task, strategy) == pytest.approx(0.1 * part)

    def test_a_strategy_may_say_another_part(self) -> None:
        task = Net(learning_rate=0.1)
        task.use_default_rates(None, backbone_lr_factor=0.25)
        assert _rate_after_unfreezing(task, FreezeUnfreeze(1, initial_denom_lr=5.0)) == pytest.approx(0.02)


def _rate_after_unfreezing(task: Net, strategy: FlashBaseFinetuning) -> float:
    trainer: Any = pl.Trainer(logger=False, accelerator="cpu", enable_progress_bar=False, enable_model_summary=False)
    trainer.strategy.connect(task)
    strategy.setup(trainer, task, "fit")
    optimizer = task.configure_optimizers()
    strategy.finetune_function(task, 1, optimizer)
    rate: float = optimizer.param_groups[1]["lr"]
    return rate
