"""Figures of any task: what is drawn where, in which order, and that numbers are those of scikit-learn."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from PIL import Image
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support
from torch import Tensor, nn

import flash
from flash.core.classification import ClassificationTask
from flash.core.evaluation import ClassScores
from flash.core.importance import part_importance
from flash.core.regression import RegressionTask
from flash.data.pieces import patches_of, words_of
from flash.errors import ConfigurationError, DataError
from flash.figures import (
    Panel,
    draw_confusion,
    draw_curves,
    draw_importance,
    draw_numbers,
    draw_pieces,
    draw_samples,
    draw_scores,
    new_figure,
    shorten,
    style,
    wrap,
    write_number,
)
from flash.tabular import TabularClassificationData, TabularRegressionData


def texts_of(axes: Any) -> list[str]:
    return [text.get_text() for text in axes.texts]


def titles(figure: Any, place: Any = "center") -> list[str]:
    return [axes.get_title(place) for axes in figure.axes]


def names_of(axes: Any) -> list[str]:
    return [label.get_text() for label in axes.get_yticklabels()]


def heading(figure: Any) -> str:
    return str(figure.get_suptitle())


def png_of(figure: Figure) -> np.ndarray[Any, Any]:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return np.asarray(Image.open(buffer).convert("RGB"))


def overlaps(figure: Any) -> list[tuple[str, str]]:
    """The pairs of texts of a figure that cover each other by more than two pixels."""
    figure.draw_without_rendering()
    # The box of a text that is turned covers its neighbors.
    texts = [each for each in figure.findobj(Text) if each.get_text().strip() and not each.get_rotation() % 90]
    boxes = [(each.get_text(), each.get_window_extent()) for each in texts]
    found = []
    for place, (one, box) in enumerate(boxes):
        for other, other_box in boxes[place + 1 :]:
            common = Bbox.intersection(box, other_box)
            if common is not None and min(common.width, common.height) > 2:
                found.append((one, other))
    return found


# ---------------------------------------------------------------------- every task


class Numbers(flash.Preprocess):
    """Numbers that a person reads as words."""

    def display(self, samples: Any, rows: Any) -> Any:
        return [f"the number {samples[row] if self.predicting else samples[row][0]}" for row in rows]


class Sign(ClassificationTask):
    """Classes of numbers by their sign, as sure as they are large."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([torch.zeros_like(x), x], 1).float()


NUMBERS = [3.0, -2.0, 0.5, -4.0, 1.0]
SIGNS = [1, 1, 0, 0, 1]


def numbers(targets: Any = SIGNS) -> flash.DataModule:
    rows = list(zip(NUMBERS, targets, strict=True))
    return flash.DataModule.from_load_data_inputs(
        train_load_data_input=rows, val_load_data_input=rows, predict_load_data_input=NUMBERS, preprocess=Numbers()
    )


def test_a_third_partys_samples_are_drawn_with_their_targets() -> None:
    figure = numbers().show_batch(count=5)
    shown = {texts_of(axes)[0]: axes.get_title("left") for axes in figure.axes}
    assert shown == {f"the number {number}": str(sign) for number, sign in zip(NUMBERS, SIGNS, strict=True)}
    assert heading(figure) == "train"
    assert titles(numbers().show_batch("predict", 2), "left") == ["", ""]


def test_predictions_are_beside_the_truth_with_the_highest_loss_first() -> None:
    task = Sign(labels=["minus", "plus"])
    figure = task.plot_predictions(numbers(), count=3)
    # The cross entropy of scores 0 and x.
    losses = {x: np.log1p(np.exp(-x if sign else x)) for x, sign in zip(NUMBERS, SIGNS, strict=True)}
    worst = sorted(losses, key=lambda number: -losses[number])[:3]
    assert [texts_of(axes) for axes in figure.axes] == [[f"the number {number}"] for number in worst]
    assert titles(figure, "left") == ["minus 88%, but plus", "plus 62%, but minus", "plus 73%"]
    colors = [axes._left_title.get_color() for axes in figure.axes]  # type: ignore[attr-defined]  # has no other name
    assert colors == ["#c62828", "#c62828", "#1a7f37"]
    assert titles(figure, "right") == [f"loss {losses[number]:.2f} · row {NUMBERS.index(number)}" for number in worst]
    assert heading(figure) == "val: predictions, highest loss first"
    of_data = numbers().plot_predictions(task, count=3)
    assert titles(of_data, "left") == titles(figure, "left")


