"""Names in programs for the ancestor, Lightning Flash 0.x: where they are now, or what to write instead.

There is one table for each way of naming something: modules, names in modules, members of classes, and arguments. A
domain has tables of its own for what the ancestor had in it, and hands them to the functions below. Nothing here is
imported before an old name is looked up, except for arguments. The page on porting shows all of it as tables.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec
from typing import Any, NamedTuple, TypeVar

from flash.errors import ConfigurationError, FormerMemberError, FormerNameError

__all__ = [
    "FORMER_ARGUMENTS",
    "FORMER_MEMBERS",
    "FORMER_MODULES",
    "FORMER_NAMES",
    "Moved",
    "former_module",
    "former_names",
    "moved",
    "take_alias",
    "with_former_members",
]

# What tools ask any module for, so that no name of the ancestor begins so: Python itself, pytest and unittest.
_ASKED = ("__", "pytest", "setup", "setUp", "teardown", "tearDown", "load_tests")

C = TypeVar("C", bound=type)
V = TypeVar("V")


class Moved(NamedTuple):
    """The object that a former name means now, as ``"module:attribute"``; for names whose meaning is the same."""

    target: str


def moved(module: str, *names: str) -> dict[str, Moved | str]:
    """Return the table of names that are in one module now.

    Example:
        >>> moved("flash.data.process", "Preprocess")
        {'Preprocess': Moved(target='flash.data.process:Preprocess')}
    """
    return {name: Moved(f"{module}:{name}") for name in names}


_STAGES = ("train", "val", "test", "predict")
_PREDICT = "task.predict(inputs, output={!r})"
_HOOKS = (
    "Write hooks of a preprocess: class MyPreprocess(flash.Preprocess): def train_to_tensor_transform(self, sample): "
    "..., and pass preprocess=MyPreprocess() to the data module."
)
_LOAD = (
    "Write load_data and load_sample of a preprocess: class MyPreprocess(flash.Preprocess): def load_sample(self, "
    "sample, dataset): ..., and pass preprocess=MyPreprocess() to the data module."
)
_PAIRS = "A batch is a pair: write x, y = batch in place of batch['input'], batch['target']."
_SERVE = (
    "Write trainer.save_checkpoint('task.pt'), and in the web framework of your choice "
    "Task.load_from_checkpoint('task.pt').predict(inputs)."
)
_LINKS = "Pass what you read there as lists of files and targets: from_files(train_files=[...], train_targets=[...])."
_STEPS = "A task has its own steps: override step(self, batch, batch_idx), or training_step, validation_step, ..."
_CLI = "Lightning's own works: from lightning.pytorch.cli import LightningCLI; LightningCLI(MyTask, MyDataModule)."

#: Names that the modules of the ancestor had, whichever module they are looked up in.
FORMER_NAMES: Mapping[str, Moved | str] = {
    "ASSETS_ROOT": "Write the path of your own files: pathlib.Path('assets').",
    "FlashRegistry": Moved("flash.core.registry:Registry"),
    **moved("flash.data.auto_dataset", "AutoDataset"),
    **moved("flash.data.data_module", "DataModule"),
    **moved("flash.data.process", "Postprocess", "Preprocess"),
    # Batches and their hooks.
    "ApplyToKeys": f"{_PAIRS} A hook of a preprocess gets the sample: def to_tensor_transform(self, sample): ...",
    "AlbumentationsAdapter": (
        "Write a function: augmentation=lambda image: Image.fromarray(transform(image=np.array(image))['image'])."
    ),
    "DataKeys": _PAIRS,
    "DatasetInput": "Write flash.DataModule(train_dataset=dataset, batch_size=4).",
    "DataSource": _LOAD,
    "DefaultDataKeys": _PAIRS,
    "DefaultPreprocess": Moved("flash.data.process:Preprocess"),
    "FlashCallback": "Override the hook that it observed, in a preprocess: def load_sample(self, sample, dataset): ...",
    "Input": _LOAD,
    "InputTransform": _HOOKS,
    "IterableInput": _LOAD,
    "Output": "Write a function of predictions: task.predict(inputs, output=lambda predictions: predictions.tolist()).",
    "OutputTransform": "Write flash.Postprocess, and pass postprocess=MyPostprocess() to the data module or the task.",
    "RunningStage": "Write from flash.data.stage import Stage; a preprocess has self.training, self.predicting, ...",
    "Serializer": "Write a function of predictions: task.predict(inputs, output=lambda predictions: ...).",
    "SplitDataset": "Write torch.utils.data.Subset(dataset, indices), or val_split=0.2 of the data module.",
    # Outputs of classifiers, by the names of 0.6 to 0.8 and of 0.3 to 0.5.
    "Classes": f"Write {_PREDICT.format('classes')}.",
    "ClassesOutput": f"Write {_PREDICT.format('classes')}.",
    "FiftyOneLabels": f"Write {_PREDICT.format('labels')}, and make the labels of FiftyOne from what it returns.",
    "FiftyOneLabelsOutput": f"Write {_PREDICT.format('labels')}, and make the labels of FiftyOne from what it returns.",
    "Labels": f"Write {_PREDICT.format('labels')}.",
    "LabelsOutput": f"Write {_PREDICT.format('labels')}.",
    "Logits": f"Write {_PREDICT.format('logits')}.",
    "LogitsOutput": f"Write {_PREDICT.format('logits')}.",
    "PredsOutput": f"Write {_PREDICT.format('raw')}.",
    "Probabilities": f"Write {_PREDICT.format('probabilities')}.",
    "ProbabilitiesOutput": f"Write {_PREDICT.format('probabilities')}.",
    # Tasks.
    "Adapter": _STEPS,
    "AdapterTask": _STEPS,
    "ClassificationAdapterTask": "Write from flash.core.classification import ClassificationTask.",
    "ClassificationMixin": "Write from flash.core.classification import ClassificationTask.",
    "RegressionAdapterTask": "Write from flash.core.regression import RegressionTask.",
    # Registries and what they held.
    "ConcatRegistry": "Write registry.register('name', factory) for each name of the other one.",
    "ExternalRegistry": "A plugin lists names of another library: flash.plugins.BackboneCatalogue.",
    "LAMB": "Pass the class of a library that has it: optimizer=torch_optimizer.Lamb, learning_rate=1e-3.",
    "LARS": "Pass the class of a library that has it: optimizer=functools.partial(MyLARS, momentum=0.9).",
    "LinearWarmupCosineAnnealingLR": (
        "Write lr_scheduler=('OneCycleLR', {'max_lr': 1e-3}, {'interval': 'step'}), which warms up and anneals."
    ),
    # Serving.
    "Composition": _SERVE,
    "Endpoint": _SERVE,
    "ModelComponent": _SERVE,
    "Servable": _SERVE,
    "ServeInput": _SERVE,
    "expose": _SERVE,
    # Utilities.
    "FlashCLI": _CLI,
    "LightningCLI": _CLI,
    "example_requires": "Leave it out, and install the package of the domain: pip install flash-<domain>.",
    "requires": "Leave it out: a plugin states what it requires in its pyproject.toml.",
}

#: Modules that the ancestor had, with what to write for names in them that are not in the table of names.
FORMER_MODULES: Mapping[str, str] = {
    "flash.core.adapter": _STEPS,
    **dict.fromkeys(
        (
            f"flash.core.data{each}"
            for each in (
                *("", ".auto_dataset", ".batch", ".data_module", ".data_pipeline", ".data_source", ".process"),
                *(".properties", ".splits", ".transforms", ".utilities", ".utilities.classification"),
                *(".utilities.collate", ".utilities.data_frame", ".utilities.loading", ".utilities.paths"),
                *(".utilities.samples", ".utilities.sort"),
            )
        ),
        "The modules of data are in flash.data: from flash.data.process import Preprocess, Postprocess.",
    ),
    "flash.core.data.base_viz": "Write datamodule.show_batch('train').",
    "flash.core.data.callback": _HOOKS,
    **dict.fromkeys(
        (
            f"flash.core.data.io{each}"
            for each in (
                *("", ".classification_input", ".input", ".input_base", ".input_transform", ".output"),
                *(".output_transform", ".transform_predictions"),
            )
        ),
        _HOOKS,
    ),
    "flash.core.heads": "Write the module: head=torch.nn.Linear(512, 2), for a task that takes a head.",
    **dict.fromkeys(
        (
            f"flash.core.integrations{each}"
            for each in (
                *("", ".fiftyone", ".fiftyone.utils", ".icevision", ".icevision.adapter", ".icevision.data"),
                *(".icevision.transforms", ".labelstudio", ".labelstudio.app", ".labelstudio.input"),
                *(".labelstudio.visualizer", ".pytorch_forecasting", ".pytorch_tabular", ".vissl"),
            )
        ),
        _LINKS,
    ),
    **dict.fromkeys(
        (
            f"flash.core.serve{each}"
            for each in (
                *("", ".component", ".composition", ".core", ".decorators", ".flash_components", ".interfaces"),
                *(".server", ".types", ".utils"),
            )
        ),
        _SERVE,
    ),
    **dict.fromkeys(
        (
            f"flash.core.utilities{each}"
            for each in ("", ".apply_func", ".compatibility", ".isinstance", ".providers", ".types", ".url_error")
        ),
        "Leave it out: it was for the library itself.",
    ),
    "flash.core.utilities.embedder": "Write task.as_embedder('features').",
    "flash.core.utilities.flash_cli": _CLI,
    "flash.core.utilities.imports": "Leave it out: a package of Flash requires what it imports, and pip installs it.",
    "flash.core.utilities.lightning_cli": _CLI,
    "flash.core.utilities.stages": "Write from flash.data.stage import Stage.",
}

#: Members of classes of the ancestor, by the class that has their place; those with ``()`` are methods.
FORMER_MEMBERS: Mapping[str, Mapping[str, str]] = {
    "Task": {
        "available_heads()": "Write the head itself, where a task takes one: head=torch.nn.Linear(512, 2).",
        "available_training_strategies()": _STEPS,
        "get_backbone_details()": "Write Task.backbones.describe('name').",
        "get_num_training_steps()": "Write int(task.trainer.estimated_stepping_batches).",
        "process_predict_dataset()": "Write flash.DataModule(predict_dataset=dataset, batch_size=4).",
        "process_test_dataset()": "Write flash.DataModule(test_dataset=dataset, batch_size=4).",
        "process_train_dataset()": "Write flash.DataModule(train_dataset=dataset, batch_size=4).",
        "process_val_dataset()": "Write flash.DataModule(val_dataset=dataset, batch_size=4).",
        "run_serve_sanity_check()": _SERVE,
        "serializer": f"Choose it where you predict: {_PREDICT.format('probabilities')}.",
        "serve()": _SERVE,
    },
    "DataModule": {
        "from_fiftyone()": _LINKS,
        "from_labelstudio()": _LINKS,
        **{f"show_{stage}_batch()": f"Write datamodule.show_batch('{stage}')." for stage in _STAGES},
    },
    "Registry": {
        "available_keys()": "Write registry.list().",
    },
    "Trainer": dict.fromkeys(
        ("add_argparse_args()", "from_argparse_args()"),
        "Lightning 2 has it no longer. Write parser.add_argument('--max_epochs', type=int), and "
        "Trainer(max_epochs=args.max_epochs).",
    ),
}

_RESOLVER = "Leave it out, and write whole paths into the column: 'photos/' + table['id'] + '.jpg'."
_DATASET = "Write from_datasets(..., {}_dataset=...)."

#: Arguments of the ancestor and of Lightning 1, with what to write instead.
FORMER_ARGUMENTS: Mapping[str, str] = {
    "amp_backend": "Leave it out: mixed precision is that of PyTorch, precision='16-mixed'.",
    "auto_lr_find": "Find it with Lightning: Tuner(trainer).lr_find(task, datamodule=data).",
    "auto_scale_batch_size": "Find it with Lightning: Tuner(trainer).scale_batch_size(task, datamodule=data).",
    "auto_select_gpus": "Leave it out: a GPU that is there is used.",
    "checkpoint_callback": "Write enable_checkpointing=True or False.",
    "flush_logs_every_n_steps": "It is an argument of the logger: CSVLogger('logs', flush_logs_every_n_steps=100).",
    "gpus": "Leave it out, since a GPU that is there is used; or write accelerator='gpu', devices=1.",
    "log_gpu_memory": "Add Lightning's callback DeviceStatsMonitor().",
    "num_processes": "Write accelerator='cpu', devices=2.",
    "parameters": "Leave it out: from_data takes from the data what the task must know.",
    "predict_resolver": _RESOLVER,
    "progress_bar_refresh_rate": "Write enable_progress_bar=False for no bar.",
    "resume_from_checkpoint": "Pass it to the run: trainer.fit(task, data, ckpt_path=...).",
    "serializer": "Choose it where you predict: task.predict(..., output='probabilities').",
    "stochastic_weight_avg": "Add Lightning's callback StochasticWeightAveraging(swa_lrs=1e-2).",
    "target_formatter": "Leave it out: lists of classes, zeros and ones, and delimiter=',' are several classes.",
    "test_resolver": _RESOLVER,
    "tpu_cores": "Write accelerator='tpu', devices=8.",
    "track_grad_norm": "Log it in the hook on_before_optimizer_step, with pytorch_lightning.utilities.grad_norm.",
    "train_bn": "It is an argument of the strategy: strategy=('freeze', {'train_bn': True}).",
    "train_dataloader": "Write train_dataloaders.",
    "train_resolver": _RESOLVER,
    "transform": _HOOKS.replace("train_", ""),
    "transform_kwargs": "Write its entries as arguments of the constructor, or of the task.",
    "val_dataloader": "Write val_dataloaders.",
    "val_resolver": _RESOLVER,
    "weights_summary": "Write enable_model_summary=False for none.",
    **{f"{stage}_hf_dataset": _DATASET.format(stage) for stage in _STAGES},
    **{f"{stage}_transform": _HOOKS.replace("train_", f"{stage}_") for stage in _STAGES},
}


def former_names(module: str, names: Mapping[str, Moved | str] = FORMER_NAMES) -> Callable[[str], Any]:
    """Return the ``__getattr__`` of a module, which knows the names that the ancestor had in it.

    Args:
        module: The ``__name__`` of the module.
        names: The names, each with what it is now, or with the sentence that says what to write.

    Returns:
        A function that returns what moved, raises :class:`~flash.errors.FormerNameError` for what is gone, and
        ``AttributeError`` for other names.

    Example:
        >>> get = former_names("acme", {"Bag": Moved("collections:Counter"), "Sack": "Write collections.Counter."})
        >>> get("Bag").__name__
        'Counter'
        >>> get("Sack")
        Traceback (most recent call last):
        ...
        flash.errors.FormerNameError: Expected a name of this version of Flash, but got acme.Sack of version 0.x of \
