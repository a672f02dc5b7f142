#!/usr/bin/env bash
# datasets 5.2.0: Dataset.to_parquet of an image folder writes no image: bytes are null, and the path is absolute, with the
# home folder of whoever wrote it. Read elsewhere, the first image ends in an error. Bytes come in by embed_table_storage.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet datasets==5.2.0 pyarrow==26.0.1 pillow==13.0.0
cd "$folder"
mkdir -p images/cat images/dog
export HF_HOME="$folder/cache" HF_HUB_OFFLINE=1 HF_DATASETS_OFFLINE=1
venv/bin/python - <<'PYTHON'
import shutil
from pathlib import Path

import pyarrow.parquet as pq
from datasets import Dataset, load_dataset
from datasets.table import embed_table_storage
from PIL import Image

for name in ("cat/0.png", "dog/1.png"):
    Image.new("L", (8, 8)).save(Path("images", name))
data = load_dataset("imagefolder", data_dir="images", split="train")
data.to_parquet("plain.parquet")
embedded = data.with_format("arrow").map(embed_table_storage, batched=True).with_format(None)
embedded.to_parquet("embedded.parquet")
plain, whole = (pq.read_table(name)["image"][0].as_py() for name in ("plain.parquet", "embedded.parquet"))
print(plain, {**whole, "bytes": len(whole["bytes"])})
assert plain == {"bytes": None, "path": str(Path("images/cat/0.png").resolve())}
assert whole["path"] == "0.png"
assert len(whole["bytes"]) > 0

shutil.rmtree("images")
assert Dataset.from_parquet("embedded.parquet")[0]["image"].size == (8, 8)
try:
    Dataset.from_parquet("plain.parquet")[0]
except FileNotFoundError as error:
    print(error)
else:
    raise AssertionError("it is read all the same")
PYTHON
