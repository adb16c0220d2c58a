"""DataModule: splits, order, loaders and facts."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset, IterableDataset, SubsetRandomSampler, TensorDataset
from typing_extensions import Self

import flash
from flash import DataModule, Preprocess
from flash.data.auto_dataset import AutoDataset
from flash.data.columns import Columns
from flash.data.loader import Loader, make_loader
from flash.data.splits import split_rows
from flash.data.stage import Stage
from flash.errors import ConfigurationError, DataError, UnknownArgumentError, UnknownNameError
from flash.plugins import DataSource, TaskSpec, hookimpl, isolated_plugins
from flash.testing._process import clean_context


class Rows(Dataset[Any]):
    """Rows that are their own numbers, given one by one."""

    def __init__(self, length: int) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Any:
        return torch.tensor(float(index)), index % 2


def seen(loader: Any) -> list[float]:
    return [float(value) for batch in loader for value in batch[0]]


# ---------------------------------------------------------------------- splits


@pytest.mark.parametrize("length", [2, 3, 10, 101])
@pytest.mark.parametrize("fraction", [0.001, 0.2, 0.5, 0.999])
def test_a_split_is_never_empty_and_keeps_every_row_once(length: int, fraction: float) -> None:
    train, val = split_rows(length, fraction, seed=0)
    assert len(train) >= 1
    assert len(val) >= 1
    assert sorted([*train, *val]) == list(range(length))


def test_a_split_with_classes_has_them_in_their_proportions() -> None:
    classes = np.array(["rare"] * 10 + ["often"] * 90)
    train, val = split_rows(100, 0.2, seed=0, classes=classes)
    assert (classes[val] == "rare").sum() == 2
    assert (classes[train] == "rare").sum() == 8


def test_a_class_with_one_row_stays_in_train() -> None:
    train, val = split_rows(4, 0.5, seed=0, classes=[0, 1, 1, 1])
    assert 0 in train
    assert len(val) >= 1


def test_classes_that_are_all_different_cannot_be_split() -> None:
    with pytest.raises(DataError, match="Expected classes with rows for both .* each row has all rows of a class. Add"):
        split_rows(10, 0.3, seed=0, classes=list(range(10)))


def test_the_seed_decides_the_split() -> None:
    first, again, other = (split_rows(50, 0.2, seed=seed)[1].tolist() for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, 2, True, "0.1", None])
def test_a_val_split_that_is_no_fraction_is_an_error(fraction: Any) -> None:
    with pytest.raises(ConfigurationError, match="Expected val_split to be a fraction between 0 and 1, such as 0.1"):
        split_rows(10, fraction, seed=0)


def test_one_row_cannot_be_split() -> None:
    with pytest.raises(DataError, match="Expected at least 2 rows to split off validation data, but got 1"):
        split_rows(1, 0.5, seed=0)


def test_val_split_beside_validation_data_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="Expected val_split or validation data, but got both"):
        DataModule(Rows(4), Rows(4), val_split=0.5)


def test_val_split_without_train_data_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="but got val_split alone"):
        DataModule(test_dataset=Rows(4), val_split=0.5)


def test_an_iterable_dataset_cannot_be_split() -> None:
    class Stream(IterableDataset[Any]):
        def __iter__(self) -> Any:
            return iter([1])

    with pytest.raises(
        ConfigurationError, match="Expected train data with a length and rows to split .*but got Stream"
    ):
        DataModule(Stream(), val_split=0.5)


def test_rows_split_off_are_seen_with_the_hooks_of_validation() -> None:
    class Marked(Preprocess):
        def train_post_tensor_transform(self, sample: Any) -> Any:
            return ("train", sample)

        def val_post_tensor_transform(self, sample: Any) -> Any:
            return ("val", sample)

    dm = DataModule.from_load_data_inputs(
        train_load_data_input=list(range(10)), preprocess=Marked(), val_split=0.2, seed=0
    )
    assert {dm.train_dataset[i][0] for i in range(8)} == {"train"}
    assert {dm.val_dataset[i][0] for i in range(2)} == {"val"}
    assert sorted([dm.train_dataset[i][1] for i in range(8)] + [dm.val_dataset[i][1] for i in range(2)]) == list(
        range(10)
    )


# ---------------------------------------------------------------------- order and batches


def test_training_sees_every_row_once_in_an_order_of_seed_and_epoch() -> None:
    dataset = TensorDataset(torch.arange(10.0), torch.zeros(10))
    orders = [
        seen(make_loader(dataset, Stage.TRAIN, None, batch_size=3, seed=seed, epoch=epoch))
        for seed, epoch in ((0, 0), (0, 0), (0, 1), (1, 0))
    ]
    assert all(sorted(order + [0.0] * (10 - len(order)))[-9:] for order in orders)
    assert orders[0] == orders[1]
    assert orders[0] != orders[2]
    assert orders[0] != orders[3]


@pytest.mark.parametrize("stage", [Stage.VAL, Stage.TEST, Stage.PREDICT])
def test_other_stages_keep_the_order(stage: Stage) -> None:
    dataset = TensorDataset(torch.arange(7.0), torch.zeros(7))
    assert seen(make_loader(dataset, stage, None, batch_size=3)) == list(range(7))


def test_reading_data_draws_nothing_from_the_random_numbers_of_training() -> None:
    before = torch.get_rng_state()
    list(make_loader(Rows(10), Stage.TRAIN, None, batch_size=3))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.process
@pytest.mark.parametrize("workers", [0, 2])
def test_rows_from_memory_and_rows_one_by_one_give_the_same_batches(workers: int) -> None:
    numbers = torch.arange(10.0)
    whole = TensorDataset(numbers, torch.arange(10) % 2)
    options: dict[str, Any] = {"batch_size": 4, "seed": 3}
    one = list(make_loader(whole, Stage.TRAIN, None, **options))
    other = list(make_loader(Rows(10), Stage.TRAIN, None, num_workers=workers, **options))
    for (x1, y1), (x2, y2) in zip(one, other, strict=True):
        assert torch.equal(x1, x2)
        assert torch.equal(y1, y2)


@pytest.mark.parametrize(("rows", "sizes"), [(9, [4, 4]), (10, [4, 4, 2]), (8, [4, 4]), (3, [3]), (1, [1])])
def test_only_a_last_train_batch_of_one_row_is_left_out(rows: int, sizes: list[int]) -> None:
    loader = make_loader(Rows(rows), Stage.TRAIN, None, batch_size=4)
    assert [len(batch[0]) for batch in loader] == sizes
    assert len(loader) == len(sizes)


def test_train_data_smaller_than_one_batch_trains(trainer_options: dict[str, Any]) -> None:
    x = torch.randn(5, 3)
    dm = DataModule.from_tensors(x, x.sum(1, keepdim=True), batch_size=64, seed=0)
    network = torch.nn.Linear(3, 1)
    task = flash.Task(network, torch.nn.functional.mse_loss, "SGD", 0.1)
    before = network.weight.clone()
    flash.Trainer(max_epochs=1, **trainer_options).fit(task, dm)
    assert not torch.equal(before, network.weight)


@pytest.mark.parametrize("how", ["instance", "class", "function"])
def test_a_sampler_decides_the_train_rows(how: str) -> None:
    class Backwards(torch.utils.data.Sampler[int]):
        def __init__(self, dataset: Any) -> None:
            self.rows = list(range(len(dataset)))[::-1]

        def __iter__(self) -> Any:
            return iter(self.rows)

        def __len__(self) -> int:
            return len(self.rows)

    dataset = Rows(5)
    sampler: Any = {"instance": Backwards(dataset), "class": Backwards, "function": lambda d: Backwards(d)}[how]
    dm = DataModule(dataset, Rows(3), sampler=sampler, batch_size=2)
    assert seen(dm.train_dataloader()) == [4, 3, 2, 1]  # the last batch would have one row
    assert seen(dm.val_dataloader()) == [0, 1, 2]


def test_a_sampler_of_a_part_of_the_rows_gives_that_part() -> None:
    dm = DataModule(Rows(10), sampler=SubsetRandomSampler([1, 3]), batch_size=2)
    assert sorted(seen(dm.train_dataloader())) == [1, 3]


def test_a_loader_goes_on_where_it_was() -> None:
    def make() -> Any:
        return make_loader(TensorDataset(torch.arange(10.0)), Stage.TRAIN, None, batch_size=2, seed=5)

    loader = make()
    iterator = iter(loader)
    first = [next(iterator)[0].tolist() for _ in range(2)]
    other = make()
    other.load_state_dict(loader.state_dict())
    rest = [batch[0].tolist() for batch in other]
    assert first + rest == [batch[0].tolist() for batch in make()]
    assert len(list(other)) == 5


def test_an_iterable_dataset_is_given_as_it_comes() -> None:
    class Stream(IterableDataset[Any]):
        def __iter__(self) -> Any:
            return iter([(1.0, 2), (3.0, 4), (5.0, 6)])

    batches = list(DataModule(Stream(), batch_size=2).train_dataloader())
    assert [batch[0].tolist() for batch in batches] == [[1.0, 3.0], [5.0]]


# ---------------------------------------------------------------------- making data modules


def test_any_torch_datasets_do() -> None:
    dm = DataModule(train_dataset=Rows(4), val_dataset=Rows(2), test_dataset=Rows(3), predict_dataset=Rows(1))
    loaders = (dm.train_dataloader(), dm.val_dataloader(), dm.test_dataloader(), dm.predict_dataloader())
    assert [len(seen(loader)) for loader in loaders] == [4, 2, 3, 1]


def test_without_validation_data_there_is_no_validation_loader() -> None:
    assert DataModule(Rows(4)).val_dataloader() == []


@pytest.mark.parametrize("stage", ["train", "test", "predict"])
def test_a_loader_without_data_is_an_error_that_says_what_to_pass(stage: str) -> None:
    dm = DataModule(val_dataset=Rows(2))
    with pytest.raises(
        DataError, match=f"Expected {stage} data, but this DataModule has none. Pass a {stage}_ argument"
    ):
        getattr(dm, f"{stage}_dataloader")()


def test_no_data_at_all_is_an_error() -> None:
    with pytest.raises(DataError, match="Expected data for at least one stage, but DataModule was given none"):
        DataModule.from_load_data_inputs()


@pytest.mark.parametrize("size", [0, -1, 2.5, True, None])
def test_a_batch_size_that_is_no_positive_whole_number_is_an_error(size: Any) -> None:
    with pytest.raises(ConfigurationError, match="Expected batch_size to be a whole number of at least 1"):
        DataModule(Rows(2), batch_size=size)


def test_data_without_targets_is_an_error() -> None:
    with pytest.raises(
        DataError, match="Expected train_data together with train_targets, but got data without targets"
    ):
        DataModule.from_tensors(train_data=torch.zeros(2, 2))


def test_arrays_become_batches_of_the_default_float_type_and_tell_their_facts() -> None:
    dm = DataModule.from_numpy(np.zeros((4, 3)), np.array([0, 2, 1, 2]), batch_size=2, seed=0)
    x, y = next(iter(dm.train_dataloader()))
    assert x.dtype == torch.float32
    assert y.dtype == torch.int64
    assert dm.facts == {"num_inputs": 3, "num_classes": 3}
    assert (dm.num_classes, dm.labels, dm.multi_label) == (3, None, False)


def test_batches_of_memory_go_through_the_batch_transform() -> None:
    class Doubled(Preprocess):
        def load_data(self, data: Any, dataset: Any) -> Any:
            return Columns(data)

        def train_per_batch_transform(self, batch: Any) -> Any:
            return batch * 2

    dm = DataModule.from_load_data_inputs(train_load_data_input=torch.ones(4, 1), preprocess=Doubled(), batch_size=4)
    assert next(iter(dm.train_dataloader())).tolist() == [[2.0]] * 4


def test_the_seed_comes_from_torchs_random_numbers_unless_it_is_given() -> None:
    torch.manual_seed(7)
    first = DataModule(Rows(2)).seed
    torch.manual_seed(7)
    assert DataModule(Rows(2)).seed == first
    assert DataModule(Rows(2), seed=3).seed == 3


@pytest.mark.process
@pytest.mark.parametrize("in_memory", [True, False])
def test_workers_that_know_nothing_of_this_process_give_the_same_batches(in_memory: bool) -> None:
    numbers = torch.arange(6.0)
    samples: Any = Columns((numbers, numbers)) if in_memory else [(number, number) for number in numbers]
    dataset = AutoDataset(samples, Stage.TRAIN, Preprocess())
    plain = seen(make_loader(dataset, Stage.TRAIN, None, batch_size=2, seed=1))
    loader = make_loader(
        dataset, Stage.TRAIN, None, batch_size=2, seed=1, num_workers=2, multiprocessing_context=clean_context()
    )
    assert isinstance(loader, Loader)
    assert seen(loader) == plain


# ---------------------------------------------------------------------- sources of plugins


class Toy(DataModule):
    """A data module that a plugin's source fills."""


