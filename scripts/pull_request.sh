#!/bin/sh
# Opens a pull request with new results of a profile. CI's training job calls it; it works by hand as well.
#
#   sh scripts/pull_request.sh local gate.md
#
# Needs git with a remote `origin` that may be pushed to, and GitHub's `gh`, logged in (GH_TOKEN).
set -eu
cd "$(dirname "$0")/.."

fail() {
    printf 'error: %s\n  -> %s\n' "$1" "$2" >&2
    exit 2
}

profile=${1:-}
table=${2:-}
{ [ -n "$profile" ] && [ -f "$table" ]; } ||
    fail "expected a profile and the gate's table, received '$profile' and '$table'" \
        "make gate PROFILE=local REFERENCE=main MARKDOWN=gate.md && make results-pull-request PROFILE=local MARKDOWN=gate.md"
command -v gh >/dev/null || fail "GitHub's command gh is not installed" "install it, or open the pull request by hand"

git add -- "results/$profile" README.md docs/results.md docs/models.md docs/images/results.svg
if git diff --cached --quiet; then
    echo "the results of profile $profile are those that are committed: nothing to propose"
    exit 0
fi
base=$(git rev-parse --abbrev-ref HEAD)
branch=results/$profile-$(git rev-parse --short HEAD)-$(date -u +%Y%m%d%H%M%S)
git switch --quiet --create "$branch"
git -c user.name="${GIT_AUTHOR_NAME:-results}" -c user.email="${GIT_AUTHOR_EMAIL:-results@localhost}" \
    commit --quiet --message "New results of profile $profile"
gh auth setup-git # git asks gh for the token
git push --quiet origin "$branch"
gh pr create --base "$base" --head "$branch" --title "New results of profile $profile" --body-file "$table"
git switch --quiet "$base"
