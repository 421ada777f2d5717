#!/bin/sh
# Regenerates the sample's results of a revision on this machine, for the gate to compare with.
#
#   sh scripts/reference.sh main        writes .reference/<commit>/results/sample
#
# The revision is checked out beside the work tree, which stays as it is, and runs with its own code. It shares
# DVC's cache: a stage that is the same on both sides runs once. Finished references are kept by their commit.
set -eu
cd "$(dirname "$0")/.."
root=$PWD

fail() {
    printf 'error: %s\n  -> %s\n' "$1" "$2" >&2
    exit 2
}

revision=${1:-}
[ -n "$revision" ] || fail "no revision was given" "make reference REFERENCE=main"
commit=$(git rev-parse --quiet --verify "$revision^{commit}") ||
    fail "git knows no revision $revision" "git fetch origin $revision (a shallow clone: git fetch --unshallow)"
kept=.reference/$commit
if [ -d "$kept" ]; then
    echo "$kept is there already"
    exit 0
fi

work=.reference/work-$commit
remove() { git worktree remove --force "$work" 2>/dev/null || true; }
trap remove EXIT
trap 'exit 130' INT TERM
remove
git worktree add --quiet --detach "$work" "$commit"
cd "$work"
if cmp -s requirements.lock "$root/requirements.lock" && cmp -s pyproject.toml "$root/pyproject.toml"; then
    # The same versions: the environment here serves, with the reference's code before ours.
    PATH=$root/.venv/bin:$PATH
    PYTHONPATH=$PWD/src
    export PATH PYTHONPATH
else
    make env
    PATH=$PWD/.venv/bin:$PATH
    export PATH
fi
# Runs of a reference are no runs of this work tree.
MLFLOW_TRACKING_URI=sqlite:///$PWD/mlflow.db
export MLFLOW_TRACKING_URI
dvc cache dir --local "$(cd "$root" && dvc cache dir)"
dvc repro
cd "$root"
mkdir -p "$kept.unfinished/results"
cp -R "$work/results/sample" "$kept.unfinished/results/"
cp "$work/params.yaml" "$kept.unfinished/" # the gate asks which declared changes the reference holds already
mv "$kept.unfinished" "$kept"
echo "$kept holds the results of $revision on this machine"
