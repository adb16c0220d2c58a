"""Conformance checks of backbones."""

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
from flash.testing._compare import same, snapshot
from flash.testing._conformance import Conformance

__all__ = ["BackboneConformance"]

_TOLERANCE = 1e-4


class BackboneConformance(Conformance):
    """Conformance checks of a backbone.

    A subclass sets ``name`` and ``domain``, and provides the fixture ``inputs``; if the domain calls factories with
    arguments, it overrides ``build`` as well.

    Example:
        >>> class TestSmallCNN(BackboneConformance):
        ...     name, domain = "small_cnn", "audio"
        ...     @pytest.fixture
        ...     def inputs(self):
        ...         return torch.randn(4, 1, 32)
    """

    #: The registered name of the backbone, and its domain.
    name: ClassVar[str] = ""
    domain: ClassVar[str] = ""

    @pytest.fixture
    def build(self) -> Callable[[], nn.Module]:
        """Return a factory of the backbone with random weights; by default the registered one without arguments."""
        factory: Callable[[], nn.Module] = backbone_registry(self.domain).get(self.name)
        return factory

    @pytest.fixture
    def inputs(self) -> Any:
        """Return a batch of at least 3 samples for the backbone: tensors with one row per sample; override it."""
        raise NotImplementedError("Expected a fixture `inputs` with a batch that the backbone takes.")

    def test_it_is_known_by_its_name(self) -> None:
        """Check that ``flash backbones`` lists it, with a summary."""
        registry = backbone_registry(self.domain)
        assert self.name in registry, f"Expected {self.name!r} among the {self.domain} backbones, but it is not."
        entry = registry.entries().get(self.name)
        assert entry is None or entry.summary.strip(), f"Expected a summary of {self.name!r}, but it has none."

    def test_it_is_a_module_that_gives_one_row_a_sample(self, build: Callable[[], nn.Module], inputs: Any) -> None:
        """Check that the outputs are finite, with the batch as the first dimension."""
        network = build()
        assert isinstance(network, nn.Module), f"Expected a torch module, but got a {type(network).__name__}."
        outputs = _outputs(network.eval(), inputs)
        count = len(tree_leaves(inputs)[0])
        for output in outputs:
            assert output.shape[:1] == (count,), (
                f"Expected {count} rows, one per sample, but got shape {tuple(output.shape)}."
            )
            assert torch.isfinite(output).all(), "Expected finite numbers, but some are not."

    def test_it_says_how_many_features_it_gives(self, build: Callable[[], nn.Module], inputs: Any) -> None:
        """Check that ``out_features``, if a backbone has it, is the size of the last dimension of its output."""
        network = build()
        said = getattr(network, "out_features", None)
        found = _outputs(network.eval(), inputs)[0].shape[-1]
        assert said in (None, found), f"Expected out_features to be {found}, the size of the output, but it is {said}."

    def test_samples_do_not_see_each_other(self, build: Callable[[], nn.Module], inputs: Any) -> None:
        """Check in eval mode that the output of a sample does not depend on its batch or its position in it."""
        network = build().eval()
        whole = _outputs(network, inputs)
        count = len(tree_leaves(inputs)[0])
        alone = [_outputs(network, tree_map(lambda leaf, row=row: leaf[row : row + 1], inputs)) for row in range(count)]
        backwards = _outputs(network, tree_map(lambda leaf: leaf.flip(0), inputs))
        for place, output in enumerate(whole):
            one_by_one = torch.cat([each[place] for each in alone])
            assert same(one_by_one, output, _TOLERANCE), (
                "Expected the same of a sample alone as among others, but it differs."
            )
            assert same(backwards[place].flip(0), output, _TOLERANCE), (
                "Expected outputs in the order of the inputs, but with the inputs reversed they do not match."
            )

    def test_eval_mode_repeats_and_changes_nothing(self, build: Callable[[], nn.Module], inputs: Any) -> None:
        """Check that eval mode is deterministic, updates no statistics, and does not modify the inputs."""
        network = build().eval()
        before, given = snapshot(network), copy.deepcopy(inputs)
        first, second = _outputs(network, inputs), _outputs(network, inputs)
        assert same(first, second), "Expected the same outputs twice in eval mode, but they differ."
        assert same(before, snapshot(network)), (
            "Expected unchanged weights and statistics in eval mode, but they changed."
        )
        assert same(given, inputs), "Expected the inputs as they were, but the backbone changed them."

    def test_gradient_reaches_every_parameter(self, build: Callable[[], nn.Module], inputs: Any) -> None:
        """Check that every parameter has a nonzero gradient."""
        network = build().train()
        outputs = [output for output in _outputs(network, inputs, grad=True) if output.is_floating_point()]
        weights = [torch.randn_like(output) for output in outputs]
        sum((output * weight).sum() for output, weight in zip(outputs, weights, strict=True)).backward()  # type: ignore[union-attr]  # a sum of no outputs would be 0, and fail
        silent = [name for name, weight in network.named_parameters() if weight.grad is None or not weight.grad.any()]
        assert not silent, f"Expected a gradient at every parameter, but there was none at {silent}."

    def test_a_seed_gives_the_same_weights(self, build: Callable[[], nn.Module]) -> None:
        """Check that random weights are initialized from torch's random number generator."""
        made = []
        for seed in (1, 1, 2):
            torch.manual_seed(seed)
            made.append(snapshot(build()))
        assert same(made[0], made[1]), "Expected the same weights of one seed, but they differ."
        assert not same(made[0], made[2]), "Expected other weights of another seed, but they are the same."

    def test_stored_weights_come_back(self, build: Callable[[], nn.Module], inputs: Any) -> None:
        """Check that ``state_dict`` is serializable and restores an equal network; so does pickle."""
        network = build().eval()
        file = io.BytesIO()
        torch.save(network.state_dict(), file)
        file.seek(0)
        other = build().eval()
        other.load_state_dict(torch.load(file, weights_only=True))
        expected = _outputs(network, inputs)
        assert same(_outputs(other, inputs), expected, _TOLERANCE), (
            "Expected the same with stored weights, but it differs."
        )
        copied = pickle.loads(pickle.dumps(network))
        assert same(_outputs(copied, inputs), expected, _TOLERANCE), (
            "Expected the same of a pickled copy, but it differs."
        )


def _outputs(network: nn.Module, inputs: Any, grad: bool = False) -> list[Tensor]:
    with torch.set_grad_enabled(grad):
        return [
            leaf for leaf in tree_leaves(network(copy.deepcopy(inputs) if grad else inputs)) if isinstance(leaf, Tensor)
        ]
