"""Preprocessor files as the hub's checkpoints have them, and networks so small that nothing is downloaded."""

import json
from pathlib import Path
from typing import Any

TINY = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
# As facebook/dinov2-small has it, but for the sizes.
DINOV2 = {
    "crop_size": {"height": 28, "width": 28},
    "do_center_crop": True,
    "do_convert_rgb": True,
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": MEAN,
    "image_processor_type": "BitImageProcessor",
    "image_std": STD,
    "resample": 3,
    "rescale_factor": 0.00392156862745098,
    "size": {"shortest_edge": 32},
}
# As openai/clip-vit-base-patch32 has it: the sizes are bare numbers.
CLIP = {
    "crop_size": 32,
    "do_center_crop": True,
    "do_normalize": True,
    "do_resize": True,
    "feature_extractor_type": "CLIPFeatureExtractor",
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "resample": 3,
    "size": 32,
}
# As google/vit-base-patch16-224 has it: a square, and the proportions are lost.
VIT = {
    "do_normalize": True,
    "do_resize": True,
    "image_mean": [0.5] * 3,
    "image_std": [0.5] * 3,
    "resample": 2,
    "size": 32,
}


def save(model: Any, folder: Path, config: dict[str, Any] = DINOV2) -> Path:
    model.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(config))
    return folder


def reference_processor(config: dict[str, Any]) -> Any:
    """The processor of transformers that works without torchvision."""
    from transformers import logging as transformers_logging

    name = config.get("image_processor_type", config.get("feature_extractor_type", "ViTImageProcessor"))
    name = name.replace("FeatureExtractor", "ImageProcessor")
    import transformers

    transformers_logging.set_verbosity_error()
    processor = getattr(transformers, f"{name}Pil", None) or getattr(transformers, name)
    return processor(**{key: value for key, value in config.items() if "type" not in key})
