"""Descriptions of the inputs that a preprocess makes."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from flash.data.portable import Portable, TensorSpec, example_specs, make_inputs, named_specs, open_dimensions
from flash.data.process import Preprocess
from flash.data.stage import Stage
from flash.errors import ConfigurationError


class TestTensorSpec:
    def test_the_first_dimension_is_the_batch(self) -> None:
        with pytest.raises(
            ConfigurationError,
            match=r"a shape that begins with 'batch', or with 1 for one sample at a time, but got \(3, 'batch'\)",
        ):
            TensorSpec("float32", (3, "batch"))

    def test_tensors_have_the_type_and_the_open_sizes(self) -> None:
        spec = TensorSpec("float32", ("batch", "length", 3))
        tensor = spec.make({"batch": 2, "length": 5}, seed=0)
        assert (tensor.shape, tensor.dtype) == ((2, 5, 3), torch.float32)
        assert torch.equal(tensor, spec.make({"batch": 2, "length": 5}, seed=0))
        assert not torch.equal(tensor, spec.make({"batch": 2, "length": 5}, seed=1))

    def test_codes_are_those_of_their_column(self) -> None:
        tensor = TensorSpec("int32", ("batch", 2), values=(2, 5)).make({"batch": 500}, seed=0)
        assert tensor.amin(0).tolist() == [0, 0]
        assert tensor.amax(0).tolist() == [1, 4]
        assert int(TensorSpec("uint8", ("batch", 9), values=256).make({"batch": 500}, 0).max()) == 255

    def test_a_mask_has_ones_before_zeros_and_a_row_without_padding(self) -> None:
        mask = TensorSpec("int64", ("batch", "length"), values="mask").make({"batch": 50, "length": 6}, seed=0)
        assert mask[0].tolist() == [1] * 6
        assert mask[:, 0].tolist() == [1] * 50
        assert bool((mask.diff(dim=1) <= 0).all())
        assert int(mask.sum()) < 300

    def test_examples_are_drawn_from_the_rows_of_a_tensor(self) -> None:
        rows = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
        made = TensorSpec("float32", ("batch", 2), values=rows).make({"batch": 20}, seed=0)
        assert {tuple(row) for row in made.tolist()} == {(1.0, 2.0), (3.0, 4.0)}

    def test_json_has_the_type_the_shape_and_the_limit(self) -> None:
        spec = TensorSpec("int64", ("batch", "length"), values=9, longest=64)
        assert spec.to_json() == {"dtype": "int64", "shape": ["batch", "length"], "longest": 64}


def test_inputs_are_made_in_the_order_of_their_names() -> None:
    specs = {"ids": TensorSpec("int64", ("batch", "length"), values=3), "x": TensorSpec("float32", ("batch", 4))}
    assert list(open_dimensions(specs)) == ["batch", "length"]
    assert [tuple(each.shape) for each in make_inputs(specs, {"batch": 2, "length": 5})] == [(2, 5), (2, 4)]
    assert list(named_specs(specs["x"])) == ["input"]


def test_a_batch_says_what_inputs_are() -> None:
    specs: Any = example_specs({"x": torch.zeros(3, 4), "n": torch.ones(3, dtype=torch.int64)})
    assert (specs["x"].shape, specs["n"].dtype, specs["n"].shape) == (("batch", 4), "int64", ("batch",))


@pytest.mark.parametrize("wrong", [[1.0], {}, {"x": 1}, torch.tensor(1.0), torch.zeros(0, 2)])
def test_what_is_no_batch_is_an_error(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match="Expected a batch of inputs as the network takes them, a tensor"):
        example_specs(wrong)


class Known(Preprocess):
    def to_tensor_transform(self, sample: Any) -> Any:
        return torch.tensor([float(sample)])

    def portable(self) -> Portable:
        return Portable(TensorSpec("float32", ("batch", 1)), encoder="acme.encoder", settings={"spec": self.input_spec})


class TestHooks:
    def test_the_requirements_of_the_network_are_known(self) -> None:
        assert Known().stage_hooks(Stage.PREDICT, "spec").portable().settings == {"spec": "spec"}

    @pytest.mark.parametrize("hook", ["load_data", "predict_load_data", "collate", "pre_tensor_transform"])
    def test_what_a_base_class_says_does_not_hold_for_other_hooks(self, hook: str) -> None:
        changed = type("Changed", (Known,), {hook: lambda self, value, *rest: value})
        found = changed().stage_hooks(Stage.PREDICT).portable()
        assert (found.inputs, found.encoder) == (None, None)
        assert (
            found.reason == f"Changed overrides {hook.removeprefix('predict_')}, of which Known.portable does not know"
        )

    def test_hooks_of_the_device_and_of_training_do_not_matter(self) -> None:
        class Changed(Known):
            def per_batch_transform_on_device(self, batch: Any) -> Any:
                return batch * 2

            def train_post_tensor_transform(self, sample: Any) -> Any:
                return sample + 1

        assert Changed().stage_hooks(Stage.PREDICT).portable().encoder == "acme.encoder"

    def test_a_class_that_says_it_again_is_asked(self) -> None:
        class Changed(Known):
            def collate(self, samples: Any) -> Any:
                return torch.stack(samples)

            def portable(self) -> Portable:
                return Portable(reason="not this one")

        assert Changed().stage_hooks(Stage.PREDICT).portable().reason == "not this one"
