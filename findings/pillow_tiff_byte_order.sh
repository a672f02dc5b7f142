#!/usr/bin/env bash
# Pillow 13.0.0 reads big-endian TIFFs of int16, int32 and float32 rightly when they are stored as they are, and with the
# bytes of each number reversed when they are compressed (Deflate, LZW, Zstandard, PackBits): libtiff has brought them into
# the machine's order by then. No error, no warning. uint16 is right in both, and a big-endian BigTIFF isn't identified.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pillow==13.0.0 tifffile==2026.3.3 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
import numpy as np, tifffile
from PIL import Image, UnidentifiedImageError

for kind, values in (("uint16", [1, 258, 65535]), ("int16", [1, 258, -5]), ("int32", [1, 258, -5]), ("float32", [1, 2.5, -5])):
    pixels = np.array([values], kind)
    for compression in (None, "zlib"):
        for order in "<>":
            tifffile.imwrite("a.tif", pixels, byteorder=order, compression=compression, metadata=None)
            seen = np.asarray(Image.open("a.tif"))
            is_right = bool((seen == pixels).all())
            print(kind, compression, order, seen[0].tolist(), "right" if is_right else "WRONG")
            assert is_right == (not (order == ">" and compression and kind != "uint16"))
            if not is_right and kind == "float32":
                assert (seen.byteswap() == pixels).all()
tifffile.imwrite("a.tif", pixels, byteorder=">", bigtiff=True, metadata=None)
try:
    Image.open("a.tif")
    raise SystemExit("a big-endian BigTIFF is identified now")
except UnidentifiedImageError as error:
    print("big-endian BigTIFF:", type(error).__name__)
PYTHON