def test_without_truth_the_least_certain_come_first_without_colors() -> None:
    figure = Sign(labels=["minus", "plus"]).plot_predictions(numbers(), "predict", 2)
    assert titles(figure, "left") == ["plus 62%", "plus 73%"]
    assert titles(figure, "right") == ["uncertain 38% · row 2", "uncertain 27% · row 4"]


def test_a_regressors_numbers_are_drawn_the_worst_first() -> None:
    class Double(RegressionTask):
        def forward(self, x: Tensor) -> Tensor:
            return 2 * x.float().unsqueeze(1)

    dm = numbers([6.0, -4.0, 100_000.0, -9.0, 2.0])
    assert titles(Double().plot_predictions(dm, count=2), "left") == ["1, truth 100,000", "-8, truth -9"]
    axes: Any = Double().plot_numbers(dm).axes[0]
    assert axes.lines[0].get_xydata().tolist() == [[6, 6], [-4, -4], [100_000, 1], [-9, -8], [2, 2]]
    assert axes.get_title().startswith(f"RMSE {np.sqrt((99_999**2 + 1) / 5):,.0f}, R² ")


def test_confusion_and_scores_are_those_of_scikit_learn() -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(300, 6, generator=generator), torch.randint(0, 6, (300,), generator=generator)
    names = [f"class {place}" for place in range(6)]
    dm = flash.DataModule.from_tensors(x, y, x, y, batch_size=32)
    task = ClassificationTask(labels=names, model=nn.Identity())
    axes: Any = task.plot_confusion(dm).axes[0]
    expected = confusion_matrix(y, x.argmax(1))
    assert [int(text) for text in texts_of(axes)] == expected.ravel().tolist()
    assert names_of(axes) == names
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "true")
    np.testing.assert_allclose(axes.images[0].get_array(), expected / expected.sum(1, keepdims=True))
    scores: Any = task.plot_scores(dm).axes[0]
    precision, recall, f1, support = precision_recall_fscore_support(y, x.argmax(1))
    order = np.argsort(f1, kind="stable")
    drawn = {line.get_label(): line.get_xdata() for line in scores.lines}
    np.testing.assert_allclose(drawn["precision"], precision[order])
    np.testing.assert_allclose(drawn["recall"], recall[order])
    np.testing.assert_allclose(drawn["F1"], f1[order])
    assert names_of(scores) == [names[place] for place in order]
    assert texts_of(scores)[:6] == [str(count) for count in support[order]]


def test_each_of_several_labels_has_a_matrix() -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(50, 3, generator=generator), torch.randint(0, 2, (50, 3), generator=generator).float()
    task = ClassificationTask(labels=["red", "old", "small"], multi_label=True, model=nn.Identity())
    figure = task.plot_confusion(flash.DataModule.from_tensors(val_data=x, val_targets=y))
    assert titles(figure) == ["red", "old", "small"]
    for place, axes in enumerate(figure.axes):
        expected = confusion_matrix(y[:, place], x[:, place] > 0)
        assert [int(text) for text in texts_of(axes)] == expected.ravel().tolist()


def test_of_many_classes_the_most_confused_ones_are_drawn() -> None:
    counts = np.diag([10] * 200)
    counts[150, 7], counts[7, 150], counts[30, 31] = 8, 3, 5
    figure = draw_confusion(counts, [f"class {place}" for place in range(200)], "val")
    names = names_of(figure.axes[0])
    assert len(names) == 20
    assert {"class 7", "class 30", "class 31", "class 150"} <= set(names)
    assert heading(figure) == "val, the 20 most confused of 200 classes"


