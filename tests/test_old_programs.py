"""The calls of the eleven example programs of Lightning Flash 0.8, each with its outcome here.

A program is a list of steps that run in order, in one module. A step is code that runs as it stood there; or code with
the sentence that it is answered with, followed by what the sentence says to write.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

import flash
from flash.data.data_module import DataModule
from flash.errors import ConfigurationError, FlashError
from flash.former import FORMER_ARGUMENTS, FORMER_MEMBERS, FORMER_NAMES
from flash.image import ImageClassificationData
from flash.image import _former as former_image
from flash.tabular import TabularClassificationData
from flash.tabular import _former as former_tabular
from flash.text import TextClassificationData
from flash.text import _former as former_text

PORTING = Path(__file__).parent.parent / "docs" / "porting.md"
TRAINER: list[Any] = [
    (
        "trainer = flash.Trainer(max_epochs=1, gpus=torch.cuda.device_count())",
        "Leave it out, since a GPU that is there",
    ),
    "trainer = flash.Trainer(max_epochs=1)",
]
DOWNLOAD = "import flash\nfrom flash.core.data.utils import download_data\ndownload_data(url, 'data/')"
GENRES = ["Action", "Romance"]
PROGRAMS: Mapping[str, list[Any]] = {
    "image_classification": [
        DOWNLOAD,
        "from flash.image import ImageClassificationData, ImageClassifier",
        (
            """datamodule = ImageClassificationData.from_folders(
                train_folder="data/train/", val_folder="data/val/", batch_size=4,
                transform_kwargs={"image_size": (32, 32), "mean": (0.5, 0.5, 0.5), "std": (0.2, 0.2, 0.2)},
            )""",
            "Write its entries as arguments: image_size=..., data_config={'mean': ..., 'std': ...}.",
        ),
        """datamodule = ImageClassificationData.from_folders(
            train_folder="data/train/", val_folder="data/val/", batch_size=4,
            image_size=(32, 32), data_config={"mean": (0.5, 0.5, 0.5), "std": (0.2, 0.2, 0.2)},
        )""",
        "model = ImageClassifier(backbone='resnet18', labels=datamodule.labels)",
        *TRAINER,
        "trainer.finetune(model, datamodule=datamodule, strategy='freeze')",
        """datamodule = ImageClassificationData.from_files(
            predict_files=["data/new/0.png", "data/new/1.png"], batch_size=3
        )""",
        "predictions = trainer.predict(model, datamodule=datamodule, output='labels')",
        "assert {*predictions[0]} <= {'ants', 'bees'} and len(predictions[0]) == 2",
        "trainer.save_checkpoint('image_classification_model.pt')",
        "model = ImageClassifier.load_from_checkpoint('image_classification_model.pt')",
    ],
    "image_classification_multi_label": [
        DOWNLOAD,
        "from flash.image import ImageClassificationData, ImageClassifier",
        (
            """datamodule = ImageClassificationData.from_csv(
                "Id", ["Action", "Romance"], train_file="data/posters.csv",
                train_resolver=lambda root, id: f"{root}/{id}.png",
            )""",
            "write whole paths into the column: 'photos/' + table['id'] + '.jpg'",
        ),
        "import pandas as pd",
        "table = pd.read_csv('data/posters.csv')",
        "table['Id'] = 'data/posters/' + table['Id'] + '.png'",
        """datamodule = ImageClassificationData.from_data_frame(
            "Id", ["Action", "Romance"], train_data_frame=table, val_data_frame=table, image_size=(32, 32), batch_size=4
        )""",
        """model = ImageClassifier(
            backbone="resnet18", labels=datamodule.labels, multi_label=datamodule.multi_label
        )""",
        *TRAINER,
        "trainer.finetune(model, datamodule=datamodule, strategy='freeze')",
        "datamodule = ImageClassificationData.from_files(predict_files=['data/posters/a.png'], batch_size=3)",
        "predictions = trainer.predict(model, datamodule=datamodule, output='labels')",
        "assert {*predictions[0][0]} <= {'Action', 'Romance'}",
        "trainer.save_checkpoint('image_classification_multi_label_model.pt')",
    ],
    "image_embedder": [
        DOWNLOAD,
        "from flash.image import ImageClassificationData, ImageEmbedder",
        "datamodule = ImageClassificationData.from_datasets(train_dataset=pairs, batch_size=4, image_size=32)",
        (
            """embedder = ImageEmbedder(
                backbone="resnet18", training_strategy="barlow_twins", head="barlow_twins_head",
                pretraining_transform="barlow_twins_transform",
                training_strategy_kwargs={"latent_embedding_dim": 128},
            )""",
            "Write loss_fn='supcon', which learns from classes",
        ),
        ("embedder = ImageEmbedder(backbone='resnet18', head='barlow_twins_head')", "Write embedding_dim=128"),
        (
            "embedder = ImageEmbedder(backbone='resnet18', pretraining_transform='barlow_twins_transform')",
            "Write augmentation='randaugment'",
        ),
        "embedder = ImageEmbedder(backbone='resnet18', embedding_dim=16, loss_fn='supcon')",
        *TRAINER,
        "trainer.fit(embedder, datamodule=datamodule)",
        "trainer.save_checkpoint('image_embedder_model.pt')",
        "datamodule = ImageClassificationData.from_files(predict_files=['data/new/0.png', 'data/new/1.png'])",
        "embeddings = trainer.predict(embedder, datamodule=datamodule)",
        "assert [len(each) for each in embeddings[0]] == [16, 16]",
    ],
    "object_detection": [
        DOWNLOAD,
        "from flash.image import ObjectDetectionData, ObjectDetector",
        (
            """datamodule = ObjectDetectionData.from_coco(
                train_folder="data/boxes", train_ann_file="data/boxes.json", val_split=0.25,
                transform_kwargs={"image_size": 512}, batch_size=2,
            )""",
            "The network resizes: write ObjectDetector(image_size=512).",
        ),
        """datamodule = ObjectDetectionData.from_coco(
            train_folder="data/boxes", train_ann_file="data/boxes.json", val_split=0.25, batch_size=2
        )""",
        (
            """model = ObjectDetector(
                head="efficientdet", backbone="d0", num_classes=datamodule.num_classes, image_size=512
            )""",
            "The backbone names the whole detector: backbone='retinanet_resnet50_fpn'.",
        ),
        ("model = ObjectDetector(backbone='d0', num_classes=2, pretrained=False)", "'d0' is not among the detection"),
        """model = ObjectDetector(
            backbone="ssdlite320_mobilenet_v3_large", num_classes=datamodule.num_classes, pretrained=False
        )""",
        *TRAINER,
        "trainer.finetune(model, datamodule=datamodule, strategy='freeze')",
        "datamodule = ObjectDetectionData.from_files(predict_files=['data/boxes/0.png'], batch_size=4)",
        "predictions = trainer.predict(model, datamodule=datamodule)",
        "assert {*predictions[0][0]} == {'boxes', 'labels', 'scores'}",
        "trainer.save_checkpoint('object_detection_model.pt')",
    ],
    "text_classification": [
        DOWNLOAD,
        "from flash.text import TextClassificationData, TextClassifier",
        """datamodule = TextClassificationData.from_csv(
            "review", "sentiment", train_file="data/reviews.csv", val_file="data/reviews.csv", batch_size=4
        )""",
        "model = TextClassifier(backbone='prajjwal1/bert-medium', labels=datamodule.labels)",
        *TRAINER,
        "trainer.finetune(model, datamodule=datamodule, strategy='freeze')",
        "datamodule = TextClassificationData.from_lists(predict_data=['a great film', 'awful'], batch_size=4)",
        "predictions = trainer.predict(model, datamodule=datamodule, output='labels')",
        "assert {*predictions[0]} <= {'positive', 'negative'} and len(predictions[0]) == 2",
        "trainer.save_checkpoint('text_classification_model.pt')",
        "model = TextClassifier.load_from_checkpoint('text_classification_model.pt')",
    ],
    "text_classification_multi_label": [
        DOWNLOAD,
        "from flash.text import TextClassificationData, TextClassifier",
        """datamodule = TextClassificationData.from_csv(
            "review", ["toxic", "obscene"], train_file="data/reviews.csv", val_split=0.2, batch_size=4
        )""",
        """model = TextClassifier(
            backbone="prajjwal1/bert-medium", labels=datamodule.labels, multi_label=datamodule.multi_label
        )""",
        *TRAINER,
        "trainer.finetune(model, datamodule=datamodule, strategy='freeze')",
        "datamodule = TextClassificationData.from_lists(predict_data=['a great film', 'awful'], batch_size=4)",
        "predictions = trainer.predict(model, datamodule=datamodule, output='labels')",
        "assert {*predictions[0][0]} <= {'toxic', 'obscene'}",
        "trainer.save_checkpoint('text_classification_multi_label_model.pt')",
    ],
    "text_embedder": [
        "import flash\nfrom flash.text import TextClassificationData, TextEmbedder",
        "datamodule = TextClassificationData.from_lists(predict_data=['a great film', 'awful'], batch_size=4)",
        "model = TextEmbedder(backbone='prajjwal1/bert-medium')",
        ("trainer = flash.Trainer(gpus=torch.cuda.device_count())", "Leave it out, since a GPU that is there"),
        "trainer = flash.Trainer()",
        "predictions = trainer.predict(model, datamodule=datamodule)",
        "assert [len(each) for each in predictions[0]] == [16, 16]",
    ],
    "summarization": [
        DOWNLOAD,
        "from flash.text import SummarizationData, SummarizationTask",
        """datamodule = SummarizationData.from_csv(
            "document", "summary", train_file="data/pairs.csv", val_file="data/pairs.csv", batch_size=4
        )""",
        "model = SummarizationTask(backbone='t5-small', max_target_length=4)",
        *TRAINER,
        "trainer.finetune(model, datamodule=datamodule, strategy='freeze')",
        "datamodule = SummarizationData.from_lists(predict_data=['a great film'], batch_size=4)",
        "predictions = trainer.predict(model, datamodule=datamodule)",
        "assert isinstance(predictions[0][0], str)",
        "trainer.save_checkpoint('summarization_model_xsum.pt')",
    ],
    "translation": [
        DOWNLOAD,
        "from flash.text import TranslationData, TranslationTask",
        """datamodule = TranslationData.from_csv(
            "document", "summary", train_file="data/pairs.csv", val_file="data/pairs.csv", batch_size=4
        )""",
        "model = TranslationTask(backbone='t5-small', max_target_length=4)",
        *TRAINER,
        "trainer.finetune(model, datamodule=datamodule, strategy='freeze')",
        "datamodule = TranslationData.from_lists(predict_data=['a great film'], batch_size=4)",
        "predictions = trainer.predict(model, datamodule=datamodule)",
        "assert isinstance(predictions[0][0], str)",
        "trainer.save_checkpoint('translation_model_en_ro.pt')",
    ],
    "tabular_classification": [
        DOWNLOAD,
        "from flash.tabular import TabularClassificationData, TabularClassifier",
        """datamodule = TabularClassificationData.from_csv(
            ["Sex", "Embarked"], "Fare", target_fields="Survived", train_file="data/titanic.csv", val_split=0.1,
            batch_size=8,
        )""",
        "model = TabularClassifier.from_data(datamodule, backbone='fttransformer', backbone_kwargs={'n_blocks': 1})",
        *TRAINER,
        "trainer.fit(model, datamodule=datamodule)",
        (
            """datamodule = TabularClassificationData.from_csv(
                predict_file="data/titanic.csv", parameters=datamodule.parameters, batch_size=8
            )""",
            "for new rows write task.predict('new.csv').",
        ),
        (
            "TabularClassificationData.from_csv(predict_file='data/titanic.csv', parameters={}, batch_size=8)",
            "or preprocess=task.preprocess in its place.",
        ),
        """datamodule = TabularClassificationData.from_csv(
            predict_file="data/titanic.csv", preprocess=model.preprocess, batch_size=8
        )""",
        "predictions = trainer.predict(model, datamodule=datamodule, output='classes')",
        "assert sum(predictions, []) == model.predict('data/titanic.csv', output='classes')",
        "trainer.save_checkpoint('tabular_classification_model.pt')",
        "model = TabularClassifier.load_from_checkpoint('tabular_classification_model.pt')",
    ],
    "tabular_regression": [
        DOWNLOAD,
        "from flash.tabular import TabularRegressionData, TabularRegressor",
        """datamodule = TabularRegressionData.from_csv(
            categorical_fields=["Sex"], numerical_fields=["Survived"], target_field="Fare",
            train_file="data/titanic.csv", val_split=0.1, batch_size=8,
        )""",
        "model = TabularRegressor.from_data(datamodule, learning_rate=0.1, backbone='mlp')",
        *TRAINER,
        "trainer.fit(model, datamodule=datamodule)",
        (
            "TabularRegressionData.from_csv(predict_file='data/titanic.csv', parameters=datamodule.parameters)",
            "for new rows write task.predict('new.csv').",
        ),
        "predictions = model.predict('data/titanic.csv')",
        "assert len(predictions) == 40 and isinstance(predictions[0], float)",
        "trainer.save_checkpoint('tabular_regression_model.pt')",
    ],
}


def _checkpoint(folder: Path, network: Any, words: list[str]) -> None:
    """A tiny network with random weights, with a tokenizer of whole words."""
    backend = Tokenizer(WordLevel({word: place for place, word in enumerate(words)}, unk_token="<unk>"))
    backend.pre_tokenizer = Whitespace()
    backend.post_processor = TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    special = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=16, **special).save_pretrained(folder)
    network.save_pretrained(folder)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of an archive with the data of all programs."""
    folder = tmp_path_factory.mktemp("archive")
    data = folder / "files"
    rng = np.random.default_rng(0)

    def picture(path: str) -> None:
        (data / path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (24, 24, 3), dtype=np.uint8)).save(data / path)

    for path in (
        f"{stage}/{label}/{row}.png" for stage in ("train", "val") for label in ("ants", "bees") for row in "01"
    ):
        picture(path)
    for path in ("new/0.png", "new/1.png", *(f"posters/{name}.png" for name in "abcd")):
        picture(path)
    rows = [f"{name},{number % 2},{number // 2}" for number, name in enumerate("abcd")]
    (data / "posters.csv").write_text("\n".join(["Id,Action,Romance", *rows]) + "\n")
    for number in range(4):
        picture(f"boxes/{number}.png")
    boxes = {
        "images": [{"id": each, "file_name": f"{each}.png", "width": 24, "height": 24} for each in range(4)],
        "annotations": [
            {
                "id": each,
                "image_id": each,
                "category_id": each % 2 + 1,
                "bbox": [2, 2, 10, 10],
                "area": 100,
                "iscrowd": 0,
            }
            for each in range(4)
        ],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    }
    (data / "boxes.json").write_text(json.dumps(boxes))
    reviews = ["a great film,positive,0,1", "an awful film,negative,1,0"] * 5
    (data / "reviews.csv").write_text("\n".join(["review,sentiment,toxic,obscene", *reviews]) + "\n")
    (data / "pairs.csv").write_text("\n".join(["document,summary", *["a great film,great"] * 4]) + "\n")
    people = [f"{'mf'[row % 2]},{'SCQ'[row % 3]},{row / 2},{row % 2}" for row in range(40)]
    (data / "titanic.csv").write_text("\n".join(["Sex,Embarked,Fare,Survived", *people]) + "\n")
    return Path(shutil.make_archive(str(folder / "data"), "zip", data)).as_uri()


