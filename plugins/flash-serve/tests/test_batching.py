"""Batches: what waits is predicted together, each gets its own answer, and what is wrong fails alone."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any

import httpx
import pytest
from small_domains import Rows, Service, task_of

import flash
from flash.errors import DataError
from flash.serve.batching import Batcher
from flash.serve.decoding import Samples
from flash.serve.errors import RequestError
from flash.serve.metrics import Metrics

Serve = Callable[..., Service]


class Network:
    """Doubles numbers, in batches that it notes; waits for its gate."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.entered = threading.Event()
        self.batches: list[list[Any]] = []

    def __call__(self, samples: Sequence[Any]) -> list[Any]:
        self.batches.append(list(samples))
        self.entered.set()
        assert self.gate.wait(60)
        for each in samples:
            if each == 13:
                raise DataError("Expected no 13, but got it. Take another.")
            if each == 14:
                raise ZeroDivisionError
        return [2 * each for each in samples]


@pytest.fixture
def network() -> Network:
    return Network()


def samples_of(*values: Any) -> Samples:
    return Samples(values, [f"rows[{place}]" for place in range(len(values))])


async def busy(batcher: Batcher, network: Network, first: Any = 1) -> asyncio.Task[Any]:
    """Let a request begin to be predicted, so that what follows waits."""
    task = asyncio.create_task(batcher.submit(samples_of(first), 60))
    await asyncio.to_thread(network.entered.wait, 60)
    return task


async def queued(batcher: Batcher, *requests: Sequence[Any], timeout: float = 60) -> list[asyncio.Task[Any]]:
    tasks = [asyncio.create_task(batcher.submit(samples_of(*values), timeout)) for values in requests]
    await asyncio.sleep(0)
    return tasks


def test_an_idle_network_takes_a_request_at_once(network: Network) -> None:
    network.gate.set()
    batcher = Batcher(network, 32, 8, Metrics())
    for value in (1, 2, 3):
        assert asyncio.run(batcher.submit(samples_of(value), 60)) == [2 * value]
    batcher.close(10)
    assert network.batches == [[1], [2], [3]]


def test_requests_that_come_while_it_is_busy_are_predicted_together(network: Network) -> None:
    async def main() -> list[Any]:
        first = await busy(batcher, network)
        rest = await queued(batcher, [2], [3, 4], [5])
        network.gate.set()
        return await asyncio.gather(first, *rest)

    batcher = Batcher(network, 32, 8, Metrics())
    assert asyncio.run(main()) == [[2], [4], [6, 8], [10]]
    assert network.batches == [[1], [2, 3, 4, 5]]
    batcher.close(10)


def test_a_large_request_shares_batches_with_small_ones(network: Network) -> None:
    async def main() -> list[str]:
        first = await busy(batcher, network)
        done: list[str] = []
        large, small = await queued(batcher, range(20, 30), [2])
        large.add_done_callback(lambda _: done.append("large"))
        small.add_done_callback(lambda _: done.append("small"))
        network.gate.set()
        assert list(await asyncio.gather(first, large, small)) == [[2], list(range(40, 60, 2)), [4]]
        return done

    batcher = Batcher(network, 4, 8, Metrics())
    assert asyncio.run(main()) == ["small", "large"]
    assert [len(batch) for batch in network.batches] == [1, 4, 4, 3]
    batcher.close(10)


def test_a_wrong_sample_fails_alone_with_its_place(network: Network) -> None:
    async def main() -> list[Any]:
        first = await busy(batcher, network)
        rest = await queued(batcher, [2], [3, 13, 4, 13], [14], [5])
        network.gate.set()
        return await asyncio.gather(first, *rest, return_exceptions=True)

    batcher = Batcher(network, 32, 8, Metrics())
    one, two, wrong, failed, five = asyncio.run(main())
    assert (one, two, five) == ([2], [4], [10])
    assert isinstance(wrong, RequestError)
    assert (wrong.status, str(wrong)) == (
        422,
        "rows[1]: Expected no 13, but got it. Take another. 1 more samples are wrong.",
    )
    assert [place for place, _ in wrong.places] == ["rows[1]", "rows[3]"]
    assert isinstance(failed, RequestError)
    assert failed.status == 500
    assert str(failed) == (
        "rows[0]: Expected the task to predict the sample, but it failed with ZeroDivisionError; its log says why."
    )
    batcher.close(10)


def test_a_task_that_loses_predictions_is_an_error() -> None:
    batcher = Batcher(lambda samples: [], 32, 8, Metrics())
    with pytest.raises(RequestError, match="Expected 1 predictions, but the task returned 0."):
        asyncio.run(batcher.submit(samples_of(1), 60))
    batcher.close(10)


def test_a_full_queue_refuses_requests(network: Network) -> None:
    async def main() -> list[Any]:
        first = await busy(batcher, network)
        rest = await queued(batcher, [2], [3], [4])
        assert batcher.waiting == 2
        network.gate.set()
        return await asyncio.gather(first, *rest, return_exceptions=True)

    batcher = Batcher(network, 32, 2, Metrics())
    *answered, refused = asyncio.run(main())
    assert answered == [[2], [4], [6]]
    assert isinstance(refused, RequestError)
    assert (refused.status, refused.headers) == (503, {"Retry-After": "1"})
    assert str(refused) == (
        "Expected a service that is free, but 2 requests wait already. Send the request again later."
    )
    batcher.close(10)