def test_figures_say_which_other_one_fits_a_task() -> None:
    regressor, classifier = RegressionTask(model=nn.Flatten()), Sign(labels=["minus", "plus"])
    dm = flash.DataModule.from_tensors(torch.randn(5, 1), torch.randn(5), torch.randn(5, 1), torch.randn(5))
    for name in ("plot_confusion", "plot_scores"):
        with pytest.raises(ConfigurationError, match=rf"classes, for {name}, but .* numbers. Call task.plot_numbers\("):
            getattr(regressor, name)(dm)
    with pytest.raises(ConfigurationError, match=r"for plot_numbers, .* one class .* Call task.plot_confusion\(data\)"):
        classifier.plot_numbers(numbers())
    with pytest.raises(ConfigurationError, match="predicts numbers, without true ones in this stage"):
        regressor.plot_numbers(flash.DataModule.from_tensors(predict_data=torch.randn(5, 1)), "predict")
    other = flash.DataModule.from_tensors(val_data=torch.randn(5, 2), val_targets=torch.randn(5, 3))
    for name in ("plot_confusion", "plot_numbers"):
        with pytest.raises(ConfigurationError, match=r"outputs of another kind. Call task.plot_predictions\(data\)"):
            getattr(flash.Task(nn.Identity()), name)(other)
    with pytest.raises(DataError, match="Expected data with targets for plot_confusion, but the predict data has none"):
        classifier.plot_confusion(numbers(), "predict")
    for count in (0, True, 1.5):
        with pytest.raises(ConfigurationError, match="Expected count to be a whole number of at least 1, but got"):
            classifier.plot_predictions(numbers(), count=count)  # type: ignore[arg-type]  # on purpose


# ---------------------------------------------------------------------- tables


def bought(count: int = 200) -> pd.DataFrame:
    generator = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "age": generator.integers(1, 90, count),
            "fare": generator.normal(30, 9, count).round(2),
            "city": generator.choice(["Rome", "Oslo"], count),
            "seen": pd.Timestamp("2020-01-01") + pd.to_timedelta(generator.integers(0, 900, count), "D"),
        }
    )
    frame.loc[::9, "fare"] = None
    return frame.assign(bought=np.where(frame["city"] == "Rome", "yes", "no"))


def test_rows_of_a_table_are_drawn_as_they_are_written() -> None:
    frame = bought()
    dm = TabularClassificationData.from_data_frame(
        target_fields="bought", train_data_frame=frame, verbose=False, seed=0
    )
    figure = dm.show_batch(count=4)
    names = [text.get_text() for text in figure.texts if text.get_text() != "train"]
    assert sorted(names) == ["age", "city", "fare", "seen"]
    for axes in figure.axes:
        shown = dict(zip(names, texts_of(axes)[1:], strict=True))
        fare = None if shown["fare"] == "–" else float(shown["fare"])  # noqa: RUF001  # a dash
        found = frame[
            (frame["age"] == int(shown["age"]))
            & (frame["city"] == shown["city"])
            & (frame["seen"] == pd.Timestamp(shown["seen"]))
            & (frame["fare"].isna() if fare is None else frame["fare"] == fare)
        ]
        assert axes.get_title() in found["bought"].tolist()
    assert not overlaps(figure)


class ByCity(ClassificationTask):
    """Decides by the only category alone."""

    def forward(self, x: Any) -> Tensor:
        score = x["categorical"][:, -1].float() - 1.5
        return torch.stack([-score, score], 1)


def test_the_one_column_that_decides_is_important() -> None:
    frame = bought().drop(columns="fare")
    dm = TabularClassificationData.from_data_frame(
        target_fields="bought", train_data_frame=frame, val_split=0.5, verbose=False, seed=0
    )
    task = ByCity(labels=["no", "yes"])
    found = part_importance(task, dm)
    assert (found.names[0], sorted(found.names), found.baseline) == ("city", ["age", "city", "seen"], 1.0)
    assert found.means[0] == pytest.approx(0.5, abs=0.1)
    assert found.means[1:] == [0, 0]
    axes: Any = task.plot_importance(dm, repeats=2).axes[0]
    assert names_of(axes)[0] == "city"
    assert axes.get_xlabel() == "drop of accuracy"
    assert axes.patches[0].get_width() == pytest.approx(0.5, abs=0.1)


def test_a_date_is_one_part_of_several_features() -> None:
    frame = bought()[["seen"]].assign(y=range(200), one=[1, 2] * 100)
    dm = TabularRegressionData.from_data_frame(target_fields="y", train_data_frame=frame, verbose=False, seed=0)
    dataset, preprocess = dm.indexed_dataset("train"), dm.preprocess
    assert sorted(dataset.parts()) == ["one", "seen"]
    order = torch.randperm(200, generator=torch.Generator().manual_seed(0))
    other = dataset.exchange("seen", order)
    before, after = (torch.stack([each[row][0]["numerical"] for row in range(200)]) for each in (dataset, other))
    names = [column.name for column in preprocess.schema.numerical]
    moved = [place for place, name in enumerate(names) if name == "seen"]
    assert len(moved) > 1
    assert torch.equal(after[:, moved], before[order][:, moved])
    kept = names.index("one")
    assert torch.equal(after[:, kept], before[:, kept])
    assert [other[row][1] for row in range(200)] == [dataset[row][1] for row in range(200)]