def make_toy(cls: type[DataModule], rows: int) -> DataModule:
    return cls(Rows(rows))


class SourcePlugin:
    @hookimpl
    def flash_tasks(self) -> Any:
        yield TaskSpec("toy/rows", task=f"{__name__}:Toy", data=f"{__name__}:Toy", summary="Rows.")

    @hookimpl
    def flash_data_sources(self) -> Any:
        yield DataSource("numbers", data="toy/rows", factory=f"{__name__}:make_toy", summary="Numbers.")


def test_a_data_source_of_a_plugin_fills_its_data_module_and_no_other() -> None:
    with isolated_plugins(SourcePlugin()):
        assert Toy.available_sources() == ["numbers"]
        assert len(Toy.from_source("numbers", rows=3).train_dataset) == 3
        assert DataModule.available_sources() == []
        assert Toy.source_factory("numbers") is make_toy
        with pytest.raises(UnknownNameError, match="numbers"):
            Toy.from_source("nubmers", rows=3)


# ---------------------------------------------------------------------- arguments that nothing takes


class Reads(DataModule):
    read: ClassVar[list[str]] = []

    @classmethod
    def from_csv(cls, train_file: str, **kwargs: Any) -> Self:
        cls.check_arguments(kwargs, also=["sep"])
        cls.read.append(train_file)
        sep = kwargs.pop("sep", ",")
        return cls.from_load_data_inputs(train_file.split(sep), **kwargs)

    @classmethod
    def from_text(cls, train_text: str, **kwargs: Any) -> Self:
        return cls.from_load_data_inputs(train_text.split(), **kwargs)


