"""Models of images and text that are so small that a test makes them, with a tokenizer of a few words."""

import json
from pathlib import Path
from typing import Any

import torch

TOWER = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
LONGEST = 8  # tokens
WORDS = ("a", "photo", "of", "bar", "column", "square", "red", "blue")
PREPARED = {
    "crop_size": 32,
    "do_center_crop": True,
    "do_normalize": True,
    "do_resize": True,
    "feature_extractor_type": "CLIPFeatureExtractor",
    "image_mean": [0.48, 0.46, 0.41],
    "image_std": [0.27, 0.26, 0.28],
    "resample": 3,
    "size": 32,
}


def make_clip(scale: float = 100.0) -> Any:
    from transformers import CLIPConfig, CLIPModel

    torch.manual_seed(0)
    text = {
        **TOWER,
        "vocab_size": len(WORDS) + 3,
        "max_position_embeddings": LONGEST,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "pad_token_id": 1,
    }
    vision = {**TOWER, "image_size": 32, "patch_size": 8}
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)).eval()
    model.logit_scale.data.fill_(scale).log_()
    return model


def make_siglip() -> Any:
    from transformers import SiglipConfig, SiglipModel

    torch.manual_seed(0)
    text = {**TOWER, "vocab_size": len(WORDS) + 3, "max_position_embeddings": LONGEST}
    vision = {**TOWER, "image_size": 32, "patch_size": 8}
    return SiglipModel(SiglipConfig(text_config=text, vision_config=vision)).eval()


def make_tokenizer() -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = ("<s>", "</s>", "<unk>", *WORDS)
    tokenizer = Tokenizer(
        models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="</s>"
    )


def save_image_text(model: Any, folder: Path) -> Path:
    model.save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(PREPARED))
    return folder


def tokens_of(texts: list[str]) -> Any:
    """As the model's own processor would make them."""
    return make_tokenizer()(
        texts, padding="max_length", max_length=LONGEST, truncation=True, return_tensors="pt"
    )


def pixels_of(files: list[Path]) -> torch.Tensor:
    """(n, 3, 32, 32) as transformers prepares them."""
    import transformers
    from PIL import Image

    make = getattr(transformers, "CLIPImageProcessorPil", None) or transformers.CLIPImageProcessor
    processor = make(**{key: value for key, value in PREPARED.items() if "type" not in key})
    images = [Image.open(file).convert("RGB") for file in files]
    return processor(images=images, return_tensors="pt")["pixel_values"]


def teach(model: Any, examples: dict[str, list[Path]]) -> None:
    """Let "a photo of a WORD" be where its examples differ from all: the text projection is solved for that."""
    with torch.no_grad():
        seen = {
            word: torch.nn.functional.normalize(
                model.visual_projection(model.vision_model(pixels_of(files))[1])
            )
            for word, files in examples.items()
        }
        middle = torch.cat(list(seen.values())).mean(dim=0)
        apart = torch.stack([rows.mean(dim=0) - middle for rows in seen.values()])
        across = torch.nn.functional.normalize(middle, dim=0)
        wanted = (
            apart - (apart @ across)[:, None] * across
        )  # what all images have in common speaks for no word
        read = model.text_model(**tokens_of([f"a photo of a {word}" for word in seen])).pooler_output
        model.text_projection.weight.copy_((torch.linalg.pinv(read) @ wanted).T)
