"""Stand-ins for conda, pixi and apptainer, which cannot be had here, from their documentation.

Of each that much is played which Beampipe uses, with the same arguments, and the same processes:
the hooks print shell code for the caller; apptainer stays, and passes signals on to what it runs.
"""

from __future__ import annotations

from pathlib import Path

# https://docs.conda.io/projects/conda/en/stable/dev-guide/deep-dives/activation.html
CONDA = """\
#!/bin/bash
[ "$*" = "shell.bash hook" ] || {{ echo "conda: unknown arguments: $*" >&2; exit 2; }}
cat <<'END'
conda() {{
  [ "$1" = activate ] || return 2
  case $2 in
    none) echo "EnvironmentNameNotFound: Could not find conda environment: $2" >&2; return 1 ;;
  esac
  export SAID="conda activate $2" CONDA_PREFIX="$2" PATH="{bin}:$PATH"
}}
END
"""
# https://pixi.sh/latest/reference/cli/pixi/shell-hook/
PIXI = """\
#!/bin/bash
[ "$1 $2 $3 $4" = "shell-hook --shell bash --manifest-path" ] || {{ echo "pixi: $*" >&2; exit 2; }}
shift
printf 'export SAID=%q PIXI_PROJECT_MANIFEST=%q PATH=%q:"$PATH"\\n' "pixi $*" "$4" '{bin}'
"""
# https://apptainer.org/docs/user/latest/cli/apptainer_exec.html
APPTAINER = """\
#!/bin/bash
[ "$1" = exec ] || {{ echo "apptainer: $*" >&2; exit 2; }}
shift
while [ "$1" = --bind ]; do
  [ -e "$2" ] || {{ echo "FATAL: mount source $2 doesn't exist" >&2; exit 255; }}
  shift 2
done
export SAID="apptainer $1" APPTAINER_CONTAINER="$1" PATH="{bin}:$PATH"
shift
"$@" &
command=$!
trap 'kill -TERM "$command"' TERM
wait "$command"; code=$?
while kill -0 "$command" 2>/dev/null; do wait "$command"; code=$?; done
exit "$code"
"""


def install_stand_ins(folder: Path, python: str) -> None:
    """Write them into a folder; the Python of their environments is `python`."""
    inner = folder / "environment"
    inner.mkdir(parents=True)
    for name in ("python", "python3"):
        program = inner / name
        program.write_text(f'#!/bin/bash\nexec "{python}" "$@"\n')
        program.chmod(0o755)
    for name, text in {"conda": CONDA, "pixi": PIXI, "apptainer": APPTAINER}.items():
        program = folder / name
        program.write_text(text.format(bin=inner))
        program.chmod(0o755)
