#!/usr/bin/env bash
# datasets 5.2.0 reads the metadata.jsonl of an image folder by pyarrow.json, which makes times of JSON texts: a class called
# "2020-01-01" comes back as datetime, "2020" stays text. In metadata.parquet it stays the text that it is.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet datasets==5.2.0 pyarrow==26.0.1 pillow==13.0.0
cd "$folder"
mkdir lines parquet
export HF_HOME="$folder/cache" HF_HUB_OFFLINE=1 HF_DATASETS_OFFLINE=1
venv/bin/python - <<'PYTHON'
import datetime
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import load_dataset
from PIL import Image

rows = [{"file_name": f"{number}.png", "label": f"2020-01-0{1 + number % 2}"} for number in range(4)]
for folder in ("lines", "parquet"):
    for row in rows:
        Image.new("L", (8, 8)).save(Path(folder, row["file_name"]))
Path("lines/metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
pq.write_table(pa.Table.from_pylist(rows), "parquet/metadata.parquet")
found = {folder: load_dataset("imagefolder", data_dir=folder)["train"][0]["label"] for folder in ("lines", "parquet")}
print(found)
assert found == {"lines": datetime.datetime(2020, 1, 1), "parquet": "2020-01-01"}
PYTHON
