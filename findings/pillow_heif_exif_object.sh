#!/usr/bin/env bash
# pillow_heif 1.8.1, saving HEIC with an EXIF orientation: given as bytes it becomes the file's own rotation (irot), and the
# image comes back upright. Given as the Image.Exif that Pillow's JPEG, PNG, WebP and AVIF take, no rotation is written, the EXIF
# block says 6 all the same, and on opening the tag is set to 1: the image lies on its side and nothing says so.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pillow==13.0.0 pillow-heif==1.8.1
cd "$folder"
venv/bin/python - <<'PYTHON'
import io

import pillow_heif
from PIL import Image, ImageOps

pillow_heif.register_heif_opener()
exif = Image.Exif()
exif[0x0112] = 6  # to be turned by a quarter
seen = {}
for form in ("JPEG", "HEIF"):
    for name, block in (("Image.Exif", exif), ("bytes", exif.tobytes())):
        file = io.BytesIO()
        Image.new("RGB", (60, 40)).save(file, form, exif=block)
        image = Image.open(file)
        seen[form, name] = ImageOps.exif_transpose(image).size
        print(form, "exif as", name + ":", "irot" if b"irot" in file.getvalue() else "no irot", "upright size", seen[form, name])
assert seen["JPEG", "Image.Exif"] == seen["JPEG", "bytes"] == seen["HEIF", "bytes"] == (40, 60)
assert seen["HEIF", "Image.Exif"] == (60, 40)
PYTHON
