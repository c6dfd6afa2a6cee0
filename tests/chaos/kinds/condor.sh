#!/bin/sh
# The work of the campaign's jobs at HTCondor: notes that it begins, does what it is told, leaves what can be computed.
#   condor.sh NOTES PART NUMBER GO WHAT
# NOTES: a file to which a line is added. GO: a file that is there once the work may end, or succeed.
part=$2 number=$3
mark=$(sed -n 's/^JobsApiId = "\(.*\)"$/\1/p' "$_CONDOR_JOB_AD")
printf '%s %s %s %s\n' "$mark" "$part" "$(date +%s.%N)" "$$" >>"$1"
case $5 in
works) sleep $((number % 4)) ;;
fails) exit 3 ;;
fails-first) [ -e "$4" ] || exit 3 ;;
waits) until [ -e "$4" ]; do sleep 0.2; done ;;
esac
yes "$number $part" | head -n 1000 >"result.$part"
if [ -e input ]; then cat input >>"result.$part"; fi
