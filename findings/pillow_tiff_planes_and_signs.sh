#!/usr/bin/env bash
# Pillow 13.0.0 opens an uncompressed TIFF of 16-bit colours in separate planes (PlanarConfiguration 2) and gives pixels
# that aren't in the file, and one of signed 8-bit values (SampleFormat 2) as if they were unsigned: -128 comes out as 128,
# brighter than 127. No error, no warning; the header tells both.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pillow==13.0.0 tifffile==2026.3.3 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
import numpy as np, tifffile
from PIL import Image

planes = np.random.default_rng(0).integers(0, 65536, (3, 32, 32), dtype=np.uint16)
tifffile.imwrite("a.tif", planes, photometric="rgb", planarconfig="separate", metadata=None)
image = Image.open("a.tif")
seen = np.asarray(image).astype(float)
agreement = [float(np.corrcoef(seen[:, :, band].ravel(), planes[band].ravel())[0, 1]) for band in range(3)]
print("16 bits in planes:", image.mode, "correlation of each band with the file's:", [round(one, 2) for one in agreement])
assert min(agreement) < 0.9

tifffile.imwrite("b.tif", np.array([[-128, -1, 0, 127]], np.int8), photometric="minisblack", metadata=None)
image = Image.open("b.tif")
seen = np.asarray(image).tolist()
print("signed 8 bits:", image.mode, seen)
assert seen == [[128, 255, 0, 127]]
PYTHON
