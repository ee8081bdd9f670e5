#!/bin/sh
# Slurm prolog (slurm.conf: Prolog=/etc/slurm/prolog.d/50-yanji): a node whose hardware is not what it was is drained before the job
# starts. It looks and does not burn in: a prolog has to end within PrologEpilogTimeout.
#
#   YANJI_LIMIT_SECONDS   longest time (45: with what follows, under 50 s)
#   YANJI_SIGNATURES      folder with rules and policy of the site (the built-in ones)
#   YANJI_CLAIM           file that says what the node has to have (nothing)
set -u
limit=${YANJI_LIMIT_SECONDS:-45}
work=$(mktemp -d) || exit 0
trap 'rm -rf "$work"' EXIT
set -- inspect --format json --no-rom
[ -z "${YANJI_SIGNATURES:-}" ] || set -- "$@" --signatures "$YANJI_SIGNATURES"
[ -z "${YANJI_CLAIM:-}" ] || set -- "$@" --claim "$YANJI_CLAIM"
# Two seconds after it was asked to end it is ended.
timeout -k 2 "$limit" yanji "$@" >"$work/inspection.json" 2>"$work/errors"
code=$?
case $code in
  1)
    reason=$(tr -d '\n' <"$work/inspection.json" | sed -n 's/.*"reasons": *\[ *"\([^"]*\)".*/\1/p')
    timeout 2 scontrol update "nodename=${SLURMD_NODENAME:-$(hostname -s)}" state=drain "reason=yanji: ${reason:-hardware rejected}" || true
    echo "print yanji: this node's hardware was rejected"
    # A prolog that fails drains the node and puts the job back into the queue.
    exit 1
    ;;
  0 | 3) ;;
  124 | 137) echo "yanji: no answer within $limit s" >&2 ;;
  *) echo "yanji: exit code $code: $(head -n 1 "$work/errors")" >&2 ;;
esac
# What could not be looked at keeps no job from running.
exit 0
