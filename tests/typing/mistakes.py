"""Programs with a misspelt name: type checkers say so, which the ignored errors here hold them to."""

import flash.tabular


def misspell() -> None:
    flash.Trainner()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    flash.tabular.TabularClasifier()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
