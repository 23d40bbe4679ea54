"""The cache of compiled code never outlives its sources."""

import shutil
import subprocess
import sys
from pathlib import Path

import tiercel.sim
from tiercel.sim.compiled import compiled


def test_a_compiled_function_keeps_its_value() -> None:
    @compiled
    def double(x: float) -> float:
        return 2.0 * x

    assert double(1.5) == 3.0


def test_a_change_in_a_called_module_reaches_its_callers(tmp_path: Path) -> None:
    """The caller's own file stays as it is, its cached code must not."""
    package = tmp_path / "tiercel" / "sim"
    package.mkdir(parents=True)
    (tmp_path / "tiercel" / "__init__.py").touch()
    (package / "__init__.py").touch()
    shutil.copy(Path(tiercel.sim.__file__).parent / "compiled.py", package)
    head = "from tiercel.sim.compiled import compiled\n"
    (package / "caller.py").write_text(
        head + "from tiercel.sim.callee import shade\n@compiled\ndef paint(x):\n    return shade(x)\n"
    )
    answers = []
    for factor in ("2.0", "3.0"):
        (package / "callee.py").write_text(head + f"@compiled\ndef shade(x):\n    return x * {factor}\n")
        program = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        program += "from tiercel.sim.caller import paint; print(paint(5.0))"
        answers.append(
            subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
        )
    assert answers == ["10.0\n", "15.0\n"]
