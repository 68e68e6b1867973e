#!/usr/bin/env bash
# Run by Snakemake inside the new environment, from the folder that snakemake was started in: the
# project's root. COUNTERPOINT_SOURCE names the root where that is another folder.
set -euo pipefail
source_folder=${COUNTERPOINT_SOURCE:-$PWD}
python -m pip install --requirement "$source_folder/requirements.lock"
python -m pip install --no-deps --editable "$source_folder"
