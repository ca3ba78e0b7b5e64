"""What the plugin adds to the end of somebody's test run."""

import subprocess
import sys
from pathlib import Path


def test_a_file_that_cannot_be_collected_is_pytests_to_tell(tmp_path: Path) -> None:
    """The plugin loads in every run, and most have no journeys: it must not be what fails."""
    (tmp_path / "test_broken.py").write_text("import nothing_of_this_name\n")
    command = [sys.executable, "-m", "pytest", "--rootdir", str(tmp_path), str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    assert run.returncode == 2
    assert "No module named 'nothing_of_this_name'" in run.stdout
    assert run.stderr == ""