def test_rows_of_a_table_have_no_importance_alone() -> None:
    dm = TabularClassificationData.from_data_frame(
        target_fields="bought", train_data_frame=bought().drop(columns="fare"), verbose=False, seed=0
    )
    with pytest.raises(
        ConfigurationError, match="samples that are divided into pieces, .* Leave rows out for the import"
    ):
        ByCity(labels=["no", "yes"]).plot_importance(dm, "train", rows=[0])


# ---------------------------------------------------------------------- how it is drawn


@pytest.fixture
def dark() -> Iterator[None]:
    """A user's dark style."""
    with mpl.rc_context({"axes.facecolor": "black", "savefig.facecolor": "black", "text.color": "white"}):
        mpl.rcParams.update({"figure.facecolor": "black", "font.size": 30, "xtick.color": "white"})
        yield


IMAGE = np.zeros((9, 12, 3), np.uint8)
LONG = {f"a long name of column {place}": place / 7 for place in range(40)}
WORDS = "word " * 300
SPANS = words_of(WORDS)
PATCHES = patches_of(9, 12, 12)
FIGURES: dict[str, Callable[[], Figure]] = {
    "images": lambda: draw_samples([Panel(IMAGE, "a black one " * 9, "right", "loss 1\nblack.png" * 9)] * 4, "val"),
    "texts": lambda: draw_samples(
        [Panel("word " * 300, "a title " * 30, "wrong", "a note " * 9), Panel("", "b")], "val"
    ),
    "capitals": lambda: draw_samples([Panel("WOMEN " * 90, "WOMAN " * 30, "", "A NOTE " * 9)] * 2, "val"),
    "pairs": lambda: draw_samples([Panel({"question": "who " * 99, "answer": "I"}, "yes")] * 3),
    "a table": lambda: draw_samples([Panel(LONG, "yes, but " * 9, "wrong", "a\nb")] * 9),
    "mixed": lambda: draw_samples([Panel(IMAGE), Panel({"a": None}), Panel("text")]),
    "two classes": lambda: draw_confusion([[5, 0], [1, 20_000]], ["no", "yes"]),
    "long names": lambda: draw_confusion(np.eye(9, dtype=int) * 7, [f"a very long name of {n}" for n in range(9)]),
    "labels": lambda: draw_confusion(np.ones((30, 2, 2), int), [f"a long name of label {n}" for n in range(30)]),
    "curves": lambda: draw_curves([{"epoch": epoch, "train_loss": 1 / (epoch + 1)} for epoch in range(50)]),
    "numbers": lambda: draw_numbers(np.arange(9000), np.arange(9000) * 2, heading="val"),
    "several numbers": lambda: draw_numbers(
        np.ones((4, 12)), np.ones((4, 12)), [f"a long name of number {n}" for n in range(12)]
    ),
    "no numbers": lambda: draw_numbers([float("nan")], [1.0]),
    "words": lambda: draw_pieces(
        [Panel(WORDS, "a title " * 30, "wrong", "a note " * 9), Panel("x" * 400, "b"), Panel("", "c")],
        [SPANS, words_of("x" * 400), []],
        [[0.5 - place / 300 for place in range(300)], [1.0], []],
        "drop of the probability",
        "val",
    ),
    "words of pairs": lambda: draw_pieces(
        [Panel({"question": "who is it", "answer": WORDS}, "yes", note="row 7")] * 3,
        [[*words_of("who is it", field="question"), *words_of(WORDS, 20, "answer")]] * 3,
        [[0.1] * 23] * 3,
        "drop of the number",
    ),
    "patches": lambda: draw_pieces(
        [Panel(IMAGE, "a black one " * 9, "", "black.png" * 9)] * 3, [PATCHES] * 3, [[0.1] * 12] * 3, "drop", "val"
    ),
    "no importance": lambda: draw_pieces([Panel(IMAGE, "a")], [PATCHES], [[0.0] * 12], "drop of the probability"),
    "importance": lambda: draw_importance([f"column {n}" for n in range(50)], [1e-3] * 50, [1e-4] * 50, "rise of loss"),
}


