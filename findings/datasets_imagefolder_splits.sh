#!/usr/bin/env bash
# datasets 5.2.0, load_dataset("imagefolder"): one file called test_1.png among others makes a dataset of the split "test"
# alone with that one image. The other images are left out, and so is the label that metadata.jsonl gives, without a word.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet datasets==5.2.0 pillow==13.0.0
cd "$folder"
mkdir plain named
export HF_HOME="$folder/cache" HF_HUB_OFFLINE=1 HF_DATASETS_OFFLINE=1
venv/bin/python - <<'PYTHON'
import json
from pathlib import Path

from datasets import load_dataset
from PIL import Image

seen = {}
for folder, first in (("plain", "photo 0.png"), ("named", "test_1.png")):
    names = [first, *(f"photo {number}.png" for number in range(1, 6))]
    for name in names:
        Image.new("L", (8, 8)).save(Path(folder, name))
    rows = [json.dumps({"file_name": name, "label": "cat"}) for name in names]
    Path(folder, "metadata.jsonl").write_text("\n".join(rows) + "\n")
    data = load_dataset("imagefolder", data_dir=folder)
    seen[folder] = {split: (len(data[split]), data[split].column_names) for split in data}
    print(folder, seen[folder])
assert seen["plain"] == {"train": (6, ["image", "label"])}
assert seen["named"] == {"test": (1, ["image"])}
PYTHON
