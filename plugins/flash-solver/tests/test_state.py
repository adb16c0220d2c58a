from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from flash.solver import BaseSolver, StateError, StateManager
from flash.solver.state import AttributeWrapper, StateDictSource


class Owner:
    pass


def owner(value: Any) -> Any:
    made: Any = Owner()
    made.it = value
    return made


def test_modules_optimizers_schedulers_and_scalers_are_sources_of_state() -> None:
    model = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    for source in (model, optimizer, scheduler, torch.amp.GradScaler("cpu")):
        assert isinstance(source, StateDictSource)
    assert not isinstance(torch.Generator(), StateDictSource)


@pytest.mark.parametrize(("value", "state"), [([1, 2], [3]), ({"a": 1}, {"b": 2})])
def test_lists_and_dicts_are_changed_in_place(value: Any, state: Any) -> None:
    wrapper = AttributeWrapper(owner(value), "it")
    wrapper.load_state_dict(state)
    assert value == state
    assert wrapper.value is value


def test_a_tensor_of_the_same_shape_is_changed_in_place_and_another_is_replaced() -> None:
    value = torch.zeros(2)
    wrapper = AttributeWrapper(owner(value), "it")
    wrapper.load_state_dict(torch.ones(2))
    assert value.tolist() == [1, 1]
    wrapper.load_state_dict(torch.ones(3))
    assert wrapper.value.tolist() == [1, 1, 1]


def test_a_generator_goes_on_where_it_was() -> None:
    generator = torch.Generator().manual_seed(3)
    wrapper = AttributeWrapper(owner(generator), "it")
    state = wrapper.state_dict()
    first = torch.rand(2, generator=generator)
    wrapper.load_state_dict(state)
    assert torch.equal(first, torch.rand(2, generator=generator))


@pytest.mark.parametrize("value", [None, 3, "text", 2.5])
def test_anything_else_is_replaced(value: Any) -> None:
    wrapper = AttributeWrapper(owner(value), "it")
    wrapper.load_state_dict("new")
    assert wrapper.value == "new"


def test_a_name_is_registered_once() -> None:
    manager = StateManager()
    manager.register("model", nn.Linear(1, 1))
    with pytest.raises(StateError, match="'model' is registered already"):
        manager.register("model", nn.Linear(1, 1))
    with pytest.raises(ValueError, match="registered already"):
        manager.register("model", nn.Linear(1, 1))


def test_names_that_only_one_side_knows_are_one_readable_error_and_nothing_is_loaded() -> None:
    manager = StateManager()
    model = nn.Linear(1, 1)
    manager.register("model", model)
    manager.register("optim", AttributeWrapper(owner([]), "it"))
    before = model.weight.item()
    state = {"model": {"weight": torch.ones(1, 1), "bias": torch.ones(1)}, "other": 1}
    with pytest.raises(StateError, match="has 'other', which the solver has not registered and it lacks 'optim'"):
        manager.load_state_dict(state)
    assert model.weight.item() == before
    manager.load_state_dict(state, ignore=["other", "optim"])
    assert model.weight.item() == 1
    manager.load_state_dict({**state, "model": {"weight": torch.zeros(1, 1), "bias": torch.ones(1)}}, strict=False)
    assert model.weight.item() == 0


def test_state_that_is_written_only_is_saved_and_not_loaded(tmp_path: Path) -> None:
    solver: Any = BaseSolver(tmp_path)
    solver.note = "first"
    solver.register_stateful("note", write_only=True)
    state = dict(solver.state_dict())
    assert state["note"] == "first"
    solver.note = "second"
    solver.load_state_dict(state)
    assert solver.note == "second"
    solver.load_state_dict({"history": []})


def test_dotted_names_are_attributes_of_attributes(tmp_path: Path) -> None:
    solver: Any = BaseSolver(tmp_path)
    solver.inner = owner(3)
    solver.register_stateful("inner.it")
    assert solver.state_dict()["inner.it"] == 3
    with pytest.raises(AttributeError, match="nowhere"):
        solver.register_stateful("nowhere.it")


def test_an_attribute_that_was_never_set_is_named(tmp_path: Path) -> None:
    solver: Any = BaseSolver(tmp_path)
    solver.register_stateful("later")
    with pytest.raises(StateError, match="Expected BaseSolver to have the attribute 'later'"):
        solver.state_dict()
    solver.later = 1
    assert solver.state_dict()["later"] == 1
