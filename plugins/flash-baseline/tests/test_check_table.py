"""Checks of tables: what is planted is found, and what is not there is not."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import datasets

from flash.baseline._columns import Column
from flash.baseline.checks import check_table
from flash.baseline.results import Finding
from flash.data.tables import Table, read_table
from flash.errors import MissingColumnError

ROWS = 300


def made(rows: int = ROWS, seed: int = 0, **columns: Any) -> dict[str, list[Any]]:
    """A table with nothing to find: a number, a category, and a class that both say something about."""
    random = np.random.default_rng(seed)
    size, city = random.normal(50, 10, rows), random.choice(["Oslo", "Rome", "Lima"], rows)
    sold = size + 8 * (city == "Rome") + random.normal(0, 10, rows) > 52
    table = {"size": size.tolist(), "city": city.tolist(), "sold": np.where(sold, "yes", "no").tolist()}
    return {**table, **columns}


def check(columns: dict[str, list[Any]], target: str = "sold", **options: Any) -> list[Finding]:
    return check_table({"train": Table(columns)}, [target], **options)


def kinds(findings: list[Finding]) -> list[str]:
    return [finding.kind for finding in findings]


def only(findings: list[Finding], kind: str) -> Finding:
    assert kinds(findings) == [kind], [finding.sentence for finding in findings]
    return findings[0]


def as_text(columns: dict[str, list[Any]]) -> Table:
    """The table as CSV gives it."""
    texts = {name: [None if value is None else str(value) for value in values] for name, values in columns.items()}
    return Table(texts, is_text=True)


class TestNothing:
    @pytest.mark.parametrize("seed", range(5))
    def test_a_table_without_defects_has_no_findings(self, seed: int) -> None:
        assert check(made(seed=seed)) == []
        assert check_table({"train": as_text(made(seed=seed))}, ["sold"]) == []

    def test_nor_have_random_parts_of_it(self) -> None:
        table = Table(made())
        parts = {
            "train": table.take(range(200)),
            "val": table.take(range(200, 250)),
            "test": table.take(range(250, 300)),
        }
        assert check_table(parts, ["sold"]) == []

    def test_numbers_and_several_targets(self) -> None:
        random = np.random.default_rng(9)
        price = [2 * size + noise for size, noise in zip(made()["size"], random.normal(0, 10, ROWS), strict=True)]
        assert check(made(price=price), "price") == []
        assert check_table({"train": Table(made(price=price))}, ["price", "size"]) == []

    @pytest.mark.parametrize(
        ("load", "found"),
        [
            (datasets.load_iris, ["duplicates"]),  # one of 150 rows is there twice
            (datasets.load_wine, []),
            (datasets.load_breast_cancer, []),
            (datasets.load_diabetes, []),
            (datasets.load_digits, ["constants", "nearly constants"]),  # pixels of the border
        ],
    )
    def test_well_known_tables(self, load: Callable[[], Any], found: list[str]) -> None:
        bunch = load()
        columns = {str(name): bunch.data[:, place].tolist() for place, name in enumerate(bunch.feature_names)}
        findings = check({**columns, "target": bunch.target.tolist()}, "target")
        assert kinds(findings) == found
        assert all(finding.level == "info" for finding in findings)

    def test_real_tables(self, shared: Path) -> None:
        folder = shared / "data" / "tabular"
        titanic = check_table({"train": read_table(folder / "titanic.csv")}, ["Survived"])
        assert [(each.kind, list(each.columns)) for each in titanic] == [
            ("groups", ["Ticket"]),  # families and parties travel on one ticket
            ("ids", ["PassengerId"]),
            ("ids", ["Name"]),
            ("missing values", ["Cabin"]),
            ("rare categories", ["Ticket", "Cabin"]),
        ]
        adult = {part: read_table(folder / f"adult_{part}.csv") for part in ("train", "test")}
        found = check_table(adult, ["income"])
        assert kinds(found) == ["duplicates", "duplicates", "duplicates between parts", "contradictions", "copies"]
        assert "24 of 32,561 train rows" in found[0].sentence  # as the source of the data says
        assert list(found[4].columns) == ["education", "education_num"]
        housing = check_table({"train": read_table(folder / "california_housing.csv")}, ["median_house_value"])
        assert kinds(housing) == ["capped target"]
        assert all(finding.level == "info" for finding in [*titanic, *found, *housing])


class TestRows:
    def test_duplicates(self) -> None:
        columns = {name: [*values, *values[:6]] for name, values in made().items()}
        finding = only(check(columns), "duplicates")
        assert finding.level == "warning"
        assert list(finding.rows) == [f"row {row}" for row in range(300, 306)]
        assert "6 of 306 train rows" in finding.sentence

    def test_duplicates_that_differ_in_a_row_number(self) -> None:
        columns = {name: [*values, *values[:6]] for name, values in made().items()}
        findings = check({"row": list(range(306)), **columns})
        assert kinds(findings) == ["duplicates", "ids"]
        assert "(but for 'row', which differs in every row)" in findings[0].sentence

    def test_duplicates_between_parts(self) -> None:
        train = Table(made())
        finding = only(
            check_table({"train": train, "test": train.take(range(40))}, ["sold"]), "duplicates between parts"
        )
        assert finding.level == "warning"
        assert "40 of 40" in finding.sentence

    def test_equal_rows_by_chance_are_no_finding(self) -> None:
        random = np.random.default_rng(0)
        columns = {name: random.choice(["a", "b", "c"], ROWS).tolist() for name in ("one", "two", "three", "sold")}
        assert "duplicates" not in kinds(check(columns))

    def test_contradictions(self) -> None:
        columns = made()
        for name in ("size", "city"):
            columns[name][:10] = columns[name][10:20]
        columns["sold"][:20] = ["yes"] * 10 + ["no"] * 10
        finding = only(check(columns), "contradictions")
        assert finding.level == "warning"
        assert list(finding.rows) == [f"row {row}" for row in range(10)]
        assert "20 of 300 train rows" in finding.sentence

    def test_few_rows(self) -> None:
        findings = check(made(20))
        assert "few rows" in kinds(findings)
        assert "Expected at least 30 train rows, but there are 20." in findings[-1].sentence


class TestTarget:
    def test_one_class(self) -> None:
        finding = check(made(sold=["yes"] * ROWS))[0]
        assert finding.kind == "one class"
        assert finding.level == "error"
        assert finding.sentence.startswith("Expected at least two classes of 'sold', but all train samples are 'yes'.")

    def test_one_number(self) -> None:
        finding = check(made(sold=[1.5] * ROWS), kind="regression")[0]
        assert (finding.kind, finding.level) == ("one value", "error")

    def test_no_value_at_all(self) -> None:
        findings = check(made(sold=[None] * ROWS))
        assert {"one class", "missing targets"} <= set(kinds(findings))

    def test_missing_targets(self) -> None:
        columns = made()
        columns["sold"][7] = None
        finding = only(check(columns), "missing targets")
        assert list(finding.rows) == ["row 7"]
        assert "1 of 300 have none" in finding.sentence

    def test_rare_classes(self) -> None:
        columns = made()
        columns["sold"][:3] = ["maybe"] * 3
        finding = only(check(columns), "rare classes")
        assert "such as 'maybe' with 3" in finding.sentence

    def test_uneven_classes(self) -> None:
        columns = made(3000)
        columns["sold"] = ["yes" if size > 70 else "no" for size in columns["size"]]
        findings = check(
            {
                **columns,
                "size": [size + shift for size, shift in zip(columns["size"], made(3000, 1)["size"], strict=True)],
            }
        )
        assert kinds(findings) == ["class balance"]

    def test_a_class_of_the_test_rows_alone(self) -> None:
        test = made(60, seed=1)
        test["sold"][0] = "maybe"
        finding = only(check_table({"train": Table(made()), "test": Table(test)}, ["sold"]), "unknown classes")
        assert "'maybe' is not" in finding.sentence

    def test_a_capped_target(self) -> None:
        price = [min(2 * size, 120.0) for size in made(3000)["size"]]
        noisy = made(
            3000, size=[size + noise for size, noise in zip(made(3000)["size"], made(3000, 1)["size"], strict=True)]
        )
        del noisy["sold"]
        finding = only(check({**noisy, "price": price}, "price"), "capped target")
        assert "rows have the highest, 120.0" in finding.sentence

    def test_a_target_that_is_not_there(self) -> None:
        with pytest.raises(MissingColumnError, match="Did you mean 'sold'"):
            check(made(), "solt")


class TestLeaks:
    def leak(self, column: list[Any], target: str = "sold", **columns: Any) -> Finding:
        found = [each for each in check(made(**columns, leak=column), target) if each.kind == "leak"]
        assert [list(each.columns) for each in found] == [["leak"]]
        assert found[0].level == "warning"
        return found[0]

    def test_a_copy(self) -> None:
        assert "'leak' is a copy of it" in self.leak(made()["sold"]).sentence

    def test_another_name_for_each_class(self) -> None:
        code = [{"yes": 7, "no": 3}[each] for each in made()["sold"]]
        assert "'leak' has one value for each of its values" in self.leak(code).sentence

    def test_a_number_that_says_the_class(self) -> None:
        random = np.random.default_rng(5)
        paid = [100 * (each == "yes") + value for each, value in zip(made()["sold"], random.random(ROWS), strict=True)]
        sentence = self.leak(paid).sentence
        assert "'leak' alone removes 100.0% of the errors on rows held out" in sentence

    def test_a_number_that_says_a_number(self) -> None:
        random = np.random.default_rng(5)
        price = random.lognormal(3, 2, ROWS)
        assert "of the variance" in self.leak((price * 1.19).tolist(), "price", price=price.tolist()).sentence

    def test_missing_values_that_say_the_class(self) -> None:
        random = np.random.default_rng(5)
        boat = [
            int(random.integers(20)) if (each == "yes") != (random.random() < 0.03) else None for each in made()["sold"]
        ]
        assert "whether it is missing alone removes" in self.leak(boat).sentence

    def test_hardly_any_rows_say_nothing_about_a_leak(self) -> None:
        rows = 60
        paid = [float(each == "yes") + place / 1000 for place, each in enumerate(made(rows)["sold"])]
        assert "leak" not in kinds(check(made(rows, leak=paid)))

    def test_one_of_several_targets_is_no_leak_of_another(self) -> None:
        columns = made(sold_again=made()["sold"])
        assert check_table({"train": Table(columns)}, ["sold", "sold_again"]) == []

    def test_an_easy_target_is_no_warning(self) -> None:
        # Two kinds of iris that three of four columns tell apart.
        iris = datasets.load_iris()
        rows = iris.target < 2
        columns = {name: iris.data[rows, place].tolist() for place, name in enumerate(iris.feature_names)}
        assert all(each.level == "info" for each in check({**columns, "kind": iris.target[rows].tolist()}, "kind"))


class TestColumns:
    @pytest.mark.parametrize(
        ("values", "reason"),
        [
            (range(1, ROWS + 1), "whole numbers are in order"),
            (np.random.default_rng(0).permutation(ROWS).tolist(), "count the rows"),
            ([f"user-{each * 7919 % 10007}" for each in range(ROWS)], "different texts"),
        ],
    )
    def test_ids(self, values: Any, reason: str) -> None:
        finding = only(check(made(key=list(values))), "ids")
        assert reason in finding.sentence
        assert list(finding.columns) == ["key"]

    def test_whole_numbers_are_ids_by_name(self) -> None:
        values = np.random.default_rng(0).choice(10**9, ROWS, replace=False).tolist()
        assert kinds(check(made(customer_id=values))) == ["ids"]
        assert kinds(check(made(customerId=values))) == ["ids"]
        assert check(made(population=values)) == []

    def test_constants_and_nearly_constants(self) -> None:
        columns = made(3000, same=[1] * 3000, none=[None] * 3000, nearly=[0] * 2998 + [1, 2])
        found = check(columns)
        assert [(each.kind, list(each.columns)) for each in found] == [
            ("constants", ["none"]),
            ("constants", ["same"]),
            ("nearly constants", ["nearly"]),
        ]

    def test_copies(self) -> None:
        columns = made()
        columns["inches"] = [size / 2.54 for size in columns["size"]]
        columns["country"] = [{"Oslo": "N", "Rome": "I", "Lima": "P"}[city] for city in columns["city"]]
        finding = only(check(columns), "copies")
        assert "'city' and 'country'" in finding.sentence
        assert "'size' and 'inches'" in finding.sentence

    def test_missing_values(self) -> None:
        columns = made()
        columns["size"] = [size if place % 3 == 0 else None for place, size in enumerate(columns["size"])]
        assert "more than half of 'size' is missing" in only(check(columns), "missing values").sentence

    def test_texts_for_missing_values(self) -> None:
        columns = made()
        columns["city"][:4] = ["?", "N/A", "?", "?"]
        assert "'city' has the text '?', 'N/A'" in only(check(columns), "missing values").sentence

    def test_numbers_with_a_few_texts(self) -> None:
        columns = made()
        columns["size"][5] = "about 40"
        finding = only(check(columns), "mixed types")
        assert "1 of 300 rows have text, such as 'about 40'" in finding.sentence
        assert list(finding.rows) == ["row 5"]

    def test_rare_categories(self) -> None:
        random = np.random.default_rng(0)
        streets = [f"{random.choice(['Main', 'High'])} street {each}" for each in random.integers(0, 200, ROWS)]
        assert "rare categories" in kinds(check(made(street=streets)))

    def test_sentences(self) -> None:
        notes = [f"This flat number {each} is near the station and has a very nice view." for each in range(ROWS)]
        assert "'note' holds sentences" in only(check(made(note=notes)), "texts").sentence


class TestGroupsAndTime:
    def grouped(self, **columns: Any) -> dict[str, list[Any]]:
        """Four rows of each of 75 patients, who have one target."""
        random = np.random.default_rng(3)
        patients = np.repeat(np.arange(75), 4)
        order = random.permutation(ROWS)
        sold = random.choice(["yes", "no"], 75)[patients][order].tolist()
        return made(patient=patients[order].tolist(), sold=sold, **columns)

    def test_groups(self) -> None:
        finding = only(check(self.grouped()), "groups")
        assert finding.level == "warning"
        assert list(finding.columns) == ["patient"]
        assert "pass --group patient" in finding.sentence

    def test_groups_of_a_number(self) -> None:
        grouped = self.grouped()
        random = np.random.default_rng(0)
        levels = random.normal(0, 1, 75)
        price = [float(levels[each] + random.normal(0, 0.3)) for each in grouped["patient"]]
        del grouped["sold"]
        assert "groups" in kinds(check({**grouped, "price": price}, "price"))

    def test_groups_that_say_nothing_are_no_finding(self) -> None:
        random = np.random.default_rng(3)
        assert check(made(patient=random.integers(0, 75, ROWS).tolist())) == []

    def test_groups_that_are_given_are_not_suggested(self) -> None:
        assert check(self.grouped(), group="patient") == []

    def test_groups_on_both_sides(self) -> None:
        table = Table(self.grouped())
        parts = {"train": table.take(range(200)), "test": table.take(range(200, 300))}
        finding = check_table(parts, ["sold"], group="patient")[0]
        assert finding.kind == "groups"
        assert finding.level == "warning"
        assert "Expected no 'patient' both in train and in test" in finding.sentence

    @pytest.mark.parametrize(
        "day",
        [
            lambda each: f"2024-{each % 12 + 1:02}-{each % 28 + 1:02}",
            lambda each: datetime.date(2024, each % 12 + 1, each % 28 + 1),
            lambda each: datetime.datetime(2024, 1, 1) + datetime.timedelta(hours=each),
            lambda each: f"2024-01-01T{each % 24:02}:30:00",
        ],
    )
    def test_times(self, day: Callable[[int], Any]) -> None:
        columns = made(day=[day(each * 7919 % ROWS) for each in range(ROWS)])
        finding = only(check(columns), "time")
        assert "pass --time day" in finding.sentence
        assert check(columns, time="day") == []

    def test_seconds_since_1970(self) -> None:
        random = np.random.default_rng(0)
        assert kinds(check(made(timestamp=random.integers(16 * 10**8, 17 * 10**8, ROWS).tolist()))) == ["time"]

    def test_dates_that_are_not_read(self) -> None:
        columns = made(day=[f"{each % 28 + 1}.{each % 12 + 1}.2024" for each in range(ROWS)])
        assert "dates such as '1.1.2024', which are read as text" in only(check(columns), "dates").sentence


class TestDrift:
    def test_a_column_that_tells_the_parts_apart(self) -> None:
        test = made(seed=1)
        test["size"] = [size + 60 for size in test["size"]]
        finding = only(check_table({"train": Table(made()), "test": Table(test)}, ["sold"]), "drift")
        assert finding.level == "warning"
        assert "'size' alone says where a row is from in" in finding.sentence

    def test_parts_without_the_target(self) -> None:
        test = made(seed=1)
        del test["sold"]
        assert check_table({"train": Table(made()), "test": Table(test)}, ["sold"]) == []

    def test_copies_in_a_part_without_the_target(self) -> None:
        test = {name: values[:40] for name, values in made().items() if name != "sold"}
        found = check_table({"train": Table(made()), "test": Table(test)}, ["sold"])
        assert "40 of 40" in only(found, "duplicates between parts").sentence


class TestLimits:
    def test_findings_are_the_worst_first(self) -> None:
        columns = {name: [*values, *values[:6]] for name, values in made().items()}
        levels = [each.level for each in check({**columns, "same": [1] * 306, "sold": ["yes"] * 306})]
        assert levels == sorted(levels, key=["error", "warning", "info"].index)
        assert len(set(levels)) == 3

    def test_many_rows_are_checked_in_seconds(self) -> None:
        rows = 200_000
        random = np.random.default_rng(0)
        columns: dict[str, list[Any]] = {f"x{place}": random.normal(size=rows).tolist() for place in range(10)}
        columns |= {f"c{place}": random.choice(["red", "green", "blue"], rows).tolist() for place in range(9)}
        columns["y"] = (random.normal(size=rows) + np.asarray(columns["x0"]) > 0).tolist()
        start = time.process_time()
        assert check(columns, "y") == []
        assert time.process_time() - start < 20  # 3 s; the limit is for slow machines

    def test_a_sample_is_said(self) -> None:
        random = np.random.default_rng(0)
        sold = random.integers(0, 2, 50_000)
        columns = {"x": random.normal(size=50_000).tolist(), "paid": (sold * 10 + random.random(50_000)).tolist()}
        finding = only(check({**columns, "sold": sold.tolist()}), "leak")
        assert "on rows held out of a sample of 20,000 rows" in finding.sentence

    def test_cells_of_any_type(self) -> None:
        class Odd:
            __hash__ = None  # type: ignore[assignment]

        odd = [[1], {"a": 1}, None, float("nan"), b"x", Odd(), 10**400, "\ud800", True, 1.5]
        assert isinstance(check(made(odd=[odd[place % 10] for place in range(ROWS)])), list)
        assert isinstance(check(made(huge=[10.0 ** (300 - place) for place in range(ROWS)])), list)

    @pytest.mark.parametrize("rows", [1, 2, 3])
    def test_hardly_any_rows(self, rows: int) -> None:
        assert "few rows" in kinds(check(made(rows)))

    def test_the_target_alone(self) -> None:
        assert check({"sold": made()["sold"]}) == []


@pytest.mark.parametrize(
    "texts", [["1", " 2.5 ", "-1e3", "nan", "inf", "1e400", "007"], ["1_000", "3"], ["\u0663", "3"], ["true", "0"], []]
)
def test_texts_are_the_same_numbers_beside_a_text_that_is_none(texts: list[str]) -> None:
    known = {"1": 1.0, " 2.5 ": 2.5, "-1e3": -1000.0, "007": 7.0, "3": 3.0, "true": 1.0, "0": 0.0}
    expected = [known.get(text, float("nan")) for text in texts]
    alone = Column("size", texts, np.arange(len(texts)))
    beside = Column("size", [*texts, "large"], np.arange(len(texts) + 1))
    np.testing.assert_array_equal(alone.value_numbers, expected)
    np.testing.assert_array_equal(beside.value_numbers, [*expected, float("nan")])
