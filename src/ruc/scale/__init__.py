"""Beyond one machine: the same stages over shards, which Ray Data hands to the nodes of a cluster."""
