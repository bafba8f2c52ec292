"""Writes a wheel of one module: its path, the name and the version of the package, and what the module prints."""

import base64
import hashlib
import sys
import zipfile

path, name, version, text = sys.argv[1:]
info = f"{name}-{version}.dist-info"
files = {
    f"{name}.py": f"print({text!r})\n",
    f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
    f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
}
record = []
with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
    for file, content in files.items():
        wheel.writestr(file, content)
        digest = base64.urlsafe_b64encode(hashlib.sha256(content.encode()).digest()).rstrip(b"=").decode()
        record.append(f"{file},sha256={digest},{len(content.encode())}\n")
    record.append(f"{info}/RECORD,,\n")
    wheel.writestr(f"{info}/RECORD", "".join(record))
