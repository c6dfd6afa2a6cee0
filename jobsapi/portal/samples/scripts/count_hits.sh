#!/bin/sh
# How many of some million random points in a square lie in the circle: "HITS POINTS". $1 chooses the points.
awk -v seed="$1" -v points=20000000 'BEGIN {
    srand(seed + 1)
    for (i = 0; i < points; i++) { x = rand(); y = rand(); if (x * x + y * y < 1) hits++ }
    print hits, points
}'
