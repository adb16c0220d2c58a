"""Which tasks and annotations of an export count, of JSON and of JSON-MIN."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from label_studio_tasks import annotated, chosen

from flash.errors import ConfigurationError, DataError
from flash.labels.tasks import read_tasks
from flash.text import TextClassificationData

Export = Callable[..., Path]


def targets(data: TextClassificationData, stage: str = "train") -> list[Any]:
    """The names of the classes of each sample."""
    rows = [data.indexed_dataset(stage).raw(row) for row in range(len(data.indexed_dataset(stage)))]
    names = data.labels or []
    found = [row[1].tolist() for row in rows]
    return [
        [names[place] for place, each in enumerate(target) if each] if isinstance(target, list) else names[target]
        for target in found
    ]


def read(file: Path, **options: Any) -> TextClassificationData:
    return TextClassificationData.from_source("label_studio", train_file=file, **options)


def test_each_task_has_its_choice(export: Export) -> None:
    tasks = [annotated({"text": f"text {n}"}, chosen("ab"[n % 2]), number=n) for n in range(4)]
    data = read(export(tasks))
    assert targets(data) == ["a", "b", "a", "b"]
    assert data.indexed_dataset("train").display([2]) == ["text 2"]


def test_several_choices_make_labels_of_a_sample_and_none_is_one_too(export: Export) -> None:
    tasks = [
        annotated({"text": "1"}, chosen("a", "b")),
        annotated({"text": "2"}),
        annotated({"text": "3"}, chosen("b")),
    ]
    data = read(export([{**task, "id": place} for place, task in enumerate(tasks)]))
    assert data.multi_label
    assert targets(data) == [["a", "b"], [], ["b"]]


def test_a_user_may_say_that_there_can_be_several(export: Export) -> None:
    tasks = [annotated({"text": n}, chosen(n), number=place) for place, n in enumerate("ab")]
    assert targets(read(export(tasks), multi_label=True)) == [["a"], ["b"]]


def test_several_choices_where_one_is_expected_are_an_error(export: Export) -> None:
    tasks = [annotated({"text": "1"}, chosen("a", "b")), annotated({"text": "2"}, chosen("b"), number=2)]
    with pytest.raises(DataError, match=r"Expected one choice per task in the train data.*task 1 of .*'a', 'b'"):
        read(export(tasks), multi_label=False)


def test_tasks_without_an_annotation_and_cancelled_ones_are_left_out(
    export: Export, caplog: pytest.LogCaptureFixture
) -> None:
    prediction = {"result": [chosen("b")], "score": 0.9}
    tasks = [
        annotated({"text": "kept"}, chosen("a")),
        annotated({"text": "kept too"}, chosen("b"), number=2),
        annotated({"text": "cancelled"}, chosen("b"), number=3, was_cancelled=True),
        {"id": 4, "data": {"text": "predicted alone"}, "annotations": [], "predictions": [prediction]},
        annotated({"text": "skipped the question"}, number=5),
    ]
    with caplog.at_level(logging.WARNING):
        data = read(export(tasks))
    assert data.indexed_dataset("train").display([0, 1]) == ["kept", "kept too"]
    assert len(data.indexed_dataset("train")) == 2
    assert "Left out 2 tasks" in caplog.text
    assert "Left out 1 tasks" in caplog.text


def test_all_tasks_are_predicted(export: Export) -> None:
    tasks = [annotated({"text": "a"}, chosen("x")), {"id": 2, "data": {"text": "b"}}]
    data = TextClassificationData.from_source("label_studio", predict_file=export(tasks))
    assert data.indexed_dataset("predict").display([0, 1]) == ["a", "b"]


def disputed(**fields: Any) -> list[dict[str, Any]]:
    """A task whose later annotation comes first in the file, and one that is not disputed."""
    several = [
        {"result": [chosen("late")], "updated_at": "2024-02-01T00:00:00Z"},
        {"result": [chosen("early")], "updated_at": "2024-01-01T00:00:00Z", **fields},
    ]
    return [
        {"id": 1, "data": {"text": "one"}, "annotations": several},
        annotated({"text": "two"}, chosen("x"), number=2),
    ]


def test_the_latest_annotation_counts_and_it_is_said_that_others_differ(
    export: Export, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert targets(read(export(disputed()))) == ["late", "x"]
    assert "Annotations differ in 1 tasks" in caplog.text


def test_ground_truth_counts_before_the_latest(export: Export, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert targets(read(export(disputed(ground_truth=True)))) == ["early", "x"]
    assert not caplog.text


def test_disputed_tasks_can_be_left_out(export: Export) -> None:
    third = annotated({"text": "three"}, chosen("y"), number=3)
    assert targets(read(export([*disputed(), third]), on_disagreement="skip")) == ["x", "y"]


def test_disputed_tasks_can_be_an_error(export: Export) -> None:
    with pytest.raises(DataError, match="Expected the annotations of task 1 of .* to agree, but 2 differ"):
        read(export(disputed()), on_disagreement="error")


def test_another_answer_to_disagreement_is_refused(export: Export) -> None:
    with pytest.raises(ConfigurationError, match="Expected on_disagreement to be 'latest', 'skip' or 'error'"):
        read(export(disputed()), on_disagreement="vote")


def test_json_min_is_read_with_single_and_several_choices(export: Export) -> None:
    of_record = {"annotator": 1, "annotation_id": 5, "created_at": "2024", "updated_at": "2024", "lead_time": 1.5}
    single = [{"text": "1", "id": 1, "label": "a", **of_record}, {"text": "2", "id": 2, "label": "b", **of_record}]
    assert targets(read(export(single))) == ["a", "b"]
    several = [{"text": "1", "id": 1, "label": {"choices": ["a", "b"]}}, {"text": "2", "id": 2, "label": "b"}]
    assert targets(read(export(several))) == [["a", "b"], ["b"]]


def test_json_min_has_a_record_for_each_annotation_of_a_task(export: Export) -> None:
    records = [
        {"text": "1", "id": 1, "label": "late", "updated_at": "2024-02"},
        {"text": "1", "id": 1, "label": "early", "updated_at": "2024-01"},
        {"text": "2", "id": 2, "label": "x", "updated_at": "2024-01"},
    ]
    assert targets(read(export(records))) == ["late", "x"]


def test_other_fields_of_json_min_have_to_be_told_apart(export: Export) -> None:
    records = [{"text": str(n), "source": "web", "id": n, "label": "ab"[n]} for n in range(2)]
    with pytest.raises(DataError, match=r"Expected results of one control tag .*'label', 'source'.*from_name='label'"):
        read(export(records))
    assert targets(read(export(records), from_name="label")) == ["a", "b"]


def test_results_of_another_control_tag_do_not_count(export: Export) -> None:
    tasks = [
        annotated({"text": "1"}, chosen("a"), chosen("loud", control="tone")),
        annotated({"text": "2"}, chosen("b")),
    ]
    file = export([{**task, "id": place} for place, task in enumerate(tasks)])
    with pytest.raises(DataError, match=r"those of 'label', 'tone' are of the same kind.*from_name='label'"):
        read(file)
    assert targets(read(file, from_name="label")) == ["a", "b"]
    with pytest.raises(DataError, match=r"Expected results of from_name='mood'.*label, tone"):
        read(file, from_name="mood")


def test_the_only_field_of_the_data_is_taken_and_one_of_several_is_named(export: Export) -> None:
    assert targets(read(export([annotated({"review": n}, chosen(n), number=ord(n)) for n in "ab"]))) == ["a", "b"]
    file = export([annotated({"review": n, "title": n}, chosen(n), number=ord(n)) for n in "ab"])
    with pytest.raises(DataError, match=r"Expected the field 'text'.*'review', 'title'.*data_field="):
        read(file)
    assert targets(read(file, data_field="title")) == ["a", "b"]
    with pytest.raises(DataError, match="Expected the field 'body' in the data of each task, but task 97 of"):
        read(file, data_field="body")


def test_files_of_old_versions_have_completions(export: Export) -> None:
    tasks = [{"id": n, "data": {"text": "t"}, "completions": [{"result": [chosen("ab"[n])]}]} for n in range(2)]
    assert targets(read(export(tasks))) == ["a", "b"]


def test_a_file_may_begin_with_a_byte_order_mark_and_be_one_task(tmp_path: Path, export: Export) -> None:
    file = export(annotated({"text": "t"}, chosen("a")))
    marked = tmp_path / "marked.json"
    marked.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    (task,), is_min = read_tasks(marked)
    assert (task.data, is_min) == ({"text": "t"}, False)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ([], "Expected at least one task in .*, but it has none"),
        ("text", "Expected .* to be a list of tasks, as Label Studio exports it, but got 'text'"),
        ([1], r"Expected .* to be a list of tasks, .* but got \[1\]"),
        ([{"data": {"text": "t"}}, {"data": 3}], "Expected each task to have data, .*, but task 1 of .* has 3"),
        ([{"data": {"text": "t"}, "annotations": 3}], "Expected the annotations of task 0 of .* to be a list"),
        (
            [{"data": {"text": "t"}, "annotations": [{"result": 3}]}],
            "Expected each annotation to have a list of results",
        ),
        (
            [{"data": {"text": "t"}}],
            "Expected annotations in .* for the train data, but none of 1 tasks has one that counts",
        ),
        ([{"data": {"text": "t"}, "annotations": [{"result": []}]}], "Expected choices in .*no annotation has one"),
        ([annotated({"text": 3}, chosen("a"))], "Expected a text in task 1 of .*, but got 3"),
        (
            [annotated({"text": "t"}, {**chosen(), "value": {"choices": [["a", "b"]]}})],
            "Expected choices that are texts",
        ),
    ],
)
def test_a_file_of_something_else_is_an_error(export: Export, content: Any, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        read(export(content), data_field="text")


def test_a_file_that_is_missing_or_no_json_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Expected .* to be an export of Label Studio, but there is no such file"):
        read(tmp_path / "missing.json")
    (tmp_path / "broken.json").write_text("[{")
    with pytest.raises(DataError, match="Expected .* to be an export of Label Studio in JSON, but it cannot be read"):
        read(tmp_path / "broken.json")


def test_at_least_one_file_is_needed() -> None:
    with pytest.raises(DataError, match="Expected at least one file: train_file, val_file"):
        TextClassificationData.from_source("label_studio")
