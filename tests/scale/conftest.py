"""A Ray cluster of two nodes on this machine, for the tests that need one."""

import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def ray_nodes() -> Iterator[Any]:
    """The cluster, of one core a node, which this process has joined; its processes end with the tests of a file."""
    pytest.importorskip("ray", reason="Ray isn't installed: pip install 'ruc[ray]'")
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore")  # Ray's own
        patch.setenv("RAY_worker_niceness", "0")  # beside other tests it would hardly get a turn
        patch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), *sys.path]))
        import ray
        from ray.cluster_utils import Cluster

        # A lost node is missed after half a second, not after 20.
        soon = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 100}
        head = {"num_cpus": 1, "include_dashboard": False, "_system_config": soon}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        cluster.add_node(num_cpus=1)
        ray.init(cluster.address, log_to_driver=False, logging_level="ERROR")
        yield cluster
        ray.shutdown()
        cluster.shutdown()
