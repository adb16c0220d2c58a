"""The catalogue of planted defects: what is changed in the scaffold, and which check has to see it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DEFECTS", "Defect"]

PLUGIN, TASK, DATA = "src/acme_sonar/plugin.py", "src/acme_sonar/task.py", "src/acme_sonar/data.py"
BACKBONES, FINETUNING = "src/acme_sonar/backbones.py", "src/acme_sonar/finetuning.py"
SOURCES, TEST_TASK = "src/acme_sonar/sources.py", "tests/test_task.py"
PROJECT = "pyproject.toml"


@dataclass(frozen=True)
class Defect:
    """A mistake that a plugin's author could make.

    Args:
        name: What is wrong, in words.
        file: Where.
        old: What stands there, once.
        new: What is put in its place.
        check: The check that has to fail.
        message: What it has to say, as a regular expression.
        also: What else is changed: files, each with what stands there, once, and what is put in its place.
    """

    name: str
    file: str
    old: str
    new: str
    check: str
    message: str
    also: tuple[tuple[str, str, str], ...] = ()

    @property
    def changes(self) -> tuple[tuple[str, str, str], ...]:
        """All that is changed."""
        return ((self.file, self.old, self.new), *self.also)


def _after(file: str, old: str, more: str) -> tuple[str, str, str]:
    return file, old, old + more


HOOK_API = "HOOK_API = 1\n"
SUPER_INIT = "        super().__init__(num_classes=num_classes, labels=labels, learning_rate=learning_rate, **kwargs)\n"
HEAD_INIT = "        self.head = nn.Linear(num_features(self.backbone, _one_signal), self.num_classes)\n"
FEATURES = "        features: Tensor = self.backbone(x)\n        return features\n"
SCORES = "        scores: Tensor = self.head(features)\n        return scores\n"
DATA_CLASS = "    preprocess_cls = SonarPreprocess\n"
PREPROCESS_INIT = "        self.noise = noise\n"
SCALED = '        signals = ((sources - self.learned["mean"]) / self.learned["deviation"]).unsqueeze(1)\n'
RETURN_SAMPLES = "        return Columns(signals if targets is None else (signals, targets))\n"
STRATEGY_INIT = "        self.every = every\n"
LAYERS = "        layers = self.layers(pl_module)\n"
NOISE = "torch.randn_like(signals)"
OUT_FEATURES = "        self.out_features = width\n"
BACKBONE_FORWARD = "        features = x\n"


def _other_constructor(train: str, predict: str = "predict_data_frame") -> tuple[str, str, str]:
    """One of the constructors that the tests declare, which changes the columns of signals first."""
    constructor = (
        "\n    @classmethod\n"
        "    def from_data_frame(cls, input_field, *args, train_data_frame, predict_data_frame=None, **kwargs):\n"
        f"        train, predict = {train}, {predict}\n"
        "        frames = {'train_data_frame': train, 'predict_data_frame': predict}\n"
        "        return super().from_data_frame(input_field, *args, **frames, **kwargs)\n"
    )
    return _after(DATA, DATA_CLASS, constructor)


def _pieces(without: str, place: str = "Span(0, 1)") -> str:
    """A hook that divides a signal into one piece, which is said to be the first letter of what a person looks at."""
    return (
        "\n    def pieces(self, samples, row, most):\n"
        "        from flash.data.pieces import Pieces, Span\n"
        f"        return Pieces(self.display(samples, [row])[0], [{place}], lambda each: {without})\n"
    )


DEFECTS = [
    # ------------------------------------------------------------------ the plugin
    Defect(
        "imports torch at registration",
        *_after(PLUGIN, HOOK_API, "import torch\n"),
        "test_it_imports_quickly_and_without_torch",
        r"to import without torch, but it imports \['numpy', 'torch'\]",
    ),
    Defect(
        "imports slowly",
        *_after(PLUGIN, HOOK_API, "import time\ntime.sleep(0.4)\n"),
        "test_it_imports_quickly_and_without_torch",
        r"to import in 0\.3 s, but it takes",
    ),
    Defect(
        "misspells a target",
        *(PLUGIN, "acme_sonar.task:SonarClassifier", "acme_sonar.task:SonarClasifier"),
        "test_every_target_resolves",
        r"Expected the target task of the task 'sonar/classification', but .*SonarClasifier",
    ),
    Defect(
        "names a preprocess as the data module",
        *(PLUGIN, "acme_sonar.data:SonarClassificationData", "acme_sonar.data:SonarPreprocess"),
        "test_every_target_resolves",
        r"to be a subclass of flash\.DataModule",
    ),
    Defect(
        "names a target of somebody else",
        *(PLUGIN, "acme_sonar.backbones:small_cnn", "collections:OrderedDict"),
        "test_targets_are_in_its_own_package",
        r"in a package of acme-sonar, \['acme_sonar'\], but it is collections:OrderedDict",
    ),
    Defect(
        "has no summary",
        *(PLUGIN, 'summary="Which of several classes a signal belongs to."', 'summary=""'),
        "test_everything_has_a_summary",
        r"Expected a sentence of at least 3 words as summary of the task 'sonar/classification', but got ''",
    ),
    Defect(
        "sets an environment variable at import",
        *_after(PLUGIN, HOOK_API, 'import os\nos.environ["OMP_NUM_THREADS"] = "7"\n'),
        "test_its_import_leaves_the_process_as_it_was",
        r"but it changes \['os\.environ'\]",
    ),
    Defect(
        "seeds random numbers at import",
        *_after(PLUGIN, HOOK_API, "import random\nrandom.seed(0)\n"),
        "test_its_import_leaves_the_process_as_it_was",
        r"but it changes \['random numbers'\]",
    ),
    Defect(
        "silences all warnings at import",
        *_after(PLUGIN, HOOK_API, 'import warnings\nwarnings.simplefilter("ignore")\n'),
        "test_its_import_leaves_the_process_as_it_was",
        r"but it changes \['warnings\.filters'\]",
    ),
    Defect(
        "gives its strategy the first time only",
        PLUGIN,
        "def flash_finetuning_strategies() -> Iterator[Strategy]:\n",
        "def flash_finetuning_strategies(seen=[]) -> Iterator[Strategy]:\n    if seen:\n        return\n    seen.append(1)\n",
        "test_its_hooks_give_the_same_each_time",
        r"the second call returns something else",
    ),
    Defect(
        "asks the network at import",
        *_after(
            PLUGIN,
            HOOK_API,
            "import contextlib, socket\nwith contextlib.suppress(OSError):\n"
            '    socket.create_connection(("example.com", 80), timeout=1)\n',
        ),
        "test_it_imports_quickly_and_without_torch",
        r"asks the network, but it was asked for example\.com",
    ),
    Defect(
        "is written for another flash",
        *(PLUGIN, HOOK_API, "HOOK_API = 99\n"),
        "test_it_is_loaded",
        r"to be loaded, but it is failed: it is written for hook API 99",
    ),
    Defect(
        "says no upper bound of flash-core",
        *(PROJECT, ',<0.2"', '"'),
        "test_its_distribution_says_which_flash_core_it_needs",
        r"Expected a range such as flash-core>=0\.1,<0\.2",
    ),
    Defect(
        "ships a folder into flash",
        PROJECT,
        'packages = ["src/acme_sonar"]\n',
        'packages = ["src/acme_sonar"]\n[tool.hatch.build.targets.wheel.force-include]\n"README.md" = "flash/sonar/README.md"\n',
        "test_its_distribution_ships_nothing_into_flash",
        r"but acme-sonar ships flash/sonar/README\.md",
    ),
    # ------------------------------------------------------------------ data
    Defect(
        "learns statistics from test data too",
        DATA,
        SCALED,
        "        self.learned = self.learn(sources)\n" + SCALED,
        "test_what_is_learned_comes_from_the_train_data_alone",
        r"Expected to learn from train data alone",
    ),
    Defect(
        "returns a batch too many",
        *_after(
            DATA,
            DATA_CLASS,
            "\n    def test_dataloader(self) -> Any:\n        batches = list(super().test_dataloader())\n"
            "        return [*batches, batches[-1]]\n",
        ),
        "test_each_stage_has_each_sample_once",
        r"Expected 4 batches of the 7 test samples with batch_size=2, but got 5",
    ),
    Defect(
        "drops the last batch of a test",
        *_after(
            DATA,
            DATA_CLASS,
            "\n    def test_dataloader(self) -> Any:\n        return list(super().test_dataloader())[:-1]\n",
        ),
        "test_each_stage_has_each_sample_once",
        r"Expected 4 batches of the 7 test samples with batch_size=2, but got 3",
    ),
    Defect(
        "loses what does not fill a batch of predictions",
        DATA,
        SCALED,
        SCALED + "        if targets is None:\n            signals = signals[: len(signals) // 4 * 4 or 1]\n",
        "test_predictions_are_complete_and_in_order",
        r"Expected 7 results of task\.predict, but got 4",
    ),
    Defect(
        "shuffles what is to be predicted",
        DATA,
        SCALED,
        SCALED + "        if targets is None:\n            signals = signals[torch.randperm(len(signals))]\n",
        "test_predictions_are_complete_and_in_order",
        r"with the inputs reversed they do not match",
    ),
    Defect(
        "never shuffles",
        *_after(
            DATA,
            DATA_CLASS,
            "\n    def train_dataloader(self) -> Any:\n"
            "        return torch.utils.data.DataLoader(self.train_dataset, self.batch_size)\n",
        ),
        "test_an_epoch_has_each_train_sample_once_in_an_order_of_the_seed",
        r"Expected the order of the train samples to depend on the seed, but it does not",
    ),
    Defect(
        "shuffles without the seed",
        *_after(
            DATA,
            DATA_CLASS,
            "\n    def train_dataloader(self) -> Any:\n"
            "        return torch.utils.data.DataLoader(self.train_dataset, self.batch_size, shuffle=True)\n",
        ),
        "test_an_epoch_has_each_train_sample_once_in_an_order_of_the_seed",
        r"Expected one order of the train samples for one seed, but got two",
    ),
    Defect(
        "draws train samples with replacement",
        *_after(
            DATA,
            DATA_CLASS,
            "\n    def train_dataloader(self) -> Any:\n"
            "        generator = torch.Generator().manual_seed(self.seed)\n"
            "        sampler = torch.utils.data.RandomSampler(self.train_dataset, True, generator=generator)\n"
            "        return torch.utils.data.DataLoader(self.train_dataset, self.batch_size, sampler=sampler)\n",
        ),
        "test_an_epoch_has_each_train_sample_once_in_an_order_of_the_seed",
        r"Expected each train sample once in an epoch, but some are missing",
    ),
    Defect(
        "keeps a class in its state",
        *_after(
            DATA,
            PREPROCESS_INIT,
            "\n    def state_dict(self) -> dict[str, Any]:\n"
            "        state = super().state_dict()\n        return state and {**state, 'classes': self.targets}\n",
        ),
        "test_what_is_learned_is_plain_data_that_another_preprocess_takes_over",
        r"Expected serializable values in the preprocess's state_dict",
    ),
    Defect(
        "forgets its statistics on reload",
        *_after(
            DATA,
            PREPROCESS_INIT,
            "\n    def load_state_dict(self, state: Any) -> None:\n"
            "        super().load_state_dict({name: value for name, value in state.items() if name != 'learned'})\n",
        ),
        "test_what_is_learned_is_plain_data_that_another_preprocess_takes_over",
        r"Expected load_state_dict to restore what state_dict returned",
    ),
    Defect(
        "changes the user's array",
        DATA,
        SCALED,
        '        signals = sources.sub_(self.learned["mean"]).div_(self.learned["deviation"]).unsqueeze(1)\n',
        "test_what_users_hand_in_stays_as_it_was",
        r"the second time they differ|it changed \['train_data'",
    ),
    Defect(
        "lets a raw error through",
        *(DATA, "except (TypeError, ValueError) as error:", "except ZeroDivisionError as error:"),
        "test_bad_data_is_refused_in_words",
        r"Expected a FlashError where signals are words, but got a ValueError",
    ),
    Defect(
        "takes missing numbers for numbers",
        *(DATA, "        if not np.isfinite(signals).all():\n", "        if False:\n"),
        "test_bad_data_is_refused_in_words",
        r"Expected a FlashError where a number is missing, but it went through",
    ),
    Defect(
        "holds what cannot be sent to a worker",
        *_after(DATA, PREPROCESS_INIT, "        self.shift = lambda signal: signal\n"),
        "test_a_pickled_copy_gives_the_same_batches",
        r"Can't (pickle|get local object)",
    ),
    Defect(
        "augments validation samples",
        *_after(
            DATA,
            PREPROCESS_INIT,
            "\n    def per_batch_transform(self, batch: Any) -> Any:\n"
            "        x, *rest = batch if isinstance(batch, tuple) else (batch,)\n"
            "        return (x + torch.randn_like(x), *rest) if rest else x + torch.randn_like(x)\n",
        ),
        "test_each_stage_has_each_sample_once",
        r"Expected the same val samples with any batch size, but they differ",
    ),
    Defect(
        "learns the scale before the split",
        *_after(
            DATA,
            PREPROCESS_INIT,
            "\n    def split(self, data: Any, fraction: float, seed: int) -> Any:\n"
            "        self.whole = data.sources\n        return super().split(data, fraction, seed)\n",
        ),
        "test_a_split_learns_from_its_train_rows_alone",
        r"Expected to learn from the train rows of the split alone, .* but with validation rows beside them",
        (
            (
                DATA,
                '        return {"mean": float(sources.mean())',
                "        sources = getattr(self, 'whole', sources)\n" + '        return {"mean": float(sources.mean())',
            ),
        ),
    ),
    Defect(
        "learns from validation rows too",
        DATA,
        SCALED,
        "        if self.validating:\n            self.learned = self.learn(sources)\n" + SCALED,
        "test_a_split_learns_from_its_train_rows_alone",
        r"Expected to learn from the train rows of the split alone, .* but with validation rows beside them",
    ),
    Defect(
        "calls noisy signals deterministic",
        *(DATA, "        return stage is not Stage.TRAIN or self.noise == 0\n", "        return True\n"),
        "test_what_is_called_deterministic_is_alike_each_time",
        r"Expected the train samples alike each time with \{'noise': 0\.5\}, since is_deterministic says so",
    ),
    Defect(
        "adds the same noise in each epoch",
        *(DATA, NOISE, "signals.new_tensor(np.random.default_rng(0).normal(size=signals.shape[1:]))"),
        "test_augmentation_changes_train_samples_alone",
        r"Expected other train samples in the second epoch with \{'noise': 0\.5\}",
        ((DATA, "        return stage is not Stage.TRAIN or", "        return stage is not Stage.TRAIN or True or"),),
    ),
    Defect(
        "adds noise to validation signals",
        *(
            DATA,
            "    def is_deterministic",
            "    val_per_batch_transform = train_per_batch_transform\n\n    def is_deterministic",
        ),
        "test_augmentation_changes_train_samples_alone",
        r"Expected the same val samples each time, but they differ",
    ),
    Defect(
        "gives all signals one id",
        DATA,
        RETURN_SAMPLES,
        "        columns: Any = Columns(signals if targets is None else (signals, targets))\n"
        "        columns.ids = ['signal'] * len(columns) if self.predicting else range(len(columns))\n"
        "        return columns\n",
        "test_each_sample_has_an_id_of_its_own",
        r"Expected an id for each predict sample of the constructor, but several have signal",
    ),
    Defect(
        "loses a signal in another constructor",
        *_other_constructor("{name: values[1:] for name, values in train_data_frame.items()}"),
        "test_each_constructor_has_the_same_samples",
        r"Expected 48 train samples of from_data_frame, but got 47",
    ),
    Defect(
        "scales signals in another constructor",
        *_other_constructor(
            "{**train_data_frame, input_field: [each * 2 + 1 for each in train_data_frame[input_field]]}"
        ),
        "test_each_constructor_has_the_same_samples",
        r"Expected the val samples of the fixture `parts` from from_data_frame too, but they differ",
    ),
    Defect(
        "takes other signals to predict than task.predict does",
        *_other_constructor(
            "train_data_frame",
            "predict_data_frame and {input_field: [each[::-1] for each in predict_data_frame[input_field]]}",
        ),
        "test_task_predict_takes_what_each_constructor_takes",
        r"Expected task\.predict to take what from_data_frame takes, \['predict_data_frame'\], with the same results, but",
    ),
    # ------------------------------------------------------------------ the task
    Defect(
        "shuffles predictions",
        TASK,
        SCORES,
        "        scores: Tensor = self.head(features)\n"
        "        import torch\n\n"
        "        return scores if self.training else scores[torch.randperm(len(scores))]\n",
        "test_predictions_are_complete_and_in_order",
        r"with the inputs reversed they do not match",
    ),
    Defect(
        "keeps dropout on in prediction",
        TASK,
        FEATURES,
        "        features: Tensor = nn.functional.dropout(self.backbone(x), training=True)\n        return features\n",
        "test_prediction_and_validation_change_nothing",
        r"the second time they differ",
    ),
    Defect(
        "normalises a sample by its neighbours",
        TASK,
        FEATURES,
        "        features: Tensor = self.backbone(x)\n        return features - features.mean(0)\n",
        "test_one_by_one_equals_batched",
        r"Expected input 0 to be predicted alone as among others",
    ),
    Defect(
        "keeps an optimizer's reference to stale parameters",
        *_after(
            TASK,
            HEAD_INIT,
            "\n    def trained_parameters(self) -> list[Any]:\n"
            "        import copy\n\n        return copy.deepcopy(super().trained_parameters())\n",
        ),
        "test_the_optimizer_trains_the_weights_of_the_task",
        r"Expected all trainable parameters in the optimizer, but .*head\.weight.* are not in it",
    ),
    Defect(
        "trains the head alone in silence",
        *_after(
            TASK,
            HEAD_INIT,
            "\n    def trained_parameters(self) -> list[Any]:\n        return list(self.head.parameters())\n",
        ),
        "test_the_optimizer_trains_the_weights_of_the_task",
        r"Expected all trainable parameters in the optimizer, but .*backbone\.0\.0\.weight",
    ),
    Defect(
        "cuts the backbone off from the loss",
        *(TASK, FEATURES, "        features: Tensor = self.backbone(x)\n        return features.detach()\n"),
        "test_gradient_reaches_every_trainable_parameter",
        r"there was none at \['backbone\.0\.0\.weight'",
    ),
    Defect(
        "has weights that nothing uses",
        *_after(TASK, HEAD_INIT, "        self.spare = nn.Linear(2, 2)\n"),
        "test_gradient_reaches_every_trainable_parameter",
        r"there was none at \['spare\.weight', 'spare\.bias'\]",
    ),
    Defect(
        "climbs instead of descending",
        *_after(
            TASK,
            HEAD_INIT,
            "\n    def compute_loss(self, y_hat: Any, y: Any) -> Tensor:\n"
            "        loss = super().compute_loss(y_hat, y)\n        return -loss if self.training else loss\n",
        ),
        "test_the_loss_falls",
        r"Expected the validation loss to fall from",
    ),
    Defect(
        "cannot tell the classes apart",
        *(TASK, SCORES, "        scores: Tensor = self.head(features * 0)\n        return scores\n"),
        "test_the_loss_falls",
        r"Expected the validation loss to fall from",
    ),
    Defect(
        "logs a loss that is no number",
        *_after(
            TASK,
            HEAD_INIT,
            "\n    def compute_loss(self, y_hat: Any, y: Any) -> Tensor:\n"
            "        loss = super().compute_loss(y_hat, y)\n        return loss if self.training else loss * float('nan')\n",
        ),
        "test_each_stage_runs",
        r"Expected a finite val_loss, but got nan",
    ),
    Defect(
        "forgets its labels on reload",
        TASK,
        SUPER_INIT,
        "        super().__init__(num_classes=num_classes or len(labels or ()), learning_rate=learning_rate, **kwargs)\n"
        "        self.labels = list(labels) if labels else None\n"
        "        self.record_arguments(labels=None, num_classes=self.num_classes)\n",
        "test_a_new_process_loads_a_checkpoint_and_predicts_the_same",
        r"Expected the results of before, such as '(high|low)', from the checkpoint in a new process, but got [01]",
    ),
    Defect(
        "forgets a setting on reload",
        TASK,
        HEAD_INIT,
        HEAD_INIT + "        self.scale = 1.0\n\n"
        "    def on_fit_start(self) -> None:\n        super().on_fit_start()\n        self.scale = 3.0\n\n"
        "    def forward(self, x: Any) -> Tensor:\n        return self.scale * super().forward(x)\n",
        "test_a_new_process_loads_a_checkpoint_and_predicts_the_same",
        r"Expected the results of before, such as tensor",
    ),
    Defect(
        "puts an object into checkpoints",
        *_after(
            TASK,
            HEAD_INIT,
            "\n    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:\n"
            "        super().on_save_checkpoint(checkpoint)\n"
            '        checkpoint["preprocess"] = self.preprocess\n',
        ),
        "test_a_checkpoint_is_plain_data",
        r"Expected a checkpoint of serializable values, but torch says",
    ),
    Defect(
        "saves only with a trainer",
        *_after(
            TASK,
            HEAD_INIT,
            "\n    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:\n"
            "        super().on_save_checkpoint(checkpoint)\n"
            '        checkpoint["epoch_of_the_task"] = self.trainer.current_epoch\n',
        ),
        "test_a_folder_for_the_hub_restores_the_task",
        r"Expected a task without a trainer to be saved, but got RuntimeError: .*not attached to a `Trainer`",
    ),
    Defect(
        "cannot be sent to another process",
        *_after(TASK, HEAD_INIT, "        self.shift = lambda scores: scores\n"),
        "test_a_pickled_copy_predicts_the_same",
        r"Can't (pickle|get local object)",
    ),
    Defect(
        "draws weights that no seed decides",
        *_after(
            TASK,
            HEAD_INIT,
            "        import os\n\n        import torch\n\n"
            "        generator = torch.Generator().manual_seed(int.from_bytes(os.urandom(4), 'big'))\n"
            "        nn.init.normal_(self.head.weight, generator=generator)\n",
        ),
        "test_a_seed_reproduces_the_training",
        r"Expected two runs with one seed to end alike, but these weights differ: .*'head\.weight'",
    ),
    Defect(
        "lets test data into training",
        *_after(
            TASK,
            HEAD_INIT,
            "\n    def on_fit_start(self) -> None:\n        super().on_fit_start()\n"
            "        test: Any = self.trainer.datamodule.test_dataset\n"
            "        if test is not None:\n            self.head.bias.data += test[0][0].mean() + 0.1\n",
        ),
        "test_test_and_prediction_data_leave_no_trace_in_the_weights",
        r"Expected that test and prediction data leave no trace in training, but these weights differ",
    ),
    Defect(
        "has nothing that strategies could freeze",
        *_after(TASK, HEAD_INIT, "\n    def modules_to_freeze(self) -> Any:\n        return None\n"),
        "test_strategies_freeze_what_they_say_and_resume",
        r"FinetuningError: Expected a `backbone` with parameters to freeze",
    ),
    Defect(
        "switches a frozen backbone to train mode",
        TASK,
        FEATURES,
        "        self.backbone.train()\n        features: Tensor = self.backbone(x)\n        return features\n",
        "test_strategies_freeze_what_they_say_and_resume",
        r"Expected a frozen backbone in the first epoch with 'freeze', but it changed",
    ),
    Defect(
        "learns statistics in validation",
        *_after(
            TASK,
            HEAD_INIT,
            "\n    def validation_step(self, batch: Any, batch_idx: int) -> Any:\n"
            "        self.backbone.train()\n        return super().validation_step(batch, batch_idx)\n",
        ),
        "test_prediction_and_validation_change_nothing",
        r"Expected unchanged weights outside training, but .*running_mean.* changed",
    ),
    Defect(
        "asks the network when it is made",
        *_after(
            TASK,
            HEAD_INIT,
            "        import contextlib, urllib.request\n\n        with contextlib.suppress(OSError):\n"
            '            urllib.request.urlopen("http://example.com/weights", timeout=1)\n',
        ),
        "test_each_stage_runs",
        r"asks the network, but it was asked for example\.com",
    ),
    Defect(
        "takes any raw input",
        *(
            DATA,
            "        if signals.ndim != 2 or signals.shape[1] == 0:\n",
            "        signals = np.atleast_2d(signals)\n        if False:\n",
        ),
        "test_bad_input_is_refused_in_words",
        r"Expected a FlashError where there is one dimension, but it went through",
    ),
    Defect(
        "computes more than its two halves",
        *_after(
            TASK,
            HEAD_INIT,
            "\n    def forward(self, x: Any) -> Tensor:\n"
            "        from flash.data.batch import Features\n\n"
            "        return super().forward(x) * (1 if isinstance(x, Features) else 2)\n",
        ),
        "test_forward_is_its_two_halves",
        r"Expected forward\(x\) to equal forward_head\(forward_features\(x\)\), but they differ",
    ),
    Defect(
        "does not know kept features",
        *_after(
            TASK,
            HEAD_INIT,
            "\n    def forward(self, x: Any) -> Tensor:\n"
            "        from flash.data.batch import Features\n\n"
            "        known = isinstance(x, Features)\n"
            "        return self.forward_head(2 * x.values if known else self.forward_features(x))\n",
        ),
        "test_forward_is_its_two_halves",
        r"Expected forward of cached features to equal forward of the inputs, but they differ",
    ),
    Defect(
        "drops features of the backbone at random",
        TASK,
        FEATURES,
        "        features: Tensor = nn.functional.dropout(self.backbone(x), training=self.training)\n"
        "        return features\n",
        "test_kept_features_change_no_result",
        r"Expected the same logs in epoch 0 with cached features of the frozen backbone as without",
    ),
    # ------------------------------------------------------------------ the strategy
    Defect(
        "freezes nothing",
        *_after(
            FINETUNING,
            STRATEGY_INIT,
            "\n    def freeze_before_training(self, pl_module: pl.LightningModule) -> None:\n        pass\n",
        ),
        "test_what_is_frozen_rests_and_what_is_not_trains",
        r"Expected the layers \[\] to train in epoch 0, but \[0, 1, 2\] changed",
    ),
    Defect(
        "lets batch norm go on in frozen layers",
        *(FINETUNING, "        super().__init__()\n", "        super().__init__(train_bn=True)\n"),
        "test_what_is_frozen_rests_and_what_is_not_trains",
        r"Expected the layers \[\] to train in epoch 0, but \[0, 1, 2\] changed",
    ),
    Defect(
        "thaws an epoch too early",
        *(FINETUNING, "number, rest = divmod(epoch, self.every)", "number, rest = divmod(epoch + 1, self.every)"),
        "test_what_is_frozen_rests_and_what_is_not_trains",
        r"Expected the layers \[\] to train in epoch 0, but \[2\] changed",
    ),
    Defect(
        "thaws the first layer first",
        *(FINETUNING, "layers[-number]", "layers[number - 1]"),
        "test_what_is_frozen_rests_and_what_is_not_trains",
        r"Expected the layers \[2\] to train in epoch 1, but \[0\] changed",
    ),
    Defect(
        "takes the children of the backbone for its layers",
        FINETUNING,
        "layers = self.layers(pl_module)",
        "layers = list(pl_module.backbone.children())",
        "test_layers_inside_one_module_are_those_of_the_task",
        r"Expected the layers \[2\] to train in epoch 1 where the backbone has them inside one module, but \[0, 1, 2\]",
    ),
    Defect(
        "unfreezes without adding to the optimizer",
        FINETUNING,
        "            self.unfreeze_and_add_param_group(layers[-number], optimizer)\n",
        "            layers[-number].requires_grad_(True)\n",
        "test_the_optimizer_holds_what_trains_once",
        r"Expected the layers \[2\] in the optimizer in epoch 1, but there are \[\]",
    ),
    Defect(
        "gives what thaws no learning rate",
        *(FINETUNING, "(layers[-number], optimizer)", "(layers[-number], optimizer, lr=0.0)"),
        "test_the_optimizer_holds_what_trains_once",
        r"Expected learning rates above 0 in epoch 1",
    ),
    Defect(
        "counts epochs by itself",
        FINETUNING,
        "        number, rest = divmod(epoch, self.every)\n",
        "        self.count = getattr(self, 'count', -1) + 1\n        number, rest = divmod(self.count, self.every)\n",
        "test_a_resumed_run_ends_as_the_whole_one",
        r"Expected a run resumed after epoch 1 to end as the whole one",
    ),
    Defect(
        "remembers the run before",
        FINETUNING,
        "        number, rest = divmod(epoch, self.every)\n",
        "        self.count = getattr(self, 'count', -1) + 1\n        number, rest = divmod(self.count, self.every)\n",
        "test_one_object_serves_two_runs",
        r"Expected the second run to freeze as the first",
    ),
    Defect(
        "trains everything where there is no backbone",
        FINETUNING,
        STRATEGY_INIT,
        STRATEGY_INIT + "\n    def modules_to_freeze(self, pl_module: pl.LightningModule) -> Any:\n"
        "        return [pl_module.backbone] if hasattr(pl_module, 'backbone') else []\n\n"
        "    def layers(self, pl_module: pl.LightningModule) -> Any:\n"
        "        return super().layers(pl_module) if hasattr(pl_module, 'backbone') else []\n",
        "test_nothing_to_freeze_is_an_error",
        r"Expected a FinetuningError for a task without a backbone, but it was trained",
    ),
    Defect(
        "cannot be sent to other processes",
        *_after(FINETUNING, STRATEGY_INIT, "        self.due = lambda epoch: epoch % every == 0\n"),
        "test_a_pickled_copy_freezes_alike",
        r"Can't (pickle|get local object)",
    ),
    Defect(
        "takes arguments that it does not know",
        *(
            FINETUNING,
            "def __init__(self, every: int = 1) -> None:",
            "def __init__(self, every: int = 1, **unknown: object) -> None:",
        ),
        "test_unknown_arguments_are_refused_in_words",
        r"DID NOT RAISE",
    ),
    Defect(
        "does not restore its state",
        *_after(
            FINETUNING,
            STRATEGY_INIT,
            "        self.state['epochs'] = 0\n\n"
            "    def load_state_dict(self, state_dict: dict[str, object]) -> None:\n"
            "        super().load_state_dict({k: v for k, v in state_dict.items() if k != 'strategy'})\n",
        ),
        "test_what_it_remembers_comes_back",
        r"to end with what the strategy remembers of the whole one, \[4\], but \['epochs'\] are \[2\]",
        ((FINETUNING, LAYERS, "        self.state['epochs'] += 1\n" + LAYERS),),
    ),
    Defect(
        "remembers outside of its state",
        *_after(FINETUNING, STRATEGY_INIT, "        self.seen = 0\n"),
        "test_what_it_remembers_comes_back",
        r"but \['seen'\] are \[2\]\. Keep it in self\.state",
        ((FINETUNING, LAYERS, "        self.seen += 1\n" + LAYERS),),
    ),
    Defect(
        "changes the network behind the checkpoint's back",
        *_after(
            FINETUNING,
            STRATEGY_INIT,
            "\n    def freeze_before_training(self, pl_module: pl.LightningModule) -> None:\n"
            "        from torch import nn\n\n"
            "        super().freeze_before_training(pl_module)\n        pl_module.adapter = nn.Linear(2, 2)\n",
        ),
        "test_a_checkpoint_brings_the_network_back",
        r"(?s)Expected the checkpoint of a run to load, but: .*adapter.*Change the network with task\.change_structure",
    ),
    # ------------------------------------------------------------------ the data source
    Defect(
        "makes a data module of its own choice",
        SOURCES,
        "    return datamodule_cls.from_numpy(\n",
        "    from .data import SonarClassificationData\n\n    return SonarClassificationData.from_numpy(\n",
        "test_it_makes_the_data_module_that_asks",
        r"Expected a Sub from the source, but got a SonarClassificationData",
    ),
    Defect(
        "draws other samples each time",
        *(SOURCES, "make_tones(count, tones_seed)", "make_tones(count, None)"),
        "test_the_same_arguments_give_the_same_samples",
        r"Expected the same train samples of the same arguments, but the second time they differ",
    ),
    Defect(
        "takes arguments that nothing takes",
        *(SOURCES, "        **kwargs,\n", "        seed=kwargs['seed'],\n        batch_size=kwargs['batch_size'],\n"),
        "test_bad_arguments_are_refused_in_words",
        r"Expected a FlashError where nothing takes an argument, but it went through",
    ),
    Defect(
        "batches as it likes",
        *(SOURCES, "        **kwargs,\n", "        **{**kwargs, 'batch_size': 8},\n"),
        "TestTones and test_each_stage_has_each_sample_once",
        r"Expected batch_size=2 as it was asked for, but got 8",
    ),
    Defect(
        "is a source under another name",
        *(PLUGIN, '        "tones",\n', '        "noises",\n'),
        "TestTones and test_it_is_known_by_its_name",
        r"Expected 'tones' among the sources of SonarClassificationData: \['noises'\]",
    ),
    Defect(
        "makes data that cannot be sent to other processes",
        SOURCES,
        "    half, quarter = count // 2, count // 4\n",
        "    half, quarter = count // 2, count // 4\n    kwargs['postprocess'] = lambda batch: batch\n",
        "TestTones and test_a_pickled_copy_gives_the_same_samples",
        r"Can't (pickle|get local object)",
    ),
    # ------------------------------------------------------------------ the backbone
    Defect(
        "is registered under another name",
        *(PLUGIN, '        "small_cnn",\n', '        "smal_cnn",\n'),
        "TestSmallCNN and test_it_is_known_by_its_name",
        r"Expected 'small_cnn' among the sonar backbones, but it is not",
    ),
    Defect(
        "lies about its features",
        *(BACKBONES, OUT_FEATURES, "        self.out_features = width + 1\n"),
        "test_it_says_how_many_features_it_gives",
        r"Expected out_features to be 16, the size of the output, but it is 17",
    ),
    Defect(
        "lets samples see each other",
        *(BACKBONES, BACKBONE_FORWARD, "        features = x - x.mean(0)\n"),
        "test_samples_do_not_see_each_other",
        r"Expected the same of a sample alone as among others",
    ),
    Defect(
        "turns the batch round",
        *(BACKBONES, "        return features\n", "        return features.sort(0).values\n"),
        "test_samples_do_not_see_each_other",
        r"Expected the same of a sample alone as among others|Expected outputs in the order of the inputs",
    ),
    Defect(
        "changes its input",
        *(BACKBONES, BACKBONE_FORWARD, "        features = x.mul_(2)\n"),
        "test_eval_mode_repeats_and_changes_nothing",
        r"Expected the same outputs twice in eval mode|Expected the inputs as they were",
    ),
    Defect(
        "draws weights from other random numbers",
        *_after(
            BACKBONES,
            OUT_FEATURES,
            "        import numpy\n\n        drawn = numpy.random.default_rng().normal(size=(width,))\n"
            "        self[0][0].bias.data += type(self[0][0].bias.data)(drawn)\n",
        ),
        "test_a_seed_gives_the_same_weights",
        r"Expected the same weights of one seed, but they differ",
    ),
    Defect(
        "keeps weights out of its state",
        BACKBONES,
        BACKBONE_FORWARD,
        "        import torch\n\n        if not hasattr(self, 'scale'):\n            self.scale = torch.rand(1)\n"
        "        features = x * self.scale\n",
        "test_stored_weights_come_back",
        r"Expected the same with stored weights, but it differs",
    ),
    Defect(
        "has dead weights",
        *_after(
            BACKBONES,
            OUT_FEATURES,
            "        self.spare = nn.Identity()\n        self.spare.weight = nn.Parameter(self[0][0].weight.data)\n",
        ),
        "test_gradient_reaches_every_parameter",
        r"there was none at \['spare\.weight'\]",
    ),
    Defect(
        "shows a person tensors",
        *_after(DATA, RETURN_SAMPLES, "\n    def display(self, samples, rows):\n        return list(samples.tree)\n"),
        "test_each_sample_can_be_shown_to_a_person",
        r"Expected SonarPreprocess\.display to return a list with one value for each of \d+ samples, but got 2",
    ),
    Defect(
        "shows a person the first rows whatever rows are asked for",
        *_after(
            DATA,
            RETURN_SAMPLES,
            "\n    def display(self, samples, rows):\n        return [f'signal {place}' for place in range(len(rows))]\n",
        ),
        "test_each_sample_can_be_shown_to_a_person",
        r"Expected display to return the train samples of the rows that it was asked for",
    ),
    Defect(
        "leaves out no piece",
        *_after(DATA, RETURN_SAMPLES, _pieces("Columns(samples.take([row] * len(each)))")),
        "test_a_sample_without_some_of_its_pieces_is_a_sample",
        r"Expected val samples that change if a piece is left out, but none of 3 pieces changes them",
    ),
    Defect(
        "leaves out pieces of another sample",
        *_after(DATA, RETURN_SAMPLES, _pieces("Columns(samples.take([row + 1] * len(each)))")),
        "test_a_sample_without_some_of_its_pieces_is_a_sample",
        r"Expected a val sample without no piece to be as it was",
    ),
    Defect(
        "has a piece outside of what is shown",
        *_after(DATA, RETURN_SAMPLES, _pieces("Columns(samples.take([row] * len(each)))", "Span(0, 9999)")),
        "test_a_sample_without_some_of_its_pieces_is_a_sample",
        r"Expected SonarPreprocess\.pieces to return places inside of what is shown, .* but got Span",
    ),
    Defect(
        "takes other requests than it says",
        *_after(
            DATA,
            RETURN_SAMPLES,
            "\n    def request_fields(self):\n        from flash.data.requests import RequestFields\n\n"
            "        return RequestFields('text')\n",
        ),
        "test_what_a_request_may_hold_is_predicted",
        r"Expected task\.predict to take what request_fields describes, but it refuses the sample a text: ",
    ),
]
