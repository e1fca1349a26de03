"""The outputs of cells in JupyterLab itself, where it is installed."""

import json
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("jupyterlab", reason="jupyterlab is not installed")
pytest.importorskip("ipykernel", reason="ipykernel is not installed")
pytest.importorskip("jinja2", reason="jinja2 is not installed")

import embedder
from embedder.text.vocabulary import Vocabulary
from embedder.vectors.word_vectors import WordVectors

CELLS = [
    "import embedder\nvectors = embedder.load('vectors.safetensors')",
    "vectors.neighbors('w3', 5)",
    "vectors.map(words=50, projection='pca', height=500)",
]


@pytest.fixture
def notebook(rng, tmp_path):
    """The address of a notebook in a running JupyterLab."""
    vectors = WordVectors(
        Vocabulary([f"w{i}" for i in range(60)], np.arange(60, 0, -1)), rng.normal(size=(60, 8))
    )
    vectors.save(tmp_path / "vectors.safetensors")
    cells = [
        {"cell_type": "code", "id": f"cell{i}", "source": source, "execution_count": None}
        | {"metadata": {}, "outputs": []}
        for i, source in enumerate(CELLS)
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    content = {"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
    (tmp_path / "cells.ipynb").write_text(json.dumps(content), encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    command += ["--ip=127.0.0.1", f"--port={port}", "--IdentityProvider.token=secret"]
    command += ["--LabApp.news_url=None", "--LabApp.expose_app_in_browser=True"]
    command += [f"--ServerApp.root_dir={tmp_path}"]
    path = os.pathsep.join(
        [str(Path(embedder.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    )
    folders = {name: str(tmp_path / name) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR")}
    environment = os.environ | folders | {"PYTHONPATH": path}
    with (tmp_path / "log.txt").open("wb") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=tmp_path)
    try:
        yield f"http://127.0.0.1:{port}/lab/tree/cells.ipynb?token=secret"
    finally:
        server.terminate()
        server.wait(30)


def test_cells_show_the_neighbours_and_the_map(browser, notebook):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.wait import WebDriverWait

    def is_up(_):
        try:
            return urllib.request.urlopen(notebook).status == 200
        except urllib.error.URLError:
            return False

    def found(selector):
        return lambda b: b.find_elements(By.CSS_SELECTOR, selector)

    wait = WebDriverWait(browser, 600)  # kernels are compiled meanwhile, if for the first time
    wait.until(is_up)
    browser.get(notebook)
    wait.until(lambda b: len(found(".jp-CodeCell .cm-content")(b)) == len(CELLS))
    wait.until(found("[data-status=idle]"))  # the kernel
    browser.execute_script("jupyterapp.commands.execute('notebook:run-all-cells')")
    table = wait.until(found(".jp-OutputArea table"))[0]
    assert table.text.startswith("word similarity")
    browser.switch_to.frame(wait.until(found(".jp-OutputArea iframe"))[0])
    wait.until(lambda b: b.execute_script("return document.documentElement.dataset.ready"))
    browser.execute_script("choose('w3')")
    assert len(found("#card .neighbors .word")(browser)) == 20
    browser.switch_to.default_content()
