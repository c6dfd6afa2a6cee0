#!/bin/sh
# Reads rain.csv and runoff.csv, writes report.txt: the peak of each and how much later that of the river is.
awk -F , '
    FNR == 1 { name = (FILENAME == "rain.csv" ? "rain" : "runoff"); next }
    $2 > peak[name] { peak[name] = $2; hour[name] = $1 }
    END {
        printf "highest rain in mm/h: %s\n", peak["rain"] > "report.txt"
        printf "highest runoff in mm/h: %s\n", peak["runoff"] > "report.txt"
        printf "hours between them: %d\n", hour["runoff"] - hour["rain"] > "report.txt"
    }' rain.csv runoff.csv
