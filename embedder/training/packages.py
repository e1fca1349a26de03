"""Packages of extras that a training needs."""

import importlib.util

from embedder.config import Config
from embedder.errors import RunError


def require_packages(config: Config) -> None:
    """Raise an error if a configured package is not installed, before anything is read or written.

    Raises
    ------
    RunError
        With what to install.
    """
    needed = (
        ("training.engine ray", config.training.engine == "ray", "ray", "ray"),
        ("tracking.tensorboard", config.tracking.tensorboard, "tensorboardX", "tracking"),
        ("tracking.mlflow", config.tracking.mlflow is not None, "mlflow", "tracking"),
    )
    for key, is_used, module, extra in needed:
        if is_used and importlib.util.find_spec(module) is None:
            raise RunError(
                f"{key} requires the package {module}, which is not installed; pip install "
                f"'exact-embedder[{extra}]'."
            )
