"""What is answered to a request that cannot be: a status code of HTTP and a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flash.errors import DataError

__all__ = ["RequestError"]


class RequestError(DataError):
    """A request that is not answered by predictions.

    Args:
        status: The status code of HTTP.
        sentence: What was expected, what came, and what to do.
        places: The places that are wrong, such as ``"rows[3].age"``, each with its sentence.
        headers: Headers of the answer.

    Example:
        >>> RequestError(422, "Expected rows, but got none.").body
        {'error': 'Expected rows, but got none.'}
    """

    def __init__(
        self,
        status: int,
        sentence: str,
        places: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(sentence)
        self.status = status
        self.places = places
        self.headers = dict(headers or {})

    @property
    def body(self) -> dict[str, Any]:
        """The answer."""
        answer: dict[str, Any] = {"error": str(self)}
        if self.places:
            answer["errors"] = [{"place": place, "error": sentence} for place, sentence in self.places]
        return answer
