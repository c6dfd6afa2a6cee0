#!/bin/sh
# Reads rain.csv, writes runoff.csv: a catchment as a bucket that loses a tenth of what is in it every hour.
awk -F , '
    NR == 1 { print "hour,runoff_mm" > "runoff.csv"; next }
    { bucket += $2; runoff = bucket / 10; bucket -= runoff; printf "%d,%.3f\n", $1, runoff > "runoff.csv" }' rain.csv