Lightning Flash. Write collections.Counter.
    """
    return _getter(module, {}, names)


def former_module(
    module: str,
    modules: Mapping[str, str] = FORMER_MODULES,
    names: Mapping[str, Moved | str] = FORMER_NAMES,
) -> Callable[[str], Any]:
    """Return the ``__getattr__`` of a module that is there for old programs alone, and make the modules inside it.

    The modules inside are empty ones in ``sys.modules``, as ``os`` makes ``os.path``; they are made when a program
    imports the module around them. Each name in them is looked up as by :func:`former_names`, and any other name is
    an error with the sentence of its module.

    Args:
        module: The ``__name__`` of the module.
        modules: Former modules by full name, with what to write for names that are not in the other table.
        names: As for :func:`former_names`.

    Example:
        >>> get = former_module("acme.old", {"acme.old": "Write acme.new."}, {})
        >>> get("anything")
        Traceback (most recent call last):
        ...
        flash.errors.FormerNameError: Expected a name of this version of Flash, but got acme.old.anything of version \
0.x of Lightning Flash. Write acme.new.
    """
    for name in sorted(modules):
        if name.startswith(f"{module}.") and name not in sys.modules:
            made = module_from_spec(ModuleSpec(name, None, is_package=True))
            made.__doc__ = f"A module of version 0.x of Lightning Flash. {modules[name]}"
            vars(made)["__getattr__"] = _getter(name, modules, names)
            sys.modules[name] = made
            around, _, last = name.rpartition(".")
            vars(sys.modules[around])[last] = made
    return _getter(module, modules, names)


def _getter(module: str, modules: Mapping[str, str], names: Mapping[str, Moved | str]) -> Callable[[str], Any]:
    def get(name: str) -> Any:
        former = names.get(name)
        if former is None and not name.startswith(_ASKED):
            former = modules.get(module)
        if isinstance(former, Moved):
            source, _, attribute = former.target.partition(":")
            return getattr(importlib.import_module(source), attribute)
        if former is None:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        raise FormerNameError(
            f"Expected a name of this version of Flash, but got {module}.{name} of version 0.x of Lightning Flash. "
            f"{former}",
            name=module,
        )

    return get


def with_former_members(members: Mapping[str, str]) -> Callable[[C], C]:
    """Return a class decorator: members that the ancestor's class had raise an error that says what to write.

    Args:
        members: What to write, by the name of the member. Those with ``()`` are methods, which raise when they are
            called; others raise when they are read or set.

    Example:
        >>> @with_former_members({"keys()": "Write box.list()."})
        ... class Box: ...
        >>> Box().keys()
        Traceback (most recent call last):
        ...
        flash.errors.FormerMemberError: Expected a member of this version's Box, but got keys() of version 0.x of \
Lightning Flash. Write box.list().
    """

    def decorate(cls: C) -> C:
        for member, sentence in members.items():
            name = member.removesuffix("()")
            made = _former_method if member.endswith("()") else _FormerAttribute
            setattr(cls, name, made(member, sentence))
        return cls

    return decorate


def _former_method(member: str, sentence: str) -> Any:
    def former(cls: type, *_: Any, **__: Any) -> Any:
        raise _former_member(cls, member, sentence)

    return classmethod(former)


class _FormerAttribute:
    def __init__(self, member: str, sentence: str) -> None:
        self.member, self.sentence = member, sentence

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        raise _former_member(owner or type(instance), self.member, self.sentence)

    def __set__(self, instance: Any, value: Any) -> None:
        raise _former_member(type(instance), self.member, self.sentence)


def _former_member(cls: type, member: str, sentence: str) -> FormerMemberError:
    return FormerMemberError(
        f"Expected a member of this version's {cls.__name__}, but got {member} of version 0.x of Lightning Flash. "
        f"{sentence}"
    )


def take_alias(options: dict[str, Any], alias: str, name: str, value: V) -> V:
    """Return the value of an argument that was passed by its former name, which is removed from the options.

    Args:
        options: The other keyword arguments of the call, with the former name among them.
        alias: The former name.
        name: The name.
        value: The value by the name; ``None`` if it was not passed.

    Raises:
        ConfigurationError: If it was passed by both names.

    Example:
        >>> take_alias({"target_field": "y"}, "target_field", "target_fields", None)
        'y'
    """
    if value is not None:
        raise ConfigurationError(
            f"Expected {name} or {alias}, its other name, but got both: {name}={value!r} and "
            f"{alias}={options[alias]!r}. Leave {alias} out."
        )
    taken: V = options.pop(alias)
    return taken
