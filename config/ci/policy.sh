#!/bin/sh
# A policy's pipeline, the same in every CI:
#
#   policy.sh verify    on a merge request: mistakes, tests, and how much of the rules they cover; needs no leased
#   policy.sh plan      shows what would change, and keeps the plan's digest for apply
#   policy.sh apply     after the merge: applies what was planned, and nothing else
#
# POLICY_DIR (policies) has the policy, POLICY_CONFIG (POLICY_DIR/roles.json) the roles and issuers of leased, POLICY_OUT (policy-out) takes
# what is to be kept: junit.xml, plan.txt, digest. POLICY_COVERAGE (80) is the percentage of rules that tests must cover, POLICY_MAX_ENDED
# (0) how many live grants an apply may end. plan and apply run where leased is, as a user whom its `admins` allow `policy`; LEASED_ADDR
# says where else it is.
set -eu

dir=${POLICY_DIR:-policies}
config=${POLICY_CONFIG:-$dir/roles.json}
out=${POLICY_OUT:-policy-out}
mkdir -p "$out"

verify() {
    lease policy check "$dir" --config "$config" --strict
    lease policy test "$dir" --config "$config" --junit "$out/junit.xml" --coverage --coverage-min "${POLICY_COVERAGE:-80}"
}

# 2 says that there are changes: what a plan is for.
plan() {
    code=0
    lease policy plan "$dir" >"$out/plan.txt" || code=$?
    cat "$out/plan.txt"
    [ "$code" -eq 0 ] || [ "$code" -eq 2 ] || exit "$code"
    sed -n 's/^plan \([0-9a-f]*\)$/\1/p' "$out/plan.txt" >"$out/digest"
    [ -s "$out/digest" ]
}

apply() {
    lease policy apply "$dir" --digest "$(cat "$out/digest")" --max-ended "${POLICY_MAX_ENDED:-0}"
}

case ${1:-} in
verify | plan | apply) "$1" ;;
*)
    echo "usage: policy.sh verify|plan|apply" >&2
    exit 64
    ;;
esac
