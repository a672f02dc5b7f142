#!/usr/bin/env bash
# transformers 5.23.0 makes a tokenizer from a model's folder in which no tokenizer file is (only config.json): it raises nothing and
# knows no word, so all texts of as many words become the same numbers, and a model of images and text (CLIP) finds every
# label as likely as every other. A BERT's does the same.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet transformers==5.23.0
cd "$folder"
venv/bin/python - <<'PYTHON'
import tempfile

import transformers
from transformers import AutoTokenizer, BertConfig, CLIPConfig

assert transformers.__version__ == "5.23.0"
for config in (CLIPConfig(), BertConfig()):
    model = tempfile.mkdtemp()
    config.save_pretrained(model)
    tokenizer = AutoTokenizer.from_pretrained(model, local_files_only=True)
    cats, dogs = (tokenizer(text)["input_ids"] for text in ("cats", "dogs"))
    print(type(tokenizer).__name__, "of", len(tokenizer), "tokens: cats", cats, "dogs", dogs)
    assert len(tokenizer) < 10 and cats == dogs
PYTHON
