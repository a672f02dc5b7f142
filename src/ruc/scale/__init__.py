"""Beyond one machine: the same stages over shards, which Ray hands to the nodes of a cluster."""
