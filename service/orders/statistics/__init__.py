"""How a store's orders went, by day (400 days) and by hour (72 h): what `enrich report` and the console show.

A finished order adds to the counters of the day and the hour in which it was placed, inside the script that finishes
it. ``counting`` says what it adds, ``reading`` reads the counters, and ``aggregate`` says what they mean.
"""
