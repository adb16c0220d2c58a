from __future__ import annotations

import re
from pathlib import Path

README = Path(__file__).resolve().parents[1] / "README.md"


def test_the_first_program_of_the_readme_runs_and_goes_on(tmp_path: Path) -> None:
    program = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)[0]
    for epochs in (10, 10):
        names: dict[str, object] = {}
        exec(program, names)
        solver = names["Solver"]("runs/first")
        assert solver.restore()
        assert len(solver.history) == epochs
        assert (tmp_path / "runs" / "first" / "checkpoint.th").exists()
