import pytest

from tests.engine import cluster


@pytest.fixture(scope="package")
def two_workers(tmp_path_factory):
    """A scheduler and two workers, which come back when a test kills them."""
    pytest.importorskip("distributed", reason="needs the extra 'cluster'")
    with cluster.cluster(tmp_path_factory.mktemp("cluster"), 2) as made:
        yield made
