"""Measuring where the data lives: an ibis Table is measured by its own database, as one aggregate query. Needs the extra [pushdown].

engine       IbisEngine: all metrics of a table in one query; only answers travel
asking       what a metric asks of that query, and how to read the answers
counting     metric + column type -> which rows break it
predicates   metric + column type -> which values meet it
comparing    two columns of one row; relationships between tables
multiples    whole multiples, in the decimal sense
numbers      statistics, histograms and profiles
nested       paths into arrays, maps and objects
text         numbers, instants and times out of text
patterns     a contract's regular expression in the dialect of a database
values       a column as it is judged
evidence     failing rows and values; a table in two
queries      sql rules, answered by the database itself
physical     the types of columns in the database's own words
"""
