"""A small report whose images are plain colours, so that everything in it is known."""

import numpy as np
from PIL import Image

from ruc.report.data import ReportData

HOSTILE = "<img src=x onerror=\"window.hacked='name'\">.png"
BREAKOUT = "</script><script>window.hacked='script'</script><!--.png"
N_CLUSTERS = 4
COLOURS = ((200, 30, 30), (30, 160, 30), (30, 30, 200), (200, 180, 30))


def make_data(n_images: int = 240, **changes: object) -> ReportData:
    """`n_images` images in four clusters of equal size, by turns; every tenth came from the cluster below."""
    rng = np.random.default_rng(0)
    cluster = np.arange(n_images) % N_CLUSTERS
    initial = np.where(np.arange(n_images) % 10 == 0, (cluster + 3) % N_CLUSTERS, cluster)
    probabilities = np.full((n_images, N_CLUSTERS), 0.02)
    confidence = rng.uniform(0.5, 0.9, n_images)
    probabilities[np.arange(n_images), cluster] = confidence
    probabilities[np.arange(n_images), (cluster + 1) % N_CLUSTERS] = 1 - confidence - 0.04
    features = rng.normal(0, 0.1, (n_images, 6)) + np.eye(6)[cluster]
    names = [f"folder/image_{row:05d}.png" for row in range(n_images)]
    names[:2] = [HOSTILE, BREAKOUT]
    is_clean = confidence > 0.55
    content = {
        "title": "colours",
        "file_names": names,
        "cluster": cluster,
        "confidence": confidence,
        "initial_cluster": initial,
        "was_clean": confidence > 0.7,
        "is_clean": is_clean,
        "cluster_names": [str(number) for number in range(N_CLUSTERS)],
        "probabilities": probabilities,
        "features": features / np.linalg.norm(features, axis=1, keepdims=True),
        "positions": (features @ rng.normal(size=(6, 2))).astype(np.float32),
        "positions_name": "a plane",
        "open_thumbnail": lambda row, size: Image.new("RGB", (24, 24), COLOURS[int(cluster[row])]),
        "skipped": [("broken.jpg", "truncated"), (HOSTILE, "<b>not an image</b>")],
        "history": [{"epoch": epoch, "clean_loss": 2.0 / (epoch + 1)} for epoch in range(5)],
        "settings": {"source": "colours", "seed": 0, "name": BREAKOUT},
        "remarks": ["<i>all</i> is well"],
        "warnings": ["<i>look</i>"],
    }
    return ReportData(**{**content, **changes})  # type: ignore[arg-type]
