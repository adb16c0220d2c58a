"""Contents of requests: each kind of sample, and what is refused with which sentence."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from small_domains import ROWS, Recordings, Service

import flash
from flash.data.requests import RequestField, RequestFields
from flash.serve import Limits
from flash.serve.decoding import Decoder
from flash.serve.errors import RequestError

Serve = Callable[..., Service]


# ---------------------------------------------------------------------- rows


def test_a_row_is_answered_as_task_predict_does(serve: Serve, rows: flash.Task, row: dict[str, Any]) -> None:
    answer = serve(rows).post(json={"rows": [row, {"age": 2, "city": "Reykjavik"}]}).json()
    assert (
        [each["prediction"] for each in answer["predictions"]]
        == ["long", "old"]
        == rows.predict([row, {"age": 2, "city": "Reykjavik"}])
    )
    expected = rows.predict([row], "probabilities")[0]
    assert answer["predictions"][0]["probabilities"] == [
        {"label": "long", "probability": expected[0]},
        {"label": "old", "probability": expected[1]},
    ]


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("12", "rows[0].age: Expected a number, but got the text '12'. Send it without quotes."),
        ([12], "rows[0].age: Expected a number, but got a list."),
        ({"a": 1}, "rows[0].age: Expected a number, but got an object with the keys 'a'."),
        (10**400, "rows[0].age: Expected a number that fits into 64 bits, but got a larger one."),
    ],
)
def test_a_number_is_a_number(serve: Serve, rows: flash.Task, value: Any, sentence: str) -> None:
    body = json.dumps({"rows": [{"age": value, "city": "Rome"}]})
    assert sentence in serve(rows).error(422, content=body, headers={"content-type": "application/json"})


@pytest.mark.parametrize("value", ["/etc/passwd", "http://127.0.0.1:9/x.csv", "rows.csv", 3, 2.5, True, None, 10**30])
def test_a_category_is_a_text_or_a_number_and_never_a_path(serve: Serve, rows: flash.Task, value: Any) -> None:
    row = {"age": 1000, "city": value}
    assert serve(rows).predictions(json={"rows": [row]}) == ["long"]


@pytest.mark.parametrize("value", [[1], {"a": 1}, [], {}])
def test_a_category_is_no_container(serve: Serve, rows: flash.Task, value: Any) -> None:
    assert "Expected a category, a text or a number, but got" in serve(rows).error(
        422, json={"rows": [{"age": 1, "city": value}]}
    )


@pytest.mark.parametrize(
    "day", ["2024-12-31", "2024-12-31T18:30", "2024-12-31 18:30:05.25", "2024-12-31T18:30Z", "2024-12-31T18:30+0100"]
)
def test_a_date_is_one_of_iso_8601(serve: Serve, rows: flash.Task, day: str) -> None:
    assert serve(rows).predictions(json={"rows": [{"age": 30, "city": "x", "day": day}]})


@pytest.mark.parametrize("day", ["31.12.2024", "2024-13-01", "2024-02-30", "0001-01-01", "2024-12-31T25:00", 20241231])
def test_another_date_is_refused(serve: Serve, rows: flash.Task, day: Any) -> None:
    sentence = serve(rows).error(422, json={"rows": [{"age": 30, "city": "x", "day": day}]})
    assert "rows[0].day: Expected a date such as 2024-12-31 or 2024-12-31T18:30, but got" in sentence


@pytest.mark.parametrize("wait", [0, 90.5, -3600, 9_000_000_000, None])
def test_a_duration_is_a_number_of_seconds(serve: Serve, rows: flash.Task, wait: float | None) -> None:
    assert serve(rows).predictions(json={"rows": [{"age": 30, "city": "x", "wait": wait}]})


@pytest.mark.parametrize(
    ("wait", "sentence"),
    [
        ("1:30", "rows[0].wait: Expected a number, but got the text '1:30'. Send it without quotes."),
        (1e10, "rows[0].wait: Expected a duration of at most 292 years, as its number of seconds, but got"),
        (-(10**12), "rows[0].wait: Expected a duration of at most 292 years, as its number of seconds, but got"),
    ],
)
def test_another_duration_is_refused(serve: Serve, rows: flash.Task, wait: Any, sentence: str) -> None:
    assert sentence in serve(rows).error(422, json={"rows": [{"age": 30, "city": "x", "wait": wait}]})


def test_a_value_that_is_missing_is_named(serve: Serve, rows: flash.Task) -> None:
    sentence = serve(rows).error(422, json={"rows": [{"age": 30}]})
    assert sentence == "rows[0].city: Expected a value for 'city', but there is none. Pass null if it is not known."


def test_columns_that_the_task_does_not_know_are_left_out(serve: Serve, rows: flash.Task, row: dict[str, Any]) -> None:
    assert serve(rows).predictions(json={"rows": [{**row, "id": [{"deep": 1}]}]}) == ["long"]


def test_each_wrong_row_is_named(serve: Serve, rows: flash.Task, row: dict[str, Any]) -> None:
    answer = serve(rows).post(json={"rows": [row, {"age": "x", "city": "y"}, row, 7]}).json()
    assert [each["place"] for each in answer["errors"]] == ["rows[1].age", "rows[3]"]
    assert answer["error"].endswith("1 more samples are wrong.")
    assert answer["errors"][1]["error"] == "Expected an object with a value for each column, but got 7."


# ---------------------------------------------------------------------- JSON


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        (b"", 400, "Expected JSON, but the body is none: "),
        (b"{", 400, "Expected JSON, but the body is none: "),
        (b"\xff\xfe\x00", 400, "Expected JSON, but the body is none: "),
        (b'{"rows": [NaN]}', 400, "JSON has no NaN; null is for what is not known."),
        (b'{"rows": [-Infinity]}', 400, "JSON has no -Infinity; null is for what is not known."),
        (b"[" * 200_000, 400, "Expected JSON, but the body is none: it is nested too deeply."),
        (b'{"rows": ' * 50_000, 400, "Expected JSON, but the body is none: it is nested too deeply."),
        (b'{"rows": [{"age": ' + b"9" * 5000 + b"}]}", 400, "Expected JSON, but the body is none: "),
        (b'{"rows": [{"age": 1e999, "city": "x"}]}', 422, "Expected a number that fits into 64 bits"),
        (b"[]", 422, 'Expected a JSON object such as {"rows": [...]}, but got a list.'),
        (b'{"texts": []}', 422, "but got the keys 'texts'."),
        (b"{}", 422, "but got no keys."),
        (b'{"rows": []}', 422, 'Expected a list of at least one sample in "rows", but got an empty list.'),
        (b'{"rows": "/etc/passwd"}', 422, "in \"rows\", but got the text '/etc/passwd'."),
        (b'{"rows": ["/etc/passwd"]}', 422, "Expected an object with a value for each column, but got the text"),
        (b'{"rows": [{"age": 1, "city": "a"}], "path": "x"}', 422, "but got 'path' too. Leave it out."),
        (b'{"rows": [{"age": 1, "city": "\\ud800"}]}', 422, "Expected text that UTF-8 can encode in the request"),
    ],
)
def test_a_body_that_is_no_request_is_refused(
    serve: Serve, rows: flash.Task, body: bytes, status: int, sentence: str
) -> None:
    assert sentence in serve(rows).error(status, content=body, headers={"content-type": "application/json"})


@pytest.mark.parametrize("kind", ["text/csv", "", "multipart/form-data; boundary=x"])
def test_a_body_of_another_type_is_refused(serve: Serve, rows: flash.Task, kind: str) -> None:
    sentence = serve(rows).error(415, content=b"age,city\n1,x\n", headers={"content-type": kind} if kind else {})
    assert sentence.startswith("Expected a body of type application/json, but got ")


def test_more_rows_than_allowed_are_refused(serve: Serve, rows: flash.Task, row: dict[str, Any]) -> None:
    service = serve(rows, max_rows=3)
    assert len(service.predictions(json={"rows": [row] * 3})) == 3
    sentence = service.error(413, json={"rows": [row] * 4})
    assert sentence.startswith("Expected at most 3 samples in a request, but got 4. Send them in several requests")


# ---------------------------------------------------------------------- texts


@pytest.mark.parametrize("text", ["/etc/passwd", "../../etc/passwd", "http://127.0.0.1:9/", "~/.ssh/id_rsa", ""])
def test_a_text_is_a_text_and_never_a_path(serve: Serve, words: flash.Task, text: str) -> None:
    assert serve(words).predictions(json={"texts": [text]}) == [[float(len(text)), 1.0]]


@pytest.mark.parametrize("value", [7, None, ["a"], {"path": "/etc/passwd"}, True])
def test_what_is_no_text_is_refused(serve: Serve, words: flash.Task, value: Any) -> None:
    assert "texts[1]: Expected a text, but got" in serve(words).error(422, json={"texts": ["a", value]})


def test_a_text_that_is_too_long_is_refused(serve: Serve, words: flash.Task) -> None:
    sentence = serve(words, max_text=5).error(422, json={"texts": ["abcdef"]})
    assert "Expected a text of at most 5 characters, but got 6. Shorten it." in sentence


def test_a_pair_has_two_texts(serve: Serve, pairs: flash.Task) -> None:
    service = serve(pairs)
    assert service.predictions(json={"texts": [{"question": "Who?", "answer": "Ada"}]}) == [[4.0, 3.0]]
    assert "texts[0].answer: Expected a text, but got null." in service.error(
        422, json={"texts": [{"question": "Who?"}]}
    )
    sentence = service.error(422, json={"texts": ["Who?"]})
    assert "Expected an object with the texts 'question', 'answer', but got the text 'Who?'." in sentence


# ---------------------------------------------------------------------- files


def test_an_uploaded_file_is_predicted_and_removed(serve: Serve, recordings: flash.Task, noise: bytes) -> None:
    files = [("any", ("../../etc/x.WAV", noise)), ("any", ("/etc/passwd", noise[:10])), ("any", ("y.flac", b"1"))]
    assert serve(recordings).predictions(files=files) == [[1000.0, 4.0], [10.0, 0.0], [1.0, 5.0]]
    assert len(Recordings.opened) == 3
    assert not any(path.exists() or path.parent.exists() for path in Recordings.opened)
    assert {path.name for path in Recordings.opened} == {"0.wav", "1", "2.flac"}


def test_a_file_in_base64_is_predicted(serve: Serve, recordings: flash.Task, noise: bytes) -> None:
    assert serve(recordings).predictions(json={"files": [base64.b64encode(noise).decode()]}) == [[1000.0, 0.0]]


@pytest.mark.parametrize("value", ["/etc/passwd", "http://127.0.0.1:9/x.wav", "file:///etc/passwd", "x.wav"])
def test_a_path_or_an_address_is_not_opened(serve: Serve, recordings: flash.Task, value: str) -> None:
    sentence = serve(recordings).error(422, json={"files": [value]})
    assert "Expected the bytes of a file as text in base64, but got" in sentence
    assert "A path or an address is not opened here: send what is in the file." in sentence
    assert not Recordings.opened


@pytest.mark.parametrize("value", [{"path": "/etc/passwd"}, None, 7, ["/etc/passwd"]])
def test_a_file_is_no_object(serve: Serve, recordings: flash.Task, value: Any) -> None:
    sentence = serve(recordings).error(422, json={"files": [value]})
    assert "files[0]: Expected the bytes of a file as text in base64, but got" in sentence
    assert not Recordings.opened


def test_a_file_that_a_check_refuses_is_not_opened(serve: Serve, recordings: flash.Task) -> None:
    sentence = serve(recordings).error(422, files=[("a", ("a.wav", b"fine")), ("a", ("b.wav", b"bomb"))])
    assert sentence == "files[1]: Expected a recording, but got a bomb. Send another."
    assert not Recordings.opened


def test_an_error_shows_no_path_of_the_service(serve: Serve, recordings: flash.Task) -> None:
    sentence = serve(recordings).error(422, files=[("a", ("a.wav", b"damaged"))])
    assert sentence == "files[0]: Expected a recording, but the file is damaged. Repair it."


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        (b"", 400, "it ends too early. Send it again."),
        (b"no form at all", 400, "Expected a body of type multipart/form-data, but it is broken"),
        (b'--x\r\nContent-Disposition: form-data; name="a"; filename="a.wav"\r\n\r\nabc', 400, "it ends too early"),
        (b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nabc\r\n--x--\r\n', 422, "Expected at least one file"),
        (b'--x\r\nContent-Disposition: form-data; filename="a"\r\n\r\n\r\n--x--\r\n', 422, "it is empty (0 bytes)"),
        (b"--x\r\n\r\nabc\r\n--x\r\n\r\nabc\r\n--x\r\n\r\nabc\r\n--x--\r\n", 413, "Expected at most 2 files"),
    ],
)
def test_a_broken_form_is_refused(
    serve: Serve, recordings: flash.Task, body: bytes, status: int, sentence: str
) -> None:
    headers = {"content-type": "multipart/form-data; boundary=x"}
    assert sentence in serve(recordings, max_rows=2).error(status, content=body, headers=headers)


def test_a_form_needs_a_boundary(serve: Serve, recordings: flash.Task) -> None:
    sentence = serve(recordings).error(400, content=b"--x", headers={"content-type": "multipart/form-data"})
    assert sentence == "Expected a boundary in the type multipart/form-data, but there is none."


# ---------------------------------------------------------------------- numbers


def test_numbers_are_an_array(serve: Serve, arrays: flash.Task) -> None:
    assert serve(arrays).predictions(json={"rows": [[1, 2.5], [3, 4]]}) == [[1.0, 2.5], [3.0, 4.0]]


@pytest.mark.parametrize("value", ["/etc/passwd", None, ["1"], [None], [], [[1], [1, 2]], [[[[[[[[[1]]]]]]]]], [True]])
def test_what_is_no_array_is_refused(serve: Serve, arrays: flash.Task, value: Any) -> None:
    assert "rows[0]: Expected" in serve(arrays).error(422, json={"rows": [value]})


def test_numbers_that_the_network_refuses_are_the_senders_mistake(serve: Serve, arrays: flash.Task) -> None:
    sentence = serve(arrays).error(422, json={"rows": [[1.0, 2.0], [1.0]]})
    assert sentence.startswith("rows[1]: Expected numbers that the network takes, but those of shape (1,) are refused:")


def test_the_fields_are_those_of_the_hook(rows: flash.Task) -> None:
    assert rows.preprocess is not None
    assert rows.preprocess.request_fields() is ROWS


# ---------------------------------------------------------------------- plain rows


CELLS: dict[str, list[Any]] = {
    "age": [30, 2.5, None, True, 2**53 + 1, -(2**70), 1e300, "30", [1], 10**400],
    "city": ["Rome", "", None, "très", 3, 2.5, True, 2**53 + 1, 10**30, 1e30, "x" * 51, "\ud800", {}, "\x00"],
    "day": ["2024-12-31", None, "2024-02-30", "31.12.2024", 3, [1], "2024-12-31T18:30Z"],
    "note": [None, "a note", 7, False, "y" * 51],
}


def decoded(body: bytes, *, plain: bool) -> Any:
    decoder = Decoder(ROWS, Limits(max_text=50, max_rows=5))
    if not plain:
        decoder._plain_columns = None
    try:
        return decoder.decode("application/json", body).values
    except RequestError as error:
        return error.status, error.body


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in CELLS.items() for value in values])
def test_plain_rows_are_what_each_value_is_looked_at_for(name: str, value: Any) -> None:
    usual = {"age": 40, "city": "Oslo", "day": None, "note": "n", "id": 7}
    for rows in ([{**usual, name: value}], [usual, {**usual, name: value}, usual], [usual, {name: value}]):
        body = json.dumps({"rows": rows}).encode()
        assert decoded(body, plain=True) == decoded(body, plain=False)


@pytest.mark.parametrize(
    "content",
    [
        {"rows": []},
        {"rows": [1]},
        [],
        {},
        {"rows": 3},
        {"rows": [{"age": 1, "city": "x", "day": None, "note": None}] * 6},
    ],
    ids=lambda content: str(content)[:20],
)
def test_what_is_no_plain_request_has_its_error(content: Any) -> None:
    body = json.dumps(content).encode()
    assert decoded(body, plain=True) == decoded(body, plain=False)
    assert decoded(body, plain=True)[0] in (413, 422)


def test_a_table_of_one_column_has_rows_of_one_value() -> None:
    fields = RequestFields("table", [RequestField("age", "number")])
    decoder = Decoder(fields, Limits())
    assert decoder.decode("application/json", b'{"rows": [{"age": 3}, {"age": null}]}').values == [(3,), (None,)]


def test_a_column_of_texts_beside_one_of_whole_numbers_needs_no_look_at_each_value() -> None:
    decoder = Decoder(RequestFields("table", [RequestField(name, "category") for name in "ab"]), Limits())
    assert decoder._plain_columns is not None
    plain, mixed = b'{"rows": [{"a": "x", "b": 1}, {"a": null, "b": 2}]}', b'{"rows": [{"a": "x", "b": 1.5}]}'
    assert decoder._plain_columns.rows_of(plain, "rows", 9) == [("x", 1), (None, 2)]
    assert decoder._plain_columns.rows_of(mixed, "rows", 9) is None
