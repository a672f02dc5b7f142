#!/usr/bin/env bash
# Pillow 13.0.0 takes the fourth channel of a JPEG 2000 file for opacity though the file has no channel definition (cdef)
# that says so: four bands of a satellite, or red, green, blue and near infrared, become mode RGBA with transparency data, and
# what is composed over white is another picture: (239, 243, 247) where red, green and blue are (50, 100, 150).
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pillow==13.0.0 imagecodecs==2026.3.6 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
import io

import imagecodecs
import numpy as np
from PIL import Image

bands = np.broadcast_to(np.array([50, 100, 150, 20], np.uint8), (16, 16, 4)).copy()
content = imagecodecs.jpeg2k_encode(bands, level=0, codecformat="jp2")
image = Image.open(io.BytesIO(content))
print("channel definition:", b"cdef" in content, "mode:", image.mode, "transparency:", image.has_transparency_data)
white = Image.new("RGBA", image.size, "white")
shown = Image.alpha_composite(white, image).getpixel((0, 0))
print("red, green and blue over white:", shown[:3], "where the file holds", bands[0, 0, :3].tolist())
assert b"cdef" not in content and image.mode == "RGBA" and image.has_transparency_data
assert min(shown[:3]) > 200
PYTHON
