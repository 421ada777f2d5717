#!/bin/sh
# Makes .venv, or brings it up to date, from the locked versions in requirements.lock and installs this
# package into it, editable. Does nothing when the environment already has what the two files ask for, and refuses
# that of another checkout, whose code it would run.
#
#   PYTHON=python3.12 sh scripts/environment.sh     choose the interpreter of a new environment
#   EXTRAS=gpu sh scripts/environment.sh            add an extra of pyproject.toml
#
# Needs a Python from 3.11 to 3.13. Uses uv where it is installed, otherwise venv and pip.
set -eu
cd "$(dirname "$0")/.."

venv=.venv
stamp=$venv/installed-from
# Extras once asked for stay, also when the lock changes.
extras=${EXTRAS:-$(sed -n 's/^extras=//p' "$stamp" 2>/dev/null || true)}

fail() {
    printf 'error: %s\n  -> %s\n' "$1" "$2" >&2
    exit 1
}

fits() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1
}

choose_python() {
    if [ -n "${PYTHON:-}" ]; then
        "$PYTHON" -c '' >/dev/null 2>&1 ||
            fail "PYTHON=$PYTHON is no Python that runs" "name an interpreter from 3.11 to 3.13: make env PYTHON=python3.12"
        fits "$PYTHON" ||
            fail "PYTHON=$PYTHON is $("$PYTHON" -V 2>&1), but Python 3.11 to 3.13 is needed" "make env PYTHON=python3.12"
        echo "$PYTHON"
        return
    fi
    for candidate in python3 python3.13 python3.12 python3.11 python; do
        if fits "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    fail "no Python from 3.11 to 3.13 was found (python3 is $(python3 -V 2>&1 || true))" \
        "install one, or name it: make env PYTHON=/path/to/python3.12"
}

# The checkout whose code the environment runs; nothing where it runs none yet, or that one is gone.
owner() {
    for path in "$venv"/lib/python*/site-packages/__editable__.lung_attention-*.pth; do
        if [ -f "$path" ]; then (cd -P "$(cat "$path")/.." 2>/dev/null && pwd -P) || true; fi
    done
}

checkout=$(owner)
if [ -n "$checkout" ] && [ "$checkout" != "$(pwd -P)" ]; then
    if [ -L "$venv" ]; then remove="rm $venv"; else remove="rm -r $venv"; fi
    fail "$venv is the environment of another checkout, $checkout, and runs its code" \
        "give this one its own: $remove && make env"
fi

# Contents, not times: a checkout gives files new times without changing them.
wanted="$(cksum requirements.lock pyproject.toml)
extras=$extras"
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && fits "$venv/bin/python"; then
    exit 0
fi

if uv --version >/dev/null 2>&1; then installer=uv; else installer=pip; fi

if [ -e "$venv" ] || [ -L "$venv" ]; then
    fits "$venv/bin/python" || fail "$venv has no Python from 3.11 to 3.13 that runs" "remove it and make it anew: rm -r $venv && make env"
else
    python=$(choose_python)
    echo "making $venv with $("$python" -V 2>&1) and $installer"
    if [ "$installer" = uv ]; then
        # The interpreter is on this machine: uv shall not download another one.
        uv venv --quiet --no-python-downloads --python "$("$python" -c 'import sys; print(sys.executable)')" "$venv"
    else
        "$python" -m venv "$venv" || {
            rm -rf "$venv"
            fail "$python cannot make virtual environments" "install uv, or venv with ensurepip (Debian and Ubuntu: apt install python3-venv)"
        }
    fi
fi

# An interrupted installation must not look finished.
rm -f "$stamp"

# The package itself has no hash, so it is installed apart from what is locked.
editable=.${extras:+[$extras]}
no_deps=--no-deps
# What an extra adds is not in the lock; the locked versions stay, since they satisfy it.
[ -z "$extras" ] || no_deps=
echo "installing the locked versions with $installer (minutes the first time)"
if [ "$installer" = uv ]; then
    uv pip install --quiet --compile-bytecode --python "$venv/bin/python" --require-hashes --requirement requirements.lock
    # shellcheck disable=SC2086 # an empty option must vanish
    uv pip install --quiet --python "$venv/bin/python" $no_deps --editable "$editable"
else
    "$venv/bin/python" -m pip --version >/dev/null 2>&1 || "$venv/bin/python" -m ensurepip
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
    # shellcheck disable=SC2086
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check $no_deps --editable "$editable"
fi

if [ -d .dvc ]; then
    "$venv/bin/python" -m lung_attention.workflow.plots_page
fi

echo "$wanted" > "$stamp"
echo "$venv is ready; for commands of your own: . $venv/bin/activate"
