"""Models that put images and texts into one space (CLIP, SigLIP): which words fit which images."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ruc.embed.frozen import FrozenEmbedder, of_module
from ruc.embed.preprocessing import read_preprocessing
from ruc.embed.pretrained import check_complete, load_model
from ruc.embed.weights import model_folder, understood
from ruc.errors import WeightsError, shortened, shown
from ruc.readers import load_json
from ruc.runtime import Runtime

TOKENIZER_FILES: Final = ("tokenizer.json", "vocab.json", "vocab.txt", "spiece.model")
TOKEN_PROPERTIES: Final = frozenset(
    ("id", "content", "single_word", "lstrip", "rstrip", "normalized", "special", "__type")
)
TEXTS_AT_ONCE: Final = 64
EXPECTED: Final = (
    "expected the folder of a model of images and text such as CLIP or SigLIP, with its weights as safetensors, "
    "preprocessor_config.json and its tokenizer: hf download google/siglip-base-patch16-224 --local-dir siglip brings "
    "one, from where there is a network"
)


@dataclass(frozen=True)
class ImageTextModel:
    """Two towers whose embeddings can be compared.

    Attributes
    ----------
    images
        Embeds images, unit-norm.
    texts
        Embeds texts: n of them to (n, n_features) float32, unit-norm.
    scale
        What cosines of the two are multiplied by to be logits, as the model learned it.
    """

    images: FrozenEmbedder
    texts: Callable[[Sequence[str]], NDArray[np.float32]]
    scale: float


class _Projected(nn.Module):
    """The image tower, into the space that it shares with the texts."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """(n, 3, height, width), normalised, to (n, n_features)."""
        return _features(self.model.get_image_features(pixel_values=images))


def load_image_text(model_dir: str | Path, runtime: Runtime) -> ImageTextModel:
    """Load a model of images and text from a folder, as `save_pretrained` writes it; nothing is downloaded.

    Raises
    ------
    WeightsError
        There is no such folder, or it holds no whole model of images and text with its tokenizer.
    """
    name = str(model_dir)
    if not Path(name).is_dir():
        raise WeightsError(f"{name!r} is no folder; {EXPECTED}")
    folder = model_folder(name, None)
    preprocessing = read_preprocessing(folder, name)
    model, missing = load_model(folder, name)
    if not all(hasattr(model, part) for part in ("get_text_features", "get_image_features", "logit_scale")):
        raise WeightsError(f"{name} ({type(model).__name__}) doesn't compare images with text; {EXPECTED}")
    check_complete(missing, name)
    text = model.config.text_config
    tokenize = _tokenizer(folder, name, int(text.max_position_embeddings), int(text.vocab_size))
    model = model.float().eval()
    origin = {"kind": "image_text", "name": str(folder)}
    # Whole precision: what tells words apart are small differences between cosines.
    images = of_module(name, _Projected(model), preprocessing, origin, runtime, mixed_precision=False)

    def embed(texts: Sequence[str]) -> NDArray[np.float32]:
        rows = []
        with torch.inference_mode():
            for start in range(0, len(texts), TEXTS_AT_ONCE):
                tokens = tokenize(list(texts[start : start + TEXTS_AT_ONCE])).to(runtime.device)
                rows.append(nn.functional.normalize(_features(model.get_text_features(**tokens)), dim=1))
        features: NDArray[np.float32] = torch.cat(rows).cpu().numpy()
        return features

    return ImageTextModel(images, embed, float(model.logit_scale.exp()))


def _features(output: Any) -> Tensor:
    """What the towers return: rows, or since transformers 5 an object that holds them."""
    rows: Tensor = getattr(output, "pooler_output", output)
    return rows


def _check_added_tokens(folder: Path) -> None:
    """Raise `ValueError` where one has a property that tokenizers (0.23.3) ignores, and says so on stdout itself."""
    for file, key in (("tokenizer.json", "added_tokens"), ("tokenizer_config.json", "added_tokens_decoder")):
        content = load_json(folder / file) if (folder / file).is_file() else {}
        added = content.get(key) or [] if isinstance(content, dict) else []
        for token in added.values() if isinstance(added, dict) else added:
            unknown = sorted(token.keys() - TOKEN_PROPERTIES) if isinstance(token, dict) else []
            if unknown:
                raise ValueError(
                    f"{file} has an added token with {shortened(unknown[0])!r}, which no token has"
                )


def _check_template(folder: Path) -> None:
    """Raise `ValueError` where texts stand between tokens that aren't listed, by which tokenizers (0.23.3) panics."""
    content = load_json(folder / "tokenizer.json") if (folder / "tokenizer.json").is_file() else {}
    template = content.get("post_processor") if isinstance(content, dict) else None
    listed = {name for tokens in _within(template, "special_tokens") for name in tokens}
    for token in _within(template, "SpecialToken"):
        if str(token.get("id")) not in listed:
            raise ValueError(
                f"tokenizer.json puts {shown(token.get('id'))} around texts, and doesn't say what it is"
            )


def _within(content: Any, key: str) -> Iterator[dict[Any, Any]]:
    """Every mapping that stands under a key, at any depth."""
    if isinstance(content, dict) and isinstance(content.get(key), dict):
        yield content[key]
    parts = content.values() if isinstance(content, dict) else content if isinstance(content, list) else ()
    for part in parts:
        yield from _within(part, key)


def _tokenizer(folder: Path, name: str, longest: int, n_tokens: int) -> Callable[[list[str]], Any]:
    """From texts to tokens, always as many: SigLIP was trained so, and CLIP doesn't look behind a text's end.

    `n_tokens` is how many the model knows.
    """
    from transformers import AutoTokenizer

    # Without files transformers makes a tokenizer that knows no word, and all texts are the same.
    if not any((folder / file).is_file() for file in TOKENIZER_FILES):
        raise WeightsError(f"{name} has none of {', '.join(TOKENIZER_FILES)}; {EXPECTED}")
    with understood(f"the tokenizer of {name} cannot be read", EXPECTED):
        _check_added_tokens(folder)
        _check_template(folder)
        tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)

    def tokenize(texts: list[str]) -> Any:
        with understood(f"the tokenizer of {name} cannot be used", EXPECTED):
            tokens = tokenizer(
                texts, padding="max_length", truncation=True, max_length=longest, return_tensors="pt"
            )
        largest = int(tokens["input_ids"].max())
        if largest >= n_tokens:
            raise WeightsError(
                f"the tokenizer of {name} gives the token {largest}, and its model knows {n_tokens}; {EXPECTED}"
            )
        return tokens

    return tokenize