@pytest.fixture
def checkpoints(tmp_path: Path) -> None:
    """Checkpoints named as those that the programs get from the hub."""
    words = ["<pad>", "</s>", "<unk>", "a", "an", "great", "awful", "film"]
    bert: dict[str, Any] = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_attention_heads": 2,
        "num_hidden_layers": 1,
    }
    bert_config = BertConfig(vocab_size=len(words), max_position_embeddings=16, **bert)
    prefixes = {"summarization": {"prefix": "a "}, "translation_en_to_de": {"prefix": "a "}}
    t5: dict[str, Any] = {"d_model": 16, "d_kv": 4, "d_ff": 16, "num_layers": 1, "num_heads": 2}
    t5 |= {"decoder_start_token_id": 0, "task_specific_params": prefixes}
    t5_config = T5Config(vocab_size=len(words), **t5)
    _checkpoint(tmp_path / "prajjwal1/bert-medium", BertModel(bert_config), words)
    _checkpoint(tmp_path / "t5-small", T5ForConditionalGeneration(t5_config), words)


@pytest.mark.usefixtures("checkpoints")
@pytest.mark.parametrize("program", PROGRAMS)
def test_each_call_of_an_example_program_runs_or_says_what_to_write(
    program: str, archive: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flash.image.backbones.load_from_hub", lambda make, *_: make(pretrained=False))
    make = flash.Trainer.__init__
    usual = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    monkeypatch.setattr(flash.Trainer, "__init__", lambda self, **kwargs: make(self, **{**usual, **kwargs}))
    pairs = [(Image.new("RGB", (24, 24), colour), row % 2) for row, colour in enumerate(["red", "blue"] * 4)]
    names: dict[str, Any] = {"torch": torch, "url": archive, "pairs": pairs}
    for step in PROGRAMS[program]:
        code, sentence = step if isinstance(step, tuple) else (step, None)
        if sentence is None:
            exec(code, names)
        else:
            with pytest.raises(FlashError) as caught:
                exec(code, names)
            assert sentence in str(caught.value)


def test_target_field_is_another_name_of_target_fields_in_every_domain() -> None:
    table = {"x": ["a", "b"], "y": ["p", "q"]}
    rows = [{"x": "a", "y": "p"}, {"x": "b", "y": "q"}]
    images = [{"x": Image.new("RGB", (9, 9)), "y": label} for label in "pq"]
    tabular: dict[str, Any] = {"target_field": "y", "verbose": False}
    Path("rows.json").write_text(json.dumps(rows))
    Path("rows.csv").write_text("x,y\na,p\nb,q\n")
    made: list[DataModule] = [
        TextClassificationData.from_csv("x", target_field="y", train_file="rows.csv"),
        TextClassificationData.from_datasets("x", target_field="y", train_dataset=rows),
        ImageClassificationData.from_datasets(images, input_field="x", target_field="y"),
        TabularClassificationData.from_csv(train_file="rows.csv", val_file="rows.csv", **tabular),
        TabularClassificationData.from_json(train_file="rows.json", **tabular),
        TabularClassificationData.from_dicts(train_dict=table, val_dict=table, **tabular),
        TabularClassificationData.from_lists(train_list=rows, **tabular),
    ]
    assert [each.labels for each in made] == [["p", "q"]] * len(made)
    with pytest.raises(ConfigurationError, match="target_fields='y' and target_field='x'. Leave target_field out"):
        TabularClassificationData.from_dicts(target_fields="y", target_field="x", train_dict=table)


TABLES = (former_image, former_text, former_tabular)
NAMES = {**FORMER_NAMES, **{name: now for tables in TABLES for name, now in tables.NAMES.items()}}
ARGUMENTS = [value for tables in TABLES for name, value in vars(tables).items() if name.endswith("_ARGUMENTS")]
MEMBERS = [*FORMER_MEMBERS.values(), former_text.DATA_MEMBERS, former_tabular.DATA_MEMBERS]
KEYS = {
    *(name for name, now in NAMES.items() if isinstance(now, str)),
    *(argument for arguments in (FORMER_ARGUMENTS, *ARGUMENTS) for argument in arguments),
    *(member.removesuffix("()") for members in MEMBERS for member in members),
}


@pytest.mark.parametrize("key", sorted(KEYS))
def test_the_page_on_porting_has_each_name_that_is_answered(key: str) -> None:
    # Of arguments and methods for each stage it has those for training.
    stage = re.sub(r"^(show_)?(val|test|predict)_", r"\g<1>train_", key)
    stage = re.sub(r"_(val|test|predict)_", "_train_", stage)
    page = PORTING.read_text()
    assert any(re.search(rf"`[^`\n]*\b{each}\b[^`\n]*`", page) for each in (key, stage))
