import pytest


class Machines:
    """A Ray cluster of several one-CPU nodes on this machine; the driver joins the first."""

    def __init__(self):
        from ray.cluster_utils import Cluster

        # Ray should detect within seconds that a node is lost.
        checks = {"health_check_period_ms": 1000, "health_check_failure_threshold": 5}
        head = {"num_cpus": 1, "_system_config": checks}
        self._cluster = Cluster(initialize_head=True, head_node_args=head)
        self.address = self._cluster.address
        self._others = []

    def add(self):
        self._others.append(self._cluster.add_node(num_cpus=1))

    def kill(self):
        self._cluster.remove_node(self._others.pop(), allow_graceful=False)

    def fill_up(self, count):
        while len(self._others) < count:
            self.add()
        self._cluster.wait_for_nodes()

    def shutdown(self):
        self._cluster.shutdown()


@pytest.fixture(scope="module")
def machines():
    found = Machines()
    yield found
    found.shutdown()


@pytest.fixture
def other_machines():
    """A second cluster."""
    found = Machines()
    yield found
    found.shutdown()


@pytest.fixture
def on_cluster(machines, make_toy_config):
    """Return a function that makes a toy run's configuration for the cluster."""

    def make(output, others=1, **sections):
        machines.fill_up(others)
        where = {"address": machines.address, "shard_size": 50_000}
        where |= sections.pop("cluster", {})
        training = {"engine": "ray"} | sections.pop("training", {})
        return make_toy_config(output, training=training, cluster=where, **sections)

    return make