@pytest.mark.usefixtures("dark")
@pytest.mark.parametrize("name", FIGURES)
def test_texts_do_not_overlap_on_a_white_ground_whatever_style_is_set(name: str) -> None:
    figure = FIGURES[name]()
    assert not overlaps(figure)
    pixels = png_of(figure)
    # Nothing is cut at the edges, which are white.
    assert (np.concatenate([pixels[:, 0], pixels[:, -1], pixels[0], pixels[-1]]) > 250).all()


def test_long_texts_are_cut_after_lines_that_fit_and_each_word_has_its_color() -> None:
    axes: Any = FIGURES["words"]().axes[0]
    words = texts_of(axes)
    assert (words[-1], set(words[:-1]), len(axes.patches)) == ("…", {"word"}, len(words) - 1)
    assert 12 * 10 < len(words) < 300
    assert len({text.get_position()[1] for text in axes.texts}) == 12
    long: Any = FIGURES["words"]().axes[1]
    assert "".join(texts_of(long)) == "x" * 400
    assert len({each.get_facecolor() for each in long.patches}) == 1


def test_notebooks_display_figures_without_the_state_of_pyplot() -> None:
    figure: Any = new_figure(2, 1)
    assert figure._repr_png_().startswith(b"\x89PNG")
    before = mpl.rcParams["font.size"]
    with style():
        pass
    assert mpl.rcParams["font.size"] == before


def test_dollars_are_no_formula_and_missing_letters_are_one_warning() -> None:
    figure = draw_samples([Panel("costs $5 or $6", "$x$")])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        png_of(figure)
    assert figure.axes[0].texts[0].get_parse_math() is False
    strange = draw_samples([Panel("\U00012000\U00012001\U00012002", "cuneiform")])
    with pytest.warns(UserWarning, match="No installed font has 3 of the characters of this figure") as caught:
        png_of(strange)
    assert len(caught) == 1


def test_long_words_and_many_lines_are_cut() -> None:
    assert shorten("x" * 99, 30).endswith("x…")
    assert 26 <= len(shorten("x" * 99, 30)) <= 31
    lines = wrap("W" * 300, 40, 3)
    assert len(lines) == 3
    assert lines[-1].endswith("…")
    assert wrap("first\n\nsecond third", 40, 5) == ["first", "second third"]
    assert wrap("", 40, 5) == [""]
    assert len(wrap("日本語" * 100, 40, 2)[0]) < 30


def test_numbers_are_written_for_people() -> None:
    written = {0.5: "0.5", 1234.5: "1234", 98765.4: "98,765", 1e12: "1e+12", 12: "12", 3e-9: "3e-09", -7.0: "-7"}
    assert {number: write_number(number) for number in written} == written
    assert write_number(float("nan")) == "nan"


def test_nothing_to_draw_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="Expected at least one sample to draw, but got none"):
        draw_samples([])
    with pytest.raises(ConfigurationError, match="Expected at least one sample to draw, but got none"):
        draw_pieces([], [], [], "drop")
    with pytest.raises(DataError, match="Expected metrics of at least one epoch to draw, but there are none"):
        draw_curves([{"epoch": 0}])


def test_curves_have_train_beside_validation_and_the_loss_first() -> None:
    history = [{"epoch": n, "val_accuracy": n / 9, "train_loss": 1 - n / 9, "val_loss": 0.5} for n in range(9)]
    history[3].pop("val_loss")
    loss, accuracy = draw_curves(history).axes
    assert (loss.get_title(), accuracy.get_title(), loss.get_xlabel()) == ("loss", "accuracy", "epoch")
    assert [line.get_label() for line in loss.lines] == ["train", "val"]
    assert [line.get_label() for line in accuracy.lines] == ["val"]
    assert np.asarray(loss.lines[1].get_xdata()).tolist() == [1, 2, 3, 5, 6, 7, 8, 9]
    figure = draw_curves([{"epoch": 0, **{f"val_score {n}": 0.5 for n in range(40)}}])
    assert len(figure.axes) == 12
    assert heading(figure) == "12 of 40 metrics"


def test_scores_that_are_not_there_are_last_and_many_are_cut() -> None:
    scores = [ClassScores(f"class {n}", n / 99, n / 99, n / 99, n, n) for n in range(40)]
    scores.append(ClassScores("never", math.nan, math.nan, math.nan, support=0, predicted=0))
    figure = draw_scores(scores)
    assert names_of(figure.axes[0]) == [f"class {n}" for n in range(30)]
    assert heading(figure) == "the 30 lowest F1 of 41 classes"
    assert names_of(draw_scores(scores[-2:]).axes[0]) == ["class 39", "never"]
