"""Bytes of a DAG: protobuf, dag-pb and UnixFS, written and read."""
