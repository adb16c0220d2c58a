"""BackboneConformance: what a network has to keep to be a backbone."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from flash.core.registry import backbone_registry
from flash.testing._battery import Conformance
from flash.testing._compare import same, snapshot

__all__ = ["BackboneConformance"]

_ROUGHLY = 1e-4


class BackboneConformance(Conformance):
    """What has to hold for a backbone.

    A subclass says ``name`` and ``domain``, and gives the fixture ``inputs``; where the domain calls factories with
    arguments, it overrides ``build`` as well.

    Example:
        >>> class TestSmallCNN(BackboneConformance):
        ...     name, domain = "small_cnn", "audio"
        ...     @pytest.fixture
        ...     def inputs(self):
        ...         return torch.randn(4, 1, 32)
    """

    #: The name that users write, and the domain that it is registered for.
    name: ClassVar[str] = ""
    domain: ClassVar[str] = ""

    @pytest.fixture
    def build(self) -> Callable[[], nn.Module]:
        """Makes the backbone with random weights; by default the registered factory without arguments."""
        factory: Callable[[], nn.Module] = backbone_registry(self.domain).get(self.name)
        return factory

    @pytest.fixture
    def inputs(self) -> Any:
        """A batch of at least 3 samples, as the backbone takes it: tensors of one row a sample; give it."""
        raise NotImplementedError("Expected a fixture `inputs` with a batch that the backbone takes.")

    def test_it_is_known_by_its_name(self) -> None:
        """``flash backbones`` lists it, with a summary."""
        registry = backbone_registry(self.domain)
        assert self.name in registry, f"Expected {self.name!r} among the {self.domain} backbones, but it is not."
        entry = registry.entries().get(self.name)
        assert entry is None or entry.summary.strip(), f"Expected a summary of {self.name!r}, but it has none."

    def test_it_is_a_module_that_gives_one_row_a_sample(self, build: Callable[[], nn.Module], inputs: Any) -> None:
        """Finite numbers, with the batch as the first dimension."""
        network = build()
        assert isinstance(network, nn.Module), f"Expected a torch module, but got a {type(network).__name__}."
        outputs = _outputs(network.eval(), inputs)
        count = len(tree_leaves(inputs)[0])
        for output in outputs:
            assert output.shape[:1] == (count,), (
                f"Expected {count} rows, one a sample, but got shape {tuple(output.shape)}."
            )
            assert torch.isfinite(output).all(), "Expected finite numbers, but some are not."

    def test_it_says_how_many_features_it_gives(self, build: Callable[[], nn.Module], inputs: Any) -> None:
        """``out_features``, where a backbone has it, is the size of the last dimension."""
        network = build()
        said = getattr(network, "out_features", None)
        found = _outputs(network.eval(), inputs)[0].shape[-1]
        assert said in (None, found), f"Expected out_features to be {found}, as the backbone gives, but it says {said}."

    def test_samples_do_not_see_each_other(self, build: Callable[[], nn.Module], inputs: Any) -> None:
        """In eval mode a sample gives the same alone, among others, and in another place."""
        network = build().eval()
        whole = _outputs(network, inputs)
        count = len(tree_leaves(inputs)[0])
        alone = [_outputs(network, tree_map(lambda leaf, row=row: leaf[row : row + 1], inputs)) for row in range(count)]
        backwards = _outputs(network, tree_map(lambda leaf: leaf.flip(0), inputs))
        for place, output in enumerate(whole):
            one_by_one = torch.cat([each[place] for each in alone])
            assert same(one_by_one, output, _ROUGHLY), (
                "Expected the same of a sample alone as among others, but it differs."
            )
            assert same(backwards[place].flip(0), output, _ROUGHLY), (
                "Expected outputs in the order of the inputs, but with the inputs turned round they do not match."
            )

    def test_eval_mode_repeats_and_changes_nothing(self, build: Callable[[], nn.Module], inputs: Any) -> None:
        """Neither dropout nor statistics, and the inputs stay as they were."""
        network = build().eval()
        before, given = snapshot(network), copy.deepcopy(inputs)
        first, second = _outputs(network, inputs), _outputs(network, inputs)
        assert same(first, second), "Expected the same outputs twice in eval mode, but they differ."
        assert same(before, snapshot(network)), (
            "Expected weights and statistics at rest in eval mode, but they changed."
        )
        assert same(given, inputs), "Expected the inputs as they were, but the backbone changed them."

    def test_gradient_reaches_every_parameter(self, build: Callable[[], nn.Module], inputs: Any) -> None:
        """All that it holds takes part."""
        network = build().train()
        outputs = [output for output in _outputs(network, inputs, grad=True) if output.is_floating_point()]
        weights = [torch.randn_like(output) for output in outputs]
        sum((output * weight).sum() for output, weight in zip(outputs, weights, strict=True)).backward()  # type: ignore[union-attr]  # a sum of no outputs would be 0, and fail
        silent = [name for name, weight in network.named_parameters() if weight.grad is None or not weight.grad.any()]
        assert not silent, f"Expected a gradient at every parameter, but there was none at {silent}."

    def test_a_seed_gives_the_same_weights(self, build: Callable[[], nn.Module]) -> None:
        """Random weights come from torch's random numbers."""
        made = []
        for seed in (1, 1, 2):
            torch.manual_seed(seed)
            made.append(snapshot(build()))
        assert same(made[0], made[1]), "Expected the same weights of one seed, but they differ."
        assert not same(made[0], made[2]), "Expected other weights of another seed, but they are the same."

    def test_stored_weights_come_back(self, build: Callable[[], nn.Module], inputs: Any) -> None:
        """``state_dict`` is plain data, and makes another one the same; so does pickle."""
        network = build().eval()
        file = io.BytesIO()
        torch.save(network.state_dict(), file)
        file.seek(0)
        other = build().eval()
        other.load_state_dict(torch.load(file, weights_only=True))
        expected = _outputs(network, inputs)
        assert same(_outputs(other, inputs), expected, _ROUGHLY), (
            "Expected the same with stored weights, but it differs."
        )
        copied = pickle.loads(pickle.dumps(network))
        assert same(_outputs(copied, inputs), expected, _ROUGHLY), (
            "Expected the same of a pickled copy, but it differs."
        )


def _outputs(network: nn.Module, inputs: Any, grad: bool = False) -> list[Tensor]:
    with torch.set_grad_enabled(grad):
        return [
            leaf for leaf in tree_leaves(network(copy.deepcopy(inputs) if grad else inputs)) if isinstance(leaf, Tensor)
        ]
