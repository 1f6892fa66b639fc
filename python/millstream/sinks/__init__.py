"""Sinks, one file a connector: partitions of a batch come in, something outside that people can see goes out.

File sinks (`text_files`, `json_files`, `csv_files`, `parquet_files`, `pickle_files`) are forms of
`manifest_files`, where one file, the `manifest`, makes a batch visible; `read_committed` follows the manifests. They
lie in a `sink_directory`, local or on an object store. `sql` has tables,
`kafka` topics.
`collect` and `print` hand the rows of a batch over on the driver.
"""
