"""Tables of SQL databases: records come in, rows that are committed once a batch go out.

`sql_sink` is the sink; `database` is the way to the database, `commit_row` the fence, `record_rows` turns records
into rows (on executors), `row_writers` write them (on the driver), `database_failure` says what an error means, and
`culprit` which record made it.
"""
