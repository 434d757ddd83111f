"""`bnbench.run` in a real notebook, executed in a kernel."""

from __future__ import annotations

from pathlib import Path

import pytest

from bnbench.lessons.notebook import execute, outputs
from bnbench.lessons.page import as_page
from bnbench.lessons.source import parse

_NOTEBOOK = """# %% [markdown] tags=["title"] seconds=20
# # A sweep
# %% [markdown] tags=["question"]
# How many?
# %%
import bnbench
{cell}
# %% tags=["answer"]
print(len(sweep.trials))
# %% [markdown] tags=["sources"]
# None.
"""


@pytest.mark.slow
def test_a_run_in_a_notebook_has_one_bar_that_ends_full_and_no_lines_of_progress(tmp_path: Path) -> None:
    cell = 'sweep = bnbench.run("data=digits", "model=fc", "norm=none,batch", "seed=range(2)", "training.steps=300")'
    lesson = parse("sweep", _NOTEBOOK.format(cell=cell))
    notebook, seconds = execute(lesson, tmp_path)
    found = outputs(notebook)
    bars = [output["data"] for output in found if "<progress" in output.get("data", {}).get("text/html", "")]
    assert len(bars) == 1
    assert bars[0]["text/plain"].startswith("100% |█")
    assert 'value="1.000"' in bars[0]["text/html"]
    assert bars[0]["text/plain"].count("trials done") == 1
    assert "4 of 4 trials done" in bars[0]["text/plain"]
    printed = "".join(output["text"] for output in found if output["output_type"] == "stream")
    assert "trials done" not in printed
    page = as_page(lesson, notebook, seconds)
    assert page.count("trials done") == 1
