#!/bin/sh
# Slurm prolog (slurm.conf: Prolog=/etc/slurm/prolog.d/50-yanji): a node whose hardware is not what it was is drained before the job
# starts. It looks and does not burn in: a prolog has to end within PrologEpilogTimeout.
#
#   YANJI_LIMIT_SECONDS   longest time (50)
#   YANJI_POLICY          folder with rules and policy of the site (the built-in ones)
set -u
limit=${YANJI_LIMIT_SECONDS:-50}
work=$(mktemp -d) || exit 0
trap 'rm -rf "$work"' EXIT
timeout "$limit" yanji inspect --format json --no-rom ${YANJI_POLICY:+--signatures "$YANJI_POLICY"} >"$work/inspection.json" 2>"$work/errors"
code=$?
case $code in
  1)
    reason=$(sed -n 's/.*"reasons": *\[ *"\([^"]*\)".*/\1/p' "$work/inspection.json" | head -n 1)
    scontrol update nodename="${SLURMD_NODENAME:-$(hostname -s)}" state=drain reason="yanji: ${reason:-hardware rejected}" || true
    echo "print yanji: this node's hardware was rejected"
    # A prolog that fails drains the node and puts the job back into the queue.
    exit 1
    ;;
  124) echo "yanji: no answer within $limit s" >&2 ;;
  0 | 3) ;;
  *) echo "yanji: exit code $code: $(head -n 1 "$work/errors")" >&2 ;;
esac
# What could not be looked at keeps no job from running.
exit 0
