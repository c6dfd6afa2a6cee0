#!/bin/sh
# Reads storm.txt, writes rain.csv: how much falls in each hour of a storm, in mm.
awk -F '[ =]+' '
    { storm[$1] = $2 }
    END {
        print "hour,rain_mm" > "rain.csv"
        for (hour = 0; hour < storm["hours"]; hour++) {
            late = (hour - storm["peak_hour"]) / storm["spread_hours"]
            printf "%d,%.2f\n", hour, storm["peak_mm"] * exp(-late * late) > "rain.csv"
        }
    }' storm.txt
