import logging
from concurrent.futures import ThreadPoolExecutor

import pytest


class Machines:
    """A Ray cluster of several one-CPU nodes on this machine; the driver joins the first.

    A node's processes die with the thread that started them, so one thread starts all nodes.
    """

    def __init__(self):
        from ray.cluster_utils import Cluster

        # Ray should detect within seconds that a node is lost.
        checks = {"health_check_period_ms": 1000, "health_check_failure_threshold": 5}
        head = {"num_cpus": 1, "include_dashboard": False, "_system_config": checks}
        self._thread = ThreadPoolExecutor(1)
        self._cluster = self._do(Cluster, initialize_head=True, head_node_args=head)
        self.address = self._cluster.address
        self._others = []

    def _do(self, function, *arguments, **options):
        return self._thread.submit(function, *arguments, **options).result()

    @property
    def others(self):
        """The number of nodes besides the first."""
        return len(self._others)

    def add(self):
        self._others.append(self._do(self._cluster.add_node, num_cpus=1))

    def kill(self):
        self._do(self._cluster.remove_node, self._others.pop(), allow_graceful=False)

    def fill_up(self, count):
        while self.others < count:
            self.add()
        self._cluster.wait_for_nodes()

    def join(self):
        """Join the cluster, so that trainings use this connection: Ray starts workers for each."""
        import ray

        if not ray.is_initialized():
            ray.init(address=self.address, log_to_driver=False, logging_level=logging.ERROR)

    def leave(self):
        """Leave the cluster, so that a training has to join it."""
        import ray

        ray.shutdown()

    def shutdown(self):
        """Leave the cluster and stop it, if it has not been stopped before."""
        if self._cluster is None:
            return
        self.leave()
        self._do(self._cluster.shutdown)
        self._thread.shutdown()
        self._cluster = None


@pytest.fixture(scope="package")
def signals_left_alone():
    """Keep Ray from handling this process's SIGTERM, which works only in the main thread."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ray._private.utils.set_sigterm_handler", lambda _: None)
        yield


@pytest.fixture(scope="package")
def machines(signals_left_alone):
    found = Machines()
    yield found
    found.shutdown()


@pytest.fixture
def other_machines(machines):
    """A second cluster."""
    machines.leave()
    found = Machines()
    yield found
    found.shutdown()


@pytest.fixture
def on_cluster(machines, make_toy_config):
    """Return a function that makes a toy run's configuration for the cluster, which it joins."""

    def make(output, others=1, **sections):
        machines.fill_up(others)
        machines.join()
        where = {"address": machines.address, "shard_size": 50_000}
        where |= sections.pop("cluster", {})
        training = {"engine": "ray"} | sections.pop("training", {})
        return make_toy_config(output, training=training, cluster=where, **sections)

    return make
