import importlib.util
from pathlib import Path

import pytest

from embedder.config_files import make_config
from embedder.errors import RunError
from embedder.training.packages import require_packages
from embedder.training.train import open_engine, open_row_map, train

SETTINGS = {
    "ray": ({"training": {"engine": "ray"}}, r"training.engine ray .* 'exact-embedder\[ray\]'\.$"),
    "tensorboardX": ({"tracking": {"tensorboard": True}}, r"tracking.tensorboard .*\[tracking\]"),
    "mlflow": ({"tracking": {"mlflow": "there"}}, r"tracking.mlflow .*\[tracking\]"),
}


@pytest.fixture
def without(monkeypatch):
    find = importlib.util.find_spec

    def pretend(*missing):
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda name: None if name in missing else find(name)
        )

    return pretend


@pytest.mark.parametrize("package", SETTINGS)
def test_a_missing_package_is_an_error_that_says_what_to_install(without, package):
    without(package)
    require_packages(make_config({"corpus": {"files": ["a"]}}, "test"))
    settings, message = SETTINGS[package]
    config = make_config({"corpus": {"files": ["a"]}, **settings}, "test")
    with pytest.raises(RunError, match=message):
        require_packages(config)


def test_nothing_is_replaced_or_opened_without_a_package(without, make_toy_config):
    train(make_toy_config(training={"passes": 1}), quiet=True)
    without("ray")
    config = make_toy_config(training={"engine": "ray"})
    model = Path(config.output) / "model.safetensors"
    before = model.stat().st_mtime_ns
    with pytest.raises(RunError, match="requires the package ray"):
        train(config, overwrite=True, quiet=True)
    assert model.stat().st_mtime_ns == before
    for opening in (open_engine, open_row_map):
        with pytest.raises(RunError, match="requires the package ray"), opening(config):
            pytest.fail("there is no Ray")