def test_an_unknown_argument_is_an_error_of_the_constructor_before_data_is_read() -> None:
    with pytest.raises(
        UnknownArgumentError, match=r"Reads\.from_csv takes, but got 'batchsize'\. Did you mean 'batch_"
    ):
        Reads.from_csv("a,b", batchsize=2)
    with pytest.raises(
        UnknownArgumentError, match=r"Reads\.from_csv takes, but got 'train_fil'\. Did you mean 'train_"
    ):
        Reads.from_csv("a,b", train_fil="c")
    with pytest.raises(
        TypeError, match=r"but got 'zzz'\. It takes train_file, sep, preprocess, postprocess, batch_size"
    ):
        Reads.from_csv("a,b", zzz=1)
    assert Reads.read == []
    assert len(Reads.from_csv("a;b", sep=";", batch_size=1).train_dataset) == 2


def test_a_constructor_that_checks_nothing_is_named_too() -> None:
    with pytest.raises(
        UnknownArgumentError, match=r"Reads\.from_text takes, but got 'val_splt'\. Did you mean 'val_sp"
    ):
        Reads.from_text("a b", val_splt=0.5)
    with pytest.raises(UnknownArgumentError, match=r"DataModule\.from_datasets takes, but got 'seeds'"):
        DataModule.from_datasets(Rows(2), seeds=1)


@pytest.mark.parametrize("nest", [lambda one, two: {"one": one, "two": two}, lambda one, two: (one, two)])
def test_tensors_of_a_network_with_several_inputs_are_nested(nest: Any) -> None:
    one, two = torch.arange(6.0).reshape(3, 2), np.arange(3.0)
    dm = DataModule.from_tensors(nest(one, two), torch.tensor([0, 1, 0]), predict_data=nest(one, two), batch_size=3)
    (inputs,) = dm.predict_dataloader()
    assert type(inputs) is type(nest(one, two))
    found = list(inputs.values()) if isinstance(inputs, dict) else list(inputs)
    assert torch.equal(found[0], one)
    assert torch.equal(found[1], torch.arange(3.0))
    assert dm.num_classes == 2
