#!/usr/bin/env bash
# Versions: hydra-core 1.3.8, omegaconf 2.3.0, with Python 3.11.
#
# A configuration has a key for options that nobody can list beforehand. One would guess that `options: {}` says
# "a mapping, empty so far", so that `options={mem: 4G}` on the command line fills it, and that `options: null`
# leaves the key's kind open at best.
# Instead, the empty mapping refuses every mapping that is given to it: an override is merged into the value and
# the keys of `{}` are fixed, at none. Over null the same words replace the value, and work. `+options={mem: 4G}`
# works over both, though `+` refuses a key that is there already if its value is not a mapping. So null is the
# default by which `options={…}` can be given, and options that somebody sets can't be exchanged for others.
#
# Output seen:
#   options: {}        <- options={mem: 4G}     Key 'mem' is not in struct
#   options: null      <- options={mem: 4G}     {'mem': '4G'}
#   options: {}        <- +options={mem: 4G}    {'mem': '4G'}
#   options: null      <- +options={mem: 4G}    {'mem': '4G'}
#   options: {mem: 1G} <- options={cpus: 2}     Key 'cpus' is not in struct
#   options: 1G        <- +options=4G           Could not append to config. An item is already at 'options'.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check hydra-core==1.3.8 omegaconf==2.3.0
mkdir "$dir/conf"
"$dir/venv/bin/python" - "$dir/conf" <<'PYTHON'
import sys
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.errors import ConfigCompositionException

folder = Path(sys.argv[1])


def composed(value, word):
    (folder / "config.yaml").write_text(f"options: {value}\n")
    with initialize_config_dir(str(folder), version_base=None):
        try:
            got = str(compose("config", [word]).options)
        except ConfigCompositionException as error:
            got = str(error.__cause__ or error).splitlines()[0]
    print(f"options: {value:<9} <- {word:<22} {got}")
    return got


assert composed("{}", "options={mem: 4G}") == "Key 'mem' is not in struct"
assert composed("null", "options={mem: 4G}") == "{'mem': '4G'}"
assert composed("{}", "+options={mem: 4G}") == "{'mem': '4G'}"
assert composed("null", "+options={mem: 4G}") == "{'mem': '4G'}"
assert composed("{mem: 1G}", "options={cpus: 2}") == "Key 'cpus' is not in struct"
assert composed("1G", "+options=4G") == "Could not append to config. An item is already at 'options'."
PYTHON
