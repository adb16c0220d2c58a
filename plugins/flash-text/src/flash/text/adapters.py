"""Tasks whose network supports low-rank adapters (LoRA), which are trained and saved in place of its weights."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from flash import Task
from flash.core.sharding import is_sharded
from flash.core.structure import changes_structure
from flash.errors import CheckpointError, ConfigurationError, FinetuningError, FlashError

__all__ = ["AdaptableTask"]

_SETTINGS = ("r", "alpha", "dropout")


class AdaptableTask(Task):
    """A task whose network supports adapters, which the strategy ``lora`` adds.

    A checkpoint then holds the adapters and other trained weights, such as a head, and the name of the transformers
    checkpoint that they were trained on, which must be in its folder or in the hub's cache when the task is loaded. If
    the network has other weights than that checkpoint, the task's checkpoint holds all weights. After
    :meth:`merge_adapters`, checkpoints are self-contained again.

    Args:
        args: Arguments of the task.
        adapters: The settings of adapters in checkpoints of flash-text 0.1.0.
        kwargs: Arguments of the task.
    """

    #: The attribute of the task that holds the network.
    network_attribute: ClassVar[str] = "backbone"
    #: The attribute of the backbone's dataclass that holds the same network.
    source_attribute: ClassVar[str] = "encoder"

    def __init__(self, *args: Any, adapters: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.adapters: dict[str, Any] | None = None
        self._pending_adapters = adapters

    @property
    def network(self) -> nn.Module:
        """The network that adapters are added to."""
        found: nn.Module = getattr(self, self.network_attribute)
        return found

    def add_adapters(self, settings: Mapping[str, Any]) -> None:
        """Add adapters to the network, or continue with the existing ones.

        Args:
            settings: ``r``, ``alpha``, ``dropout`` and ``target_modules``, as of :class:`~flash.text.lora.Lora`.

        Raises:
            FinetuningError: If there are adapters with other settings, or the network has no matching layers.
        """
        if self.adapters is None:
            base = None if settings.get("whole_checkpoints") else self._base_checksum()
            targets = _sorted(settings.get("target_modules") or _default_targets(self.network, import_peft()))
            chosen = {name: settings[name] for name in _SETTINGS}
            self.change_structure(put_adapters, **chosen, target_modules=targets, base=base)
        elif not self._has_settings(settings):
            raise FinetuningError(
                f"Expected the settings of the adapters that the task has, {self.adapters}, but got {dict(settings)}. "
                "Make the strategy with the same ones, or call task.merge_adapters() first to start with new ones."
            )

    def merge_adapters(self) -> None:
        """Merge the adapters into the weights of their layers; predictions stay the same, and the adapters are removed.

        Raises:
            FinetuningError: If there are no adapters.
        """
        if self.adapters is None:
            raise FinetuningError("Expected a task with adapters to merge, but it has none. Finetune it with 'lora'.")
        for name, layer in _lora_layers(self.network):
            layer.merge(safe_merge=True)
            parent, _, attribute = name.rpartition(".")
            # The layer has a new name, so that code that unfreezes the layers of the strategy would miss it.
            plain = layer.get_base_layer().requires_grad_(True).train(layer.training)
            setattr(self.network.get_submodule(parent), attribute, plain)
        del self.network.peft_config
        self.adapters = None
        self.backbone_lr_factor = self.recorded_arguments.get("backbone_lr_factor", 1.0)
        self.forget_structure(_PUT_ADAPTERS)

    def _has_settings(self, settings: Mapping[str, Any]) -> bool:
        assert self.adapters is not None
        targets = settings.get("target_modules")
        same = all(self.adapters[name] == settings[name] for name in _SETTINGS)
        return same and (targets is None or _sorted(targets) == self.adapters["target_modules"])

    # ------------------------------------------------------------------ base weights

    def _base_checksum(self) -> int | None:
        """Return a checksum of the network if it has the weights of its transformers checkpoint, else ``None``."""
        try:
            source = self._source()
        except FlashError:
            return None
        own = _checksum(self.network.state_dict())
        return own if source is not None and _checksum(source) == own else None

    def _source(self) -> dict[str, Tensor] | None:
        """Return the weights of the network's transformers checkpoint, or ``None`` if it was not made by name."""
        name = self.recorded_arguments.get("backbone")
        if not isinstance(name, str):
            return None
        made: nn.Module = getattr(self.backbone_factory(name)(pretrained=True), self.source_attribute)
        return made.state_dict()

    def _base_names(self) -> dict[str, str]:
        """Map the names of base weights in a checkpoint to their names in the network without adapters."""
        names = [name for name in self.network.state_dict() if "lora_" not in name]
        return {f"{self.network_attribute}.{name}": name.replace(".base_layer", "") for name in names}

    def _base_weights(self, base: int) -> dict[str, Tensor]:
        own = self.state_dict()
        weights = {plain: own[name] for name, plain in self._base_names().items()}
        if _checksum(weights) == base:
            return weights
        backbone = self.recorded_arguments.get("backbone")
        hint = "To save a self-contained checkpoint, call task.merge_adapters() first."
        try:
            source = self._source()
        except FlashError as error:
            raise CheckpointError(
                f"Expected the weights of {backbone!r}, since this checkpoint only holds adapters for them, but they "
                f"cannot be loaded. {error} {hint}"
            ) from error
        if source is None or _checksum(source) != base:
            raise CheckpointError(
                f"Expected the weights that the adapters in this checkpoint were trained on, but those of {backbone!r} "
                f"are others now. {hint}"
            )
        return source

    # ------------------------------------------------------------------ checkpoints

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Load weights; base weights that a checkpoint leaves out are loaded from the transformers checkpoint."""
        if self._pending_adapters is not None:
            # A checkpoint of flash-text 0.1.0 has them in the arguments of the task.
            settings, self._pending_adapters = dict(self._pending_adapters), None
            self.record_arguments(adapters=None)
            self.change_structure(put_adapters, **settings)
        if self.adapters is not None and self.adapters["base"] is not None:
            names = self._base_names()
            if not names.keys() & state_dict.keys():
                weights = self._base_weights(self.adapters["base"])
                state_dict = {**state_dict, **{name: weights[plain] for name, plain in names.items()}}
        return super().load_state_dict(state_dict, strict, assign)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Leave out the base weights of adapters, if the transformers checkpoint has the same ones.

        Weights that are sharded over processes are all kept: each process takes its share of them from the file.
        """
        super().on_save_checkpoint(checkpoint)
        if self.adapters is not None and self.adapters["base"] is not None and not is_sharded(self):
            names = self._base_names()
            weights = checkpoint["state_dict"].items()
            checkpoint["state_dict"] = {name: weight for name, weight in weights if name not in names}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Check that a resumed run has the adapters of the interrupted one."""
        found = checkpoint.get("flash", {})
        changes = [each["arguments"] for each in found.get("structure") or [] if each["target"] == _PUT_ADAPTERS]
        old = found.get("task", {}).get("init", {}).get("adapters")
        stored = changes[0] if changes else old
        if stored is not None or self.adapters is not None:
            self._check_adapters(stored)
        # A checkpoint of flash-text 0.1.0 records the adapters elsewhere.
        super().on_load_checkpoint(checkpoint if old is None else _with_changes(checkpoint, self.structure_changes))

    def _check_adapters(self, stored: Mapping[str, Any] | None) -> None:
        if stored is None or self.adapters is None or not self._has_settings(stored):
            raise FinetuningError(
                f"Expected a run with the adapters of the checkpoint, {stored}, but this one has {self.adapters}. "
                "Resume with the strategy that the run was started with."
            )
        if stored["base"] is not None and stored["base"] != self.adapters["base"]:
            raise CheckpointError(
                "Expected the weights that the adapters in this checkpoint were trained on, but the task has others. "
                "Make the task with the backbone that the run was started with."
            )


@changes_structure
def put_adapters(
    task: AdaptableTask, r: int, alpha: float, dropout: float, target_modules: Any, base: int | None
) -> None:
    """Add adapters to the network of a task; see :class:`~flash.text.lora.Lora` for the settings.

    Args:
        task: The task.
        r: The rank of the adapters.
        alpha: The scale of the adapters.
        dropout: The dropout probability of their input.
        target_modules: Suffixes of the names of layers, or a regular expression.
        base: A checksum of the base weights, if the transformers checkpoint has the same; then checkpoints leave them
            out.
    """
    settings = {"r": r, "alpha": alpha, "dropout": dropout, "target_modules": target_modules, "base": base}
    _inject(task.network, settings)
    task.adapters = settings
    # The trained weights in the backbone are new, as those of a head.
    task.backbone_lr_factor = 1.0


_PUT_ADAPTERS = f"{__name__}:{put_adapters.__name__}"


def _with_changes(checkpoint: Mapping[str, Any], changes: list[dict[str, Any]]) -> dict[str, Any]:
    return {**checkpoint, "flash": {**checkpoint["flash"], "structure": changes}}


def _checksum(weights: Mapping[str, Tensor]) -> int:
    """Return a CRC-32 checksum of weights."""
    total = 0
    for name in sorted(weights):
        # Arrays support the buffer protocol, but their type does not declare it.
        bits: Any = weights[name].detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        total = zlib.crc32(bits, zlib.crc32(name.encode(), total))
    return total


def _inject(network: nn.Module, settings: Mapping[str, Any]) -> None:
    """Add adapters to a network."""
    peft = import_peft()
    options = {"r": settings["r"], "lora_alpha": settings["alpha"], "lora_dropout": settings["dropout"]}
    targets = settings["target_modules"]
    config = peft.LoraConfig(target_modules=targets, **options)
    try:
        peft.inject_adapter_in_model(config, network)
    except ValueError as error:
        raise FinetuningError(
            f"Expected layers to add adapters to, but the network has none of {targets!r}: {error} Name some with "
            "strategy=('lora', {'target_modules': ['query', 'value']})."
        ) from error
    # peft freezes the network; what to freeze is up to the strategy.
    network.requires_grad_(True)


def _default_targets(network: nn.Module, peft: Any) -> Any:
    """Return peft's default target layers for the model type, or all linear layers if it has none."""
    known = peft.utils.TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING
    kind = getattr(getattr(network, "config", None), "model_type", None)
    if kind in known:
        return known[kind]
    return sorted({name.rpartition(".")[2] for name, layer in network.named_modules() if isinstance(layer, nn.Linear)})


def _sorted(targets: Any) -> Any:
    return targets if isinstance(targets, str) else sorted(targets)


def _lora_layers(network: nn.Module) -> list[tuple[str, Any]]:
    from peft.tuners.lora import LoraLayer

    return [(name, layer) for name, layer in network.named_modules() if isinstance(layer, LoraLayer)]


def import_peft() -> Any:
    """Import the library peft.

    Raises:
        ConfigurationError: If it is not installed.
    """
    try:
        import peft
        import peft.utils
    except ImportError as error:
        raise ConfigurationError(
            "Expected the library peft, which 'lora' needs, to be installed, but it is not. Install it: "
            "pip install 'flash-text[lora]'."
        ) from error
    return peft
