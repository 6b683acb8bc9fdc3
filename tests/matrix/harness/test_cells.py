"""The cells of a matrix as tests of pytest."""

import os
import subprocess

import pytest

SANDBOX = os.environ.get("SANDBOX", "sandbox")
PROFILE = os.environ.get("PROFILE", "matrix.yaml")
CELLS = subprocess.check_output([SANDBOX, "matrix", "--list", "-q", PROFILE], text=True).split()


@pytest.mark.parametrize("cell", CELLS)
def test_cell(cell, tmp_path):
    done = subprocess.run([SANDBOX, "matrix", PROFILE, "--cell", cell, "--output", tmp_path / "out"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