def test_a_request_whose_time_is_over_is_not_predicted(network: Network) -> None:
    async def main() -> Any:
        first = await busy(batcher, network)
        late = await queued(batcher, [2], timeout=0.01)
        (outcome,) = await asyncio.gather(*late, return_exceptions=True)
        network.gate.set()
        assert await first == [2]
        assert await batcher.submit(samples_of(3), 60) == [6]
        return outcome

    batcher = Batcher(network, 32, 8, Metrics())
    outcome = asyncio.run(main())
    assert isinstance(outcome, RequestError)
    assert (outcome.status, str(outcome)) == (
        504,
        "Expected an answer within 0.01 s, but the network is busy. Send fewer samples, or later.",
    )
    assert network.batches == [[1], [3]]
    batcher.close(10)


def test_what_waits_is_answered_before_the_end_and_nothing_after_it(network: Network) -> None:
    async def main() -> list[Any]:
        first = await busy(batcher, network)
        rest = await queued(batcher, [2], [3])
        network.gate.set()
        await asyncio.to_thread(batcher.close, 60)
        answers = await asyncio.gather(first, *rest)
        with pytest.raises(RequestError, match="Expected a service that is free, but it is stopping."):
            await batcher.submit(samples_of(4), 60)
        return answers

    batcher = Batcher(network, 32, 8, Metrics())
    assert batcher.is_alive
    assert asyncio.run(main()) == [[2], [4], [6]]
    assert not batcher.is_alive


def test_temporary_files_are_removed_for_each_request() -> None:
    class Folder:
        closed = 0

        def cleanup(self) -> None:
            Folder.closed += 1

    def refuse(samples: Sequence[Any]) -> list[Any]:
        raise DataError("Expected another file.")

    async def main() -> None:
        for batcher in (Batcher(lambda samples: list(samples), 32, 8, Metrics()), Batcher(refuse, 32, 8, Metrics())):
            await asyncio.gather(
                *(batcher.submit(Samples([1], ["files[0]"], Folder()), 60) for _ in range(3)), return_exceptions=True
            )
            batcher.close(10)
            with pytest.raises(RequestError):
                await batcher.submit(Samples([1], ["files[0]"], Folder()), 60)

    asyncio.run(main())
    assert Folder.closed == 8


def test_32_clients_each_get_the_answers_to_their_own_samples(serve: Serve) -> None:
    async def talk(client: httpx.AsyncClient) -> None:
        async def one(number: int) -> None:
            for turn in range(8):
                rows: list[dict[str, Any]] = [
                    {"age": 1000 * number + 10 * turn + place, "city": "x" * place} for place in range(turn % 3 + 1)
                ]
                answer = await client.post("/v1/predict", json={"rows": rows})
                expected = [[float(row["age"]), float(len(row["city"]))] for row in rows]
                assert [each["prediction"] for each in answer.json()["predictions"]] == expected

        await asyncio.gather(*(one(number) for number in range(1, 33)))

    service = serve(task_of(Rows()), max_batch=8)
    service.run(talk)
    text = service.get("/metrics").text
    assert f'flash_requests_total{{code="200"}} {32 * 8}' in text
    assert f"flash_samples_total {32 * (1 + 2 + 3 + 1 + 2 + 3 + 1 + 2)}" in text
    batches = int(text.partition("flash_batch_samples_count ")[2].split()[0])
    assert batches < 32 * 8


def test_wrong_rows_of_some_clients_leave_the_others_alone(serve: Serve, rows: flash.Task) -> None:
    async def talk(client: httpx.AsyncClient) -> list[int]:
        ages = [30, 666, 40, 667, 50, 666, "x", 60] * 4
        answers = await asyncio.gather(
            *(client.post("/v1/predict", json={"rows": [{"age": age, "city": "y"}]}) for age in ages)
        )
        return [answer.status_code for answer in answers]

    assert serve(rows).run(talk) == [200, 422, 200, 500, 200, 422, 422, 200] * 4


def test_what_is_read_in_one_turn_of_the_event_loop_is_predicted_together(network: Network) -> None:
    async def main() -> list[Any]:
        return await asyncio.gather(*(batcher.submit(samples_of(value), 60) for value in range(1, 6)))

    network.gate.set()
    batcher = Batcher(network, 32, 8, Metrics())
    assert asyncio.run(main()) == [[2], [4], [6], [8], [10]]
    assert network.batches == [[1, 2, 3, 4, 5]]
    batcher.close(10)


def test_another_event_loop_may_ask_after_one_ended_in_the_middle(network: Network) -> None:
    async def abandoned() -> None:
        task = asyncio.ensure_future(batcher.submit(samples_of(1), 60))
        await asyncio.sleep(0)
        task.cancel()

    network.gate.set()
    batcher = Batcher(network, 32, 8, Metrics())
    loop = asyncio.new_event_loop()
    loop.run_until_complete(abandoned())
    loop.close()
    assert asyncio.run(batcher.submit(samples_of(2), 60)) == [4]
    batcher.close(10)
